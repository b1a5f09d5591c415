"""`jetway check` as people, hooks and CI run it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jetway_cli.app import cli
from tests.unit.artifacts.buckets import REPORT_SCHEMA
from tests.unit.artifacts.zips import PLUGIN, wheel, zip_of
from tests.unit.sample_events import ROOT

GOOD = 'from airflow.sdk import DAG\nwith DAG("orders"):\n    pass\n'
BAD = "from airflow.sdk import DAG\nwith DAG('orders':\n    pass\n"
MEMBERS_OF_A_FINDING = {"rule", "severity", "line", "message", "remedy"}


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", "--no-resolve", *map(str, arguments)])


def reports(*arguments: str | Path) -> dict[str, dict[str, Any]]:
    """The reports by path; each is of the published schema."""
    found = json.loads(check(*arguments, "--format", "json").stdout)
    for report in found:
        REPORT_SCHEMA.validate(report)
        assert list(report) == ["path", "kind", "verdict", "findings", "dags", "seconds"]
        assert all(
            finding.keys() == {"rule", "severity", "line", "message", "remedy"} for finding in report["findings"]
        )
    return {report["path"]: report for report in found}


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A dags folder with one good file."""
    folder = tmp_path / "dags"
    (folder / "team").mkdir(parents=True)
    (folder / "team/orders.py").write_text(GOOD)
    return folder


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


def test_json_is_one_report_for_each_file(dags: Path) -> None:
    (dags / "broken.py").write_text(BAD)
    found = reports(dags)
    assert {path: report["verdict"] for path, report in found.items()} == {
        f"{dags}/broken.py": "rejected",
        f"{dags}/team/orders.py": "accepted",
    }
    report = found[f"{dags}/broken.py"]
    assert [finding["line"] for finding in report["findings"]] == [2]


