"""How functions are put together: what a cold start does not import, and what is forgotten after a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cached_property

import pytest

from jetway.http.services import Services
from jetway.wiring.http_api import Parts, wired
from tests.unit.http.function import ENVIRONMENT
from tests.unit.sample_events import ROOT

GATE = tuple(
    f"jetway.{room}" for room in ("artifacts", "diagnosis", "gate", "loading", "promotion", "updates", "verification")
)
FOLDERS = os.pathsep.join(str(ROOT / folder) for folder in ("", "layers/jetway", "layers/loader"))


@pytest.mark.parametrize(
    ("function", "unwanted"),
    [
        ("start_dag_run", (*GATE, "jetway.http", "jetway.workers.scaler", "requests")),
        ("http_api", (*GATE, "jetway.ledger", "boto3", "requests")),
        ("validate_artifact", ("jetway.dispatch.dispatcher", "jetway.ledger", "boto3", "requests")),
    ],
)
def test_a_function_imports_nothing_of_the_others(function: str, unwanted: tuple[str, ...]) -> None:
    """While Lambda starts it; what its first call needs beside may come then."""
    found = subprocess.run(
        [sys.executable, "-c", f"import functions.{function}.app, sys; print(*sys.modules)"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": FOLDERS},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert f"jetway.wiring.{function}" in found
    assert [name for name in found if any(name == one or name.startswith(f"{one}.") for one in unwanted)] == []


def test_after_a_deadline_every_part_of_the_api_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPATCH_QUEUE_URL", "COLLECT_QUEUE_URL", "WAITING_QUEUE_URL", "DEAD_LETTERS_URL"):
        monkeypatch.setenv(name, "https://sqs.example/1/queue")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    parts = wired()
    names = [name for name, found in vars(Parts).items() if isinstance(found, cached_property)]
    assert len(names) == 16
    before = {name: getattr(parts, name) for name in names}
    assert all(getattr(parts, name) is before[name] for name in names), "kept while warm"
    services: Services = parts
    services.forget()
    assert [name for name in names if getattr(parts, name) is before[name]] == []
    assert wired() is parts, "the request in hand goes on with it"
