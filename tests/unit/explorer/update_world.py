"""The world of gate and verifier, with requirements, plugins, startup script, an MWAA with a clock, and apply_updates.

The first comment of what is in force says what it does to the environment:

    works       nothing breaks
    breaks      team/orders.py, which is there, misses a module
    fails       MWAA ends the update with UPDATE_FAILED, and goes back
    silences    Airflow does not answer
    unfound     pip finds no such distribution: MWAA only logs that, and goes on
    brings X    works, and DAG files that need X do so with it
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow import ImportProblem
from jetway.airflow.environment import Environment, EnvironmentFacts, parse_environment
from jetway.errors import EnvironmentUnavailableError, TransientError
from jetway.gate.gate import Gate, GateResult
from jetway.gate.recorder import PromotionRecorder
from jetway.gate.s3_notification import Arrival
from jetway.promotion.artifact_state import OPEN, ArtifactState
from jetway.promotion.rollout import say
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.apply import Updates
from jetway.updates.record import MEMBERS, UpdateTable
from jetway.updates.revert import Undo
from jetway.verification.update_verifier import UpdateVerifier
from jetway.verification.verifier import Verifier
from tests.unit.batches.world import Kill

from .mwaa import USABLE, ClockedMwaa
from .promotion_world import DROP, LIVE, MINUTE, TABLE, VERIFY_AFTER, Airflow, PromotionWorld, truth_of

NO_MODULE = "Traceback...\nModuleNotFoundError: No module named '{}'\n"
CONSTRAINT = b"--constraint /usr/local/airflow/constraints.txt\n"
PLUGIN = b"from airflow.plugins_manager import AirflowPlugin\nclass Acme(AirflowPlugin):\n    name = 'acme'\n"


def requirements(truth: str = "works", pin: str = "humanize==4.9.0") -> bytes:
    """A requirements.txt of which that is the truth."""
    return f"# {truth}\n".encode() + CONSTRAINT + f"{pin}\n".encode()


def plugins(truth: str = "works", note: str = "") -> bytes:
    """A plugins.zip of which that is the truth: in the comment of a file within."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr(zipfile.ZipInfo("acme.py"), f"# {truth}\n# {note}\n".encode() + PLUGIN)
    return content.getvalue()


def truth_in(body: bytes | None) -> tuple[str, str]:
    """What the content of an artifact says it does."""
    if body is None:
        return "works", ""
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as found:
            names = [name for name in found.namelist() if name.endswith(".py")]
            return truth_of(found.read(names[0])) if names else ("works", "")
    return truth_of(body)


class UpdatedAirflow(Airflow):
    """Answers while the environment is usable; what is in force can break files."""

    def __init__(self, world: UpdateWorld, *, tells_parses: bool) -> None:
        super().__init__(world, timedelta(), tells_parses=tells_parses)
        self._of = world
        self.errors: dict[str, str] = {}
        self.silent: Callable[[], bool] = lambda: False
        self.broken: Callable[[], Mapping[str, str]] = dict
        self.asked = 0

    def list_import_errors(self) -> list[ImportProblem]:
        in_force = [truth_in(self._of.in_force(key)) for key in MEMBERS]
        truths = {truth for truth, _ in in_force}
        if self.silent() or "silences" in truths or self._of.mwaa.described["Status"] not in USABLE:
            raise EnvironmentUnavailableError("Airflow does not answer.")
        self.asked += 1
        brought = {module for truth, module in in_force if truth == "brings"}
        missing = [NO_MODULE.format(module) for module in brought]
        errors = {**self.errors, **self.broken()}
        if "breaks" in truths:
            errors["team/orders.py"] = NO_MODULE.format("humanize")
        found = [
            each
            for each in super().list_import_errors()
            if each.path.endswith(".py") and each.error.replace("…", "...") not in missing
        ]
        return [each for each in found if each.path not in errors] + [
            ImportProblem(path, error) for path, error in errors.items()
        ]


