"""After an update of requirements, plugins or the startup script: new import errors anywhere are its fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from jetway.artifacts.kinds import DAGS
from jetway.live.in_force import InForce
from jetway.live.standing import Live, Problem, Standing, overtaken, verified
from jetway.live.update_record import in_force
from jetway.live.verdicts import PAUSE, digests, new_errors, parse_time, problem, relative_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.live.table import StandingTable
    from jetway.live.update_record import UpdateRecord, UpdateTable

Outcome = Literal["good", "rolled-back", "superseded", "wait"]

_MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^'.]+)", re.MULTILINE)
# Artifacts that bring modules.
_BRING_MODULES = frozenset({"requirements.txt", "plugins.zip"})


@dataclass(frozen=True, slots=True)
class UpdateVerifier:
    """Decides on the update that has ended last.

    Attributes:
        why_pip_failed: asks the environment's logs, by their groups and since when.
        say: writes into the report of a version how far it is on its way into force.
    """

    records: UpdateTable
    standings: StandingTable
    why_pip_failed: Callable[[Sequence[str], datetime], str | None]
    say: Callable[[str, Live, InForce], None]

    def is_due(self, record: UpdateRecord, now: datetime) -> bool:
        """Whether the environment is to be looked at."""
        return record.phase == "verifying" and record.due_at is not None and record.due_at <= now

    def look(
        self,
        record: UpdateRecord,
        errors: Sequence[ImportProblem],
        fresh_files: Mapping[str, Live],
        facts: EnvironmentFacts,
        now: datetime,
    ) -> tuple[Outcome, tuple[Problem, ...]]:
        """Write down what follows; with "rolled-back" go the problems.

        Args:
            fresh_files: DAG files that were made live lately and answer for their own errors.

        Returns:
            "superseded": somebody has pointed the environment at other versions meanwhile, which are theirs.

        Raises:
            StandingChangedError: another invocation was faster.
        """
        if not any(in_force(facts, key) == (live.key, live.version_id) for key, live in record.artifacts.items()):
            for key, live in record.artifacts.items():
                self.say(key, live, InForce("replaced-by-hand", now))
                self.standings.change(key, _overtaken(key, live))
            self.records.put(record.idle())
            return "superseded", ()
        new = [error for error in new_errors(errors, record.baseline) if relative_path(error.path) not in fresh_files]
        over = record.ended_at is None or now >= record.ended_at + parse_time(facts)
        if over and not new:
            new = self._not_brought(record, errors, fresh_files)
        problems = (*self._of_pip(record, facts), *(problem(error) for error in new))
        if problems:
            self.records.put(replace(record, phase="undo", problems=problems))
            return "rolled-back", problems
        if not over:
            # Errors of files that are rolled back now may show for a while yet.
            theirs = {file: digest for file, digest in digests(errors).items() if file in fresh_files}
            self.records.put(replace(record, due_at=now + PAUSE, baseline={**record.baseline, **theirs}))
            return "wait", ()
        for key, live in record.artifacts.items():
            self.say(key, live, InForce("verified", now))
            self.standings.change(key, _good(key, live))
        self.records.put(record.idle())
        return "good", ()

    def _of_pip(self, record: UpdateRecord, facts: EnvironmentFacts) -> tuple[Problem, ...]:
        if "requirements.txt" not in record.artifacts or record.began_at is None:
            return ()
        words = self.why_pip_failed(facts.install_log_groups, record.began_at)
        return (Problem("requirements.txt", words),) if words else ()

    def _not_brought(
        self, record: UpdateRecord, errors: Sequence[ImportProblem], fresh_files: Mapping[str, Live]
    ) -> list[ImportProblem]:
        """Errors of fresh files for want of a module that the update was to bring: pip has failed, as MWAA only logs.

        The gate accepts a file only if every module that it imports is in the dags folder, in the image, or comes
        with requirements or plugins.
        """
        if _BRING_MODULES.isdisjoint(record.artifacts):
            return []
        found = []
        for error in errors:
            live, missing = fresh_files.get(relative_path(error.path)), _MISSING.search(error.error)
            if live is not None and live.verdict == "accepted" and missing and not self._in_dags_folder(missing[1]):
                found.append(error)
        return found

    def _in_dags_folder(self, module: str) -> bool:
        names = (f"{DAGS}{module}.py", f"{DAGS}{module}/__init__.py")
        return any(self.standings.get(name) is not None for name in names)


def _good(key: str, live: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        if standing.live is None or standing.live.source != live.source:
            return replace(standing, good=live)  # a newer version waits already
        return verified(standing, ())

    return change


def _overtaken(key: str, live: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        newer = standing.live is not None and standing.live.source != live.source
        return standing if newer else overtaken(standing)

    return change
