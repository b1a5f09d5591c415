"""Updates of the environment: artifacts and the bounds of scaling go as one, and one at a time.

UpdateEnvironment takes 10 to 30 minutes and refuses a second one meanwhile. So whatever wants one is held until the
environment is AVAILABLE (or UPDATE_FAILED, which is as usable: MWAA has gone back), and what has come by then goes
together. An update is written down before it is asked for; the environment's LastUpdate tells whether it began. So a
crash between the two neither loses nor repeats it, and a version that failed is never tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow.environment import unavailable
from jetway.live.in_force import LONGEST_UPDATE, InForce, say
from jetway.live.sameness import same_content
from jetway.live.standing import Live, Problem, Standing, verified
from jetway.live.update_record import MEMBERS, UpdateRecord, facts_show, in_force, members
from jetway.live.update_steps import Step, Turn
from jetway.live.verdicts import digests
from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import Environment, EnvironmentFacts
    from jetway.live.table import StandingTable
    from jetway.live.undo import Undo
    from jetway.live.update_record import UpdateTable, WorkerReplacement

# A call that was written down and has not shown for so long was not made: its function has died.
CALL_AGAIN_AFTER = timedelta(seconds=90)
# Bounds that could not go along by then are decided anew.
_WORKERS_WAIT = timedelta(minutes=15)

# With ApplyUpdates manual, how old the import errors may be that an update is compared with.
_LOOK_BEFORE = timedelta(minutes=10)
_ANOTHER_UPDATE = "Another update of the environment has begun; the update that brings it begins after that one."
# So many times the quiet period the first of several artifacts waits at most.
_LONGEST_QUIET = 10

Scaled = Literal["begun", "goes-along", "held"]


class RefusedError(Exception):
    """MWAA does not take the update; the text has its words."""


class Updates:
    """Begins and follows the updates of one environment."""

    def __init__(
        self,
        mwaa: MWAAClient,
        environment: Environment,
        records: UpdateTable,
        standings: StandingTable,
        *,
        automatic: bool,
        worker_replacement: WorkerReplacement,
        clock: Callable[[], datetime],
    ) -> None:
        """Take the parts.

        Args:
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
            "held": an update is on its way, or the artifacts of the last one are being verified.

        Raises:
            RefusedError: MWAA does not want these numbers, or an update of somebody else has begun.
            StandingChangedError: another update has just begun.
            EnvironmentUnavailableError: MWAA is in trouble.
        """
        record, now = self._records.get(), self._clock()
        if record.phase == "updating" and not record.artifacts and facts.last_update_at != record.last_update_at:
            record = record.idle()  # bounds alone: there is nothing to be done after them
        if record.phase != "idle" or not facts.usable:
            return "held"
        workers = {"MinWorkers": low, "MaxWorkers": high}
        if self._automatic and self._waiting():
            self._records.put(replace(record, workers=workers, workers_at=now))
            return "goes-along"
        claimed = self._claim(record, facts, {}, workers)
        try:
            self._call(claimed, facts)
        except RefusedError:
            self._records.put(claimed.idle())
            raise
        return "begun"

    def advance(
        self,
        errors: Callable[[], Sequence[ImportProblem]],
        undo: Undo,
        verify_after: timedelta,
        quiet: timedelta = timedelta(),
        *,
        on_step: Callable[[Step], None],
    ) -> None:
        """Do the next thing that there is to do.

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
        record, facts = self._records.get(), self._environment.facts()
        turn = Turn(record, facts, errors, undo, verify_after, quiet, on_step)
        if record.phase == "idle":
            self._begin(turn)
        elif record.phase in {"updating", "undoing"}:
            self._follow(turn)
        elif record.phase == "undo":
            self._undo(turn)

    def _waiting(self) -> dict[str, Live]:
        """Artifacts that are promoted and not in force."""
        found = {key: self._standings.get(key) for key in MEMBERS}
        return {
            key: standing.live
            for key, standing in found.items()
            if standing is not None and standing.stage == "waiting" and standing.live and standing.live.version_id
        }

    def _begin(self, turn: Turn) -> None:
        """Bring into force what waits: it was applied by hand, or it is held, or an update begins."""
        record, facts, now = turn.record, turn.facts, self._clock()
        waiting = self._waiting()
        workers = record.workers if record.workers_at and now - record.workers_at < _WORKERS_WAIT else None
        there = {key: live for key, live in waiting.items() if in_force(facts, key) == (live.key, live.version_id)}
        wanted = {key: live for key, live in waiting.items() if key not in there} if self._automatic else {}
        if waiting and not there and not self._automatic:
            self._look_before(turn)
        if not (there or wanted or workers):
            return
        if not facts.usable:
            turn.hold(there or wanted)
        elif there:
            self._adopt(turn, there)
        elif wanted and _more_may_come([live.at for live in wanted.values()], turn.quiet, now):
            turn.tell("held", wanted, "what is uploaded together goes together")
        else:
            self._update(turn, wanted, workers or {})

    def _adopt(self, turn: Turn, there: Mapping[str, Live]) -> None:
        """Have what was applied by hand verified all the same."""
        now, record = self._clock(), turn.record
        # In force before was the good one, else the one below ours.
        before = {key: _good(self._standings.get(key)) or (live.key, "") for key, live in there.items()}
        known = record.baseline if record.due_at else self._standings.known_errors()
        self._records.put(
            replace(
                record.idle(ended_at=now),
                phase="verifying",
                artifacts=there,
                before=before,
                baseline=known,
                began_at=turn.facts.last_update_at,
                due_at=now + turn.verify_after,
            )
        )
        self._stage(there, "verifying")
        self._say(turn.undo, there, InForce("verifying", now, now + turn.verify_after))
        turn.tell("adopted", there)

    def _update(self, turn: Turn, wanted: Mapping[str, Live], workers: Mapping[str, int]) -> None:
        """Begin an update with what would change by it, if anything would."""
        unchanged = self._unchanged(wanted, turn.facts, turn.undo)
        if unchanged:
            turn.tell("unchanged", unchanged)
        changed = {key: live for key, live in wanted.items() if key not in unchanged}
        if changed or workers:
            baseline = digests(turn.errors()) if changed else {}
            self._send(turn, self._claim(turn.record, turn.facts, changed, workers, baseline))

    def _look_before(self, turn: Turn) -> None:
        """Remember the import errors there are: nobody tells when somebody is about to apply what waits."""
        now, record = self._clock(), turn.record
        if turn.facts.usable and (record.due_at is None or record.due_at <= now):
            self._records.put(replace(record, baseline=digests(turn.errors()), due_at=now + _LOOK_BEFORE))

    def _unchanged(self, wanted: Mapping[str, Live], facts: EnvironmentFacts, undo: Undo) -> dict[str, Live]:
        """Settle what has the content of the verified version that is in force: an update would change nothing."""
        unchanged = {}
        for key, live in wanted.items():
            there = _good(self._standings.get(key))
            if there is None or there != in_force(facts, key) or live.version_id is None:
                continue
            place = (live.key, live.version_id)
            if same_content(undo.s3, facts.source_bucket, place, there, zipped=key == "plugins.zip"):
                step = InForce("verified", self._clock(), None, "It has the content of the version that is in force.")
                self._say(undo, {key: live}, step)
                self._standings.change(key, _is_in_force(live, there))
                unchanged[key] = live
        return unchanged

    def _say(self, undo: Undo, artifacts: Mapping[str, Live], step: InForce) -> None:
        """Write a step into the reports; words hold up no update, and the next step writes them again."""
        for key, live in artifacts.items():
            try:
                say(undo.s3, undo.drop_bucket, key, live, step)
            except (ClientError, BotoCoreError) as exc:
                logger.warning("a report does not say how far its update is", extra={"key": key, "because": str(exc)})

    def _claim(
        self,
        record: UpdateRecord,
        facts: EnvironmentFacts,
        artifacts: Mapping[str, Live],
        workers: Mapping[str, int],
        baseline: Mapping[str, str] | None = None,
    ) -> UpdateRecord:
        """Write down what is about to begin; whoever comes second fails here."""
        changes: dict[str, Any] = dict(workers)
        for key, live in artifacts.items():
            changes |= members(key, live.key, live.version_id or "")
        claimed = self._records.put(
            UpdateRecord(
                phase="updating",
                artifacts=artifacts,
                changes=changes,
                before={key: in_force(facts, key) for key in artifacts},
                baseline=baseline or {},
                began_at=self._clock(),
                last_update_at=facts.last_update_at,
                revision=record.revision,
            )
        )
        self._stage(artifacts, "updating")
        return claimed

    def _send(self, turn: Turn, record: UpdateRecord) -> None:
        """Ask for the update that the record has."""
        try:
            self._call(record, turn.facts)
        except RefusedError as exc:
            if self._environment.facts().usable:
                self._refused(turn, record, str(exc))
            else:  # an update of somebody else has begun: ours begins after it
                self._records.put(record.idle())
                self._stage(record.artifacts, "waiting")
                self._say(turn.undo, record.artifacts, InForce("waiting", self._clock(), None, _ANOTHER_UPDATE))
                turn.tell("held", record.artifacts, str(exc))
            return
        if record.phase == "updating":
            began = record.began_at or self._clock()
            self._say(turn.undo, record.artifacts, InForce("updating", began, began + LONGEST_UPDATE))
        turn.tell("begun", record.artifacts, changes=record.changes)

    def _refused(self, turn: Turn, record: UpdateRecord, because: str) -> None:
        if record.artifacts and "MinWorkers" in record.changes:
            # The numbers may be what MWAA does not want: the artifacts go alone next time.
            self._records.put(record.idle())
            self._stage(record.artifacts, "waiting")
            turn.tell("held", record.artifacts, because)
            return
        turn.undo.give_up(record, [Problem("environment", f"MWAA refused the update: {because}")], gone_back=True)
        self._records.put(record.idle())
        turn.tell("failed", record.artifacts, because)

    def _follow(self, turn: Turn) -> None:
        """See what became of an update that was asked for."""
        record, facts, undo, now = turn.record, turn.facts, turn.undo, self._clock()
        if not facts.usable:
            turn.hold(record.artifacts, "in-progress")
            return
        if facts.last_update_at == record.last_update_at:
            if record.began_at is None or now - record.began_at >= CALL_AGAIN_AFTER:
                self._send(turn, self._records.put(replace(record, began_at=now)))
            return
        applied = all(facts_show(facts, name, value) for name, value in record.changes.items())
        if record.phase == "undoing":
            because = "" if applied else f"the way back failed too: {facts.last_update_error or facts.status}"
            undo.gone_back(record, because)
            self._records.put(record.idle(ended_at=now))
            turn.tell("undone" if applied else "undo-failed", record.artifacts, because)
        elif not applied:
            words = facts.last_update_error or "the environment went back to its previous settings."
            undo.give_up(record, [Problem("environment", f"The update failed: {words}")], gone_back=True)
            self._records.put(record.idle(ended_at=now))
            turn.tell("failed", record.artifacts, words)
        elif not record.artifacts:
            self._records.put(record.idle(ended_at=now))
            turn.tell("applied", {})
        else:
            due_at = now + turn.verify_after
            self._records.put(replace(record, phase="verifying", ended_at=now, due_at=due_at))
            self._stage(record.artifacts, "verifying")
            self._say(undo, record.artifacts, InForce("verifying", now, due_at))
            turn.tell("applied", record.artifacts)

    def _undo(self, turn: Turn) -> None:
        """Go back to what was in force before."""
        record, facts = turn.record, turn.facts
        if not facts.usable:
            turn.hold(record.artifacts)
            return
        before = turn.undo.give_up(record, record.problems)
        changes: dict[str, Any] = {}
        for key, (path, version) in before.items():
            live = record.artifacts[key]
            if in_force(facts, key) == (live.key, live.version_id):  # else somebody has changed it by hand meanwhile
                changes |= members(key, path, version)
        if not self._automatic or not changes:
            self._records.put(record.idle())
            because = "somebody has changed the environment meanwhile."
            if not self._automatic:
                because = "ApplyUpdates is manual: the message says which command goes back."
            turn.tell("undone", record.artifacts, because)
            return
        began, before_it = self._clock(), facts.last_update_at
        undoing = replace(record, phase="undoing", changes=changes, began_at=began, last_update_at=before_it)
        self._send(turn, self._records.put(undoing))

    def _stage(self, artifacts: Mapping[str, Live], stage: Literal["waiting", "updating", "verifying"]) -> None:
        def changed(key: str, live: Live) -> Callable[[Standing | None], Standing]:
            def change(standing: Standing | None) -> Standing:
                if standing is None or standing.live is None or standing.live.source != live.source:
                    return standing or Standing(key, "removed")  # a newer version waits already
                return replace(standing, stage=stage, due_at=None)

            return change

        for key, live in artifacts.items():
            self._standings.change(key, changed(key, live))

    def _call(self, record: UpdateRecord, facts: EnvironmentFacts) -> None:
        strategy = self._worker_replacement
        try:
            self._mwaa.update_environment(Name=facts.name, WorkerReplacementStrategy=strategy, **record.changes)
        except (ClientError, BotoCoreError) as exc:
            if isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ValidationException":
                raise RefusedError(exc.response["Error"].get("Message", "ValidationException")) from exc
            raise unavailable(facts.name, "UpdateEnvironment", exc) from exc


def _more_may_come(came_at: Sequence[datetime], quiet: timedelta, now: datetime) -> bool:
    """Whether the last one has come just now; but the first one does not wait for ever."""
    return now - max(came_at) < quiet and now - min(came_at) < _LONGEST_QUIET * quiet


def _is_in_force(live: Live, there: tuple[str, str]) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or Standing(live.key, "removed")  # a newer version waits already
        return verified(replace(standing, live=replace(live, key=there[0], version_id=there[1])), ())

    return change


def _good(standing: Standing | None) -> tuple[str, str] | None:
    good = standing.good if standing is not None else None
    return (good.key, good.version_id) if good is not None and good.version_id else None
