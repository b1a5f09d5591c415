"""A public class of the product has one meaning: no two modules define one of the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.unit.sample_events import ROOT

PACKAGES = ("layers/jetway/jetway", "cli/jetway_cli")
# Each module of `wiring` has its own, and is named with them: `start_dag_run.Config`.
OF_EACH_MODULE = {"Config", "Parts"}


def classes(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }


def test_a_public_class_has_one_meaning() -> None:
    found = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for name in classes(file) - OF_EACH_MODULE:
                found[name].append(file.relative_to(ROOT).as_posix())
    assert len(found) > 300, "it looked at nothing"
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
