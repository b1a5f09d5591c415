"""What one call of `Updates.advance` is given and does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.artifact_state import LiveVersion
    from jetway.updates.record import UpdateRecord
    from jetway.updates.revert import Undo

StepName = Literal[
    "held",
    "begun",
    "in-progress",
    "applied",
    "failed",
    "undone",
    "undo-failed",
    "adopted",
    "unchanged",
    "overtaken",  # somebody else has changed the environment
    "silent",  # Airflow does not answer since the update, which is undone
    "stalled",  # a person was told that it cannot go on
]


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """One thing that was done; the fields of its log line."""

    step: StepName
    artifacts: Mapping[str, str]
    because: str = ""
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of `advance`: what it was given, and how things stood when it began."""

    record: UpdateRecord
    facts: EnvironmentFacts
    errors: Callable[[], Sequence[ImportProblem]]
    undo: Undo
    verify_after: timedelta
    quiet: timedelta
    on_step: Callable[[UpdateStep], None]

    def tell(
        self,
        step: StepName,
        artifacts: Mapping[str, LiveVersion],
        because: str = "",
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand on a step that has just been done."""
        self.on_step(UpdateStep(step, {key: live.source for key, live in artifacts.items()}, because, changes))
