"""`--probe DAG`: one file dropped for a DAG, and its run waited for. The only part of doctor that changes anything.

The file goes the whole way: drop bucket, EventBridge, dispatch queue, start_dag_run, Airflow. It is deleted at the end.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.results import Findings, Result
from jetway_cli.errors import NegativeError

if TYPE_CHECKING:
    from jetway.ledger_rows import Entry
    from jetway_cli.stack import Target

TRIGGER = "data"  # the built-in one of data/<dag_id>/
PAUSE = 2.0
AHEAD = timedelta(seconds=60)  # clocks differ


def probe(
    target: Target,
    dag_id: str,
    timeout: timedelta,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Result:
    """Start a run of a DAG by an event, and wait for its success.

    Raises:
        ClientError, BotoCoreError, JetwayError, StackTroubleError: it could not be sent or seen.
    """
    s3, bucket = target.client("s3"), target.output("DropBucketName")
    key = f"data/{dag_id}/jetway-doctor-{uuid.uuid4().hex[:12]}"
    began, since, found = clock(), now() - AHEAD, Findings()
    deadline = began + timeout.total_seconds()
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    try:
        entry = _decision(target, key, since=since, deadline=deadline, sleep=sleep, clock=clock)
        if entry is None:
            found.broken(
                f"s3://{bucket}/{key} was dropped, but Jetway did not decide on it within {timeout}.",
                "See bucket-events, rules and queue-readers; `jetway events --trigger data`.",
            )
        elif entry.dag_run_id is None or entry.decision not in {"started", "duplicate"}:
            found.broken(
                f"The event was {entry.decision}: {entry.because}",
                ("`jetway events --trigger data` shows its history."),
            )
        else:
            _wait(target, entry, deadline - clock(), found)
        return found.result(
            "probe", f"A file dropped for {dag_id} became a run that succeeded in {clock() - began:.0f} s."
        )
    finally:
        s3.delete_object(Bucket=bucket, Key=key)


def _decision(
    target: Target,
    key: str,
    *,
    since: datetime,
    deadline: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> Entry | None:
    """The last word on the event, once there is one; what is held or waits is not."""
    from jetway.ledger import Ledger

    ledger = Ledger(target.table(target.output("LedgerTableName")))
    entry: Entry | None = None
    while True:
        mine = ledger.newest(TRIGGER, since, limit=1, keep=lambda one: any(key in part for part in one.identity))
        entry = mine[0] if mine else None
        if entry is not None and entry.decision not in {"held", "waiting", "batched"}:
            return entry
        if clock() >= deadline:
            return entry
        sleep(PAUSE)


def _wait(target: Target, entry: Entry, seconds: float, found: Findings) -> None:
    from jetway_cli.api import Api
    from jetway_cli.following import FollowedRuns

    dag_id, run_id = str(entry.dag_id), str(entry.dag_run_id)
    again = f"jetway wait {dag_id} {run_id}"
    run: dict[str, Any] = {}
    try:
        run = FollowedRuns(Api(target), target, dag_id, run_id, again).follow(
            until="success", timeout=timedelta(seconds=max(1, round(seconds)))
        )
    except NegativeError as exc:
        found.broken(exc.message, f"Check again: {again}")
        return
    if run.get("state") != "success":
        found.broken(f"Run {run_id} of {dag_id} ended {run.get('state')}.", "See its task logs in Airflow.")
