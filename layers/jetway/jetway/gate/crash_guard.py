"""The gate, which refuses a file that has ended it time and again instead of reading it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding, judgement
from jetway.artifacts.kinds import kind_of
from jetway.aws.crashes import MOST
from jetway.gate.gate import Gate, GateResult

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement
    from jetway.aws.crashes import Crashes
    from jetway.aws.s3 import ObjectVersion
    from jetway.gate.s3_notification import Arrival

CRASHED = Finding(
    "crashed",
    "error",
    (
        f"The function that checks files was ended {MOST} times while it read this version: it was out of "
        "memory or out of time, or it crashed."
    ),
    None,
    ("Make the file smaller or simpler and drop it again. The log of validate_artifact shows how the function ended."),
)


class WatchedGate(Gate):
    """A gate whose judging is watched: of all that is done to a file, only reading it depends on what is in it.

    What is counted is the version, not the message: an arrival may settle other versions of its key too.
    """

    def __init__(self, *parts: Any, crashes: Crashes, **more: Any) -> None:
        """Take what counts the crashes; and, as `Gate` does, the rest."""
        super().__init__(*parts, **more)
        self._crashes = crashes
        self._receives = 1

    def settle_again(self, arrival: Arrival, receives: int) -> list[GateResult]:
        """Settle an arrival, as `settle` does.

        Args:
            receives: how often its message was received, this time included.

        Raises: as `settle`.
        """
        self._receives = receives
        return self.settle(arrival)

    def _judge(self, version: ObjectVersion, facts: EnvironmentFacts) -> Judgement | None:
        with self._crashes.trying(f"{version.key}#{version.label}", self._receives) as crashed:
            if crashed:
                return judgement(kind_of(version.key).name, [CRASHED])
            return super()._judge(version, facts)
