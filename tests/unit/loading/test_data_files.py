"""Data files are judged by the DAG files that read them, and .airflowignore by the DAGs that it takes away."""

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
from jetway.aws.s3 import ObjectVersion
from jetway.errors import SiblingsExpectedError
from jetway.loading.claims import DagClaims
from jetway.loading.data_file_readers import MOST_KEPT, Readers, kept
from jetway.loading.folder import DagsFolder
from jetway.loading.import_dag_client import LoadFunctions
from jetway.loading.loader import DagLoader
from jetway.loading.plugins import Plugins
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")
DAG_FILE = Judgement("dag-file", "accepted")
DATA = Judgement("dags-folder-file", "accepted")
IGNORE = Judgement("airflowignore", "accepted")
LONG = 40.0  # seconds: longer than the grace
FACTORY = b"reads cfg/flows/*.json"


class ImportDag:
    """Lambda with an import_dag: a DAG file's text says what it reads, and it fails for JSON that is none."""

    def __init__(self) -> None:
        self.loads: list[list[str]] = []
        self.dies_of = b"\0"

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        asked = json.loads(Payload)
        self.loads.append(asked["files"])
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(asked["bundle"]["zip"]))) as bundle:
            files = {name: bundle.read(name) for name in bundle.namelist()}
        if any(self.dies_of in content for content in files.values()) and asked["files"]:
            died = {"errorType": "Runtime.ExitError", "errorMessage": "signal 11"}
            return {"Payload": io.BytesIO(json.dumps(died).encode()), "FunctionError": "Unhandled"}
        loaded = [self.load(name, files) for name in reversed(asked["files"])]
        return {"Payload": io.BytesIO(json.dumps({"airflow": "3.3.1", "loaded": loaded}).encode())}

    @staticmethod
    def load(name: str, files: dict[str, bytes]) -> dict[str, Any]:
        text = files[name].decode()
        read, findings, verdict = [], [], "accepted"
        if text.startswith("reads "):
            folder, slash, pattern = text.removeprefix("reads ").rpartition("/")
            folder += slash if folder else ""
            flows = [path for path in files if path.startswith(folder) and path.endswith(pattern.lstrip("*"))]
            read = [folder, *flows] if "*" in pattern else flows
            bad = [path for path in flows if b"broken" in files[path]]
            doubtful = [path for path in flows if b"doubtful" in files[path]]
            if bad or doubtful:
                words = {"rule": "import-error", "message": f"JSONDecodeError of {(bad + doubtful)[0]}", "line": 9}
                findings = [{**words, "severity": "error", "remedy": "Correct it."}]
                verdict = "rejected" if bad else "unknown"
        made = [content.decode() for path, content in files.items() if path in read and content.startswith(b"dag_")]
        dags: list[dict[str, Any]] = [
            {"dag_id": dag_id, "line": 1, "schedule": None, "tags": [], "tasks": 0} for dag_id in made
        ]
        told = {"path": name, "verdict": verdict, "findings": findings, "missing": [], "siblings": [], "read": read}
        return {**told, "skipped": None, "dags": dags, "seconds": 0.1}


