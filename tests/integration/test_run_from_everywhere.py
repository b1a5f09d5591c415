"""Every snippet of docs/run-from-everywhere.md starts its run, as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import make_env
from tools import venvs
from tools.examples.fixture import Scene
from tools.examples.sources import Sources
from tools.stack.calls import list_runs, wait_for
from tools.stack.stack import Stack

PAGE = (venvs.ROOT / "docs" / "run-from-everywhere.md").read_text(encoding="utf-8")
SNIPPETS = {
    name: (language, code)
    for name, language, code in re.findall(r"<!-- run: (\w+) -->\n```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
}
LONGEST = 120.0


def run_snippet(stack: Stack, name: str, folder: Path) -> str:
    """Run a snippet in an empty folder, in a shell that has what `make env` says, and return what it printed."""
    language, code = SNIPPETS[name]
    aws = venvs.ensure("awscli").parent
    env = make_env(stack, PATH=f"{aws}{os.pathsep}{os.environ['PATH']}", HOME=str(folder))
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def wait_for_conf(stack: Stack, dag_id: str, **wanted: object) -> None:
    def look() -> bool | None:
        runs = [run for run in list_runs(stack, dag_id).values() if wanted.items() <= run["conf"].items()]
        return True if [run["state"] for run in runs] == ["success"] else None

    wait_for(f"one successful run with {wanted}", look, seconds=LONGEST)


def test_every_snippet_of_the_page_is_run_here() -> None:
    assert SNIPPETS.keys() == {"setup", "jetway", "events", "sdk", "curl", "file", "schedule"}
    assert len(SNIPPETS) == PAGE.count("\n```sh\n") + PAGE.count("\n```python\n")


def test_the_addresses_are_found_and_a_signed_call_starts_a_run(stack: Stack, dag: str, tmp_path: Path) -> None:
    language, code = SNIPPETS["setup"]
    SNIPPETS["asked"] = (language, code + 'echo "$DROP_BUCKET $HTTP_API_URL"\n')
    told = run_snippet(stack, "asked", tmp_path).split()
    del SNIPPETS["asked"]
    env = make_env(stack)
    assert told == [env["DROP_BUCKET"], env["HTTP_API_URL"]]
    answer = json.loads(run_snippet(stack, "curl", tmp_path))
    assert answer["state"] == "accepted"
    wait_for_conf(stack, dag, **{"from": "curl"})


def test_the_command_line_waits_for_success(stack: Stack, dag: str, tmp_path: Path) -> None:
    assert "success" in run_snippet(stack, "jetway", tmp_path)
    wait_for_conf(stack, dag, **{"from": "jetway"})


def test_a_file_and_the_sdk_start_runs(stack: Stack, dag: str, tmp_path: Path) -> None:
    run_snippet(stack, "file", tmp_path)
    decision, run_id = run_snippet(stack, "sdk", tmp_path).split()
    assert decision == "started"
    wait_for_conf(stack, dag, key="data/hello_jetway/from-sdk.json")
    assert run_id in list_runs(stack, dag)
    wait_for_conf(stack, dag, key="data/hello_jetway/from-file/orders.csv")


def test_an_event_of_the_aws_cli_starts_a_run(stack: Stack, dag: str, tmp_path: Path) -> None:
    try:
        run_snippet(stack, "events", tmp_path)
        wait_for_conf(stack, dag, **{"from": "events", "invoice": 4711})
    finally:
        with Sources() as sources:
            Scene(stack, sources).remove_triggers(["from-events"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gdate") is None and sys.platform == "darwin", reason="the snippet needs GNU date")
def test_a_schedule_starts_a_run_a_minute_from_now(stack: Stack, dag: str, tmp_path: Path) -> None:
    run_snippet(stack, "schedule", tmp_path)
    wait_for_conf(stack, dag, **{"from": "schedule"})
    with Sources() as sources:
        Scene(stack, sources).remove_triggers(["from-schedule"])
