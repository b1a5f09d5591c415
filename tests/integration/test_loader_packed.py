"""Packed DAGs with a real Airflow, without the stack: they are loaded as Airflow loads them, out of the zip."""

from __future__ import annotations

import zipfile
from typing import Any

import pytest

from .test_loader import load

DAG = "from airflow import DAG\n"
MAKES = DAG + "dag = DAG({!r})\n"

GOOD = {
    "plain": {"orders.py": MAKES.format("plain")},
    "package": {
        "orders.py": DAG + "from team.names import NAME\ndag = DAG(NAME)\n",
        "team/__init__.py": "",
        "team/names.py": "NAME = 'package'\n",
    },
    "namespace": {
        "orders.py": DAG + "from team.names import NAME\ndag = DAG(NAME)\n",
        "team/names.py": "NAME = 'namespace'\n",
    },
    "resource": {
        "orders.py": DAG
        + "import pkgutil\nNAME = pkgutil.get_data('sql_files', 'name.txt').decode()\ndag = DAG(NAME)\n",
        "sql_files/__init__.py": "",
        "sql_files/name.txt": "resource",
    },
    "resources": {
        "orders.py": DAG
        + "from importlib import resources\nNAME = resources.files('texts').joinpath('name.txt').read_text()\n"
        + "dag = DAG(NAME)\n",
        "texts/__init__.py": "",
        "texts/name.txt": "resources",
    },
    "helper": {
        "orders.py": DAG + "import names_of_it\ndag = DAG(names_of_it.NAME)\n",
        "names_of_it.py": "NAME = 'helper'\n",
    },
    "folder": {"orders.py": DAG + "import names_beside\ndag = DAG(names_beside.NAME)\n"},
    "looks": {
        "orders.py": DAG
        + "import os\nif os.path.exists(os.path.join(os.path.dirname(__file__), 'a.sql')):\n    raise ValueError\n"
        "dag = DAG('looks')\n",
        "a.sql": "",
    },
    "reads_zip": {
        "orders.py": DAG
        + "import os, zipfile\nNAME = zipfile.ZipFile(os.path.dirname(__file__)).read('n.txt').decode()\n"
        "dag = DAG(NAME)\n",
        "n.txt": "reads_zip",
    },
    "maybe": {"orders.py": DAG + "try:\n    open(__file__)\nexcept OSError:\n    dag = DAG('maybe')\n"},
    "unimported": {
        "orders.py": MAKES.format("unimported"),
        "deep/broken.py": "import nobody_has_this\n",
        "docs.md": "# dag airflow\n",
    },
}
# Rule, line and words; and the DAGs that come of it all the same.
BAD = {
    "missing": ({"orders.py": DAG + "import nobody_has_this\n"}, "missing-module", 2, "orders.py: ModuleNotFoundError"),
    "deep_missing": (
        {"orders.py": DAG + "import team_of_it.clean\n", "team_of_it/clean.py": "\nimport nobody_has_this\n"},
        "missing-module",
        2,
        "team_of_it/clean.py: ModuleNotFoundError",
    ),
    "argument": ({"orders.py": DAG + "dag = DAG('x', nope=1)\n"}, "arguments", 2, "orders.py: TypeError"),
    "reads": (
        {
            "orders.py": DAG + "import os\nopen(os.path.join(os.path.dirname(__file__), 'sql', 'a.sql'))\n",
            "sql/a.sql": "",
        },
        "inside-zip",
        3,
        "orders.py: NotADirectoryError",
    ),
    "exits": ({"orders.py": DAG + "import sys\nsys.exit(1)\n"}, "exits", 3, "The file ends the process"),
    "second": ({"a.py": MAKES.format("second"), "b.py": DAG + "1 / 0\n"}, "import-error", 2, "b.py: ZeroDivisionError"),
    "sibling": ({"orders.py": DAG + "import broken_beside\n"}, "import-error", 2, "orders.py: ZeroDivisionError"),
}
DOUBTFUL = {
    "etc": {"orders.py": DAG + "open('/etc/nothing/of/it.ini')\n"},
    "variable": {"orders.py": DAG + "from airflow.models import Variable\nx = {'a': 1}[Variable.get('b')]\n"},
}
NONE = {"no_words": {"helper.py": "x = 1\n"}, "too_deep": {"folder/orders.py": MAKES.format("too_deep")}, "empty": {}}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "team").mkdir()
    (folder / "names_beside.py").write_text("NAME = 'folder'\n")
    (folder / "broken_beside.py").write_text("1 / 0\n")
    (folder / ".airflowignore").write_text("passed_over.zip\n")
    zips = GOOD | {name: files for name, (files, *_) in BAD.items()} | DOUBTFUL | NONE
    for name, files in (zips | {"passed_over": GOOD["plain"]}).items():
        with zipfile.ZipFile(folder / "team" / f"{name}.zip", "w") as archive:
            for folders in sorted({inside.rpartition("/")[0] for inside in files if "/" in inside}):
                archive.mkdir(folders)  # as `zip -r` does; without it Python finds no package without __init__.py
            for inside, text in files.items():
                archive.writestr(inside, text)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.zip")]
    found = load(folder, *names, "--jobs", "2")
    return {name.removeprefix("team/").removesuffix(".zip"): answer for name, answer in found.items()}


@pytest.mark.parametrize("name", GOOD)
def test_what_works_out_of_a_zip_is_accepted(answers: dict[str, Any], name: str) -> None:
    answer = answers[name]
    findings = [finding for finding in answer["findings"] if finding["rule"] != "slow-parse"]  # of a busy machine
    assert (answer["verdict"], findings) == ("accepted", [])
    assert [dag["dag_id"] for dag in answer["dags"]] == [name]
    assert answer["siblings"] == (["names_beside.py"] if name == "folder" else [])


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_is_rejected_with_its_module_and_line(answers: dict[str, Any], name: str) -> None:
    answer, (_, rule, line, words) = answers[name], BAD[name]
    (finding,) = answer["findings"]
    assert (answer["verdict"], finding["rule"], finding["line"]) == ("rejected", rule, line)
    assert words in finding["message"]


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_only_the_environment_tells_is_unknown(answers: dict[str, Any], name: str) -> None:
    assert answers[name]["verdict"] == "unknown"


@pytest.mark.parametrize("name", NONE)
def test_a_zip_without_dag_files_at_its_root_makes_none(answers: dict[str, Any], name: str) -> None:
    assert (answers[name]["verdict"], answers[name]["dags"], answers[name]["findings"]) == ("accepted", [], [])


def test_airflowignore_counts_for_zips(answers: dict[str, Any]) -> None:
    assert answers["passed_over"]["skipped"] == "ignored"
