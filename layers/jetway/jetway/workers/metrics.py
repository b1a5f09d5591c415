"""What CloudWatch is asked about the workers, all in one GetMetricData, and what its answer says.

Names and dimensions of MWAA's metrics:
https://docs.aws.amazon.com/mwaa/latest/userguide/accessing-metrics-cw-container-queue-db.html (namespace AWS/MWAA)
https://docs.aws.amazon.com/mwaa/latest/userguide/access-metrics-cw.html (namespace AmazonMWAA: Airflow's own, which
users can block with metrics.metrics_block_list)

QueuedTasks and RunningTasks exist in both namespaces; MWAA scales by those of AWS/MWAA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.workers.assessment import DOES_NOT_SCALE, Minute, Pool, Readings

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricDataResultTypeDef

PERIOD = 60  # seconds: the count of workers is only right in periods of a minute
WINDOW = timedelta(minutes=15)
# A gauge that is sent every five minutes and arrives a minute late still counts; older is no news.
FRESH = timedelta(minutes=6)
# Lambda's and SQS's metrics come up to minutes late: a sum over some minutes sees every error, and repeats it.
RECENT = timedelta(minutes=5)
RATE_WINDOW = timedelta(minutes=10)

Series = Mapping[datetime, float]


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose metrics are asked for.

    Attributes:
        environment: name of the MWAA environment.
        pools: Airflow pools whose slots are looked at.
        queues: SQS queues of events that wait for their run; their oldest message is looked at.
        work_queues: all other SQS queues that something should be read from; the same.
        dead_letters: SQS queues that should be empty.
        functions: Lambda functions whose errors and throttles are counted.
        readers: those of them that read a queue, whose invocations Lambda may drop as a loop.
        environment_class: of the environment.
    """

    environment: str
    pools: Sequence[str] = ()
    queues: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    functions: Sequence[str] = ()
    work_queues: Sequence[str] = ()
    readers: Sequence[str] = ()
    environment_class: str = "mw1.small"

    @property
    def second_cluster(self) -> str:
        """The cluster that has workers beside BaseWorker.

        In mw1.micro scheduler and worker are one container, and there are no additional workers. Which cluster its
        metrics name is not documented: so both are asked for, and the one that has data counts.
        """
        return "Scheduler" if self.environment_class in DOES_NOT_SCALE else "AdditionalWorker"


@dataclass(frozen=True, slots=True)
class Operations:
    """How Jetway itself does. None: no data.

    Attributes:
        queue_age: seconds that the oldest event has waited for its run.
        work_queue_age: seconds that the oldest message of any other queue has waited.
        dead_letters: messages in all dead-letter queues.
        errors, throttles: of all functions in the last minutes; invocations that Lambda dropped as a loop are errors.
    """

    queue_age: float | None = None
    dead_letters: float | None = None
    errors: float | None = None
    throttles: float | None = None
    work_queue_age: float | None = None


@dataclass(frozen=True, slots=True)
class _Metric:
    id: str
    namespace: str
    name: str
    stat: str
    dimensions: Mapping[str, str]


def metric_queries(watched: Watched) -> list[MetricDataQueryTypeDef]:
    """Return the queries of one GetMetricData call (at most 500).

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
    """
    return [
        {
            "Id": metric.id,
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                },
                "Period": PERIOD,
                "Stat": metric.stat,
            },
        }
        for metric in _metrics(watched)
    ]


def window(now: datetime, length: timedelta = WINDOW) -> tuple[datetime, datetime]:
    """The time to ask for: whole minutes, the current one included."""
    this_minute = _minute(now)
    return this_minute - length, this_minute + timedelta(minutes=1)


def series(results: Iterable[MetricDataResultTypeDef]) -> dict[str, Series]:
    """Bring an answer into the form {id: {minute: value}}."""
    found: dict[str, Series] = {}
    for result in results:
        points = zip(result["Timestamps"], result["Values"], strict=True)
        found[result["Id"]] = {**found.get(result["Id"], {}), **dict(points)}
    return found


