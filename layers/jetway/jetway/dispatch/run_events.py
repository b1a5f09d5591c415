"""The events that Jetway sends out on runs and dead letters, made of ledger rows. Pure functions.

docs/events.md and docs/schemas/ describe them. What a row does not say is not in its event, so that an event that the
bus did not take can be sent again from the row alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.events.outgoing import LONGEST_TEXT, OutEvent

if TYPE_CHECKING:
    from jetway.airflow import DagState
    from jetway.ledger import Entry

# What is worth knowing of a run that was created: it is queued, and what would start it.
PAUSED = "queued behind a paused DAG"
STALE = "queued behind a DAG that is not in the environment"
DELETED = "its DAG was deleted in Airflow before the run began"

# Stable words for what keeps a run that was started from running.
REASONS: Mapping[str, str] = {PAUSED: "dag-paused", STALE: "dag-stale", DELETED: "dag-deleted"}

# detail-types of the events on a run's end, by its state.
END_TYPES: Mapping[str, str] = {"success": "DagRunSucceeded", "failed": "DagRunFailed"}

_STARTS_NOT: Mapping[str | None, str] = {
    PAUSED: "dag-paused: the DAG is paused. The run is queued until the DAG is unpaused.",
    STALE: "dag-stale: no file in the environment defines the DAG. The run is queued until its file is back.",
}
_BECAUSE: Mapping[DagState | None, str] = {"paused": PAUSED, "stale": STALE}


def because_of(state: DagState | None) -> str | None:
    """Return what a row says of a run that was created and is queued; None when nothing keeps it."""
    return _BECAUSE.get(state)


def why_queued(because: str | None) -> str | None:
    """Return why a queued run does not start, with a stable word before it; None when that is not known.

    Args:
        because: as a row has it (`because_of`).
    """
    return _STARTS_NOT.get(because)


def announcement(environment: str, entry: Entry) -> OutEvent:
    """Return the event on a decision: DagRunStarted or EventDeadLettered.

    Args:
        environment: name of the MWAA environment.
        entry: a row that says "started" or "dead-lettered".
    """
    if entry.decision == "started":
        detail = {
            **_common(environment, entry),
            "state": entry.state,
            "paused": entry.because == PAUSED,
            "stale": entry.because == STALE,
            "latency_seconds": entry.latency,
        }
        return OutEvent("DagRunStarted", id=f"{entry.id}#started", time=entry.decided_at, detail=detail)
    reason, _, error = (entry.because or "").partition(": ")
    detail = {**_common(environment, entry), "reason": reason, "error": error[:LONGEST_TEXT]}
    # A redriven event can become a dead letter again: that is another event, and another message.
    id_ = f"{entry.id}#dead-lettered#{entry.message_id or ''}"
    return OutEvent("EventDeadLettered", id=id_, time=entry.decided_at, detail=detail)


def completion(
    environment: str, entry: Entry, *, state: str, start: datetime | None, end: datetime | None, now: datetime
) -> OutEvent:
    """Return the event on a run's end: DagRunSucceeded or DagRunFailed.

    Args:
        state: success or failed.
        start, end: as Airflow says, timezone-aware; None when the transport does not tell.
        now: when it was seen.
    """
    detail = {
        **_common(environment, entry),
        "state": state,
        "start_date": start.isoformat() if start else None,
        "end_date": end.isoformat() if end else None,
        "duration_seconds": (end - start).total_seconds() if start and end else None,
    }
    id_ = end_id(entry.dag_id or "", entry.dag_run_id or "", state)
    return OutEvent(END_TYPES[state], id=id_, time=end or now, detail=detail)


def end_id(dag_id: str, dag_run_id: str, state: str) -> str:
    """Return the id of the event on a run's end: one, whoever has seen it and whoever had started the run.

    >>> end_id("orders", "scheduled__2026-11-30T04:00:00+00:00", "failed")
    'run#orders#scheduled__2026-11-30T04:00:00+00:00#failed'
    """
    return f"run#{dag_id}#{dag_run_id}#{state}"


def never_ran(environment: str, entry: Entry, *, because: str, now: datetime) -> OutEvent:
    """Return the event on a run that was started and does not run: DagRunBlocked.

    Args:
        because: PAUSED, STALE or DELETED.
        now: when it was seen.
    """
    reason = REASONS[because]
    detail = {**_common(environment, entry), "reason": reason, "error": because}
    return OutEvent("DagRunBlocked", id=f"{entry.id}#blocked#{reason}", time=now, detail=detail)


def _common(environment: str, entry: Entry) -> dict[str, Any]:
    return {
        "environment": environment,
        "trigger": entry.trigger,
        "kind": entry.kind,
        "identity": list(entry.identity),
        "dag_id": entry.dag_id,
        "dag_run_id": entry.dag_run_id,
        "batch_id": entry.batch_id,
        "event_time": entry.occurred_at.isoformat() if entry.occurred_at else None,
        "decided_at": entry.decided_at.isoformat(),
        "chain": entry.chain,
        "by": dict(entry.by),
    }
