"""Data files and .airflowignore, judged by the gate's loader with the real import_dag; the buckets are moto's."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.kinds import kind_of
from jetway.aws.s3 import ObjectVersion
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import Readers
from jetway.loading.folder import DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tools import venvs

from .test_loader import VERSION

FACTS = EnvironmentFacts("acme", "AVAILABLE", VERSION, "live", "dags")

# One DAG for each JSON file beside it, as people write it.
FACTORY = """
import json
from datetime import datetime
from pathlib import Path

from airflow import DAG

for path in sorted((Path(__file__).parent / "flows").glob("*.json")):
    flow = json.loads(path.read_text())
    with DAG(f"flow_{flow['name']}", start_date=datetime(2026, 1, 1), schedule=flow.get("schedule")) as dag:
        globals()[dag.dag_id] = dag
"""
BY_NAME = """
import configparser
from airflow import DAG

config = configparser.ConfigParser()
config.read("/usr/local/airflow/dags/conf/orders.ini")
with DAG("orders", schedule=None, tags=[config["orders"]["team"]]):
    pass
"""

SERVES = """
import json, sys
import app

class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 110_000)

out = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    print(json.dumps(app.handler(json.loads(line), Context())), file=out, flush=True)
"""


class ImportDag:
    """Lambda with import_dag: the function itself, in a process that stays."""

    def __init__(self) -> None:
        paths = [str(venvs.ROOT / folder) for folder in ("layers/loader", "functions/import_dag")]
        self.process = subprocess.Popen(
            [str(venvs.ensure(f"airflow-{VERSION}")), "-c", SERVES],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(json.loads(Payload)) + "\n")
        self.process.stdin.flush()
        return {"Payload": io.BytesIO(self.process.stdout.readline().encode())}


class World:
    """Two buckets, the table, and a loader."""

    def __init__(self, client: Any) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("drop", "live"):
            self.s3.create_bucket(Bucket=bucket)
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        make_artifact_table(dynamodb)
        self.dropped = datetime.now(UTC) - timedelta(hours=1)
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=lambda: datetime.now(UTC)),
            LoadFunctions(client, self.s3, "drop", {FACTS.major: "import-dag"}),
            DagClaims(dynamodb, TABLE, lambda _key: True),
            Plugins(self.s3, "drop", now=lambda: datetime.now(UTC)),
            readers=Readers(dynamodb, TABLE),
            live_dags=lambda key: (("flow_books",), False) if key == "dags/cfg/factory.py" else None,
            grace=timedelta(seconds=30),
        )

    def judge(self, path: str, text: str) -> Judgement:
        """Judge a file, and put it live unless it is refused."""
        key, content = f"dags/{path}", text.encode()
        static = kind_of(key).check(Candidate(key, len(content), content), FACTS, 1024**2)
        version = ObjectVersion("drop", key, "v1", "etag", len(content), self.dropped)
        judged = self.loader(version, content, FACTS, static)
        if judged.verdict != "rejected":
            self.s3.put_object(Bucket="live", Key=key, Body=content)
        return judged


@pytest.fixture(scope="module")
def import_dag() -> Iterator[ImportDag]:
    function = ImportDag()
    with function.process:  # closes its pipes, and waits
        yield function
        function.process.kill()


@pytest.fixture
def world(import_dag: ImportDag, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield World(import_dag)


def test_a_broken_data_file_is_refused_with_the_dag_file_that_it_takes_down(world: World) -> None:
    for name in ("books", "maps"):
        assert world.judge(f"cfg/flows/{name}.json", json.dumps({"name": name})).verdict == "accepted"
    judged = world.judge("cfg/factory.py", FACTORY)
    assert [dag.dag_id for dag in judged.dags] == ["flow_books", "flow_maps"]
    judged = world.judge("cfg/flows/maps.json", '{"name": "maps", "schedule": "@daily",}')
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule) == ("rejected", "breaks-dag-file")
    assert "dags/cfg/factory.py reads this file, and does not load with it: JSONDecodeError" in finding.message
    judged = world.judge("cfg/flows/new.json", '{"nam": "new"}')
    assert (judged.verdict, judged.findings[0].rule) == ("rejected", "breaks-dag-file")
    assert "KeyError: 'name'" in judged.findings[0].message
    for name, schedule in (("maps", "@daily"), ("new", None)):
        judged = world.judge(f"cfg/flows/{name}.json", json.dumps({"name": name, "schedule": schedule}))
        assert (judged.verdict, judged.findings, judged.readers) == ("accepted", (), ("cfg/factory.py",))


def test_so_is_one_that_is_read_by_mwaas_path_and_what_nobody_reads_is_not(world: World) -> None:
    assert world.judge("conf/orders.ini", "[orders]\nteam = sales\n").verdict == "accepted"
    judged = world.judge("orders.py", BY_NAME)
    assert [(dag.dag_id, dag.tags) for dag in judged.dags] == [("orders", ("sales",))]
    assert world.judge("conf/orders.ini", "[order]\nteam = sales\n").verdict == "rejected"
    assert world.judge("conf/other.ini", "[order").verdict == "accepted"
    assert world.judge("conf/orders.ini", "[orders]\nteam = books\n").verdict == "accepted"


def test_what_hides_a_live_dag_is_refused(world: World) -> None:
    assert world.judge("cfg/flows/books.json", '{"name": "books"}').verdict == "accepted"
    assert world.judge("cfg/factory.py", FACTORY).verdict == "accepted"
    world.s3.put_object(Bucket="drop", Key="dags/cfg/factory.py", Body=FACTORY.encode())
    pattern = "cfg/" if FACTS.major >= 3 else "^cfg"
    judged = world.judge(".airflowignore", f"{pattern}\n")
    assert (judged.verdict, judged.findings[0].rule) == ("rejected", "hides-dags")
    assert "dags/cfg/factory.py (flow_books)" in judged.findings[0].message
    judged = world.judge(".airflowignore", f"# jetway: hides dags/cfg/*\n{pattern}\n")
    assert (judged.verdict, judged.findings[0].severity) == ("accepted", "warning")
