"""Metrics of dispatching, for the environment and for each trigger.

CloudWatch bills every combination of dimensions as one metric while it gets data. A stack has at most some hundred
triggers, each with the metrics below; a DAG or a run id is never a dimension. The parameter MetricsByTrigger turns the
trigger's own metrics off; those of the environment, on which alarms stand, are always there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from jetway.dispatch.chains import is_stopped
from jetway.dispatch.run_events import PAUSED, STALE
from jetway.observability import metrics

if TYPE_CHECKING:
    from jetway.ledger import Entry

COUNTED = {
    "started": "DagRunsStarted",
    "duplicate": "DagRunsDuplicate",
    "skipped": "EventsSkipped",
    "waiting": "EventsWaiting",
    "held": "EventsHeld",
    "dead-lettered": "EventsDeadLettered",
}
QUEUED_BEHIND = {PAUSED: "RunsBehindPausedDag", STALE: "RunsBehindStaleDag"}
BY_TRIGGER = frozenset({"started", "duplicate", "dead-lettered"})


def count(entry: Entry, *, environment: str, by_trigger: bool) -> None:
    """Count one decision, and write that down at once: a function that is killed has lost nothing of those before.

    Args:
        environment: name of the MWAA environment.
        by_trigger: whether the trigger gets metrics of its own.
    """
    found: list[tuple[str, MetricUnit, float]] = []
    if entry.decision in COUNTED:
        found.append((COUNTED[entry.decision], MetricUnit.Count, 1))
    if entry.decision == "started" and entry.latency is not None:
        found.append(("DispatchLatency", MetricUnit.Seconds, entry.latency))
    if entry.decision == "started" and entry.because in QUEUED_BEHIND:
        found.append((QUEUED_BEHIND[entry.because], MetricUnit.Count, 1))
    if is_stopped(entry.because):
        found.append(("ChainsStopped", MetricUnit.Count, 1))
    for name, unit, value in found:
        metrics.add_metric(name, unit, value)
        if by_trigger and entry.decision in BY_TRIGGER:
            dimensions = {"Environment": environment, "Trigger": entry.trigger}
            with single_metric(name, unit, value, default_dimensions=dimensions) as of_trigger:
                of_trigger.service = ""  # would be one more dimension
    if found:
        metrics.flush_metrics()
