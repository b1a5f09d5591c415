"""`sam build` of the same sources makes the same files, wherever, whenever and by whomever it is run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.template.source import Loader
from tools import venvs

pytestmark = pytest.mark.loading


def build(checkout: Path, umask: int) -> dict[str, tuple[int, str]]:
    """Build a copy of the repository; return path → mode and digest of each file."""
    ignored = shutil.ignore_patterns(
        ".git", ".jetway", ".venv", ".aws-sam", "build", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(venvs.ROOT, checkout, ignore=ignored, symlinks=True)
    for path in checkout.rglob("*.py"):
        path.chmod(0o666 & ~umask)
    env = os.environ | {
        "PYTHON": str(venvs.python_with_pip()),
        "UV_PLATFORM": "local",
        "AIRFLOW_LAYERS": "none",
        "SAM_CLI_TELEMETRY": "0",
    }
    sam = venvs.ensure("sam").with_name("sam")
    command = [str(sam), "build", "--no-cached", "--build-dir", str(checkout / "built")]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, umask=umask, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    built = checkout / "built"
    assert not aliases(built / "template.yaml"), "CloudFormation reads none"
    return {
        str(path.relative_to(built)): (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in built.rglob("*")
        if path.is_file() and path != built / "template.yaml"
    }


def aliases(template: Path) -> list[str]:
    """The YAML aliases of a template, where they stand."""
    events = yaml.parse(template.read_text(encoding="utf-8"), Loader)
    return [f"{event.anchor}: {event.start_mark}" for event in events if isinstance(event, yaml.AliasEvent)]


def test_the_same_sources_make_the_same_files(tmp_path: Path) -> None:
    once = build(tmp_path / "here", 0o022)
    again = build(tmp_path / "some" / "where else", 0o077)
    assert len(once) > 1000
    assert aliases(venvs.ROOT / "template.yaml")
    assert {path for path in once.keys() | again.keys() if once.get(path) != again.get(path)} == set()
