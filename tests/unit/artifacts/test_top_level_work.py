"""Work at the top level of a DAG file is a warning with its line and a remedy; work in tasks is none."""

from __future__ import annotations

import pytest

from .judging import judge

HEAD = "from airflow.decorators import dag, task\n"


def lines(text: str) -> list[int | None]:
    judged = judge(HEAD + text + "\n@dag(schedule=None)\ndef d(): pass\nd()\n")
    assert judged.verdict == "accepted"
    return [finding.line for finding in judged.findings if finding.rule == "top-level-work"]


@pytest.mark.parametrize(
    "text",
    [
        "import time; time.sleep(5)",
        "from time import sleep as wait; wait(5)",
        "import requests; x = requests.get('https://example.com').json()",
        "from urllib.request import urlopen; urlopen('https://example.com')",
        "import boto3; s3 = boto3.client('s3')",
        "import pandas as pd; data = pd.read_csv('s3://bucket/data.csv')",
        "from airflow.models import Variable; x = Variable.get('x')",
        "from airflow import models; x = models.Variable.get('x')",
        "from airflow.sdk import Variable; x = {'x': Variable.get('x', default=None)}",
        "from airflow.hooks.base import BaseHook; c = BaseHook.get_connection('c')",
        "x = [i for i in range(1_000_000)]",
        "for i in range(0, 2_000_000, 2): pass",
        "while True: pass",
        "class C: import requests; x = requests.get('https://example.com')",
    ],
)
def test_work_at_the_top_level_is_found_with_its_line(text: str) -> None:
    assert lines(text) == [2]


@pytest.mark.parametrize(
    "text",
    [
        "import requests\ndef f(): return requests.get('https://example.com')",
        "import requests\n@task\ndef f(): return requests.get('https://example.com')",
        "import requests\nf = lambda: requests.get('https://example.com')",
        "import time\nif __name__ == '__main__': time.sleep(5)",
        "for i in range(10): pass",
        "n = 10**6\nfor i in range(n): pass",
        "for i in range(0, 10, 0): pass",
        "while True: break",
        "def get(x): return x\nget('x')",
        "time = object()\ntime.sleep(5) if False else None",
        "x = '{{ var.value.x }}'",
    ],
)
def test_other_work_is_none_of_our_business(text: str) -> None:
    assert lines(text) == []


def test_a_function_that_becomes_a_dag_is_run_when_the_file_is_loaded_and_its_tasks_are_not() -> None:
    text = (
        "from airflow.models import Variable\n@dag(schedule=None)\ndef e():\n    x = Variable.get('x')\n"
        "    @task\n    def t(): return Variable.get('y')\n    t()\ne()"
    )
    assert lines(text) == [5]


def test_findings_are_bounded() -> None:
    assert len(lines("import time\n" + "time.sleep(1)\n" * 500)) == 20
