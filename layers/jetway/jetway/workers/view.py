"""The last hour of workers, events, artifacts and costs, as rows with sparklines: what `jetway workers` prints.

It shows what the dashboard shows, from the same metrics. Pure but for `ask_view`.

found = ask_view(cloudwatch, "prod", now)
view = workers_view(found, now=now)
view.verdict, view.rows[0].label, view.rows[0].value, view.rows[0].sparkline
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from jetway.workers.assessment import VERDICT_CODES
from jetway.workers.metrics import FRESH, PERIOD, Series, series, window

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

MINUTES = 60
HOUR = timedelta(minutes=MINUTES)
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
MOST_QUERIES = 500
_BARS = "▁▂▃▄▅▆▇█"

Group = Literal["workers", "events", "artifacts", "costs"]
# What stands in the column of values: the newest fresh one, the newest of the hour, or the hour's sum.
Shown = Literal["now", "newest", "sum"]


@dataclass(frozen=True, slots=True)
class ViewRow:
    """How a metric becomes a row; those of namespace AWS/MWAA are MWAA's own."""

    id: str
    metric: str
    label: str
    unit: str = ""
    stat: str = "Maximum"
    shown: Shown = "now"
    group: Group = "workers"
    namespace: str = "Jetway"
    cluster: str = ""


MWAA, BASE, MORE = "AWS/MWAA", "BaseWorker", "AdditionalWorker"
LINES: Sequence[ViewRow] = (
    ViewRow("required", "RequiredWorkers", "workers required"),
    ViewRow("running", "RunningWorkers", "workers running"),
    ViewRow("missing", "WorkerShortfall", "workers missing"),
    ViewRow("idle", "IdleWorkers", "workers idle"),
    ViewRow("headroom", "ScalingHeadroom", "workers left below MaxWorkers"),
    ViewRow("utilization", "WorkerUtilization", "task slots taken", "%"),
    ViewRow("backlog", "BacklogPerWorker", "queued tasks per worker"),
    ViewRow("tasks_running", "RunningTasks", "tasks running", namespace=MWAA),
    ViewRow("tasks_queued", "QueuedTasks", "tasks queued", namespace=MWAA),
    ViewRow("tasks_to_come", "TasksToCome", "tasks of events without a run"),
    ViewRow("base_cpu", "CPUUtilization", "CPU, base workers", "%", "Average", namespace=MWAA, cluster=BASE),
    ViewRow("base_memory", "MemoryUtilization", "memory, base workers", "%", "Average", namespace=MWAA, cluster=BASE),
    ViewRow("more_cpu", "CPUUtilization", "CPU, additional workers", "%", "Average", namespace=MWAA, cluster=MORE),
    ViewRow(
        "more_memory", "MemoryUtilization", "memory, additional workers", "%", "Average", namespace=MWAA, cluster=MORE
    ),
    ViewRow("queue_wait", "QueueWait", "oldest task waits", "s"),
    ViewRow("drain", "EstimatedDrainTime", "queue is done in", "s"),
    ViewRow("latency_p50", "DispatchLatency", "event to run, p50", "s", "p50", "newest", "events"),
    ViewRow("latency_p95", "DispatchLatency", "event to run, p95", "s", "p95", "newest", "events"),
    ViewRow("latency_p99", "DispatchLatency", "event to run, p99", "s", "p99", "newest", "events"),
    ViewRow("started", "DagRunsStarted", "runs started", "", "Sum", "sum", "events"),
    ViewRow("duplicate", "DagRunsDuplicate", "events that arrived again", "", "Sum", "sum", "events"),
    ViewRow("held", "EventsHeld", "events held", "", "Sum", "sum", "events"),
    ViewRow("behind_paused", "RunsBehindPausedDag", "runs queued behind a paused DAG", "", "Sum", "sum", "events"),
    ViewRow("behind_stale", "RunsBehindStaleDag", "runs queued behind a stale DAG", "", "Sum", "sum", "events"),
    ViewRow("dead_lettered", "EventsDeadLettered", "events dead-lettered", "", "Sum", "sum", "events"),
    ViewRow("event_wait", "DispatchQueueAge", "oldest event waits", "s", group="events"),
    ViewRow("work_wait", "WorkQueueAge", "oldest other message waits", "s", group="events"),
    ViewRow("dead_letters", "DeadLetters", "messages in dead letters", group="events"),
    ViewRow("errors", "FunctionErrors", "errors of functions", group="events"),
    ViewRow("throttles", "FunctionThrottles", "throttles of functions", group="events"),
    ViewRow("promoted", "ArtifactsPromoted", "artifacts promoted", "", "Sum", "sum", "artifacts"),
    ViewRow("rejected", "ArtifactsRejected", "artifacts rejected", "", "Sum", "sum", "artifacts"),
    ViewRow("verified", "ArtifactsVerified", "artifacts that work", "", "Sum", "sum", "artifacts"),
    ViewRow("never_appeared", "ArtifactsNeverAppeared", "artifacts that never appeared", "", "Sum", "sum", "artifacts"),
    ViewRow("rolled_back", "ArtifactsRolledBack", "artifacts rolled back", "", "Sum", "sum", "artifacts"),
    ViewRow("cost_per_hour", "WorkerCostPerHour", "additional workers, by the hour", "$", group="costs"),
    ViewRow("advised_cost", "AdvisedCostPerMonth", "what is advised, by the month", "$", group="costs"),
)
_BY_TRIGGER: Mapping[str, str] = {
    "started": "DagRunsStarted",
    "duplicate": "DagRunsDuplicate",
    "dead_lettered": "EventsDeadLettered",
}
# What each verdict asks for, in few words; measure_workers' log line has the numbers with it.
REMEDIES: Mapping[str, str] = {
    "unknown": "no fresh measurement; see the alarm no-measurement and the log of measure_workers",
    "healthy": "no task waits that workers could take",
    "over-provisioned": "fewer workers are enough: lower MinWorkers",
    "scaling": "MWAA is starting workers",
    "bounded-by-parallelism": "more workers do not help: raise core.parallelism",
    "bounded-by-pool": "more workers do not help: give the pool more slots",
    "bounded-by-max-workers": "more workers help: raise MaxWorkers (mw1.micro: use a larger class)",
    "worker-overloaded": (
        "more workers do not help: use fewer tasks per worker, a larger class, or replace unhealthy "
        "workers (mwaa.worker_replacement_threshold_seconds)"
    ),
    "stalled": "more workers do not help: see the worker logs, and mwaa.worker_replacement_threshold_seconds",
}
_STATE = {"verdict": "Verdict", "lowest": "MinWorkers", "highest": "MaxWorkers"}


