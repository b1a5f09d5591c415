"""`jetway check .` of a project as people have it: what is judged, what is not, and that both are said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.artifacts.zips import PLUGIN

from .checking import BAD, GOOD, TRIGGER, check, reports, verdicts_below


def project(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of a project."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_everything_that_has_a_place_is_judged_as_what_it_is(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "dags/orders.py": GOOD,
            "triggers/orders.yaml": TRIGGER.replace("http: {auth: iam}", 'schedule: {cron: "@daily"}'),
            "requirements.txt": "celery==5.0.0\n",
            "startup.sh": 'echo "\n',
            "access.yaml": "allow: 3\n",
            "floors.yaml": "floors: 3\n",
            "plugins/orders_plugin.py": "def broken(:\n",
            "README.md": "Ours",
        },
    )
    assert verdicts_below(tmp_path) == {
        "access.yaml": ("access", "rejected"),
        "dags/orders.py": ("dag-file", "accepted"),
        "floors.yaml": ("floors", "rejected"),
        "plugins/": ("plugins", "rejected"),
        "requirements.txt": ("requirements", "rejected"),
        "startup.sh": ("startup-script", "rejected"),
        "triggers/orders.yaml": ("trigger", "rejected"),
    }
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "\n7 files, 1 DAG: 1 accepted, 6 rejected\n" in result.stdout  # a trigger file makes no DAG
    assert f"does not accept it: {tmp_path}/README.md" in result.stderr


MONOREPO = {
    "services/airflow/dags/orders.py": GOOD,
    "services/airflow/requirements.txt": "celery==5.0.0\n",
    "services/airflow/README.md": "Ours",
    "services/web/app.py": "def broken(:\n",
    "terraform/lambda.py": "print(\n",
    "tests/dags/test_orders.py": "from airflow.models import DagBag\n",
    "setup.py": "print(\n",
}


def test_a_project_in_a_repository_is_found(tmp_path: Path) -> None:
    project(tmp_path, MONOREPO)
    assert verdicts_below(tmp_path) == {
        "services/airflow/dags/orders.py": ("dag-file", "accepted"),
        "services/airflow/requirements.txt": ("requirements", "rejected"),
    }
    said = check(tmp_path).stderr
    beside = ("services/airflow/README.md", "services/web/", "setup.py", "terraform/", "tests/")
    assert all(f"{tmp_path}/{name}" in said for name in beside)
    assert f"{tmp_path}/services/airflow/dags" not in said


@pytest.mark.parametrize(
    "beside",
    [{"orders2.py": GOOD.replace("orders", "orders2")}, {"services/other/dags/b.py": GOOD.replace("orders", "b")}],
)
def test_where_it_is_not_clear_which_project_is_meant_the_folder_is_one_of_dags(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    project(tmp_path, {**MONOREPO, **beside})
    assert verdicts_below(tmp_path)["terraform/lambda.py"] == ("dag-file", "rejected")


def test_aws_mwaa_local_runners_layout_is_known(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "dags/example.py": GOOD,
            "requirements/requirements.txt": "celery==5.0.0\n",
            "requirements/notes.md": "why",
            "startup_script/startup.sh": "export A=1\n",
            "plugins/README.md": "put them here",
            "docker/Dockerfile": "FROM scratch",
        },
    )
    assert verdicts_below(tmp_path) == {
        "dags/example.py": ("dag-file", "accepted"),
        "requirements/requirements.txt": ("requirements", "rejected"),
        "startup_script/startup.sh": ("startup-script", "accepted"),
    }
    said = check(tmp_path).stderr
    assert all(f"{tmp_path}/{name}" in said for name in ("docker/", "plugins/", "requirements/notes.md"))


@pytest.mark.parametrize(
    "files", [{"requirements/requirements.txt": "celery==5.0.0\n"}, {"startup_script/startup.sh": "fi\n"}]
)
def test_one_folder_of_that_layout_is_enough(tmp_path: Path, files: dict[str, str]) -> None:
    project(tmp_path, {**files, "setup.py": BAD})
    assert list(verdicts_below(tmp_path)) == list(files)


def test_a_folder_of_plugins_is_judged_as_the_zip_that_it_becomes(tmp_path: Path) -> None:
    folder = project(tmp_path / "plugins", {"p.py": PLUGIN, "__pycache__/p.cpython-312.pyc": b"x", ".git/x.py": "("})
    found = reports(folder)
    assert [(path, report["kind"], report["findings"]) for path, report in found.items()] == [
        (f"{folder}/", "plugins", [])
    ]


@pytest.mark.parametrize("place", ["plugins.zip", "plugins/plugins.zip"])
def test_a_zip_that_is_made_already_is_what_goes_live(tmp_path: Path, place: str) -> None:
    project(tmp_path, {"dags/orders.py": GOOD, "plugins/p.py": "(", place: b"no zip"})
    found = verdicts_below(tmp_path)
    assert found == {"dags/orders.py": ("dag-file", "accepted"), place: ("plugins", "rejected")}


def test_wheels_that_requirements_ask_for_are_looked_for_in_the_folder_of_plugins(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "dags/orders.py": GOOD,
            "plugins/p.py": PLUGIN,
            "requirements.txt": "--find-links /usr/local/airflow/plugins\n--no-index\nacme==1.0\n",
        },
    )
    rules = [finding["rule"] for finding in reports(tmp_path)[f"{tmp_path}/requirements.txt"]["findings"]]
    assert "wheel-missing" in rules
    assert "wheels-not-seen" not in rules


HIDDEN = {
    ".venv/lib/x.py": BAD,
    "env/pyvenv.cfg": "",
    "env/lib/python3.12/site-packages/x.py": BAD,
    "conda/conda-meta/history": "",
    "conda/x.py": BAD,
    ".hidden/x.py": BAD,
    "node_modules/gyp/x.py": BAD,
    "__pycache__/x.py": BAD,
    ".ipynb_checkpoints/orders-checkpoint.py": BAD,
}


@pytest.mark.parametrize("below", ["", "dags/"])
def test_hidden_folders_and_virtual_environments_are_left_out(tmp_path: Path, below: str) -> None:
    project(tmp_path, {f"{below}orders.py": GOOD, **{f"{below}{name}": text for name, text in HIDDEN.items()}})
    assert verdicts_below(tmp_path) == {f"{below}orders.py": ("dag-file", "accepted")}
    said = check(tmp_path).stderr
    assert f"Skipped: {tmp_path}/{below}.hidden/ (hidden), " in said
    assert f"{tmp_path}/{below}env/ (virtual environment)" in said
    assert "node_modules" not in said


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        ("build/\n", {"dags/build/gen.py"}),
        ("/dags/build\n", {"dags/build/gen.py"}),
        ("*.csv\n!keep.csv\n", {"dags/data.csv"}),
        ("# build/\n\n!\n/\n", set()),
        ("**/gen.py  \n", {"dags/build/gen.py"}),
        ("dags/**/gen.*\n", {"dags/build/gen.py"}),
    ],
)
def test_gitignore_is_honoured(tmp_path: Path, patterns: str, left_out: set[str]) -> None:
    files = {"dags/orders.py": GOOD, "dags/build/gen.py": GOOD, "dags/data.csv": "", "dags/keep.csv": ""}
    project(tmp_path, {**files, ".gitignore": patterns})
    assert set(verdicts_below(tmp_path)) == set(files) - left_out


def test_the_nearest_gitignore_decides_and_those_of_the_repository_around_count(tmp_path: Path) -> None:
    files = {"project/dags/gen/a.py": GOOD, "project/dags/b.sql": "", "project/dags/keep/c.sql": ""}
    ignore = {".gitignore": "gen/\n*.sql\n", "project/dags/keep/.gitignore": "!*.sql\n"}
    project(tmp_path, {**files, **ignore, ".git/HEAD": ""})
    kept = {"dags/keep/.gitignore", "dags/keep/c.sql"}
    assert set(verdicts_below(tmp_path / "project")) == kept
    # A folder that is given by name is meant, whatever .gitignore says of it.
    assert set(verdicts_below(tmp_path / "project/dags/gen")) == {"a.py"}


def test_what_has_a_place_is_judged_though_gitignore_names_it(tmp_path: Path) -> None:
    project(tmp_path, {"dags/orders.py": GOOD, "plugins.zip": b"built", ".gitignore": "*.zip\nlocal/\n", "local/x": ""})
    assert verdicts_below(tmp_path)["plugins.zip"] == ("plugins", "rejected")
    assert "local" not in check(tmp_path).stderr


def test_that_is_so_beside_dag_files_at_the_top_too(tmp_path: Path) -> None:
    project(tmp_path, {"orders.py": GOOD, "plugins.zip": b"built", ".gitignore": "*.zip\n"})
    assert verdicts_below(tmp_path)["plugins.zip"] == ("plugins", "rejected")
    assert "Skipped" not in check(tmp_path).stderr


def test_trigger_files_may_be_kept_in_folders_and_are_said_to_start_nothing_there(tmp_path: Path) -> None:
    project(
        tmp_path / "triggers",
        {"examples/good.yaml": TRIGGER, "examples/bad.yaml": "dag: x\non: {}\n", "examples/a.json": "{}", ".keep": ""},
    )
    found = {path.removeprefix(f"{tmp_path}/"): report for path, report in reports(tmp_path).items()}
    assert {path: report["verdict"] for path, report in found.items()} == {
        "triggers/examples/bad.yaml": "rejected",
        "triggers/examples/good.yaml": "accepted",
    }
    (said,) = found["triggers/examples/good.yaml"]["findings"]
    assert (said["rule"], said["severity"]) == ("file-name", "warning")
    assert said["remedy"] == "Upload it as triggers/good.yaml to put it in force."
    assert "a.json" in check(tmp_path).stderr


def test_a_single_trigger_file_may_lie_anywhere(tmp_path: Path) -> None:
    project(tmp_path, {"ops/nightly.yaml": TRIGGER, "broken.yaml": "dag: x\non: [\n", "compose.yaml": "services: {}\n"})
    found = reports(tmp_path / "ops/nightly.yaml", tmp_path / "broken.yaml")
    assert [(report["kind"], report["verdict"]) for report in found.values()] == [
        ("trigger", "accepted"),
        ("trigger", "rejected"),
    ]
    result = check(tmp_path / "compose.yaml")
    assert result.exit_code == 2
    assert "trigger files (.yaml with dag: and on:)" in result.stderr
