"""The making of virtual environments, as far as it needs no package index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import venvs

WORK = """
import sys, time
from pathlib import Path
from tools import venvs
venvs.HOME = Path(sys.argv[1])
with venvs.alone("uv"):
    with Path(sys.argv[2]).open("a") as notes:
        print("begin", file=notes, flush=True)
        time.sleep(0.05)
        print("end", file=notes, flush=True)
"""


def test_processes_that_need_the_same_virtual_environment_make_it_one_after_the_other(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    command = [sys.executable, "-c", WORK, str(tmp_path), str(notes)]
    env = os.environ | {"PYTHONPATH": str(venvs.ROOT)}
    processes = [subprocess.Popen(command, env=env) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert notes.read_text().split() == ["begin", "end"] * 4


def test_a_python_of_pyenv_is_found_and_any_other_is_left_to_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("3.12.9", "3.12.10", "3.12.11rc1", "3.13.0", "3.1.2", "empty"):
        (tmp_path / "versions" / name / "bin").mkdir(parents=True)
        if name != "empty":
            (tmp_path / "versions" / name / "bin/python").touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert venvs.find_python("3.12") == str(tmp_path / "versions/3.12.10/bin/python")
    assert venvs.find_python("3.14") == "3.14"
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "nowhere"))
    assert venvs.find_python("3.12") == "3.12"
