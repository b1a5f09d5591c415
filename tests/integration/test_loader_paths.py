"""Files that say /usr/local/airflow/dags, loaded by a real Airflow: each finds there what lies in the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_loader import load

DAG = '\nfrom airflow import DAG\nwith DAG("{name}"):\n    pass\n'

DATA = {
    "conf/tables.yaml": "tables: [a, b]\n",
    "conf/orders.ini": "[orders]\nteam = sales\n",
    "conf/broken.json": '{"name": "maps",}\n',
    "sql/orders.sql": "select {{ what }}",
    "conf/good.json": "{}",
    "conf/x.toml": "a = 1\n",
    "conf/rows.csv": "a,b\n",
    "common/__init__.py": "",
    "common/more.txt": "more",
    "common/settings.py": (
        "from pathlib import Path\nROWS = (Path(__file__).parent.parent / 'conf' / 'rows.csv').read_text()\n"
    ),
    "common/shared_names.py": 'FIRST = "one"\n',
    "packed.zip": "",
    "written/here.txt": "old",
}

# Each of them works on MWAA.
GOOD = {
    "by_open": """
import yaml
assert yaml.safe_load(open("/usr/local/airflow/dags/conf/tables.yaml"))["tables"] == ["a", "b"]
""",
    "by_sys_path": """
import sys
sys.path.append("/usr/local/airflow/dags/common")
import shared_names
assert shared_names.__file__ == "/usr/local/airflow/dags/common/shared_names.py"
""",
    "by_config_parser": """
import configparser
config = configparser.ConfigParser()
config.read("/usr/local/airflow/dags/conf/orders.ini")
assert config["orders"]["team"] == "sales"
""",
    "by_glob": """
import glob
(name,) = glob.glob("/usr/local/airflow/dags/**/*.yaml", recursive=True)
assert name == "/usr/local/airflow/dags/conf/tables.yaml"
""",
    "by_pathlib": """
from pathlib import Path
folder = Path('/usr/local/airflow/dags/conf')
assert folder.resolve() == folder
assert {p.name for p in folder.iterdir()} > {'broken.json', 'orders.ini', 'tables.yaml'}
assert Path(__file__).parent == folder.parent and Path(__file__).read_text()
""",
    "by_os": """
import os
place = '/usr/local/airflow/dags/'
assert os.path.isdir(place) and os.path.getsize(place + '/conf/orders.ini')
assert 'conf' in os.listdir(place) and ('conf' in next(os.walk(place))[1])
assert [e.path for e in os.scandir(place + 'sql')] == [place + 'sql/orders.sql']
os.close(os.open(place + 'conf/../conf/orders.ini', os.O_RDONLY))
""",
    "by_home": """
import os
assert os.environ['AIRFLOW_HOME'] == '/usr/local/airflow' == os.getcwd() == os.path.expanduser('~')
assert open(os.path.join(os.environ['AIRFLOW_HOME'], 'dags', 'conf', 'orders.ini')).read()
assert open('dags/conf/orders.ini').read() and open('dags/../dags/conf/orders.ini').read()
""",
    "by_airflow": """
from airflow.configuration import conf
assert conf.get('core', 'dags_folder') == '/usr/local/airflow/dags'
assert __file__.startswith(conf.get('core', 'dags_folder'))
""",
    "by_jinja": """
import jinja2
loader = jinja2.FileSystemLoader('/usr/local/airflow/dags/sql')
assert jinja2.Environment(loader=loader).get_template('orders.sql').render(what=1) == 'select 1'
""",
    "by_importlib": """
import importlib.util
place = '/usr/local/airflow/dags/common/shared_names.py'
spec = importlib.util.spec_from_file_location('mine', place)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.FIRST == 'one'
""",
    "by_program": """
import subprocess
assert subprocess.check_output(['cat', '/usr/local/airflow/dags/sql/orders.sql'])
assert subprocess.check_output('cat /usr/local/airflow/dags/sql/orders.sql', shell=True)
""",
    "by_sqlite": """
import sqlite3
with sqlite3.connect('/usr/local/airflow/dags/written/own.db') as made:
    made.execute('create table a (b)')
assert sqlite3.connect('/usr/local/airflow/dags/written/own.db').execute('select * from a').fetchall() == []
assert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)
""",
    "by_writing": """
import os
from pathlib import Path
folder = Path('/usr/local/airflow/dags/written')
(folder / 'more.txt').write_text('new')
assert sorted(os.listdir(folder))[:2] == ['here.txt', 'more.txt']
with (folder / 'here.txt').open('a') as f:
    f.write('er')
assert (folder / 'here.txt').read_text() == 'older'
os.makedirs(folder, exist_ok=True)
os.makedirs(folder / 'deep' / 'er', exist_ok=True)
""",
    "by_being_there": """
import os
if not os.path.exists('/usr/local/airflow'):
    import only_on_a_laptop
