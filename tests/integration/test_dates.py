"""Logical dates in real Airflow: `{{ ds }}` works, a thousand files of one second have a thousand dates, and a schedule
has those of Airflow's own timetables, daylight saving included."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jetway.airflow import DagRunRequest
from jetway.dispatch.dates import DateRule, dated
from jetway.dispatch.run import bulk_lane
from jetway.events.incoming import parse_event
from jetway.triggers.file import parse
from jetway.triggers.resources import message_template
from tests.integration.test_triggers import put
from tools import venvs
from tools.emulator import airflow
from tools.stack.calls import airflow_api, call_api, put_live, wait_for
from tools.stack.stack import Stack

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
LONGEST = 180.0
MONDAY = "2026-11-23T05:00:00Z"  # in the past: tasks of a run that is dated ahead wait for their day
COPIES = 3

# As Airflow writes them, and as EventBridge Scheduler does.
CRONS = {
    "30 2 * * *": "30 2 * * ? *",
    "0 2 * * *": "0 2 * * ? *",
    "0 6 * * MON-FRI": "0 6 ? * MON-FRI *",
    "0 * * * *": "0 * * * ? *",
    "*/20 * * * *": "*/20 * * * ? *",
    "0 */2 * * *": "0 */2 * * ? *",
    "15 1,2,3 * * SUN": "15 1,2,3 ? * SUN *",
    "30 2 L * *": "30 2 L * ? *",
}
CLOCK_CHANGES = [
    ("2026-03-26T00:00:00+00:00", "2026-04-02T00:00:00+00:00"),
    ("2026-10-22T00:00:00+00:00", "2026-11-02T00:00:00+00:00"),
]

# A program for Airflow's environment. Of each cron of five fields with its time zone and span it prints when the
# scheduler plans its runs, with date and interval of CronDataIntervalTimetable and of CronTriggerTimetable.
TIMETABLES = """
import json
import sys
from datetime import datetime

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable


def shown(info):
    return [moment.in_timezone("UTC").isoformat() for moment in (info.logical_date, *info.data_interval)]


def runs(timetable, since, until):
    last = DataInterval.exact(since)
    restriction = TimeRestriction(earliest=since, latest=None, catchup=True)
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info.run_after >= until:
            return
        yield info.run_after.in_timezone("UTC").isoformat(), shown(info)
        last = info.data_interval


def main():
    found = []
    for cron, zone, first, last in json.load(sys.stdin):
        since, until = (pendulum.instance(datetime.fromisoformat(text)) for text in (first, last))
        by_interval = dict(runs(CronDataIntervalTimetable(cron, zone), since, until))
        by_trigger = dict(runs(CronTriggerTimetable(cron, timezone=zone), since, until))
        found.append([[at, by_interval[at], by_trigger.get(at)] for at in sorted(by_interval)])
    json.dump(found, sys.stdout)


main()
"""

QUEUED = """
from datetime import datetime
from airflow import DAG
try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

with DAG("dated", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=True):
    EmptyOperator(task_id="nothing")
