"""The table of the states of the world and the places that speak of them: its data, its page, the tests of its cells.

`table.yaml` holds it, `shows` ties a test to its cells, `python -m tests.unit.signals` writes docs/signals.md of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.unit.sample_events import ROOT

PAGE = ROOT / "docs" / "signals.md"
NOTHING = "-"

Cell = tuple[str, str]  # id of the state, id of the place

_CODE = re.compile(r"`([^`]+)`")
_TITLE = re.compile(r"title `([^`]+)`")


@dataclass(frozen=True)
class State:
    """One state of the world.

    Attributes:
        name: as the page's column has it.
        comes: how it comes about, in the world and in the test.
        shows: what each place shows, by the place's id.
    """

    name: str
    comes: str
    shows: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """The states that make one table of the page, by their ids."""

    title: str
    about: str
    states: Mapping[str, State]


def _read() -> tuple[Mapping[str, str], list[Group]]:
    content = yaml.safe_load((Path(__file__).parent / "table.yaml").read_text())
    groups = [
        Group(group["title"], group["about"], {id_: State(**state) for id_, state in group["states"].items()})
        for group in content["groups"]
    ]
    return content["places"], groups


PLACES, GROUPS = _read()
STATES = {id_: state for group in GROUPS for id_, state in group.states.items()}
CELLS: dict[Cell, str] = {(id_, place): text for id_, state in STATES.items() for place, text in state.shows.items()}
DRIVEN: dict[Cell, str] = {}  # by which test


def shows(state: str, *places: str) -> Callable[[Callable[..., Mapping[str, str]]], Callable[..., None]]:
    """Let a test drive cells of one state.

    The test returns, for each place, all that the place shows. What the table has in backticks must be in it; what it
    has there behind the word title must be all that the first line says of the file.

    Args:
        state: id of the state.
        places: ids of the places.
    """

    def decorate(test: Callable[..., Mapping[str, str]]) -> Callable[..., None]:
        for place in places:
            other = DRIVEN.setdefault((state, place), test.__name__)
            assert other == test.__name__, f"{other} drives {state} at {place} already"

        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            seen = test(*args, **kwargs)
            assert seen.keys() == set(places)
            wrong = list(_wrong(state, seen))
            assert not wrong, "\n" + "\n".join(wrong)

        return run

    return decorate


def _wrong(state: str, seen: Mapping[str, str]) -> Iterator[str]:
    for place, text in seen.items():
        for wanted in _CODE.findall(CELLS[state, place]):
            if not re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", text):
                yield f"{STATES[state].name} at {PLACES[place]}: no {wanted!r} in:\n    {text}"
        title = text.partition("\n")[0]
        for wanted in _TITLE.findall(CELLS[state, place]):
            if title.partition(": ")[2] != wanted:
                yield f"{STATES[state].name} at {PLACES[place]}: the title does not say {wanted!r}:\n    {title}"


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# Signals",
        "",
        "What each place that speaks of Jetway says, in each state of the world. Every cell is driven by a test of",
        "`tests/unit/signals/` (`make signals` writes this page of their table): what stands here in `code`, the place",
        f"says word for word. A place with {NOTHING} does not speak of that state.",
    )
    for group in GROUPS:
        yield from ("", f"## {group.title}", "", group.about.strip(), "")
        yield from (f"- **{state.name}**: {state.comes}" for state in group.states.values())
        yield from ("", _row(["", *(state.name for state in group.states.values())]))
        yield _row(["---"] * (len(group.states) + 1))
        for place, name in PLACES.items():
            cells = [state.shows.get(place, NOTHING) for state in group.states.values()]
            if set(cells) != {NOTHING}:
                yield _row([name, *cells])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
