"""What reading and loading say together, and when it is too early to say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetway.artifacts.findings import Finding, FoundDag, Judgement
from jetway.loading.combined_verdict import refused, together, too_early
from jetway.loading.dag_id_conflicts import Rival
from jetway.loading.import_dag_client import LoadAnswer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOST = Finding("lost-dag", "warning", "No DAG is made.", None, "Nothing.")
SLOW = Finding("top-level-work", "warning", "It sleeps.", 3, "Do not.")
READ = Judgement("dag-file", "accepted", (LOST, SLOW), (FoundDag("a", 5, "exact"), FoundDag(None, 9, "dynamic")))


def loaded(**changes: Any) -> LoadAnswer:
    answer: dict[str, Any] = {
        "path": "orders.py",
        "verdict": "accepted",
        "findings": [],
        "dags": [{"dag_id": "a", "line": 7, "schedule": "@daily", "tags": ["x"], "tasks": 2}],
        "skipped": None,
        "siblings": [],
        "missing": [],
        "seconds": 0.2,
    }
    return LoadAnswer(answer | changes, airflow_version="3.3.1")


def test_the_load_says_which_dags_there_are_and_reading_where_they_begin() -> None:
    judged = together(READ, loaded())
    assert judged.verdict == "accepted"
    assert judged.dags == (FoundDag("a", 5, "loaded", "@daily", ("x",), 2),)
    assert judged.findings == (SLOW,), "that there is no DAG was a mistake"
    assert judged.parse_seconds == 0.2


@pytest.mark.parametrize("certainty", ["exact", "conditional"])
def test_a_dag_id_that_may_be_made_of_a_stand_in_is_none_unless_it_stands_in_the_file(certainty: Any) -> None:
    made = [
        {"dag_id": "1", "line": 3, "schedule": None, "tags": [], "tasks": 1, "certain": False},
        {"dag_id": "ingest_dev", "line": 4, "schedule": None, "tags": [], "tasks": 1, "certain": False},
        {"dag_id": "orders", "line": 5, "schedule": None, "tags": [], "tasks": 1, "certain": False},
        {"dag_id": "before", "line": 6, "schedule": None, "tags": [], "tasks": 1, "certain": True},
    ]
    read = Judgement("dag-file", "accepted", (), (FoundDag("orders", 5, certainty), FoundDag(None, 4, "dynamic")))
    judged = together(read, loaded(dags=made))
    assert [(dag.dag_id, dag.line, dag.certainty) for dag in judged.dags] == [
        (None, 3, "dynamic"),
        (None, 4, "dynamic"),
        ("orders", 5, "loaded"),
        ("before", 6, "loaded"),
    ]


def test_a_failed_load_rejects_with_its_findings() -> None:
    finding = {"rule": "cycle", "severity": "error", "message": "A cycle.", "line": 8, "remedy": "Remove it."}
    judged = together(READ, loaded(verdict="rejected", findings=[finding], dags=[]))
    assert judged.verdict == "rejected"
    assert judged.findings == (SLOW, Finding("cycle", "error", "A cycle.", 8, "Remove it."))


def test_a_file_that_kills_the_function_is_rejected() -> None:
    judged = together(READ, LoadAnswer(None, died="Runtime.ExitError: exit status 9"))
    assert judged.verdict == "rejected"
    assert "Runtime.ExitError" in judged.findings[-1].message


@pytest.mark.parametrize(
    ("skipped", "rules"), [("no-dag", {"lost-dag", "top-level-work"}), ("ignored", {"ignored", "top-level-work"})]
)
def test_what_airflow_does_not_load_is_accepted(skipped: str, rules: set[str]) -> None:
    judged = together(READ, loaded(skipped=skipped, dags=[], seconds=0.0))
    assert judged.verdict == "accepted"
    assert {finding.rule for finding in judged.findings} == rules


@pytest.mark.parametrize(
    ("changes", "age", "others", "waits"),
    [
        ({"missing": ["helpers"]}, 1, {}, True),
        ({"missing": ["helpers"]}, 31, {}, False),
        ({"missing": ["airflow.operators.dummy"]}, 1, {}, False),
        ({"siblings": ["helpers.py"]}, 1, {"other.py": 2}, True),
        ({"siblings": ["helpers.py"]}, 1, {"other.py": 11}, False),
        ({"siblings": ["helpers.py"]}, 31, {"other.py": 11}, False),
        ({"siblings": ["helpers.py"]}, 119, {"other.py": 2}, True),
        ({"siblings": ["helpers.py"]}, 120, {"other.py": 2}, False),
        ({"missing": ["helpers"]}, 119, {"other.py": 2}, True),
        ({"missing": ["helpers"]}, 120, {"other.py": 2}, False),
        ({}, 1, {"other.py": 2}, False),
        ({"verdict": "unknown", "missing": ["helpers"]}, 1, {}, True),
        ({"verdict": "unknown", "missing": ["helpers"]}, 31, {}, False),
        ({"verdict": "unknown", "siblings": ["helpers.py"]}, 1, {"other.py": 2}, False),
    ],
)
def test_a_failure_waits_for_siblings_that_may_be_on_their_way(
    changes: dict[str, Any], age: int, others: dict[str, int], waits: bool
) -> None:
    why = too_early(
        loaded(**{"verdict": "rejected", **changes}),
        {name: NOW - timedelta(seconds=seconds) for name, seconds in others.items()},
        dropped=NOW - timedelta(seconds=age),
        seen_at=NOW,
        grace=timedelta(seconds=30),
        quiet=timedelta(seconds=10),
    )
    assert (why is not None) == waits


def test_a_dag_id_of_another_file_is_refused_with_its_line() -> None:
    judged = refused(together(READ, loaded()), {"a": Rival("dags/other.py")})
    assert (judged.verdict, judged.findings[-1].rule, judged.findings[-1].line) == ("rejected", "duplicate-dag-id", 5)
    assert "dags/other.py" in judged.findings[-1].message