class UpdateWorld(PromotionWorld):
    """Both buckets, the table, the environment and what acts on them.

    Attributes:
        steps: what apply_updates has done.
        found: what verify_promotion has found.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.mwaa = ClockedMwaa(lambda: self.now, fails=self._fails)
        self.airflow: UpdatedAirflow = UpdatedAirflow(self, tells_parses=more.get("tells_parses", True))
        self.automatic, self.quiet = True, timedelta()
        self.steps: list[str] = []
        self.found: list[tuple[str, str]] = []
        self.table = ArtifactStateTable(self.dynamodb, TABLE)  # type: ignore[arg-type]
        self.records = UpdateTable(self.dynamodb, TABLE)  # type: ignore[arg-type]

    def _fails(self, changes: Mapping[str, Any]) -> str | None:
        bodies = [self._content(changes, member) for member in MEMBERS.values()]
        return "It could not be installed." if any(truth_in(body)[0] == "fails" for body in bodies) else None

    def _pip(self) -> str | None:
        return "ERROR: No matching distribution" if truth_in(self.in_force())[0] == "unfound" else None

    # ------------------------------------------------------------------------------------------------- the functions
    def gate(self, kill: Kill | None = None) -> Gate:
        s3, table = self._killable(kill)
        book = PromotionRecorder(s3, table, self._teller(kill), "acme", VERIFY_AFTER, self.automatic, quiet=self.quiet)
        return Gate(s3, self._environment(kill), DROP, book, max_dag_file_bytes=1024 * 1024, now=lambda: self.now)

    def verifier(self, kill: Kill | None = None) -> Verifier:
        s3, table = self._killable(kill)
        records = UpdateTable(self._wrapped(kill, self.dynamodb, "dynamodb"), TABLE)
        updates = UpdateVerifier(records, table, lambda *_: self._pip(), partial(say, s3, DROP))
        return Verifier(
            table,
            updates,
            s3,
            self._wrapped(kill, self.airflow, "airflow"),
            self._environment(kill),
            drop_bucket=DROP,
            tell=self._teller(kill),
            verify_after=VERIFY_AFTER,
            clock=lambda: self.now + self.skew,
            seconds_left=lambda: 100.0,
            ask_gate=self.street.tell("sqs.send_message", self._ask_gate),
        )

    def updates(self, kill: Kill | None = None) -> Updates:
        mwaa = self._wrapped(kill, self.mwaa, "mwaa")
        dynamodb = self._wrapped(kill, self.dynamodb, "dynamodb")
        return Updates(
            mwaa,
            Environment(mwaa, "acme", max_age=0, max_age_unusable=0),
            UpdateTable(dynamodb, TABLE),
            ArtifactStateTable(dynamodb, TABLE),
            automatic=self.automatic,
            worker_replacement="GRACEFUL",
            clock=lambda: self.now,
        )

    def apply(self, kill: Kill | None = None) -> list[str]:
        """Invoke apply_updates as its handler does; return what it has done."""
        s3, table = self._killable(kill)
        undo = Undo(
            s3=s3,
            standings=table,
            tell=self._teller(kill),
            environment="acme",
            drop_bucket=DROP,
            automatic=self.automatic,
            worker_replacement="GRACEFUL",
            clock=lambda: self.now,
        )
        airflow = self._wrapped(kill, self.airflow, "airflow")
        done: list[str] = []
        with suppress(TransientError, ClientError, BotoCoreError):
            self.updates(kill).advance(
                airflow.list_import_errors, undo, VERIFY_AFTER, self.quiet, on_step=lambda step: done.append(step.step)
            )
        self.steps += done
        return done

    def look(self, kill: Kill | None = None) -> None:
        """Invoke verify_promotion as its handler does."""
        try:
            self.verifier(kill).look(on_verified=lambda each: self.found.append((each.key, each.outcome)))
        except (TransientError, ClientError, BotoCoreError):
            return

    # ------------------------------------------------------------------------------------------------- time
    def run(self, minutes: int = 1, *, look_first: bool = False, until: Callable[[], bool] = lambda: False) -> None:
        """Let both schedules fire so many times, or until something is so."""
        for _ in range(minutes):
            if until():
                return
            self.now += MINUTE
            for message in list(self.queue):
                self.deliver(message)
            for invoke in (self.look, self.apply) if look_first else (self.apply, self.look):
                invoke()

    def rest(self, minutes: int = 600) -> bool:
        """Let both schedules fire until nothing is on its way; False when something always is.

        Minutes in which nothing can happen are passed over.
        """
        end, quiet = self.now + minutes * MINUTE, 0
        while self.now < end:
            self.now = max(self.now, self._nothing_before() - MINUTE)
            self.run()
            quiet = quiet + 1 if self.at_rest() else 0
            if quiet > 1:
                return True
        return False

    def _nothing_before(self) -> datetime:
        """When the next thing can happen: a minute or so later where that cannot be told."""
        ends_at = self.mwaa.told[-1][0]
        if self.queue or self.mwaa.lag or self.airflow.silent():
            return self.now
        if self.now < ends_at:
            return ends_at
        record = self.records.get()
        due = [item["due_at"]["S"] for item in self.dynamodb.tables.get(TABLE, {}).values() if "open" in item]
        times = [datetime.fromisoformat(each) for each in due]
        if record.phase == "verifying" and record.due_at:
            times.append(record.due_at)
        return min(times, default=self.now) if record.phase in {"verifying", "idle"} else self.now

    def state(self) -> str:
        asked = sorted(str(sorted(changes.items())) for changes in self.mwaa.asked)
        return repr((super().state(), self.mwaa.told, asked))

    def copy(self) -> Self:
        """Another world in the same state, of which the actors are still to be named."""
        other = type(self)()
        other.as_in(self)
        other.mwaa.told, other.mwaa.updates = list(self.mwaa.told), list(self.mwaa.updates)
        other.automatic, other.quiet = self.automatic, self.quiet
        other.airflow.errors = dict(self.airflow.errors)
        return other

    def at_rest(self) -> bool:
        """Whether nothing is on its way, and nothing due."""
        standings = [self.table.get(key) for key in MEMBERS]
        record = self.records.get()
        return (
            not self.queue
            and all(standing is None or standing.stage not in OPEN for standing in standings)
            and record.phase == "idle"
            and all(debt.told for debt in record.owed.values())
            and not self.open()
            and self.mwaa.described["Status"] in USABLE
        )

    # ------------------------------------------------------------------------------------------------- what people do
    def drop(self, key: str, body: bytes) -> str:
        """Upload, and let the gate settle it."""
        version = self.upload(key, body)
        for message in list(self.queue):
            self.deliver(message)
        return version

    def delete_and_settle(self, key: str) -> None:
        """Delete, and let the gate settle it."""
        self.delete(key)
        for message in list(self.queue):
            self.deliver(message)

    def settle(self, key: str, version: str | None = None) -> list[GateResult]:
        """Deliver an event, once more or late."""
        return self.gate().settle(Arrival(DROP, key, version))

    def by_hand(self, body: bytes, key: str = "requirements.txt") -> dict[str, str]:
        """Put a file into the environment's bucket; return the members that point at it."""
        version = self.s3.put_object(Bucket=LIVE, Key=f"terraform/{key}", Body=body)["VersionId"]
        return {f"{MEMBERS[key]}S3Path": f"terraform/{key}", f"{MEMBERS[key]}S3ObjectVersion": version}

    def pointing_at(self, version: str | None, key: str = "requirements.txt") -> dict[str, str]:
        """The members that point at an object version of a key's own path."""
        return {f"{MEMBERS[key]}S3Path": key, f"{MEMBERS[key]}S3ObjectVersion": version or ""}

    def verified_update(self, body: bytes | None = None, key: str = "requirements.txt") -> str:
        """Drop an artifact that works, and let it come into force."""
        body = requirements() if body is None else body
        version = self.drop(key, body)
        assert self.rest()
        assert self.named(key).stage == "good"
        assert self.in_force(key) == body
        self.street.played.clear()
        return version

    # ------------------------------------------------------------------------------------------------- what is there
    def in_force(self, key: str = "requirements.txt") -> bytes | None:
        """The content that the environment uses."""
        return self._content(self.mwaa.described, MEMBERS[key])

    def _content(self, described: Mapping[str, Any], member: str) -> bytes | None:
        path, version = described.get(f"{member}S3Path"), described.get(f"{member}S3ObjectVersion")
        found = self.s3.buckets[LIVE].exactly(path, version) if path and version else None
        return found.body if found is not None else None

    def facts(self) -> EnvironmentFacts:
        return parse_environment(self.mwaa.described)

    def named(self, key: str) -> ArtifactState:
        found = self.table.get(key)
        assert found is not None
        return found

    def rolled_back(self, key: str = "requirements.txt") -> tuple[str, ...]:
        found = self.table.get(key)
        return found.rolled_back if found else ()

    def report(self, key: str, version: str) -> dict[str, Any]:
        found = self.s3.buckets[DROP].newest(f"reports/{key}/{version}.json")
        assert found is not None
        document: dict[str, Any] = json.loads(found.body or b"")
        return document

    def live(self, key: str) -> bytes | None:
        found = self.s3.buckets[LIVE].newest(key)
        return found.body if found is not None else None

    def told_types(self) -> set[str]:
        return {news.event.detail_type for news in self.news}

    def messages(self) -> list[str]:
        return [news.message for news in self.news if news.message]

    # ------------------------------------------------------------------------------------------------- within
    def _wrapped(self, kill: Kill | None, client: Any, name: str) -> Any:
        passed = self.street.client(client, name)
        return passed if kill is None else kill.wrap(passed)

    def _killable(self, kill: Kill | None) -> tuple[Any, ArtifactStateTable]:
        return self._wrapped(kill, self.s3, "s3"), ArtifactStateTable(
            self._wrapped(kill, self.dynamodb, "dynamodb"), TABLE
        )

    def _environment(self, kill: Kill | None) -> Environment:
        return Environment(self._wrapped(kill, self.mwaa, "mwaa"), "acme", max_age=0, max_age_unusable=0)

    def _teller(self, kill: Kill | None) -> Any:
        def tell(news: Any) -> None:
            self._tell(news)
            if kill is not None:
                kill.count("tell")

        return tell
