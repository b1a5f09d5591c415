"""The loader: a file is judged by what lay in the folder when it was copied, however long loading takes."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Finding, Judgement
from jetway.artifacts.plugins.plugin_modules import MOST_BYTES
from jetway.aws.s3 import ObjectVersion, head
from jetway.errors import SiblingsExpectedError
from jetway.loading.advice import ruff_command
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import Readers
from jetway.loading.folder import LARGEST_ZIP, DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader, adviser
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.artifacts.zips import zip_of

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")
READ = Judgement("dag-file", "accepted")
ADVICE = Finding("advice", "warning", "It is gone.", 1, "Write it anew.")
MISSING = {"rule": "missing-module", "severity": "error", "message": "No module.", "line": 1, "remedy": "Upload it."}


def _names(packed: dict[str, str] | None) -> list[str] | None:
    if packed is None:
        return None
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed["zip"]))) as archive:
        return archive.namelist()


class ImportDag:
    """Lambda with an import_dag that takes its time, and finds a module if the bundle has it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert FunctionName == "import-dag"
        question = json.loads(Payload)
        self.world.asked.append(question["options"])
        self.world.plugins.append(_names(question.get("plugins")))
        there = "helpers.py" in {*(_names(question["bundle"]) or ()), *(self.world.plugins[-1] or ())}
        self.world.while_loading()
        loaded = {
            "path": (question["files"] or ["../plugins.zip"])[0],
            "verdict": "accepted" if there else "rejected",
            "missing": [] if there else ["helpers"],
            "findings": [] if there else [MISSING],
            "siblings": [],
            "skipped": None,
            "dags": self.world.dags,
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
        self.asked: list[dict[str, Any]] = []  # options of every load
        self.dags: list[dict[str, Any]] = []  # that files make
        self.plugins: list[list[str] | None] = []  # and which plugins it was given
        client: Any = ImportDag(self)
        dynamodb = boto3.client("dynamodb")
        make_artifact_table(dynamodb)
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=lambda: self.now),
            LoadFunctions(client, self.s3, "drop", {3: "import-dag"}),
            DagClaims(dynamodb, TABLE, lambda _key: True),
            Plugins(self.s3, "drop", now=lambda: self.now),
            readers=Readers(dynamodb, TABLE),
            grace=timedelta(seconds=30),
            provided=lambda facts: {"modules": ["pandas"], "unlisted": ["acme"]} if facts.major == 3 else {},
            advise=lambda content, major: (ADVICE,) if (content, major) == (b"import helpers", 3) else (),
            now=lambda: self.now,
        )

    def while_loading(self) -> None:
        self.now += self.takes
        if self.comes is not None:
            self.s3.put_object(Bucket="drop", Key=self.comes, Body=b"")

    def judge(self, *, after: float, facts: EnvironmentFacts = FACTS) -> Judgement:
        self.now = self.dropped + timedelta(seconds=after)
        return self.loader(self.version(), b"import helpers", facts, READ)

    def version(self) -> ObjectVersion:
        return ObjectVersion("drop", "dags/orders.py", "v1", "etag", 1, self.dropped)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield World()


def test_a_module_that_comes_while_a_slow_load_goes_on_is_waited_for(world: World) -> None:
    world.takes, world.comes = timedelta(seconds=25), "dags/helpers.py"
    with pytest.raises(SiblingsExpectedError, match="the module helpers does not exist yet"):
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
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("rejected", ["missing-module", "advice"])


def test_a_file_that_cannot_load_by_its_text_is_not_loaded(world: World) -> None:
    rejected = Judgement("dag-file", "rejected")
    world.takes = timedelta(days=1)
    assert world.loader(world.version(), b"", FACTS, rejected) is rejected
    assert world.now == world.dropped, "and nothing took a day"


def test_a_missing_module_proves_nothing_where_the_folder_is_too_large_to_be_copied(world: World) -> None:
    for number in range(3):
        world.s3.put_object(Bucket="live", Key=f"dags/{number}.csv", Body=bytes(1024**2 + 1))
    judged = world.judge(after=60)
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("unknown", ["not-loaded"])
    assert "too large to copy completely, and a module is missing" in judged.findings[0].message


