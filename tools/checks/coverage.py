"""`make coverage`: how much of functions/ and layers/ the tests reach, line by line and branch by branch.

All unit tests that `make test` runs are measured, with the programs that they start. jetway_loader and import_dag run
within Airflow, which the unit tests have none of: their own tests run them in the virtual environment of each Airflow
that fits this Python, where coverage.py is added, and what is reached there counts as well. So does what only a newer
Python reaches, which the gate may run on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from tools import venvs
from tools.emulator import airflow
from tools.venvs import HOME, ROOT

# In per cent, lines and branches together.
LEAST_OF_ALL = 95.0
LEAST_OF_A_FILE = 85.0

# Tests that start programs in Airflow's virtual environment, and need no local stack.
IN_AIRFLOW = [f"tests/integration/test_{name}.py" for name in ("loader", "loader_command", "import_dag")]

# What is left to a Python that takes f-strings apart, as that of the functions does; where this one is older.
NEWER_PYTHON = (3, 12)
OF_NEWER_PYTHON = ["tests/unit/artifacts/test_python_source.py"]

REPORT = HOME / "coverage" / "report.json"


def judge(of_all: float, of_files: Mapping[str, float]) -> tuple[list[str], bool]:
    """Return the lines of the report, and whether both bounds hold."""
    low = sorted((percent, path) for path, percent in of_files.items() if percent < LEAST_OF_A_FILE)
    lines = [f"{percent:6.2f} %  {path}" for percent, path in low]
    lines.append(f"{len(low)} of {len(of_files)} files are below {LEAST_OF_A_FILE:g} %.")
    lines.append(f"{of_all:.2f} % of all; at least {LEAST_OF_ALL:g} % must be.")
    return lines, not low and of_all >= LEAST_OF_ALL


def _measure() -> bool:
    """Run the tests; False when one fails."""
    subprocess.run([sys.executable, "-m", "coverage", "erase"], cwd=ROOT, check=True)
    if not _run("-n", "auto", "tests/unit"):
        return False
    if sys.version_info < NEWER_PYTHON:
        # Of all lists that one has what .venv has.
        newer = venvs.ensure("mutants", python=".".join(map(str, NEWER_PYTHON)))
        if not _run("--cov-append", *OF_NEWER_PYTHON, python=str(newer)):
            return False
    for version, too_new in airflow.VERSIONS.items():
        if too_new is None or sys.version_info < too_new:
            venvs.ensure(f"airflow-{version}")
            venvs.extend(f"airflow-{version}", "coverage")
            if not _run("--cov-append", *IN_AIRFLOW, AIRFLOW_VERSION=version):
                return False
    return True


def _run(*tests: str, python: str = sys.executable, **env: str) -> bool:
    pytest = [
        python,
        "-m",
        "pytest",
        "-q",
        "--cov",
        "--cov-report=",
        "--hypothesis-profile=ci",
        "-m",
        "not slow",
    ]
    return subprocess.run([*pytest, *tests], cwd=ROOT, env={**os.environ, **env}, check=False).returncode == 0


def main() -> int:
    """Measure and report; the exit status says whether enough is reached."""
    try:
        if not _measure():
            return 1
    except venvs.SetupError as exc:
        print(exc, file=sys.stderr)
        return 1
    to_json = [sys.executable, "-m", "coverage", "json", "-q", "-o", str(REPORT)]
    subprocess.run(to_json, cwd=ROOT, check=True)
    report = json.loads(REPORT.read_text())
    of_files = {path: found["summary"]["percent_covered"] for path, found in report["files"].items()}
    lines, good = judge(report["totals"]["percent_covered"], of_files)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
