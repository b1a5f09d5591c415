"""docs/signals.md, table.yaml and the tests of its cells say the same."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.unit.signals.table import CELLS, DRIVEN, PAGE, PLACES, page

HERE = Path(__file__).parent


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text() == page(), "run `make signals`"


def test_every_cell_is_driven_by_a_test_and_every_such_test_has_its_cell() -> None:
    for file in HERE.glob("test_*.py"):
        importlib.import_module(f"tests.unit.signals.{file.stem}")
    assert {f"{state} at {place}" for state, place in DRIVEN} == {f"{state} at {place}" for state, place in CELLS}


def test_every_place_is_known() -> None:
    assert {place for _, place in CELLS} == PLACES.keys()
