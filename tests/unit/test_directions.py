"""What import-linter (pyproject.toml) cannot say: which of the product's modules the emulator may know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.unit.sample_events import ROOT

GATEWAY = ROOT / "local/gateway"
PRODUCT = {"jetway", "jetway_loader", "jetway_cli", "functions", "jetway_airflow"}


def imports_of(file: Path) -> Iterator[str]:
    """Every name that a module imports, at whatever depth, as `module.name` where it takes a name out of one."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_emulator_knows_of_jetway_only_which_packages_an_image_has() -> None:
    names = {name for file in GATEWAY.rglob("*.py") for name in imports_of(file)}
    assert "boto3" in {name.partition(".")[0] for name in names}  # else this looked at nothing
    assert {name for name in names if name.partition(".")[0] in PRODUCT} == {"jetway.artifacts.mwaa.packages_of"}
