"""Setting up the local Airflow, as far as it goes without Airflow."""

from __future__ import annotations

import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.emulator import airflow
from tools.emulator.airflow import VERSIONS, Airflow, AirflowError
from tools.emulator.airflow_settings import programs
from tools.emulator.airflow_template import ensure_template


@pytest.fixture
def prepared(tmp_path: Path) -> Airflow:
    return make(tmp_path, "3.3.1")


def make(home: Path, version: str) -> Airflow:
    return Airflow(
        home=home,
        python=home / "venv" / "bin" / "python",
        version=version,
        port=8080,
        username="admin",
        password="of-airflow",
        fernet_key="key",
        secret="secret",
        extra_env={"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
    )


def test_what_is_written_is_read_and_private(prepared: Airflow) -> None:
    prepared.write()
    assert Airflow.read(prepared.file) == prepared
    assert stat.S_IMODE(prepared.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_hash_pinned_requirements(version: str) -> None:
    text = airflow.requirements_file(version).read_text()
    pins = re.findall(r"^[a-zA-Z0-9][^\s=]*==[^\s;]+(?: ; [^\\]*)? \\$", text, re.MULTILINE)
    packages = re.findall(r"^[a-zA-Z0-9]", text, re.MULTILINE)
    assert len(pins) == len(packages) > 100
    assert f"apache-airflow=={version} \\" in pins
    assert "index-url" not in text


@pytest.mark.parametrize(
    ("version", "python", "fits"),
    [
        ("3.3.1", (3, 11), True),
        ("3.3.1", (3, 14), True),
        ("3.3.1", (3, 10), False),
        ("2.11.2", (3, 12), True),
        ("2.11.2", (3, 13), False),
    ],
)
def test_airflow_and_python_have_to_fit(version: str, python: tuple[int, int], fits: bool) -> None:
    if fits:
        airflow.check_python(version, python)
    else:
        with pytest.raises(
            AirflowError, match=rf"Airflow {version} needs Python 3.11 or newer.*this one is 3.{python[1]}"
        ):
            airflow.check_python(version, python)


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(AirflowError, match=r"3\.3\.1 and 2\.11\.2"):
        airflow.requirements_file("1.10.15")


def test_an_environment_without_airflow_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AirflowError, match=r"has Airflow not installed, not 3.3.1; install .*airflow-3.3.1.txt"):
        airflow.prepare(tmp_path, Path(sys.executable), "3.3.1")


def test_a_python_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AirflowError, match="is not a Python that works"):
        airflow.prepare(tmp_path, tmp_path / "python", "3.3.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_credentials_of_the_caller_reach_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AIRFLOW__CORE__FERNET_KEY", "SECRET"):
        monkeypatch.setenv(name, "of-the-caller")
    env = make(tmp_path, version).environment()
    assert "of-the-caller" not in env.values()
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"


@pytest.mark.parametrize("version", VERSIONS)
def test_airflow_listens_on_loopback_only(tmp_path: Path, version: str) -> None:
    prepared = make(tmp_path, version)
    (arguments,) = [arguments for _, arguments in programs(prepared).values() if "--port" in arguments]
    assert arguments[arguments.index("--port") + 1] == "8080"
    assert "127.0.0.1" in arguments
    assert prepared.url == "http://127.0.0.1:8080"


def test_nobody_but_the_scheduler_schedules_on_sqlite(tmp_path: Path) -> None:
    env = make(tmp_path, "2.11.2").environment()
    assert env["AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION"] == "False"


def test_settings_are_those_asked_for(prepared: Airflow) -> None:
    env = prepared.environment(log_level="INFO")
    assert env["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    assert env["AIRFLOW__CORE__DAGS_FOLDER"] == str(prepared.dags)
    assert env["AIRFLOW__LOGGING__LOGGING_LEVEL"] == "INFO"
    assert env["PATH"].startswith(f"{prepared.python.parent}:")


def test_nothing_runs_before_it_is_started(prepared: Airflow) -> None:
    assert airflow.running(prepared) == []
    assert not airflow.ready(prepared)
    airflow.stop(prepared)


def test_two_stacks_at_once_make_one_template(tmp_path: Path) -> None:
    """The user of Airflow 2 is in the database: the password of one would be none for the database of the other."""
    calls, python = tmp_path / "calls", tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\nfor last; do :; done\necho "$3 $last" >> {calls}\nsleep 0.1\ntouch "$AIRFLOW_HOME/airflow.db"\n'
    )
    python.chmod(0o755)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: ensure_template(python, "2.11.2"), range(2)))
    assert made[0] == made[1]
    # In one word: one password of 64 begins with a dash, which Airflow takes for an option.
    assert calls.read_text().splitlines() == ["db migrate", f"users --password={made[0].password}"]
