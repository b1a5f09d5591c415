"""`make load`: every event delivered three times in bad weather, and a count of what was lost and doubled.

Three ways of starting runs, on one local stack with real Airflow: Jetway with one run per event, Jetway with batches,
and AWS's documented sample Lambda. The weather: 10 % of the answers are lost after the run was made, 10 % of the
requests are answered with 503, and the environment is UPDATING for two minutes.

`make load-mixed` is a fourth way: events of all kinds at once, delivered twice, in a weather of 8 %, while the gateway
and the workers of functions are killed. Its runs are followed to their end.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tools import venvs
from tools.bench import aws_sample, scene
from tools.bench import mixed as mixed_events
from tools.bench.listening import Listener
from tools.bench.outages import AirflowKeeper, GatewayKiller
from tools.progress import Progress
from tools.stack import stack as local_stack
from tools.stack.lambda_workers import Killer
from tools.stack.stack import ENVIRONMENT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.stack.stack import Stack

WITHIN = 10  # seconds: a batch's
# Function → seconds between two kills, at least and at most.
PAUSES = {"StartDagRun": (10.0, 40.0), "CollectBatch": (10.0, 40.0), "FollowRuns": (60.0, 120.0)}
GATEWAY_PAUSES = (60.0, 120.0)
LAMBDAS = 10  # of the sample at once; an account allows 1,000, which would only mean more 503


@dataclass(frozen=True, slots=True)
class Options:
    """How bad the weather is.

    Attributes:
        updating: seconds that the environment is UPDATING.
        patience: seconds until the queues must be empty.
        transport: of the way mixed.
        kills: in the way mixed, whether processes are killed.
        seed: of what is killed when.
    """

    updating: float
    patience: float
    transport: str = "rest"
    kills: bool = False
    seed: int = 1


def each(stack: Stack, count: int, options: Options) -> scene.Result:
    """One run per event, over the REST transport."""
    dag_id, bucket = "load_each", "jetway-load-each"
    scene.put_dags(stack, dag_id)
    queue = stack.outputs["DispatchQueueUrl"]
    scene.make_rules(stack, bucket, queue, {"name": "load-each", "kind": "s3", "dag": dag_id})
    with scene.Weather(stack, "rest", updating=options.updating) as weather:
        began = time.monotonic()
        keys = scene.put_files(stack, bucket, count)
        ended = scene.wait_until_drained(stack, *_queues(stack), seconds=options.patience)
        faults = weather.struck()
    runs = [[run["conf"]["key"]] for run in scene.all_runs(stack, dag_id)]
    return scene.judge("Jetway, each", keys, runs, ended - began, faults)


def batch(stack: Stack, count: int, options: Options) -> scene.Result:
    """Batches, over the REST transport; 20 runs or fewer."""
    dag_id, bucket = "load_batch", "jetway-load-batch"
    scene.put_dags(stack, dag_id)
    bounds = {"max_events": max(1, count // 10), "within": WITHIN}
    trigger = {"name": "load-batch", "kind": "s3", "dag": dag_id, "batch": bounds}
    scene.make_rules(stack, bucket, stack.outputs["CollectQueueUrl"], trigger)
    with scene.Weather(stack, "rest", updating=options.updating) as weather:
        began = time.monotonic()
        keys = scene.put_files(stack, bucket, count)
        ended = scene.wait_until_drained(
            stack, stack.outputs["CollectQueueUrl"], *_queues(stack), seconds=options.patience
        )
        faults = weather.struck()
    runs = [scene.members(stack, run["conf"]["manifest"]) for run in scene.all_runs(stack, dag_id)]
    return scene.judge("Jetway, batch", keys, runs, ended - began, faults)


def sample(stack: Stack, count: int, options: Options) -> scene.Result:
    """The sample Lambda, over the CLI endpoint, which is all it knows."""
    dag_id = "load_sample"
    scene.put_dags(stack, dag_id)
    mwaa = stack.client("mwaa", retries={"total_max_attempts": 1})
    context = ssl.create_default_context(cafile=stack.ca_bundle)
    keys = [f"incoming/{number:05}.csv" for number in range(count)]
    queue = aws_sample.AsyncLambda(
        lambda key: aws_sample.trigger(mwaa, ENVIRONMENT_NAME, dag_id, key, context), concurrency=LAMBDAS
    )
    with scene.Weather(stack, "cli", updating=options.updating) as weather:
        began = time.monotonic()
        queue.deliver(key for key in keys for _ in range(scene.DELIVERIES))
        ended = time.monotonic()
        faults = weather.struck()
    runs = [[run["conf"]["key"]] for run in scene.all_runs(stack, dag_id)]
    faults |= {"given up": len(queue.given_up)}
    return scene.judge("AWS's sample Lambda", set(keys), runs, ended - began, faults)


def mixed(stack: Stack, count: int, options: Options) -> scene.Result:
    """Events of all kinds, each delivered twice, followed to the end of their runs."""
    listener = Listener.subscribe(stack, "load-mixed")
    mixed_events.prepare(stack)
    since = datetime.now(UTC)
    queues = [stack.outputs["CollectQueueUrl"], *_queues(stack)]
    weather = scene.Weather(stack, options.transport, updating=options.updating, probability=0.08)
    outages = GatewayKiller(stack, weather, GATEWAY_PAUSES if options.kills else None, seed=options.seed)
    killer = Killer(stack, PAUSES if options.kills else {}, seed=options.seed)
    with AirflowKeeper(stack) as keeper:
        with weather:
            began = time.monotonic()
            with killer, outages:
                sent = mixed_events.send(stack, count)
                ended = scene.wait_until_drained(stack, *queues, seconds=options.patience)
            faults = weather.struck() | killer.kills | {"gateway": outages.kills}
        runs = mixed_events.wait_until_told(stack, listener, options.patience)
    faults["Airflow restarted"] = keeper.restarts
    letters = mixed_events.take_letters(stack)
    counted = mixed_events.counted_starts(stack, since)
    verdict = mixed_events.judge(sent, runs, letters, listener.hear(), counted=counted)
    events = [list(run.events) for run in runs] + [[letter.event] for letter in set(letters)]
    result = scene.judge(f"Jetway, mixed, {options.transport}", set(sent), events, ended - began, faults)
    result.runs = len(runs)
    result.wrong = verdict.words()
    return result


WAYS: dict[str, Callable[[Stack, int, Options], scene.Result]] = {
    "each": each,
    "batch": batch,
    "sample": sample,
    "mixed": mixed,
}


def main() -> int:
    """Run the ways asked for, print the table, and return 1 if Jetway lost or doubled anything."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.load", description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["each", "batch", "sample"])
    parser.add_argument("--events", type=int, default=1000, help="each is delivered three times; mixed ones twice")
    parser.add_argument("--sample-events", type=int, help="for the sample, whose CLI calls take long (default: events)")
    parser.add_argument("--updating", type=float, default=120.0, help="seconds that the environment is UPDATING")
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds until the queues must be empty")
    parser.add_argument("--transport", choices=["rest", "cli"], default="rest", help="of the way mixed")
    parser.add_argument("--kills", action="store_true", help="in the way mixed, kill the gateway and workers")
    parser.add_argument("--seed", type=int, default=1, help="of what is killed when")
    arguments = parser.parse_args()
    if arguments.transport != "rest" and arguments.ways != ["mixed"]:
        parser.error("--transport is for --ways mixed alone: the others have transports of their own")
    options = Options(arguments.updating, arguments.patience, arguments.transport, arguments.kills, arguments.seed)
    os.environ.setdefault("JETWAY_STATE", str(venvs.HOME / "load"))
    progress = Progress()
    results: list[scene.Result] = []
    parameters = {"Transport": options.transport, "MaxEventAgeHours": "24"}
    if "mixed" in arguments.ways:
        parameters["GraceMinutes"] = "1"  # so that what is for an unknown DAG becomes a dead letter while one looks
    local_stack.down()
    try:
        stack = local_stack.up(progress, parameters=lambda: parameters, faults=True)
        for way in arguments.ways:
            count = (arguments.sample_events or arguments.events) if way == "sample" else arguments.events
            deliveries = mixed_events.DELIVERIES if way == "mixed" else scene.DELIVERIES
            with progress.step(f"{way}: {count} events, {deliveries} deliveries each"):
                results.append(WAYS[way](stack, count, options))
            for line in results[-1].wrong:
                progress.complain(line)
    finally:
        local_stack.down()
    Console().print(_table(results))
    print(json.dumps([asdict(result) for result in results]))
    ours = [result for result in results if result.way.startswith("Jetway")]
    return 1 if any(result.lost or result.surplus or result.wrong for result in ours) else 0


def _queues(stack: Stack) -> list[str]:
    return [stack.outputs["DispatchQueueUrl"], scene.waiting_queue(stack)]


def _table(results: list[scene.Result]) -> Table:
    table = Table(title="Events delivered several times, in bad weather")
    for column in (
        "way",
        "events",
        "runs",
        "events lost",
        "events doubled",
        "surplus runs",
        "seconds",
        "faults struck",
    ):
        table.add_column(column, justify="left" if column in {"way", "faults struck"} else "right")
    for result in results:
        faults = ", ".join(f"{count} {name}" for name, count in result.faults.items())
        numbers = (result.events, result.runs, result.lost, result.doubled, result.surplus, round(result.seconds))
        table.add_row(result.way, *map(str, numbers), faults)
    return table


if __name__ == "__main__":
    sys.exit(main())
