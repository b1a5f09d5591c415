"""A version that was rolled back for an error of another file: when the error stays, it was not that version's.

The traceback of the other file went through the version's; that is evidence and no proof, for a file can put any name
into a traceback. So the roll-back is a trial. When the error is still met without the version, the roll-back is undone:
its mark is lifted, the gate makes it live again, and errors of that other file never roll it back any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from jetway.artifacts.kinds import DAGS, kind_of
from jetway.aws.s3 import head
from jetway.diagnosis.attribution import PATIENCE, PAUSE, SYNC, parse_time, relative_path
from jetway.observability import logger
from jetway.promotion.artifact_state import ArtifactState, Trial, drop_version_id
from jetway.promotion.manual_changes import is_by_hand
from jetway.promotion.state_table import StandingChangedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.state_table import ArtifactStateTable

_MOST_ACQUITTED = 50

LONGEST = timedelta(days=1)  # while it cannot be told whether an error has gone

End = Literal["wait", "guilty", "innocent"]


def tried(before: ArtifactState, after: ArtifactState, now: datetime) -> ArtifactState:
    """Begin the trial of a roll-back, when all its problems are of other files and none was undone before.

    Else the trial of an older version begins anew that was put off for this one.

    Args:
        before: in stage "rolling-back".
        after: with what was before it.
    """
    bad, own = before.live, before.key.removeprefix(DAGS)
    others = tuple(sorted({problem.where for problem in before.problems}))
    is_own = any(f"{where}/".startswith(f"{own}/") or where in {before.key, "environment"} for where in others)
    if bad is None or not bad.dropped or not others or is_own or is_known(before, bad.source):
        return replace(after, trial=replace(after.trial, at=now)) if after.trial is not None else after
    return replace(after, trial=Trial(bad.source, others, now))


def is_known(standing: ArtifactState, source: str) -> bool:
    """Whether a roll-back of a version was undone before."""
    return any(each == source for each, _ in standing.acquitted)


def end_of(trial: Trial, errors: Sequence[ImportProblem], facts: EnvironmentFacts, now: datetime) -> End:
    """Say what a look at the environment means for a trial.

    Args:
        errors: the environment's import errors.
    """
    over = trial.at + parse_time(facts)
    if now < over:
        return "wait"
    left = [error for error in errors if not error.redacted and relative_path(error.path) in trial.where]
    if not left:
        return "guilty"
    met_since = any(error.at is None or error.at > trial.at + SYNC for error in left)
    return "innocent" if met_since or now >= over + PATIENCE else "wait"


def convicted(standing: ArtifactState, now: datetime) -> ArtifactState:
    """The error has gone with the version: its roll-back stands."""
    return replace(standing, trial=None, due_at=now + PAUSE)


def acquitted(standing: ArtifactState, now: datetime) -> ArtifactState:
    """The error has stayed without the version: it may go live again, and this never rolls it back any more."""
    trial = standing.trial
    if trial is None:
        return standing
    pairs = tuple(dict.fromkeys((*standing.acquitted, *((trial.source, where) for where in trial.where))))
    rolled_back = tuple(source for source in standing.rolled_back if source != trial.source)
    lifted = replace(trial, lifted_at=trial.lifted_at or now)
    return replace(
        standing, rolled_back=rolled_back, acquitted=pairs[-_MOST_ACQUITTED:], trial=lifted, due_at=now + PAUSE
    )


def is_over(trial: Trial, now: datetime) -> bool:
    """Whether it goes on no longer: nobody could tell for a day, or the gate has had time for the acquitted one."""
    return now >= (trial.at + LONGEST if trial.lifted_at is None else trial.lifted_at + PATIENCE)


@dataclass(frozen=True, slots=True)
class Trials:
    """Lets roll-backs stand, or undoes them, as errors of other files go with them or stay.

    Attributes:
        ask_gate: has the gate settle a version of a key, soon.
    """

    s3: S3Client
    table: ArtifactStateTable
    ask_gate: Callable[[str, str | None], None]

    def end(
        self,
        on_trial: Sequence[ArtifactState],
        errors: Sequence[ImportProblem] | None,
        facts: EnvironmentFacts,
        now: datetime,
    ) -> None:
        """End those trials of which it can be told how they end.

        Args:
            errors: the environment's import errors; None while they prove nothing.
        """
        for listed in on_trial:
            standing = self.table.get(listed.key)
            if standing is None or standing.stage == "rolling-back" or standing.trial_is_put_off:
                continue
            with suppress(StandingChangedError):  # something newer came while we looked
                self._end(standing, errors, facts, now)

    def _end(
        self, standing: ArtifactState, errors: Sequence[ImportProblem] | None, facts: EnvironmentFacts, now: datetime
    ) -> None:
        trial = standing.trial
        if trial is None:
            return
        if is_over(trial, now) or self._is_theirs(standing, facts):
            self.table.put(convicted(standing, now))
        elif errors is None:
            return
        elif trial.lifted_at or (end := end_of(trial, errors, facts, now)) == "innocent":
            logger.warning("a rollback is undone", extra={"key": standing.key, "version": trial.source})
            self.table.put(acquitted(standing, now))
            # Again a minute later, until it is live: a message may come before the mark is seen to be gone.
            self.ask_gate(standing.key, drop_version_id(trial.source))
        else:
            self.table.put(convicted(standing, now) if end == "guilty" else replace(standing, due_at=now + PAUSE))

    def _is_theirs(self, standing: ArtifactState, facts: EnvironmentFacts) -> bool:
        """Whether somebody has put something else live by hand since: nothing goes over that unasked."""
        place = kind_of(standing.key).destination(standing.key, facts)
        live = head(self.s3, facts.source_bucket, place) if place is not None else None
        return live is not None and is_by_hand(live)


def is_acquitted(standing: ArtifactState | None, version: str) -> bool:
    """Whether a roll-back of a version was undone, and it was not rolled back for another error since."""
    return standing is not None and version not in standing.rolled_back and is_known(standing, version)


def innocent_of(standing: ArtifactState) -> Collection[str]:
    """Return the files whose errors are not the live version's, while a trial goes on and after an acquittal."""
    live = standing.live
    known = {where for source, where in standing.acquitted if live is not None and source == live.source}
    return known | set(standing.trial.where if standing.trial is not None and not standing.trial_is_put_off else ())
