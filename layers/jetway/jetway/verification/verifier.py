"""Looks at the environment for what was promoted, and rolls back what does not work there.

Nothing is blamed, called good or closed before a look at the bucket: where it does not hold what the standing names,
the gate is asked to settle the key anew. Each step can be done again: a roll-back is written down before S3 is touched,
every write to S3 is conditional on what was seen there, and the standing is closed last. Killed anywhere, the next look
goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.airflow.environment import not_available
from jetway.airflow.import_errors import FoundErrors
from jetway.artifacts.kinds import DAGS
from jetway.aws.s3 import head
from jetway.diagnosis.attribution import (
    PAUSE,
    Attribution,
    Outlook,
    certain,
    decide,
    digests,
    file_of,
    new_errors,
    problem,
    relative_path,
    unsure,
)
from jetway.diagnosis.intermittent import owner_of, remembered
from jetway.diagnosis.missing_files import awaited
from jetway.errors import JetwayError
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import (
    LONGEST_WORK,
    OPEN,
    ArtifactState,
    Defect,
    never_appeared,
    rolled_back,
    to_roll_back,
    verified,
)
from jetway.promotion.manual_changes import overtake, source_of
from jetway.promotion.reconciliation import compare
from jetway.promotion.restore import Restored, as_judged, report_rollback, restore
from jetway.promotion.rollout import Rollout
from jetway.promotion.state_table import StandingChangedError
from jetway.updates.record import place_of
from jetway.verification import no_answer, reinstatement
from jetway.verification.no_answer import suspects
from jetway.verification.outcome_records import OutcomeRecords
from jetway.verification.update_verifier import Witness

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow import AirflowLists, Dag, ImportProblem
    from jetway.airflow.environment import Environment, EnvironmentFacts
    from jetway.promotion.artifact_state import LiveVersion
    from jetway.promotion.notifications import Notification
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.outlook import UpdateOutlook
    from jetway.verification.update_verifier import UpdateVerifier

MOST_AT_ONCE = 1000
_ALL_DAGS = 100_000
_SECONDS_FOR_ONE = 10.0


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one version; the fields of its log line."""

    key: str
    version: str
    outcome: str  # good, rolled-back, superseded, never-appeared
    problems: tuple[Defect, ...] = ()
    restored: str | None = None


