"""`jetway` as users get it: installed into a fresh virtual environment, as a pre-commit hook, as a GitHub Action."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli import dropped
from tests.unit.sample_events import ROOT
from tools import venvs

pytestmark = pytest.mark.slow  # each makes a virtual environment and asks the package index

GOOD = 'from airflow.sdk import DAG\nwith DAG("orders"):\n    pass\n'
BAD = "def f(:\n"


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A clean checkout: what git has, as a repository of its own."""
    folder = tmp_path / "sources"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Make a folder a repository with one commit."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's repository."""
    folder = tmp_path / "project"
    (folder / "dags").mkdir(parents=True)
    (folder / "dags/orders.py").write_text(GOOD)
    return folder


def test_pip_install_gives_a_command_that_works(sources: Path, project: Path, tmp_path: Path) -> None:
    subprocess.run([venvs.python_with_pip(), "-m", "venv", tmp_path / "venv"], check=True)
    installed = run(tmp_path / "venv/bin/pip", "install", "--quiet", sources, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    jetway = tmp_path / "venv/bin/jetway"
    assert run(jetway, "--version", cwd=project).stdout.startswith("jetway, version ")
    good = run(jetway, "check", "dags", cwd=project)
    assert (good.returncode, good.stdout) == (0, "1 file, 1 DAG: 1 accepted\n")
    (project / "requirements.txt").write_text("celery==1.0\n")
    assert "essential-pin" in run(jetway, "check", "requirements.txt", "--airflow-version=2.10.3", cwd=project).stdout
    dropped.write(project)
    each = run(jetway, "check", *dropped.FILES, "--no-resolve", "--format=json", cwd=project)
    assert each.returncode == 0, each.stderr
    assert {report["path"]: report["verdict"] for report in json.loads(each.stdout)} == dict.fromkeys(
        dropped.FILES, "accepted"
    )


def test_the_pre_commit_hook_refuses_a_commit(sources: Path, project: Path, tmp_path: Path) -> None:
    commit(project)
    pre_commit = Path(sys.executable).with_name("pre-commit")
    command = (pre_commit, "try-repo", sources, "jetway-check", "--all-files", "--verbose")
    env = os.environ | {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    good = run(*command, cwd=project, env=env)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "1 file, 1 DAG: 1 accepted" in good.stdout
    dropped.write(project)
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    good = run(*command, cwd=project, env=env)
    assert good.returncode == 0, good.stdout + good.stderr
    (project / "dags/broken.py").write_text(BAD)
    (project / "triggers/nightly.yaml").write_text("dag: orders\n")
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    bad = run(*command, cwd=project, env=env)
    assert bad.returncode == 1
    assert "dags/broken.py:1: error syntax" in bad.stdout
    assert "triggers/nightly.yaml" in bad.stdout
    assert "Traceback" not in bad.stdout + bad.stderr


def test_the_github_action_annotates_and_fails(sources: Path, project: Path, tmp_path: Path) -> None:
    """The steps are run as GitHub runs those of a composite action: bash -e -o pipefail, inputs by their defaults."""
    action: dict[str, Any] = yaml.safe_load((sources / "action.yml").read_text())
    inputs = {name: found.get("default", "") for name, found in action["inputs"].items()}
    (project / "dags/broken.py").write_text(BAD)

    def steps(**given: str) -> list[subprocess.CompletedProcess[str]]:
        done = []
        for step in action["runs"]["steps"]:
            own = {
                name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: (inputs | given)[match[1]], value)
                for name, value in step.get("env", {}).items()
            }
            env = os.environ | {"RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": str(sources)} | own
            done.append(run("bash", "-e", "-o", "pipefail", "-c", step["run"], cwd=project, env=env))
        return done

    installed, checked = steps()
    assert installed.returncode == 0, installed.stderr
    assert checked.returncode == 1
    assert checked.stdout.startswith("::error file=dags/broken.py,")
    _, checked = steps(paths="dags/orders.py\n\ndags/../dags\n", format="sarif", output="out.sarif")
    assert checked.returncode == 1
    assert '"version": "2.1.0"' in (project / "out.sarif").read_text()
    _, checked = steps(paths="dags/orders.py")
    assert (checked.returncode, checked.stdout) == (0, "")
    dropped.write(project)
    (project / "dags/broken.py").unlink()
    _, checked = steps(paths="\n".join(["dags", *(key for key in dropped.FILES if "dags/" not in key)]))
    assert checked.returncode == 0, checked.stdout + checked.stderr
