"""import_dag's handler with a real Airflow, without the stack: bundles in, one process as Lambda keeps it warm."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import zipfile
from typing import Any

import pytest

from jetway.loading.loader import packed
from tools import venvs
from tools.bench.gate.corpus import good
from tools.emulator import airflow

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
PROGRAM = """
import json, os, pathlib, sys
from functions.import_dag import app

class Context:
    def __init__(self, seconds): self.seconds = seconds
    def get_remaining_time_in_millis(self): return int(self.seconds * 1000)

answers = []
for line in sys.stdin:
    given = json.loads(line)
    try:
        answer = app.handler(given["event"], Context(given["seconds"]))
    except Exception as exc:
        answer = {"raised": type(exc).__name__}
    answers.append(answer | {"left_behind": app._dags.exists()})
print(json.dumps(answers))
"""
OPTIONS = {"import_timeout": 30.0, "airflow_version": VERSION}
SLEEPS = "import time\nfrom airflow import DAG\ntime.sleep(60)\n"
NAMED = (
    "import os\nfrom airflow import DAG\ndag = DAG(os.environ['AIRFLOW__CORE__DEFAULT_TIMEZONE'].replace('/', '_'))\n"
)
HUNGRY = "from airflow import DAG\nrows = bytearray(2 * 1024**3)\n"  # twice the bound
FILES = {
    "good.py": good("good"),
    "broken.py": "from airflow import DAG\n1 / 0\n",
    "sleeps.py": SLEEPS,
    "hungry.py": HUNGRY,
    "named.py": NAMED,
    "needs.py": "from airflow import DAG\nimport acme_tools, acme_more\ndag = DAG('needs')\n",
}


def bundle(**files: str) -> dict[str, str]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return {"zip": base64.b64encode(out.getvalue()).decode()}


def event(*files: str, **options: Any) -> dict[str, Any]:
    return {"bundle": bundle(**FILES), "files": files, "options": OPTIONS | options}


INVOCATIONS = {
    "cold": event("good.py", "broken.py"),
    "from an address": event("good.py"),
    "another version": event("broken.py", airflow_version="3.0.6"),
    "no file": event(),
    "not there": event("nothing.py"),
    "no zip": event("good.py") | {"bundle": {"zip": "aGVsbG8="}},
    "no options": event("left.py") | {"bundle": bundle(**{"left.py": good("left")}), "options": {}},
    "what is left of it": event("left.py"),
    "options": event("named.py", airflow_options={"core.default_timezone": "utc"}),
    "unprovided": event("needs.py"),
    "provided": event("needs.py", provided=["acme_tools", "acme_more"]),
    "known": event("needs.py", inventory=packed({"contents": {"acme_tools": None, "acme_more": ""}})),
    "unlisted": event("needs.py", unlisted=["acme"]),
    "short of time": event("sleeps.py"),
    "a short timeout": event("sleeps.py", import_timeout=1.0),
    "hungry": event("hungry.py"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Invoke it once for each, in one process."""
    file = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    file.write_bytes(base64.b64decode(bundle(**FILES)["zip"]))
    asked = INVOCATIONS | {"from an address": event("good.py") | {"bundle": {"url": file.as_uri()}}}
    seconds = {"short of time": 8.0}
    lines = (json.dumps({"event": each, "seconds": seconds.get(name, 120.0)}) for name, each in asked.items())
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    path = os.pathsep.join([str(venvs.ROOT), str(venvs.ROOT / "layers" / "loader")])
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-c", PROGRAM],
        input="\n".join(lines),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "AWS_SESSION_TOKEN": "secret"} | measured,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(asked, json.loads(done.stdout.splitlines()[-1]), strict=True))


def loaded(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["airflow"] == VERSION
    return {each["path"]: each for each in answer["loaded"]}


def test_a_good_file_and_a_broken_one(answers: dict[str, Any]) -> None:
    found = loaded(answers["cold"])
    assert (found["good.py"]["verdict"], [dag["dag_id"] for dag in found["good.py"]["dags"]]) == ("accepted", ["good"])
    assert found["broken.py"]["verdict"] == "rejected"
    assert found["broken.py"]["findings"][0]["line"] == 2


def test_a_bundle_from_an_address_is_the_same(answers: dict[str, Any]) -> None:
    assert loaded(answers["from an address"])["good.py"]["verdict"] == "accepted"


def test_with_another_version_of_airflow_no_failure_is_certain(answers: dict[str, Any]) -> None:
    assert loaded(answers["another version"])["broken.py"]["verdict"] == "unknown"


def test_without_a_file_it_works_which_the_gate_asks_after_a_death(answers: dict[str, Any]) -> None:
    assert loaded(answers["no file"]) == {}


def test_what_the_environment_has_counts(answers: dict[str, Any]) -> None:
    assert [dag["dag_id"] for dag in loaded(answers["options"])["named.py"]["dags"]] == ["utc"]
    verdicts = {
        name: loaded(answers[name])["needs.py"]["verdict"] for name in ("unprovided", "provided", "known", "unlisted")
    }
    assert verdicts == {"unprovided": "rejected", "provided": "unknown", "known": "accepted", "unlisted": "unknown"}


def test_with_little_time_left_a_slow_file_is_given_up_in_time_and_not_blamed(answers: dict[str, Any]) -> None:
    assert loaded(answers["short of time"])["sleeps.py"]["verdict"] == "unknown"


def test_a_file_has_the_time_that_the_environment_gives_it(answers: dict[str, Any]) -> None:
    found = loaded(answers["a short timeout"])["sleeps.py"]
    assert (found["verdict"], found["findings"][0]["rule"]) == ("rejected", "timeout")


def test_a_file_that_takes_all_memory_takes_none_from_the_function(answers: dict[str, Any]) -> None:
    found = loaded(answers["hungry"])["hungry.py"]
    assert (found["findings"][0]["rule"], found["findings"][0]["line"]) == ("memory", 2)


def test_a_wrong_request_is_an_error_of_the_function(answers: dict[str, Any]) -> None:
    assert answers["not there"]["raised"] == "FileNotFoundError"
    assert answers["no zip"]["raised"] == "BadZipFile"
    assert answers["no options"]["raised"] == "KeyError"


def test_nothing_of_one_bundle_is_left_for_the_next(answers: dict[str, Any]) -> None:
    assert not any(answer["left_behind"] for answer in answers.values())
    assert answers["what is left of it"]["raised"] == "FileNotFoundError"
