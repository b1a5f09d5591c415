"""A checkout may lie in any folder: blanks, quotes and umlauts in its name do not matter to any Makefile."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.venvs import ROOT

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
MAKEFILES = sorted([*ROOT.glob("layers/*/Makefile"), ROOT / "functions" / "Makefile"])
TARGETS = [
    (makefile.relative_to(ROOT), target)
    for makefile in MAKEFILES
    for line in re.findall(r"^(build-[^:=]+):(?! TOOL)", makefile.read_text(), re.MULTILINE)
    for target in line.split()
]
OFFLINE = {"build-LoaderLayer", "build-Airflow2Layer", "build-Airflow3Layer"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sam builds from, in such a folder."""
    copy = tmp_path_factory.mktemp("checkouts") / 'it\'s a "große" one' / "jetway"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("functions", "layers", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, copy)
    (copy / "python").symlink_to(sys.executable)
    return copy


def make(folder: Path, makefile: Path, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a target as `sam build` does."""
    at_root = {"airflow2", "airflow3", "tools"}  # WorkingDirectory in template.yaml
    source = folder if makefile.parent.name in at_root else folder / makefile.parent
    artifacts = folder / "artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    env = {**CLEAN, "ARTIFACTS_DIR": str(artifacts), "PYTHON": str(folder / "python"), "AIRFLOW_LAYERS": "none"}
    command = ["make", *options, "--makefile", str(folder / makefile), target]
    return subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("makefile", "target"), TARGETS, ids=[target for _, target in TARGETS])
def test_a_part_is_built(folder: Path, makefile: Path, target: str) -> None:
    """Those that ask the package index are only asked what they would do."""
    built = target in OFFLINE or makefile.parent.name == "functions"
    done = make(folder, makefile, target, *([] if built else ["--dry-run"]))
    assert done.returncode == 0, done.stderr
    artifacts = folder / "artifacts" / target
    if built:
        assert list(artifacts.iterdir())
        if target == "build-LoaderLayer":
            assert os.access(artifacts / "without-credentials", os.X_OK), "Lambda starts it"
        return
    words = [word for line in done.stdout.replace("\\\n", " ").splitlines() for word in shlex.split(line)]
    # The shell expands them, inside quotes.
    assert "$PYTHON" in words
    assert "$ARTIFACTS_DIR/python" in words
    assert not [word for word in words if folder.parent.name in word]
    assert '"$PYTHON"' in done.stdout
    assert not re.search(r'(?<!")\$(PYTHON|ARTIFACTS_DIR)', done.stdout)


@pytest.mark.parametrize("target", ["setup", "build"])
def test_the_makefile_hands_a_path_on_as_one_word(folder: Path, target: str) -> None:
    """A venv that says what its programs are given, in the place of the real one."""
    bin_ = folder / ".venv" / "bin"
    bin_.mkdir(parents=True, exist_ok=True)
    (folder / "requirements").mkdir(exist_ok=True)
    for name in ("dev", "uv"):
        (folder / "requirements" / f"{name}.txt").touch()
    tool = folder / "a tool"
    tool.write_text('#!/bin/sh\necho "$0 $*"\n')
    python = bin_ / "python"
    python.write_text(f"#!/bin/sh\necho {shlex.quote(str(tool))}\n")
    for file in (tool, python):
        file.chmod(0o755)
    stamp = bin_.parent / "installed"
    stamp.unlink(missing_ok=True)
    if target == "build":
        stamp.touch()
    command = ["make", target, f"PYTHON={tool}"]
    done = subprocess.run(command, cwd=folder, env=CLEAN, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{tool} {'tools/venvs.py' if target == 'setup' else 'build'}"
