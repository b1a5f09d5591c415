"""Events of all kinds at once, and whether each has one run, or one dead letter, and everybody was told of it once.

Files, events of one's own, HTTP calls that their callers repeat, files that are batched, and files for a DAG that does
not exist. The DAGs run to their end, some of them fail. `judge` compares and is pure; the rest asks the stack.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import requests

from tools.bench import scene
from tools.stack.calls import airflow_api, call_api, wait_for
from tools.stack.stack import ENVIRONMENT_NAME

if TYPE_CHECKING:
    from tools.bench.listening import Listener
    from tools.stack.stack import Stack

# Kind → share of the events, its DAG.
KINDS = {
    "file": (0.38, "mixed_files"),
    "event": (0.25, "mixed_events"),
    "call": (0.20, "mixed_calls"),
    "batched": (0.13, "mixed_batches"),
    "failing": (0.02, "mixed_failing"),
    "unknown": (0.02, "mixed_no_such_dag"),
}
UNKNOWN_DAG = KINDS["unknown"][1]
WITHIN = 10  # seconds: a batch's
SOURCE = "mixed"
DELIVERIES = 2
CALL_PATIENCE = 300.0  # seconds that a caller repeats a call which is not accepted
ENDS = {"DagRunSucceeded": "success", "DagRunFailed": "failed"}

# No task of it needs a worker: a thousand of them end in minutes.
_DAG = """\
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG({dag_id!r}, schedule=None, max_active_runs=64):
    EmptyOperator(task_id="done")
"""
_FAILING = """\
from airflow.sdk import DAG, task

with DAG({dag_id!r}, schedule=None, max_active_runs=4):
    @task
    def fails():
        raise RuntimeError("as it is to")
    fails()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run that Airflow has.

    Attributes:
        events: labels of the events that it is of.
    """

    dag_id: str
    run_id: str
    state: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    event: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong; all are empty when each event has one outcome that was told once.

    Attributes:
        lost: events with neither a run nor a dead letter.
        doubled: events with more than one run.
        both: events with a run and a dead letter.
        refused: events with a dead letter that were to have a run.
        unreasoned: dead letters without a reason.
        not_announced: runs without DagRunStarted.
        announced_twice: runs with two DagRunStarted of different `detail.id`.
        phantom: DagRunStarted of runs that Airflow does not have.
        not_followed: runs without the event of their end.
        ended_twice: runs with two of those of different `detail.id`, or of another state than Airflow's.
        miscounted: the metric DagRunsStarted less the number of runs.
    """

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unreasoned: tuple[str, ...] = ()
    not_announced: tuple[str, ...] = ()
    announced_twice: tuple[str, ...] = ()
    phantom: tuple[str, ...] = ()
    not_followed: tuple[str, ...] = ()
    ended_twice: tuple[str, ...] = ()
    miscounted: int = 0

    def words(self) -> list[str]:
        """What is wrong, a line each."""
        lines = []
        for name in self.__slots__:
            value = getattr(self, name)
            if value:
                shown = f"{len(value)}: {', '.join(value[:5])}" if isinstance(value, tuple) else f"{value:+}"
                lines.append(f"{name.replace('_', ' ')}: {shown}")
        return lines


