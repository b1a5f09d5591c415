"""The gate: what was dropped is judged, then promoted or quarantined, and reported.

An arrival only says that a key has changed. What counts is what is there: the versions in the drop bucket, the object
in the environment's bucket, and the standing. Whoever has done something looks at all three again, and goes on until
they agree; so events may come twice, late, out of order or at once, and may be cut short anywhere (docs/promotion.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from jetway.artifacts import judging as reading
from jetway.artifacts.findings import Candidate, Judgement, Verdict, judgement
from jetway.artifacts.keys import placing_findings, quarantine_key, report_key
from jetway.artifacts.kinds import is_artifact, kind_of, reserved_places
from jetway.aws.s3 import ObjectVersion, find, head, read, versions_of
from jetway.aws.s3_stream import VersionGoneError, open_version
from jetway.errors import TransientError, UnknownEventError
from jetway.events.principals import NOBODY
from jetway.loading.local_settings import certain
from jetway.promotion.artifact_state import BY_HAND
from jetway.promotion.copy import Placement, carries, promote, quarantine, warnings_of
from jetway.promotion.manual_changes import is_by_hand, source_of
from jetway.promotion.reconciliation import SeenKey, compare, next_step, wanted
from jetway.promotion.reports import ToldOtherwiseError, report_on, write_report
from jetway.updates.record import MEMBERS
from jetway.verification.reinstatement import is_acquitted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import Environment, EnvironmentFacts
    from jetway.artifacts.kinds import Kind
    from jetway.events.principals import By
    from jetway.gate.recorder import PromotionRecorder
    from jetway.gate.s3_notification import Arrival
    from jetway.promotion.artifact_state import ArtifactState

_MOST_BY_HAND = 20  # versions that somebody has put on top of each other by hand
_MOST_ROUNDS = 20  # each settles one version; most of them were passed over

# Judges a file by reading it: its kind, itself, the environment, the size limit of DAG files.
ReadStep = Callable[["Kind", Candidate, "EnvironmentFacts", int], Judgement]
# Judges a requirements.txt by resolving it: its content, the environment, and what reading it says.
ResolveStep = Callable[[bytes, "EnvironmentFacts", Judgement], Judgement]
# Judges a file of one of these kinds by loading DAG files: its version, its content, the environment, what reading it
# says.
LOADED = frozenset({"dag-file", "packed-dags", "plugins", "local-settings", "dags-folder-file", "airflowignore"})
LoadStep = Callable[["ObjectVersion", bytes, "EnvironmentFacts", Judgement], Judgement]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What was done about one version of one key; the fields of its log line.

    Attributes:
        version: the version's id, or its etag; None when the object is gone.
        fresh: done now, and not by an earlier delivery of the same event.
        seconds: time that judging took.
    """

    key: str
    outcome: Literal["promoted", "quarantined", "superseded", "vanished", "rolled-back", "removed", "ignored"]
    version: str | None = None
    kind: str | None = None
    verdict: Verdict | None = None
    rules: tuple[str, ...] = ()
    dag_ids: tuple[str, ...] = ()
    report: str | None = None
    fresh: bool = False
    seconds: float = 0.0


def as_read(_version: ObjectVersion, _content: bytes, _facts: EnvironmentFacts, static: Judgement) -> Judgement:
    """Where no Airflow is deployed, what reading says stands."""
    return static


def hold_nothing(_key: str) -> None:
    """Where no Airflow is deployed, dag_ids are not claimed."""


