"""airflow_local_settings.py goes live only when it is certain to work, and breaks no DAG file that is live."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.artifacts.findings import Judgement
from jetway.artifacts.kinds import kind_of
from jetway.aws.s3 import head
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import Readers
from jetway.loading.folder import DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.local_settings import certain
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE
from tests.unit.artifacts.zips import zip_of
from tests.unit.loading.test_loader import FACTS, World, _names

KEY = "dags/airflow_local_settings.py"
READ = Judgement("local-settings", "unknown")
PLUGINS_READ = Judgement("plugins", "accepted")
ERROR = {"rule": "import-error", "severity": "error", "message": "No tags.", "line": 1, "remedy": "Give it one."}


class ImportDag:
    """Lambda with an import_dag: untagged.py fails under every policy, old.py always."""

    def __init__(self) -> None:
        self.settings = "accepted"
        self.asked: list[tuple[str | None, list[str], bool]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert FunctionName == "import-dag"
        question = json.loads(Payload)
        names = {*(_names(question["bundle"]) or ()), *(_names(question.get("plugins")) or ())}
        policy = "airflow_local_settings.py" in names
        self.asked.append((question.get("load"), question["files"], policy))
        loaded = [
            self._loaded(path, path == "old.py" or (policy and path.endswith("untagged.py")))
            for path in question["files"]
        ]
        if question.get("load") == "local-settings":
            loaded = [self._loaded("airflow_local_settings.py", self.settings == "rejected")]
            loaded[0]["verdict"] = self.settings
        elif question.get("load"):
            loaded = [self._loaded("../plugins.zip", False)]
        return {"Payload": io.BytesIO(json.dumps({"airflow": "3.3.1", "loaded": loaded}).encode())}

    @staticmethod
    def _loaded(path: str, fails: bool) -> dict[str, Any]:
        return {
            "path": path,
            "verdict": "rejected" if fails else "accepted",
            "findings": [ERROR] if fails else [],
            "missing": [],
            "siblings": [],
            "skipped": None,
            "dags": [],
            "seconds": 0.1,
        }


class Settings(World):
    """The buckets with three DAG files that are live."""

    def __init__(self) -> None:
        super().__init__()
        self.function = ImportDag()
        client: Any = self.function
        for name in ("untagged", "old", "tagged"):
            self.s3.put_object(Bucket="live", Key=f"dags/{name}.py", Body=b"")
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=lambda: self.now),
            LoadFunctions(client, self.s3, "drop", {3: "import-dag"}),
            DagClaims(boto3.client("dynamodb"), TABLE, lambda _key: True),
            Plugins(self.s3, "drop", now=lambda: self.now),
            readers=Readers(boto3.client("dynamodb"), TABLE),
            grace=timedelta(seconds=30),
            now=lambda: self.now,
        )

    def judged(self, key: str = KEY, body: bytes = b"", read: Judgement = READ) -> Judgement:
        self.s3.put_object(Bucket="drop", Key=key, Body=body)
        version = head(self.s3, "drop", key)
        assert version is not None
        self.now = version.last_modified + timedelta(seconds=60)
        return certain(self.loader(version, body, FACTS, read))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Settings()


def test_it_is_a_kind_of_its_own_in_the_root_of_the_dags_folder_only() -> None:
    assert kind_of(KEY).name == "local-settings"
    assert kind_of("dags/team/airflow_local_settings.py").name == "dag-file"


def test_one_that_works_and_breaks_nothing_is_accepted(world: Settings) -> None:
    world.s3.delete_object(Bucket="live", Key="dags/untagged.py")
    judged = world.judged()
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert world.function.asked == [
        ("local-settings", [], True),
        (None, ["old.py", "tagged.py"], True),
        (None, ["old.py"], False),
    ], "what fails without it, too, is not its fault"


def test_dag_files_that_fail_with_it_and_load_without_it_refuse_it(world: Settings) -> None:
    judged = world.judged()
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule) == ("rejected", "breaks-dags")
    assert finding.message == "dags/untagged.py loads without it and fails with it: No tags."


def test_many_that_fail_are_counted(world: Settings) -> None:
    for number in range(10):
        world.s3.put_object(Bucket="live", Key=f"dags/{number}/untagged.py", Body=b"")
    assert [finding.message for finding in world.judged().findings][-1] == "6 more DAG files fail with it."


def test_one_that_fails_is_rejected_with_airflows_words(world: Settings) -> None:
    world.function.settings = "rejected"
    judged = world.judged()
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("rejected", ["import-error"])
    assert len(world.function.asked) == 1


def test_one_of_which_nobody_is_sure_is_refused(world: Settings) -> None:
    world.function.settings = "unknown"
    judged = world.judged()
    assert (judged.verdict, judged.findings[-1].rule) == ("rejected", "not-certain")


def test_where_no_airflow_is_deployed_it_is_refused() -> None:
    assert certain(READ).verdict == "rejected"
    assert certain(Judgement("dag-file", "unknown")).verdict == "unknown", "others go live"


def test_more_dag_files_than_can_be_judged_anew_refuse_it(world: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetway.loading.local_settings.MOST_FILES", 2)
    assert [finding.rule for finding in world.judged().findings] == ["not-loaded", "not-certain"]


def test_that_of_a_plugins_zip_is_judged_in_the_same_way(world: Settings) -> None:
    body = zip_of({"airflow_local_settings.py": b""})
    judged = world.judged("plugins.zip", body, PLUGINS_READ)
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("rejected", ["breaks-dags"])
    world.s3.delete_object(Bucket="live", Key="dags/untagged.py")
    assert world.judged("plugins.zip", body, PLUGINS_READ).verdict == "accepted"
    world.function.settings = "unknown"
    assert world.judged("plugins.zip", body, PLUGINS_READ).verdict == "rejected"
    assert world.judged("plugins.zip", zip_of({"orders.py": b""}), PLUGINS_READ).verdict == "accepted"
