"""A folder through the drop bucket of a real stack: a plugins.zip, packed DAGs, data files, .airflowignore, settings.

What each needs of the others is there or not; nothing waits for an update of the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import drop
from tests.integration.test_loading import cleared, report_of
from tests.unit.artifacts.zips import zip_of
from tools.stack.stack import Stack

SETTINGS = "airflow_local_settings.py"

_DAG = """
from datetime import datetime

from airflow import DAG

with DAG("{}", start_date=datetime(2024, 1, 1), schedule=None{}):
    pass
"""
_FACTORY = """
import json
from datetime import datetime
from pathlib import Path

from airflow import DAG

for path in sorted(Path(__file__).parent.glob("flows/*.json")):
    flow = json.loads(path.read_text())
    with DAG(flow["id"], start_date=datetime(2024, 1, 1), schedule=None) as dag:
        globals()[flow["id"]] = dag
"""
_POLICY = "def task_policy(task):\n    task.doc_md = task.doc_md or 'no words'\n"
_REFUSES = "def dag_policy(dag):\n    if dag.dag_id == 'whole_flow':\n        raise ValueError('not ours')\n"


def dag(dag_id: str, before: str = "", more: str = "") -> bytes:
    return (before + _DAG.format(dag_id, more)).encode()


def ignoring(stack: Stack, folder: str) -> bytes:
    """A pattern that hides a folder below dags/."""
    return (f"{folder}/\n" if stack.airflow_version.startswith("3") else f"{folder}/.*\n").encode()


@dataclass(frozen=True)
class Drop:
    """A file that is dropped, and what is said of it.

    Attributes:
        rule: of one of its errors; None where it is accepted.
        dags: that the report is certain of.
    """

    key: str
    body: bytes
    rule: str | None = None
    dags: tuple[str, ...] = ()


def drops(stack: Stack) -> list[Drop]:
    """One after the other: what was refused before is not there for the next."""
    helper = b"SCHEDULE = None\nTAGS = ['whole']\n"
    reads_beside = "import os\nsql = open(os.path.dirname(__file__) + '/a.sql').read()\n"
    return [
        # plugins.zip is imported, and so is what DAG files import from it.
        Drop("plugins.zip", zip_of({"whole_plugin.py": b"import a_package_nobody_has\n"}), "missing-module"),
        Drop("plugins.zip", zip_of({SETTINGS: b"ratio = 1 / 0\n", "whole_plugin.py": helper}), "import-error"),
        Drop("plugins.zip", zip_of({"whole_plugin.py": helper})),
        Drop("dags/whole/uses_plugin.py", dag("whole_p", "from whole_plugin import NO_TAGS\n"), "missing-name"),
        Drop(
            "dags/whole/uses_plugin.py",
            dag("whole_p", "from whole_plugin import TAGS\n", ", tags=TAGS"),
            dags=("whole_p",),
        ),
        # Packed DAGs are loaded as Airflow loads them.
        Drop("dags/whole/a.zip", zip_of({"a.py": dag("whole_a", reads_beside), "a.sql": b"select 1"}), "inside-zip"),
        Drop("dags/whole/a.zip", zip_of({"a.py": dag("whole_a", "import a_package_nobody_has\n")}), "missing-module"),
        Drop("dags/whole/a.zip", zip_of({"a.py": dag("whole_p")}), "duplicate-dag-id"),
        Drop(
            "dags/whole/a.zip", zip_of({"a.py": dag("whole_a", "import b_of_a\n"), "b_of_a.py": b""}), dags=("whole_a",)
        ),
        # A data file is judged by who reads it.
        Drop("dags/whole/flows/one.json", b'{"id": "whole_flow"}'),
        Drop("dags/whole/factory.py", _FACTORY.encode(), dags=("whole_flow",)),
        Drop("dags/whole/flows/one.json", b'{"id": "whole_flow",}', "breaks-dag-file"),
        Drop("dags/whole/notes.json", b'{"nobody": "reads",}'),
        # .airflowignore hides nothing that is live.
        Drop("dags/.airflowignore", ignoring(stack, "whole"), "hides-dags"),
        Drop("dags/.airflowignore", ignoring(stack, "whole/drafts")),
        # Every process of Airflow runs these.
        Drop(f"dags/{SETTINGS}", b"import a_package_nobody_has\n", "missing-module"),
        Drop(f"dags/{SETTINGS}", _REFUSES.encode(), "breaks-dags"),
        Drop(f"dags/{SETTINGS}", _POLICY.encode()),
    ]


def said(report: Mapping[str, Any]) -> tuple[str, str, list[str], list[str]]:
    """Verdict, outcome, rules of errors, and the DAGs that are certain."""
    rules = [finding["rule"] for finding in report["findings"] if finding["severity"] == "error"]
    return report["verdict"], report["outcome"], rules, [found["dag_id"] for found in report["dags"]]


@pytest.mark.slow  # twenty files, one after the other
def test_each_file_is_judged_with_what_is_live_around_it(stack: Stack) -> None:
    wanted = drops(stack)
    wrong = []
    with cleared(stack, reversed([one.key for one in wanted])):
        for one in wanted:
            report = report_of(stack, one.key, drop(stack, one.key, one.body))
            verdict, outcome, rules, dags = said(report)
            expected = ("rejected", "quarantined") if one.rule else ("accepted", "promoted")
            if (verdict, outcome) != expected or one.rule not in {None, *rules} or not set(one.dags) <= set(dags):
                wrong.append((one.key, one.rule, json.dumps(report["findings"])[:500], verdict, outcome, dags))
    assert wrong == []