def judge(
    sent: Mapping[str, str],
    runs: Sequence[Run],
    letters: Sequence[Letter],
    told: Iterable[Mapping[str, Any]],
    *,
    counted: float,
) -> Verdict:
    """Compare what was sent with what has become of it.

    Args:
        sent: DAG by label of the event.
        told: the events out, copies included.
        counted: the metric DagRunsStarted.
    """
    times = Counter(event for run in runs for event in run.events)
    dead = {letter.event for letter in letters}
    started: dict[tuple[str, str], set[str]] = defaultdict(set)
    ended: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    dags = set(sent.values())
    for event in told:
        detail, name = event["detail"], event["detail-type"]
        run = (detail.get("dag_id"), detail.get("dag_run_id"))
        if run[0] in dags and name == "DagRunStarted":
            started[run].add(detail["id"])
        elif run[0] in dags and name in ENDS:
            ended[run].add((detail["id"], ENDS[name]))
    known = {(run.dag_id, run.run_id): run.state for run in runs}

    def named(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        return tuple(sorted("/".join(run) for run in found))

    return Verdict(
        lost=tuple(sorted(sent.keys() - times.keys() - dead)),
        doubled=tuple(sorted(event for event, count in times.items() if count > 1)),
        both=tuple(sorted(dead & times.keys())),
        refused=tuple(sorted(event for event in dead - times.keys() if sent.get(event) != UNKNOWN_DAG)),
        unreasoned=tuple(sorted(letter.event for letter in letters if not letter.reason)),
        not_announced=named(known.keys() - started.keys()),
        announced_twice=named(run for run, ids in started.items() if len(ids) > 1),
        phantom=named(started.keys() - known.keys()),
        not_followed=named(known.keys() - ended.keys()),
        ended_twice=named(
            run for run, found in ended.items() if len(found) > 1 or {state for _, state in found} != {known.get(run)}
        ),
        miscounted=round(counted) - len(runs),
    )


# ------------------------------------------------------------------------------------------------ sending
def prepare(stack: Stack) -> None:
    """Put the DAGs live, and make the buckets and rules whose events come twice."""
    s3 = stack.client("s3")
    dags = [dag_id for name, (_, dag_id) in KINDS.items() if name != "unknown"]
    for dag_id in dags:
        text = (_FAILING if dag_id == KINDS["failing"][1] else _DAG).format(dag_id=dag_id)
        s3.put_object(Bucket=stack.outputs["DropBucketName"], Key=f"dags/{dag_id}.py", Body=text.encode())
    for dag_id in dags:
        wait_for(f"{dag_id} in Airflow", partial(airflow_api, stack, "GET", f"/dags/{dag_id}"), seconds=300)
    dispatch, collect = stack.outputs["DispatchQueueUrl"], stack.outputs["CollectQueueUrl"]
    for name in ("file", "unknown"):
        trigger = {"name": f"mixed-{name}", "kind": "s3", "dag": KINDS[name][1]}
        scene.make_rules(stack, f"mixed-{name}", dispatch, trigger, deliveries=DELIVERIES)
    batch = {"name": "mixed-batched", "kind": "s3", "dag": KINDS["batched"][1]}
    batch |= {"batch": {"max_events": 20, "within": WITHIN}}  # type: ignore[dict-item]
    scene.make_rules(stack, "mixed-batched", collect, batch, deliveries=DELIVERIES)
    for name in ("event", "failing"):
        trigger = {"name": f"mixed-{name}", "kind": "event", "dag": KINDS[name][1]}
        pattern = {"source": [SOURCE], "detail-type": [name]}
        scene.add_rules(stack, f"mixed-{name}", dispatch, trigger, pattern, deliveries=DELIVERIES)


def send(stack: Stack, count: int) -> dict[str, str]:
    """Send so many events, in a mix, and return the DAG of each by its label."""
    mix = list(_mixed(count))
    s3, events = stack.client("s3"), stack.client("events")

    def put(kind: str, label: str) -> None:
        if kind in {"file", "batched", "unknown"}:
            s3.put_object(Bucket=f"mixed-{kind}", Key=label, Body=b"x")
        elif kind == "call":
            _call(stack, label)
        else:
            detail = json.dumps({"label": label})
            entry = {"Source": SOURCE, "DetailType": kind, "Detail": detail}
            if events.put_events(Entries=[entry])["FailedEntryCount"]:
                raise RuntimeError(f"EventBridge did not take {label}.")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda event: put(*event), mix))
    return {label: KINDS[kind][1] for kind, label in mix}


