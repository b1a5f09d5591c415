"""After an update of requirements, plugins or the startup script: new import errors anywhere are its fault."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.live.standing import Live, Problem, Standing, verified
from jetway.live.verdicts import PAUSE, digests, new_errors, parse_time, problem, relative_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.live.table import StandingTable
    from jetway.live.update_record import UpdateRecord, UpdateTable


@dataclass(frozen=True, slots=True)
class UpdateVerifier:
    """Decides on the update that has ended last."""

    records: UpdateTable
    standings: StandingTable

    def is_due(self, record: UpdateRecord, now: datetime) -> bool:
        """Whether the environment is to be looked at."""
        return record.phase == "verifying" and record.due_at is not None and record.due_at <= now

    def look(
        self,
        record: UpdateRecord,
        errors: Sequence[ImportProblem],
        fresh_files: Collection[str],
        facts: EnvironmentFacts,
        now: datetime,
    ) -> tuple[str, tuple[Problem, ...]]:
        """Write down what follows: "good", "rolled-back" with the problems, or "wait".

        Args:
            fresh_files: DAG files that were made live lately and answer for their own errors.

        Raises:
            StandingChangedError: another invocation was faster.
        """
        new = [error for error in new_errors(errors, record.baseline) if relative_path(error.path) not in fresh_files]
        if new:
            problems = tuple(problem(error) for error in new)
            self.records.put(replace(record, phase="undo", problems=problems))
            return "rolled-back", problems
        if record.ended_at is not None and now < record.ended_at + parse_time(facts):
            # Errors of files that are rolled back now may show for a while yet.
            theirs = {file: digest for file, digest in digests(errors).items() if file in fresh_files}
            self.records.put(replace(record, due_at=now + PAUSE, baseline={**record.baseline, **theirs}))
            return "wait", ()
        for key, live in record.artifacts.items():
            self.standings.change(key, _good(key, live))
        self.records.put(record.idle())
        return "good", ()


def _good(key: str, live: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        if standing.live is None or standing.live.source != live.source:
            return replace(standing, good=live)  # a newer version waits already
        return verified(standing, ())

    return change
