"""docs/http-api.md says what is so: its snippets run, its parameters and routes exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from jetway.http.access_file import parse_access
from tests.unit.sample_events import ROOT
from tools.generate import openapi

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
    problem, health = map(json.loads, snippets("json"))
    schemas = openapi.document()["components"]["schemas"]
    assert set(problem) == set(schemas["Problem"]["required"])
    for shown, schema in [
        (health, schemas["Health"]),
        *((health[part], described) for part, described in parts(schemas)),
    ]:
        assert set(shown) == set(schema["required"])


def parts(schemas: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The members of /health that are objects themselves."""
    return [(name, part) for name, part in schemas["Health"]["properties"].items() if "properties" in part]


def test_the_trigger_is_a_webhook_and_the_access_list_is_valid() -> None:
    access, trigger = snippets("yaml")
    assert yaml.safe_load(trigger.replace("on:", '"on":', 1))["on"] == {"http": {"auth": "hmac"}}
    parsed = parse_access(access.encode())
    assert (parsed.judgement.findings, len((parsed.document or {})["allow"])) == ((), 2)


def test_every_route_and_parameter_that_is_named_exists() -> None:
    template = (ROOT / "template.yaml").read_text()
    described = openapi.document()["paths"]
    for path in re.findall(r"^\| `(?:GET|POST) (/[^`?]+)", TEXT, re.MULTILINE):
        assert path in described or f"GET {path}" in template
    for row in re.findall(r"^\| (`[A-Z]\w+`(?:, `[A-Z]\w+`)*) \|", TEXT, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", row):
            assert f"\n  {name}:\n" in template