def readings(found: Mapping[str, Series], watched: Watched, now: datetime, length: timedelta = WINDOW) -> Readings:
    """Say what the answer says of workers and tasks; what is missing or too old is None."""
    oldest = _newest(found.get("oldest"), now)
    queued = _newest(found.get("queued"), now)
    if queued == 0 and oldest is None:
        oldest = 0.0  # a queue without messages has no oldest one
    history = tuple(_history(found, watched, now, length))
    return Readings(
        running=_newest(found.get("running"), now),
        queued=queued,
        oldest=oldest,
        workers=_workers(found, watched, now),
        cpu=_most(_newest(found.get(f"{cluster}_cpu"), now) for cluster in ("base", "additional")),
        memory=_most(_newest(found.get(f"{cluster}_memory"), now) for cluster in ("base", "additional")),
        open_slots=_newest(found.get("open"), now),
        starving=_newest(found.get("starving"), now),
        completed_per_minute=_rate((found.get("succeeded"), found.get("failed")), now),
        pools=tuple(
            Pool(
                name,
                open=_newest(found.get(f"pool_open_{number}"), now),
                queued=_newest(found.get(f"pool_queued_{number}"), now),
                starving=_newest(found.get(f"pool_starving_{number}"), now),
            )
            for number, name in enumerate(watched.pools)
        ),
        history=history,
    )


def operations(found: Mapping[str, Series], watched: Watched, now: datetime) -> Operations:
    """Say how Jetway itself does."""

    def each(kind: str, count: int) -> list[Series | None]:
        return [found.get(f"{kind}_{number}") for number in range(count)]

    dead = [_newest(values, now) for values in each("dead", len(watched.dead_letters))]
    functions = len(watched.functions)
    return Operations(
        queue_age=_most(_newest(values, now) for values in each("age", len(watched.queues))),
        work_queue_age=_most(_newest(values, now) for values in each("work_age", len(watched.work_queues))),
        dead_letters=_sum(dead),
        errors=_sum(
            _recent(values, now) for values in (*each("errors", functions), *each("loops", len(watched.readers)))
        ),
        throttles=_sum(_recent(values, now) for values in each("throttles", functions)),
    )


