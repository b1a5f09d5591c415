"""`jetway` on triggers of the local stack: what is in force, what an event would start, and what never arrived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jetway.ledger import Entry, Ledger
from tests.integration.conftest import LONGEST, drop
from tests.integration.test_cli import jetway, wait_until_dispatched
from tools import venvs
from tools.stack.calls import let_send, list_runs, wait_for
from tools.stack.stack import Stack

BUCKET, NAME = "acme-told", "told"
RULE = f"jetway.{NAME}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trigger files."""
    return tmp_path_factory.mktemp("triggers")


@pytest.fixture(scope="module")
def heard(stack: Stack, dag: str, folder: Path) -> Iterator[str]:
    """URL of a queue that gets the events of a trigger's bucket as EventBridge has them."""
    s3, events, sqs = stack.client("s3"), stack.client("events"), stack.client("sqs")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    url: str = sqs.create_queue(QueueName=BUCKET)["QueueUrl"]
    arn = let_send(sqs, url, "events")
    events.put_rule(Name=BUCKET, EventPattern=json.dumps({"detail": {"bucket": {"name": [BUCKET]}}}))
    events.put_targets(Rule=BUCKET, Targets=[{"Id": "queue", "Arn": arn}])
    text = f"dag: {dag}\non: {{s3: {{bucket: {BUCKET}, key: {{suffix: .csv}}}}}}\nconf: {{told: '{{{{ key }}}}'}}\n"
    (folder / f"{NAME}.yaml").write_text(text)
    drop(stack, f"triggers/{NAME}.yaml", text.encode())
    drop(stack, "triggers/daily_told.yaml", f"dag: {dag}\non: {{schedule: {{rate: 1d}}}}\n".encode())
    wait_for("the rule", lambda: state_of(stack) == "on" or None, seconds=LONGEST)
    yield url
    events.remove_targets(Rule=BUCKET, Ids=["queue"])
    events.delete_rule(Name=BUCKET)
    for name in (NAME, "daily_told"):
        s3.delete_object(Bucket=stack.outputs["DropBucketName"], Key=f"triggers/{name}.yaml")
    wait_for("the end of the trigger", lambda: state_of(stack) is None or None, seconds=LONGEST)


def state_of(stack: Stack, name: str = NAME) -> str | None:
    shown = json.loads(jetway(stack, "triggers", "--json"))
    return next((one["state"] for one in shown if one["trigger"] == name), None)


def put(stack: Stack, heard: str, key: str) -> dict[str, Any]:
    """Put a file and return its event."""
    sqs = stack.client("sqs")
    stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"12345")

    def look() -> dict[str, Any] | None:
        for message in sqs.receive_message(QueueUrl=heard, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=heard, ReceiptHandle=message["ReceiptHandle"])
            event: dict[str, Any] = json.loads(message["Body"])
            if event["detail"]["object"]["key"] == key:
                return event
        return None

    return wait_for(f"the event of {key}", look, seconds=LONGEST)


def row_of(ledger: Ledger, key: str, decision: str = "started") -> Entry:
    def look() -> Entry | None:
        rows = ledger.newest(trigger=NAME, limit=100)
        return next((row for row in rows if key in row.identity and row.decision == decision), None)

    return wait_for(f"{key} {decision}", look, seconds=LONGEST)


def test_an_offline_dry_run_says_what_the_stack_then_does(
    stack: Stack, dag: str, heard: str, folder: Path, ledger: Ledger, tmp_path: Path
) -> None:
    key = 'in/ü + "q" <b>.csv'
    file = tmp_path / "event.json"
    file.write_text(json.dumps(put(stack, heard, key)))
    (said,) = json.loads(jetway(stack, "dry-run", "--triggers", str(folder), str(file), "--json"))
    row = row_of(ledger, key)
    assert (said["outcome"], said["dag_id"], said["dag_run_id"]) == ("starts", row.dag_id, row.dag_run_id)
    assert list_runs(stack, dag)[said["dag_run_id"]]["conf"] == said["conf"] == {"told": key}
    file.write_text(json.dumps(put(stack, heard, "in/a.txt")))
    assert "no match" in jetway(stack, "dry-run", "--triggers", str(folder), str(file), exit_code=1)


def test_triggers_are_shown_with_state_and_last_event(stack: Stack, heard: str, ledger: Ledger) -> None:
    put(stack, heard, "shown.csv")
    row = row_of(ledger, "shown.csv")
    (shown,) = [each for each in json.loads(jetway(stack, "triggers", "--json")) if each["trigger"] == NAME]
    assert (shown["kind"], shown["dag_id"], shown["state"]) == ("s3", row.dag_id, "on")
    assert (datetime.fromisoformat(shown["last_event"]), shown["last_decision"]) == (row.decided_at, "started")
    events = stack.client("events")
    events.disable_rule(Name=RULE)
    assert state_of(stack) == "drifted"
    events.enable_rule(Name=RULE)
    assert state_of(stack) == "on"
    assert state_of(stack, "daily_told") == "on"


def test_events_are_followed_as_they_are_decided_until_interrupted(stack: Stack, heard: str) -> None:
    command: list[str | Path] = [
        venvs.DEV / "bin" / "jetway",
        "events",
        "--trigger",
        NAME,
        "--since",
        "1s",
        "--follow",
        "--json",
    ]
    with subprocess.Popen(command, env=os.environ | dict(stack.env), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            put(stack, heard, "followed.csv")
            row = next(row for line in process.stdout if "followed.csv" in (row := json.loads(line))["identity"])
            assert row["trigger"] == NAME
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130


def test_events_that_were_never_delivered_are_redriven_and_those_that_ran_start_nothing(
    stack: Stack, dag: str, heard: str, ledger: Ledger
) -> None:
    ran = put(stack, heard, "ran.csv")
    first = row_of(ledger, "ran.csv")
    events, sqs = stack.client("events"), stack.client("sqs")
    events.disable_rule(Name=RULE)  # what is put now reaches Jetway by no other way
    missed = put(stack, heard, "missed.csv")
    events.enable_rule(Name=RULE)
    arn = events.describe_rule(Name=RULE)["Arn"]
    told = {"RULE_ARN": arn, "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not allowed"}
    for event in (ran, missed):
        # As EventBridge does; MiniStack has no dead letters of rules.
        sqs.send_message(
            QueueUrl=stack.outputs["UndeliveredEventsUrl"],
            MessageBody=json.dumps(event),
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in told.items()},
        )
    chosen = ("redrive", "--trigger", NAME, "--json")
    for more in (("--dry-run",), ()):
        done = json.loads(jetway(stack, *chosen, *more))
        # One event has had its run by another way: its letter is taken away and starts nothing.
        for letters in (done["sent"], done["over"]):
            assert [(one["trigger"], one["reason"], one["dag_id"]) for one in letters] == [(NAME, "undelivered", dag)]
    again = json.loads(jetway(stack, *chosen))
    assert (again["sent"], again["over"]) == ([], [])
    second = row_of(ledger, "missed.csv")
    wait_until_dispatched(stack)
    row = row_of(ledger, "ran.csv")
    assert (row.dag_run_id, row.deliveries) == (first.dag_run_id, 1)
    confs = [run["conf"].get("told") for run in list_runs(stack, dag).values()]
    assert (confs.count("ran.csv"), confs.count("missed.csv")) == (1, 1)
    assert second.dag_run_id in list_runs(stack, dag)
