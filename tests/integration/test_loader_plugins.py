"""plugins.zip with a real Airflow, without the stack: by itself, and on the path of DAG files."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tools import venvs
from tools.emulator import airflow

pytestmark = pytest.mark.loading

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
PROGRAM = """
import json, sys
from functions.import_dag import app

class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 25_000)

print(json.dumps([app.handler(json.loads(line), Context()) for line in sys.stdin]))
"""

PLUGIN = "from airflow.plugins_manager import AirflowPlugin\n\n\nclass Orders(AirflowPlugin):\n    name = 'orders'\n"
USES = (
    "from airflow import DAG\n{}\nimport datetime\n"
    "with DAG('orders', start_date=datetime.datetime(2024, 1, 1), {}):\n    pass\n"
)
TIMETABLE = """
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Never(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return None


class NeverPlugin(AirflowPlugin):
    name = "never"
    timetables = [Never]
"""
LISTENER = """
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class Listener:
    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        print(dag_run)


class ListenerPlugin(AirflowPlugin):
    name = "listener"
    listeners = [Listener()]
"""
MACROS = """
from airflow.plugins_manager import AirflowPlugin


def fiscal_year(day):
    return day.year


class MacrosPlugin(AirflowPlugin):
    name = "fiscal"
    macros = [fiscal_year]
"""
OPERATOR = """
try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models import BaseOperator

from {} import TABLE


class LoadOrders(BaseOperator):
    template_fields = ("table",)

    def __init__(self, *, table=TABLE, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def execute(self, context):
        return self.table
"""
SLOW = "import time\ntime.sleep(60)\n"


@dataclass(frozen=True)
class Case:
    """A plugins.zip, and a DAG file that uses it, if there is one."""

    plugins: Mapping[str, str]
    dag: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    dags: Mapping[str, str] = field(default_factory=dict)


PACKAGE = {
    "acme/__init__.py": "",
    "acme/settings.py": "TABLE = 'orders'\nRETRIES = 3\n",
    "acme/operators/__init__.py": "",
    "acme/operators/load.py": OPERATOR.format("acme.settings"),
}

GOOD = {
    "nothing": Case({}, USES.format("", "schedule=None")),
    "a plugin": Case({"orders.py": PLUGIN}),
    "every name of a module": Case(
        {"acme/__init__.py": "", "acme/settings.py": "RETRIES = 3\n"},
        USES.format("from acme.settings import *", "schedule=None, default_args={'retries': RETRIES}"),
    ),
    "an operator": Case(
        PACKAGE,
        USES.format("from acme.operators.load import LoadOrders", "schedule=None") + "    LoadOrders(task_id='a')\n",
    ),
    "a base class": Case(
        {"base.py": "class Base:\n    def __init__(self, *, level):\n        self.level = level\n"},
        USES.format("from base import Base\nclass Mine(Base): pass\nassert Mine(level=3).level == 3", "schedule=None"),
    ),
    "a timetable": Case({"never.py": TIMETABLE}, USES.format("from never import Never", "schedule=Never()")),
    "a listener": Case({"listener.py": LISTENER}, USES.format("", "schedule=None")),
    "macros": Case({"macros_plugin.py": MACROS}, USES.format("from macros_plugin import fiscal_year", "schedule=None")),
    "a constant that is compared": Case(
        {"stage.py": "STAGE = 'prod'\n"},
        USES.format(
            "from stage import STAGE\nif STAGE not in ('dev', 'prod'):\n    raise ValueError(STAGE)", "schedule=None"
        ),
    ),
    "a schedule": Case({"times.py": "NIGHTLY = '0 3 * * *'\n"}, USES.format("import times", "schedule=times.NIGHTLY")),
    "what names a DAG": Case(
        {"names.py": "NAME = 'x'\n"}, "from airflow import DAG\nimport names\ndag = DAG('named_' + names.NAME)\n"
    ),
    "a file beside a module": Case(
        {
            "acme/__init__.py": "",
            "acme/read.py": "import json, pathlib\n"
            "SETTINGS = json.loads(pathlib.Path(__file__).with_name('s.json').read_text())\n",
            "acme/s.json": '{"retries": 2}',
        },
        USES.format("from acme.read import SETTINGS", "schedule=None, default_args=SETTINGS"),
    ),
    "a namespace without __init__": Case(
        {"acme_space/tables.py": "T = 1\n"}, USES.format("from acme_space.tables import T", "schedule=None")
    ),
    "what does without a package": Case(
        {"maybe.py": "try:\n    import nobody_has_this\nexcept ImportError:\n    nobody_has_this = None\n"},
        USES.format("import maybe", "schedule=None"),
    ),
    "a Variable and an environment variable": Case(
        {
            "reads.py": "import os\nfrom airflow.models import Variable\n"
            "RETRIES = int(Variable.get('retries')) + int(os.environ['MORE'])\n" + PLUGIN
        },
        USES.format("from reads import RETRIES", "schedule=None"),
    ),
    "tests and a setup.py": Case(
        {
            "orders.py": PLUGIN,
            "tests/test_orders.py": "import nobody_has_pytest\n",
            "setup.py": "import nobody_has_setuptools\n",
        }
    ),
    "a library that pip has put there": Case(
        {
            "library/__init__.py": "",
            "library/contrib.py": "import nobody_has_this\n",
            "library-1.0.dist-info/RECORD": "library/__init__.py,,\nlibrary/contrib.py,,\n",
        },
        USES.format("import library", "schedule=None"),
    ),
    "a module of the dags folder": Case(
        {"orders.py": "from team.names import NAME\n" + PLUGIN}, dags={"team/names.py": "NAME = 'a'\n"}
    ),
    "what requirements.txt brings": Case(
        {"orders.py": "from acme_tools import Client\n" + PLUGIN},
        USES.format("from orders import Client\nclient = Client()", "schedule=None"),
        options={"inventory": {"contents": {"acme_tools": "Client"}}},
    ),
}

# What is not known to fail, and not known to work.
UNKNOWN = {
    "a compiled module of another processor": Case(
        {
            "fast/__init__.py": "from fast._speed import run\n",
            "fast/_speed.cpython-312-no_such_processor.so": "ELF",
        },
        USES.format("from fast import run", "schedule=None"),
        options={"binaries": ["fast._speed"]},
    ),
    "a package of which nobody knows what is in it": Case(
        {"orders.py": "from acme_tools import Client\n" + PLUGIN},
        USES.format("from orders import Client\nclient = Client()", "schedule=None"),
        options={"provided": ["acme_tools"]},
    ),
}

# What is refused: the rule, the line, and words of the message, for plugins.zip and for the DAG file.
BAD = {
    "a plugin that lacks a module": (
        Case(
            {"orders.py": "import json\nimport a_package_nobody_has\n" + PLUGIN},
            USES.format("import orders", "schedule=None"),
        ),
        ("missing-module", 2, "orders.py: ModuleNotFoundError: No module named 'a_package_nobody_has'"),
        ("missing-module", 2, "No module named 'a_package_nobody_has' (in plugins/orders.py:2)"),
    ),
    "a module that lacks a module": (
        Case(
            {"acme/__init__.py": "", "acme/clean.py": "import a_package_nobody_has\n"},
            USES.format("from acme.clean import clean", "schedule=None"),
        ),
        ("missing-module", 1, "acme/clean.py: ModuleNotFoundError"),
        ("missing-module", 2, "(in plugins/acme/clean.py:1)"),
    ),
    "a folder named plugins, which is none on MWAA": (
        Case({"lineage.py": "from plugins.greet import Greet\n" + PLUGIN, "greet.py": "class Greet: pass\n"}),
        ("missing-module", 1, "ModuleNotFoundError: No module named 'plugins"),
        None,
    ),
    "a name that is not there": (
        Case(
            {"acme/__init__.py": "", "acme/s.py": "DAYS = 3\n"},
            USES.format("from acme.s import DAYSS", "schedule=None"),
        ),
        None,
        ("missing-name", 2, "cannot import name 'DAYSS' from 'acme.s'"),
    ),
    "a constant that fails": (
        Case(
            {"stage.py": "STAGE = 'test'\n"},
            USES.format("from stage import STAGE\nassert STAGE == 'prod'", "schedule=None"),
        ),
        None,
        ("import-error", 3, "AssertionError"),
    ),
    "arguments of an operator": (
        Case(
            PACKAGE,
            USES.format("from acme.operators.load import LoadOrders", "schedule=None")
            + "    LoadOrders(task_id='a', tabel='b')\n",
        ),
        None,
        ("arguments", 6, "tabel"),
    ),
    "a module that fails": (
        Case({"orders.py": "ratio = 1 / 0\n" + PLUGIN}),
        ("import-error", 1, "orders.py: ZeroDivisionError"),
        None,
    ),
    "on_load": (
        Case(
            {
                "orders.py": PLUGIN
                + "\n    @classmethod\n    def on_load(cls, *args, **kwargs):\n        raise RuntimeError('no')\n"
            }
        ),
        ("import-error", 9, "RuntimeError: no"),
        None,
    ),
    "a plugin without a name": (
        Case({"orders.py": PLUGIN.replace("name = 'orders'", "pass")}),
        ("plugin-without-name", None, "Your plugin needs a name"),
        None,
    ),
    "sys.exit": (
        Case({"orders.py": "import sys\nsys.exit(1)\n"}),
        ("exits", 2, "orders.py: The file ends the process"),
        None,
    ),
    "os._exit": (Case({"orders.py": "import os\nos._exit(1)\n"}), ("exits", 2, "orders.py: It ends the process"), None),
    "a timetable that is no plugin": (
        Case(
            {"never.py": TIMETABLE.replace("timetables = [Never]", "pass")},
            USES.format("from never import Never", "schedule=Never()"),
        ),
        None,
        ("serialization", 4, "Never"),
    ),
}

DOUBTFUL = {
    "what an unlisted distribution may bring": Case(
        {"orders.py": "import something_of_it\n" + PLUGIN}, options={"unlisted": ["acme-tools"]}
    ),
    "a file that only the environment has": Case({"orders.py": "open('/etc/acme/none.ini')\n" + PLUGIN}),
    "a Variable that decides": Case(
        {"orders.py": "from airflow.models import Variable\nx = {'a': 1}[Variable.get('x')]\n" + PLUGIN}
    ),
    "another version of Airflow": Case({"orders.py": "1 / 0\n" + PLUGIN}, options={"airflow_version": "3.0.0"}),
}
RELATIVE = {"acme/__init__.py": "", "acme/a.py": "from .b import B\n", "acme/b.py": "B = 1\n", "orders.py": PLUGIN}


def packed(files: Mapping[str, str]) -> dict[str, str]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return {"zip": base64.b64encode(out.getvalue()).decode()}


def event(case: Case) -> dict[str, Any]:
    dags = dict(case.dags) | ({"orders.py": case.dag} if case.dag is not None else {})
    options = {"import_timeout": 20.0, "airflow_version": VERSION} | dict(case.options)
    files = ["orders.py"] if case.dag is not None else []
    return {
        "bundle": packed(dags),
        "plugins": packed(case.plugins),
        "files": files,
        "options": options,
        "load": "plugins",
    }


@pytest.fixture(scope="module")
def answers() -> dict[str, list[dict[str, Any]]]:
    """Load all of them in one process, as Lambda keeps it warm: nothing of one is there for the next."""
    cases = GOOD | {name: case for name, (case, _, _) in BAD.items()} | DOUBTFUL | UNKNOWN
    cases |= {"relative": Case(RELATIVE, USES.format("import acme.a", "schedule=None"))}
    cases |= {"gone": Case({}, USES.format("import orders_plugin_of_before, acme", "schedule=None"))}
    cases |= {"twice": Case({"a.py": PLUGIN, "b.py": PLUGIN})}
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    path = os.pathsep.join([str(venvs.ROOT), str(venvs.ROOT / "layers" / "loader")])
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-c", PROGRAM],
        input="\n".join(json.dumps(event(case)) for case in cases.values()),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path} | measured,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: answer["loaded"] for name, answer in zip(cases, found, strict=True)}


@pytest.mark.parametrize("name", GOOD)
def test_what_works_is_accepted_and_so_is_what_uses_it(answers: dict[str, Any], name: str) -> None:
    for loaded in answers[name]:
        errors = [finding for finding in loaded["findings"] if finding["severity"] == "error"]
        assert (loaded["path"], loaded["verdict"], errors) == (loaded["path"], "accepted", [])
    if GOOD[name].dag is not None:
        assert len(answers[name][0]["dags"]) == 1, "and makes its DAG"


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_uses_content_that_nobody_knows_is_unknown_and_makes_its_dag(answers: dict[str, Any], name: str) -> None:
    for loaded in answers[name]:
        (finding,) = loaded["findings"]
        assert (loaded["verdict"], finding["rule"], finding["severity"]) == ("unknown", "unknown-content", "warning")
    assert len(answers[name][0]["dags"]) == 1


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_work_is_a_finding_of_the_plugins_and_of_the_dag_files_that_need_it(
    answers: dict[str, Any], name: str
) -> None:
    case, of_plugins, of_dag = BAD[name]
    *dags, plugins = answers[name]
    for loaded, expected in ((plugins, of_plugins), *(((dags[0], of_dag),) if dags else ())):
        if expected is None:
            assert (loaded["verdict"], loaded["findings"]) == ("accepted", [])
            continue
        rule, line, words = expected
        (finding,) = loaded["findings"]
        assert (loaded["verdict"], finding["rule"], finding["severity"], finding["line"]) == (
            "rejected",
            rule,
            "error",
            line,
        )
        assert words in finding["message"]
        assert "/tmp" not in finding["message"]
    assert bool(dags) == (case.dag is not None)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_only_the_environment_tells_is_unknown(answers: dict[str, Any], name: str) -> None:
    (loaded,) = answers[name]
    (finding,) = loaded["findings"]
    assert (loaded["verdict"], finding["severity"]) == ("unknown", "warning")
    assert "This is not certain" in finding["message"]


def test_a_module_with_relative_imports_works_by_its_whole_name(answers: dict[str, Any]) -> None:
    dag, plugins = answers["relative"]
    (finding,) = plugins["findings"]
    assert (dag["verdict"], plugins["verdict"], finding["rule"]) == ("accepted", "accepted", "not-alone")
    assert finding["message"].startswith("acme/a.py: ")


def test_nothing_of_one_plugins_zip_is_there_for_the_next(answers: dict[str, Any]) -> None:
    assert answers["gone"][0]["missing"] == ["orders_plugin_of_before"]
    assert answers["nothing"][1]["findings"] == []


def test_a_second_plugin_of_the_same_name_is_told(answers: dict[str, Any]) -> None:
    (loaded,) = answers["twice"]
    assert loaded["verdict"] == "accepted"
    told = [finding["rule"] for finding in loaded["findings"]]
    assert told == (["duplicate-plugin"] if VERSION.startswith("3.3") else []), "Airflow 2 says nothing of it"
