"""The loader: a file is judged by what lay in the folder when it was copied, however long loading takes."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Judgement
from jetway.errors import SiblingsExpectedError
from jetway.loading.claims import DagClaims
from jetway.loading.folder import DagsFolder
from jetway.loading.function import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.plugins import Plugins
from jetway.objects import ObjectVersion
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")
READ = Judgement("dag-file", "accepted")
MISSING = {"rule": "missing-module", "severity": "error", "message": "No module.", "line": 1, "remedy": "Upload it."}


class ImportDag:
    """Lambda with an import_dag that takes its time, and finds a module if the bundle has it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert FunctionName == "import-dag"
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(json.loads(Payload)["bundle"]["zip"]))) as bundle:
            there = "helpers.py" in bundle.namelist()
        self.world.while_loading()
        loaded = {
            "verdict": "accepted" if there else "rejected",
            "missing": [] if there else ["helpers"],
            "findings": [] if there else [MISSING],
            "siblings": [],
            "skipped": None,
            "dags": [],
            "seconds": 0.1,
        }
        return {"Payload": io.BytesIO(json.dumps({"airflow": "3.3.1", "loaded": [loaded]}).encode())}


class World:
    """Two buckets, a clock, and how long a load takes."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        for bucket in ("drop", "live"):
            self.s3.create_bucket(Bucket=bucket)
        self.dropped = datetime.now(UTC) - timedelta(minutes=1)  # what is put now comes a minute later
        self.now, self.takes = self.dropped, timedelta()
        self.comes: str | None = None
        client: Any = ImportDag(self)
        dynamodb = boto3.client("dynamodb")
        make_artifact_table(dynamodb)
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=lambda: self.now),
            LoadFunctions(client, self.s3, "drop", {3: "import-dag"}),
            DagClaims(dynamodb, TABLE, lambda _key: True),
            Plugins(self.s3),
            grace=timedelta(seconds=30),
            now=lambda: self.now,
        )

    def while_loading(self) -> None:
        self.now += self.takes
        if self.comes is not None:
            self.s3.put_object(Bucket="drop", Key=self.comes, Body=b"")

    def judge(self, *, after: float) -> Judgement:
        self.now = self.dropped + timedelta(seconds=after)
        return self.loader(self.version(), b"import helpers", FACTS, READ)

    def version(self) -> ObjectVersion:
        return ObjectVersion("drop", "dags/orders.py", "v1", "etag", 1, self.dropped)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield World()


def test_a_module_that_comes_while_a_slow_load_goes_on_is_waited_for(world: World) -> None:
    world.takes, world.comes = timedelta(seconds=25), "dags/helpers.py"
    with pytest.raises(SiblingsExpectedError, match="the module helpers is not there yet"):
        world.judge(after=20)
    assert world.judge(after=50).verdict == "accepted"


def test_while_others_keep_coming_the_grace_is_longer(world: World) -> None:
    world.s3.put_object(Bucket="drop", Key="dags/other.py", Body=b"")
    with pytest.raises(SiblingsExpectedError) as caught:
        world.judge(after=65)
    assert caught.value.waited == timedelta(seconds=65)
    assert world.judge(after=75).verdict == "rejected"


def test_a_module_that_does_not_come_is_missing(world: World) -> None:
    with pytest.raises(SiblingsExpectedError):
        world.judge(after=29)
    judged = world.judge(after=30)
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("rejected", ["missing-module"])


def test_a_file_that_cannot_load_by_its_text_is_not_loaded(world: World) -> None:
    rejected = Judgement("dag-file", "rejected")
    world.takes = timedelta(days=1)
    assert world.loader(world.version(), b"", FACTS, rejected) is rejected
    assert world.now == world.dropped, "and nothing took a day"
