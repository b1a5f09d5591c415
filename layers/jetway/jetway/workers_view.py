"""The workers of the last hour, as rows with sparklines: what `jetway workers` prints. Pure but for `ask_view`.

found = ask_view(cloudwatch, "prod", now)
view = workers_view(found, now=now)
view.verdict, view.rows[0].label, view.rows[0].value, view.rows[0].sparkline
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.worker_metrics import FRESH, Series, series
from jetway.workers import VERDICT_CODES

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

HOUR = timedelta(hours=1)
_BARS = "▁▂▃▄▅▆▇█"

# Metric → label and unit, in the order of the rows.
ROWS: Mapping[str, tuple[str, str]] = {
    "RequiredWorkers": ("workers required", ""),
    "RunningWorkers": ("workers running", ""),
    "WorkerShortfall": ("workers missing", ""),
    "IdleWorkers": ("workers idle", ""),
    "ScalingHeadroom": ("workers left below MaxWorkers", ""),
    "WorkerUtilization": ("task slots taken", "%"),
    "BacklogPerWorker": ("queued tasks per worker", ""),
    "QueueWait": ("oldest task waits", "s"),
    "EstimatedDrainTime": ("queue is done in", "s"),
    "DispatchQueueAge": ("oldest event waits", "s"),
    "DeadLetters": ("dead letters", ""),
    "WorkerCostPerHour": ("additional workers cost by the hour", "$"),
}
_VERDICT, _LOW, _HIGH = "Verdict", "MinWorkers", "MaxWorkers"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: the newest value in words ("-" without a fresh one), and a character per minute."""

    metric: str
    label: str
    value: str
    sparkline: str


@dataclass(frozen=True, slots=True)
class WorkersView:
    """What is shown.

    Attributes:
        verdict: the newest one, or "unknown".
        verdicts: how many minutes each verdict held, the longest first.
        measured_at: minute of the newest measurement; None when there was none.
        bounds: MinWorkers and MaxWorkers; None without data.
    """

    verdict: str
    verdicts: tuple[tuple[str, int], ...]
    measured_at: datetime | None
    bounds: tuple[int, int] | None
    rows: tuple[Row, ...]


def view_queries(environment: str) -> list[MetricDataQueryTypeDef]:
    """Return the queries of GetMetricData for `workers_view`; an id is the metric's name, begun in lower case."""
    return [
        {
            "Id": _id(name),
            "MetricStat": {
                "Metric": {
                    "Namespace": "Jetway",
                    "MetricName": name,
                    "Dimensions": [{"Name": "Environment", "Value": environment}],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        for name in (*ROWS, _VERDICT, _LOW, _HIGH)
    ]


def ask_view(
    cloudwatch: CloudWatchClient, environment: str, now: datetime, length: timedelta = HOUR
) -> dict[str, Series]:
    """Ask CloudWatch for what `workers_view` shows.

    Raises:
        ClientError, BotoCoreError: CloudWatch does not answer.
    """
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=view_queries(environment), StartTime=now - length, EndTime=now + timedelta(minutes=1)
    )
    return series(answer["MetricDataResults"])


def workers_view(found: Mapping[str, Series], *, now: datetime, length: timedelta = HOUR) -> WorkersView:
    """Make the view of what was found.

    Args:
        found: series by the ids of `view_queries`.
        now: timezone-aware.
    """
    this_minute = now.replace(second=0, microsecond=0)
    count = int(length.total_seconds() // 60)
    minutes = [this_minute - timedelta(minutes=ago) for ago in range(count - 1, -1, -1)]
    words = {code: verdict for verdict, code in VERDICT_CODES.items()}
    codes = found.get(_id(_VERDICT), {})
    held: dict[str, int] = {}
    for minute in minutes:
        if minute in codes:
            word = words.get(round(codes[minute]), "unknown")
            held[word] = held.get(word, 0) + 1
    newest = _newest(codes, now)
    low, high = _newest(found.get(_id(_LOW), {}), now), _newest(found.get(_id(_HIGH), {}), now)
    measured = [at for name in (_VERDICT, _HIGH) for at in found.get(_id(name), {})]
    return WorkersView(
        verdict="unknown" if newest is None else words.get(round(newest), "unknown"),
        verdicts=tuple(sorted(held.items(), key=lambda item: (-item[1], item[0]))),
        measured_at=max(measured, default=None),
        bounds=None if low is None or high is None else (round(low), round(high)),
        rows=tuple(
            Row(
                name,
                label,
                _text(_newest(found.get(_id(name), {}), now), unit),
                sparkline([found.get(_id(name), {}).get(minute) for minute in minutes]),
            )
            for name, (label, unit) in ROWS.items()
        ),
    )


def sparkline(values: Sequence[float | None]) -> str:
    """Draw values as bars from the lowest to the highest, 0 being the lowest at least; a gap is a space.

    >>> sparkline([0, 2, None, 7])
    '▁▃ █'
    """
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = high - low
    return "".join(" " if value is None else _bar(value - low, span) for value in values)


def _bar(above: float, span: float) -> str:
    return _BARS[round(above / span * (len(_BARS) - 1))] if span else _BARS[0]


def _text(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s" and value >= 120:
        return f"{value / 60:.0f} min"
    number = f"{value:.2f}" if unit == "$" else f"{value:.1f}".removesuffix(".0")
    return f"{number} {unit}".strip()


def _newest(values: Mapping[datetime, float], now: datetime) -> float | None:
    fresh: Iterable[datetime] = [at for at in values if now - FRESH <= at <= now]
    return values[max(fresh)] if fresh else None


def _id(name: str) -> str:
    """GetMetricData wants an id to begin in lower case."""
    return name[0].lower() + name[1:]
