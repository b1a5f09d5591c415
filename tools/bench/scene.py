"""The scene of the load test: a bucket, rules that deliver every event three times, faults, and a count of runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import requests

from jetway.dispatch.run import bulk_lane
from tools import venvs
from tools.stack.calls import TooLateError, airflow_api, let_send, wait_for
from tools.stack.deploy import STACK_NAME

if TYPE_CHECKING:
    from tools.stack.stack import Stack

DELIVERIES = 3
PAGE = 100  # runs that Airflow lists at once
STILL = 15.0  # seconds that all queues must be empty: longer than anything is between two of them


@dataclass(slots=True)
class Result:
    """What came of one way of starting runs.

    Attributes:
        lost: events without a run.
        doubled: events with more than one run.
        surplus: runs too many.
        seconds: from the first put to the last run.
        faults: how often which fault struck.
        wrong: what else is wrong, in words.
    """

    way: str
    events: int
    runs: int
    lost: int
    doubled: int
    surplus: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def put_dags(stack: Stack, *dag_ids: str) -> None:
    """Drop DAGs that are the example under other ids, and pause them: a run is counted when it exists, not run."""
    for dag_id in dag_ids:
        source = (venvs.ROOT / "dags" / "hello_jetway.py").read_text().replace("hello_jetway", dag_id)
        key = f"dags/{dag_id}.py"
        stack.client("s3").put_object(Bucket=stack.outputs["DropBucketName"], Key=key, Body=source.encode())
    for dag_id in dag_ids:
        wait_for("the DAG in Airflow", partial(airflow_api, stack, "GET", f"/dags/{dag_id}"), seconds=120)
        airflow_api(stack, "PATCH", f"/dags/{dag_id}", Body={"is_paused": True})


def make_rules(
    stack: Stack, bucket: str, queue_url: str, trigger: dict[str, Any], *, deliveries: int = DELIVERIES
) -> None:
    """Make a bucket whose every new object comes to the queue so many times, as different messages."""
    s3 = stack.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}
    add_rules(stack, bucket, queue_url, trigger, pattern, deliveries=deliveries)


def add_rules(
    stack: Stack,
    name: str,
    queue_url: str,
    trigger: dict[str, Any],
    pattern: dict[str, Any],
    *,
    deliveries: int = DELIVERIES,
) -> None:
    """Make rules that send every event of a pattern to the queue so many times, as different messages.

    They differ in a member that nobody reads, so that SQS's own deduplication does not make one of them.
    """
    events, sqs = stack.client("events"), stack.client("sqs")
    arn = let_send(sqs, queue_url, "events")
    for number in range(deliveries):
        template = f'{{"delivery": {number}, "trigger": {json.dumps(trigger)}, "event": <aws.events.event.json>}}'
        target: dict[str, Any] = {"Id": "queue", "Arn": arn, "InputTransformer": {"InputTemplate": template}}
        if queue_url.endswith(".fifo"):
            target["SqsParameters"] = {"MessageGroupId": bulk_lane(trigger["name"])}
        events.put_rule(Name=f"{name}-{number}", EventPattern=json.dumps(pattern))
        events.put_targets(Rule=f"{name}-{number}", Targets=[target])


def put_files(stack: Stack, bucket: str, count: int) -> set[str]:
    """Put so many objects, and return their keys."""
    s3 = stack.client("s3")
    keys = [f"incoming/{number:05}.csv" for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    return set(keys)


class Weather:
    """The faults of the gateway: answers lost after the run was made, 503 as often, and one update."""

    def __init__(self, stack: Stack, target: str, *, updating: float, probability: float = 0.1) -> None:
        self._stack = stack
        self._url = f"{stack.gateway_url}/_local/faults"
        self._counters = f"{stack.gateway_url}/_local/counters"
        self._target = target
        self._probability = probability
        self._updating = updating
        self._until = 0.0
        self._begun = 0
        self._before: Counter[str] = Counter()
        self._earlier: Counter[str] = Counter()

    def __enter__(self) -> Weather:
        self._until = time.monotonic() + self._updating
        self._before = self._get()
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        requests.delete(self._url, timeout=10, verify=self._stack.ca_bundle)

    def struck(self) -> dict[str, int]:
        """Return how often each fault struck since the beginning."""
        now = self._earlier + self._get()
        names = (f"{self._target}.busy", f"{self._target}.lose_answer")
        return {name: now[name] - self._before[name] for name in names}

    def remember(self) -> None:
        """Keep the gateway's counters, which it loses when it is killed."""
        self._earlier += self._get()

    def again(self) -> None:
        """Begin anew: a gateway that was killed has forgotten its faults."""
        self._begin()

    def _begin(self) -> None:
        self._begun += 1
        for kind in ("busy", "lose_answer"):
            self._post(kind=kind, target=self._target, probability=self._probability, seed=6 + self._begun)
        left = self._until - time.monotonic()
        if left > 0:
            self._post(kind="status", status="UPDATING", seconds=left)

    def _post(self, **fault: object) -> None:
        requests.post(self._url, json=fault, timeout=10, verify=self._stack.ca_bundle).raise_for_status()

    def _get(self) -> Counter[str]:
        answer = requests.get(self._counters, timeout=10, verify=self._stack.ca_bundle)
        return Counter(answer.json())


