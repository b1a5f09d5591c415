"""`jetway check --load`: which Airflow is set up, what the loader is given, and how its word counts."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jetway.artifacts.mwaa import known_versions, packages_of
from jetway_cli.app import cli
from jetway_cli.check_airflow import airflow_python, all_of_the_image, load, requirements
from jetway_cli.errors import StackTroubleError

GOOD = 'from airflow.sdk import DAG\nwith DAG("orders", schedule="@daily"):\n    pass\n'

# Stands for the Python of a virtual environment with Airflow: says how it was called, and answers.
TELLER = """#!{python}
import json, os, sys
place = os.environ["PYTHONPATH"]
provided = json.load(open(sys.argv[sys.argv.index("--provided") + 1]))
files = json.load(open(sys.argv[sys.argv.index("--files") + 1]))
seen = {{"files": files, "arguments": sys.argv[1:], "environment": sorted(os.environ)}}
seen |= {{"beside": sorted(os.listdir(place)), **provided}}
print(json.dumps([{{"path": "orders.py", "seen": seen}}]))
sys.exit({status})
"""


def teller(folder: Path, status: int) -> Path:
    program = folder / "python"
    program.write_text(TELLER.format(python=sys.executable, status=status))
    program.chmod(0o755)
    return program


def test_the_loader_sees_itself_and_nothing_else_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    answer = load(
        teller(tmp_path, 1), tmp_path, ["--json.py", "orders.py"], {"modules": ["m"], "unlisted": []}, nearest=True
    )
    seen: dict[str, Any] = answer["orders.py"]["seen"]
    # Names may begin with a dash, and be many.
    assert (seen["arguments"][:2], seen["arguments"][-2:]) == (["-m", "jetway_loader"], ["--", str(tmp_path)])
    assert seen["files"] == ["--json.py", "orders.py"]
    assert {"--json", "--nearest"} <= set(seen["arguments"])
    assert seen["beside"] == ["files.json", "jetway_loader", "provided.json"]
    assert seen["modules"] == ["m"]
    assert not any(name.startswith(("AWS", "JETWAY")) for name in seen["environment"])


@pytest.mark.parametrize("judged", [False, True])
def test_plugins_are_handed_over_as_a_file(tmp_path: Path, judged: bool) -> None:
    answer = load(teller(tmp_path, 0), tmp_path, ["orders.py"], {}, nearest=False, plugins=b"zip", judge_plugins=judged)
    seen: dict[str, Any] = answer["orders.py"]["seen"]
    assert seen["beside"] == ["files.json", "jetway_loader", "plugins.zip", "provided.json"]
    assert seen["arguments"][seen["arguments"].index("--plugins") + 1].endswith("/plugins.zip")
    assert ("--judge-plugins" in seen["arguments"]) is judged


def test_an_airflow_that_does_not_work_is_the_machines_fault(tmp_path: Path) -> None:
    with pytest.raises(StackTroubleError, match="Could not load DAG files"):
        load(teller(tmp_path, 3), tmp_path, ["orders.py"], {}, nearest=False)
    with pytest.raises(StackTroubleError, match="Could not load DAG files"):
        load(Path("/bin/false"), tmp_path, ["orders.py"], {}, nearest=False)  # ends as if a file were rejected
    with pytest.raises(StackTroubleError, match="No such file"):
        load(tmp_path / "none", tmp_path, ["orders.py"], {}, nearest=False)


@pytest.mark.parametrize("version", known_versions())
def test_what_is_set_up_is_mwaas_version_with_its_providers(version: str) -> None:
    packages = packages_of(version)
    assert packages is not None
    lines = requirements(packages)
    assert lines[0] == f"apache-airflow=={version}"
    assert any(line.startswith("apache-airflow-providers-amazon==") for line in lines)
    assert len(lines) > 8
    image = all_of_the_image(packages)
    assert {line.partition("==")[0] for line in image} == packages.installed.keys() - {"psycopg2"}


UV = """#!{python}
import os, pathlib, sys
log = pathlib.Path({log!r})
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:3] + sys.argv[-2:]) + "\\n")
if sys.argv[1:3] == ["python", "find"]:
    sys.exit(1)
if sys.argv[1] == "venv":
    wanted, folder = sys.argv[-2:]
    if not os.access(wanted, os.X_OK):
        sys.exit("nothing is downloaded here")
    (pathlib.Path(folder) / "bin").mkdir(parents=True)
"""


def with_version(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Sets up an Airflow whose Python nobody has, with an uv that downloads nothing; returns the folder's name."""
    program = tmp_path / "uv"
    program.write_text(UV.format(python=sys.executable, log=str(tmp_path / "log")))
    program.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(program))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    packages = packages_of(known_versions()[-1])
    assert packages is not None
    packages = replace(packages, python="3.99.1")
    return lambda: airflow_python(packages).parent.parent.name


def test_the_kept_environment_is_named_after_its_python_and_made_anew_when_the_right_one_comes(
    set_up: Callable[[], str], tmp_path: Path
) -> None:
    own = ".".join(map(str, sys.version_info[:2]))
    log = tmp_path / "log"
    first = set_up()
    assert f"-python{own}-" in first
    assert "pip install" in log.read_text()
    log.write_text("")
    assert set_up() == first
    assert "venv" not in log.read_text()  # nor is a download tried again
    found = with_version(tmp_path / "pyenv" / "versions" / "3.99.3" / "bin" / "python3.99", "3.99")
    second = set_up()
    assert "-python3.99-" in second
    assert f"{found} {tmp_path / 'cache' / 'jetway' / second}" in log.read_text()
    log.write_text("")
    found.unlink()
    assert set_up() == second
    assert log.read_text() == ""


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", "--load", "--format", "json", *map(str, arguments)])


