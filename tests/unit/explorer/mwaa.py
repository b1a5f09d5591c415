"""MWAA's control plane with a clock: an update takes its time, and others update the environment too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.explorer.promotion_world import LIVE

USABLE = {"AVAILABLE", "UPDATE_FAILED"}
TAKES = timedelta(minutes=25)


@dataclass(frozen=True)
class Asked:
    """One UpdateEnvironment that MWAA took."""

    at: datetime
    by: str
    changes: Mapping[str, Any]


@dataclass
class ClockedMwaa:
    """GetEnvironment and UpdateEnvironment as AWS documents them.

    Attributes:
        clock: tells the time.
        fails: MWAA's words of why an update with these changes fails; None: it succeeds.
        refuses: its words of why it takes no such update; None: it does.
        answers: what the next calls of UpdateEnvironment come to: "lost" (it begins, and nobody is told), "unsent",
            "AccessDeniedException", "ThrottlingException"; after these it answers.
        denied: the right is missing until it is given.
        lag: GetEnvironment answers what was so long ago.
        attempts: calls of UpdateEnvironment, also those that came to nothing.
    """

    clock: Callable[[], datetime]
    fails: Callable[[Mapping[str, Any]], str | None] = lambda changes: None
    refuses: Callable[[Mapping[str, Any]], str | None] = lambda changes: None
    answers: list[str] = field(default_factory=list)
    denied: bool = False
    lag: timedelta = timedelta()
    attempts: list[datetime] = field(default_factory=list)
    updates: list[Asked] = field(default_factory=list)
    told: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        began = self.clock() - timedelta(days=30)
        described = {
            "Name": "acme",
            "Status": "AVAILABLE",
            "AirflowVersion": "3.3.1",
            "SourceBucketArn": f"arn:aws:s3:::{LIVE}",
            "DagS3Path": "dags",
            "MinWorkers": 1,
            "MaxWorkers": 10,
            "LastUpdate": {"Status": "SUCCESS", "CreatedAt": began},
        }
        self.told.append((began, described))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The changes of our own updates."""
        return [dict(update.changes) for update in self.updates if update.by == "jetway"]

    @property
    def described(self) -> dict[str, Any]:
        """The environment now."""
        return self._at(self.clock())

    def _at(self, when: datetime) -> dict[str, Any]:
        return next(described for at, described in reversed(self.told) if at <= when)

    def get_environment(self, **_: Any) -> dict[str, Any]:
        return {"Environment": dict(self._at(self.clock() - self.lag))}

    def update_environment(self, **asked: Any) -> dict[str, Any]:
        self.attempts.append(self.clock())
        changes = {name: value for name, value in asked.items() if name not in {"Name", "WorkerReplacementStrategy"}}
        answer = self.answers.pop(0) if self.answers else ""
        if self.denied or answer.endswith("Exception"):
            code = answer or "AccessDeniedException"
            words = (
                "User is not authorized to perform: airflow:UpdateEnvironment" if "Denied" in code else "Rate exceeded"
            )
            raise _error(code, words)
        if answer != "unsent":
            refusal = self.refuses(changes)
            status = self.described["Status"]
            if status not in USABLE:
                refusal = f"Environment is in {status} state"
            if refusal and answer != "lost":
                raise _error("ValidationException", refusal)
            if not refusal:
                self._begin("jetway", changes)
        if answer:
            raise ReadTimeoutError(endpoint_url="https://airflow.example.com/environments/acme")
        return {"Arn": "arn"}

    def somebody(
        self,
        changes: Mapping[str, Any],
        *,
        takes: timedelta = TAKES,
        error: str | None = None,
        source: str = "terraform",
    ) -> None:
        """Let a person, Terraform or AWS's maintenance update the environment."""
        self._begin(source, changes, takes, error)

    def _begin(self, by: str, changes: Mapping[str, Any], takes: timedelta = TAKES, error: str | None = None) -> None:
        now, before = self.clock(), self.described
        assert before["Status"] in USABLE, "MWAA takes one update at a time"
        self.updates.append(Asked(now, by, dict(changes)))
        error = error or (self.fails(changes) if by == "jetway" else None)
        began: dict[str, Any] = {"CreatedAt": now, "Source": "maintenance" if by == "maintenance" else "customer"}
        self.told.append((now, before | {"Status": "UPDATING", "LastUpdate": began | {"Status": "PENDING"}}))
        if error is None:
            ended = before | dict(changes) | {"Status": "AVAILABLE", "LastUpdate": began | {"Status": "SUCCESS"}}
        else:
            failed = began | {"Status": "FAILED", "Error": {"ErrorCode": "X", "ErrorMessage": error}}
            ended = before | {"Status": "UPDATE_FAILED", "LastUpdate": failed}
        self.told.append((now + takes, ended))


def _error(code: str, words: str) -> ClientError:
    error: Any = {"Error": {"Code": code, "Message": words}}
    return ClientError(error, "UpdateEnvironment")
