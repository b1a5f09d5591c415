"""Drop bucket, environment's bucket, artifact table and Airflow in memory; gate and verifier as they are, and a clock.

The first comment of a file's content says what becomes of it, so that a judge knows the truth:

    works     the gate accepts it, and the environment shows its DAG
    breaks    the gate accepts it, and the environment shows an import error
    refused   the gate refuses it
    silent    the gate accepts it, and the environment shows neither its DAG nor an error
    hurts     the gate accepts it, and while it is live dags/other.py shows an error that goes through it
    needs X   works where dags/X.py is live, else it fails for want of a module
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow import Dag, ImportProblem
from jetway.airflow.environment import EnvironmentFacts
from jetway.airflow.import_errors import FoundErrors
from jetway.artifacts.findings import Judgement
from jetway.artifacts.kinds import is_artifact
from jetway.aws.s3 import ObjectVersion
from jetway.errors import TransientError
from jetway.gate.gate import Gate, GateResult
from jetway.gate.recorder import PromotionRecorder
from jetway.gate.s3_notification import Arrival
from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.notifications import Notification
from jetway.promotion.rollout import say
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.record import UpdateTable
from jetway.verification.update_verifier import UpdateVerifier
from jetway.verification.verifier import Verified, Verifier
from tests.unit.explorer.dynamodb import DynamoDB
from tests.unit.explorer.s3 import S3, Version
from tests.unit.explorer.walker import Street

DROP, LIVE, TABLE = "drop", "live", "artifacts"
START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SECOND, MINUTE, VERIFY_AFTER = timedelta(seconds=1), timedelta(minutes=1), timedelta(seconds=120)
FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", LIVE, "dags")

_TRUTH = re.compile(rb"^# (\w+)(?: (\w+))?", re.MULTILINE)
_DAG_ID = re.compile(rb"DAG\('(\w+)'\)")


def content(truth: str, dag_id: str = "orders", note: str = "") -> bytes:
    """A DAG file of which that is the truth; another note makes other bytes."""
    end = ":" if not truth.startswith("refused") else ""  # a `with` without its colon is no Python
    return f"# {truth}\n# {note}\nfrom airflow.sdk import DAG\nwith DAG('{dag_id}'){end}\n    pass\n".encode()


def truth_of(body: bytes) -> tuple[str, str]:
    """What a file's content says becomes of it, and the module that it needs."""
    found = _TRUTH.search(body)
    return (found[1].decode(), (found[2] or b"").decode()) if found else ("works", "")


