"""`make fuzz`: random artifacts of every kind from hypothesis, and most of them from atheris, crash and stall nothing.

hypothesis runs in the tests' own virtual environment; atheris, which watches the code's branches and needs a compiled
module, in one of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from tools import venvs
from tools.venvs import ROOT

RUNS = 500
EXAMPLES = 2_000  # of each kind, with hypothesis

# Runs in atheris' virtual environment, once for each target: libFuzzer ends its process.
_ATHERIS = """
import sys
import atheris
with atheris.instrument_imports(include=["jetway"]):
    from tests.unit.artifacts import fuzzing
target = fuzzing.TARGETS[sys.argv.pop(1)]
atheris.Setup(sys.argv, target)
atheris.Fuzz()
"""


def main() -> int:
    """Fuzz with both; the exit status says whether anything crashed."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each target, with atheris")
    runs: int = parser.parse_args().runs
    files = ["tests/unit/artifacts/test_fuzz.py", "tests/unit/test_fuzz_kinds.py"]
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "2", *files]
    if subprocess.run(tests, cwd=ROOT, check=False, env=os.environ | {"JETWAY_FUZZ": str(EXAMPLES)}).returncode:
        return 1
    try:
        python = venvs.ensure("fuzz")
    except venvs.SetupError as exc:
        print(exc, file=sys.stderr)
        return 1
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/jetway'}"}
    for target in ("requirements", "dag_file", "plain_dag_file", "archive", "damaged_archive"):
        command = [str(python), "-c", _ATHERIS, target, f"-atheris_runs={runs}", "-max_len=2000", "-verbosity=0"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{target}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}", file=sys.stderr)
            return 1
        print(f"atheris: {target}: {runs} runs, no crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
