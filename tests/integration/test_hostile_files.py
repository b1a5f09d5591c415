"""After any hostile file the next one is judged as in a fresh sandbox: real Airflow under Lambda's runtime client."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from jetway.errors import LoadUnavailableError
from jetway.loading.import_dag_client import LoadAnswer, LoadFunctions
from tests.integration.hostile_files import GOOD, HOSTILE
from tests.integration.sandbox_rig import SECRET, Sandbox, namespaces
from tools.emulator import airflow

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
OPTIONS = {"import_timeout": 3.0, "airflow_version": VERSION}
IN_VAIN = {"a crash", "it stops", "a forged answer without end"}  # what is waited for until the time is over
pytestmark = [
    pytest.mark.loading,
    pytest.mark.skipif(namespaces() is None, reason="hostile files run where nothing else is: unshare is not allowed"),
]


class World:
    """One sandbox, and the gate's own side of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.functions = LoadFunctions(
            cast("LambdaClient", self.sandbox), cast("S3Client", None), "drop", {3: "import-dag"}
        )
        self.fresh = self.load("good.py", GOOD)

    def load(self, name: str, files: dict[str, str], **options: float) -> Any:
        """What is said of a file, without the times."""
        found: LoadAnswer = self.functions.load("import-dag", zipped(files), [name], OPTIONS | options)
        loaded = found.loaded or {}
        return {key: value for key, value in loaded.items() if "seconds" not in key} | {"died": found.died}


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return out.getvalue()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Sandbox(VERSION) as sandbox:
        yield World(sandbox)


def test_the_good_file_is_accepted_in_a_fresh_sandbox(world: World) -> None:
    assert (world.fresh["verdict"], world.fresh["findings"]) == ("accepted", [])
    assert [dag["dag_id"] for dag in world.fresh["dags"]] == ["good"]
    assert len(HOSTILE) >= 25


@pytest.mark.parametrize("trick", HOSTILE)
def test_the_next_file_is_judged_as_in_a_fresh_sandbox(world: World, trick: str) -> None:
    hurry = {"import_timeout": 0.3} if trick in IN_VAIN else {}
    said = world.load("hostile.py", {"hostile.py": HOSTILE[trick]}, **hurry)
    assert SECRET not in json.dumps(said)
    assert said["died"] is None, "a file does not end the process that judges it"
    assert world.load("good.py", GOOD) == world.fresh
    assert world.sandbox.unasked() == []


def test_an_answer_about_several_files_is_of_each_as_if_it_were_alone(world: World) -> None:
    """What a file changes in the folder that all of them share is not there for the next one."""
    files = {**GOOD, "a.py": HOSTILE["the configuration"], "b.py": HOSTILE["a session of its own"]}
    found = world.functions.load_each("import-dag", zipped(files), ["a.py", "b.py", "good.py"], OPTIONS)
    loaded = found["good.py"].loaded
    assert loaded is not None
    assert {key: value for key, value in loaded.items() if "seconds" not in key} | {"died": None} == world.fresh


def test_a_sandbox_that_cannot_be_made_clean_says_nothing_of_a_file(world: World) -> None:
    """Here every fresh one is spent, too: there is no answer, and no verdict."""

    class Spent:
        @staticmethod
        def invoke(**_: Any) -> dict[str, Any]:
            text = b'{"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited with error: exit status 75"}'
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(text)}

    functions = LoadFunctions(cast("LambdaClient", Spent()), cast("S3Client", None), "drop", {3: "import-dag"})
    with pytest.raises(LoadUnavailableError, match="no fresh sandbox"):
        functions.load("import-dag", zipped(GOOD), ["good.py"], OPTIONS)
    assert world.fresh["verdict"] == "accepted"
