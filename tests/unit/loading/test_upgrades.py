"""An environment that is upgraded in place, and downgraded: from the next file on, its new Airflow loads."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import Environment, EnvironmentFacts
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import Readers
from jetway.loading.folder import DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE
from tests.unit.loading.test_loader import ADVICE, FACTS, ImportDag, World


class BothLayers(ImportDag):
    """Lambda with an import_dag for each major version of Airflow."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.invoked: list[tuple[str, str]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        answer = super().invoke(FunctionName="import-dag", Payload=Payload)
        self.invoked.append((FunctionName, self.world.asked[-1]["airflow_version"]))
        return answer


def loads(versions: list[str], functions: dict[int, str]) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Judge one file under one version after the other; return what loaded it, and the rules of its findings."""
    world = World()
    client: Any = BothLayers(world)
    world.s3.put_object(Bucket="drop", Key="dags/helpers.py", Body=b"")
    world.loader = DagLoader(
        DagsFolder(world.s3, "drop", now=lambda: world.now),
        LoadFunctions(client, world.s3, "drop", functions),
        DagClaims(boto3.client("dynamodb"), TABLE, lambda _key: True),
        Plugins(world.s3, "drop", now=lambda: world.now),
        readers=Readers(boto3.client("dynamodb"), TABLE),
        grace=timedelta(seconds=30),
        provided=lambda _facts: {},
        advise=lambda _content, major: (ADVICE,) if major == 3 else (),
        now=lambda: world.now,
    )
    judged = [world.judge(after=60, facts=replace(FACTS, airflow_version=version)) for version in versions]
    return client.invoked, [[finding.rule for finding in one.findings] for one in judged]


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_up_and_down_each_file_is_loaded_by_the_airflow_of_its_moment() -> None:
    with mock_aws():
        invoked, rules = loads(["2.11.2", "3.3.1", "2.11.0"], {2: "airflow2", 3: "airflow3"})
    assert invoked == [("airflow2", "2.11.2"), ("airflow3", "3.3.1"), ("airflow2", "2.11.0")]
    assert rules == [[], ["advice"], []], "and the linter's advice is of Airflow 3 only"


def test_with_one_layer_only_it_is_the_nearest_and_is_told_the_environments_version() -> None:
    """import_dag compares it with its own, and takes no failure for certain when they differ."""
    with mock_aws():
        invoked, _ = loads(["2.11.2", "3.3.1"], {2: "airflow2"})
    assert invoked == [("airflow2", "2.11.2"), ("airflow2", "3.3.1")]


class Mwaa:
    """GetEnvironment, while an environment is upgraded."""

    def __init__(self) -> None:
        self.status, self.version = "AVAILABLE", "2.11.2"

    def get_environment(self, *, Name: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        facts = {"Name": Name, "Status": self.status, "AirflowVersion": self.version, "DagS3Path": "dags"}
        return {"Environment": {**facts, "SourceBucketArn": "arn:aws:s3:::live"}}


def test_the_version_is_known_a_minute_after_the_upgrade_at_the_latest() -> None:
    client: Any = Mwaa()
    now = 0.0
    environment = Environment(client, "acme", clock=lambda: now)
    seen: list[EnvironmentFacts] = [environment.facts()]
    client.status = "UPDATING"  # what GetEnvironment says of the version meanwhile is not documented
    now = 61.0
    seen.append(environment.facts())
    client.status, client.version = "AVAILABLE", "3.3.1"
    now = 67.0
    seen.append(environment.facts())
    assert [(one.airflow_version, one.usable, one.major) for one in seen] == [
        ("2.11.2", True, 2),
        ("2.11.2", False, 2),
        ("3.3.1", True, 3),
    ]
    assert [one.python_version for one in seen] == [(3, 12)] * 3
