"""validate_artifact end to end: batches of messages in, S3 as it is afterwards, log lines and metrics out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.validate_artifact import app
from jetway.errors import SiblingsExpectedError, UnknownEventError
from jetway.observability import metrics
from jetway.wiring.validate_artifact import Config, wired
from jetway.wiring.variables import ConfigError
from tests.unit.artifacts.buckets import BAD, DROP, GOOD, LIVE, make_artifact_table
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import sample_event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTEXT: Any = SimpleNamespace(
    function_name="validate_artifact",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:validate_artifact",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    get_remaining_time_in_millis=lambda: 300_000,
)


QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/artifacts"


@pytest.fixture
def mwaa() -> Iterator[MwaaServer]:
    with MwaaServer() as server:
        yield server


@pytest.fixture
def s3(mwaa: MwaaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """Both buckets, and the function's environment variables as template.yaml sets them."""
    for name, value in {
        "ENVIRONMENT_NAME": "acme",
        "DROP_BUCKET": DROP,
        "ARTIFACT_TABLE": "artifacts",
        "EVENT_BUS_NAME": "default",
        "VERIFY_AFTER_SECONDS": "120",
        "UPDATE_QUIET_SECONDS": "120",
        "APPLY_UPDATES": "automatic",
        "WORKER_REPLACEMENT_STRATEGY": "GRACEFUL",
        "MAX_DAG_FILE_KILOBYTES": "1024",
        "ARTIFACT_QUEUE_URL": QUEUE_URL,
        "IMPORT_DAG": "",  # what loading says is tested where an Airflow is: tests/integration
        "SIBLING_GRACE_SECONDS": "30",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_MWAA": mwaa.url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "POWERTOOLS_SERVICE_NAME": "validate_artifact",
        "POWERTOOLS_METRICS_NAMESPACE": "Jetway",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this
    with mock_aws():
        client = boto3.client("s3")
        make_artifact_table(boto3.client("dynamodb"))
        monkeypatch.setenv("ARTIFACT_TOPIC_ARN", boto3.client("sns").create_topic(Name="artifacts")["TopicArn"])
        boto3.client("sqs").create_queue(QueueName="artifacts")
        for bucket in (DROP, LIVE):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield client


def drop(s3: S3Client, record: dict[str, Any], body: bytes) -> str:
    """Put the object that a message tells of, and let the message name its version."""
    event = json.loads(record["body"])
    found = event["detail"]["object"]
    version = s3.put_object(Bucket=DROP, Key=found["key"], Body=body)["VersionId"]
    if "version-id" in found:
        found["version-id"] = version
    record["body"] = json.dumps(event)
    return version


def live(s3: S3Client) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=LIVE).get("Contents", [])]


@pytest.mark.parametrize("name", ["artifact_dropped", "artifact_without_version_id"])
def test_a_good_dag_file_goes_live(s3: S3Client, caplog: pytest.LogCaptureFixture, name: str) -> None:
    event = sample_event(name)
    version = drop(s3, event["Records"][0], GOOD)
    assert app.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert live(s3) == ["dags/team/orders.py"]
    (line,) = (vars(record) for record in caplog.records if record.levelname == "INFO")
    assert line["msg"] == "artifact promoted"
    assert {name: line[name] for name in ("key", "version", "kind", "verdict", "dag_ids")} == {
        "key": "dags/team/orders.py",
        "version": version,
        "kind": "dag-file",
        "verdict": "accepted",
        "dag_ids": ("orders",),
    }
    assert line["seconds"] > 0


