"""The environment as GetEnvironment tells it, its status, and its updates; kept in a file.

An update follows MWAA: it is refused unless the status is AVAILABLE or UPDATE_FAILED, the status is UPDATING
meanwhile, and it ends as AVAILABLE (LastUpdate SUCCESS) or as UPDATE_FAILED with the previous settings in force.
What an update really does to Airflow is the `Applier`'s business; `keep` does nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Description = Mapping[str, Any]  # the `Environment` member of GetEnvironment; timestamps as epoch seconds
Applier = Callable[[Description, Description], None]

USABLE = frozenset({"AVAILABLE", "UPDATE_FAILED"})
# https://docs.aws.amazon.com/mwaa/latest/userguide/environment-class.html
TASKS_PER_WORKER = {  # not the product's: what stands in for MWAA must not repeat a mistake of ours
    "mw1.micro": 3,
    "mw1.small": 5,
    "mw1.medium": 10,
    "mw1.large": 20,
    "mw1.xlarge": 40,
    "mw1.2xlarge": 80,
}
# What the local stack decides anew at each start, whatever an older file says.
_OF_THE_STACK = ("Name", "Arn", "WebserverUrl", "SourceBucketArn", "AirflowVersion", "ExecutionRoleArn")


class InvalidUpdateError(Exception):
    """MWAA would refuse this UpdateEnvironment with a ValidationException; the text says why."""


class UpdateFailedError(Exception):
    """Raised by an applier: the environment is to go back to its previous settings."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Pending:
    changes: dict[str, Any]
    began: float


def keep(before: Description, after: Description) -> None:
    """The applier that changes nothing: the new settings are told, and that is all."""


class Environment:
    """One environment.

    Args:
        fresh: its description when there is no file yet; also what the stack itself decides.
        applier: called in a thread of its own with the description before and after an update.
        update_seconds: how long an update takes at least.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        file: Path,
        fresh: Description,
        *,
        applier: Applier = keep,
        update_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._applier = applier
        self._update_seconds = update_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pending: _Pending | None = None
        self._description = dict(fresh)
        self._load(fresh)
        if self._pending is not None:
            self._begin(self._pending)  # the gateway was ended in mid-update

    def describe(self) -> dict[str, Any]:
        """The environment's description now."""
        with self._lock:
            return dict(self._description)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Begin an update.

        Args:
            changes: members of UpdateEnvironment, valid by the model, without Name.

        Raises:
            InvalidUpdateError: the status does not allow it, or the settings contradict each other.
        """
        with self._lock:
            check_status(self._description)
            check_update(self._description, changes)
            pending = _Pending(dict(changes), self._clock())
            self._description |= {
                "Status": "UPDATING",
                "LastUpdate": _last_update(pending, "PENDING"),
            }
            self._pending = pending
            self._save()
        self._begin(pending)

    def close(self) -> None:
        """Stop waiting for updates; the next gateway carries them on."""
        self._closed.set()

    def _begin(self, pending: _Pending) -> None:
        threading.Thread(target=self._carry_out, args=(pending,), name="update", daemon=True).start()

    def _carry_out(self, pending: _Pending) -> None:
        before = self.describe()
        after = {**before, **settings_of(pending.changes)}
        outcome: dict[str, Any] = {**after, "Status": "AVAILABLE", "LastUpdate": _last_update(pending, "SUCCESS")}
        try:
            self._applier(before, after)
        except UpdateFailedError as exc:
            error = {"ErrorCode": exc.code, "ErrorMessage": str(exc)[:1024]}
            failed = _last_update(pending, "FAILED") | {"Error": error}
            outcome = {**before, "Status": "UPDATE_FAILED", "LastUpdate": failed}
        if self._closed.wait(max(0.0, pending.began + self._update_seconds - self._clock())):
            return
        with self._lock:
            self._description = outcome
            self._pending = None
            self._save()
        log.info("update ended: %s", outcome["Status"])

    def _load(self, fresh: Description) -> None:
        if not self._file.exists():
            return
        kept = json.loads(self._file.read_text())
        self._description = {**kept["environment"], **{name: fresh[name] for name in _OF_THE_STACK}}
        if kept["pending"] is not None:
            self._pending = _Pending(**kept["pending"])

    def _save(self) -> None:
        pending = None
        if self._pending is not None:
            pending = {"changes": self._pending.changes, "began": self._pending.began}
        draft = self._file.with_name(self._file.name + ".new")
        draft.write_text(json.dumps({"environment": self._description, "pending": pending}, indent=2))
        draft.replace(self._file)


def settings_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an update that GetEnvironment shows afterwards."""
    return {name: value for name, value in changes.items() if name != "WorkerReplacementStrategy"}


def check_status(environment: Description) -> None:
    """Raise InvalidUpdateError unless the environment can be updated now: one update at a time."""
    if environment["Status"] not in USABLE:
        raise InvalidUpdateError(
            f"Environment {environment['Name']} is in {environment['Status']} state and cannot be updated."
        )


def check_update(environment: Description, changes: Mapping[str, Any]) -> None:
    """Raise InvalidUpdateError when the settings contradict each other or ask for what MWAA does not do.

    https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html
    """
    for thing in ("Plugins", "Requirements", "StartupScript"):
        path, version = changes.get(f"{thing}S3Path"), changes.get(f"{thing}S3ObjectVersion")
        if bool(path) != bool(version):
            raise InvalidUpdateError(
                f"{thing}S3Path and {thing}S3ObjectVersion must be given together: a version names one object."
            )
    after = {**environment, **changes}
    for low, high in (("MinWorkers", "MaxWorkers"), ("MinWebservers", "MaxWebservers")):
        if after[low] > after[high]:
            raise InvalidUpdateError(f"{low} ({after[low]}) must not be greater than {high} ({after[high]}).")
    if after["EnvironmentClass"] not in TASKS_PER_WORKER:
        raise InvalidUpdateError(f"EnvironmentClass {after['EnvironmentClass']} is not one of MWAA's.")
    if after["EnvironmentClass"] == "mw1.micro" and after["MaxWorkers"] > 1:
        raise InvalidUpdateError("mw1.micro has one worker and does not scale.")
    if after["AirflowVersion"] != environment["AirflowVersion"]:
        raise InvalidUpdateError(
            f"The local stack runs Airflow {environment['AirflowVersion']} only; start it with another AIRFLOW_VERSION."
        )


def tasks_per_worker(environment: Description) -> int:
    """How many tasks one worker runs: `celery.worker_autoscale` ("max,min"), else the class's default."""
    options = environment.get("AirflowConfigurationOptions") or {}
    most, _, _ = str(options.get("celery.worker_autoscale", "")).partition(",")
    if most.strip().isdigit() and int(most) > 0:
        return int(most)
    return TASKS_PER_WORKER[environment["EnvironmentClass"]]


def _last_update(pending: _Pending, status: str) -> dict[str, Any]:
    return {
        "Status": status,
        "CreatedAt": pending.began,
        "WorkerReplacementStrategy": pending.changes.get("WorkerReplacementStrategy", "FORCED"),
    }
