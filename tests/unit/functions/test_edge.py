"""What holds for all functions: each is tested here, and each alarm's metric by the functions that send it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.unit.sample_events import ROOT

from .edge import alarmed

HERE = Path(__file__).parent
FUNCTIONS = sorted(file.parent.name for file in (ROOT / "functions").glob("*/app.py"))


def test_every_function_is_tested_at_its_edge() -> None:
    assert [name for name in FUNCTIONS if not (HERE / f"test_{name}.py").exists()] == []


def test_every_metric_that_an_alarm_stands_on_is_looked_at_where_it_is_sent() -> None:
    tested = [import_module(f"tests.unit.functions.test_{name}") for name in FUNCTIONS]
    looked_at: set[str] = set().union(*(getattr(module, "ALARMS", set()) for module in tested))
    assert looked_at == alarmed()
