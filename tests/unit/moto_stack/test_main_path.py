"""A second opinion: the real handlers on moto instead of MiniStack, from the drop to the run.

What both emulators take is no proof that AWS does; what one of them takes and the other does not is a question. The
answers that differ are in docs/emulators.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from moto import mock_aws

from jetway.observability import metrics
from tests.unit.functions.airflow_rest import Airflow
from tests.unit.moto_stack.deployed import NOT_MADE, client, make_bucket
from tests.unit.moto_stack.pump import Pump
from tests.unit.mwaa_server import MwaaServer
from tools.checks.rendered import REGION, Rendered

pytestmark = pytest.mark.thorough

PARAMETERS = {
    "EnvironmentName": "acme",
    "EnvironmentBucketName": "acme-airflow",
    "Transport": "rest",
    "GraceMinutes": "1",
}
STACK = Rendered(parameters=PARAMETERS)
DAG = b"""
from datetime import datetime
from airflow.sdk import DAG

with DAG("orders", schedule=None, start_date=datetime(2026, 1, 1)):
    pass
"""


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def pump(monkeypatch: pytest.MonkeyPatch, airflow: Airflow) -> Iterator[Pump]:
    """The stack on moto, and MWAA's control plane with an environment that is AVAILABLE."""
    with MwaaServer(answer=airflow) as mwaa, mock_aws():
        for name, value in {
            "AWS_ACCESS_KEY_ID": "root",
            "AWS_SECRET_ACCESS_KEY": "root",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_MWAA": mwaa.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics.provider, "namespace", "Jetway")  # read at import, before this
        make_bucket("acme-airflow")
        yield Pump(STACK, monkeypatch)


def drop(pump: Pump, key: str, body: bytes, bucket: str | None = None) -> None:
    client("s3").put_object(Bucket=bucket or pump.stack.reference("DropBucket"), Key=key, Body=body)


def report(pump: Pump, key: str) -> dict[str, Any]:
    bucket = pump.stack.reference("DropBucket")
    found: dict[str, Any] = json.loads(
        client("s3").get_object(Bucket=bucket, Key=f"reports/{key}/latest.json")["Body"].read()
    )
    return found


def test_what_is_dropped_is_judged_promoted_and_reported(pump: Pump) -> None:
    drop(pump, "dags/orders.py", DAG)
    drop(pump, "dags/broken.py", b"def load(:\n")
    pump.settle()
    assert report(pump, "dags/orders.py")["verdict"] == "accepted"
    assert report(pump, "dags/broken.py")["verdict"] == "rejected"
    assert client("s3").get_object(Bucket="acme-airflow", Key="dags/orders.py")["Body"].read() == DAG
    listed = client("s3").list_objects_v2(Bucket="acme-airflow")["Contents"]
    assert [each["Key"] for each in listed] == ["dags/orders.py"]
    told = {event["detail-type"] for event in pump.told}
    assert any("Promoted" in each or "Accepted" in each for each in told), told


def test_a_data_file_becomes_one_run_however_often_it_is_told(pump: Pump, airflow: Airflow) -> None:
    drop(pump, "data/orders/2026 + ü.csv", b"1")
    pump.settle()
    ((dag_id, _),) = airflow.runs
    assert dag_id == "orders"
    (run,) = airflow.runs.values()
    assert run["conf"]["key"] == "data/orders/2026 + ü.csv"
    (event,) = [each for each in pump.told if each["detail-type"].startswith("Dag")]
    assert event["detail"]["dag_id"] == "orders"


def test_a_trigger_file_makes_a_rule_and_the_rule_starts_runs(pump: Pump, airflow: Airflow) -> None:
    make_bucket("acme-landing")
    text = "dag: orders\non: {s3: {bucket: acme-landing, key: {suffix: .csv}}}\nconf: {path: '{{ key }}'}\n"
    drop(pump, "triggers/landed.yaml", text.encode())
    pump.settle()
    assert report(pump, "triggers/landed.yaml")["verdict"] == "accepted"
    drop(pump, "incoming/a.csv", b"1", bucket="acme-landing")
    drop(pump, "incoming/a.txt", b"1", bucket="acme-landing")
    pump.settle()
    assert [run["conf"]["path"] for run in airflow.runs.values()] == ["incoming/a.csv"]


THEIRS = {
    "version": "0",
    "account": "222222222222",
    "region": "eu-west-1",
    "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",  # one that is too old starts nothing
    "resources": [],
}


def test_events_of_another_accounts_bus_and_bucket_start_runs(pump: Pump, airflow: Airflow) -> None:
    drop(
        pump,
        "triggers/billed.yaml",
        b"dag: orders\non: {event: {source: [acme.billing]}}\nconf: {id: '{{ detail.id }}'}\n",
    )
    text = "dag: orders\non: {s3: {bucket: their-landing, key: {prefix: in/}}}\nconf: {id: '{{ key }}'}\n"
    drop(pump, "triggers/landed.yaml", text.encode())
    pump.settle()
    assert report(pump, "triggers/landed.yaml")["verdict"] == "accepted", "its bucket is not ours to look at"
    pump.hear(
        {**THEIRS, "id": "e-1", "source": "acme.billing", "detail-type": "InvoiceClosed", "detail": {"id": "i-7"}}
    )
    landed = {"key": "in/a.csv", "size": 1, "etag": "e", "version-id": "v", "sequencer": "1"}
    detail = {"version": "0", "bucket": {"name": "their-landing"}, "object": landed, "reason": "PutObject"}
    pump.hear({**THEIRS, "id": "e-2", "source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    pump.settle()
    assert {run["conf"]["id"] for run in airflow.runs.values()} == {"i-7", "in/a.csv"}


def test_a_batch_is_closed_when_it_is_full_and_becomes_one_run(pump: Pump, airflow: Airflow) -> None:
    make_bucket("acme-landing")
    text = """\
dag: orders
on: {s3: {bucket: acme-landing, key: {suffix: .csv}}}
batch: {max_events: 3, within: 1h}
"""
    drop(pump, "triggers/landed.yaml", text.encode())
    pump.settle()
    for number in range(3):
        drop(pump, f"incoming/{number}.csv", b"1", bucket="acme-landing")
    pump.settle()
    (run,) = airflow.runs.values()
    assert json.dumps(run["conf"]).count("batches/") == 1


def test_a_file_for_a_dag_that_cannot_be_is_a_dead_letter_with_its_reason(pump: Pump, airflow: Airflow) -> None:
    drop(pump, "data/no good name/x.csv", b"1")
    pump.settle()
    assert not airflow.runs
    (letter,) = pump.messages("DispatchDeadLetters")
    assert letter["MessageAttributes"] or "reason" in letter["Body"], letter


def test_every_type_of_the_template_is_made_or_left_out_for_a_reason(pump: Pump) -> None:
    kinds = {found["Type"] for found in pump.stack.resources.values()}
    assert set(NOT_MADE) <= kinds
    assert len(client("iam").list_roles()["Roles"]) == len(pump.stack.of_type("AWS::IAM::Role"))
    assert len(client("sqs").list_queues()["QueueUrls"]) == len(pump.stack.of_type("AWS::SQS::Queue")) + 1
