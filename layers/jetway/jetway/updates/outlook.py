"""What the updates of the environment mean for files of the dags folder that are being verified. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.diagnosis.attribution import PAUSE, Attribution
from jetway.updates.plan import updated_at

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.updates.record import UpdateRecord

# Artifacts that bring modules.
BRING_MODULES = frozenset({"requirements.txt", "plugins.zip"})
_MISSING = re.compile(r"^(ModuleNotFoundError|ImportError)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class UpdateOutlook:
    """What has been updated, and what is still to come.

    Attributes:
        restarted_at: when the environment was updated last, by whomever: all files are parsed anew after it.
        modules_come: requirements or plugins are on their way, and may bring what a file misses.
        goes_back: what is in force does not work, and is about to go: an error may be its fault.
    """

    restarted_at: datetime | None
    modules_come: bool
    goes_back: bool

    def judged(self, decision: Attribution, now: datetime) -> Attribution:
        """The decision on a file, or to wait where an update to come may heal what it is blamed for."""
        if decision.action != "roll-back":
            return decision
        heals = all(_MISSING.search(problem.message) for problem in decision.problems)
        if self.goes_back or (self.modules_come and heals):
            return Attribution("wait", now + PAUSE, decision.problems)
        return decision


def update_outlook(
    record: UpdateRecord, standings: Mapping[str, ArtifactState | None], facts: EnvironmentFacts, now: datetime
) -> UpdateOutlook:
    """Return what updates mean for files that are being verified.

    Args:
        standings: of requirements.txt, plugins.zip and startup.sh.
    """
    return UpdateOutlook(
        restarted_at=updated_at(record, facts, now),
        modules_come=modules_come(standings),
        goes_back=any(not debt.told for debt in record.owed.values()),
    )


def modules_come(standings: Mapping[str, ArtifactState | None]) -> bool:
    """Whether requirements or plugins wait for an update, or are being updated."""
    found = (standings.get(key) for key in BRING_MODULES)
    return any(standing is not None and standing.stage in {"waiting", "updating"} for standing in found)