class World:
    """Two buckets, the table, and a loader."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        for bucket in ("drop", "live"):
            self.s3.create_bucket(Bucket=bucket)
        dynamodb = boto3.client("dynamodb")
        make_artifact_table(dynamodb)
        self.import_dag, self.waited = ImportDag(), LONG
        self.dropped = datetime.now(UTC) - timedelta(minutes=20)
        self.live_dags: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.readers = Readers(dynamodb, TABLE)
        client: Any = self.import_dag
        self.loader = DagLoader(
            DagsFolder(self.s3, "drop", now=self.now),
            LoadFunctions(client, self.s3, "drop", {3: "import-dag"}),
            DagClaims(dynamodb, TABLE, lambda _key: True),
            Plugins(self.s3, "drop", now=self.now),
            readers=self.readers,
            live_dags=self.live_dags.get,
            grace=timedelta(seconds=30),
            now=self.now,
        )

    def items(self) -> list[str]:
        """The keys of the table."""
        return [item["pk"]["S"] for item in boto3.client("dynamodb").scan(TableName=TABLE)["Items"]]

    def now(self) -> datetime:
        return self.dropped + timedelta(seconds=self.waited)

    def live(self, path: str, content: bytes, *dags: str, guessed: bool = False) -> None:
        """Put a file live; one with DAGs has come through the drop bucket."""
        if dags or guessed:
            self.s3.put_object(Bucket="drop", Key=f"dags/{path}", Body=content)
            self.live_dags[f"dags/{path}"] = (dags, guessed)
        self.s3.put_object(Bucket="live", Key=f"dags/{path}", Body=content)

    def judge(self, path: str, content: bytes, static: Judgement = DATA, *, after: float = LONG) -> Judgement:
        self.waited = after
        version = ObjectVersion("drop", f"dags/{path}", "v1", "etag", len(content), self.dropped)
        return self.loader(version, content, FACTS, static)

    def judge_dag_file(self, path: str, content: bytes) -> Judgement:
        """Judge a DAG file and put it live."""
        judged = self.judge(path, content, DAG_FILE)
        self.live(path, content)
        return judged


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        world = World()
        world.live("cfg/flows/books.json", b"{}")
        world.live("cfg/flows/maps.json", b"{}")
        world.judge_dag_file("cfg/factory.py", FACTORY)
        world.import_dag.loads.clear()
        yield world


def test_a_data_file_that_breaks_its_reader_is_refused_with_the_readers_name_and_error(world: World) -> None:
    judged = world.judge("cfg/flows/maps.json", b"broken")
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule, finding.severity) == ("rejected", "breaks-dag-file", "error")
    assert finding.message == (
        "dags/cfg/factory.py reads this file, and does not load with it: "
        "JSONDecodeError of cfg/flows/maps.json (line 9)"
    )
    assert world.import_dag.loads == [["cfg/factory.py"], ["cfg/factory.py"]], "with the file, and without it"


@pytest.mark.parametrize("path", ["cfg/flows/new.json", "cfg/flows/deep/er/new.json"])
def test_so_is_a_new_one_in_a_folder_that_is_listed(world: World, path: str) -> None:
    assert world.judge(path, b"broken").verdict == "rejected"
    judged = world.judge(path, b"{}")
    assert (judged.verdict, judged.findings, judged.readers) == ("accepted", (), ("cfg/factory.py",))


def test_a_newer_dag_file_may_be_on_its_way(world: World) -> None:
    with pytest.raises(SiblingsExpectedError, match=r"dags/cfg/factory\.py fails with it"):
        world.judge("cfg/flows/maps.json", b"broken", after=20)


def test_a_reader_that_was_broken_before_is_not_its_fault(world: World) -> None:
    world.live("cfg/flows/books.json", b"broken")
    judged = world.judge("cfg/flows/maps.json", b"broken")
    assert (judged.verdict, judged.findings) == ("accepted", ())


def test_a_failure_that_is_not_certain_leaves_it_unknown(world: World) -> None:
    judged = world.judge("cfg/flows/maps.json", b"doubtful")
    assert (judged.verdict, [finding.severity for finding in judged.findings]) == ("unknown", ["warning"])


def test_a_reader_that_ends_the_function_is_named(world: World) -> None:
    world.import_dag.dies_of = b"deadly"
    judged = world.judge("cfg/flows/maps.json", b"deadly")
    assert judged.verdict == "rejected"
    assert "ended the function that loads it (Runtime.ExitError: signal 11)" in judged.findings[0].message


@pytest.mark.parametrize("path", ["sql/orders.sql", "cfg/readme.txt", "other/flows/a.json", "notes.md"])
def test_what_nobody_reads_costs_no_load(world: World, path: str) -> None:
    assert world.judge(path, b"broken") == DATA
    assert world.import_dag.loads == []


def test_a_file_that_is_too_large_to_be_copied_is_not_loaded(world: World) -> None:
    assert world.judge("cfg/flows/maps.json", b"x" * (1024**2 + 1)) == DATA
    assert world.import_dag.loads == []


def test_a_reader_that_reads_it_no_more_or_is_gone_is_not_asked(world: World) -> None:
    world.judge_dag_file("cfg/factory.py", b"reads nothing/at_all.json")
    assert world.judge("cfg/flows/maps.json", b"broken") == DATA
    world.judge_dag_file("cfg/factory.py", FACTORY)
    world.loader.release("dags/cfg/factory.py")
    assert world.judge("cfg/flows/maps.json", b"broken") == DATA
    assert not [item for item in world.items() if item.startswith("read")], "nothing is left of it"
    world.readers.remember("cfg/gone.py", ["cfg/flows/"])
    assert world.judge("cfg/flows/maps.json", b"broken") == DATA, "there is no such DAG file"


def test_a_dag_file_that_is_refused_reads_nothing(world: World) -> None:
    assert world.judge("bad.py", b"reads bad/x.json", DAG_FILE).verdict == "accepted"
    world.live("worse/x.json", b"broken")
    assert world.judge("worse.py", b"reads worse/x.json", DAG_FILE).verdict == "rejected"
    assert world.readers.of("worse/x.json", ()) == []


def test_a_dag_that_comes_of_a_data_file_is_its_readers_and_no_other_files(world: World) -> None:
    world.live("other.json", b"dag_b")
    world.judge_dag_file("other.py", b"reads /other.json")
    assert world.judge("cfg/flows/maps.json", b"dag_a").verdict == "accepted"
    assert "dag#dag_a" in world.items()
    with pytest.raises(SiblingsExpectedError, match="it defines a DAG that belongs to another file"):
        world.judge("cfg/flows/maps.json", b"dag_b", after=20)
    judged = world.judge("cfg/flows/maps.json", b"dag_b")
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule) == ("rejected", "duplicate-dag-id")
    assert finding.message.startswith(
        "With this file, dags/cfg/factory.py defines a DAG 'dag_b', and dags/other.py also defines one."
    )
    assert world.judge("cfg/flows/maps.json", b"dag_c").verdict == "accepted"
    assert "dag#dag_a" not in world.items(), "nobody makes it any more"


def test_what_is_kept_of_what_was_read() -> None:
    assert kept(["flows/", "flows/a.json", "flows", "sql/b.sql", "/", "top.yaml"]) == ["/", "flows/", "sql/b.sql"]
    assert len(kept(f"a{number}/x" for number in range(1000))) == MOST_KEPT


def test_hiding_live_dags_waits_for_their_deletion_and_is_refused(world: World) -> None:
    world.live("old/a.py", b"", "a_daily")
    world.live("old/b.py", b"", guessed=True)
    world.live("old/helpers.py", b"x = 1")
    world.live("old/put.py", b"from airflow import DAG\nwith DAG('by_hand'):\n    pass\n")
    with pytest.raises(SiblingsExpectedError, match=r"hides dags/old/a\.py"):
        world.judge(".airflowignore", b"old/\n", IGNORE, after=20)
    judged = world.judge(".airflowignore", b"old/\n", IGNORE)
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule) == ("rejected", "hides-dags")
    assert (
        "dags/old/a.py (a_daily), dags/old/b.py (its DAGs are known only when it runs), dags/old/put.py (by_hand)"
    ) in (finding.message)
    said = world.judge(".airflowignore", b"# jetway: hides dags/old/*.py\nold/\n", IGNORE)
    assert (said.verdict, [finding.severity for finding in said.findings]) == ("accepted", ["warning"])
    assert world.import_dag.loads == [], "nothing is loaded for it"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".airflowignore", b"helpers.py\n"),
        (".airflowignore", b"nothing/\n*.md\n"),
        (".airflowignore", b"old/*\n!old/a.py\n"),
        ("old/.airflowignore", b"helpers.py\n"),
        ("team/.airflowignore", b"old/\na.py\n"),
        (".airflowignore", b""),
    ],
)
def test_hiding_modules_or_nothing_gets_no_word(world: World, path: str, text: bytes) -> None:
    world.live("old/a.py", b"", "a_daily")
    world.live("old/helpers.py", b"x = 1")
    assert world.judge(path, text, IGNORE) == IGNORE


def test_what_was_hidden_before_is_not_newly_hidden(world: World) -> None:
    world.live("old/a.py", b"", "a_daily")
    world.live(".airflowignore", b"old/\n")
    assert world.judge(".airflowignore", b"old/\nhelpers/\n", IGNORE) == IGNORE


def test_what_cannot_be_read_stands(world: World) -> None:
    rejected = Judgement("airflowignore", "rejected")
    assert world.judge(".airflowignore", b"!", rejected) == rejected
