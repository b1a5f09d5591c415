"""`jetway check` as people, hooks and CI run it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jetway_cli.app import cli
from tests.unit.artifacts.zips import wheel, zip_of
from tests.unit.sample_events import ROOT

from .checking import BAD, GOOD, TRIGGER, check, reports


def test_a_good_folder_is_accepted(dags: Path) -> None:
    result = check(dags)
    assert (result.exit_code, result.stdout) == (0, "1 file, 1 DAG: 1 accepted\n")


def test_a_broken_file_is_rejected_with_line_and_remedy(dags: Path) -> None:
    (dags / "broken.py").write_text(BAD)
    result = check(dags)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{dags}/broken.py:2: error syntax: ")
    assert lines[1].startswith("    Correct the line")
    assert lines[-1] == "2 files, 1 DAG: 1 accepted, 1 rejected"


def test_requirements_of_the_environment_are_judged_too(tmp_path: Path, dags: Path) -> None:
    (tmp_path / "r.txt").write_text("celery==1.0\n")
    (tmp_path / "r.txt").rename(tmp_path / "requirements.txt")
    result = check(dags, "--requirements", tmp_path / "requirements.txt")
    assert result.exit_code == 1
    assert "error essential-pin" in result.stdout


def test_the_airflow_version_decides(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("celery==5.4.0\n")
    assert check(file, "--airflow-version", "2.10.3").exit_code == 0
    assert check(file, "--airflow-version", "3.3.1").exit_code == 1


def test_wheels_of_a_plugins_zip_beside_it_serve_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "--no-index\n--find-links /usr/local/airflow/plugins\n-c /usr/local/airflow/plugins/c.txt\nacme==1\n"
    )
    both = (tmp_path / "requirements.txt", tmp_path / "plugins.zip")

    def said(*wheels: tuple[str, bytes]) -> tuple[set[str], list[str]]:
        (tmp_path / "plugins.zip").write_bytes(zip_of([*wheels, ("c.txt", b"base<2\n")]))
        result = CliRunner().invoke(cli, ["check", "--format", "json", *map(str, both)])
        found = json.loads(result.stdout)
        messages = [finding["message"] for report in found for finding in report["findings"]]
        return {report["verdict"] for report in found}, messages

    assert reports(tmp_path / "requirements.txt").popitem()[1]["verdict"] == "unknown"
    assert said(wheel("acme", "1", "requests"), wheel("base", "1")) == ({"accepted"}, [])
    verdicts, (message,) = said(wheel("acme", "2"))
    assert verdicts == {"accepted", "rejected"}
    assert "plugins.zip has no wheel for `acme==1`; there is acme-2-py3-none-any.whl" in message
    verdicts, (message,) = said(wheel("acme", "1", "base"))
    assert verdicts == {"accepted", "rejected"}
    assert "uv says: " in message
    assert "base was not found in the provided package locations and all versions of acme depend on base" in message
    verdicts, (message,) = said(wheel("acme", "1", "base>=2"), wheel("base", "2"))
    assert verdicts == {"accepted", "rejected"}
    assert "base<2" in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument"),
        (["nowhere"], "nowhere does not exist"),
        (["pipe.py"], "pipe.py is neither a file nor a folder"),
        (["notes.md"], "is not an artifact"),
        ([""], "a path is empty"),
        (["orders.py", ""], "a path is empty"),
        (["orders.py", "--requirements", ""], "a path is empty"),
        (["orders.py", "--airflow-version", "3"], "is not an Airflow version"),
        (["orders.py", "--airflow-version", "2.7.2"], "2.7.2 is too old: Jetway requires Airflow 2.9 or newer"),
        (["orders.py", "--airflow-python", sys.executable], "--airflow-python requires --load"),
        (["orders.py", "--format", "xml"], "'xml' is not one of"),
        (["orders.py", "--requirements", "nowhere"], "does not exist"),
    ],
)
def test_wrong_use_is_2(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.py")
    Path("notes.md").write_text("x")
    Path("orders.py").write_text(GOOD)
    result = check(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_of_ours_with_one_file_hides_nothing_of_the_others(
    dags: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jetway.triggers.file", None)  # as an installation that lacks a part of itself
    (dags / "broken.py").write_text(BAD)
    (dags.parent / "triggers").mkdir()
    trigger = dags.parent / "triggers/t.yaml"
    trigger.write_text(TRIGGER)
    result = check(trigger, dags, "--format", form)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "The file could not be checked: ModuleNotFoundError: " in result.stdout
    assert "internal-error" in result.stdout
    assert "Python 3.12 cannot compile this" in result.stdout


def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(dags: Path) -> None:
    (dags / "memory.py").symlink_to("/proc/self/mem")  # of size 0, and refuses to be read from its beginning
    (dags / "broken.py").write_text(BAD)
    found = {Path(path).name: report for path, report in reports(dags).items()}
    (finding,) = found["memory.py"]["findings"]
    assert (finding["rule"], finding["message"]) == ("unreadable", "The file cannot be read: Input/output error.")
    assert [finding["rule"] for finding in found["broken.py"]["findings"]] == ["syntax"]
    assert found["orders.py"]["verdict"] == "accepted"


def test_configuration_larger_than_what_is_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "triggers").mkdir()
    for name in ("triggers/t.yaml", "access.yaml", "alarms.yaml", "floors.yaml"):
        (tmp_path / name).write_text("# " + "x" * 2**20)
    rules = {finding["rule"] for report in reports(tmp_path).values() for finding in report["findings"]}
    assert rules == {"too-large"}


def test_the_example_in_the_documentation_is_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    example = re.search(r"<!-- check -->\n```console\n\$ jetway check (.+)\n((?:.*\n)+?)```", text)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    Path("dags").mkdir()
    Path("dags/orders.py").write_text(GOOD)
    Path("dags/broken.py").write_text("from airflow.sdk import DAG\nwith DAG('orders':\n")
    Path("requirements.txt").write_text("# -c none\ncelery==5.3.0\n")
    said = check(*example[1].split()).output.splitlines()
    for line in example[2].splitlines():
        # Python words a syntax error otherwise in each version.
        assert any(other.startswith(line.partition("cannot compile")[0]) for other in said), line


def test_every_option_is_in_the_documentation() -> None:
    text = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    options = set(re.findall(r"--[a-z-]+", check("--help").stdout)) - {"--help", "--resolve", "--keep"}
    assert {option for option in options if option not in text} == set()


def test_a_dag_id_belongs_to_one_file(dags: Path) -> None:
    (dags / "zz.py").write_text("# the same again\n" + GOOD)
    found = reports(dags)
    assert {path: report["verdict"] for path, report in found.items()} == {
        f"{dags}/team/orders.py": "rejected",
        f"{dags}/zz.py": "accepted",
    }
    (finding,) = found[f"{dags}/team/orders.py"]["findings"]
    assert (finding["rule"], finding["line"]) == ("duplicate-dag-id", 2)
    assert f"{dags}/zz.py" in finding["message"]


GONE = """from airflow import DAG
from airflow.utils.dates import days_ago
with DAG({!r}, schedule=None, start_date=days_ago(1)):
    pass
