"""What comments and descriptions point to is there: pages and their headings, files, modules and what they define."""

from __future__ import annotations

import importlib
import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.unit.sample_events import ROOT
from tests.unit.test_documentation import read

# What points to somewhere. Pages have a test of their own, and tests name many a file that is not to be there.
SUFFIXES = {".py", ".yaml", ".yml", ".toml", ".in", ".js", ".mjs", ".html", ".sh", ""}
OTHERS = ("tools/bench/gate/", "requirements/gate", "tests/", "dags/", "samples/")

FOLDERS = ("bench", "cli", "docs", "functions", "layers", "local", "plugins", "requirements", "tests")
PATH = re.compile(
    rf"(?<![\w./<{{-])(?P<path>(?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:md|py|json|toml|in|yaml))\b(?:#(?P<anchor>[\w-]+))?"
)
PACKAGES = ("jetway", "jetway_cli", "jetway_loader", "jetway_airflow", "local")
DOTTED = re.compile(rf"(?<![\w./<{{@-])((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)\b(?![/(])")
TEMPLATES = ("template.yaml", "environment.yaml", "dashboard.yaml")


@cache
def files() -> list[Path]:
    """What is in git, or would be if it were added."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [ROOT / name for name in listed if not name.startswith(OTHERS)]
    return [path for path in paths if path.suffix in SUFFIXES and path.is_file()]


def dead_paths(text: str) -> list[str]:
    """Paths that lead nowhere, and headings that their pages do not have."""
    found = []
    for match in PATH.finditer(text):
        path = ROOT / match["path"]
        if not path.exists() or (match["anchor"] and match["anchor"] not in read(path).anchors):
            found.append(match[0])
    return found


def dead_names(text: str) -> list[str]:
    """Names of modules and of what they define that do not exist."""
    return [name for name in DOTTED.findall(text) if not _exists(name)]


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            if find_spec(module) is None:
                continue
        except ModuleNotFoundError:  # its parent is no package
            continue
        found = importlib.import_module(module)
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_every_path_that_is_named_is_there() -> None:
    dead = {str(path.relative_to(ROOT)): dead_paths(path.read_text(encoding="utf-8")) for path in files()}
    assert {path: found for path, found in dead.items() if found} == {}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_module_that_a_template_names_is_there(name: str) -> None:
    comments = [line.partition("#")[2] for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    assert dead_names("\n".join(comments)) == []


def test_the_templates_point_to_something() -> None:
    """Else the tests above would look at nothing."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert len(PATH.findall(text)) >= 5
    assert len(DOTTED.findall(text)) >= 2


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("see docs/networking.md", ["docs/networking.md"]),
        ("see docs/delivery.md", []),
        ("(docs/delivery.md#no-such-heading)", ["docs/delivery.md#no-such-heading"]),
        ("local/gone.py does", ["local/gone.py"]),
        ("acme/docs/gone.md and https://example.com/docs/gone.md", []),
    ],
)
def test_a_path_that_leads_nowhere_is_found(text: str, dead: list[str]) -> None:
    assert dead_paths(text) == dead


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("jetway.artifacts.worker_scaler decides", ["jetway.artifacts.worker_scaler"]),
        ("jetway.formats, and jetway.formats.check_item", []),
        ("jetway.formats.check_everything", ["jetway.formats.check_everything"]),
        ("nothing.of.ours and my.jetway.name", []),
    ],
)
def test_a_name_that_means_nothing_is_found(text: str, dead: list[str]) -> None:
    assert dead_names(text) == dead
