"""How a piece of work walks through the modules of `jetway`: calls, modules, and returns to a module already left.

A walk that goes back and forth between modules is hard to follow, and a change to one of them is a change to all.
`make walks` prints the table; tests/unit/test_walks.py holds the walks to their bounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tools.venvs import ROOT

PRODUCT = f"{ROOT / 'layers/jetway/jetway'}/"
# Frames that are no calls of their own: Python 3.11 makes one for each comprehension.
_WITHIN = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>", "<module>"})


@dataclass(frozen=True, slots=True)
class Walk:
    """One piece of work, as its calls show it.

    Attributes:
        steps: `(module, function)` of every call into the product, in order.
    """

    steps: Sequence[tuple[str, str]]

    @property
    def functions(self) -> int:
        return len(set(self.steps))

    @property
    def modules(self) -> tuple[str, ...]:
        """In the order of the first visit."""
        return tuple(dict.fromkeys(module for module, _ in self.steps))

    @property
    def switches(self) -> int:
        """How often a call is in another module than the call before it."""
        return sum(one[0] != other[0] for one, other in zip(self.steps, self.steps[1:], strict=False))

    @property
    def returns(self) -> int:
        """How many of the switches lead to a module that was left before."""
        return self.switches - len(self.modules) + 1 if self.steps else 0

    def __str__(self) -> str:
        return (
            f"{len(self.steps):4} calls  {self.functions:3} functions  {len(self.modules):2} modules  "
            f"{self.switches:3} switches  {self.returns:3} returns"
        )


def walk(work: Callable[[], object]) -> Walk:
    """Do the work and note every call into the product, in the thread of the caller."""
    steps: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name not in _WITHIN and code.co_filename.startswith(PRODUCT):
            steps.append((code.co_filename[len(PRODUCT) : -len(".py")], code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return Walk(steps)
