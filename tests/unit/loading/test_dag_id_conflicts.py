"""Which of two files has a dag_id: the one that was uploaded first, or that is live by hand; or the report says."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Judgement
from jetway.aws.s3 import head
from jetway.errors import SiblingsExpectedError
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import Readers
from jetway.loading.folder import DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")
READ = Judgement("dag-file", "accepted")
GRACE = timedelta(seconds=60)
ORDERS = b"from airflow.sdk import DAG\nwith DAG('orders'):\n    pass\n"
DYNAMIC = (
    b"from airflow.sdk import DAG\nimport config\nfor name in config.names():\n    with DAG(name):\n        pass\n"
)


class ImportDag:
    """Lambda with an import_dag that makes a DAG of every literal `DAG('...')`."""

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert FunctionName == "import-dag"
        request = json.loads(Payload)
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(request["bundle"]["zip"]))) as bundle:
            content = bundle.read(request["files"][0]).decode()
        dags = [
            {"dag_id": dag_id, "line": 2, "schedule": None, "tags": [], "tasks": 0}
            for dag_id in re.findall(r"DAG\('(\w+)'\)", content)
        ]
        loaded = {
            "path": request["files"][0],
            "verdict": "accepted",
            "missing": [],
            "findings": [],
            "siblings": [],
            "skipped": None,
            "dags": dags,
            "seconds": 0.1,
        }
        return {"Payload": io.BytesIO(json.dumps({"airflow": "3.3.1", "loaded": [loaded]}).encode())}


class World:
    """Both buckets, and the loader, some seconds after the uploads."""

    def __init__(self) -> None:
        self.s3: Any = boto3.client("s3")
        for bucket in ("drop", "live"):
            self.s3.create_bucket(Bucket=bucket)
        dynamodb = boto3.client("dynamodb")
        make_artifact_table(dynamodb)
        self.later = timedelta(seconds=1)
        client: Any = ImportDag()
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=self.now),
            LoadFunctions(client, self.s3, "drop", {3: "import-dag"}),
            DagClaims(dynamodb, TABLE, lambda key: head(self.s3, "drop", key) is not None),
            Plugins(self.s3, "drop", now=self.now),
            readers=Readers(dynamodb, TABLE),
            grace=GRACE,
            now=self.now,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def put(self, bucket: str, key: str, body: bytes = ORDERS, **more: Any) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, **more)

    def judge(self, key: str) -> Judgement:
        version = head(self.s3, "drop", key)
        assert version is not None
        content = self.s3.get_object(Bucket="drop", Key=key)["Body"].read()
        return self.loader(version, content, FACTS, READ)

    def message(self, key: str) -> str:
        judged = self.judge(key)
        assert judged.verdict == "rejected"
        (finding,) = judged.findings
        assert finding.rule == "duplicate-dag-id"
        return finding.message + " " + finding.remedy


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield World()


def upload_both(world: World) -> None:
    """my_dag.py, and a second and a half later dup.py with the same dag_id: S3 tells times in whole seconds."""
    world.put("drop", "dags/my_dag.py")
    _a_second_later()
    world.put("drop", "dags/dup.py")


def _a_second_later() -> None:
    time.sleep(1.001 - datetime.now(UTC).microsecond / 1_000_000)


def test_the_file_that_was_uploaded_first_has_the_dag_id_in_whatever_order_they_are_judged(world: World) -> None:
    upload_both(world)
    with pytest.raises(SiblingsExpectedError, match=r"dags/my_dag\.py was uploaded before it"):
        world.judge("dags/dup.py")
    assert world.judge("dags/my_dag.py").verdict == "accepted"
    world.later = GRACE + timedelta(seconds=5)
    said = world.message("dags/dup.py")
    assert said.startswith("dags/my_dag.py also defines a DAG 'orders'.")
    assert re.search(r" It was uploaded first, at [\d :-]+ UTC; this file at [\d :-]+ UTC\.", said)


def test_where_the_first_is_heard_of_too_late_the_report_says_what_decided(world: World) -> None:
    upload_both(world)
    world.later = GRACE + timedelta(seconds=5)
    assert world.judge("dags/dup.py").verdict == "accepted"
    said = world.message("dags/my_dag.py")
    assert re.search(
        "dags/dup\\.py also defines a DAG 'orders'\\..* It was uploaded later, at .+, but checked first\\. ", said
    )
    assert "has had the dag_id since" in said


def test_a_first_file_that_makes_another_dag_is_not_waited_for(world: World) -> None:
    world.put("drop", "dags/a.py", ORDERS.replace(b"orders", b"others"))
    _a_second_later()
    world.put("drop", "dags/b.py")
    assert world.judge("dags/b.py").verdict == "accepted"


def test_a_dag_that_is_live_by_hand_has_its_dag_id(world: World) -> None:
    world.put("live", "dags/legacy/orders.py")
    world.put("drop", "dags/orders.py")
    with pytest.raises(SiblingsExpectedError):
        world.judge("dags/orders.py")
    world.later = GRACE + timedelta(seconds=5)
    said = world.message("dags/orders.py")
    assert said.startswith("s3://live/dags/legacy/orders.py also defines a DAG 'orders'.")
    assert "It was put into the environment's bucket manually, and is live there." in said
    assert "upload it with the same path" in said
    world.s3.delete_object(Bucket="live", Key="dags/legacy/orders.py")
    assert world.judge("dags/orders.py").verdict == "accepted"


def test_a_file_by_hand_is_replaced_by_one_of_the_same_path(world: World) -> None:
    world.put("live", "dags/orders.py")
    world.put("drop", "dags/orders.py")
    assert world.judge("dags/orders.py").verdict == "accepted"


def test_what_was_promoted_and_is_about_to_go_is_not_by_hand(world: World) -> None:
    """A rename, where the removal of the old name is not heard of yet, and its claim was never made."""
    world.put("live", "dags/old.py", Metadata={"jetway-source-version": "v1"})
    world.put("drop", "dags/new.py")
    assert world.judge("dags/new.py").verdict == "accepted"


def test_a_file_by_hand_that_airflow_passes_over_has_no_dag(world: World) -> None:
    world.put("live", "dags/old.py")
    world.put("live", "dags/.airflowignore", b"old.py\n")
    world.put("drop", "dags/orders.py")
    assert world.judge("dags/orders.py").verdict == "accepted"


def test_what_only_running_a_file_by_hand_would_tell_is_said_to_be_not_known(world: World) -> None:
    world.put("live", "dags/factory.py", DYNAMIC)
    world.put("drop", "dags/orders.py")
    judged = world.judge("dags/orders.py")
    assert judged.verdict == "accepted"
    (finding,) = judged.findings
    assert (finding.rule, finding.severity) == ("dag-id-not-known", "warning")
    assert "factory.py in the environment's bucket did not come through the drop bucket" in finding.message
