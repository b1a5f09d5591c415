"""python -m jetway_loader: what it prints for people, and its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import venvs
from tools.bench.gate.corpus import good

from .test_loader import MEASURED, VERSION

pytestmark = pytest.mark.loading


def run(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "jetway_loader", str(folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(venvs.ROOT / "layers" / "loader")} | MEASURED,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(good("good"))
    return tmp_path


def test_people_read_one_line_for_each_file_and_its_findings(folder: Path) -> None:
    python = str(venvs.ensure(f"airflow-{VERSION}"))
    done = run(python, folder)
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "accepted  good.py")
    (folder / "bad.py").write_text("from airflow import DAG\nimport nobody_has_this_module\n")
    done = run(python, folder)
    assert done.returncode == 1
    first, finding, last = done.stdout.splitlines()
    assert first.startswith("rejected  bad.py (0 DAGs, ")
    assert finding.startswith("    bad.py:2 missing-module: ")
    assert last.startswith("accepted  good.py (1 DAGs, ")


def test_without_an_airflow_it_says_so(folder: Path) -> None:
    done = run(sys.executable, folder)
    assert done.returncode == 3
    assert done.stderr.startswith("this Python has no Airflow that can be imported: ")
