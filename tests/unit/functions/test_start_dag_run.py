"""start_dag_run at its edge: batches of dispatch.fifo in; runs, dead letters, held and freed lanes out."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import boto3
import pytest

from functions.start_dag_run import app
from jetway.aws.visibility import EVERY, SPAN
from jetway.observability import metrics

from .airflow_rest import Airflow
from .edge import Context, Edge, Function
from .sources import chained_event, file_event, records

ALARMS = {"ChainsStopped", "PermissionMissing", "RunsBehindStaleDag"}


@pytest.fixture
def start(edge: Edge) -> Function:
    return edge.deploy(app, "StartDagRun", Transport="rest", MetricsByTrigger="false")


def rows() -> list[dict[str, Any]]:
    items = boto3.resource("dynamodb").Table("LedgerTable").scan()["Items"]
    return [item for item in items if "decision" in item]


def held(edge: Edge) -> dict[str, int]:
    """Seconds that messages were made invisible for, by receipt handle; each batch is held for half a minute first."""
    asked = [each["Entries"] for each in edge.aws.asked("sqs.ChangeMessageVisibilityBatch")]
    given_back = [entries for entries in asked if {entry["VisibilityTimeout"] for entry in entries} != {30}]
    return {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entries in given_back for entry in entries}


def freed(edge: Edge) -> list[str]:
    """Receipt handles of what was deleted before the batch was over."""
    return [entry["ReceiptHandle"] for batch in edge.aws.asked("sqs.DeleteMessageBatch") for entry in batch["Entries"]]


def test_an_event_becomes_one_run_cold_and_warm(
    edge: Edge, airflow: Airflow, start: Function, caplog: pytest.LogCaptureFixture
) -> None:
    assert start.failed(records(file_event("a.csv"), groups="b")) == []
    assert start.metrics() == {"DagRunsStarted": 1.0, "DispatchLatency": pytest.approx(1.0, abs=10)}
    assert {"sqs", "mwaa", "dynamodb", "eventbridge"} <= set(start.clients_made())
    assert start.failed(records(file_event("b.csv"), file_event("a.csv"), groups="bb")) == []
    assert start.clients_made() == [], "a warm start makes no client"
    assert (start.metrics()["DagRunsStarted"], start.metrics()["DagRunsDuplicate"]) == (1.0, 1.0)
    assert len(airflow.runs) == 2
    lines = [vars(line) for line in caplog.records if line.levelname == "INFO"]
    assert [line["msg"] for line in lines] == ["started", "started", "duplicate"]
    assert {("ingest", line["dag_run_id"]) for line in lines} == airflow.runs.keys(), "a line has what the row has"
    assert edge.told() == ["DagRunStarted", "DagRunStarted"]
    assert held(edge) == {}
    assert freed(edge) == [], "Lambda deletes the one lane of a batch"


def test_what_was_counted_is_written_before_the_next_message(edge: Edge, airflow: Airflow, start: Function) -> None:
    """A function that is killed then has lost nothing of the runs that it has started."""
    unwritten: list[dict[str, Any]] = []
    edge.aws.on("mwaa.InvokeRestApi", lambda: unwritten.append(dict(metrics.provider.metric_set)))
    assert start.failed(records(*map(file_event, "abc"), groups="aaa")) == []
    assert unwritten
    assert not any(unwritten)
    assert start.metrics()["DagRunsStarted"] == 3.0


def test_a_transient_error_comes_back_and_holds_its_lane_alone(edge: Edge, airflow: Airflow, start: Function) -> None:
    edge.aws.fails("dynamodb.UpdateItem", times=2)  # a second try's note and the ledger's; the first lane meets them
    event = records(*map(file_event, ("a1", "b1", "a2", "b2")), groups="abab", receives=3)
    assert start.failed(event) == ["m0", "m2"], "what is behind it in its lane keeps its place"
    waits = held(edge)
    assert waits.keys() == {"handle-m0", "handle-m2"}
    assert min(waits.values()) > 0
    assert len(set(waits.values())) == 1
    assert freed(edge) == ["handle-m1", "handle-m3"], "another lane's next batch need not wait for this one"
    assert start.metrics()["EventsHeld"] == 1.0
    assert start.metrics()["DagRunsStarted"] == 2.0
    assert {row["decision"] for row in rows()} == {"held", "started"}
    assert edge.messages("DispatchDeadLetters") == []

    edge.aws.works()
    again = {"Records": [record for record in event["Records"] if record["messageId"] in {"m0", "m2"}]}
    assert start.failed(again) == []
    assert held(edge) == {}
    assert len(airflow.runs) == 4


@pytest.mark.slow
def test_a_lane_that_waits_is_held_for_its_wait_alone_while_another_is_worked_on(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    """Every ten seconds the function holds what it still works on for half a minute, and nothing else."""
    edge.aws.fails("dynamodb.UpdateItem", times=2)
    naps = iter([EVERY + 2])
    edge.aws.on("mwaa.InvokeRestApi", lambda: time.sleep(next(naps, 0)))
    assert start.failed(records(file_event("a"), file_event("b"), groups="ab")) == ["m0"]
    asked = [entry for each in edge.aws.asked("sqs.ChangeMessageVisibilityBatch") for entry in each["Entries"]]
    spans = [[each["VisibilityTimeout"] for each in asked if each["ReceiptHandle"] == f"handle-m{n}"] for n in (0, 1)]
    (first, wait), signs = spans
    assert (first, set(signs)) == (SPAN, {SPAN})
    assert len(signs) > 1
    assert wait < EVERY


def test_a_longer_trouble_holds_a_lane_for_longer(
    edge: Edge, start: Function, caplog: pytest.LogCaptureFixture
) -> None:
    edge.aws.mwaa.status = "UPDATING"
    waits = []
    for receives, tried_for in ((1, timedelta()), (20, timedelta(minutes=5)), (40, timedelta(hours=1))):
        again = records(file_event("a"), groups="a", receives=receives, tried_for=tried_for)
        assert start.failed(again, Context(110)) == ["m0"]
        waits.append(held(edge)["handle-m0"])
    assert waits[0] < 10 < 30 <= waits[1] <= 60 < waits[2] <= 360, "a tenth of the time for which it has been held"
    told = [vars(line) for line in caplog.records if line.getMessage() == "held"]
    assert [(line["lane"], line["next_try_in"]) for line in told] == [("a", wait) for wait in waits]
    (row,) = rows()
    assert row["because"].startswith("environment-unavailable: ")
    assert start.metrics() == {"EventsHeld": 1.0}


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_right_that_is_missing_holds_the_lane_for_a_quarter_of_an_hour_and_is_loud(
    edge: Edge, airflow: Airflow, start: Function, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    edge.aws.mwaa.denies["InvokeRestApi"] = code
    for receives in (1, 2):
        assert start.failed(records(*map(file_event, "ab"), groups="aa", receives=receives)) == ["m0", "m1"]
        assert set(held(edge).values()) == {900}
        assert start.metrics() == {"EventsHeld": 1.0, "PermissionMissing": 1.0}
    (row,) = rows()
    assert row["because"].startswith("permission-missing: ")
    (line, _) = [vars(line) for line in caplog.records if line.levelname == "ERROR"]
    assert (line["msg"], line["action"]) == ("permission missing", "airflow:InvokeRestApi")
    assert edge.told() == ["PermissionMissing"]
    edge.aws.mwaa.denies.clear()
    assert start.failed(records(*map(file_event, "ab"), groups="aa", receives=3)) == []


def test_that_a_lane_cannot_be_held_costs_only_time(edge: Edge, airflow: Airflow, start: Function) -> None:
    edge.aws.fails("dynamodb.UpdateItem")
    edge.aws.fails("sqs.ChangeMessageVisibilityBatch", "AccessDenied")
    assert start.failed(records(file_event("a"), groups="a")) == ["m0"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "unknown-event"),
        ({"trigger": {"name": "orders", "kind": "s3", "dag": "no/dag"}}, "unknown-event"),
        (file_event("a", dag="not a dag"), "invalid-request"),
        (file_event("a", time="2026-11-01T00:00:00Z", max_event_age=60), "event-too-old"),
    ],
)
def test_a_permanent_error_is_a_dead_letter_and_no_failure(
    edge: Edge, airflow: Airflow, start: Function, body: object, reason: str
) -> None:
    assert start.failed(records(body, file_event("good"), groups="aa")) == []
    (letter,) = edge.messages("DispatchDeadLetters")
    assert json.loads(letter["Body"])["reason"] == reason
    assert start.metrics()["EventsDeadLettered"] == 1.0
    assert start.metrics()["DagRunsStarted"] == 1.0, "what is behind it goes on"
    assert edge.told() == ["EventDeadLettered", "DagRunStarted"]
    assert held(edge) == {}


def test_a_chain_that_is_too_long_is_a_dead_letter_and_counted(edge: Edge, airflow: Airflow, start: Function) -> None:
    assert start.failed(records(chained_event(99), chained_event(1), groups="aa")) == []
    (letter,) = edge.messages("DispatchDeadLetters")
    assert json.loads(letter["Body"])["reason"] == "loop"
    assert (start.metrics()["ChainsStopped"], start.metrics()["DagRunsStarted"]) == (1.0, 1.0)


def test_what_concerns_one_dag_alone_waits_aside_and_holds_nobody(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    airflow.unknown = {"to_come"}
    assert start.failed(records(file_event("a", dag="to_come"), file_event("b"), groups="aa")) == []
    assert start.metrics()["EventsWaiting"] == 1.0
    assert len(airflow.runs) == 1
    (sent,) = edge.aws.asked("sqs.SendMessage")
    assert sent["QueueUrl"] == edge.url("WaitingQueue")
    assert sent["MessageAttributes"]["lane"]["StringValue"] == "a"


def test_with_little_time_left_nothing_is_begun_and_all_comes_back_at_once(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    assert start.failed(records(file_event("a"), file_event("b"), groups="aa"), Context(109)) == ["m0", "m1"]
    assert airflow.runs == {}
    assert set(held(edge).values()) == {0}
    assert start.metrics() == {}, "no trouble is counted: there was none"


def test_when_time_runs_out_within_a_batch_the_rest_comes_back(edge: Edge, airflow: Airflow, start: Function) -> None:
    context = Context(200)
    edge.aws.on("mwaa.InvokeRestApi", lambda: context.passes(60))  # the start of the run, and the DAG's state
    assert start.failed(records(*map(file_event, "abc"), groups="aaa"), context) == ["m1", "m2"]
    assert len(airflow.runs) == 1
    assert held(edge) == {"handle-m1": 0, "handle-m2": 0}


def test_an_unforeseen_error_comes_back_and_at_last_is_a_dead_letter(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    airflow.unknown = {"ingest"}
    edge.aws.fails("sqs.SendMessage", "AccessDenied", times=1)  # to the waiting queue: nobody foresees that
    event = records(file_event("a"), groups="a")
    assert start.failed(event) == ["m0"]
    assert held(edge)["handle-m0"] > 0
    edge.aws.works()
    edge.aws.fails("sqs.SendMessage", "AccessDenied", times=1)
    start.cold()
    assert start.failed(records(file_event("a"), groups="a", receives=5)) == []
    (letter,) = edge.messages("DispatchDeadLetters")
    assert json.loads(letter["Body"])["reason"] == "unforeseen"


def test_the_alarm_on_runs_behind_a_stale_dag_has_its_metric(edge: Edge, airflow: Airflow, start: Function) -> None:
    airflow.stale_later = {"ingest"}
    start(records(file_event("a"), groups="a"))
    assert start.metrics()["RunsBehindStaleDag"] == 1.0
    airflow.stale_later = set()
    start.cold()
    start(records(file_event("b"), groups="a"))
    assert "RunsBehindStaleDag" not in start.metrics()


def test_a_run_behind_a_paused_dag_is_counted_and_told_as_such(edge: Edge, airflow: Airflow, start: Function) -> None:
    airflow.paused = {"asleep"}
    start(records(file_event("a"), file_event("b", dag="asleep"), groups="aa"))
    assert start.metrics()["RunsBehindPausedDag"] == 1.0
    details = [json.loads(put["Entries"][0]["Detail"]) for put in edge.aws.asked("eventbridge.PutEvents")]
    assert [(detail["dag_id"], detail["paused"]) for detail in details] == [("ingest", False), ("asleep", True)]
    assert [detail["dag_run_id"] for detail in details] == [run_id for _, run_id in airflow.runs]
    assert [run["conf"]["key"] for run in airflow.runs.values()] == ["a", "b"]


def test_a_trigger_has_metrics_of_its_own_beside_those_of_the_environment(edge: Edge, airflow: Airflow) -> None:
    start = edge.deploy(app, "StartDagRun", Transport="rest", MetricsByTrigger="true")
    for _ in range(2):  # cold, and warm
        start(records(file_event(f"a{_}"), "no JSON", groups="aa"))
        assert start.metrics(Trigger="orders")["DagRunsStarted"] == 1.0
        assert (start.metrics()["DagRunsStarted"], start.metrics()["EventsDeadLettered"]) == (1.0, 1.0)


def test_a_wrong_setting_is_an_error_of_the_function(edge: Edge) -> None:
    start = edge.deploy(app, "StartDagRun", Transport="telnet")
    with pytest.raises(ValueError, match="TRANSPORT is 'telnet'"):
        start(records(file_event("a"), groups="a"))


class KilledError(BaseException):
    """The process is gone."""


def test_a_message_that_ends_the_function_holds_its_lane_for_half_a_minute_and_three_times(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    def die() -> None:
        asked = edge.aws.asked("mwaa.InvokeRestApi")[-1]
        if asked["Method"] == "POST" and asked["Path"].startswith("/dags/killer/"):
            raise KilledError

    edge.aws.on("mwaa.InvokeRestApi", die)
    batch = (file_event("before"), file_event("it", dag="killer"), file_event("behind"))
    for receives in (1, 2, 3):
        edge.aws.calls.clear()
        with pytest.raises(KilledError):
            start(records(*batch, groups="aaa", receives=receives))
        name, asked = edge.aws.calls[0]
        assert name == "sqs.ChangeMessageVisibilityBatch", "before anything can go wrong"
        assert [entry["VisibilityTimeout"] for entry in asked["Entries"]] == [30, 30, 30]
        assert len(edge.aws.asked("sqs.ChangeMessageVisibilityBatch")) == 1, "nothing is given back by the dead"
        start.cold()
    assert start.failed(records(*batch, groups="aaa", receives=4)) == []
    assert {dag_id for dag_id, _ in airflow.runs} == {"ingest"}
    assert len(airflow.runs) == 2, "who waits behind it goes on"
    decisions = {row["dag_id"]: row["decision"] for row in rows()}
    assert decisions == {"ingest": "started", "killer": "waiting"}, "aside, while Airflow may still be at it"


def test_a_message_that_is_killed_before_it_asks_for_a_run_is_a_dead_letter_at_once(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    def die() -> None:
        raise KilledError

    edge.aws.on("dynamodb.UpdateItem", die)
    event = records(file_event("a"), groups="a")
    with pytest.raises(KilledError):
        start(event)
    deaths = iter(range(2))

    def die_after_the_mark() -> None:
        asked = edge.aws.asked("dynamodb.UpdateItem")[-1]
        if not str(asked["Key"]["id"]).count("crash#") and next(deaths, None) is not None:
            raise KilledError

    edge.aws.on("dynamodb.UpdateItem", die_after_the_mark)
    for receives in (2, 3):
        with pytest.raises(KilledError):
            start(records(file_event("a"), groups="a", receives=receives))
    assert start.failed(records(file_event("a"), groups="a", receives=4)) == []
    (letter,) = edge.messages("DispatchDeadLetters")
    assert json.loads(letter["Body"])["reason"] == "crashed"
    assert start.metrics()["EventsDeadLettered"] == 1.0
    assert airflow.runs == {}


def of_lanes(*lanes: str) -> dict[str, Any]:
    """A batch with two files of each lane, in turn."""
    names = [(lane, number) for number in (1, 2) for lane in lanes]
    event = records(*(file_event(f"{lane}-{number}", trigger=lane.rpartition("/")[2]) for lane, number in names))
    for record, (lane, _number) in zip(event["Records"], names, strict=True):
        record["attributes"]["MessageGroupId"] = lane
    return event


def test_files_of_many_triggers_and_of_the_lane_that_was_start_in_the_order_of_their_triggers(
    edge: Edge, airflow: Airflow
) -> None:
    start = edge.deploy(app, "StartDagRun", MetricsByTrigger="false")  # auto
    assert start.failed(of_lanes("bulk/orders", "bulk/invoices", "bulk")) == []
    posts = [each["Body"]["conf"]["key"] for each in edge.aws.asked("mwaa.InvokeRestApi") if each["Method"] == "POST"]
    assert len(posts) == len(airflow.runs) == 6
    for lane in ("bulk/orders", "bulk/invoices", "bulk"):
        assert [key for key in posts if key.startswith(f"{lane}-")] == [f"{lane}-1", f"{lane}-2"]


def test_calls_come_before_files_and_all_spend_the_budget(edge: Edge) -> None:
    """Which share a file's call spends hangs on the clock: a share that is idle lends its turns (test_budget)."""
    start = edge.deploy(app, "StartDagRun", MetricsByTrigger="false")
    event = of_lanes("bulk/orders", "interactive")
    assert start.failed(event) == []
    keys = [each["Key"]["id"]["S"] for each in edge.aws.asked("dynamodb.UpdateItem") if "S" in str(each["Key"]["id"])]
    spent = [key for key in keys if key.startswith("budget/")]
    assert len(spent) >= len(event["Records"])
    assert set(spent) <= {"budget/interactive", "budget/bulk"}
    assert spent[0] == "budget/interactive", "people first"


def test_a_call_that_is_throttled_is_counted(edge: Edge, airflow: Airflow, start: Function) -> None:
    airflow.status = 429
    assert start.failed(records(file_event("a"), groups="a")) == ["m0"]
    assert start.metrics()["RestCallsThrottled"] >= 1.0, "what `jetway doctor` looks at"
    assert airflow.runs == {}


def test_trouble_of_the_environment_is_met_once_in_a_batch_and_holds_all_its_lanes(
    edge: Edge, airflow: Airflow, start: Function
) -> None:
    edge.aws.mwaa.status, airflow.status = "UPDATING", 503
    event = of_lanes("bulk/orders", "bulk/invoices", "bulk/data")
    described = edge.aws.mwaa.described
    assert sorted(start.failed(event)) == [f"m{number}" for number in range(6)]
    assert edge.aws.mwaa.described - described <= 2, "not once for each lane"
    assert airflow.runs == {}
    assert len(held(edge)) == 6
    assert {row["decision"] for row in rows()} == {"held"}
    assert len(rows()) == 3, "the first event of each lane says why"