@dataclass(frozen=True, slots=True)
class ViewMetrics:
    """What CloudWatch knows.

    Attributes:
        values: series by the ids of `view_queries`.
        triggers: triggers that had an event, in the order of the queries.
    """

    values: Mapping[str, Series] = field(default_factory=dict)
    triggers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One metric.

    Attributes:
        value: None without a fresh one.
        shown: whether `value` is of now, the newest of the hour, or the hour's sum.
        text: the value in words; "-" for None.
        sparkline: a character per minute.
        minutes: the values by minute, oldest first; None: no data.
    """

    metric: str
    stat: str
    label: str
    group: Group
    value: float | None
    unit: str
    shown: Shown
    text: str
    sparkline: str
    minutes: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """What became of the events of one trigger in the hour."""

    trigger: str
    started: int
    duplicate: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class WorkersView:
    """What is shown.

    Attributes:
        verdict: the newest one, or "unknown".
        remedy: what it asks for.
        verdicts: how many minutes each verdict held, the longest first.
        timeline: a character per minute, the higher, the worse.
        measured_at: minute of the newest measurement; None when there was none.
        bounds: MinWorkers and MaxWorkers; None without data.
        triggers: those that had an event in the hour, by name.
    """

    verdict: str
    remedy: str
    verdicts: tuple[tuple[str, int], ...]
    timeline: str
    measured_at: datetime | None
    bounds: tuple[int, int] | None
    rows: tuple[Row, ...]
    triggers: tuple[TriggerRow, ...]


def view_queries(environment: str, triggers: Sequence[str] = ()) -> list[MetricDataQueryTypeDef]:
    """Return the queries of GetMetricData for `workers_view`."""
    own = {"Environment": environment}
    queries = [
        _query(
            line.id, line.metric, line.stat, {"Cluster": line.cluster, **own} if line.cluster else own, line.namespace
        )
        for line in LINES
    ]
    queries += [_query(id_, metric, "Maximum", own) for id_, metric in _STATE.items()]
    for number, trigger in enumerate(triggers):
        for id_, metric in _BY_TRIGGER.items():
            queries.append(_query(f"{id_}_{number}", metric, "Sum", {**own, "Trigger": trigger}))
    return queries


def ask_view(cloudwatch: CloudWatchClient, environment: str, now: datetime, *, recent: bool = True) -> ViewMetrics:
    """Ask CloudWatch for what `workers_view` shows.

    Args:
        recent: whether `now` is the present. CloudWatch then names the triggers of three hours only, not of weeks.

    Raises:
        ClientError, BotoCoreError: CloudWatch does not answer.
    """
    names: set[str] = set()
    asked: dict[str, Any] = {
        "Namespace": "Jetway",
        "Dimensions": [{"Name": "Environment", "Value": environment}, {"Name": "Trigger"}],
        **({"RecentlyActive": "PT3H"} if recent else {}),
    }
    for page in cloudwatch.get_paginator("list_metrics").paginate(**asked):
        for metric in page["Metrics"]:
            names |= {one["Value"] for one in metric["Dimensions"] if one["Name"] == "Trigger"}
    triggers = sorted(names)
    queries = view_queries(environment, triggers)
    start, end = window(now, HOUR)
    values: dict[str, Series] = {}
    for begin in range(0, len(queries), MOST_QUERIES):
        some = queries[begin : begin + MOST_QUERIES]
        answer = cloudwatch.get_metric_data(MetricDataQueries=some, StartTime=start, EndTime=end)
        values |= series(answer["MetricDataResults"])
    return ViewMetrics(values, triggers)


def workers_view(found: ViewMetrics, *, now: datetime) -> WorkersView:
    """Make the view of what was found.

    Args:
        now: timezone-aware.
    """
    this_minute = now.replace(second=0, microsecond=0)
    minutes = [this_minute - timedelta(seconds=PERIOD * ago) for ago in range(MINUTES - 1, -1, -1)]
    words: dict[int, str] = {code: word for word, code in VERDICT_CODES.items()}
    codes = found.values.get("verdict", {})
    held: dict[str, int] = {}
    for minute in minutes:
        if minute in codes:
            word = words.get(round(codes[minute]), "unknown")
            held[word] = held.get(word, 0) + 1
    newest = _newest(codes, now, FRESH)
    low, high = (_newest(found.values.get(id_, {}), now, FRESH) for id_ in ("lowest", "highest"))
    measured = [at for id_ in ("verdict", "highest") for at in found.values.get(id_, {})]
    verdict = "unknown" if newest is None else words.get(round(newest), "unknown")
    return WorkersView(
        verdict=verdict,
        remedy=REMEDIES[verdict],
        verdicts=tuple(sorted(held.items(), key=lambda item: (-item[1], item[0]))),
        timeline="".join(_bar(codes.get(minute), 0, max(VERDICT_CODES.values())) for minute in minutes),
        measured_at=max(measured, default=None),
        bounds=None if low is None or high is None else (round(low), round(high)),
        rows=tuple(_row(line, found.values.get(line.id, {}), minutes, now) for line in LINES),
        triggers=tuple(_trigger_rows(found, minutes)),
    )


def workers_json(view: WorkersView) -> dict[str, Any]:
    """Return the view as JSON has it, its time in ISO 8601."""
    return asdict(view) | {"measured_at": view.measured_at.isoformat() if view.measured_at else None}


def sparkline(values: Sequence[float | None]) -> str:
    """Draw values as bars from the lowest to the highest, 0 being the lowest at least; a gap is a space.

    >>> sparkline([0, 2, None, 7])
    '▁▃ █'
    """
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    return "".join(_bar(value, low, high) for value in values)


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    return _BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] if high > low else _BARS[0]


def _row(line: ViewRow, values: Series, minutes: Sequence[datetime], now: datetime) -> Row:
    by_minute = tuple(values.get(minute) for minute in minutes)
    if line.shown == "sum":
        known = [value for value in by_minute if value is not None]
        value = sum(known) if known else None
    else:
        value = _newest(values, now, FRESH if line.shown == "now" else HOUR)
    return Row(
        metric=line.metric,
        stat=line.stat,
        label=line.label,
        group=line.group,
        value=value,
        unit=line.unit,
        shown=line.shown,
        text=_text(value, line.unit),
        sparkline=sparkline(by_minute),
        minutes=by_minute,
    )


def _trigger_rows(found: ViewMetrics, minutes: Sequence[datetime]) -> Iterable[TriggerRow]:
    for number, trigger in enumerate(found.triggers):
        counts = {
            id_: round(sum(found.values.get(f"{id_}_{number}", {}).get(minute, 0.0) for minute in minutes))
            for id_ in _BY_TRIGGER
        }
        if any(counts.values()):
            yield TriggerRow(trigger, **counts)


def _text(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s" and value >= 120:
        return f"{value / 60:.0f} min"
    number = f"{value:.2f}" if unit == "$" else f"{value:.1f}".removesuffix(".0")
    return f"{number} {unit}".strip()


def _newest(values: Series, now: datetime, fresh: timedelta) -> float | None:
    known: Iterable[datetime] = [at for at in values if now - fresh <= at <= now]
    return values[max(known)] if known else None


def _query(
    id_: str, metric: str, stat: str, dimensions: Mapping[str, str], namespace: str = "Jetway"
) -> MetricDataQueryTypeDef:
    return {
        "Id": id_,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": PERIOD,
            "Stat": stat,
        },
    }
