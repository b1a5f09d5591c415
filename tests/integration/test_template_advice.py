"""What tasks ask of a run that it may not have: found by reading their templates, with the real Airflow's tasks.

Airflow itself is the judge of each template: it renders it with what a run without a date has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest

from tools import venvs
from tools.emulator import airflow

from .test_loader import MEASURED

pytestmark = pytest.mark.loading

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
MAJOR = int(VERSION.partition(".")[0])
LOADER = str(venvs.ROOT / "layers" / "loader")

# A template → the names that it cannot do without in a run without a date on Airflow 3.
NEEDS: dict[str, list[str]] = {
    "{{ ds }}": ["ds"],
    "{{ ts_nodash_with_tz }}/{{ data_interval_end.year }}": ["data_interval_end", "ts_nodash_with_tz"],
    "{{ macros.ds_add(ds, 1) }}": ["ds"],
    "{{ logical_date | ds_nodash }}": ["logical_date"],
    "{{ ds or 'none' }}": ["ds"],
    "{% if logical_date %}{{ ds }}{% endif %}": ["logical_date"],
    "{{ ds[:4] | default('none') }}": ["ds"],
    "{% set day = ds %}{{ day }}": ["ds"],
    "{% for day in [ds] %}{{ day }}{% endfor %}": ["ds"],
    "{% if dag_run.logical_date %}{{ ds }}{% else %}{{ ts }}{% endif %}": ["ts"],
    "{% for ds in ['a'] %}{{ ds }}{% endfor %}{{ ds }}": ["ds"],
    "{% filter upper %}{{ ts }}{% endfilter %}": ["ts"],
    "{% with day = ds %}{{ day }}{% endwith %}": ["ds"],
    "{% if run_id %}{% set x = 1 %}{% else %}{% set ds = 'x' %}{% endif %}{{ ds }}": ["ds"],
    "{{ execution_date }}": ["execution_date"],
    "{{ tomorrow_ds_nodash ~ prev_ds }}": ["prev_ds", "tomorrow_ds_nodash"],
    "{{ execution_date.strftime('%Y') if run_id else '' }}": ["execution_date"],
    "{{ dag_run.execution_date.year }}": ["dag_run.execution_date"],
    "{{ dag_run['execution_date'].year }}": ["dag_run.execution_date"],
    "{{ conf.get('core', 'dags_folder') }}": ["conf"],
    "{{ dag_run.logical_date.year }}": ["dag_run.logical_date"],
    "{{ dag_run.data_interval_start.strftime('%Y') }}": ["dag_run.data_interval_start"],
    "{{ dag_run['logical_date']['year'] }}": ["dag_run.logical_date"],
    # Guarded, or not what it looks like.
    "{{ ds | default('none') }}{{ prev_ds | d('none') }}": [],
    "{% if ds is defined %}{{ ts }}{% else %}none{% endif %}": [],
    "{% if ds is not defined %}none{% else %}{{ ts }}{% endif %}": [],
    "{% if not ds is defined %}none{% elif run_id %}{{ ts }}{% endif %}": [],
    "{{ ds if dag_run.logical_date else 'none' }}": [],
    "{{ ds if dag_run.logical_date is not none else 'none' }}": [],
    "{{ ds if dag_run.logical_date != None else 'none' }}": [],
    "{{ ds if dag_run.run_type == 'scheduled' else 'none' }}": [],
    "{{ (ds is defined and ds) or 'none' }}": [],
    "{% if ds is not defined or run_id == '' %}none{% else %}{{ ds }}{% endif %}": [],
    "{{ execution_date if execution_date is defined else 'none' }}": [],
    "{% set ds = ds | default('none') %}{{ ds }}": [],
    "{% if ds is not defined %}{% set ds = 'none' %}{% endif %}{{ ds }}": [],
    "{% macro day(ds) %}{{ ds }}{% endmacro %}{{ day('none') }}": [],
    "{{ params.ds }}{{ 'ds' }}{# {{ ds }} #}{% raw %}{{ ds }}{% endraw %}": [],
    "{{ dag_run.run_after | ds }}": [],
    "{{ dag_run.logical_date }}": [],
    "{{ dag_run.logical_date | ds }}": [],
    "{{ dag_run.logical_date.year if dag_run.logical_date else 'none' }}": [],
    "{{ (dag_run.logical_date or dag_run.run_after).year }}": [],
    "{% if dag_run.data_interval_end %}{{ dag_run.data_interval_end.year }}{% endif %}": [],
    "{{ run_id }} {{ next_ds }} costs {{ own_macro() }}": [],  # next_ds is the DAG's own
    "ds": [],
    "{{ ds": [],
}

IN_ONE_FILE = 10  # a file gets twenty findings at most
TABLE = """
import json
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.bash import BashOperator

TEMPLATES = json.loads(Path(__file__).with_name("templates.json").read_text())
OWN = {"next_ds": "mine", "own_macro": lambda: 1}

for number in range(FIRST, min(FIRST + MANY, len(TEMPLATES))):
    with DAG(f"t{number}", start_date=datetime(2026, 1, 1), schedule=None, user_defined_macros=OWN, params={"ds": "x"}):
        BashOperator(task_id="only", bash_command=TEMPLATES[number])
