"""Which DAGs a file makes, told by reading it."""

from __future__ import annotations

import pytest

from jetway.artifacts.python.dag_ids import MOST_DAGS

from .judging import judge, rules

EXACT, CONDITIONAL, DYNAMIC = "exact", "conditional", "dynamic"


def dags(text: str, path: str = "dags/team/orders.py") -> list[tuple[str | None, int | None, str]]:
    judged = judge(text, path=path)
    assert judged.verdict == "accepted"
    return [(dag.dag_id, dag.line, dag.certainty) for dag in judged.dags]


@pytest.mark.parametrize(
    ("text", "dag_id"),
    [
        ("from airflow import DAG\nwith DAG('a'): pass", "a"),
        ("from airflow.sdk import DAG\nwith DAG(dag_id='a', schedule=None) as d: pass", "a"),
        ("from airflow.models.dag import DAG as D\nd = D('a')", "a"),
        ("import airflow\nd = airflow.DAG('a')", "a"),
        ("import airflow.sdk\nd = airflow.sdk.DAG('a')", "a"),
        ("import airflow.models as m\nd = m.DAG('a')", "a"),
        ("from airflow import models\nd = models.DAG('a')", "a"),
        ("from airflow.sdk import *\nd = DAG('a')", "a"),
        ("try:\n    from airflow.sdk import DAG\nexcept ImportError: from airflow import DAG\nd = DAG('a')", "a"),
        ("from airflow import DAG\nNAME = 'a'\nd = DAG(NAME)", "a"),
        ("from airflow import DAG\nTEAM: str = 'x'\nd = DAG(f'{TEAM}_a_{1}')", "x_a_1"),
        ("from airflow import DAG\nd = DAG('x' + '_' + 'a')", "x_a"),
        ("from airflow import DAG\nfrom pathlib import Path\nd = DAG(Path(__file__).stem)", "orders"),
        ("from airflow import DAG\nimport os\nd = DAG(os.path.splitext(os.path.basename(__file__))[0])", "orders"),
        ("from airflow import DAG\nimport os\nd = DAG(os.path.basename(__file__).replace('.py', ''))", "orders"),
        ("from airflow import DAG\nargs = {}\nd = DAG('a', **args)", "a"),
        ("from airflow.sdk import dag\n@dag\ndef a(): pass\na()", "a"),
        ("from airflow.sdk import dag\n@dag(schedule=None)\ndef a(): pass\nd = a()", "a"),
        ("from airflow.decorators import dag\n@dag('b')\ndef a(): pass\na()", "b"),
        ("from airflow.decorators import dag\n@dag(dag_id='b')\ndef a(): pass\na()", "b"),
        ("from airflow import sdk\n@sdk.dag()\ndef a(): pass\na()", "a"),
        ("from airflow.sdk import asset\n@asset(schedule=None)\ndef a(): pass", "a"),
        ("from airflow.sdk import asset\n@asset(name='b', schedule=None)\ndef a(): pass", "b"),
        ("from airflow.sdk import asset\n@asset.multi(schedule=None, outlets=[])\ndef a(): pass", "a"),
        ("from airflow import sdk\n@sdk.asset.multi(dag_id='b', schedule=None)\ndef a(): pass", "b"),
    ],
)
def test_a_dag_that_loading_makes(text: str, dag_id: str) -> None:
    ((found, line, certainty),) = dags(text)
    assert (found, certainty) == (dag_id, EXACT)
    assert line is not None
    assert line > 1


@pytest.mark.parametrize(
    "text",
    [
        "from airflow import DAG\nif FLAG:\n    d = DAG('a')",
        "from airflow import DAG\ntry:\n    d = DAG('a')\nexcept E: pass",
        "from airflow import DAG\ndef make():\n    with DAG('a') as d: return d\nd = make()",
        "from airflow import DAG\nd = [DAG('a') for _ in x]",
        "from airflow import DAG\nfor x in unknown():\n    d = DAG('a')",
        "from airflow.sdk import dag\n@dag\ndef a(): pass\nif FLAG: a()",
        "from airflow.sdk import dag\n@dag\ndef a(): pass\nregister(a)",
        "from airflow.sdk import dag\ndef a(): pass\ndag(dag_id='a')(a)()",
    ],
)
def test_a_dag_that_depends(text: str) -> None:
    ((found, _, certainty),) = dags(text)
    assert (found, certainty) == ("a", CONDITIONAL)