@pytest.mark.parametrize(
    ("configured", "seconds"), [(None, 30.0), ("12.5", 12.5), ("0", 30.0), ("-1", 30.0), ("half a minute", 30.0)]
)
def test_a_file_has_the_time_that_the_environment_gives_it(
    world: World, configured: str | None, seconds: float
) -> None:
    options = {} if configured is None else {"core.dagbag_import_timeout": configured}
    world.judge(after=60, facts=replace(FACTS, options=options))
    (asked,) = world.asked
    assert (asked["import_timeout"], asked["airflow_options"]) == (seconds, options)
    assert asked["airflow_version"] == "3.3.1"


def test_of_the_environments_options_only_those_are_sent_that_change_what_loading_gives(world: World) -> None:
    secret = {"smtp.smtp_password": "hunter2", "Core.Default_Timezone": "utc", "secrets.backend_kwargs": "{}"}
    world.judge(after=60, facts=replace(FACTS, options=secret))
    (asked,) = world.asked
    assert asked["airflow_options"] == {"Core.Default_Timezone": "utc"}


def put_plugins(world: World, *names: str, bucket: str = "live", key: str = "plugins.zip") -> str:
    body = zip_of(dict.fromkeys(names, b""))
    return world.s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "")


def test_what_requirements_and_plugins_bring_is_there(world: World) -> None:
    world.judge(after=60)
    put_plugins(world, "menu/__init__.py", "menu/_fast.so", "hooks.py")
    world.judge(after=60)
    world.s3.put_object(Bucket="live", Key="plugins.zip", Body=b"no zip")
    world.judge(after=60, facts=replace(FACTS, plugins_path="plugins.zip"))
    world.s3.put_object(Bucket="live", Key="plugins.zip", Body=zip_of({"large.py": b"#" * (MOST_BYTES + 1)}))
    world.judge(after=60)
    assert [(asked["provided"], asked["binaries"], asked["unlisted"]) for asked in world.asked] == [
        (["pandas"], [], ["acme"]),
        (["pandas"], ["menu._fast"], ["acme"]),
        (["pandas"], [], ["acme", "plugins.zip"]),
        (["large", "pandas"], [], ["acme"]),
    ], "what cannot be read or is too large is stood in for"
    assert world.plugins == [None, ["menu/__init__.py", "menu/_fast.so", "hooks.py"], None, None]


def test_a_file_that_fails_with_the_plugins_to_come_and_loads_with_those_in_force_is_unknown(world: World) -> None:
    world.s3.put_bucket_versioning(Bucket="live", VersioningConfiguration={"Status": "Enabled"})
    in_force = replace(FACTS, plugins_path="plugins.zip", plugins_version=put_plugins(world, "helpers.py"))
    assert world.judge(after=60, facts=in_force).verdict == "accepted"
    put_plugins(world, "other.py")
    judged = world.judge(after=60, facts=in_force)
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("unknown", ["missing-module", "advice"])
    assert "fails with the plugins.zip that comes with the next update" in judged.findings[0].message
    assert world.judge(after=60).verdict == "rejected", "nothing else is in force"


def test_a_file_finds_the_plugins_that_are_dropped_with_it(world: World) -> None:
    put_plugins(world, "other.py")
    put_plugins(world, "helpers.py", bucket="drop")
    assert world.judge(after=1).verdict == "accepted"


def test_a_missing_module_may_come_with_a_requirements_txt_that_is_not_judged_yet(world: World) -> None:
    world.s3.put_object(Bucket="drop", Key="requirements.txt", Body=b"helpers")
    with pytest.raises(SiblingsExpectedError, match="requirements\\.txt was also dropped, and is not checked yet"):
        world.judge(after=100)


PLUGINS_READ = Judgement("plugins", "accepted", (Finding("no-plugin", "warning", "None.", None, "Nothing."),))


def judge_plugins(world: World, *names: str, after: float = 60) -> Judgement:
    put_plugins(world, *names, bucket="drop")
    version = head(world.s3, "drop", "plugins.zip")
    assert version is not None
    world.now = version.last_modified + timedelta(seconds=after)
    return world.loader(version, b"", FACTS, PLUGINS_READ)


