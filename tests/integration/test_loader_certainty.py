"""What is certain of a file that asks for what the gate cannot see, with a real Airflow, without the stack.

Good files use such values as people do: they compare them, parse them, schedule by them, name DAGs with them. None may
be rejected. Bad files touch them too, and fail for something else: each is rejected, with its rule, at its line.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.bench.gate.corpus import MARK

from .test_loader import SECONDS, VERSION, load

pytestmark = pytest.mark.loading

HEAD = """
import os
from datetime import datetime, timedelta

import acme_tools
from airflow import DAG
from airflow.decorators import dag, task
from airflow.models import Variable
from airflow.operators.python import PythonOperator
from airflow.providers.acme.operators.x import AcmeOperator
from airflow.utils.task_group import TaskGroup

ENV = os.environ.get("STAGE", "dev")
BUCKET = Variable.get("bucket", default_var="orders")
NAME = f"orders_{ENV}"
client = acme_tools.Client(ENV)
STARTS = datetime(2024, 1, 1)

"""
TAIL = """
with DAG("tail", start_date=STARTS, schedule=None):
    PythonOperator(task_id="last", python_callable=print, op_args=[BUCKET])
"""
PROVIDED = ["acme_tools", "airflow.providers.acme", "leaning_on_this"]

DATA = Path(__file__).parents[1] / "data" / "certainty"


def cases(name: str) -> dict[str, str]:
    """Texts by their headings."""
    found = re.split(r"^==== (.+)\n", (DATA / f"{name}.txt").read_text(), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


GOOD, BAD, HELPERS = cases("good"), cases("bad"), cases("helpers")
OF_3 = ", of Airflow 3"  # Airflow 2 loads it


def text_of(name: str, body: str) -> str:
    return HEAD + body.replace('DAG("a"', f'DAG("{name}"') + TAIL.replace("tail", f"tail_{name}")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dags")
    files = {f"good_{name}.py": text_of(name, body) for name, body in GOOD.items()}
    files |= {f"bad_{name}.py": text_of(name, body) for name, body in ((case.split(":")[0], BAD[case]) for case in BAD)}
    for path, text in (files | HELPERS).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    provided = folder.parent / "provided.json"
    provided.write_text(json.dumps({"modules": PROVIDED, "unlisted": []}))
    return load(folder, *sorted(files), "--timeout", SECONDS, "--jobs", "2", "--provided", str(provided))


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_may_work_with_the_values_it_gets_is_never_rejected(answers: dict[str, Any], name: str) -> None:
    answer = answers[f"good_{name}.py"]
    assert answer["verdict"] in {"accepted", "unknown"}, answer["findings"]


@pytest.mark.parametrize("case", BAD)
def test_a_fault_that_no_value_makes_or_mends_is_certain(answers: dict[str, Any], case: str) -> None:
    name, rule = case.removesuffix(OF_3).split(": ")
    answer = answers[f"bad_{name}.py"]
    lines = [number for number, line in enumerate(text_of(name, BAD[case]).split("\n"), start=1) if MARK in line]
    if case.endswith(OF_3) and not VERSION.startswith("3."):
        assert answer["verdict"] != "rejected", answer["findings"]
        return
    assert answer["verdict"] == "rejected", answer["findings"]
    assert [(finding["rule"], finding["line"]) for finding in answer["findings"]] == [(rule, *lines)]
