"""`jetway` from its wheel, in a virtual environment outside the checkout: what is not packaged is missed here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from setuptools import Distribution
from setuptools.config.pyprojecttoml import apply_configuration

from tests.unit.cli import dropped
from tests.unit.cli.conftest import REGION, Cloud
from tests.unit.cli.moto_server import moto_server
from tests.unit.cli.test_docs import RUN_ID, _events, _letter, _trigger, _workers
from tests.unit.sample_events import ROOT
from tools import venvs

COMMANDS = (
    "audit",
    "check",
    "doctor",
    "run",
    "wait",
    "redrive",
    "events",
    "triggers",
    "dry-run",
    "workers",
    "updates",
    "ui",
    "sync",
    "uninstall",
)
PACKAGES = (ROOT / "layers" / "jetway", ROOT / "layers" / "loader", ROOT / "cli")

Installed = Callable[..., subprocess.CompletedProcess[str]]


def test_every_data_file_is_packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = apply_configuration(Distribution(), "pyproject.toml")
    build: Any = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    shipped = {
        ROOT / folder / name for _, folder, _, names in build.get_data_files_without_manifest() for name in names
    }
    listed = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    packaged = {ROOT / name for name in listed.stdout.split("\0") if re.match(r"(layers/\w+|cli)/\w+/", name)}
    wanted = {path for path in packaged if path.suffix != ".py"}
    assert len(wanted) >= 12
    assert wanted <= shipped


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script of a virtual environment that has the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    sources = folder / "sources"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("layers/jetway", "layers/loader", "cli", "requirements"):
        shutil.copytree(ROOT / name, sources / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, sources / name)
    uv = venvs.uv()
    # Built by the setuptools of .venv; the versions are those of .venv, so that uv has them already.
    build = (uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable)
    run(*build, "--out-dir", folder, sources)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(sources)
    python = folder / "jetway" / "bin" / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "jetway")
    pins = ROOT / "requirements" / "dev.txt"
    run(uv, "pip", "install", "--quiet", "--python", python, "--constraint", pins, wheel)
    return python.with_name("jetway")


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the checkout, and nothing that leads to AWS."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "COLUMNS": "160",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@pytest.fixture
def jetway(installed: Path, environment: Mapping[str, str], tmp_path: Path) -> Installed:
    """Run the console script in a folder that has one file of each kind; a traceback fails the test."""
    folder = dropped.write(tmp_path / "project")

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [installed, *arguments],
            cwd=folder,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


# A process for each command would take most of its time to import the same.
ONE_AFTER_ANOTHER = """
import json, sys
from click.testing import CliRunner
from jetway_cli.app import cli

