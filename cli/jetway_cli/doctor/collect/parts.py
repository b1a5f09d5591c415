"""Functions and queues that the template makes, and what CloudWatch counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from jetway_cli.doctor.asking import Desk, ask
from jetway_cli.doctor.collect.settings import function_settings, queue_settings
from jetway_cli.doctor.facts import Asked, FunctionSeen, QueueSeen, StackResource
from jetway_cli.errors import error_code


def function(desk: Desk, resource: StackResource) -> FunctionSeen:
    """Look at a function."""
    from botocore.exceptions import ClientError

    client = desk.client("lambda")
    try:
        found = client.get_function_configuration(FunctionName=resource.physical)
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
        return FunctionSeen(resource.logical, resource.physical, "gone", "", "", in_vpc=False)
    reserved = client.get_function_concurrency(FunctionName=resource.physical).get("ReservedConcurrentExecutions")
    return FunctionSeen(
        logical=resource.logical,
        name=resource.physical,
        state=found.get("State", "Active"),
        update=found.get("LastUpdateStatus", "Successful"),
        role=found["Role"],
        in_vpc=bool((found.get("VpcConfig") or {}).get("SubnetIds")),
        reserved=reserved,
        settings=function_settings(desk, resource.physical, found, reserved),
    )


def queue(desk: Desk, resource: StackResource, now: datetime) -> QueueSeen:
    """Look at a queue: how many messages wait, and for how long."""
    from botocore.exceptions import ClientError

    name, sqs = resource.physical.rpartition("/")[2], desk.client("sqs")
    try:
        told = sqs.get_queue_attributes(QueueUrl=resource.physical, AttributeNames=["All"])["Attributes"]
    except ClientError as exc:
        if error_code(exc) not in _NO_QUEUE:
            raise
        return QueueSeen(resource.logical, name, None, Asked(None))
    age = ask("cloudwatch:GetMetricData", lambda: age_of(desk, name, now))
    waiting, in_work = (int(told.get(f"ApproximateNumberOfMessages{which}", 0)) for which in ("", "NotVisible"))
    return QueueSeen(resource.logical, name, waiting, age, in_work, queue_settings(told))


_NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})


def age_of(desk: Desk, queue_name: str, now: datetime) -> float | None:
    """Return the seconds that the oldest message has waited, as SQS says it now and then; None for no number."""
    return newest(desk, "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": queue_name}, now, minutes=15)


def newest(
    desk: Desk,
    namespace: str,
    metric: str,
    dimensions: dict[str, str],
    now: datetime,
    *,
    minutes: int,
    statistic: str = "Maximum",
    period: int = 60,
) -> float | None:
    """Return the newest value of a metric in the last minutes, or None."""
    values = history(desk, namespace, metric, dimensions, now, minutes=minutes, statistic=statistic, period=period)
    return values[0] if values else None


def history(
    desk: Desk,
    namespace: str,
    metric: str,
    dimensions: dict[str, str],
    now: datetime,
    *,
    minutes: int,
    statistic: str = "Maximum",
    period: int = 60,
) -> list[float]:
    """Return the values of a metric in the last minutes, the newest first."""
    of = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    stat = {"Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": of}, "Stat": statistic}
    answer = desk.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {**stat, "Period": period}}],
        StartTime=now - timedelta(minutes=minutes),
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    values: list[float] = answer["MetricDataResults"][0]["Values"]
    return values


def known(*answers: Asked[Any]) -> Asked[tuple[Any, ...]]:
    """Put answers together; the first that is missing is the answer of all."""
    for asked in answers:
        if not asked.known:
            return Asked(denied=asked.denied, trouble=asked.trouble)
    return Asked(tuple(asked.value for asked in answers))
