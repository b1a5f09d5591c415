"""The picture of the rooms is that of the code, and says what is true."""

from __future__ import annotations

import pytest

from tools.generate.architecture import BEGIN, PAGE, arrows, layers, page, reduced


def test_the_picture_is_that_of_the_code() -> None:
    assert page(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8"), "make architecture"


def test_an_arrow_that_others_imply_is_left_out() -> None:
    found = {"a": frozenset("bcd"), "b": frozenset("c"), "c": frozenset("d"), "d": frozenset()}
    assert reduced(found) == {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("d"), "d": frozenset()}


def test_every_room_has_its_layer_and_imports_only_below_or_beside() -> None:
    place = {name: number for number, layer in enumerate(layers()) for name in layer}
    found = arrows(place)
    assert found["wiring"] >= {"gate", "dispatch"}, "else it looked at nothing"
    assert [(one, other) for one, others in found.items() for other in others if place[other] < place[one]] == []


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        page(BEGIN)
