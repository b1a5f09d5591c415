"""jetway_loader with a real Airflow, without the stack: every way to fail, each with its verdict, rule and line."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import venvs
from tools.bench.gate.corpus import MUTANTS, good, write_mutants
from tools.emulator import airflow

VERSION = os.environ.get("AIRFLOW_VERSION") or airflow.DEFAULT_VERSION
SECONDS = "3"
# `make coverage` measures the loader where it runs.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}

UNSEEN = """
import json
import os

from airflow.models import Variable

try:
    from airflow.sdk import BaseHook
except ImportError:
    from airflow.hooks.base import BaseHook

bucket = Variable.get("bucket")
settings = Variable.get("settings", deserialize_json=True)
names = json.loads(Variable.get("names"))
retries = int(Variable.get("retries")) + int(os.environ["RETRIES"])
host = BaseHook.get_connection("warehouse").host
schema = settings["schema"].upper()

# What has a default has that, and nothing is written anywhere.
Variable.set("last_seen", "now")
assert Variable.get("stage", "test") == Variable.get("stage", default_var="test") == "test"
assert settings.get("stage", "test") == os.environ.get("STAGE", "test") == os.getenv("STAGE", "test") == "test"
assert os.getenv("STAGE") is None
# What the file does not ask for itself is as it is.
assert os.path.expandvars("$STAGE") == "$STAGE"
"""

# Airflow looks for DAGs in a module outside of its guard against the module's errors: what fails there it only logs.
LOST = """
import sys

late = "airflow.sdk.definitions._internal.contextmanager"
sys.modules[late if late in sys.modules else "airflow.models.dag"] = None
"""
PROXY = """

class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("not bound yet")


later = Proxy()
"""

# The descriptor that the child tells its parent by is among them.
WRITES = """
import os

for number in range(3, 30):
    try:
        os.write(number, b'{"done": true}\\n{"error": 1}\\n')
    except OSError:
        pass
"""

FILES = {
    "good.py": good("good"),
    "writes.py": WRITES + good("writes"),
    "unseen.py": UNSEEN + good("unseen"),
    "named_by_variable.py": (
        "import os\nfrom airflow.models import Variable\n"
        + good("named_before")
        + 'stage = os.environ.get("STAGE", "dev")\nwith DAG(f"ingest_{stage}"):\n    pass\n'
        + 'with DAG(Variable.get("dag_name")):\n    pass\n'
    ),
    "depends.py": 'from airflow.models import Variable\nTABLES = {"a": 1}\nx = TABLES[Variable.get("table")]\n# dag\n',
    "no_file.py": 'from airflow import DAG\nx = open("/usr/local/airflow/dags/no_such_file.yaml").read()\n',
    "network.py": "from airflow import DAG\nimport urllib.request\nurllib.request.urlopen('https://example.com')\n",
    "uses_sibling.py": "from team.names import NAME\n" + good("sibling").replace('"sibling"', "NAME"),
    "team/names.py": 'NAME = "named_by_a_sibling"\n',
    "broken_sibling.py": "from airflow import DAG\nimport team.broken\n",
    "team/broken.py": "value = 1\nratio = value / 0\n",
    "stood_in.py": (
        "from acme_tools import Client, clean\nfrom airflow.providers.acme.operators.x import AcmeOperator\n"
        + good("stood_in")
        + '    AcmeOperator(task_id="fourth", where=Client(), retries=2) >> first\n\n@clean\ndef f():\n    return 1\n'
    ),
    "unknown_content.py": "from acme_unknown.io import Client\n" + good("unknown_content"),
    "unlisted.py": "from airflow import DAG\nimport something_of_an_unlisted_package\n",
    "swallowed.py": "from airflow import DAG\ntry:\n    import nobody_has_this\nexcept ImportError:\n    DAG = None\n",
    "airflow_lost.py": good("airflow_lost") + LOST,
    "proxy.py": good("proxy") + PROXY,
    "ignored_by_pattern.py": "from airflow import DAG\nraise RuntimeError('never loaded')\n",
    "helper.py": "def f():\n    return 1\n",
    ".airflowignore": "ignored_by_pattern.py\n",
}


def load(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the loader and return its answers by path."""
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-m", "jetway_loader", str(folder), *arguments, "--json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(venvs.ROOT / "layers" / "loader")} | MEASURED,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in {0, 1}, done.stderr[-2000:]
    return {answer["path"]: answer for answer in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dags")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    provided = folder.parent / "provided.json"
    contents = {"acme_tools": "Client clean", "airflow.providers.acme": "", "airflow.providers.acme.operators": ""}
    contents |= {"airflow.providers.acme.operators.x": "AcmeOperator"}
    known = {"modules": ["airflow", "acme_unknown"], "unlisted": [], "inventory": {"contents": contents}}
    provided.write_text(json.dumps(known))
    return load(folder, "--timeout", SECONDS, "--jobs", "2", "--provided", str(provided))


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mutants")
    written = list(write_mutants(folder))
    found = load(folder, "--timeout", SECONDS, "--jobs", "2")
    return {mutant.name: (found[path], line) for path, mutant, line in written}


# Those are refused by reading already; an import would say the same in other words.
LOADED = [mutant for mutant in MUTANTS if not mutant.rules & {"encoding", "nul-byte"}]


@pytest.mark.parametrize("mutant", LOADED, ids=lambda mutant: mutant.name)
def test_a_file_that_fails_is_rejected_with_rule_and_line(mutants: dict[str, Any], mutant: Any) -> None:
    answer, line = mutants[mutant.name]
    (finding,) = answer["findings"]
    assert answer["verdict"] == "rejected"
    assert finding["rule"] in mutant.rules
    assert finding["line"] == line
    assert finding["message"]
    assert finding["remedy"]


@pytest.mark.parametrize("name", ["good.py", "writes.py", "unseen.py", "uses_sibling.py", "stood_in.py"])
def test_a_file_that_loads_is_accepted_without_a_word(answers: dict[str, Any], name: str) -> None:
    answer = answers[name]
    findings = [finding for finding in answer["findings"] if finding["rule"] != "slow-parse"]  # of a busy machine
    assert (answer["verdict"], findings, answer["skipped"]) == ("accepted", [], None)
    (dag,) = answer["dags"]
    assert (dag["schedule"], dag["tasks"]) == ("0 5 * * *", 4 if name == "stood_in.py" else 3)
    assert dag["line"] > 1


def test_a_dag_id_is_certain_when_nothing_was_asked_of_the_environment_before(answers: dict[str, Any]) -> None:
    dags = answers["named_by_variable.py"]["dags"]
    assert [(dag["dag_id"], dag["certain"]) for dag in dags] == [
        ("named_before", True),
        ("ingest_dev", False),
        ("1", False),
    ]


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [("depends.py", "import-error", 3), ("no_file.py", "needs-environment", 2), ("network.py", "needs-environment", 3)],
)
def test_a_failure_for_want_of_what_is_only_there_is_unknown(
    answers: dict[str, Any], name: str, rule: str, line: int
) -> None:
    answer = answers[name]
    assert answer["verdict"] == "unknown"
    (finding,) = answer["findings"]
    assert (finding["rule"], finding["severity"], finding["line"]) == (rule, "warning", line)
    assert "This is not certain: " in finding["message"]