"""


@pytest.fixture
def outdated(dags: Path) -> Path:
    """A dags folder with two files that use what Airflow 3 has no longer, one that is broken, and a good one."""
    for name in ("one", "two"):
        (dags / f"{name}.py").write_text(GONE.format(name))
    (dags / "broken.py").write_text(BAD + "from airflow.utils.dates import days_ago\ndays_ago(1)\n")
    return dags


def test_ruffs_advice_is_a_warning_of_the_files_that_may_load(outdated: Path) -> None:
    found = reports(outdated)
    advised = {
        Path(path).name: [(finding["line"], finding["severity"]) for finding in report["findings"]]
        for path, report in found.items()
        if "airflow-advice" in {finding["rule"] for finding in report["findings"]}
    }
    assert advised == {"one.py": [(3, "warning")], "two.py": [(3, "warning")]}
    assert found[f"{outdated}/one.py"]["verdict"] == "accepted"
    assert not any(
        "airflow-advice" in json.dumps(report) for report in reports(outdated, "--airflow-version", "2.11.2")
    )


def test_without_ruff_it_says_so_and_goes_on(outdated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruff", None)
    result = check(outdated, "--format", "json")
    assert result.exit_code == 1
    assert "airflow-advice" not in result.stdout
    assert "ruff is not installed, so there is no advice" in result.stderr


def test_the_ruff_of_the_command_line_is_that_of_the_function() -> None:
    of_the_function = (ROOT / "requirements/ruff.in").read_text().splitlines()[-1]
    assert of_the_function in (ROOT / "requirements/cli.in").read_text().splitlines()
