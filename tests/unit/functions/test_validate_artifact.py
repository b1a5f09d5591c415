"""validate_artifact at its edge, where test_validate_artifact_edges.py leaves off: trouble, time, warm starts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from functions.validate_artifact import app
from tests.unit.artifacts.buckets import BAD, DROP, GOOD, LIVE

from .edge import Context, Edge, Function
from .sources import records

NOTHING = {"ArtifactsPromoted": 0.0, "ArtifactsRejected": 0.0, "ArtifactsRemoved": 0.0}


@pytest.fixture
def validate(edge: Edge) -> Function:
    edge.bucket(LIVE)
    return edge.deploy(app, "ValidateArtifact")


def dropped(*names: str, body: bytes = GOOD, kind: str = "Object Created") -> list[dict[str, Any]]:
    """Upload, or delete, and return what EventBridge says of it."""
    s3, events = boto3.client("s3"), []
    for name in names:
        key = f"dags/{name}.py"
        version = (
            s3.put_object(Bucket=DROP, Key=key, Body=body.replace(b"orders", name.encode()))["VersionId"]
            if kind == "Object Created"
            else s3.delete_object(Bucket=DROP, Key=key)["VersionId"]
        )
        detail = {"bucket": {"name": DROP}, "object": {"key": key, "size": 5, "etag": "e", "version-id": version}}
        if kind != "Object Created":
            detail |= {"deletion-type": "Delete Marker Created", "reason": "DeleteObject"}
        event = {"source": "aws.s3", "detail-type": kind, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        events.append(event | {"id": version, "detail": detail})
    return events


def live() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=LIVE).get("Contents", [])
    return [each["Key"] for each in found]


def waits(edge: Edge) -> dict[str, int]:
    """Seconds that messages were given back for; each batch is held for half a minute first."""
    asked = edge.aws.asked("sqs.ChangeMessageVisibilityBatch")
    assert {each["QueueUrl"] for each in asked} <= {edge.url("ArtifactQueue")}
    given_back: dict[str, int] = {}
    for each in asked:
        changed = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in each["Entries"]}
        if set(changed.values()) != {30}:
            given_back |= changed
    return given_back


def test_files_go_live_are_refused_and_removed_cold_and_warm(edge: Edge, validate: Function) -> None:
    assert validate.failed(records(*dropped("one", "two"))) == []
    assert validate.metrics() == NOTHING | {"ArtifactsPromoted": 2.0}
    assert validate.metrics(Kind="dag-file") == {"ArtifactsPromoted": 2.0}
    assert {"s3", "mwaa", "dynamodb", "eventbridge"} <= set(validate.clients_made())
    assert live() == ["dags/one.py", "dags/two.py"]

    deleted = dropped("one", kind="Object Deleted")
    assert validate.failed(records(*dropped("bad", body=BAD), *deleted)) == []
    assert validate.metrics() == NOTHING | {"ArtifactsRejected": 1.0, "ArtifactsRemoved": 1.0}
    assert validate.metrics(Kind="dag-file") == {"ArtifactsRejected": 1.0, "ArtifactsRemoved": 1.0}
    assert validate.clients_made() == []
    assert live() == ["dags/two.py"]
    assert edge.told() == ["ArtifactPromoted", "ArtifactPromoted", "ArtifactRejected", "ArtifactRemoved"]
    assert waits(edge) == {}

    assert validate.failed(records(*deleted)) == []
    assert validate.metrics() == NOTHING, "a second delivery counts nothing"
    assert validate.metrics(Kind="dag-file") == {}


def test_a_transient_error_comes_back_alone_and_sooner_than_the_queue_would(edge: Edge, validate: Function) -> None:
    edge.aws.fails("mwaa.GetEnvironment", times=1)
    event = records(*dropped("one", "two"), receives=2)
    assert validate.failed(event) == ["m0"]
    assert waits(edge) == {"handle-m0": 60}
    assert live() == ["dags/two.py"]
    assert validate.metrics() == NOTHING | {"ArtifactsPromoted": 1.0}
    edge.aws.works()
    assert validate.failed({"Records": event["Records"][:1]}) == []
    assert live() == ["dags/one.py", "dags/two.py"]
    assert waits(edge) == {}


def test_trouble_of_aws_comes_back_later_each_time_and_is_an_error_in_the_log(
    edge: Edge, validate: Function, caplog: pytest.LogCaptureFixture
) -> None:
    edge.aws.fails("s3.CopyObject", "AccessDenied")
    edge.aws.fails("s3.PutObject", "AccessDenied")
    assert validate.failed(records(*dropped("one"), receives=3)) == ["m0"]
    assert waits(edge) == {"handle-m0": 120}
    (line,) = (vars(line) for line in caplog.records if line.levelname == "ERROR")
    assert line["msg"] == "the artifact is not settled; its message returns to the queue"
    assert json.loads(line["body"])["detail"]["object"]["key"] == "dags/one.py"
    edge.aws.works()
    assert validate.failed(records(*dropped("one"))) == []


@pytest.mark.parametrize("body", ["no JSON", {"source": "aws.s3"}, {"source": "acme", "detail": {}}])
def test_what_is_no_event_of_s3_stops_nothing_and_ends_in_the_queues_dead_letters(
    edge: Edge, validate: Function, body: object
) -> None:
    assert validate.failed(records(body, *dropped("one"), receives=2)) == ["m0"]
    assert waits(edge) == {"handle-m0": 60}
    assert live() == ["dags/one.py"]


def test_a_file_that_is_refused_is_no_failure(edge: Edge, validate: Function) -> None:
    assert validate.failed(records(*dropped("bad", body=BAD))) == []
    assert live() == []


def test_when_time_runs_out_the_rest_comes_back_soon_and_that_is_no_error(
    edge: Edge, validate: Function, caplog: pytest.LogCaptureFixture
) -> None:
    context = Context(200)
    edge.aws.on("eventbridge.PutEvents", lambda: context.passes(60))
    assert validate.failed(records(*dropped("one", "two", "three")), context) == ["m1", "m2"]
    assert live() == ["dags/one.py"]
    assert waits(edge) == {"handle-m1": 1, "handle-m2": 1}
    assert {line.levelname for line in caplog.records} == {"INFO"}
    assert [line.getMessage() for line in caplog.records].count("artifact waits") == 2
    assert validate.failed(records(*dropped("two")), Context(150)) == [], "so much the heaviest file takes"


def test_a_wrong_setting_is_an_error_of_the_function_and_not_of_its_messages(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = edge.deploy(app, "ValidateArtifact", MaxDagFileKilobytes="many")
    with pytest.raises(ValueError, match="MAX_DAG_FILE_KILOBYTES is 'many'"):
        validate(records(*dropped("one")))


def test_a_right_that_is_missing_blames_no_file(edge: Edge, validate: Function) -> None:
    edge.aws.mwaa.denies["GetEnvironment"] = "AccessDeniedException"
    (event,) = dropped("one")
    assert validate.failed(records(event)) == ["m0"]
    assert waits(edge) == {"handle-m0": 900}
    assert validate.metrics() == NOTHING | {"PermissionMissing": 1.0}
    assert edge.told() == ["PermissionMissing"]
    edge.aws.mwaa.denies.clear()
    assert validate.failed(records(event, receives=2)) == []
    assert live() == ["dags/one.py"]


class KilledError(BaseException):
    """The process is gone."""


def test_a_version_that_ends_the_gate_three_times_is_rejected_with_a_rule_and_holds_nobody(
    edge: Edge, validate: Function
) -> None:
    def die() -> None:
        if edge.aws.asked("s3.GetObject")[-1]["Key"] == "dags/killer.py":
            raise KilledError

    edge.aws.on("s3.GetObject", die)
    (event,) = dropped("killer")
    for receives in (1, 2, 3):
        with pytest.raises(KilledError):
            validate(records(event, receives=receives))
        asked = edge.aws.asked("sqs.ChangeMessageVisibilityBatch")[-1]
        assert [entry["VisibilityTimeout"] for entry in asked["Entries"]] == [30]
        validate.cold()
    assert validate.failed(records(event, receives=4)) == []
    edge.aws.works()
    report = json.loads(
        boto3.client("s3").get_object(Bucket=DROP, Key="reports/dags/killer.py/latest.json")["Body"].read()
    )
    assert (report["verdict"], [finding["rule"] for finding in report["findings"]]) == ("rejected", ["crashed"])
    assert report["outcome"] == "quarantined"
    assert live() == []
    assert validate.failed(records(*dropped("killer"))) == []
    assert live() == ["dags/killer.py"], "a new version is a new file"


def test_a_version_that_another_delivery_has_made_live_is_not_refused_for_ending_the_gate(
    edge: Edge, validate: Function
) -> None:
    """It was refused in twenty rounds, each with a message to people, and then its message came back."""

    def die() -> None:
        raise KilledError

    (event,) = dropped("good")
    for receives in (1, 2, 0, 3):
        edge.aws.works()
        if receives:
            edge.aws.on("s3.GetObject", die)
            with pytest.raises(KilledError):
                validate(records(event, receives=receives))
        else:
            assert validate.failed(records(event)) == []  # the event of another version of the key, say
            assert live() == ["dags/good.py"]
        validate.cold()
    edge.aws.works()
    assert validate.failed(records(event, receives=4)) == []
    report = json.loads(
        boto3.client("s3").get_object(Bucket=DROP, Key="reports/dags/good.py/latest.json")["Body"].read()
    )
    assert (report["outcome"], report["verdict"]) == ("promoted", "unknown")
    assert [(finding["rule"], finding["severity"]) for finding in report["findings"]] == [("crashed", "warning")]
    assert live() == ["dags/good.py"]
    assert "ArtifactRejected" not in edge.told()


def test_a_file_that_waits_for_others_has_not_crashed(edge: Edge, validate: Function) -> None:
    edge.aws.fails("s3.GetObject", "SlowDown")
    (event,) = dropped("good")
    for receives in range(1, 10):
        assert validate.failed(records(event, receives=receives)) == ["m0"]
    edge.aws.works()
    assert validate.failed(records(event, receives=10)) == []
    assert live() == ["dags/good.py"]