def _mixed(count: int) -> Iterator[tuple[str, str]]:
    """Kind and label of each event; every kind is spread over the whole."""
    numbers = {kind: max(1, round(share * count)) for kind, (share, _) in KINDS.items() if kind != "file"}
    numbers["file"] = max(1, count - sum(numbers.values()))
    places = [
        ((number + 0.5) / total, kind, f"{kind}-{number:04}")
        for kind, total in numbers.items()
        for number in range(total)
    ]
    for _, kind, label in sorted(places):
        yield kind, label


def _call(stack: Stack, label: str) -> None:
    """Call as a careful caller does: again until it is accepted, and once more to be sure."""
    path = f"/dags/{KINDS['call'][1]}/dagRuns"
    body: dict[str, Any] = {"conf": {"label": label}}
    headers = {}
    if int(label.rpartition("-")[2]) % 2:
        body["dag_run_id"] = label
    else:
        headers["Idempotency-Key"] = f"{label}-{uuid.uuid4().hex}"
    deadline = time.monotonic() + CALL_PATIENCE
    accepted = 0
    while accepted < DELIVERIES:
        try:
            answer = call_api(stack, "POST", path, body=body, headers=headers)
            if answer.status_code in {200, 202}:
                accepted += 1
                continue
            said = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code < 500 and answer.status_code not in {409, 429}:
                raise RuntimeError(f"The call {label} was refused: {said}")
        except requests.RequestException as exc:
            said = str(exc)
        if time.monotonic() > deadline:
            raise RuntimeError(f"The call {label} was not accepted: {said}")
        time.sleep(1)


# ------------------------------------------------------------------------------------------------ reading
def read_runs(stack: Stack) -> list[Run]:
    """Return all runs that Airflow has of these DAGs."""
    found = []
    for kind, (_, dag_id) in KINDS.items():
        if kind == "unknown":
            continue
        for run in scene.all_runs(stack, dag_id):
            events = _events_of(stack, kind, run["conf"] or {})
            found.append(Run(dag_id, run["dag_run_id"], run["state"], events))
    return found


def _events_of(stack: Stack, kind: str, conf: Mapping[str, Any]) -> tuple[str, ...]:
    if kind == "batched":
        return tuple(scene.members(stack, conf["manifest"]))
    if kind == "file":
        return (conf["key"],)
    return ((conf if kind == "call" else conf["detail"])["label"],)


def take_letters(stack: Stack) -> list[Letter]:
    """Take the dead letters off their queue, and return those of these events, copies included."""
    sqs, found = stack.client("sqs"), []
    urls = [stack.outputs[f"{name}DeadLettersUrl"] for name in ("Dispatch", "Collect")]
    for url in urls:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                found.append(_letter(json.loads(message["Body"])))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def _letter(body: Mapping[str, Any]) -> Letter:
    message = body.get("message", body)
    message = json.loads(message) if isinstance(message, str) else message
    event = message["event"]
    detail = event.get("detail", {})
    label = detail.get("label") or detail.get("object", {}).get("key") or (event.get("conf") or {}).get("label")
    return Letter(str(label or event.get("manifest") or json.dumps(event)[:100]), str(body.get("reason", "")))


def counted_starts(stack: Stack, since: datetime) -> float:
    """Return the sum of the metric DagRunsStarted of the environment."""
    answer = stack.client("cloudwatch").get_metric_statistics(
        Namespace="Jetway",
        MetricName="DagRunsStarted",
        Dimensions=[{"Name": "Environment", "Value": ENVIRONMENT_NAME}],
        StartTime=since - timedelta(minutes=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def wait_until_told(stack: Stack, listener: Listener, seconds: float) -> list[Run]:
    """Wait until all runs have ended and everybody was told, for so long at most; return the runs."""
    deadline = time.monotonic() + seconds
    while True:
        runs = read_runs(stack)
        told = {
            (event["detail"]["dag_id"], event["detail"]["dag_run_id"])
            for event in listener.hear()
            if event["detail-type"] in ENDS
        }
        if all(run.state in ENDS.values() and (run.dag_id, run.run_id) in told for run in runs):
            return runs
        if time.monotonic() > deadline:
            return runs
        time.sleep(10)
