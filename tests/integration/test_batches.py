"""Many events, few runs: every event of a trigger with `batch` is in exactly one run's manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import drop
from tools import venvs
from tools.stack.calls import airflow_api, let_send, list_runs, wait_for
from tools.stack.stack import Stack

DAG_ID = "batch_manifest"
BUCKET = "jetway-test-landing"
LONGEST = 60.0
DELIVERIES = 3
EVENTS = 100
MAX_EVENTS = 40


@pytest.fixture
def batch_dag(stack: Stack) -> str:
    file = venvs.ROOT / "dags" / f"{DAG_ID}.py"
    drop(stack, f"dags/{file.name}", file.read_bytes())
    wait_for("the DAG in Airflow", lambda: airflow_api(stack, "GET", f"/dags/{DAG_ID}"), seconds=90)
    return DAG_ID


@pytest.fixture
def landing(stack: Stack, batch_dag: str) -> Iterator[str]:
    """A bucket whose every new object is told to the collect queue three times, by three rules of one trigger."""
    s3, events = stack.client("s3"), stack.client("events")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    queue = let_send(stack.client("sqs"), stack.outputs["CollectQueueUrl"], "events")
    trigger = {"name": "landed", "kind": "s3", "dag": batch_dag, "batch": {"max_events": MAX_EVENTS, "within": 5}}
    template = f'{{"trigger": {json.dumps(trigger)}, "event": <aws.events.event.json>}}'
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [BUCKET]}}}
    names = [f"jetway-landed-{number}" for number in range(DELIVERIES)]
    for name in names:
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        target = {"Id": "collect", "Arn": queue, "InputTransformer": {"InputTemplate": template}}
        events.put_targets(Rule=name, Targets=[target])
    yield BUCKET
    for name in names:
        events.remove_targets(Rule=name, Ids=["collect"])
        events.delete_rule(Name=name)


@pytest.mark.slow  # test_rest_transport.py has one in bad weather
def test_events_delivered_three_times_are_in_exactly_one_batch_each(stack: Stack, landing: str) -> None:
    s3 = stack.client("s3")
    keys = {f"incoming/{number} + ü.csv" for number in range(EVENTS)}
    for key in sorted(keys):
        s3.put_object(Bucket=landing, Key=key, Body=b"12345")

    def read_manifest(run: dict[str, Any]) -> dict[str, Any]:
        bucket, _, key = run["conf"]["manifest"].removeprefix("s3://").partition("/")
        found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    def all_have_run() -> list[dict[str, Any]] | None:
        found = list_runs(stack, DAG_ID)
        runs = [run for run_id, run in found.items() if run_id.startswith("jetway__landed__")]
        assert all(run["state"] != "failed" for run in runs)
        done = [run for run in runs if run["state"] == "success"]
        return done if sum(run["conf"]["count"] for run in done) >= EVENTS and len(done) == len(runs) else None

    runs = wait_for("the runs of all batches", all_have_run, seconds=LONGEST)
    manifests = [read_manifest(run) for run in runs]
    assert Counter(fact["key"] for manifest in manifests for fact in manifest["events"]) == Counter(keys)
    assert len(runs) <= 8
    for run, manifest in zip(runs, manifests, strict=True):
        assert manifest["dag_run_id"] == run["dag_run_id"]
        assert run["conf"]["count"] == manifest["count"] <= MAX_EVENTS
        assert run["conf"]["events"] == manifest["events"]
