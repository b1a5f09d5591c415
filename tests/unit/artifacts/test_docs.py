"""docs/artifacts.md has every rule that a finding can have, and none that none can."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from jetway.artifacts.kinds import KINDS
from jetway_cli.check_kinds import CONFIGURATION
from tests.unit.sample_events import ROOT

TEXT = (ROOT / "docs/artifacts.md").read_text(encoding="utf-8")
RULE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LIBRARY = ROOT / "layers/jetway/jetway"
FOLDERS = (LIBRARY, ROOT / "layers/loader/jetway_loader", ROOT / "cli/jetway_cli")
PAIRS = {"checks.py", "never_firing.py"}  # where a rule is the first of (rule, path, message, remedy)
# Functions and classes whose first argument is a rule.
FIRST = {"Finding", "Fault", "SchemaViolation", "_error", "_warning", "_fault", "_finding", "_found"}


def rules_of(file: Path) -> Iterator[str]:
    """The rules that a module gives to findings, as they stand in its source: arguments, and (rule, remedy) pairs."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given += [word.value for word in node.keywords if word.arg == "rule"]
            given += node.args[:1] if name in FIRST else []
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in {"rule", "NO_VERSIONS"}:
            given.append(node.value)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and file.name == "import_errors.py":
            given.append(node.elts[0])
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and file.name in PAIRS:
            given.append(node.value.elts[0])
        for value in given:
            for part in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and RULE.fullmatch(part.value):
                    yield part.value


def test_every_rule_is_in_the_table_and_no_other() -> None:
    # doctor's faults are of a stack, and in docs/doctor.md.
    files = [file for folder in FOLDERS for file in folder.rglob("*.py") if file.parent.name != "doctor"]
    in_code = {rule for file in files for rule in rules_of(file)} - {"environment"}  # where a problem of `live` is
    in_table = re.findall(r"^\| `([a-z0-9-]+)`", TEXT.partition("## Rules")[2], re.MULTILINE)
    assert len(in_table) == len(set(in_table)), "a rule stands twice"
    assert in_code - set(in_table) == set(), "not in the table"
    assert set(in_table) - in_code == set(), "in the table only"


def test_every_kind_is_named() -> None:
    for kind in (*KINDS, *CONFIGURATION):
        assert f"`{kind.name}`" in TEXT
