"""The gate: what was dropped is judged, then promoted or quarantined, and reported.

An arrival only says that a key has changed. What counts is the key's newest version: whoever finds that
what is live is older than that settles the newest as well, so events may come twice, late or out of order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from jetway.artifacts.findings import Candidate, Judgement, Verdict, judgement
from jetway.artifacts.keys import placing_findings, quarantine_key, report_key
from jetway.artifacts.kinds import is_artifact, kind_of
from jetway.errors import TransientError, UnknownEventError
from jetway.object_stream import VersionGoneError, open_version
from jetway.objects import ObjectVersion, head, read
from jetway.promotion import Placement, carries, promote, quarantine
from jetway.reports import report_on, write_report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import Environment, EnvironmentFacts
    from jetway.arrivals import Arrival
    from jetway.live.book import LiveBook

_MOST_ROUNDS = 5

# Judges a requirements.txt by resolving it: its content, the environment, and what reading it says.
Resolve = Callable[[bytes, "EnvironmentFacts", Judgement], Judgement]
# Judges a DAG file by loading it: its version, its content, the environment, and what reading it says.
Load = Callable[["ObjectVersion", bytes, "EnvironmentFacts", Judgement], Judgement]


@dataclass(frozen=True, slots=True)
class Settled:
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
        book: LiveBook,
        *,
        max_dag_file_bytes: int,
        resolve: Resolve = lambda _content, _facts, static: static,
        load: Load = as_read,
        release: Callable[[str], None] = hold_nothing,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.drop_bucket = drop_bucket
        self._s3 = s3
        self._environment = environment
        self._book = book
        self._max_dag_file_bytes = max_dag_file_bytes
        self._resolve = resolve
        self._load = load
        self._release = release
        self._clock = clock
        self._now = now

    def settle(self, arrival: Arrival) -> list[Settled]:
        """Deal with an object that was put in the drop bucket, or deleted from it.

        Returns:
            What was done: one entry, or more when newer versions came meanwhile.

        Raises:
            UnknownEventError: the object is in another bucket.
            TransientError: the environment cannot be asked, or the key changes faster than it can be judged.
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if arrival.bucket != self.drop_bucket:
            raise UnknownEventError(f"the object is in bucket {arrival.bucket!r}, not in {self.drop_bucket!r}.")
        key, version_id = arrival.key, arrival.version_id
        if not is_artifact(key) or arrival.expired:
            return [Settled(key, "ignored", version_id)]
        facts = self._environment.facts()
        newest = head(self._s3, self.drop_bucket, key)
        if newest is None:
            return [self._remove(key, facts)]
        version: ObjectVersion | None = newest
        if not arrival.deleted and version_id not in {None, newest.version_id}:
            version = head(self._s3, self.drop_bucket, key, version_id)
        if version is None:
            return [Settled(key, "vanished", version_id)]
        done: list[Settled] = []
        for _ in range(_MOST_ROUNDS):
            settled, newest = self._settle(version, facts)
            done.append(settled)
            if newest is None or newest.label == version.label or not self._is_live(version, facts):
                return done
            # Ours is live though a newer one is there: it came while we copied, or we died before we looked.
            version = newest
        raise TransientError(f"{key!r} changes faster than it can be judged.")

    def _settle(self, version: ObjectVersion, facts: EnvironmentFacts) -> tuple[Settled, ObjectVersion | None]:
        """Judge one version, act and report; also return the newest version as seen after that."""
        if self._book.was_rolled_back(version.key, version.label):
            return Settled(version.key, "rolled-back", version.label), None
        judged_at, started = self._now(), self._clock()
        judged = self._judge(version, facts)
        if judged is None:
            return Settled(version.key, "vanished", version.label), None
        seconds = self._clock() - started
        report = report_key(version.key, version.label)
        placement = self._place(version, judged, facts, report)
        in_force = None
        if placement.outcome == "promoted":
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
        )
        newest = write_report(self._s3, written, version)
        self._book.announce(written, report)
        settled = Settled(
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
        return settled, newest

    def _judge(self, version: ObjectVersion, facts: EnvironmentFacts) -> Judgement | None:
        """Judge by key and content; None when the version is gone."""
        kind = kind_of(version.key)
        refused = placing_findings(version.key, version.size, kind.destination(version.key, facts))
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
            judged = kind.check(candidate, facts, self._max_dag_file_bytes)
        except VersionGoneError:
            return None
        if judged.kind == "dag-file":
            return self._load(version, content, facts, judged)
        return self._resolve(content, facts, judged) if judged.kind == "requirements" else judged

    def _place(self, version: ObjectVersion, judged: Judgement, facts: EnvironmentFacts, report: str) -> Placement:
        destination = kind_of(version.key).destination(version.key, facts)
        if judged.verdict == "rejected" or destination is None:
            return quarantine(self._s3, version, quarantine_key(version.key, version.label), report=report)
        return promote(self._s3, version, facts.source_bucket, destination, report=report)

    def _remove(self, key: str, facts: EnvironmentFacts) -> Settled:
        """Take out what a deleted object had promoted."""
        destination = kind_of(key).destination(key, facts)
        if destination is None:
            return Settled(key, "vanished")
        self._release(key)
        gone = self._book.remove(self.drop_bucket, key, facts.source_bucket, destination, self._now())
        if gone is None:
            return Settled(key, "vanished")
        return Settled(key, "removed", gone.source, kind_of(key).name, dag_ids=gone.dags, fresh=True)

    def _is_live(self, version: ObjectVersion, facts: EnvironmentFacts) -> bool:
        destination = kind_of(version.key).destination(version.key, facts)
        live = head(self._s3, facts.source_bucket, destination) if destination else None
        return live is not None and carries(live, version)
