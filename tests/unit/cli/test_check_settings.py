"""airflow_local_settings.py of dags/ and of plugins.zip in `jetway check --load`: judged, and what it breaks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jetway_cli.app import cli
from tests.unit.artifacts.zips import zip_of

GOOD = 'from airflow.sdk import DAG\nwith DAG("orders"):\n    pass\n'
POLICY = "def dag_policy(dag):\n    raise ValueError\n"

# Stands for a Python with Airflow: settings fail whose place is named in it, and DAG files fail unless the place that
# refuses them is left out.
READER = """#!{python}
import json, sys
if "-c" in sys.argv:
    print("3.3.1 3 12")
    sys.exit()
words = {{"rule": "import-error", "severity": "error", "message": "ValueError: no", "line": 2, "remedy": "Mend."}}

def said(path, bad):
    common = {{"dags": [], "skipped": None, "siblings": [], "missing": [], "read": [], "seconds": 0.1, "data": None}}
    return {{"path": path, "verdict": "rejected" if bad else "accepted", "findings": [words] if bad else [], **common}}

given = sys.argv[1:]
left_out = given[given.index("--without-settings") + 1] if "--without-settings" in given else None
files = json.load(open(given[given.index("--files") + 1]))
answers = [said(path, {refuses!r} is not None and left_out != {refuses!r}) for path in files]
if "--judge-plugins" in given:
    answers.append(said("../plugins.zip", False))
if "--judge-settings" in given:
    answers.append(said("airflow_local_settings.py", {fails!r} == "dags"))
    answers.append(said("../plugins.zip/airflow_local_settings.py", {fails!r} == "plugins"))
print(json.dumps(answers))
"""


def checked(
    folder: Path, places: set[str], *, fails: str | None = None, refuses: str | None = None
) -> dict[str, list[str]]:
    """path → verdict and rules of its errors, of a project with such settings in these places."""
    dags, program = folder / "dags", folder / "python"
    dags.mkdir()
    (dags / "orders.py").write_text(GOOD)
    if "dags" in places:
        (dags / "airflow_local_settings.py").write_text(POLICY)
    names = {"acme.py": b"", **({"airflow_local_settings.py": POLICY.encode()} if "plugins" in places else {})}
    (folder / "plugins.zip").write_bytes(zip_of(names))
    program.write_text(READER.format(python=sys.executable, fails=fails, refuses=refuses))
    program.chmod(0o755)
    arguments = ["--load", "--no-keep", "--format", "json", "--airflow-python", program, dags, folder / "plugins.zip"]
    result = CliRunner().invoke(cli, ["check", *map(str, arguments)])
    return {
        Path(report["path"]).name: [
            report["verdict"],
            *(finding["rule"] for finding in report["findings"] if finding["severity"] == "error"),
        ]
        for report in json.loads(result.stdout)
    }


def test_settings_that_work_break_nothing(tmp_path: Path) -> None:
    found = checked(tmp_path, {"dags", "plugins"})
    assert {name: said[0] for name, said in found.items()} == dict.fromkeys(found, "accepted")


@pytest.mark.parametrize(("place", "file"), [("dags", "airflow_local_settings.py"), ("plugins", "plugins.zip")])
def test_what_fails_is_the_file_that_it_is_in(tmp_path: Path, place: str, file: str) -> None:
    found = checked(tmp_path, {"dags", "plugins"}, fails=place)
    assert found.pop(file) == ["rejected", "import-error"]
    assert {said[0] for said in found.values()} == {"accepted"}


@pytest.mark.parametrize(("place", "file"), [("dags", "airflow_local_settings.py"), ("plugins", "plugins.zip")])
def test_what_refuses_dag_files_is_refused(tmp_path: Path, place: str, file: str) -> None:
    found = checked(tmp_path, {"dags", "plugins"}, refuses=place)
    assert found.pop(file) == ["rejected", "breaks-dags"]
    assert found.pop("orders.py") == ["rejected", "import-error"]
    assert {said[0] for said in found.values()} == {"accepted"}, "the other place has nothing to do with it"


def test_a_file_that_fails_without_them_is_not_blamed_on_them(tmp_path: Path) -> None:
    found = checked(tmp_path, {"plugins"}, refuses="somebody else")
    assert (found["orders.py"][0], found["plugins.zip"]) == ("rejected", ["accepted"])
