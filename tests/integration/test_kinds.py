"""requirements.txt, plugins.zip and startup.sh through the drop bucket of a real stack, with the real uv."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.integration.conftest import drop
from tests.unit.artifacts.zips import PLUGIN, zip_of
from tools.stack.calls import read_report, wait_for
from tools.stack.stack import Stack

OWN = '--constraint "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-3.12.txt"\n'


def judged(stack: Stack, key: str, body: bytes) -> dict[str, object]:
    """Drop a file and wait for the report of this version."""
    version = drop(stack, key, body)

    def look() -> dict[str, object] | None:
        report = read_report(stack, key)
        return report if report and report["source"]["version"] == version else None

    return wait_for(f"the report of {key}", look, seconds=120)


def rules(report: dict[str, object]) -> list[object]:
    return [finding["rule"] for finding in json.loads(json.dumps(report["findings"]))]


def test_requirements_are_resolved_by_a_function_without_permissions(stack: Stack) -> None:
    name = f"jetway-no-such-package-{uuid.uuid4().hex}"
    report = judged(stack, "requirements.txt", f"# -c none: {name}\ncelery==1.0\n".encode())
    assert (report["verdict"], "essential-pin" in rules(report)) == ("rejected", True)
    report = judged(stack, "requirements.txt", f"# -c none\n{name}==1.0\n".encode())
    assert "cannot be run" not in json.dumps(report["findings"])
    # Without a network it cannot be told; with one, PyPI does not know it.
    assert (report["verdict"], rules(report)[-1]) in [("rejected", "unresolvable"), ("unknown", "not-resolved")]


@pytest.mark.parametrize(
    ("key", "good", "bad", "rule"),
    [
        ("plugins.zip", zip_of({"acme_plugin.py": PLUGIN}), zip_of({"../a.py": PLUGIN}), "unsafe-path"),
        ("startup.sh", b"export ACME=1\n", b"if true\n", "bash-syntax"),
        ("dags/packed.zip", zip_of({"readme.py": b"x = 1\n"}), zip_of({"a.py": b"def f(:\n"}), "syntax"),
    ],
)
def test_what_is_sound_goes_live_and_what_is_not_is_quarantined(
    stack: Stack, key: str, good: bytes, bad: bytes, rule: str
) -> None:
    report = judged(stack, key, good)
    assert (report["verdict"], report["outcome"]) == ("accepted", "promoted")
    report = judged(stack, key, bad)
    assert (report["verdict"], report["outcome"]) == ("rejected", "quarantined")
    assert rule in rules(report)