@pytest.mark.parametrize(
    "text",
    [
        "from airflow import DAG\nimport os\nd = DAG(os.environ['X'])",
        "from airflow import DAG\nfrom names import NAME\nd = DAG(NAME)",
        "from airflow import DAG\ndef make(name):\n    return DAG(name)\nd = make('a')",
        "from airflow import DAG\nname = 'a'\nname = 'b'\nd = DAG(name)",
        "from airflow import DAG\nname = 'a'\nfrom names import name\nd = DAG(name)",
        "from airflow import DAG\nargs = {'dag_id': 'a'}\nd = DAG(**args)",
        "from airflow import DAG\nd = DAG(*args)",
        "from airflow import DAG\nd = DAG(f'{x!r:>10}')",
        "from airflow import DAG\nname = 'a'\ndef make(name): return DAG(name)",
        "from airflow import DAG\nname = 'a'\nmake = lambda name: DAG(name)",
        "from airflow import DAG\nclass Ours(DAG): pass\nd = Ours('a')",
        "from airflow import DAG\nclass Ours(DAG): pass\nclass More(Ours): pass\nd = More('a')",
        "from airflow import DAG\nimport dagfactory\ndagfactory.load_yaml_dags(globals_dict=globals())",
        "from airflow import DAG\nx = f'{x}'\nd = DAG(x)",
        "from airflow import DAG\nx = 0x" + "f" * 5000 + "\nd = DAG(f'{x}')",
        "from airflow import DAG\nx = 'a'\nd = DAG(f'" + "{x}" * 101 + "')",
        "from airflow.sdk import dag\n@dag(**args)\ndef a(): pass\na()",
    ],
)
def test_a_dag_whose_id_only_running_tells(text: str) -> None:
    ((found, _, certainty),) = dags(text)
    assert (found, certainty) == (None, DYNAMIC)


@pytest.mark.parametrize(
    "text",
    [
        "from airflow import DAG\ndef task(dag: DAG) -> None: ...",
        "from airflow import DAG\nif __name__ == '__main__':\n    d = DAG('a')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from airflow import DAG\n    d = DAG('a')",
        "from ours import DAG  # not airflow's\nd = DAG('a')",
        "# airflow and dag are here, but nothing else\n",
    ],
)
def test_no_dag(text: str) -> None:
    judged = judge(text)
    assert (judged.verdict, judged.dags) == ("accepted", ())
    assert rules(judged) == []


def test_a_dag_that_nothing_keeps_is_none_and_looks_as_if_one_was_meant() -> None:
    judged = judge("from airflow import DAG\nDAG('made and not kept')")
    assert (judged.verdict, judged.dags, rules(judged)) == ("accepted", (), [("lost-dag", 2)])


def test_loops_over_literal_lists_are_followed() -> None:
    text = """
from airflow import DAG
REGIONS = ["eu", "us"]
for region in REGIONS:
    for number in range(2):
        with DAG(f"load_{region}_{number}") as dag:
            pass
"""
    assert dags(text) == [(f"load_{region}_{n}", 6, EXACT) for region in ("eu", "us") for n in (0, 1)]


def test_several_dags_come_in_the_order_of_their_lines_and_once_each() -> None:
    text = "from airflow import DAG\nb = DAG('b')\nwith DAG('a') as x, DAG('c') as y: pass\nif z: b = DAG('b')\n"
    assert dags(text) == [("b", 2, EXACT), ("a", 3, EXACT), ("c", 3, EXACT)]


def test_a_dag_function_that_nothing_calls_gets_a_warning_of_its_own() -> None:
    judged = judge("from airflow.sdk import dag\n@dag\ndef orders():\n    pass\n")
    assert judged.verdict == "accepted"
    assert rules(judged) == [("uncalled-dag", 3)]
    assert "orders()" in judged.findings[0].remedy


def test_a_file_of_very_many_dags_is_read_up_to_a_bound() -> None:
    loop = "from airflow import DAG\nfor i in range(1000):\n"
    found = dags(loop + "    a = DAG(f'a{i}')\n" + "    b = DAG(f'b{i}')\n" * 200)
    assert len(found) <= MOST_DAGS + 1
    assert any(certainty == DYNAMIC for _, _, certainty in found)


def test_names_made_of_names_do_not_multiply() -> None:
    """Thirty doublings would be a gigabyte of text, or as many steps when the text is empty."""
    lines = ["from airflow import DAG", "x0 = ''"]
    lines += [f"x{i} = f'" + f"{{x{i - 1}}}" * 50 + "'" for i in range(1, 30)]
    assert dags("\n".join([*lines, "d = DAG(x29 + 'a')"])) == [(None, 32, DYNAMIC)]