ended = [CliRunner().invoke(cli, command.split(), prog_name="jetway") for command in sys.argv[1:]]
print(json.dumps([[one.exit_code, one.stdout, one.stderr] for one in ended]))
"""


def each(installed: Path, commands: list[str], env: Mapping[str, str]) -> dict[str, tuple[int, str, str]]:
    """Run commands in one process of the virtual environment; return how each ended, and what it said where."""
    argv: list[str | Path] = [installed.with_name("python"), "-I", "-c", ONE_AFTER_ANOTHER, *commands]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return {command: (*ended,) for command, ended in zip(commands, json.loads(done.stdout), strict=True)}


@pytest.fixture
def deployed(cloud: Cloud) -> Iterator[Mapping[str, str]]:
    """Variables that lead to a stack that has something of everything."""
    for scene in (_trigger, _letter, _events, _workers):
        scene(cloud)
    run_of = {"dag_id": "orders", "dag_run_id": RUN_ID}
    cloud.answers.extend((202, run_of | {"state": "accepted"}) for _ in range(2))
    with moto_server() as url:
        for name, value in cloud.outputs.items():
            cloud.outputs[name] = re.sub(r"^https://sqs\.[a-z0-9-]+\.amazonaws\.com", url, value)
        yield {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": cloud.url,
        }


@pytest.mark.thorough
def test_every_command_is_there_and_explains_itself(
    jetway: Installed, installed: Path, environment: Mapping[str, str]
) -> None:
    listed = jetway("--help").stdout
    assert set(re.findall(r"^  ([a-z-]+)  ", listed.partition("Commands:")[2], re.MULTILINE)) == set(COMMANDS)
    for command, (code, said, wrong) in each(installed, [f"{name} --help" for name in COMMANDS], environment).items():
        assert (code, wrong) == (0, ""), command
        assert said.startswith(f"Usage: jetway {command.partition(' ')[0]}")


@pytest.mark.thorough
def test_a_file_of_each_kind_is_judged(jetway: Installed) -> None:
    done = jetway("check", "--no-resolve", "--format", "json", *dropped.FILES)
    assert done.returncode == 0, done.stderr + done.stdout
    verdicts = {report["path"]: report["verdict"] for report in json.loads(done.stdout)}
    assert verdicts == dict.fromkeys(dropped.FILES, "accepted")


@pytest.mark.thorough
def test_an_event_is_tried_offline(jetway: Installed, tmp_path: Path) -> None:
    shutil.copy2(ROOT / "events" / "s3_order_landed.json", tmp_path / "event.json")
    shutil.copytree(ROOT / "triggers", tmp_path / "triggers")
    done = jetway("dry-run", "--triggers", str(tmp_path / "triggers"), str(tmp_path / "event.json"), "--json")
    assert done.returncode == 0, done.stderr
    assert "orders" in done.stdout


@pytest.mark.thorough
def test_commands_on_a_stack_answer(jetway: Installed, deployed: Mapping[str, str]) -> None:
    for command, wanted in (
        (["triggers"], "orders   event"),
        (["events", "--since", "2026-11-22T00:00:00Z"], "dead-lettered"),
        (["redrive", "--dry-run"], "DagNotFoundError"),
        (["workers", "--until", "2026-11-22T06:30:00Z"], "prod"),
        (["run", "orders", "--conf", "{}"], RUN_ID),
    ):
        done = jetway(*command, **deployed)
        assert done.returncode == 0, (command, done.stderr)
        assert wanted in done.stdout, (command, done.stdout)


@pytest.mark.thorough
def test_the_pages_are_served(
    installed: Path, environment: Mapping[str, str], deployed: Mapping[str, str], tmp_path: Path, cloud: Cloud
) -> None:
    cloud.answers.appendleft((200, {"openapi": "3.1.0"}))
    env = {**environment, **deployed, "PYTHONUNBUFFERED": "1"}
    command = [str(installed), "ui", "--no-browser"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert said.startswith("Status page  http://127.")


@pytest.mark.thorough
def test_without_credentials_a_command_says_what_to_do(installed: Path, environment: Mapping[str, str]) -> None:
    commands = ["triggers", "events", "redrive", "workers", "updates", "run orders", "ui --no-browser"]
    for command, (code, said, wrong) in each(installed, commands, {**environment, "AWS_REGION": REGION}).items():
        assert (code, said) == (3, ""), command
        assert "credentials" in wrong, command


@pytest.mark.thorough
def test_the_actions_check_step_judges_all_kinds(
    installed: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Taken from action.yml and run as GitHub runs it; test_installed.py runs the step before it, too."""
    project = dropped.write(tmp_path / "project")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    given = {"paths": "\n".join(["dags", *(key for key in dropped.FILES if "dags/" not in key)])}
    env = {**environment, "RUNNER_TEMP": str(installed.parents[2]), **inputs(action, step, **given)}
    command = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=120)

    done = check()
    assert done.returncode == 0, done.stdout + done.stderr
    (project / "triggers/nightly.yaml").write_text("dag: orders\n")
    done = check()
    assert done.returncode == 1
    assert "::error file=triggers/nightly.yaml" in done.stdout


def inputs(action: Mapping[str, Any], step: Mapping[str, Any], **given: str) -> dict[str, str]:
    """What GitHub makes of the step's `env`."""
    values = {name: found.get("default", "") for name, found in action["inputs"].items()} | given
    return {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: values[match[1]], value)
        for name, value in step.get("env", {}).items()
    }


@pytest.mark.thorough
def test_the_pre_commit_hook_takes_every_kind_that_can_be_wrong(jetway: Installed) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    chosen = [key for key in dropped.FILES if re.search(hook["files"], key)]
    assert set(dropped.FILES) - set(chosen) == {"dags/tables/regions.csv"}
    program, *arguments = hook["entry"].split()
    assert program == "jetway"
    done = jetway(*arguments, "--no-resolve", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