def test_plugins_are_loaded_by_themselves_and_what_reading_says_stays(world: World) -> None:
    judged = judge_plugins(world, "helpers.py")
    assert (judged.verdict, judged.findings) == ("accepted", PLUGINS_READ.findings)
    assert world.plugins == [["helpers.py"]]
    assert judge_plugins(world, "other.py").verdict == "rejected"


def test_plugins_wait_for_what_may_be_on_its_way(world: World) -> None:
    with pytest.raises(SiblingsExpectedError, match="the module helpers does not exist yet"):
        judge_plugins(world, "other.py", after=10)


def test_plugins_that_are_too_large_to_be_imported_here_are_unknown(world: World) -> None:
    world.s3.put_object(Bucket="drop", Key="plugins.zip", Body=zip_of({"large.py": b"#" * (MOST_BYTES + 1)}))
    version = head(world.s3, "drop", "plugins.zip")
    assert version is not None
    judged = world.loader(version, b"", FACTS, PLUGINS_READ)
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("unknown", ["no-plugin", "not-loaded"])
    assert world.asked == []


def test_plugins_are_not_blamed_where_the_folder_is_too_large_to_be_copied_whole(world: World) -> None:
    world.s3.put_object(Bucket="live", Key="dags/0.csv", Body=bytes(1024**2 + 1))
    assert judge_plugins(world, "other.py").verdict == "unknown"


ZIP_READ = Judgement("packed-dags", "accepted", (Finding("no-dag", "warning", "None.", None, "Make one."),))


def judge_zip(world: World, content: bytes) -> Judgement:
    world.s3.put_object(Bucket="drop", Key="dags/z/orders.zip", Body=content)
    version = head(world.s3, "drop", "dags/z/orders.zip")
    assert version is not None
    world.now = version.last_modified + timedelta(seconds=60)
    return world.loader(version, b"", FACTS, ZIP_READ)


def test_packed_dags_are_loaded_and_their_dags_are_claimed(world: World) -> None:
    world.s3.put_object(Bucket="live", Key="dags/helpers.py", Body=b"")
    world.dags = [{"dag_id": "orders", "line": 2, "schedule": None, "tags": [], "tasks": 1}]
    judged = judge_zip(world, zip_of({"orders.py": b"import helpers"}))
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert [(dag.dag_id, dag.certainty) for dag in judged.dags] == [("orders", "loaded")]
    assert world.judge(after=60).findings[-1].rule == "duplicate-dag-id"
    world.loader.release("dags/z/orders.zip")
    assert world.judge(after=60).verdict == "accepted"


def test_packed_dags_that_fail_are_rejected_and_get_no_linters_advice(world: World) -> None:
    judged = judge_zip(world, zip_of({"orders.py": b"import helpers"}))
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("rejected", ["missing-module"])


def test_packed_dags_that_are_too_large_to_be_loaded_are_unknown(world: World) -> None:
    judged = judge_zip(world, bytes(LARGEST_ZIP + 1))
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("unknown", ["no-dag", "not-loaded"])


def test_a_file_that_is_gone_lets_its_dag_ids_go(world: World) -> None:
    client = boto3.client("dynamodb")
    claims = DagClaims(client, TABLE, lambda _key: True)
    claims.claim("dags/orders.py", ["orders"], world.now, world.now)
    for key in ("plugins.zip", "dags/notes.md"):
        world.loader.release(key)
    assert claims.claim("dags/other.py", ["orders"], world.now, world.now).keys() == {"orders"}
    world.loader.release("dags/orders.py")
    assert claims.claim("dags/other.py", ["orders"], world.now, world.now) == {}


GONE = b"from airflow import DAG\nfrom airflow.utils.dates import days_ago\nDAG('a', start_date=days_ago(1))\n"


def test_advice_is_for_airflow_3_and_holds_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ruff_command()
    assert command is not None
    assert {finding.severity for finding in adviser(command)(GONE, 3)} == {"warning"}
    assert adviser(command)(GONE, 2) == ()
    assert adviser(None)(GONE, 3) == ()
    assert caplog.records == []
    assert adviser(str(tmp_path / "nowhere"))(GONE, 3) == ()
    (line,) = (vars(line) for line in caplog.records)
    assert (line["msg"], "FileNotFoundError" in line["reason"]) == ("ruff returned no advice", True)
