"""airflow_local_settings.py with a real Airflow, without the stack: as MWAA runs it, before Airflow is imported."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .test_loader import load

pytestmark = pytest.mark.loading

NAME = "airflow_local_settings.py"
IN_PLUGINS = f"../plugins.zip/{NAME}"
POLICY = "def task_policy(task):\n    task.retries = max(task.retries or 0, 2)\n"
CHECKS = """
from airflow.exceptions import AirflowClusterPolicyViolation


def dag_policy(dag):
    if not dag.tags:
        raise AirflowClusterPolicyViolation(f"{dag.dag_id} has no tags.")
"""
MAKES = "from airflow import DAG\ndag = DAG({!r}, tags={!r})\n"

# What each folder holds, what plugins.zip, and the verdict with its rule and line.
GOOD: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "reads": (
        {
            NAME: "import json, os\nfrom pathlib import Path\n\n"
            "OWNERS = json.loads(Path('/usr/local/airflow/dags/policy.json').read_text())\n"
            "assert json.load(open(os.path.join(os.environ['AIRFLOW_HOME'], 'dags', 'policy.json'))) == OWNERS\n"
            "assert 'data' in Path('/usr/local/airflow/plugins/owners.txt').read_text()\n" + POLICY,
            "policy.json": '["data"]',
        },
        {"owners.txt": "data\n"},
    ),
    "empty": ({NAME: ""}, {}),
    "several": (
        {
            NAME: "import datetime, json, logging, os, re\nfrom typing import TYPE_CHECKING\n\n"
            "if TYPE_CHECKING:\n    from airflow.models import BaseOperator\n\n"
            "log = logging.getLogger(__name__)\nSTAGE = os.environ.get('STAGE', 'dev')\n" + POLICY + CHECKS
        },
        {
            NAME: "STATE_COLORS = {'failed': 'firebrick'}\n\n\n"
            "def task_instance_mutation_hook(task_instance):\n    pass\n"
        },
    ),
}
BAD: dict[str, tuple[dict[str, str], dict[str, str], str, int]] = {
    "raises": ({NAME: "x = 1\n1 / 0\n"}, {}, "import-error", 2),
    "lacks": ({NAME: "import nobody_has_this\n" + POLICY}, {}, "missing-module", 1),
    "beside": ({NAME: "from policies import task_policy\n", "policies.py": POLICY}, {}, "missing-module", 1),
    "policy": ({NAME: "def dag_policy(:\n    pass\n"}, {}, "syntax", 1),
    "exits": ({NAME: "import sys\nsys.exit(1)\n"}, {}, "exits", 2),
    "plugins": ({NAME: POLICY}, {NAME: "x = 1\nundefined_name\n"}, "undefined-name", 2),
}


def made(place: Path, dags: dict[str, str], plugins: dict[str, str]) -> Path:
    folder = place / "dags"
    folder.mkdir(parents=True)
    for name, text in dags.items():
        (folder / name).write_text(text)
    with zipfile.ZipFile(place / "plugins.zip", "w") as archive:
        for name, text in plugins.items():
            archive.writestr(name, text)
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    def one(name: str, case: Any) -> dict[str, Any]:
        folder = made(tmp_path_factory.mktemp(name), case[0], case[1])
        found = load(folder, "--plugins", str(folder.parent / "plugins.zip"), "--judge-settings")
        assert set(found) == {NAME, IN_PLUGINS}
        failing: list[dict[str, Any]] = [answer for answer in found.values() if answer["verdict"] != "accepted"]
        assert len(failing) <= 1
        return failing[0] if failing else found[NAME]

    network: Any = ({NAME: "import urllib.request as r\nr.urlopen('https://example.com')\n"}, {})
    cases: dict[str, Any] = GOOD | BAD | {"network": network, "none": ({}, {})}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(cases, pool.map(lambda item: one(*item), cases.items()), strict=True))


@pytest.mark.parametrize("name", [*GOOD, "none"])
def test_what_every_process_can_run_is_accepted(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert (answers[name]["verdict"], answers[name]["findings"]) == ("accepted", [])


@pytest.mark.parametrize("name", BAD)
def test_what_would_end_every_process_is_rejected(answers: dict[str, dict[str, Any]], name: str) -> None:
    _, _, rule, line = BAD[name]
    (finding,) = answers[name]["findings"]
    assert (answers[name]["verdict"], finding["rule"], finding["line"]) == ("rejected", rule, line)
    assert answers[name]["path"] == (IN_PLUGINS if name == "plugins" else NAME)
    assert "Every Airflow process on MWAA runs this file" in finding["message"]


def test_the_network_is_not_there_and_nothing_stands_in_for_it(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["network"]["verdict"] == "unknown"


def test_dag_files_are_loaded_under_its_policies(tmp_path: Path) -> None:
    folder = made(
        tmp_path,
        {NAME: CHECKS, "tagged.py": MAKES.format("tagged", ["a"]), "untagged.py": MAKES.format("untagged", [])},
        {},
    )
    answers = load(folder, "tagged.py", "untagged.py")
    assert {name: answer["verdict"] for name, answer in answers.items()} == {
        "tagged.py": "accepted",
        "untagged.py": "rejected",
    }
    assert "untagged has no tags" in answers["untagged.py"]["findings"][0]["message"]


@pytest.mark.parametrize(("place", "verdict"), [("dags", "accepted"), ("plugins", "rejected")])
def test_those_of_a_place_can_be_left_out_to_see_what_they_do(tmp_path: Path, place: str, verdict: str) -> None:
    folder = made(tmp_path, {NAME: CHECKS, "untagged.py": MAKES.format("untagged", [])}, {NAME: POLICY})
    plugins = str(folder.parent / "plugins.zip")
    answers = load(folder, "untagged.py", "--plugins", plugins, "--without-settings", place)
    assert answers["untagged.py"]["verdict"] == verdict