def test_a_batch_of_good_bad_vanished_and_garbage(s3: S3Client, caplog: pytest.LogCaptureFixture) -> None:
    event = sample_event("artifact_batch")
    good, bad, vanished, garbage, requirements = event["Records"]
    drop(s3, good, GOOD)
    bad_version = drop(s3, bad, BAD)
    drop(s3, vanished, GOOD)
    s3.delete_object(Bucket=DROP, Key="dags/deleted.py")
    drop(s3, requirements, b"celery==1.0\n")

    assert app.handler(event, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": garbage["messageId"]}]}

    assert live(s3) == ['dags/new + café "q".py']
    kept = s3.get_object(Bucket=DROP, Key=f"quarantine/dags/broken.py/{bad_version}")
    assert kept["Body"].read() == BAD
    report = json.loads(s3.get_object(Bucket=DROP, Key="reports/dags/broken.py/latest.json")["Body"].read())
    (finding,) = report["findings"]
    assert (finding["rule"], finding["line"]) == ("syntax", 2)
    lines = [vars(record) for record in caplog.records]
    assert {line["key"]: line["outcome"] for line in lines if "outcome" in line} == {
        'dags/new + café "q".py': "promoted",
        "dags/broken.py": "quarantined",
        "dags/deleted.py": "vanished",
        "requirements.txt": "quarantined",
    }
    (failed,) = (line for line in lines if line["levelname"] == "ERROR")
    assert isinstance(failed["exc_info"][1], UnknownEventError)
    assert failed["body"] == "not an event"


def test_promotions_and_rejections_are_counted_in_all_and_by_kind(
    s3: S3Client, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample_event("artifact_batch")
    good, bad, vanished, _, requirements = event["Records"]
    for record, body in ((good, GOOD), (bad, BAD), (vanished, GOOD), (requirements, b"celery==1.0\n")):
        drop(s3, record, body)
    app.handler(event, CONTEXT)
    app.handler(event, CONTEXT)  # a redelivery counts nothing
    counted: dict[tuple[str, str | None], float] = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for metric in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert metric["Namespace"] == "Jetway"
            assert line["Environment"] == "acme"
            for name in (found["Name"] for found in metric["Metrics"]):
                key = (name, line.get("Kind"))
                counted[key] = counted.get(key, 0) + sum(line[name])
    assert counted == {
        ("ArtifactsPromoted", None): 2,
        ("ArtifactsRejected", None): 2,
        ("ArtifactsRemoved", None): 0,
        ("ArtifactsPromoted", "dag-file"): 2,
        ("ArtifactsRejected", "dag-file"): 1,
        ("ArtifactsRejected", "requirements"): 1,
    }


def test_when_mwaa_is_down_every_message_comes_back_and_nothing_is_written(
    s3: S3Client, mwaa: MwaaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = sample_event("artifact_dropped")
    drop(s3, event["Records"][0], GOOD)
    monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", "http://127.0.0.1:9")  # the discard port: nobody listens
    failed = app.handler(event, CONTEXT)
    assert failed == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert live(s3) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", mwaa.url)
    wired.cache_clear()
    assert app.handler(event, CONTEXT) == {"batchItemFailures": []}
    assert live(s3) == ["dags/team/orders.py"]


@pytest.mark.parametrize(("receives", "seconds"), [("1", 30), ("2", 60), ("4", 240), ("10", 600)])
def test_what_cannot_be_judged_now_comes_back_later_each_time(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, receives: str, seconds: int
) -> None:
    event = sample_event("artifact_dropped")
    (record,) = event["Records"]
    record["attributes"]["ApproximateReceiveCount"] = receives
    drop(s3, record, GOOD)
    monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", "http://127.0.0.1:9")
    asked: list[int] = []
    name = "provide-client-params.sqs.ChangeMessageVisibilityBatch"

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.extend(entry["VisibilityTimeout"] for entry in params["Entries"])

    wired().sqs.meta.events.register(name, note)
    try:
        assert len(app.handler(event, CONTEXT)["batchItemFailures"]) == 1
    finally:
        wired().sqs.meta.events.unregister(name, note)
    assert asked == [30, seconds], "held while it is tried, then given back"


@pytest.mark.parametrize(("grace", "seconds"), [("1", 5), ("30", 5), ("300", 50)])
def test_all_the_looks_for_siblings_fit_into_the_tries_of_the_queue(
    s3: S3Client,
    monkeypatch: pytest.MonkeyPatch,
    grace: str,
    seconds: int,
) -> None:
    monkeypatch.setenv("SIBLING_GRACE_SECONDS", grace)
    wired.cache_clear()
    try:
        assert app._wait(SiblingsExpectedError("x"), 1) == seconds
        waited, receives = 0, 1
        while waited < 4 * int(grace):  # the longest, while files keep coming
            waited += app._wait(SiblingsExpectedError("x", timedelta(seconds=waited)), receives)
            receives += 1
        assert receives <= 10 - 1, "maxReceiveCount of ArtifactQueue, and one to spare"
    finally:
        wired.cache_clear()


def test_what_there_is_no_time_for_comes_back_and_the_rest_is_done(s3: S3Client) -> None:
    """Rather than being killed in the middle, time after time, at the same file."""
    event = sample_event("artifact_batch")
    for record in event["Records"][:2]:
        drop(s3, record, GOOD)
    clock = iter([170_000, 160_000, 149_000, 148_000, 147_000, 146_000])
    context = SimpleNamespace(**vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: next(clock)})
    failed = app.handler(event, context)
    assert failed["batchItemFailures"] == [{"itemIdentifier": r["messageId"]} for r in event["Records"][1:]]
    assert live(s3) == ['dags/new + café "q".py']


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DROP_BUCKET": ""}, "DROP_BUCKET is not set"),
        ({"IMPORT_DAG": "3"}, "IMPORT_DAG has '3'; write major=function"),
        ({"MAX_DAG_FILE_KILOBYTES": "many"}, "MAX_DAG_FILE_KILOBYTES is 'many', not a whole number"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, str], message: str) -> None:
    env = {"ENVIRONMENT_NAME": "acme", "DROP_BUCKET": DROP, "ARTIFACT_TABLE": "a", "MAX_DAG_FILE_KILOBYTES": "16"}
    env |= {
        "EVENT_BUS_NAME": "default",
        "ARTIFACT_TOPIC_ARN": "arn",
        "VERIFY_AFTER_SECONDS": "120",
        "UPDATE_QUIET_SECONDS": "120",
        "APPLY_UPDATES": "manual",
        "WORKER_REPLACEMENT_STRATEGY": "GRACEFUL",
    }
    env |= {"ARTIFACT_QUEUE_URL": QUEUE_URL, "SIBLING_GRACE_SECONDS": "30"}
    assert Config.from_env(env).max_dag_file_bytes == 16_384
    with pytest.raises(ConfigError, match=message):
        Config.from_env(env | change)