def _metrics(watched: Watched) -> Iterator[_Metric]:
    environment = {"Environment": watched.environment}
    for id_, name in (
        ("running", "RunningTasks"),
        ("queued", "QueuedTasks"),
        ("oldest", "ApproximateAgeOfOldestTask"),
    ):
        yield _Metric(id_, "AWS/MWAA", name, "Maximum", environment)
    for id_, cluster in (("base", "BaseWorker"), ("additional", watched.second_cluster)):
        dimensions = {"Cluster": cluster, **environment}
        yield _Metric(f"{id_}_count", "AWS/MWAA", "CPUUtilization", "SampleCount", dimensions)
        yield _Metric(f"{id_}_cpu", "AWS/MWAA", "CPUUtilization", "Average", dimensions)
        yield _Metric(f"{id_}_memory", "AWS/MWAA", "MemoryUtilization", "Average", dimensions)
    yield _Metric("open", "AmazonMWAA", "OpenSlots", "Minimum", {"Function": "Executor", **environment})
    yield _Metric("starving", "AmazonMWAA", "TasksStarving", "Maximum", {"Function": "Scheduler", **environment})
    for id_, name in (("succeeded", "TaskInstanceSuccesses"), ("failed", "TaskInstanceFailures")):
        yield _Metric(id_, "AmazonMWAA", name, "Sum", {"DAG": "All", "Task": "All", **environment})
    for number, pool in enumerate(watched.pools):
        dimensions = {"Pool": pool, **environment}
        yield _Metric(f"pool_open_{number}", "AmazonMWAA", "PoolOpenSlots", "Minimum", dimensions)
        yield _Metric(f"pool_queued_{number}", "AmazonMWAA", "PoolQueuedSlots", "Maximum", dimensions)
        yield _Metric(f"pool_starving_{number}", "AmazonMWAA", "PoolStarvingTasks", "Maximum", dimensions)
    for id_, queues in (("age", watched.queues), ("work_age", watched.work_queues)):
        for number, queue in enumerate(queues):
            dimensions = {"QueueName": queue}
            yield _Metric(f"{id_}_{number}", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", dimensions)
    for number, queue in enumerate(watched.dead_letters):
        yield _Metric(
            f"dead_{number}", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", {"QueueName": queue}
        )
    for number, function in enumerate(watched.functions):
        yield _Metric(f"errors_{number}", "AWS/Lambda", "Errors", "Sum", {"FunctionName": function})
        yield _Metric(f"throttles_{number}", "AWS/Lambda", "Throttles", "Sum", {"FunctionName": function})
    for number, function in enumerate(watched.readers):
        # https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
        name = "RecursiveInvocationsDropped"
        yield _Metric(f"loops_{number}", "AWS/Lambda", name, "Sum", {"FunctionName": function})


def _workers(found: Mapping[str, Series], watched: Watched, now: datetime) -> int | None:
    """Count the workers by the newest two whole minutes, and take the greater: samples may come late.

    The current minute is left out: its samples are still coming. No sample of AdditionalWorker means none.
    """
    counts = []
    for ago in range(1, 1 + int(FRESH.total_seconds() // PERIOD)):
        count = _count(found, watched, _minute(now) - timedelta(seconds=ago * PERIOD))
        if count is not None:
            counts.append(count)
    return max(counts[:2], default=None)


def _count(found: Mapping[str, Series], watched: Watched, minute: datetime) -> int | None:
    counts = [found.get(f"{cluster}_count", {}).get(minute) for cluster in ("base", "additional")]
    known = [count for count in counts if count is not None]
    if watched.environment_class in DOES_NOT_SCALE:
        known = known[:1]  # the same container, under either name
    return round(sum(known)) if known else None


def _history(found: Mapping[str, Series], watched: Watched, now: datetime, length: timedelta) -> Iterator[Minute]:
    """Every minute of the window, oldest first, the current one included; gauges hold until they are stale."""
    start, end = window(now, length)
    minute = start
    while minute < end:
        at = min(minute + timedelta(seconds=PERIOD), now)
        yield Minute(
            _newest(found.get("running"), at), _newest(found.get("queued"), at), _count(found, watched, minute)
        )
        minute += timedelta(seconds=PERIOD)


def _newest(values: Series | None, now: datetime) -> float | None:
    """The newest value that is fresh at that time."""
    fresh = [at for at in values or () if now - FRESH <= at <= now]
    return None if not fresh or values is None else values[max(fresh)]


def _recent(values: Series | None, now: datetime) -> float | None:
    if values is None or not values:
        return None
    return sum(value for at, value in values.items() if now - RECENT < at <= now)


def _rate(all_values: Iterable[Series | None], now: datetime) -> float | None:
    """Per minute, over the last whole minutes; None when nothing was ever counted in the window."""
    known = [values for values in all_values if values]
    if not known:
        return None
    end = _minute(now)
    total = sum(value for values in known for at, value in values.items() if end - RATE_WINDOW <= at < end)
    return total / (RATE_WINDOW.total_seconds() / 60)


def _minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def ask(cloudwatch: Any, watched: Watched, now: datetime, length: timedelta = WINDOW) -> dict[str, Series]:
    """Ask CloudWatch, in one call: the answer's limit of 100,800 values is far away.

    Raises:
        ClientError, BotoCoreError: CloudWatch does not answer.
    """
    start, end = window(now, length)
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=metric_queries(watched), StartTime=start, EndTime=end, ScanBy="TimestampAscending"
    )
    return series(answer["MetricDataResults"])