def members(stack: Stack, manifest: str) -> list[str]:
    """Return the keys of the events that a batch's manifest lists."""
    bucket, _, key = manifest.removeprefix("s3://").partition("/")
    document: dict[str, Any] = json.loads(stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    return [event["key"] for event in document["events"]]


def all_runs(stack: Stack, dag_id: str) -> list[dict[str, Any]]:
    """Return every run of the DAG. Call it when the weather is fine, or be patient."""
    found: list[dict[str, Any]] = []
    while True:
        query = {"limit": PAGE, "offset": len(found), "order_by": "id"}
        path = f"/dags/{dag_id}/dagRuns"
        look = partial(airflow_api, stack, "GET", path, QueryParameters=query)
        answer = wait_for("the list of runs", look, seconds=60)
        found += answer["dag_runs"]
        if len(answer["dag_runs"]) < PAGE:
            return found


def waiting_queue(stack: Stack) -> str:
    """Return the URL of the queue of what waits aside, which is nobody's but the stack's."""
    return physical_id(stack, "WaitingQueue")


def physical_id(stack: Stack, logical_id: str) -> str:
    """Return the name, or the URL of a queue, that a resource of the deployed template has."""
    found = stack.client("cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical_id)
    name: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return name


def queued(stack: Stack, *urls: str) -> int:
    """Return how many messages are in these queues, whatever their state."""
    sqs = stack.client("sqs")
    names = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    )
    total = 0
    for url in urls:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
        total += sum(int(attributes[name]) for name in names)
    return total


def wait_until_drained(stack: Stack, *urls: str, seconds: float, still: float = STILL) -> float:
    """Wait until the queues are empty and stay so, and return the moment when they were.

    Args:
        still: seconds that they must be empty for.

    Raises:
        TooLateError: they were not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    empty_since: float | None = None
    while empty_since is None or time.monotonic() - empty_since < still:
        if left := queued(stack, *urls):
            empty_since = None
        elif empty_since is None:
            empty_since = time.monotonic()
        if time.monotonic() > deadline:
            raise TooLateError(f"{left} messages are still queued after {seconds:.0f} s.")
        time.sleep(1)
    return empty_since


def judge(way: str, keys: set[str], per_run: list[list[str]], seconds: float, faults: dict[str, int]) -> Result:
    """Compare the events with the runs that have them."""
    times = Counter(key for run in per_run for key in run)
    return Result(
        way=way,
        events=len(keys),
        runs=len(per_run),
        lost=len(keys - times.keys()),
        doubled=sum(count > 1 for count in times.values()),
        surplus=sum(count - 1 for count in times.values()),
        seconds=seconds,
        faults=faults,
    )
