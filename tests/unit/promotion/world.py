"""Both buckets, the table, the gate and the verifier in memory or on moto; an Airflow set by hand, and a clock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import moto.backends
from botocore.exceptions import ClientError

from jetway.airflow import Dag, DagRun, DagRunRequest, ImportProblem
from jetway.airflow.environment import Environment as MwaaEnvironment
from jetway.airflow.environment import EnvironmentFacts, parse_environment
from jetway.airflow.import_errors import FoundErrors
from jetway.artifacts.findings import Judgement
from jetway.aws.s3 import ObjectVersion
from jetway.errors import PermissionMissingError
from jetway.gate.gate import Gate, GateResult, LoadStep, as_read
from jetway.gate.recorder import PromotionRecorder
from jetway.gate.s3_notification import Arrival
from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.notifications import Notification
from jetway.promotion.rollout import say
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.apply import Updates
from jetway.updates.record import UpdateTable, WorkerReplacement
from jetway.updates.revert import Undo
from jetway.updates.steps import UpdateStep
from jetway.verification.update_verifier import UpdateVerifier
from jetway.verification.verifier import Verified, Verifier
from tests.unit.artifacts.buckets import DROP, LIVE, SESSION, TABLE, VERIFY_AFTER, make_artifact_table
from tests.unit.batches.world import Kill
from tests.unit.explorer.dynamodb import DynamoDB
from tests.unit.explorer.s3 import S3
from tests.unit.strict_copies import strict

START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
GOOD = b"from airflow.sdk import DAG\nwith DAG('orders'):\n    pass\n"
PARSED = timedelta(minutes=12)  # after this everything is parsed and stale DAGs are gone


def unsure(_version: ObjectVersion, _content: bytes, _facts: EnvironmentFacts, static: Judgement) -> Judgement:
    """Loading that cannot tell."""
    return replace(static, verdict="unknown")


PARTS = ("path", "version")
FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", LIVE, "dags")


@dataclass
class Airflow:
    """What the environment would say.

    Attributes:
        dags: file by dag id; None for those that the live files make, as far as they have no error.
    """

    live: Callable[[], dict[str, bytes]]
    errors: dict[str, str] = field(default_factory=dict)
    dags: dict[str, str] | None = None
    asked: list[str] = field(default_factory=list)
    denied: PermissionMissingError | None = None  # what every question gets

    def list_import_errors(self) -> list[ImportProblem]:
        self.asked.append("errors")
        if self.denied is not None:
            raise self.denied
        return [ImportProblem(path, error) for path, error in self.errors.items()]

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        self.asked.append("dags")
        dags = self._made() if self.dags is None else self.dags
        return [Dag(dag_id, fileloc=path) for dag_id, path in dags.items()], len(dags)

    def _made(self) -> dict[str, str]:
        return {
            dag_id.decode(): path
            for path, body in self.live().items()
            if path not in self.errors
            for dag_id in re.findall(rb"DAG\('(\w+)'", body)
        }

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        raise NotImplementedError

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        raise NotImplementedError

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        raise NotImplementedError


class Mwaa:
    """MWAA's control plane: an update begins when it is asked for, and ends when it is told to."""

    def __init__(self) -> None:
        self.described: dict[str, Any] = {
            "Name": "acme",
            "Status": "AVAILABLE",
            "AirflowVersion": "3.3.1",
            "SourceBucketArn": f"arn:aws:s3:::{LIVE}",
            "DagS3Path": "dags",
            "MinWorkers": 1,
            "MaxWorkers": 10,
            "LastUpdate": {"Status": "SUCCESS", "CreatedAt": START},
        }
        self.asked: list[dict[str, Any]] = []
        self.refuses = ""

    def get_environment(self, **_: Any) -> dict[str, Any]:
        return {"Environment": dict(self.described)}

    def update_environment(self, **changes: Any) -> dict[str, Any]:
        refusal = self.refuses
        if self.described["Status"] not in {"AVAILABLE", "UPDATE_FAILED"}:
            refusal = f"Environment is in {self.described['Status']} state"
        if refusal:
            error: Any = {"Error": {"Code": "ValidationException", "Message": refusal}}
            raise ClientError(error, "UpdateEnvironment")
        self.asked.append({name: value for name, value in changes.items() if name != "Name"})
        at = START + timedelta(seconds=len(self.asked))
        self.described |= {"Status": "UPDATING", "LastUpdate": {"Status": "PENDING", "CreatedAt": at}}
        return {"Arn": "arn"}

    def end(self, error: str | None = None) -> None:
        """End the update: as asked, or as it was before."""
        assert self.described["Status"] == "UPDATING"
        at = self.described["LastUpdate"]["CreatedAt"]
        if error is None:
            changes = {name: value for name, value in self.asked[-1].items() if name != "WorkerReplacementStrategy"}
            self.described |= changes | {"Status": "AVAILABLE", "LastUpdate": {"Status": "SUCCESS", "CreatedAt": at}}
        else:
            failed = {"Status": "FAILED", "CreatedAt": at, "Error": {"ErrorCode": "X", "ErrorMessage": error}}
            self.described |= {"Status": "UPDATE_FAILED", "LastUpdate": failed}