class Verifier:
    """Looks after the files of one environment's dags folder, and what its updates have brought."""

    def __init__(
        self,
        table: ArtifactStateTable,
        updates: UpdateVerifier,
        s3: S3Client,
        airflow: AirflowLists,
        environment: Environment,
        *,
        drop_bucket: str,
        tell: Callable[[Notification], None],
        verify_after: timedelta,
        clock: Callable[[], datetime],
        seconds_left: Callable[[], float],
        ask_gate: Callable[[str, str | None], None] = lambda _key, _version: None,
        import_errors: Callable[[], FoundErrors] | None = None,
    ) -> None:
        """Take the parts.

        Args:
            ask_gate: has the gate settle a key anew, soon; with a version id, that version too.
            import_errors: reads them; those that `airflow` has, when not given.
        """
        self._table = table
        self._updates = updates
        self._s3 = s3
        self._airflow = airflow
        self._environment = environment
        self._drop_bucket = drop_bucket
        self._tell = tell
        self._words = OutcomeRecords(s3, tell, environment.name, drop_bucket)
        self._verify_after = verify_after
        self._clock = clock
        self._seconds_left = seconds_left
        self._ask_gate = ask_gate
        self._import_errors = import_errors or (lambda: FoundErrors(airflow.list_import_errors()))

    def look(self, *, on_verified: Callable[[Verified], None]) -> None:
        """Deal with what is due, unknown verdicts first; one question to Airflow serves all of it.

        Args:
            on_verified: is given each version as soon as it is settled; an error after it loses nothing.

        Raises:
            TransientError: Airflow cannot be asked now; everything else stays due.
            ClientError, BotoCoreError: S3, DynamoDB or SNS is in trouble.
        """
        now = self._clock()
        standings = [found for found in self._table.list_open(MOST_AT_ONCE) if found.key.startswith(DAGS)]
        due = sorted((found for found in standings if found.due_at and found.due_at <= now), key=_order)
        self._finish_all(standings, due, now, on_verified)
        verifying = [found for found in due if found.stage == "verifying" and found.live]
        on_trial = [found for found in due if _has_trial(found) and found.stage != "rolling-back"]
        record = self._updates.records.get()
        update_is_due = self._updates.is_due(record, now)
        if not update_is_due and (record.phase != "idle" or not (verifying or on_trial)):
            return  # what a file needs may come with the update: it is judged after that
        facts = self._environment.facts()
        if not facts.may_serve:
            raise not_available(facts)
        if update_is_due and not facts.usable:
            return  # somebody else's update follows ours: what is seen may be of either
        files = {
            file_of(found.live, facts): found.live
            for found in standings
            if found.live is not None and found.stage in OPEN
        }
        try:
            found = self._import_errors()
        except JetwayError as exc:
            self._undo_in_silence(standings, exc, now, on_verified)
            raise
        errors = found.errors
        if update_is_due:
            witness = Witness(self._s3, self._drop_bucket)
            proofs = errors if found.judges else ()
            outcome, problems, settled = self._updates.look(record, proofs, files, facts, now, witness=witness)
            if outcome == "good" and not found.judges:
                self._tell_unsure(settled, new_errors(errors, record.baseline), now)
            for key, live in settled.items():
                on_verified(Verified(key, live.source, outcome, problems))
            if outcome == "rolled-back":
                return  # the files are judged when what was before is back
        updates = self._updates.outlook(facts, now)
        look = Outlook(errors, self._table.known_errors(), None, files, updates.restarted_at, judges=found.judges)
        sure = found.judges and facts.usable  # that it is what the schedulers have, and of what is in force
        trials = reinstatement.Trials(self._s3, self._table, self._ask_gate)
        trials.end(on_trial, errors if sure else None, facts, now)
        suspected: set[str] = set()
        for standing in verifying:
            if not self._in_time():
                return
            decision = self._decide(standing, look, updates, facts, now)
            suspected |= {problem.where for problem in decision.problems if decision.action == "wait"}
            if decision.due_at == now and look.dags is None:
                look = self._with_dags(look)
            self._deal_with(standing, look, updates, facts, now, on_verified=on_verified)
        # What may be a waiting version's fault must still be new at the next look.
        known = {file: digest for file, digest in digests(errors).items() if file not in suspected}
        kept = {file: look.known[file] for file in suspected & look.known.keys()}
        others = [error for error in errors if relative_path(error.path) not in suspected]
        self._table.remember_errors(kept | known | remembered(look.known, others, now))

    def _undo_in_silence(
        self,
        standings: Sequence[ArtifactState],
        exc: JetwayError,
        now: datetime,
        on_verified: Callable[[Verified], None],
    ) -> None:
        """Roll back what may be why Airflow does not answer: nobody else will tell."""
        for standing in suspects(standings, exc, now):
            with suppress(StandingChangedError):
                if self._bucket_agrees(standing, now):
                    self._table.put(to_roll_back(standing, (no_answer.problem(standing, exc),), now))
                    self._finish(standing.key, now, on_verified)

    def _finish_all(
        self,
        standings: Sequence[ArtifactState],
        due: Sequence[ArtifactState],
        now: datetime,
        on_verified: Callable[[Verified], None],
    ) -> None:
        """Do what Airflow need not be asked for."""
        for standing in standings:
            if standing.untold and self._in_time():
                self._tell_untold(standing.key, now)
        # What is written down as rolled back is finished whatever the environment says.
        for standing in due:
            if standing.stage == "rolling-back" and self._in_time():
                self._finish(standing.key, now, on_verified)
            elif standing.stage not in OPEN and not _has_trial(standing) and self._in_time():
                self._look_last(standing.key, now)

    @staticmethod
    def _decide(
        standing: ArtifactState, look: Outlook, updates: UpdateOutlook, facts: EnvironmentFacts, now: datetime
    ) -> Attribution:
        decision = updates.judged(decide(standing, look, facts, now, innocent=reinstatement.innocent_of(standing)), now)
        return certain(decision, judges=look.judges, usable=facts.usable, now=now)

    def _tell_unsure(self, settled: Mapping[str, LiveVersion], errors: Sequence[ImportProblem], now: datetime) -> None:
        """Tell of errors that may be an update's fault, and prove nothing."""
        problems = tuple(unsure(problem(error)) for error in errors)
        for key in settled if problems else ():
            standing = self._table.get(key)
            if standing is not None and standing.live is not None:
                self._tell(news.never_appeared(self._environment.name, self._drop_bucket, standing, problems, now))

    def _deal_with(
        self,
        listed: ArtifactState,
        look: Outlook,
        updates: UpdateOutlook,
        facts: EnvironmentFacts,
        now: datetime,
        *,
        on_verified: Callable[[Verified], None],
    ) -> None:
        """Act on what was seen, if it was seen of what is live.

        Args:
            listed: as it stood before Airflow was asked.
        """
        key = listed.key
        standing = self._table.get(key)
        if standing is None or standing.stage != "verifying" or standing.live is None:
            return  # another invocation was faster
        if listed.live is None or place_of(standing.live) != place_of(listed.live):
            return  # a newer version came since Airflow was asked
        try:
            if not self._bucket_agrees(standing, now):
                return
            decision = self._decide(standing, look, updates, facts, now)
            if decision.action == "keep" and look.dags is not None:
                file = file_of(standing.live, facts)
                seen = [dag_id for dag_id, path in look.dags.items() if path == file]
                # First: whoever dies in between is followed by a look that does it again.
                if not self._words.live(key, standing.live, Rollout("verified", now)):
                    self._ask_gate(key, standing.live.drop_version_id)  # who judged it has died before the report
                good = verified(standing, seen, now)
                if good.due_at is None:
                    self._words.agree(good, now)  # no last look will come
                self._table.put(good)
                on_verified(Verified(key, standing.live.source, "good"))
            elif decision.action in {"roll-back", "tell"} and awaited(self._s3, self._drop_bucket, decision.problems):
                self._wait(standing, Attribution("wait", now + PAUSE), now)
            elif decision.action == "tell":
                self._tell_never_appeared(standing, decision.problems, now, on_verified)
            elif decision.action == "roll-back":
                self._table.put(to_roll_back(standing, decision.problems, now))
                self._finish(key, now, on_verified)
            else:
                self._wait(standing, decision, now)
        except StandingChangedError:
            return  # a newer version came while we looked

    def _bucket_agrees(self, standing: ArtifactState, now: datetime) -> bool:
        """Look whether the bucket holds what the standing names; if not, see to it that it is put right."""
        if standing.live is None:
            return True
        there = source_of(head(self._s3, standing.live.bucket, standing.live.key))
        agreement = compare(standing, there)
        if agreement == "agree":
            return True
        if agreement == "by-hand":
            overtake(
                self._s3,
                self._table,
                self._tell,
                standing,
                now,
                environment=self._environment.name,
                drop_bucket=self._drop_bucket,
            )
            return False
        self._ask_gate(standing.key, None)
        self._table.put(replace(standing, due_at=now + PAUSE))
        return False

    def _look_last(self, key: str, now: datetime) -> None:
        """Put a closed standing away: whoever began before the last change is not at work any more."""
        standing = self._table.get(key)
        if standing is None or standing.stage in OPEN or standing.due_at is None or standing.due_at > now:
            return
        with suppress(StandingChangedError):
            if not self._bucket_agrees(standing, now):
                return
            # A kill may have kept it from being said, or somebody slower has said otherwise.
            live = standing.live
            if live and not self._words.live(key, live, Rollout("verified", live.at)):
                self._ask_gate(key, live.drop_version_id)  # its function was killed before it wrote the report
                self._table.put(replace(standing, due_at=now + PAUSE))
                return
            self._words.agree(standing, now)
            if standing.live is None and standing.stage != "by-hand":
                self._ask_gate(key, None)  # what was passed over may have its turn, and nothing may be there unknown
            self._table.put(replace(standing, due_at=None))

    def _wait(self, standing: ArtifactState, decision: Attribution, now: datetime) -> None:
        due_at = decision.due_at or now
        live = standing.live
        if live is not None and decision.sight is not None:
            live = replace(live, sight=decision.sight)
        if due_at > now:
            self._table.put(replace(standing, due_at=due_at, live=live))

    def _tell_never_appeared(
        self,
        standing: ArtifactState,
        problems: tuple[Defect, ...],
        now: datetime,
        on_verified: Callable[[Verified], None],
    ) -> None:
        if standing.live is None:
            return
        self._words.live(standing.key, standing.live, Rollout("never-appeared", now, None, problems[0].message))
        self._tell(news.never_appeared(self._environment.name, self._drop_bucket, standing, problems, now))
        self._words.agree(standing, now)  # no last look will come
        self._table.put(never_appeared(standing))
        on_verified(Verified(standing.key, standing.live.source, "never-appeared", problems))

    def _finish(self, key: str, now: datetime, on_verified: Callable[[Verified], None]) -> None:
        """Carry out a roll-back that is written down, from wherever it stopped."""
        standing = self._table.get(key)
        if standing is None or standing.stage != "rolling-back" or standing.live is None:
            return
        bad = standing.live
        restored = restore(self._s3, bad, standing.good, standing.rolled_back, now)
        if restored.live is not None and (standing.good is None or restored.live.source != standing.good.source):
            restored = replace(restored, live=as_judged(self._s3, self._drop_bucket, key, restored.live))
        report_rollback(self._s3, self._drop_bucket, standing, bad, restored.live, at=now)
        self._tell(news.rolled_back(self._environment.name, self._drop_bucket, standing, restored, now))
        if restored.live is None:
            self._ask_gate(key, None)  # something newer may be there, or older versions that were passed over
        last_look = now + LONGEST_WORK
        after = rolled_back(standing, restored.live, due_at=now + self._verify_after, last_look=last_look)
        after = reinstatement.tried(standing, after, now)
        try:
            self._table.put(after)
        except StandingChangedError:
            # A newer version came meanwhile, and may have been taken out with this one: the gate looks.
            self._ask_gate(key, None)
        else:
            if restored.live is not None:
                self._words.back(standing, restored.live, now, self._verify_after)
        back = restored.live.source if restored.live else None
        on_verified(Verified(key, bad.source, "rolled-back", standing.problems, back))

    def _tell_untold(self, key: str, now: datetime) -> None:
        """Tell of roll-backs that something newer has cut short."""
        standing = self._table.get(key)
        if standing is None or not standing.untold:
            return
        after = replace(standing, untold=())
        for each in standing.untold:
            told = replace(standing, stage="rolling-back", live=each.live, problems=each.problems)
            report_rollback(self._s3, self._drop_bucket, told, each.live, None, at=now)
            restored = Restored("superseded")
            self._tell(news.rolled_back(self._environment.name, self._drop_bucket, told, restored, now))
            if standing.trial is None and standing.stage in {*OPEN, "rolled-back"}:  # it may have its trial yet
                after = reinstatement.tried(told, after, each.live.at if standing.live is not None else now)
        with suppress(StandingChangedError):
            self._table.put(after)

    def _with_dags(self, look: Outlook) -> Outlook:
        """Ask for the DAGs, page by page: Airflow gives a hundred at once."""
        found: list[Dag] = []
        while True:
            page, total = self._airflow.list_dags(limit=_ALL_DAGS, offset=len(found))
            found += page
            if not page or len(found) >= total:
                break
        return replace(
            look,
            dags={dag.dag_id: owner_of(relative_path(dag.fileloc or "")) for dag in found},
            parsed={dag.dag_id: dag.last_parsed_time for dag in found if dag.last_parsed_time},
        )

    def _in_time(self) -> bool:
        return self._seconds_left() > _SECONDS_FOR_ONE


def _has_trial(standing: ArtifactState) -> bool:
    return standing.trial is not None and not standing.trial_is_put_off


def _order(standing: ArtifactState) -> tuple[bool, datetime | None]:
    """What the gate could not tell comes first."""
    return standing.live is None or standing.live.verdict != "unknown", standing.due_at