def test_an_error_in_a_sibling_is_named_there_and_at_the_import(answers: dict[str, Any]) -> None:
    answer = answers["broken_sibling.py"]
    (finding,) = answer["findings"]
    assert (answer["verdict"], finding["line"]) == ("rejected", 2)
    assert "team/broken.py:2" in finding["message"]


def test_a_file_that_uses_what_nobody_knows_is_unknown_though_it_loads(answers: dict[str, Any]) -> None:
    answer = answers["unknown_content.py"]
    (finding,) = answer["findings"]
    assert (answer["verdict"], finding["rule"], finding["line"]) == ("unknown", "unknown-content", 1)
    assert "acme_unknown" in finding["message"]
    assert [dag["dag_id"] for dag in answer["dags"]] == ["unknown_content"]


def test_a_module_that_nobody_provides_is_rejected(answers: dict[str, Any]) -> None:
    answer = answers["unlisted.py"]
    assert (answer["verdict"], answer["missing"]) == ("rejected", ["something_of_an_unlisted_package"])


def test_a_module_that_an_unlisted_distribution_may_bring_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "unlisted.py").write_text(FILES["unlisted.py"])
    (tmp_path / "provided.json").write_text(json.dumps({"modules": [], "unlisted": ["acme-secret"]}))
    answer = load(tmp_path / "dags", "--provided", str(tmp_path / "provided.json"))["unlisted.py"]
    assert answer["verdict"] == "unknown"
    assert "acme-secret" in answer["findings"][-1]["message"]


def test_an_import_error_that_the_file_swallows_is_a_warning_when_no_dag_comes_of_it(answers: dict[str, Any]) -> None:
    answer = answers["swallowed.py"]
    (finding,) = answer["findings"]
    assert (answer["verdict"], finding["rule"], finding["line"]) == ("accepted", "swallowed-import", 3)
    assert "nobody_has_this" in finding["message"]


@pytest.mark.parametrize("name", ["airflow_lost.py", "proxy.py"])
def test_an_error_that_airflow_only_logs_is_caught_by_counting_parsed_files(answers: dict[str, Any], name: str) -> None:
    answer = answers[name]
    (finding,) = answer["findings"]
    assert (answer["verdict"], answer["dags"], finding["rule"]) == ("rejected", [], "swallowed")


def test_what_airflow_passes_over_is_not_loaded(answers: dict[str, Any]) -> None:
    assert (answers["ignored_by_pattern.py"]["verdict"], answers["ignored_by_pattern.py"]["skipped"]) == (
        "accepted",
        "ignored",
    )
    assert answers["helper.py"]["skipped"] == "no-dag"


# The function is started before there is a dags folder, and loads more than once.
ASKED_TWICE = """
import base64, io, json, sys, zipfile

import app

class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as bundle:
    for name, text in json.load(sys.stdin).items():
        bundle.writestr(name, text)
event = {
    "bundle": {"zip": base64.b64encode(packed.getvalue()).decode()},
    "files": ["uses_sibling.py"],
    "options": {"import_timeout": 30, "airflow_version": app._airflow.version},
}
print(json.dumps([app.handler(event, Context())["loaded"][0] for _ in range(2)]))
"""


def test_the_function_finds_the_modules_of_the_dags_folder() -> None:
    paths = [str(venvs.ROOT / folder) for folder in ("layers/loader", "functions/import_dag")]
    done = subprocess.run(
        [str(venvs.ensure(f"airflow-{VERSION}")), "-c", ASKED_TWICE],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)},
        input=json.dumps({name: FILES[name] for name in ("uses_sibling.py", "team/names.py")}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for answer in json.loads(done.stdout.splitlines()[-1]):
        assert (answer["verdict"], answer["missing"]) == ("accepted", [])
        assert [dag["dag_id"] for dag in answer["dags"]] == ["named_by_a_sibling"]