def test_every_kind_is_known_by_its_name(tmp_path: Path, dags: Path) -> None:
    (tmp_path / "triggers").mkdir()
    files = {
        "requirements.txt": b"pandas==3.0.5\n",
        "requirements-prod.txt": b"pandas==3.0.5\n",
        "plugins.zip": zip_of({"p.py": PLUGIN}),
        "startup.sh": b"export A=1\n",
        "packed.zip": zip_of({"p.py": GOOD.replace("orders", "packed").encode()}),
        "single.py": GOOD.replace("orders", "single").encode(),
        "triggers/t.yaml": next((ROOT / "triggers").glob("*.yaml")).read_bytes(),
        "access.yaml": b"allow:\n- iam: billing\n  dags: [orders]\n",
        "floors.yaml": b"floors:\n  workdays: 3\n",
        "dags/query.sql": b"select 1",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = reports(*(tmp_path / name for name in files))
    assert {Path(path).name: (report["kind"], report["verdict"]) for path, report in found.items()} == {
        "requirements.txt": ("requirements", "accepted"),
        "requirements-prod.txt": ("requirements", "accepted"),
        "plugins.zip": ("plugins", "accepted"),
        "startup.sh": ("startup-script", "accepted"),
        "packed.zip": ("packed-dags", "accepted"),
        "single.py": ("dag-file", "accepted"),
        "t.yaml": ("trigger", "accepted"),
        "access.yaml": ("access", "rejected"),
        "floors.yaml": ("floors", "rejected"),
        "query.sql": ("dags-folder-file", "accepted"),
    }


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
        (["nowhere"], "nowhere is not there"),
        (["pipe.py"], "pipe.py is neither a file nor a folder"),
        (["notes.md"], "is not an artifact"),
        ([""], "a path is empty"),
        (["orders.py", ""], "a path is empty"),
        (["orders.py", "--requirements", ""], "a path is empty"),
        (["orders.py", "--airflow-version", "3"], "is not an Airflow version"),
        (["orders.py", "--airflow-version", "2.7.2"], "2.7.2 is too old: Jetway works with Airflow 2.9 and newer"),
        (["orders.py", "--airflow-python", sys.executable], "--airflow-python is for --load"),
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


TRIGGER = "dag: orders\non:\n  http: {auth: iam}\n"
BROKEN_TRIGGER = "dag: orders\non:\n  s3: {bukket: acme-landing}\n"


def verdicts_below(folder: Path) -> dict[str, tuple[str, str]]:
    found = reports(folder)
    return {
        path.removeprefix(f"{folder}/"): (report["kind"], report["verdict"]) for path, report in sorted(found.items())
    }


@pytest.mark.parametrize("name", ["triggers", "our-triggers"])
def test_a_folder_of_trigger_files_is_judged_as_such(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "good.yaml").write_text(TRIGGER)
    (folder / "broken.yaml").write_text(BROKEN_TRIGGER)
    (folder / "README.md").write_text("Our triggers")
    assert verdicts_below(folder) == {
        "README.md": ("trigger", "rejected"),  # as under triggers/ of the drop bucket
        "broken.yaml": ("trigger", "rejected"),
        "good.yaml": ("trigger", "accepted"),
    }
    assert check(folder).exit_code == 1


def test_a_folder_laid_out_as_the_drop_bucket_is_judged_by_its_kinds(dags: Path) -> None:
    project = dags.parent
    (project / "triggers").mkdir()
    files = {
        "triggers/broken.yaml": BROKEN_TRIGGER,
        "requirements.txt": "celery==1.0\n",
        "floors.yaml": "floors:\n- at: 08:00\n",
        "dags/notes.md": "nothing to judge",
        "setup.py": "import nowhere",
        "docs/index.md": "nothing",
        ".github/x.yaml": "nothing",
    }
    for name, content in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(content)
    assert verdicts_below(project) == {
        "dags/notes.md": ("dags-folder-file", "accepted"),
        "dags/team/orders.py": ("dag-file", "accepted"),
        "floors.yaml": ("floors", "rejected"),
        "requirements.txt": ("requirements", "rejected"),
        "triggers/broken.yaml": ("trigger", "rejected"),
    }
    result = check(project)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "5 files, 1 DAG: 1 accepted, 3 rejected, 1 not judged"
    left_out = f"Not judged, because the drop bucket has no place for it: {project}/docs/, {project}/setup.py"
    assert left_out in result.stderr


def test_what_has_a_place_of_its_own_is_judged_beside_dag_files(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(GOOD)
    (tmp_path / "requirements.txt").write_text("celery==1.0\n")
    assert verdicts_below(tmp_path) == {
        "orders.py": ("dag-file", "accepted"),
        "requirements.txt": ("requirements", "rejected"),
    }


def test_a_package_of_deferrable_triggers_is_part_of_the_dags_folder(dags: Path) -> None:
    (dags / "triggers").mkdir()
    (dags / "triggers/sensor.py").write_text("")
    (dags / "triggers/settings.yaml").write_text("on: 1\n")
    kinds = {"sensor.py": ("dag-file", "accepted"), "settings.yaml": ("dags-folder-file", "accepted")}
    assert verdicts_below(dags / "triggers") == kinds


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_without_load_the_last_line_says_that_nothing_was_loaded(dags: Path, form: str) -> None:
    result = check(dags, "--format", form)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == (
        "DAG files were read only; --load loads them with Airflow, as the drop bucket does."
    )
    if form in {"json", "sarif"}:
        json.loads(result.stdout)


def test_trigger_files_alone_are_not_loaded_by_anything(tmp_path: Path) -> None:
    (tmp_path / "triggers").mkdir()
    (tmp_path / "triggers/t.yaml").write_text(TRIGGER)
    assert check(tmp_path / "triggers").stderr == ""


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
    assert "The file could not be judged: ModuleNotFoundError: " in result.stdout
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
    for name in ("triggers/t.yaml", "access.yaml", "floors.yaml"):
        (tmp_path / name).write_text("# " + "x" * 2**20)
    rules = {finding["rule"] for report in reports(tmp_path).values() for finding in report["findings"]}
    assert rules == {"too-large"}


def test_a_folder_is_walked_once_whatever_links_there_are(dags: Path) -> None:
    (dags / "again").symlink_to(dags)
    (dags / "__pycache__").mkdir()
    (dags / "__pycache__/x.py").write_text(BAD)
    assert len(reports(dags)) == 1


def test_github_shows_findings_at_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b:c.py").write_text(BAD)
    result = check("a,b:c.py", "--format", "github")
    assert result.exit_code == 1
    assert re.fullmatch(
        r"::error file=a%2Cb%3Ac.py,title=jetway%3A syntax,line=2::Python 3.12 cannot .+\n", result.stdout
    )


def test_github_says_nothing_of_what_is_good(dags: Path) -> None:
    assert check(dags, "--format", "github").stdout == ""


def test_sarif_is_what_code_scanning_takes(dags: Path) -> None:
    (dags / "it is broken.py").write_text(BAD)
    (dags / "empty.py").write_text("")
    result = check(dags, "--format", "sarif")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["empty-file", "syntax"]
    levels = {found["ruleId"]: (found["level"], found["ruleIndex"]) for found in run["results"]}
    assert levels == {"empty-file": ("warning", 0), "syntax": ("error", 1)}
    location = next(found for found in run["results"] if found["level"] == "error")["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("it%20is%20broken.py")
    assert location["region"] == {"startLine": 2}


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
    options = set(re.findall(r"--[a-z-]+", check("--help").stdout)) - {"--help", "--resolve"}
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


def test_a_trigger_file_makes_no_dag(dags: Path) -> None:
    file = dags.parent / "triggers" / "orders.yaml"
    file.parent.mkdir()
    file.write_text("dag: orders\non: {http: {auth: iam}}\n")
    found = reports(dags, file)
    assert {report["verdict"] for report in found.values()} == {"accepted"}


@pytest.mark.parametrize(
    ("version", "patterns", "passed_over"),
    [
        ("3.3.1", "team/\n", {"team/orders.py"}),
        ("3.3.1", "*.py\n!zz.py\n", {"team/orders.py", "yy.py"}),
        ("3.3.1", "/zz.py  # why\n", {"zz.py"}),
        ("3.3.1", "[\n/\n**/orders.py\n", {"team/orders.py"}),
        ("3.3.1", ".*orders.*\n", set()),
        ("2.10.3", ".*orders.*\n", {"team/orders.py"}),
        ("2.10.3", "^zz\\.py$\n(\n", {"zz.py"}),
        ("2.10.3", "team\n", {"team/orders.py"}),
    ],
)
def test_airflowignore_is_honoured_as_the_version_reads_it(
    dags: Path, version: str, patterns: str, passed_over: set[str]
) -> None:
    (dags / ".airflowignore").write_text(patterns)
    (dags / "yy.py").write_text(GOOD.replace("orders", "yy"))
    (dags / "zz.py").write_text(GOOD.replace("orders", "zz"))
    found = reports(dags, "--airflow-version", version)
    said = {
        path.removeprefix(f"{dags}/")
        for path, report in found.items()
        if "ignored" in {finding["rule"] for finding in report["findings"]}
    }
    assert said == passed_over
    assert sum(len(report["dags"]) for report in found.values()) == 3 - len(passed_over)


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


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_names_may_be_anything_and_one_that_is_no_utf_8_is_no_key(dags: Path, form: str) -> None:
    for number, name in enumerate((b"--json.py", b"my dag.py", "ä\n.py".encode(), b"bad\xff.py")):
        Path(os.fsdecode(os.fsencode(dags) + b"/" + name)).write_text(GOOD.replace("orders", f"dag_{number}"))
    result = check(dags, "--format", form)
    assert result.exit_code == 1
    assert "unsafe-key" in result.stdout


def test_a_thousand_files_are_judged_in_one_go(dags: Path) -> None:
    for number in range(1000):
        (dags / f"dag_{number}.py").write_text(GOOD.replace("orders", f"dag_{number}"))
    assert check(dags).stdout == "1001 files, 1001 DAGs: 1001 accepted\n"


def test_an_empty_folder_has_nothing_to_judge(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "0 files, 0 DAGs: nothing to judge\n")
    assert json.loads(check(tmp_path, "--format", "json").stdout) == []
