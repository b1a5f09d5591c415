"""What the status page shows of an answer: its own script, run by Node, without a browser (tests/browser has one)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jetway.http.health import Reached, health_document, not_asked
from tests.unit.http.test_health import facts_of
from tests.unit.sample_events import ROOT

NODE = shutil.which("node")
PAGE = ROOT / "functions" / "http_api" / "pages" / "status.html"
STAGE = Path(__file__).with_name("page_stage.mjs")
COUNTS = {"waiting": 1, "in_flight": 0, "aside": 3, "dead_letters": 2}

pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js to run the page's script")


def play(health: list[dict[str, Any]] | None = None, reports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Run the page's script against answers of /health and reports of files; return what it shows."""
    assert NODE is not None
    calls = json.dumps({"health": health or [], "reports": reports or []})
    ran = subprocess.run([NODE, STAGE, PAGE], input=calls, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_what_waits_aside_and_dead_letters_are_counted() -> None:
    document = health_document(facts_of("AVAILABLE"), Reached(True), COUNTS)
    (shown,) = play([{"status": 200, "body": document}])["health"]
    assert shown == {
        "gauges": [
            "Runs can be started [good]healthy",
            "Environment [good]AVAILABLE",
            "Airflow [good]answers",
            "Events that wait 4",
            "of them stepped aside 3",
            "Being tried, or held 0",
            "Dead letters [bad]2",
        ],
        "problem": None,
    }


def test_nothing_is_green_above_an_error() -> None:
    healthy = health_document(facts_of("AVAILABLE"), Reached(True), COUNTS)
    unreachable = health_document(facts_of("AVAILABLE"), Reached(False, "see SubnetIds"), COUNTS)
    updating = health_document(facts_of("UPDATING"), not_asked(facts_of("UPDATING")), COUNTS)
    shown = play(
        [
            {"status": 200, "body": healthy},  # what was green before must not stay so
            {"status": 503, "body": unreachable},
            {"status": 503, "body": updating},
            {"status": 200, "body": healthy},
            {"status": 503, "body": {"detail": "GetEnvironment is denied"}},
        ]
    )["health"]
    for found in (shown[1], shown[2], shown[4]):
        assert found["problem"]
        assert not any("[good]" in gauge for gauge in found["gauges"])
    assert shown[1]["problem"] == "see SubnetIds"
    assert "UPDATING" in shown[2]["problem"]
    assert shown[4] == {"gauges": ["Runs can be started [wait]not known"], "problem": "GetEnvironment is denied"}


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"verdict": "accepted", "outcome": "promoted"}, "[good]live; checked: accepted"),
        ({"verdict": "accepted", "outcome": "rolled-back"}, "[bad]rolled back; checked: accepted"),
        ({"verdict": "rejected", "outcome": "quarantined"}, "[bad]quarantined; checked: rejected"),
        ({"verdict": "accepted", "outcome": "superseded"}, "superseded; checked: accepted"),
        (
            {
                "verdict": "unknown",
                "outcome": "promoted",
                "in_force": {"state": "waiting", "because": "It is quiet soon."},
            },
            "[wait]waits for an update; checked: unknown; It is quiet soon.",
        ),
        (
            {"verdict": "accepted", "outcome": "rolled-back", "in_force": {"state": "not-applied"}},
            "[bad]the update failed; checked: accepted",
        ),
        (
            {"verdict": "rejected", "findings": [{"rule": "last-good-in-force"}]},
            "[bad]rejected; The last good one stays in force.",
        ),
        ({"verdict": "accepted"}, "[good]accepted"),
    ],
)
def test_a_file_shows_what_became_of_it_and_not_its_verdict_alone(report: dict[str, Any], shown: str) -> None:
    assert play(reports=[report])["fates"] == [shown]