def test_a_python_without_airflow_is_the_machines_fault(tmp_path: Path) -> None:
    file = tmp_path / "orders.py"
    file.write_text(GOOD)
    result = check(file, "--airflow-python", sys.executable)
    assert result.exit_code == 3
    assert "Could not find Airflow in" in result.stderr


# Stands for a Python with Airflow, in which cfg/factory.py does not load for what is in a data file.
READER = """#!{python}
import json, sys
if "-c" in sys.argv:
    print("3.3.1 3 12")
    sys.exit()
words = {{"rule": "import-error", "severity": "error", "message": "JSONDecodeError", "line": 4, "remedy": "Mend."}}
common = {{"dags": [], "skipped": None, "siblings": [], "missing": [], "read": [], "seconds": 0.1}}
bad = {{"path": "cfg/factory.py", "verdict": "rejected", "findings": [words], "data": "cfg/maps.json", **common}}
print(json.dumps([bad, {{"path": "good.py", "verdict": "accepted", "findings": [], "data": None, **common}}]))
sys.exit(1)
"""


def test_a_data_file_that_a_dag_file_does_not_load_with_is_refused_too(tmp_path: Path) -> None:
    dags, program = tmp_path / "dags", tmp_path / "python"
    (dags / "cfg").mkdir(parents=True)
    for name, text in {"cfg/factory.py": GOOD, "good.py": GOOD, "cfg/maps.json": "{,}", "cfg/a.json": "{}"}.items():
        (dags / name).write_text(text)
    program.write_text(READER.format(python=sys.executable))
    program.chmod(0o755)
    result = check(dags, "--airflow-python", program)
    found = {report["path"].removeprefix(f"{dags}/"): report for report in json.loads(result.stdout)}
    assert {name: report["verdict"] for name, report in found.items()} == {
        "cfg/a.json": "accepted",
        "cfg/factory.py": "rejected",
        "cfg/maps.json": "rejected",
        "good.py": "accepted",
    }
    (finding,) = found["cfg/maps.json"]["findings"]
    assert (finding["rule"], finding["message"]) == (
        "breaks-dag-file",
        "dags/cfg/factory.py reads this file, and does not load with it: JSONDecodeError (line 4)",
    )


# Stands for a Python with Airflow: says what plugins it was given, and which distributions nobody knows.
TELLS_OF_PLUGINS = """#!{python}
import json, sys, zipfile
if "-c" in sys.argv:
    print("3.3.1 3 12")
    sys.exit()
given = sys.argv.index("--plugins") + 1 if "--plugins" in sys.argv else 0
names = zipfile.ZipFile(sys.argv[given]).namelist() if given else []
unlisted = json.load(open(sys.argv[sys.argv.index("--provided") + 1]))["unlisted"]
message = f"{{sorted(names)}}, {{unlisted}}, {{'--judge-plugins' in sys.argv}}"
words = {{"rule": "top-level-work", "severity": "warning", "message": message, "line": 1, "remedy": "Mend."}}
said = {{"dags": [], "skipped": None, "siblings": [], "missing": [], "read": [], "seconds": 0.1, "data": None}}
print(json.dumps([{{"path": "orders.py", "verdict": "accepted", "findings": [words], **said}}]))
"""


@pytest.mark.parametrize("readable", [True, False])
def test_dag_files_are_loaded_with_plugins_that_are_refused(tmp_path: Path, readable: bool) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "orders.py").write_text(GOOD)
    with zipfile.ZipFile(tmp_path / "plugins.zip", "w") as archive:
        archive.writestr("old.py", "def broken(:\n")
        archive.writestr("acme.py", "A = 1\n")
    if not readable:
        (tmp_path / "plugins.zip").write_bytes(b"no zip")
    program = tmp_path / "python"
    program.write_text(TELLS_OF_PLUGINS.format(python=sys.executable))
    program.chmod(0o755)
    dag_file, plugins = json.loads(check(tmp_path, "--airflow-python", program).stdout)
    assert (dag_file["verdict"], plugins["verdict"]) == ("accepted", "rejected")
    told = "['acme.py', 'old.py'], [], False" if readable else "[], ['plugins.zip'], False"
    assert [finding["message"] for finding in dag_file["findings"]] == [told]


@pytest.mark.slow  # sets Airflow up from the package index
def test_the_real_airflow_is_set_up_and_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JETWAY_KEEP", "0")
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "orders.py").write_text(GOOD)
    (dags / "broken.py").write_text(GOOD + "1 / 0\n")
    (dags / "table.py").write_text("import sklearn\n" + GOOD.replace("orders", "table"))
    required = tmp_path / "requirements.txt"
    required.write_text("# -c none\nscikit-learn==1.7.0\n")
    result = check(dags, "--requirements", required, "--no-resolve")
    assert result.exit_code == 1, result.stderr
    found = {Path(report["path"]).name: report for report in json.loads(result.stdout)}
    assert {name: report["verdict"] for name, report in found.items()} == {
        "broken.py": "rejected",
        "orders.py": "accepted",
        "requirements.txt": "accepted",
        "table.py": "unknown",  # which names sklearn has, nobody was asked
    }
    assert [finding["line"] for finding in found["broken.py"]["findings"]] == [4]
    assert found["orders.py"]["dags"][0]["schedule"] == "@daily"
