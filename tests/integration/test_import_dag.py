"""import_dag with a real Airflow, without the stack: what the gate sends in, and what comes back."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.gate.corpus import good
from local import venvs
from tests.unit.artifacts.zips import zip_of

from .test_loader import MEASURED, VERSION

# Stands for Lambda's runtime: one line in is one request, one line out is its answer.
RUNTIME = """
import json
import sys
from types import SimpleNamespace
from functions.import_dag import app
left = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
for line in sys.stdin:
    try:
        answer = app.handler(json.loads(line), left)
    except Exception as exc:
        answer = {"raised": f"{type(exc).__name__}: {exc}"}
    print(json.dumps(answer))
"""
BROKEN = "from airflow import DAG\nimport nobody_has_this_module\n"
FILES = {"good.py": good("good").encode(), "broken.py": BROKEN.encode()}


def asked(python: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, "-c", RUNTIME],
        input="".join(json.dumps(request) + "\n" for request in requests),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{venvs.ROOT}:{venvs.ROOT / 'layers/loader'}"} | MEASURED,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(bundle: dict[str, str], *files: str, version: str = VERSION) -> dict[str, Any]:
    return {"bundle": bundle, "files": files, "options": {"import_timeout": 30, "airflow_version": version}}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All requests go to one process, as they do to a warm function."""
    packed = zip_of(FILES)
    inline = {"zip": base64.b64encode(packed).decode()}
    by_address = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    by_address.write_bytes(packed)
    bomb = {"zip": base64.b64encode(zip_of({"a.py": bytes(201 * 1024**2)})).decode()}
    return asked(
        str(venvs.ensure(f"airflow-{VERSION}")),
        request(inline, "good.py", "broken.py"),
        request({"url": by_address.as_uri()}, "good.py", version="2.0.0"),
        request(bomb, "a.py"),
        request(inline, "good.py"),
    )


def test_each_file_gets_its_verdict(answers: list[dict[str, Any]]) -> None:
    assert answers[0]["airflow"] == VERSION
    loaded = {found["path"]: found for found in answers[0]["loaded"]}
    assert {path: found["verdict"] for path, found in loaded.items()} == {
        "good.py": "accepted",
        "broken.py": "rejected",
    }
    assert [dag["dag_id"] for dag in loaded["good.py"]["dags"]] == ["good"]
    assert [(found["rule"], found["line"]) for found in loaded["broken.py"]["findings"]] == [("missing-module", 2)]


def test_a_large_bundle_comes_from_its_address(answers: list[dict[str, Any]]) -> None:
    assert [found["verdict"] for found in answers[1]["loaded"]] == ["accepted"]


def test_a_bundle_that_unpacks_to_too_much_is_refused_and_the_next_one_is_loaded(answers: list[dict[str, Any]]) -> None:
    assert answers[2] == {"raised": "ValueError: the bundle has more than 209,715,200 bytes."}
    assert [found["verdict"] for found in answers[3]["loaded"]] == ["accepted"]


def test_without_an_airflow_it_says_that_nothing_can_be_loaded() -> None:
    (answer,) = asked(sys.executable, request({"zip": ""}, "good.py"))
    assert answer.keys() == {"unavailable"}
    assert answer["unavailable"].startswith("Airflow cannot be imported from the layer: ")
