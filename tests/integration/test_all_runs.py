"""Runs that Jetway has not started, on real Airflow: a failure on a DAG's own schedule is told and alarmed once, its
end starts a chain once, and a DAG that does not run in time is missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from jetway.dispatch.run_events import end_id
from tests.integration.conftest import Listener
from tests.integration.test_promotion import physical_name
from tests.integration.test_triggers import put
from tools.stack.calls import TooLateError, let_send, put_live, read_report, wait_for
from tools.stack.stack import Stack

LONGEST = 180.0
ALARMED_WITHIN = timedelta(minutes=2)

# With "@once" Airflow's own scheduler starts one run of it, as soon as it is loaded.
FAILS = """
from datetime import datetime, timedelta, timezone
from airflow import DAG
try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

with DAG(
    "{dag_id}",
    schedule={schedule!r},
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    is_paused_upon_creation=False,
):
    BashOperator(task_id="fails", bash_command="exit 1", retries=0)
"""


@contextmanager
def looking(stack: Stack) -> Iterator[None]:
    """Let follow_runs look every few seconds, and not once a minute alone."""
    client, name, over = stack.client("lambda", read_timeout=120), physical_name(stack, "FollowRuns"), Event()

    def look() -> None:
        while not over.wait(4.0):
            client.invoke(FunctionName=name, Payload=b"{}")

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def often(stack: Stack) -> Iterator[None]:
    with looking(stack):
        yield


@pytest.fixture(scope="module")
def mails(stack: Stack) -> Iterator[Any]:
    """Waits for mails to the subscribers of the alarms."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    url = sqs.create_queue(QueueName="mails")["QueueUrl"]
    arn = let_send(sqs, url, "sns")
    made = sns.subscribe(TopicArn=stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
    heard: list[dict[str, Any]] = []

    def about(subject: str, *, at_least: int = 1, seconds: float = LONGEST) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                heard.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found = [each for each in heard if subject in each.get("Subject", "")]
            return found if len(found) >= at_least else None

        return wait_for(f"a mail on {subject}", look, seconds=seconds, pause=1.0)

    yield about
    sns.unsubscribe(SubscriptionArn=made["SubscriptionArn"])


def dag_live(stack: Stack, folder: Path, dag_id: str, *, schedule: str | None = "@once") -> None:
    file = folder / f"{dag_id}.py"
    file.write_text(FAILS.format(dag_id=dag_id, schedule=schedule))
    put_live(stack, file, dag_id)


def put_alarms(stack: Stack, text: str) -> dict[str, Any]:
    """Drop alarms.yaml, and return its report."""
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    version = s3.put_object(Bucket=bucket, Key="alarms.yaml", Body=text.encode())["VersionId"]

    def look() -> dict[str, Any] | None:
        report = read_report(stack, "alarms.yaml")
        return report if report and report["source"]["version"] == version else None

    return wait_for("the report on alarms.yaml", look, seconds=LONGEST)


def test_a_failure_on_a_dags_own_schedule_is_told_and_alarmed_once_and_starts_a_chain_once(
    stack: Stack, dag: str, listener: Listener, mails: Any, tmp_path: Path
) -> None:
    text = (
        f"dag: {dag}\non:\n  event:\n    source: [jetway]\n    detail-type: [DagRunFailed]\n"
        "    detail: {dag_id: [foreign_fails]}\n"
    )
    assert put(stack, "after_a_failure", text)["verdict"] == "accepted"
    dag_live(stack, tmp_path, "foreign_fails")
    told = listener.wait_for("DagRunFailed", dag_id="foreign_fails")
    detail = told["detail"]
    assert detail["id"] == end_id("foreign_fails", detail["dag_run_id"], "failed")
    assert (detail["trigger"], detail["run_type"]) == (None, "scheduled")
    assert "/dags/foreign_fails/" in detail["url"]
    (mail,) = mails("dag-failed: foreign_fails")
    assert f"Run: {detail['dag_run_id']}" in mail["Message"]
    assert detail["url"] in mail["Message"]
    ended = datetime.fromisoformat(detail["end_date"])
    assert datetime.fromisoformat(mail["Timestamp"]) - ended < ALARMED_WITHIN
    started = listener.wait_for("DagRunStarted", trigger="after_a_failure")
    listener.wait_for("DagRunSucceeded", dag_run_id=started["detail"]["dag_run_id"])  # two looks later at the least
    assert len(mails("dag-failed: foreign_fails")) == 1
    starts = [each for each in listener.heard if each["detail"].get("trigger") == "after_a_failure"]
    assert len({each["detail"]["dag_run_id"] for each in starts}) == 1
    ends = [each for each in listener.heard if each["detail"].get("dag_run_id") == detail["dag_run_id"]]
    assert [each["detail-type"] for each in ends] == ["DagRunFailed"]


@pytest.mark.slow  # a deadline is a whole minute
def test_alarms_yaml_says_whose_a_dag_is_which_is_no_alarm_and_by_when_one_is_to_have_run(
    stack: Stack, listener: Listener, mails: Any, tmp_path: Path
) -> None:
    dag_live(stack, tmp_path, "foreign_idle", schedule=None)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    text = (
        "dags:\n  foreign_silent: {alarm: false}\n"
        f'  foreign_idle: {{owners: [ann], expect: {{by: "{soon:%H:%M}"}}}}\n'
        "  foreign_idel: {alarm: false}\n"
    )
    report = put_alarms(stack, text)
    assert report["verdict"] == "accepted"
    found = {finding["line"]: finding for finding in report["findings"]}
    assert found[4]["rule"] == "dag-not-there"
    assert "Did you mean 'foreign_idle'?" in found[4]["message"]
    dag_live(stack, tmp_path, "foreign_silent")
    listener.wait_for("DagRunFailed", dag_id="foreign_silent")
    missing = listener.wait_for("DagRunMissing", dag_id="foreign_idle")["detail"]
    assert (missing["owners"], missing["last_run_id"]) == (["ann"], None)
    (mail,) = mails("dag-missing: foreign_idle")
    assert "Owners: ann" in mail["Message"]
    dag_live(stack, tmp_path, "foreign_loud")
    mails("dag-failed: foreign_loud")  # later than the silent one, which would have been heard by now
    with pytest.raises(TooLateError):
        mails("foreign_silent", seconds=2)
