"""Which files `jetway check` judges, and as what: by their place and their name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.unit.artifacts.zips import PLUGIN, zip_of
from tests.unit.sample_events import ROOT

from .checking import BAD, GOOD, TRIGGER, check, reports, verdicts_below


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
        "alarms.yaml": b"dags:\n  orders: {alarm: no way}\n",
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
        "alarms.yaml": ("alarms", "rejected"),
        "query.sql": ("dags-folder-file", "accepted"),
    }


BROKEN_TRIGGER = "dag: orders\non:\n  s3: {bukket: acme-landing}\n"


@pytest.mark.parametrize("name", ["triggers", "our-triggers"])
def test_a_folder_of_trigger_files_is_judged_as_such(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "good.yaml").write_text(TRIGGER)
    (folder / "broken.yaml").write_text(BROKEN_TRIGGER)
    (folder / "README.md").write_text("Our triggers")
    (folder / "orders.json").write_text("{}")
    assert verdicts_below(folder) == {
        "broken.yaml": ("trigger", "rejected"),
        "good.yaml": ("trigger", "accepted"),
        "orders.json": ("trigger", "rejected"),  # as under triggers/ of the drop bucket
    }
    result = check(folder)
    assert result.exit_code == 1
    assert f"does not accept it: {folder}/README.md" in result.stderr  # nobody takes it for a trigger


def test_a_folder_laid_out_as_the_drop_bucket_is_judged_by_its_kinds(dags: Path) -> None:
    project = dags.parent
    (project / "triggers").mkdir()
    files = {
        "triggers/broken.yaml": BROKEN_TRIGGER,
        "requirements.txt": "celery==1.0\n",
        "floors.yaml": "floors:\n- at: 08:00\n",
        "dags/notes.md": "nothing to check",
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
    assert result.stdout.splitlines()[-1] == "5 files, 1 DAG: 1 accepted, 3 rejected, 1 not checked"
    left_out = f"Not checked, because the drop bucket does not accept it: {project}/docs/, {project}/setup.py"
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


def test_trigger_files_alone_are_not_loaded_by_anything(tmp_path: Path) -> None:
    (tmp_path / "triggers").mkdir()
    (tmp_path / "triggers/t.yaml").write_text(TRIGGER)
    assert check(tmp_path / "triggers").stderr == ""


def test_a_folder_is_walked_once_whatever_links_there_are(dags: Path) -> None:
    (dags / "again").symlink_to(dags)
    (dags / "__pycache__").mkdir()
    (dags / "__pycache__/x.py").write_text(BAD)
    assert len(reports(dags)) == 1


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
        ("2.11.2", "^(?!(yy|zz)).*\n", set()),  # re2 has no lookahead
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


@pytest.mark.parametrize(
    ("text", "rule"), [(b"def broken(:\n", None), (b'name = "\xfc"\n', None), (GOOD.encode(), "unsafe-key")]
)
def test_what_airflow_does_not_look_at_is_not_refused_for_its_text(dags: Path, text: bytes, rule: str | None) -> None:
    (dags / ".airflowignore").write_text("old\n")
    file = dags / "old" / ("bad\n.py" if rule else "bad.py")
    file.parent.mkdir()
    file.write_bytes(text)
    (dags / "young.py").write_bytes(text)
    found = reports(dags, "--airflow-version", "2.11.2")
    assert (found[str(file)]["verdict"], rule or "ignored") == (
        "rejected" if rule else "accepted",
        found[str(file)]["findings"][0]["rule"],
    )
    assert rule or found[str(dags / "young.py")]["verdict"] == "rejected"


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
    assert (result.exit_code, result.stdout) == (0, "0 files, 0 DAGs: nothing to check\n")
    assert json.loads(check(tmp_path, "--format", "json").stdout) == []
