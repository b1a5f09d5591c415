"""sweep_artifacts at its edge: what is never told is found, cold and warm, and the time it has is its own."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.sweep_artifacts import app
from tests.unit.artifacts.buckets import DROP

from .edge import Context, Edge, Function
from .sources import scheduled

EVERYTHING = {"whole": True, "at_once": True}


@pytest.fixture
def sweep(edge: Edge) -> Function:
    return edge.deploy(app, "SweepArtifacts")


def drop(*keys: str) -> None:
    for key in keys:
        boto3.client("s3").put_object(Bucket=DROP, Key=key, Body=b"x")


def queued(edge: Edge) -> list[str]:
    return sorted(json.loads(found["Body"])["detail"]["object"]["key"] for found in edge.messages("ArtifactQueue"))


def test_what_was_never_told_is_handed_to_the_gate_and_counted(
    edge: Edge, sweep: Function, caplog: pytest.LogCaptureFixture
) -> None:
    drop("dags/a.py", "requirements.txt", "data/orders/a.csv")
    done = sweep(EVERYTHING)
    assert (done["queued"], done["finished"]) == (2, True)
    assert sweep.metrics() == {"ArtifactsFoundUnseen": 2.0}
    assert queued(edge) == ["dags/a.py", "requirements.txt"]
    warning = next(vars(line) for line in caplog.records if line.levelname == "WARNING")
    assert warning["queued"] == 2
    sweep(scheduled())
    assert sweep.metrics() == {"ArtifactsFoundUnseen": 0.0}, "by the schedule what came just now is left to its event"


def test_when_its_time_is_over_the_next_invocation_goes_on(edge: Edge, sweep: Function) -> None:
    drop("dags/a.py", "requirements.txt")
    assert sweep(EVERYTHING, Context(29))["finished"] is False
    assert queued(edge) == ["requirements.txt"], "the top of the bucket is the first page"
    sweep.cold()
    rest = sweep({"whole": False, "at_once": True})
    assert (rest["queued"], rest["finished"]) == (1, True)


@pytest.mark.parametrize(
    "call",
    ["s3.ListObjectVersions", "s3.ListObjectsV2", "sqs.SendMessageBatch", "dynamodb.GetItem", "dynamodb.PutItem"],
)
def test_trouble_is_an_error_of_the_function_and_the_next_invocation_does_it(
    edge: Edge, sweep: Function, call: str
) -> None:
    drop("dags/a.py")
    edge.aws.fails(call)
    with pytest.raises(ClientError, match="Throttling"):
        sweep(EVERYTHING)
    edge.aws.works()
    queued(edge)
    assert sweep(EVERYTHING)["queued"] == 1


def test_parameters_of_the_stack_count(edge: Edge) -> None:
    short = edge.deploy(app, "SweepArtifacts", ReportRetentionDays="1")
    drop("dags/a.py")
    assert short(EVERYTHING)["queued"] == 0
    assert edge.deploy(app, "SweepArtifacts", ReportRetentionDays="2")(EVERYTHING)["queued"] == 1


def test_it_reads_no_file_and_writes_none(edge: Edge, sweep: Function) -> None:
    drop("dags/a.py")
    sweep(EVERYTHING)
    names: Any = ("s3.GetObject", "s3.PutObject", "s3.DeleteObject")
    assert [edge.aws.asked(name) for name in names] == [[], [], []]
