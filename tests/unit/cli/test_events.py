"""`jetway events`: the ledger as people and machines see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from click.testing import Result

from jetway.ledger import Entry, Ledger
from jetway_cli.events import news
from tests.unit.cli.conftest import Cloud
from tests.unit.cli.test_triggers import BUCKET, ORDERS, accept

Jetway = Callable[..., Result]

NOW = datetime.now(UTC).replace(microsecond=0)


def entry(id_: str, minutes_ago: float, **members: object) -> Entry:
    values = {"trigger": "data", "kind": "s3", "identity": ("s3", id_), "decision": "started"} | members
    return Entry(id=f"data#{id_}", decided_at=NOW - timedelta(minutes=minutes_ago), **values)  # type: ignore[arg-type]


def fill(cloud: Cloud) -> None:
    ledger = Ledger(cloud.ledger)
    ledger.record(entry("a", 30, dag_id="orders", dag_run_id="jetway__data__a", latency=1.25))
    ledger.record(
        entry("b", 20, trigger="http", decision="dead-lettered", because="dag-not-found: Airflow has no\nDAG 'x'.")
    )
    ledger.record(entry("c", 90, dag_id="orders", dag_run_id="jetway__data__c"))


def test_the_table_says_what_became_of_each_event_and_why(cloud: Cloud, jetway: Jetway) -> None:
    fill(cloud)
    result = jetway("events")
    a, b = (f"{NOW - timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}" for minutes in (30, 20))
    assert result.stdout == (
        "decided (UTC)        trigger  decision       dag     run id           latency  because\n"
        f"{a}  data     started        orders  jetway__data__a  1.2 s\n"
        f"{b}  http     dead-lettered                                    dag-not-found: Airflow has no DAG 'x'.\n"
    )


def test_one_trigger_and_another_time(cloud: Cloud, jetway: Jetway) -> None:
    fill(cloud)
    lines = jetway("events", "--trigger", "data", "--since", "2h", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["data#c", "data#a"]


def test_no_events_are_said_so(cloud: Cloud, jetway: Jetway) -> None:
    assert cloud.ledger
    result = jetway("events", "--trigger", "x", "--since", "2026-11-22T06:00")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "There are no events of trigger 'x' since 2026-11-22 06:00:00 UTC.\n"


def test_a_time_that_is_none_is_wrong_use(cloud: Cloud, jetway: Jetway) -> None:
    result = jetway("events", "--since", "yesterday")
    assert result.exit_code == 2
    assert "such as 1h or 2d" in result.stderr


def test_follow_tells_each_decision_once_and_a_new_one_anew(cloud: Cloud) -> None:
    ledger = Ledger(cloud.ledger)
    ledger.record(entry("a", 1, decision="waiting"))
    later = [entry("b", 0.1), entry("a", 0)]

    def sleep(_seconds: float) -> None:
        ledger.record(later.pop(0))

    told = islice(news(ledger, None, NOW - timedelta(hours=1), clock=lambda: NOW, sleep=sleep), 3)
    assert [(one.id, one.decision) for one in told] == [
        ("data#a", "waiting"),
        ("data#b", "started"),
        ("data#a", "started"),
    ]


def test_what_became_of_the_run_is_told_where_started_alone_would_say_too_much(cloud: Cloud, jetway: Jetway) -> None:
    ledger = Ledger(cloud.ledger)
    paused, stale = "queued behind a paused DAG", "queued behind a DAG that is not in the environment"
    for name, because, state in (
        ("a", None, "success"),
        ("b", None, "failed"),
        ("c", paused, "queued"),
        ("d", paused, "success"),
        ("e", stale, "queued"),
        ("f", None, "running"),
    ):
        ledger.record(entry(name, 10, dag_run_id=name, because=because, state=state))
    rows = [line.split(maxsplit=5) for line in jetway("events").stdout.splitlines()[1:]]
    assert {row[4]: "".join(row[5:]) for row in rows} == {
        "a": "",
        "b": "the run has failed: see its task logs",
        "c": paused,
        "d": f"was {paused}; the run has succeeded",
        "e": stale,
        "f": "",
    }


@pytest.mark.parametrize("decision", ["held", "waiting"])
def test_what_is_tried_again_is_told_until_when(cloud: Cloud, jetway: Jetway, decision: str) -> None:
    until = datetime(2026, 11, 22, 6, 10, tzinfo=UTC)
    Ledger(cloud.ledger).record(entry("a", 1, decision=decision, because="dag-not-found: No DAG.", until=until))
    assert "dag-not-found: No DAG. Jetway stops trying at 2026-11-22 06:10:00.\n" in jetway("events").stdout


def test_a_trigger_that_never_was_is_questioned(cloud: Cloud, jetway: Jetway) -> None:
    cloud.outputs["DropBucketName"] = BUCKET
    accept(cloud, {"orders": ORDERS})
    fill(cloud)
    result = jetway("events", "--trigger", "order")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Did you mean 'orders'?" in result.stderr
    assert jetway("events", "--trigger", "orders").exit_code == 0  # it has had no event
    ledger = Ledger(cloud.ledger)
    ledger.record(entry("z", 10, trigger="deleted_since"))
    assert jetway("events", "--trigger", "deleted_since").exit_code == 0