""",
}

# How files read what lies beside them → what is told of it.
READS = {
    "reads_json": ("import json\njson.loads((HERE / 'conf/good.json').read_text())", {"conf/good.json"}),
    "reads_yaml": ("import yaml\nyaml.safe_load((HERE / 'conf/tables.yaml').open())", {"conf/tables.yaml"}),
    "reads_ini": (
        "import configparser\nconfigparser.ConfigParser().read(HERE / 'conf/orders.ini')",
        {"conf/orders.ini"},
    ),
    "reads_toml": ("import tomllib\ntomllib.loads(Path('dags/conf/x.toml').read_text())", {"conf/x.toml"}),
    "reads_csv": ("import csv\nassert list(csv.reader(open(HERE / 'conf/rows.csv')))", {"conf/rows.csv"}),
    "reads_sql": (
        "TEXT = open(os.path.join(os.path.dirname(__file__), 'sql', 'orders.sql')).read()",
        {"sql/orders.sql"},
    ),
    "reads_by_glob": ("assert sorted(HERE.glob('conf/*.yaml'))", {"conf/"}),
    "reads_by_rglob": ("assert sorted(HERE.rglob('*.sql'))", {"/", "conf/", "sql/"}),
    "reads_by_walk": ("assert sorted(os.walk(HERE / 'sql'))", {"sql/"}),
    "reads_by_listdir": ("os.chdir(HERE)\nassert os.listdir('conf')", {"conf/"}),
    "reads_by_module": ("from common import settings\nassert settings.ROWS", {"conf/rows.csv"}),
    "reads_by_pkgutil": ("import pkgutil\nassert pkgutil.get_data('common', 'more.txt')", {"common/more.txt"}),
    "reads_what_may_be_absent": ("if (HERE / 'conf/mine.yaml').exists():\n    raise OSError", {"conf/mine.yaml"}),
    "reads_nothing": ("x = 1", set()),
}
READS_BEGIN = "import os\nfrom pathlib import Path\n\nHERE = Path(__file__).parent\n"

BAD = {
    # Only after what was read can be read does the fault show.
    "then_broken": (
        """import yaml
from airflow import DAG
open("/usr/local/airflow/dags/conf/tables.yaml")
with DAG("b"):
    1 / 0
""",
        ("rejected", "import-error", 5),
    ),
    "broken_data": (
        """import json
from airflow import DAG
x = json.load(open("/usr/local/airflow/dags/conf/broken.json"))
""",
        ("rejected", "import-error", 3),
    ),
    # What is below other folders of MWAA's is not known here.
    "of_requirements": (
        """import os
from airflow import DAG
if not os.path.exists("/usr/local/airflow/requirements/requirements.txt"):
    raise RuntimeError("on MWAA it is there")
""",
        ("unknown", "import-error", 4),
    ),
    # C opens it, where nothing is led: what it says of a file that is in the copy is not certain.
    "by_c": (
        """from airflow import DAG
raise RuntimeError("cannot open /usr/local/airflow/dags/sql/orders.sql")
""",
        ("unknown", "import-error", 2),
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths") / "mine"
    files = DATA | {f"{name}.py": text + DAG.format(name=name) for name, text in GOOD.items()}
    files |= {f"{name}.py": READS_BEGIN + text + DAG.format(name=name) for name, (text, _) in READS.items()}
    for name, text in (files | {f"{name}.py": text for name, (text, _) in BAD.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, Any]:
    return load(folder, "--jobs", "2")


@pytest.mark.parametrize("name", GOOD)
def test_what_works_on_mwaa_works_here(answers: dict[str, Any], name: str) -> None:
    answer = answers[f"{name}.py"]
    assert [(found["line"], found["message"]) for found in answer["findings"]] == []
    assert (answer["verdict"], [dag["dag_id"] for dag in answer["dags"]]) == ("accepted", [name])


@pytest.mark.parametrize("name", READS)
def test_what_reads_data_files_loads_and_is_known_as_their_reader(answers: dict[str, Any], name: str) -> None:
    answer, wanted = answers[f"{name}.py"], READS[name][1]
    assert (answer["verdict"], [found["message"] for found in answer["findings"]]) == ("accepted", [])
    assert wanted <= set(answer["read"])
    assert wanted or answer["read"] == []


@pytest.mark.parametrize("name", BAD)
def test_what_fails_there_fails_here_and_what_nobody_knows_is_unknown(answers: dict[str, Any], name: str) -> None:
    answer, (verdict, rule, line) = answers[f"{name}.py"], BAD[name][1]
    assert answer["verdict"] == verdict
    if rule is not None:
        assert [(found["rule"], found["line"]) for found in answer["findings"]] == [(rule, line)]


def test_what_is_wrong_with_a_data_file_is_said_with_its_name(answers: dict[str, Any]) -> None:
    (finding,) = answers["broken_data.py"]["findings"]
    assert finding["message"].endswith(" (it had opened conf/broken.json)")
    assert finding["remedy"] == "Correct conf/broken.json, or the code that reads it."
    assert answers["broken_data.py"]["data"] == "conf/broken.json"
    assert answers["then_broken.py"]["data"] is None


def test_what_a_file_reads_is_told_and_nothing_is_written_to_the_folder(answers: dict[str, Any], folder: Path) -> None:
    assert answers["by_open.py"]["read"] == ["conf/tables.yaml"]
    assert "conf/" in answers["by_pathlib.py"]["read"]
    assert "conf/orders.ini" in answers["by_config_parser.py"]["read"]
    assert answers["by_sys_path.py"]["read"] == []
    assert answers["by_sys_path.py"]["siblings"] == ["common/shared_names.py"]
    assert [file.name for file in (folder / "written").iterdir()] == ["here.txt"]
    assert (folder / "written" / "here.txt").read_text() == "old"