"""


# Airflow's own timetables


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_a_schedule_has_the_dates_of_airflows_own_timetables(zone: str) -> None:
    asked = [[cron, zone, *span] for cron in CRONS for span in CLOCK_CHANGES]
    python = venvs.ensure(f"airflow-{VERSION}")
    done = subprocess.run(
        [python, "-c", TIMETABLES], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    compared = 0
    for (cron, *_), runs in zip(asked, found, strict=True):
        for planned, by_interval, by_trigger in runs:
            assert dates_of(CRONS[cron], zone, planned, major=2) == by_interval, f"{cron} {planned}"
            assert by_trigger is None or dates_of(CRONS[cron], zone, planned, major=3) == by_trigger
            compared += by_trigger is not None
    assert compared > 1000


def dates_of(cron: str, zone: str, planned: str, *, major: int) -> list[str]:
    """Return logical date and interval that Jetway gives a firing."""
    event = parse_event("schedule", {"schedule-arn": "a/b", "scheduled-time": planned}, sent_at=datetime.now(UTC))
    rule = DateRule(schedule=f"cron({cron})", timezone=zone)
    request = dated(DagRunRequest("d", "r"), rule, event, {}, major=lambda: major)
    assert request.logical_date is not None
    assert request.data_interval is not None
    return [moment.astimezone(UTC).isoformat() for moment in (request.logical_date, *request.data_interval)]


# Runs


@pytest.fixture(scope="module")
def exports(stack: Stack) -> Iterator[Stack]:
    put_live(stack, venvs.ROOT / "dags" / "daily_export.py", "daily_export")
    folder = Path(stack.state)
    (folder / "dated.py").write_text(QUEUED)
    put_live(stack, folder / "dated.py", "dated")
    yield stack
    for name in ("export_by_schedule", "export_by_event", "export_planned"):
        stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{name}.yaml")


def is_3(stack: Stack) -> bool:
    return stack.airflow_version.startswith("3")


def send(stack: Stack, body: str, *, group: str = "interactive", id_: str) -> None:
    url = stack.outputs["DispatchQueueUrl"]
    stack.client("sqs").send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=id_)


def fire(stack: Stack, name: str, planned: str) -> None:
    """Send what Scheduler sends at a firing: the schedule's own input, with its context filled in; as a redrive does,
    for the firing is too old."""
    group = stack.outputs["ScheduleGroupName"]
    found = stack.client("scheduler").get_schedule(GroupName=group, Name=f"jetway.{name}")
    body = found["Target"]["Input"].replace("<aws.scheduler.schedule-arn>", found["Arn"])
    message = json.loads(body.replace("<aws.scheduler.scheduled-time>", planned))
    now = datetime.now(UTC).isoformat()
    send(stack, json.dumps({**message, "redriven_at": now}), id_=f"{name}-{planned}-{now}")


def runs_of(stack: Stack, dag_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = airflow_api(stack, "GET", f"/dags/{dag_id}/dagRuns", QueryParameters={"limit": 100, **query})
    return list((answer or {}).get("dag_runs", []))


def ended(stack: Stack, trigger: str) -> dict[str, Any]:
    """Wait for the one run of a trigger to end, and return it."""

    def look() -> dict[str, Any] | None:
        found = [run for run in runs_of(stack, "daily_export", order_by="-id") if f"__{trigger}__" in run["dag_run_id"]]
        return found[0] if found and found[0]["state"] in {"success", "failed"} else None

    return wait_for(f"the end of the run of {trigger}", look, seconds=LONGEST)


def seconds(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(microsecond=0)


def interval_of(run: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(run["data_interval_start"]), datetime.fromisoformat(run["data_interval_end"])


def test_an_export_by_schedule_knows_its_day(exports: Stack, transport: str) -> None:
    """The case of a cron that becomes a schedule: the day is what Airflow's own cron would give."""
    text = "dag: daily_export\non:\n  schedule: {cron: '0 6 ? * MON-FRI *', timezone: Europe/Vienna}\n"
    assert put(exports, "export_by_schedule", text)["verdict"] == "accepted"
    fire(exports, "export_by_schedule", MONDAY)
    run = ended(exports, "export_by_schedule")
    assert run["state"] == "success"
    planned = datetime.fromisoformat(MONDAY)
    expected = planned if is_3(exports) else planned - timedelta(days=3)
    assert datetime.fromisoformat(run["logical_date"]) == expected
    if transport == "rest":
        assert interval_of(run) == (expected, planned)