"""

PLACES = '''
from datetime import datetime

import jinja2
from airflow import DAG
from airflow.decorators import task
from airflow.models.baseoperator import BaseOperator
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator


class Sql(BaseOperator):
    template_fields = ("sql", "parameters")
    template_ext = (".sql",)

    def __init__(self, *, sql, parameters=None, **kwargs):
        super().__init__(**kwargs)
        self.sql, self.parameters = sql, parameters

    def render_template_fields(self, context, jinja_env=None):
        context["yesterday_ds"] = "mine"
        super().render_template_fields(context, jinja_env)

    def execute(self, context):
        print(context["ts"])


COMMAND = """
echo one
echo {{ ts_nodash }}
"""


def export(ds, ts_nodash="", data_interval_start=None, **context):
    print(context["logical_date"], context.get("data_interval_end"))


def careful(**context):
    if "ds" in context:
        print(context["ds"])


with DAG("places", start_date=datetime(2026, 1, 1), schedule=None):
    Sql(task_id="file", sql="sql/load.sql")
    Sql(task_id="nested", sql="{{ yesterday_ds }}", parameters={"a": ["sql/outer.sql", ("{{ ts }}",)]})
    BashOperator(
        task_id="long",
        bash_command=COMMAND,
    )
    for number in range(7):
        BashOperator(task_id=f"loop{number}", bash_command=f"echo {number} {{{{ ds }}}}")
    BashOperator.partial(task_id="mapped", env={"DAY": "{{ ds }}"}).expand(bash_command=["{{ ts }}", "{{ prev_ds }}"])
    PythonOperator(task_id="function", python_callable=export)
    PythonOperator(task_id="given", python_callable=export, op_args=["a"], op_kwargs={"logical_date": 1})
    PythonOperator(task_id="careful", python_callable=careful)

    @task
    def decorated(value, ds):
        print(value)

    decorated("{{ next_ds_nodash }}")
with DAG("daily", start_date=datetime(2026, 1, 1), schedule="@daily"):
    BashOperator(task_id="a", bash_command="{{ ds }}")
    BashOperator(task_id="b", bash_command="{{ ts }}")
with DAG("lenient", start_date=datetime(2026, 1, 1), schedule=None, template_undefined=jinja2.Undefined):
    BashOperator(task_id="empty", bash_command="{{ ds }}{% if ts %}{{ ts }}{% endif %}")
'''

FILES = {
    **{
        f"table_{first}.py": TABLE.replace("FIRST", str(first)).replace("MANY", str(IN_ONE_FILE))
        for first in range(0, len(NEEDS), IN_ONE_FILE)
    },
    "templates.json": json.dumps(list(NEEDS)),
    "places.py": PLACES,
    "sql/load.sql": "-- day by day\nSELECT *\nFROM orders WHERE day = '{{ ds }}'\n",
    "sql/outer.sql": "-- all of it\n{% include 'sql/load.sql' %}\n",
    "slow_property.py": "import traceback\n"
    + PLACES.partition("\n\n\nCOMMAND")[0].replace("self.sql, ", "").replace("= sql, p", "= p")
    + """
    @property
    def sql(self):
        while any(frame.name == "advice" for frame in traceback.extract_stack()):
            pass

with DAG("slow_property", start_date=datetime(2026, 1, 1), schedule=None):
    Sql(task_id="endless", sql="")
""",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dags")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-m", "jetway_loader", str(folder), "--json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": LOADER} | MEASURED,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {answer["path"]: answer for answer in json.loads(done.stdout)}


# Renders each template as a run without a date would, and prints the kind of error that comes of it.
RENDER = """
import json, sys, types
from datetime import datetime
import jinja2
from airflow.sdk.definitions._internal.templater import create_template_env

own = {"next_ds": "mine", "own_macro": lambda: 1}
env = create_template_env(user_defined_macros=own)
dates = dict.fromkeys(["logical_date", "data_interval_start", "data_interval_end"])
run = types.SimpleNamespace(**dates, run_after=datetime(2026, 1, 1), run_type="manual")
from airflow.sdk.execution_time.context import MacrosAccessor
context = {"dag_run": run, "run_id": "manual__x", "params": {"ds": "x"}, "macros": MacrosAccessor()}
def outcome(text):
    try:
        env.from_string(text).render(context)
    except jinja2.UndefinedError:
        return "fails"
    except jinja2.TemplateSyntaxError:
        return "cannot be read"
    return "renders"
