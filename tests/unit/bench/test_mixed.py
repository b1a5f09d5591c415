"""What the load test of mixed events calls wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tools.bench.mixed import UNKNOWN_DAG, Letter, Run, Verdict, judge

SENT = {"a": "files", "b": "files", "c": "batches", "d": "batches", "u": UNKNOWN_DAG}
RUNS = [
    Run("files", "1", "success", ("a",)),
    Run("files", "2", "failed", ("b",)),
    Run("batches", "3", "success", ("c", "d")),
]
LETTERS = [Letter("u", "dag-not-found")]


def told(dag_id: str, run: str, name: str, *, copy: str = "") -> dict[str, Any]:
    id_ = f"{run}#{name}{copy}"
    return {"detail-type": name, "detail": {"dag_id": dag_id, "dag_run_id": run, "id": id_}}


TOLD = [
    *(told(run.dag_id, run.run_id, "DagRunStarted") for run in RUNS),
    told("files", "1", "DagRunSucceeded"),
    told("files", "2", "DagRunFailed"),
    told("batches", "3", "DagRunSucceeded"),
]


def judged(**changes: Any) -> Verdict:
    facts: dict[str, Any] = {"runs": RUNS, "letters": LETTERS, "told": TOLD, "counted": 3.0, **changes}
    return judge(SENT, facts["runs"], facts["letters"], facts["told"], counted=facts["counted"])


def test_one_outcome_each_is_right_however_often_it_was_told() -> None:
    assert judged(told=TOLD * 2, letters=LETTERS * 2) == Verdict()
    assert judged().words() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"runs": RUNS[1:]}, {"lost": ("a",), "phantom": ("files/1",), "ended_twice": ("files/1",), "miscounted": 1}),
        ({"letters": []}, {"lost": ("u",)}),
        ({"letters": [*LETTERS, Letter("a", "too-old")]}, {"both": ("a",)}),
        ({"letters": [Letter("u", "")]}, {"unreasoned": ("u",)}),
        ({"told": TOLD[1:]}, {"not_announced": ("files/1",)}),
        ({"told": [*TOLD, told("files", "1", "DagRunStarted", copy="-2")]}, {"announced_twice": ("files/1",)}),
        ({"told": TOLD[:-1]}, {"not_followed": ("batches/3",)}),
        ({"told": [*TOLD, told("files", "1", "DagRunFailed")]}, {"ended_twice": ("files/1",)}),
        ({"counted": 4.0}, {"miscounted": 1}),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = judged(**changes)
    assert found == replace(Verdict(), **expected)
    assert len(found.words()) == len(expected)


def test_an_event_with_two_runs_is_doubled_and_one_with_a_letter_only_is_refused() -> None:
    twice = [*RUNS, Run("files", "4", "success", ("a",))]
    assert judged(runs=twice).doubled == ("a",)
    assert judged(runs=RUNS[1:], letters=[*LETTERS, Letter("a", "too-old")]).refused == ("a",)
