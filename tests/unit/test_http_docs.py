"""docs/http-api.md says what is so: its snippets run, its parameters and routes exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

from local import openapi
from tests.unit.sample_events import ROOT

TEXT = (ROOT / "docs" / "http-api.md").read_text()


def snippets(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_snippets_run(snippet: str) -> None:
    result = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True, timeout=30)
    assert re.fullmatch(r"X-Hub-Signature-256: sha256=[0-9a-f]{64}\n", result.stdout)


def test_problems_are_shown_with_the_members_that_they_have() -> None:
    (problem,) = map(json.loads, snippets("json"))
    assert set(problem) == set(openapi.document()["components"]["schemas"]["Problem"]["required"])


def test_trigger_snippets_are_webhooks() -> None:
    (trigger,) = [yaml.safe_load(snippet.replace("on:", '"on":', 1)) for snippet in snippets("yaml")]
    assert trigger["on"] == {"http": {"auth": "hmac"}}


def test_every_route_and_parameter_that_is_named_exists() -> None:
    template = (ROOT / "template.yaml").read_text()
    described = openapi.document()["paths"]
    for path in re.findall(r"^\| `(?:GET|POST) (/[^`?]+)", TEXT, re.MULTILINE):
        assert path in described or f"GET {path}" in template
    for row in re.findall(r"^\| (`[A-Z]\w+`(?:, `[A-Z]\w+`)*) \|", TEXT, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", row):
            assert f"\n  {name}:\n" in template