print(json.dumps([outcome(text) for text in json.load(sys.stdin)]))
"""


@pytest.mark.skipif(MAJOR < 3, reason="a run of Airflow 2 always has a date")
def test_what_is_said_to_need_a_date_is_what_airflow_cannot_render_without() -> None:
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-c", RENDER],
        input=json.dumps(list(NEEDS)),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    outcomes = dict(zip(NEEDS, json.loads(done.stdout), strict=True))
    # The one thing that reading cannot know: which way a test goes that has nothing to do with dates.
    outcomes["{% if run_id %}{% set x = 1 %}{% else %}{% set ds = 'x' %}{% endif %}{{ ds }}"] = "fails"
    assert {text for text, outcome in outcomes.items() if outcome == "fails"} == {
        text for text, names in NEEDS.items() if names
    }


def test_each_template_is_told_by_the_names_that_it_needs(answers: dict[str, Any]) -> None:
    told: dict[str, set[str]] = {}
    for answer in (answer for name, answer in answers.items() if name.startswith("table_")):
        assert answer["verdict"] == "accepted"
        assert len(answer["dags"]) <= IN_ONE_FILE
        for finding in answer["findings"]:
            assert (finding["rule"], finding["severity"]) == ("airflow-advice", "warning")
            dag, names = re.findall(r"of DAG '(t\d+)' asks for (.+?) in bash_command\. ", finding["message"])[0]
            told.setdefault(dag, set()).update(names.replace(" and ", ", ").split(", "))
    removed = {"execution_date", "prev_ds", "tomorrow_ds_nodash", "dag_run.execution_date", "conf"}
    wanted = {
        f"t{number}": {name for name in names if MAJOR >= 3 or name in removed}
        for number, names in enumerate(NEEDS.values())
    }
    assert told == {dag: names for dag, names in wanted.items() if names}


def lines(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return [(finding["line"], finding["message"].partition(". ")[0]) for finding in answer["findings"]]


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(PLACES.split("\n"), 1) if text in line)


@pytest.mark.skipif(MAJOR < 3, reason="a run of Airflow 2 always has a date")
def test_task_place_and_line_are_said(answers: dict[str, Any]) -> None:
    answer = answers["places.py"]
    assert answer["verdict"] == "accepted"
    of = "of DAG 'places'"
    loops = "Tasks 'loop0', 'loop1', 'loop2', 'loop3', 'loop4' and 2 more"
    assert sorted(lines(answer)) == lines(answer)
    assert set(lines(answer)) == {
        (line_of('context["ts"]'), f"Tasks 'file' and 'nested' {of} ask for ts in its function"),
        (line_of("{{ ts_nodash }}"), f"Task 'long' {of} asks for ts_nodash in bash_command"),
        (line_of("def export"), f"Task 'function' {of} asks for ds and logical_date in its function"),
        (line_of('"file"'), f"Task 'file' {of} asks for ds in sql (sql/load.sql:3)"),
        (line_of('"nested"'), f"Task 'nested' {of} asks for ds and ts in parameters (sql/outer.sql:2) and parameters"),
        (line_of('f"loop'), f"{loops} {of} ask for ds in bash_command"),
        (line_of('"mapped"'), f"Task 'mapped' {of} asks for prev_ds in bash_command"),
        (line_of('"mapped"'), f"Task 'mapped' {of} asks for ds and ts in env and bash_command"),
        (line_of("def decorated"), f"Task 'decorated' {of} asks for ds in its function"),
        (line_of('decorated("'), f"Task 'decorated' {of} asks for next_ds_nodash in op_args"),
        (line_of('"a", bash'), "Tasks 'a' and 'b' of DAG 'daily' ask for ds and ts in bash_command"),
        (line_of('"empty"'), "Task 'empty' of DAG 'lenient' asks for ds in bash_command"),
    }


@pytest.mark.skipif(MAJOR >= 3, reason="of Airflow 2")
def test_for_airflow_2_what_airflow_3_no_longer_has_is_advice_for_the_upgrade(answers: dict[str, Any]) -> None:
    answer = answers["places.py"]
    assert lines(answer) == [
        (line_of('"mapped"'), "Task 'mapped' of DAG 'places' asks for prev_ds in bash_command"),
        (line_of('decorated("'), "Task 'decorated' of DAG 'places' asks for next_ds_nodash in op_args"),
    ]
    assert all("after an upgrade the task fails" in finding["message"] for finding in answer["findings"])


@pytest.mark.skipif(MAJOR < 3, reason="a run of Airflow 2 always has a date")
def test_it_says_which_runs_what_becomes_of_the_task_and_what_to_write(answers: dict[str, Any]) -> None:
    said = {finding["message"].partition(". ")[2]: finding["remedy"] for finding in answers["places.py"]["findings"]}
    without = "A run that starts without a logical date"
    assert {
        f"{without} has no ts_nodash: the task fails ('ts_nodash' is undefined).",
        f"{without}, not by the DAG's schedule, has no ds or ts: the task fails ('ds' is undefined).",
        f"{without} has no ds: the template renders it as an empty string.",
        "Airflow 3 no longer has it: the task fails ('prev_ds' is undefined).",
    } <= set(said)
    assert any(remedy.startswith("Write macros.ds_add(ds, -1) for prev_ds. ") for remedy in said.values())


def test_reading_what_never_ends_costs_the_advice_and_nothing_else(answers: dict[str, Any]) -> None:
    answer = answers["slow_property.py"]
    assert (answer["verdict"], answer["findings"], len(answer["dags"])) == ("accepted", [], 1)