def test_an_event_says_which_day_and_interval(exports: Stack, transport: str) -> None:
    text = (
        "dag: daily_export\non:\n  event: {source: [acme.billing], detail-type: [MonthClosed]}\n"
        'logical_date: "{{ detail.closed_at }}"\n'
    )
    interval = 'data_interval: {start: "{{ detail.from }}", end: "{{ detail.to }}"}\n'
    if transport == "cli":
        report = put(exports, "export_by_event", text + interval)
        assert (report["verdict"], report["findings"][0]["rule"]) == ("rejected", "interval-needs-rest")
        interval = ""
    assert put(exports, "export_by_event", text + interval)["verdict"] == "accepted"
    detail = {"closed_at": "2026-10-31T22:30:00+01:00", "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}
    entry = {"Source": "acme.billing", "DetailType": "MonthClosed", "Detail": json.dumps(detail)}
    exports.client("events").put_events(Entries=[entry])
    run = ended(exports, "export_by_event")
    assert (run["state"], seconds(run["logical_date"])) == ("success", datetime(2026, 10, 31, 21, 30, tzinfo=UTC))
    if transport == "rest":
        assert interval_of(run) == (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


def test_a_call_has_the_day_that_it_asks_for_and_a_second_one_of_that_date_is_told(exports: Stack) -> None:
    path = "/dags/dated/dagRuns"
    body = {"logical_date": "2026-11-20T00:00:00+00:00"}
    for number, decision in enumerate(("started", "dead-lettered")):
        answer = call_api(exports, "POST", path, body=body, headers={"Idempotency-Key": f"date-{number}"})
        assert answer.status_code in {200, 202}, answer.text
        run_id = answer.json()["dag_run_id"]

        def look(run_id: str = run_id) -> dict[str, Any] | None:
            events = call_api(exports, "GET", "/events?limit=50").json()["events"]
            found: list[dict[str, Any]] = [event for event in events if event["dag_run_id"] == run_id]
            return found[0] if found and found[0]["decision"] in {"started", "dead-lettered"} else None

        event = wait_for("the outcome", look, seconds=LONGEST)
        assert event["decision"] == decision
    assert event["because"].startswith("logical-date-taken: DAG 'dated' has another run with the logical date")


def test_a_call_that_says_nothing_has_the_moment_of_the_call(exports: Stack) -> None:
    before = datetime.now(UTC)
    run_id = call_api(exports, "POST", "/dags/dated/dagRuns", body={}).json()["dag_run_id"]

    def look() -> dict[str, Any] | None:
        return airflow_api(exports, "GET", f"/dags/dated/dagRuns/{run_id}")

    run = wait_for("the run", look, seconds=LONGEST)
    assert (
        before - timedelta(seconds=2)
        < datetime.fromisoformat(run["logical_date"])
        < datetime.now(UTC) + timedelta(seconds=2)
    )


@pytest.mark.parametrize("files", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_files_of_one_second_delivered_three_times_are_as_many_runs_with_as_many_dates(
    exports: Stack, files: int
) -> None:
    second = f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}"
    trigger = parse(b"dag: dated\non: {s3: {bucket: acme-landing}}\n", f"triggers/burst{files}.yaml").trigger
    assert trigger is not None
    bodies = []
    for number in range(files):
        obj = {"key": f"{number}.csv", "size": 1, "etag": "e", "version-id": f"{second}-{number}"}
        event = {"id": f"{number}", "time": f"{second}Z", "detail": {"bucket": {"name": "acme-landing"}, "object": obj}}
        bodies.append(message_template(trigger, json.dumps(event)))
    sqs, url = exports.client("sqs"), exports.outputs["DispatchQueueUrl"]
    for copy in range(COPIES):
        for start in range(0, files, 10):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": bodies[number],
                    "MessageGroupId": bulk_lane(trigger.name),
                    "MessageDeduplicationId": f"{second}-{copy}-{number}",
                }
                for number in range(start, min(start + 10, files))
            ]
            sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def is_empty() -> bool | None:
        named = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        there = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=named)["Attributes"]
        return not any(int(there[name]) for name in named) or None

    wait_for("the end of the queue", is_empty, seconds=60 + 4 * files, pause=2.0)
    found: list[dict[str, Any]] = []
    while True:
        page = runs_of(exports, "dated", offset=len(found), order_by="id")
        found += page
        if not page:
            break
    of_trigger = [run for run in found if f"__{trigger.name}__" in run["dag_run_id"]]
    ours = [run for run in of_trigger if run["logical_date"].startswith(second)]
    assert len({run["dag_run_id"] for run in ours}) == len(ours) == files
    assert len({run["logical_date"] for run in ours}) == files
