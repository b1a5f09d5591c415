"""Updates of the environment: artifacts and the bounds of scaling go as one, and one at a time.

UpdateEnvironment takes 10 to 30 minutes, under GRACEFUL up to 12 hours more, and refuses a second one meanwhile. So
whatever wants one is held until the environment is AVAILABLE (or UPDATE_FAILED, which is as usable: MWAA has gone
back), and what has come by then goes together, the way back from what does not work too. What is next is decided by
`jetway.updates.plan` alone; here it is done. An update is written down before it is asked for, and a verdict before
anything is done about it, each onto what was read: a crash anywhere neither loses nor repeats it, and of two at once
one stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow.environment import THROTTLED, did_nothing, is_denied, unavailable
from jetway.errors import EnvironmentUnavailableError, PermissionMissingError
from jetway.observability import logger
from jetway.updates.actions import Acts
from jetway.updates.plan import CALL_AGAIN_AFTER, Plan, UpdateRules, decide, shows_ours, waiting
from jetway.updates.record import MEMBERS, UpdateRecord
from jetway.updates.steps import Turn

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import Environment, EnvironmentFacts
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import Trouble, UpdateTable, WorkerReplacement
    from jetway.updates.revert import Undo
    from jetway.updates.steps import UpdateStep

__all__ = ["CALL_AGAIN_AFTER", "NotBegunError", "RefusedError", "Scaled", "Updates"]

# So many things are done one after the other; the next minute goes on.
_MOST_STEPS = 12
_DENIED_AGAIN = timedelta(seconds=PermissionMissingError.longest_wait)

Scaled = Literal["begun", "goes-along", "held"]


class RefusedError(Exception):
    """MWAA does not take the update; the text has its words."""


class NotBegunError(EnvironmentUnavailableError):
    """The call has certainly begun nothing: a right is missing, it was throttled, or it did not reach MWAA."""

    def __init__(self, message: str, trouble: Trouble) -> None:
        """Take the message, and what stands in the way."""
        super().__init__(message)
        self.trouble = trouble


class Updates:
    """Begins and follows the updates of one environment."""

    def __init__(
        self,
        mwaa: MWAAClient,
        environment: Environment,
        records: UpdateTable,
        standings: ArtifactStateTable,
        *,
        automatic: bool,
        worker_replacement: WorkerReplacement,
        clock: Callable[[], datetime],
    ) -> None:
        """Take the parts.

        Args:
            mwaa: that asks once: a second try of UpdateEnvironment is refused for the first one's sake.
            environment: that remembers nothing, or for a moment only.
            automatic: whether artifacts may be brought into force; the bounds of scaling always may.
            worker_replacement: GRACEFUL lets running tasks end, for twelve hours at most; FORCED stops them. Not every
                Region has GRACEFUL: https://docs.aws.amazon.com/mwaa/latest/userguide/update-environment.html
        """
        self._mwaa = mwaa
        self._environment = environment
        self._records = records
        self._standings = standings
        self._automatic = automatic
        self._worker_replacement = worker_replacement
        self._clock = clock

    def scale(self, facts: EnvironmentFacts, low: int, high: int) -> Scaled:
        """Set MinWorkers and MaxWorkers: now, or together with artifacts that wait, within a minute or so.

        Args:
            facts: of the environment now.

        Returns:
            "held": an update is on its way, the artifacts of the last one are being verified, or MWAA has refused
            these numbers, and artifacts that they went along with wait still.

        Raises:
            RefusedError: MWAA does not want these numbers, or an update of somebody else has begun.
            StandingChangedError: another update has just begun.
            EnvironmentUnavailableError: MWAA is in trouble.
        """
        record, now = self._records.get(), self._clock()
        if record.phase == "updating" and not record.artifacts and not record.pays:
            plan = decide(record, facts, {}, UpdateRules(), now)
            if plan.step in {"ended", "again"}:
                record = record.idle()  # bounds alone: there is nothing to be done after them
        if record.phase != "idle" or not facts.usable:
            return "held"
        workers = {"MinWorkers": low, "MaxWorkers": high}
        if self._automatic and (waiting(self._all_standings()) or record.owed):
            if workers == record.refused_workers:
                return "held"
            self._records.put(replace(record, workers=workers, workers_at=now))
            return "goes-along"
        idle = replace(record.idle(), workers=None, workers_at=None, ours_at=None, source=None)
        claimed = self._records.put(
            replace(
                idle,
                phase="updating",
                changes=workers,
                began_at=now,
                last_update_at=facts.last_update_at,
                why=f"changes the limits of scaling to {low} and {high} workers",
            )
        )
        try:
            self._call(claimed, facts)
        except (RefusedError, NotBegunError):
            self._records.put(claimed.idle())
            raise
        self._accepted(claimed)
        return "begun"

    def advance(
        self,
        errors: Callable[[], Sequence[ImportProblem]],
        undo: Undo,
        verify_after: timedelta,
        quiet: timedelta = timedelta(),
        *,
        on_step: Callable[[UpdateStep], None],
    ) -> None:
        """Do what there is to do.

        Args:
            errors: asks for the environment's import errors.
            undo: gives up versions that did not work.
            verify_after: from the end of an update to the first look at the environment.
            quiet: no artifact may have come for so long: what is uploaded together goes together.
            on_step: is given each step as soon as it is done; an error after it loses nothing.

        Raises:
            StandingChangedError: another invocation was faster.
            TransientError: MWAA or Airflow cannot be asked now.
            ClientError, BotoCoreError: DynamoDB, S3 or SNS is in trouble.
        """
        rules, facts = UpdateRules(self._automatic, quiet), self._environment.facts()
        for _ in range(_MOST_STEPS):
            record = self._records.get()
            plan = decide(record, facts, self._all_standings(), rules, self._clock())
            turn = Turn(record, facts, errors, undo, verify_after, quiet, on_step)
            acts = Acts(turn, self._records, self._standings, self._clock, automatic=self._automatic)
            if plan.step == "begin":
                claimed = acts.claim(plan)
                if claimed is None or not self._begin(acts, claimed):
                    return
            elif not acts.do(plan):
                return

    def next(self, quiet: timedelta, facts: EnvironmentFacts) -> tuple[UpdateRecord, Plan]:
        """Return the record, and what is next; nothing is done."""
        record = self._records.get()
        return record, decide(record, facts, self._all_standings(), UpdateRules(self._automatic, quiet), self._clock())

    def _all_standings(self) -> dict[str, ArtifactState | None]:
        return {key: self._standings.get(key) for key in MEMBERS}

    def _begin(self, acts: Acts, record: UpdateRecord) -> bool:
        """Ask for the update that the record has; return whether something is next at once."""
        now = self._clock()
        try:
            self._call(record, acts.turn.facts)
        except RefusedError as exc:
            return acts.refused(record, str(exc), self._environment.facts())
        except NotBegunError as exc:
            try_at = now + _DENIED_AGAIN if exc.trouble == "permission-missing" else None
            acts.not_begun(record, exc.trouble, str(exc), try_at=try_at)
            raise
        acts.begun(self._accepted(record))
        return False

    def _accepted(self, record: UpdateRecord) -> UpdateRecord:
        """Keep which update is ours: what the environment shows right after it has taken the call."""
        accepted = replace(record.untroubled(), accepted_at=self._clock(), refused={}, refusals=0, refused_at=None)
        try:
            facts = self._environment.facts()
        except (EnvironmentUnavailableError, PermissionMissingError) as exc:
            logger.warning("it is not known yet which update Jetway made", extra={"because": str(exc)})
        else:
            if shows_ours(record, facts):
                accepted = replace(accepted, ours_at=facts.last_update_at, source=facts.last_update_source)
        return self._records.put(accepted)

    def _call(self, record: UpdateRecord, facts: EnvironmentFacts) -> None:
        strategy = self._worker_replacement
        try:
            self._mwaa.update_environment(Name=facts.name, WorkerReplacementStrategy=strategy, **record.changes)
        except (ClientError, BotoCoreError) as exc:
            code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else ""
            if isinstance(exc, ClientError) and code == "ValidationException" and not is_denied(exc):
                raise RefusedError(exc.response["Error"].get("Message", "ValidationException")) from exc
            error = unavailable(facts.name, "UpdateEnvironment", exc)
            if did_nothing(exc):
                trouble: Trouble = "throttled" if code in THROTTLED else "environment-unusable"
                if isinstance(error, PermissionMissingError):
                    trouble = "permission-missing"
                raise NotBegunError(str(error), trouble) from error
            raise error from exc  # the answer is lost: the environment will show whether it has begun