class Gate:
    """Between the drop bucket and one environment's bucket."""

    def __init__(
        self,
        s3: S3Client,
        environment: Environment,
        drop_bucket: str,
        book: PromotionRecorder,
        *,
        max_dag_file_bytes: int,
        resolve: ResolveStep = lambda _content, _facts, static: static,
        load: LoadStep = as_read,
        reader: ReadStep = reading.read,
        release: Callable[[str], None] = hold_nothing,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.drop_bucket = drop_bucket
        self._s3 = s3
        self._environment = environment
        self._book = book
        self._words = book.words(drop_bucket)
        self._max_dag_file_bytes = max_dag_file_bytes
        self._resolve = resolve
        self._load = load
        self._read = reader
        self._release = release
        self._clock = clock
        self._now = now

    def settle(self, arrival: Arrival) -> list[GateResult]:
        """Deal with an object that was put in the drop bucket, or deleted from it.

        Returns:
            What was done: one entry, or more when newer versions came meanwhile, or older ones had been passed over.

        Raises:
            UnknownEventError: the object is in another bucket.
            TransientError: the environment cannot be asked, or the key changes faster than it can be judged.
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if arrival.bucket != self.drop_bucket:
            raise UnknownEventError(f"the object is in bucket {arrival.bucket!r}, not in {self.drop_bucket!r}.")
        key, version_id = arrival.key, arrival.version_id
        if not is_artifact(key) or arrival.expired:
            return [GateResult(key, "ignored", version_id)]
        facts = self._environment.facts()
        version = newest = head(self._s3, self.drop_bucket, key)
        if newest is None and self._is_nobodys(arrival):
            return [GateResult(key, "ignored", version_id)]
        if newest is not None and not arrival.deleted and version_id not in {None, newest.version_id}:
            version = head(self._s3, self.drop_bucket, key, version_id)
            if version is None:
                return [GateResult(key, "vanished", version_id)]
        done: list[GateResult] = []
        refused: set[str] = set()
        for _ in range(_MOST_ROUNDS):
            by = arrival.by if version is None or version.version_id == version_id else {}
            settled = self._remove(key, facts, by) if version is None else self._settle(version, facts, refused, by)
            done.append(settled)
            if version is None:
                dropped = None if arrival.deleted else version_id
                self._book.tell_deleted(self.drop_bucket, key, dropped, facts, self._now())
            if settled.outcome == "quarantined" and version is not None:
                refused.add(version.label)
            left = self._left(key, version, settled.outcome, facts, refused)
            if not left or (left == [None] and self._is_nobodys(arrival)):
                return done
            version = left[0]
        raise TransientError(f"{key!r} changes faster than it can be checked.")

    def _is_nobodys(self, arrival: Arrival) -> bool:
        """Whether a lifecycle rule may have deleted the file: nobody asked for that. A deletion has its own message."""
        return not arrival.deleted and self._book.may_have_expired(self.drop_bucket, arrival.key)

    def _left(
        self, key: str, settled: ObjectVersion | None, outcome: str, facts: EnvironmentFacts, refused: set[str]
    ) -> list[ObjectVersion | None]:
        """Look again: the version that is to be settled next, None for the deletion; nothing when all agree."""
        destination = _place_of(key, facts)
        if destination is None:
            return []
        newest = head(self._s3, self.drop_bucket, key)
        live = head(self._s3, facts.source_bucket, destination)
        standing = self._book.standing(key)
        if newest and settled and newest.label != settled.label:
            self._is_refused(newest.key, newest.label, refused)
        seen = SeenKey(
            newest=newest.label if newest else None,
            there=source_of(live),
            standing=standing,
            settled=settled.label if settled else None,
            outcome=outcome,
            refused=refused,
            by_update=key in MEMBERS,
        )
        if settled is not None:
            self._book.tell_again(self.drop_bucket, standing, settled.label, self._now())
        step = next_step(seen)
        if step.action == "take-out":
            return [None]
        if step.action == "overtake" and standing is not None:
            self._book.overtake(self.drop_bucket, standing, self._now())
        elif step.action == "roll-back" and standing is not None and live is not None:
            self._book.roll_back_again(standing, live, self._now())
            return self._left(key, settled, outcome, facts, refused)
        elif newest is not None and step.action in {"settle", "find"}:
            label = step.version or self._find(newest, seen, refused)
            if label is None and standing is not None and compare(standing, seen.there) == "gone":
                self._book.forget(self.drop_bucket, standing, facts, self._now())
            return self._next(newest, label, seen, live) if label else []
        return []

    def _next(
        self, newest: ObjectVersion, label: str, seen: SeenKey, live: ObjectVersion | None
    ) -> list[ObjectVersion | None]:
        """The version that is to be settled; what is live and gone from the drop bucket gives way to the newest."""
        found = newest if label == newest.label else find(self._s3, self.drop_bucket, newest.key, label)
        bad = {*seen.refused, *(seen.standing.rolled_back if seen.standing is not None else ())}
        if found is not None or newest.label not in {*bad, seen.settled}:
            return [found or newest]
        if live is not None and compare(seen.standing, seen.there) == "other":
            self._book.adopt(newest.key, live, self._now())
        return []

    def _find(self, newest: ObjectVersion, seen: SeenKey, refused: set[str]) -> str | None:
        """The version that is wanted where the newest is bad, or nothing is live."""
        label = self._wanted(newest, seen.standing, seen.there, refused)
        trial = seen.standing.trial if seen.standing is not None and seen.standing.live is None else None
        if trial is not None and trial.lifted_at is None and label != newest.label:
            return None  # the one that is on trial may come back: the older ones have their turn after that
        if label == seen.settled and seen.outcome != "promoted":
            return None  # it has had its turn just now
        if label is not None or seen.there in {None, BY_HAND} or _rolls_back(seen.standing) is not None:
            return label
        # One that was passed over went live, and the invocation that did it may have died before it told.
        return None if self._book.is_told(self.drop_bucket, newest.key, str(seen.there)) else seen.there

    def _wanted(
        self, newest: ObjectVersion, standing: ArtifactState | None, there: str | None, refused: set[str]
    ) -> str | None:
        """The newest version that is not known to be bad; None when what is live is to stay."""
        bad = standing.rolled_back if standing is not None else ()
        live = None if there in bad or there == BY_HAND else there
        goes = _rolls_back(standing)

        def dropped() -> Iterator[str]:
            yield newest.label
            for version in versions_of(self._s3, self.drop_bucket, newest.key):
                if version is None or version == goes:
                    return  # what is below a deletion was deleted; what comes back for a bad one, the verifier says
                if version in {newest.version_id, "null"}:
                    continue
                if (
                    version not in bad
                    and version not in refused
                    and self._book.was_refused(self.drop_bucket, newest.key, version)
                ):
                    refused.add(version)
                yield version

        return wanted(dropped(), bad, refused, live)

    def _is_refused(self, key: str, version: str, refused: set[str]) -> None:
        """Add a version to those that the gate has refused, if it has."""
        if version not in refused and self._book.was_refused(self.drop_bucket, key, version):
            refused.add(version)

    def _settle(
        self, version: ObjectVersion, facts: EnvironmentFacts, refused: set[str], by: By = NOBODY
    ) -> GateResult:
        """Judge one version, act and report.

        Args:
            by: who put it, as far as the message in hand tells.
        """
        standing = self._book.standing(version.key)
        rolled_back = standing is not None and version.label in standing.rolled_back
        if rolled_back and self._book.tell_again(self.drop_bucket, standing, version.label, self._now()):
            return GateResult(version.key, "rolled-back", version.label)
        judged_at, started = self._now(), self._clock()
        judged = self._judge(version, facts)
        if judged is None:
            return GateResult(version.key, "vanished", version.label)
        judged = self._as_it_went_live(version, judged, facts)
        seconds = self._clock() - started
        report = report_key(version.key, version.label)
        placement = self._place(version, judged, facts, report, refused)
        in_force = None
        by_version = version.key in MEMBERS  # so does MWAA take it: without one nothing brings it into force
        warnings = warnings_of(version, placement, by_version=by_version)
        judged = replace(judged, findings=(*judged.findings, *warnings))
        if placement.outcome == "promoted" and (placement.version_id is not None or not by_version):
            standing = self._book.note(version, judged, placement, report=report, at=self._now())
            in_force = self._book.in_force(standing, placement, facts, self.drop_bucket)
        written = report_on(
            version.key,
            judged,
            seconds,
            source=version,
            environment=facts,
            judged_at=judged_at,
            placement=placement,
            in_force=in_force,
            by=self._book.who(self.drop_bucket, version, by),
        )
        try:
            write_report(self._s3, written, version, acquitted=is_acquitted(standing, version.label))
        except ToldOtherwiseError:  # another delivery of the same event was faster, and more has happened since
            self._words.finish(version.key, version.label)
            return GateResult(version.key, placement.outcome, version.label)
        self._book.announce(written, report)
        return GateResult(
            key=version.key,
            outcome=placement.outcome,
            version=version.label,
            kind=judged.kind,
            verdict=judged.verdict,
            rules=tuple(sorted({finding.rule for finding in judged.findings})),
            dag_ids=tuple(dag.dag_id for dag in judged.dags if dag.dag_id is not None),
            report=report,
            fresh=placement.fresh,
            seconds=round(seconds, 6),
        )

    def _judge(self, version: ObjectVersion, facts: EnvironmentFacts) -> Judgement | None:
        """Judge by key and content; None when the version is gone."""
        kind = kind_of(version.key)
        place = kind.destination(version.key, facts)
        refused = placing_findings(version.key, version.size, place, reserved_places(facts))
        if refused:
            return judgement(kind.name, refused)
        limit, content = kind.max_bytes or self._max_dag_file_bytes, b""
        if kind.reads == "whole" and version.size <= limit:
            found = read(self._s3, version, limit)
            if found is None:
                return None
            content = found
        candidate = Candidate(version.key, version.size, content, lambda: open_version(self._s3, version))
        try:
            judged = self._read(kind, candidate, facts, self._max_dag_file_bytes)
        except VersionGoneError:
            return None
        if judged.kind in LOADED:
            return certain(self._load(version, content, facts, judged))
        return self._resolve(content, facts, judged) if judged.kind == "requirements" else judged

    def _as_it_went_live(self, version: ObjectVersion, judged: Judgement, facts: EnvironmentFacts) -> Judgement:
        """Return what is told of a version that is refused now and is live: another delivery has let it through.

        Only the verifier takes out what is live. So that what is found now is a warning; else the gate would refuse
        what is live again and again, and no round would be the last.
        """
        if judged.verdict != "rejected":
            return judged
        destination = _place_of(version.key, facts)
        live = head(self._s3, facts.source_bucket, destination) if destination is not None else None
        if live is None or not carries(live, version):
            return judged
        warnings = [replace(finding, severity="warning") for finding in judged.findings]
        return judgement(judged.kind, warnings, judged.dags, uncertain=True)

    def _place(
        self, version: ObjectVersion, judged: Judgement, facts: EnvironmentFacts, report: str, refused: set[str]
    ) -> Placement:
        destination = _place_of(version.key, facts)
        if judged.verdict == "rejected" or destination is None:
            return quarantine(self._s3, version, quarantine_key(version.key, version.label), report=report)
        standing = self._book.standing(version.key)
        if standing is not None and version.label in standing.rolled_back:
            return Placement("rolled-back")  # while it was judged
        there = head(self._s3, facts.source_bucket, destination)
        if there is not None and is_by_hand(there) and self._was_live(version, there):
            return Placement("superseded")  # by what somebody has put there by hand since it went live

        def one_wanted() -> str | None:
            newest = head(self._s3, self.drop_bucket, version.key)
            live = source_of(head(self._s3, facts.source_bucket, destination))
            if newest is not None and newest.label != version.label:
                self._is_refused(newest.key, newest.label, refused)
            return None if newest is None else self._wanted(newest, standing, live, refused)

        return promote(self._s3, version, facts.source_bucket, destination, report=report, wanted=one_wanted)

    def _was_live(self, version: ObjectVersion, there: ObjectVersion) -> bool:
        """Whether a version is right below what was put on top of it by hand."""
        for found in versions_of(self._s3, there.bucket, there.key)[:_MOST_BY_HAND]:
            below = head(self._s3, there.bucket, there.key, found) if found else None
            if source_of(below) != BY_HAND:
                return source_of(below) == version.label
        return False

    def _remove(self, key: str, facts: EnvironmentFacts, by: By = NOBODY) -> GateResult:
        """Take out what a deleted object had promoted.

        Args:
            by: who deleted it, as far as the message in hand tells.
        """
        destination = _place_of(key, facts)
        if destination is None:
            return GateResult(key, "vanished")
        self._release(key)
        gone = self._book.remove(self.drop_bucket, key, facts, destination, self._now(), by)
        if gone is None:
            return GateResult(key, "vanished")
        return GateResult(key, "removed", gone.source, kind_of(key).name, dag_ids=gone.dags, fresh=True)


def _place_of(key: str, facts: EnvironmentFacts) -> str | None:
    """Where an artifact is in the environment's bucket; None when it has no place there, or it is another one's."""
    place = kind_of(key).destination(key, facts)
    return None if place is None or reserved_places(facts).get(place, key) != key else place


def _rolls_back(standing: ArtifactState | None) -> str | None:
    """The version that is being rolled back; None when none is."""
    live = standing.live if standing is not None and standing.stage == "rolling-back" else None
    return live.source if live is not None else None
