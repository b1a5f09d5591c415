"""What a check says, and how it is put together from what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Asked

CheckState = Literal["ok", "warning", "broken", "not known"]

_MOST_SHOWN = 5
_WORST_FIRST: Sequence[CheckState] = ("broken", "warning", "not known")


@dataclass(frozen=True, slots=True)
class Result:
    """What one check says.

    Attributes:
        id: of the check.
        seen: what was seen, as a sentence.
        remedy: the one thing to do; empty when there is nothing to do.
    """

    id: str
    state: CheckState
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CheckProblem:
    """Something that is not as it should be."""

    state: CheckState
    seen: str
    remedy: str


@dataclass(slots=True)
class Findings:
    """What a check finds while it looks; the worst of it is what the check says."""

    problems: list[CheckProblem] = field(default_factory=list)

    def broken(self, seen: str, remedy: str) -> None:
        """Note something that keeps Jetway from working."""
        self.problems.append(CheckProblem("broken", seen, remedy))

    def warn(self, seen: str, remedy: str) -> None:
        """Note something that somebody should look at."""
        self.problems.append(CheckProblem("warning", seen, remedy))

    def unknown(self, seen: str, remedy: str) -> None:
        """Note something that nobody can tell."""
        self.problems.append(CheckProblem("not known", seen, remedy))

    def needs(self, *answers: Asked[Any]) -> bool:
        """Whether all these answers are there; those that are not are noted."""
        for asked in answers:
            if asked.denied is not None:
                self.problems.append(
                    CheckProblem(
                        "not known",
                        f"You do not have permission for {asked.denied}.",
                        (f"Request {asked.denied} in your policy."),
                    )
                )
            elif asked.trouble is not None:
                self.problems.append(CheckProblem("not known", asked.trouble, "Try again later."))
        return all(asked.known for asked in answers)

    def result(self, id_: str, fine: str) -> Result:
        """Say the worst of what was noted, or that all is well.

        Args:
            id_: of the check.
            fine: what is said then.
        """
        if not self.problems:
            return Result(id_, "ok", fine)
        worst_first = sorted(self.problems, key=lambda one: _WORST_FIRST.index(one.state))
        return Result(id_, worst_first[0].state, listed([one.seen for one in worst_first], " "), worst_first[0].remedy)


def listed(items: Iterable[str], separator: str = ", ") -> str:
    """Return items as one text, the first few only; each once.

    >>> listed(str(number) for number in range(7))
    '0, 1, 2, 3, 4, and 2 more'
    """
    found: Sequence[str] = list(dict.fromkeys(items))
    shown, more = found[:_MOST_SHOWN], len(found) - _MOST_SHOWN
    return separator.join([*shown, *([f"and {more} more"] if more > 0 else [])])
