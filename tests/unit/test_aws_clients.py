"""AWS clients: none may hang for longer than the function that waits for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetway.wiring.clients import CONNECT_TIMEOUT, bounded
from tests.unit.ledger_table import read_template
from tests.unit.sample_events import ROOT

MAKERS = {"client", "resource", "create_client"}


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for folder in ("functions", "layers/jetway/jetway"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS:
                    yield file, node


def test_every_client_is_made_with_timeouts_of_its_own() -> None:
    """botocore's own are 60 s a try, longer than most of the functions may take."""
    found = list(calls())
    assert len(found) > 20
    unbounded = [
        f"{file.relative_to(ROOT)}:{call.lineno}"
        for file, call in found
        if "config" not in {keyword.arg for keyword in call.keywords}
    ]
    assert unbounded == []


@pytest.mark.parametrize("function", ["ResumeWaiting", "CollectBatch", "StartDagRun", "FollowRuns", "ValidateArtifact"])
def test_all_tries_of_one_call_end_before_the_function(function: str) -> None:
    config: Any = bounded()
    attempts, read_timeout = 3, config.read_timeout
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}
    timeout = int(read_template()["Resources"][function]["Properties"]["Timeout"])
    assert attempts * (CONNECT_TIMEOUT + read_timeout) < timeout