class Airflow:
    """What the environment shows: files as they were live `lag` ago, each parsed then; or when, nobody tells."""

    def __init__(self, world: PromotionWorld, lag: timedelta, *, tells_parses: bool) -> None:
        self._world, self._lag, self._tells_parses = world, lag, tells_parses

    def list_import_errors(self) -> list[ImportProblem]:
        seen = self._seen()
        found = []
        for path, version in seen.items():
            truth, needed = truth_of(version.body or b"")
            turned = self._world.turns_bad is not None and version.metadata.get(SOURCE_VERSION) == self._world.turns_bad
            if truth == "breaks" or turned:
                found.append(ImportProblem(path, f"Traceback…\nKeyError: '{version.body!r}'\n"))
            elif truth == "needs" and f"{needed}.py" not in seen:
                found.append(ImportProblem(path, f"Traceback…\nModuleNotFoundError: No module named '{needed}'\n"))
        if "other.py" in seen:
            found += self._of_other(seen)
        return found

    def _of_other(self, seen: Mapping[str, Version]) -> Iterator[ImportProblem]:
        """An error of dags/other.py that goes through another file, in other words each time."""
        hurting = [path for path, version in seen.items() if truth_of(version.body or b"")[0] == "hurts"]
        minutes = int((self._world.now - START) / MINUTE)
        for path in hurting or (["orders.py"] if self._world.grudges else []):
            words = "abcdefghij"[minutes % 10] * (1 + minutes // 10 % 50)  # digits do not tell errors apart
            frames = [f'  File "/usr/local/airflow/dags/{each}", line 1, in <module>' for each in ("other.py", path)]
            lines = ["Traceback (most recent call last):", *frames, f"KeyError: '{words}'", ""]
            yield ImportProblem("other.py", "\n".join(lines))

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        seen, broken = self._seen(), {problem.path for problem in self.list_import_errors()}
        dags = [
            Dag(
                dag_id[1].decode(),
                fileloc=path,
                last_parsed_time=self._world.now - self._lag if self._tells_parses else None,
            )
            for path, version in seen.items()
            if path not in broken and truth_of(version.body or b"")[0] != "silent"
            if (dag_id := _DAG_ID.search(version.body or b""))
        ]
        return dags, len(dags)

    def _seen(self) -> dict[str, Version]:
        until = self._world.now + self._world.s3_ahead - self._lag
        found = {}
        for key, versions in self._world.s3.buckets[LIVE].keys.items():
            newest = next((each for each in reversed(versions) if each.at <= until), None)
            if newest is not None and newest.body is not None:
                found[key.removeprefix("dags/")] = newest
        return found


class Environment:
    """GetEnvironment: it is usable."""

    name = "acme"

    def facts(self) -> EnvironmentFacts:
        return FACTS


class Judging(Gate):
    """A gate that remembers what it has judged."""

    def __init__(self, judged: set[tuple[str, str]], *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._judged = judged

    def _judge(self, version: ObjectVersion, facts: EnvironmentFacts) -> Judgement | None:
        found = super()._judge(version, facts)
        if found is not None:
            self._judged.add((version.key, version.label))
        return found


@dataclass(eq=False, slots=True)
class Message:
    """One message of the gate's queue; two that say the same are two.

    Attributes:
        not_before: it is stuck until then: its function was killed, or came late.
    """

    arrival: Arrival
    not_before: datetime = START


class PromotionWorld:
    """Both buckets and what acts on them. What arrives in the drop bucket waits in `queue` until it is delivered.

    Args:
        versions_in_events: whether S3's events name the version.
        nothing: what S3 answers to If-Match where nothing is there.
        kms: the buckets are encrypted with SSE-KMS: ETags say nothing of the content.
        lag: how old what Airflow shows is.
        skew: by how much the verifier's clock is ahead of the gate's.
        tells_parses: whether Airflow says when it has parsed a DAG.
        judges: whether its import errors prove anything.
        s3_ahead: by how much S3's clock is ahead of ours.
        suspended: buckets whose versioning is suspended.

    Attributes:
        turns_bad: the source of a version that works no more, for a reason of its own.
        grudges: dags/other.py puts the name of dags/orders.py into its own error, whatever that is.
    """

    def __init__(
        self,
        *,
        versions_in_events: bool = True,
        nothing: Any = 404,
        kms: bool = False,
        lag: timedelta = timedelta(),
        skew: timedelta = timedelta(),
        tells_parses: bool = True,
        judges: bool = True,
        s3_ahead: timedelta = timedelta(),
        suspended: Collection[str] = (),
    ) -> None:
        self._judges, self.grudges = judges, False
        self.turns_bad: str | None = None
        self.now, self.skew = START, skew
        self.street = Street()
        self.actors: Mapping[str, Callable[[], object]] = {}
        self.queue: list[Message] = []
        self._named = versions_in_events
        self.s3_ahead = s3_ahead
        self.s3 = S3(lambda: self.now + s3_ahead, self._arrive, tags_of_versions=True)
        self.s3.if_match_on_nothing = nothing
        for bucket in (DROP, LIVE):
            self.s3.make(bucket, kms=kms).suspended = bucket in suspended
        self.dynamodb = DynamoDB({"by_due": ("open", "due_at")})
        self.airflow = Airflow(self, lag, tells_parses=tells_parses)
        self.news: list[Notification] = []
        # Where events name no version, a second delivery does not know which one it was of.
        self.judged: set[tuple[str, str]] = set()
        self.settled: list[GateResult] = []
        self.verified: list[Verified] = []

    def as_in(self, other: PromotionWorld) -> None:
        """Begin where another world is: much sooner than by doing all again."""
        self.now, self.queue, self.news = other.now, [replace(each) for each in other.queue], list(other.news)
        self.judged, self.grudges = set(other.judged), other.grudges
        self.s3.as_in(other.s3)
        self.dynamodb.tables = {name: dict(table) for name, table in other.dynamodb.tables.items()}

    # ------------------------------------------------------------------------------------------------- what people do
    def upload(self, key: str, body: bytes) -> str:
        """Put a file in the drop bucket; its event waits. People do one thing a second: S3's times are no finer.

        Returns:
            What Jetway names the version by.
        """
        self.now += SECOND
        made: dict[str, str] = self.s3.put_object(Bucket=DROP, Key=key, Body=body)
        return made.get("VersionId") or "etag-" + made["ETag"].strip('"')

    def upload_event_again(self, key: str) -> None:
        """Have S3's event of the newest version come a second time."""
        self._arrive(DROP, key, self.s3.buckets[DROP].keys[key][-1].id, False)

    def delete(self, key: str) -> None:
        """Delete a file of the drop bucket; its event waits."""
        self.now += SECOND
        self.s3.delete_object(Bucket=DROP, Key=key)

    def put_by_hand(self, key: str, body: bytes) -> None:
        """Put a file into the environment's bucket, past Jetway."""
        self.now += SECOND
        self.s3.put_object(Bucket=LIVE, Key=key, Body=body)

    # ------------------------------------------------------------------------------------------------- the functions
    def deliver(self, message: Message) -> bool:
        """Have the gate settle one message; it is gone from the queue only if that worked."""
        try:
            self.settled += self.gate().settle(message.arrival)
            gone = lambda: self.queue.remove(message) if message in self.queue else None  # noqa: E731
            self.street.cross("sqs.delete_message", gone)
        except (TransientError, ClientError, BotoCoreError):
            return False
        return True

    def look(self) -> None:
        """Have the verifier look once."""
        try:
            self.verifier().look(on_verified=self.verified.append)
        except (TransientError, ClientError, BotoCoreError):
            return

    def gate(self) -> Gate:
        """The gate of a new sandbox."""
        s3, table = self._clients()
        book = PromotionRecorder(s3, table, self._tell, "acme", VERIFY_AFTER)
        environment: Any = Environment()
        return Judging(
            self.judged if self._named else set(),
            s3,
            environment,
            DROP,
            book,
            max_dag_file_bytes=1024 * 1024,
            clock=lambda: 0.0,
            now=lambda: self.now,
        )

    def verifier(self) -> Verifier:
        """The verifier of a new sandbox."""
        s3, table = self._clients()
        updates = UpdateVerifier(
            UpdateTable(self.street.client(self.dynamodb, "dynamodb"), TABLE),
            table,
            lambda *_: None,
            partial(say, s3, DROP),
        )
        airflow: Any = self.street.client(self.airflow, "airflow")
        environment: Any = Environment()
        return Verifier(
            table,
            updates,
            s3,
            airflow,
            environment,
            drop_bucket=DROP,
            tell=self._tell,
            verify_after=VERIFY_AFTER,
            clock=lambda: self.now + self.skew,
            seconds_left=lambda: 100.0,
            ask_gate=self.street.tell("sqs.send_message", self._ask_gate),
            import_errors=lambda: FoundErrors(airflow.list_import_errors(), judges=self._judges),
        )

    # ------------------------------------------------------------------------------------------------- rest
    def rest(self, minutes: int = 90) -> bool:
        """Deliver what waits and let the schedule fire until nothing is left to be done; False when it never is."""
        end, quiet = self.now + minutes * MINUTE, 0
        while self.now < end:
            for message in list(self.queue):
                if message.not_before <= self.now:
                    self.deliver(message)
            self.now += MINUTE if self.queue else max(MINUTE, self._next_due() - self.now - self.skew)
            self.look()
            quiet = 0 if self.queue or self.open() else quiet + 1
            if quiet > 1:
                return True
        return False

    def open(self) -> bool:
        """Whether a standing waits for a look."""
        return any("open" in item for item in self.dynamodb.tables.get(TABLE, {}).values())

    def _next_due(self) -> datetime:
        due = [item["due_at"]["S"] for item in self.dynamodb.tables.get(TABLE, {}).values() if "open" in item]
        return datetime.fromisoformat(min(due)) if due else self.now

    def prepare(self, key: str, body: bytes) -> str:
        """Upload a file, and let everything come to rest; return its version."""
        version = self.upload(key, body)
        assert self.rest()
        self.street.played.clear()
        return version

    # ------------------------------------------------------------------------------------------------- what is there
    def state(self) -> str:
        """All that decides how things go on from here, as text: the same text, the same end."""
        told = sorted({(news.event.detail_type, news.event.id) for news in self.news})
        waiting = [message.arrival for message in self.queue]
        buckets = [bucket.keys for bucket in self.s3.buckets.values()]
        return repr((buckets, self.dynamodb.tables, waiting, told, sorted(self.judged), self.now))

    def standing(self, key: str) -> ArtifactState | None:
        return ArtifactStateTable(self.dynamodb, TABLE).get(key)  # type: ignore[arg-type]

    def told(self, key: str, version: str) -> set[str]:
        """The types of the events that tell of a version."""
        events = (news.event for news in self.news)
        of_key = [each for each in events if each.detail["key"] == key]
        back = {"ArtifactPromoted" for each in of_key if (each.detail.get("restored") or {}).get("version") == version}
        return back | {each.detail_type for each in of_key if each.detail["version"] == version}

    def _clients(self) -> tuple[Any, ArtifactStateTable]:
        table: Any = self.street.client(self.dynamodb, "dynamodb")
        return self.street.client(self.s3, "s3"), ArtifactStateTable(table, TABLE)

    def _tell(self, news: Notification) -> None:
        self.street.cross("events.put_events", lambda: self.news.append(news))

    def _ask_gate(self, key: str, version: str | None) -> None:
        self.queue.append(Message(Arrival(DROP, key, version)))

    def _arrive(self, bucket: str, key: str, version: str, deleted: bool) -> None:
        if bucket == DROP and is_artifact(key):
            self.queue.append(Message(Arrival(DROP, key, version if self._named else None, deleted)))