class Environment:
    """GetEnvironment, set by hand; what updates bring into force is as MWAA describes it."""

    name = "acme"
    current = FACTS

    def __init__(self, mwaa: Mwaa) -> None:
        self._mwaa = mwaa

    def facts(self) -> EnvironmentFacts:
        described = parse_environment(self._mwaa.described)
        names = [f"{thing}_{part}" for thing in ("requirements", "plugins", "startup_script") for part in PARTS]
        return replace(self.current, **{name: getattr(described, name) for name in names})


def _in_memory(clock: Callable[[], datetime]) -> tuple[Any, Any]:
    s3 = S3(clock)
    for bucket in (DROP, LIVE):
        s3.make(bucket)
    return s3, DynamoDB({"by_due": ("open", "due_at")})


def _on_moto() -> tuple[Any, Any]:
    s3, dynamodb = strict(SESSION.client("s3")), SESSION.client("dynamodb")
    make_artifact_table(dynamodb)
    for bucket in (DROP, LIVE):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return s3, dynamodb


class World:
    """`fresh` gives another one.

    Args:
        moto: let moto stand in for AWS, which costs ten times as much; call within `moto.mock_aws`.
    """

    def __init__(self, *, moto: bool = False) -> None:
        self.now = START
        self.s3, self.dynamodb = _on_moto() if moto else _in_memory(lambda: self.now)
        self._moto = moto
        self.table = ArtifactStateTable(self.dynamodb, TABLE)
        self.airflow, self.mwaa = Airflow(self._live_files), Mwaa()
        self.environment = Environment(self.mwaa)
        self.records = UpdateTable(self.dynamodb, TABLE)
        self.automatic, self.quiet = True, timedelta()
        self.worker_replacement: WorkerReplacement = "GRACEFUL"
        self.news: list[Notification] = []
        self.pip: dict[str | None, str] = {}
        self.seconds_left = 100.0
        self.load: LoadStep = as_read  # what loading says
        self.judges = True  # whether import errors are those of the schedulers
        self.meanwhile: list[Callable[[], object]] = []  # what happens while the gate judges
        self.asked: list[tuple[str, str | None]] = []  # what the verifier has asked the gate for

    def fresh(self) -> World:
        for backend in ("dynamodb", "s3") if self._moto else ():
            moto.backends.get_backend(backend).reset()
        return World(moto=self._moto)

    def gate(self, kill: Kill | None = None) -> Gate:
        kill = kill or Kill()
        s3, table = kill.wrap(self.s3), ArtifactStateTable(kill.wrap(self.dynamodb), TABLE)
        book = PromotionRecorder(
            s3, table, self._teller(kill), "acme", VERIFY_AFTER, self.automatic, self.worker_replacement, self.quiet
        )
        return Gate(
            s3,
            self.environment,  # type: ignore[arg-type]
            DROP,
            book,
            max_dag_file_bytes=1024 * 1024,
            load=self.load,
            now=lambda: self.now,
            clock=self._while_it_is_judged,
        )

    def _while_it_is_judged(self) -> float:
        while self.meanwhile:
            self.meanwhile.pop()()
        return 0.0

    def verifier(self, kill: Kill | None = None) -> Verifier:
        kill = kill or Kill()
        standings = ArtifactStateTable(kill.wrap(self.dynamodb), TABLE)
        return Verifier(
            standings,
            UpdateVerifier(
                UpdateTable(kill.wrap(self.dynamodb), TABLE),
                standings,
                lambda groups, _: next((self.pip[group] for group in groups or (None,) if group in self.pip), None),
                partial(say, kill.wrap(self.s3), DROP),
            ),
            kill.wrap(self.s3),
            self.airflow,
            self.environment,  # type: ignore[arg-type]
            drop_bucket=DROP,
            tell=self._teller(kill),
            verify_after=VERIFY_AFTER,
            clock=lambda: self.now,
            seconds_left=lambda: self.seconds_left,
            import_errors=lambda: FoundErrors(self.airflow.list_import_errors(), self.judges),
            ask_gate=lambda key, version: self.asked.append((key, version)),
        )

    def updates(self, kill: Kill | None = None) -> Updates:
        kill = kill or Kill()
        mwaa = kill.wrap(self.mwaa)
        return Updates(
            mwaa,
            MwaaEnvironment(mwaa, "acme", max_age=0, max_age_unusable=0),
            UpdateTable(kill.wrap(self.dynamodb), TABLE),
            ArtifactStateTable(kill.wrap(self.dynamodb), TABLE),
            automatic=self.automatic,
            worker_replacement=self.worker_replacement,
            clock=lambda: self.now,
        )

    def apply(self, kill: Kill | None = None, *, after: timedelta = timedelta()) -> list[str]:
        """Invoke apply_updates once, and return what it did."""
        self.now += after
        kill = kill or Kill()
        undo = Undo(
            s3=kill.wrap(self.s3),
            standings=ArtifactStateTable(kill.wrap(self.dynamodb), TABLE),
            tell=self._teller(kill),
            environment="acme",
            drop_bucket=DROP,
            automatic=self.automatic,
            worker_replacement=self.worker_replacement,
            clock=lambda: self.now,
        )
        steps: list[UpdateStep] = []
        self.updates(kill).advance(
            self.airflow.list_import_errors, undo, VERIFY_AFTER, self.quiet, on_step=steps.append
        )
        return [step.step for step in steps]

    def settle_update(self, minutes: int = 20) -> list[str]:
        """Let both schedules fire so many times; return what was done and found."""
        found: list[str] = []
        for _ in range(minutes):
            found += self.apply(after=timedelta(minutes=1))
            if self.mwaa.described["Status"] != "UPDATING":
                found += [verified.outcome for verified in self.look()]
        return found

    def _teller(self, kill: Kill) -> Any:
        def tell(news: Notification) -> None:
            self.news.append(news)
            kill.count("tell")

        return tell

    def drop(self, key: str, body: bytes = GOOD, **more: Any) -> str:
        """Upload, let the gate deal with it, and return the version."""
        version: str = self.s3.put_object(Bucket=DROP, Key=key, Body=body, **more)["VersionId"]
        self.settle(key, version)
        return version

    def settle(self, key: str, version: str | None = None, kill: Kill | None = None, **more: Any) -> list[GateResult]:
        return self.gate(kill).settle(Arrival(DROP, key, version, **more))

    def delete(self, key: str) -> list[GateResult]:
        self.s3.delete_object(Bucket=DROP, Key=key)
        return self.settle(key, deleted=True)

    def vanish(self, key: str, body: bytes = GOOD, kill: Kill | None = None) -> list[GateResult]:
        """Upload, and delete while the gate judges."""
        version = self.s3.put_object(Bucket=DROP, Key=key, Body=body)["VersionId"]
        self.meanwhile.append(lambda: self.s3.delete_object(Bucket=DROP, Key=key))
        return self.settle(key, version, kill)

    def look(self, kill: Kill | None = None, *, after: timedelta = timedelta()) -> list[Verified]:
        self.now += after
        found: list[Verified] = []
        self.verifier(kill).look(on_verified=found.append)
        return found

    def minutes(self, minutes: int) -> list[Verified]:
        """Let the schedule fire so many times."""
        found = []
        for _ in range(minutes):
            found += self.look(after=timedelta(minutes=1))
        return found

    def minutes_with_the_gate(self, minutes: int) -> list[Verified]:
        """The same, and the gate does what it is asked for."""
        found = []
        for _ in range(minutes):
            found += self.look(after=timedelta(minutes=1))
            while self.asked:
                self.settle(*self.asked.pop())
        return found

    def verified(self, key: str, body: bytes = GOOD) -> str:
        """Upload a file that works."""
        version = self.drop(key, body)
        assert [found.outcome for found in self.minutes(14)] == ["good"]
        return version

    def live(self, key: str) -> bytes | None:
        listed = self.s3.list_objects_v2(Bucket=LIVE, Prefix=key).get("Contents", [])
        if key not in [found["Key"] for found in listed]:
            return None
        body: bytes = self.s3.get_object(Bucket=LIVE, Key=key)["Body"].read()
        return body

    def _live_files(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=LIVE, Prefix="dags/").get("Contents", [])
        keys = [found["Key"] for found in listed if found["Key"].endswith(".py")]
        return {key.removeprefix("dags/"): self.live(key) or b"" for key in keys}

    def versions(self, key: str) -> tuple[int, int]:
        """How many versions and delete markers the live key has."""
        answer = self.s3.list_object_versions(Bucket=LIVE, Prefix=key)
        return len(answer.get("Versions", [])), len(answer.get("DeleteMarkers", []))

    def standing(self, key: str) -> ArtifactState:
        found = self.table.get(key)
        assert found is not None
        return found

    def report(self, key: str, version: str = "latest") -> dict[str, Any]:
        body = self.s3.get_object(Bucket=DROP, Key=f"reports/{key}/{version}.json")["Body"].read()
        document: dict[str, Any] = json.loads(body)
        return document

    def tag(self, key: str, version: str) -> str | None:
        tags = self.s3.get_object_tagging(Bucket=DROP, Key=key, VersionId=version)["TagSet"]
        return next((tag["Value"] for tag in tags if tag["Key"] == "jetway:verdict"), None)

    def told(self) -> list[str]:
        """The types of the events, each event once however many copies of it there are."""
        return [name for name, _ in dict.fromkeys((news.event.detail_type, news.event.id) for news in self.news)]
