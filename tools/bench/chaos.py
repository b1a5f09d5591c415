"""`make chaos`: DAG files, good and bad, new versions on top of each other, while workers of functions are killed.

It drops files, kills, waits until all is at rest, and then counts from outside: what is in the environment's bucket
and in Airflow, what reports and tags say, and what was sent to the event bus. tools/bench/stories.py says what is
dropped and what is to come of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tools import venvs
from tools.bench import aftermath
from tools.bench.aftermath import Dropped, Facts
from tools.bench.listening import Listener
from tools.bench.outages import AirflowKeeper
from tools.bench.scene import physical_id, queued
from tools.bench.stories import stories
from tools.progress import Progress
from tools.stack import stack as local_stack
from tools.stack.calls import TooLateError
from tools.stack.lambda_workers import Killer

if TYPE_CHECKING:
    from tools.bench.stories import Story
    from tools.stack.stack import Stack

# Function → seconds between two kills, at least and at most. A look takes a second a minute, and must end sometimes. A
# version that ends its loader twice, or the gate three times, is refused: nobody can tell that it was not at fault.
PAUSES = {"ValidateArtifact": (4.0, 12.0), "ImportDagAirflow3": (15.0, 45.0), "VerifyPromotion": (60.0, 150.0)}
STILL = 5.0  # seconds that nothing may be left to be done
SETTLING = 240.0  # seconds that Airflow takes until it shows what is in the bucket, also that a DAG is gone
OPEN = {"waiting", "updating", "verifying", "rolling-back"}
DROP_TO_LIVE = (120.0, 180.0)  # seconds: 95th percentile, most


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one round.

    Attributes:
        wrong: what is wrong, by key.
        live_seconds: from the drop (or the drop of what it needs) to the copy in the environment's bucket, of versions
            that are live in the end and need not wait for another one to fail.
        second_chances: the same of those that may have to.
        rest_seconds: from the last drop until nothing was left to be done.
    """

    number: int
    files: int
    uploads: int
    wrong: dict[str, list[str]]
    live_seconds: list[float]
    second_chances: list[float]
    rest_seconds: float
    kills: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """Run the rounds, print the table, and return 1 if anything is wrong or late."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.chaos", description=__doc__)
    parser.add_argument("--files", type=int, default=60, help="DAG files a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of what is dropped when, and of what is killed when")
    parser.add_argument("--kills", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--kill-for", type=float, default=150.0, help="seconds after the last drop")
    parser.add_argument("--transport", choices=["rest", "cli"], default="rest")
    parser.add_argument(
        "--gates", type=int, default=4, help="files judged at once; two cores cannot be twenty sandboxes"
    )
    parser.add_argument("--patience", type=float, default=1500.0, help="seconds until all must be at rest")
    parser.add_argument("--keep", action="store_true", help="leave the local stack running")
    arguments = parser.parse_args()
    os.environ.setdefault("JETWAY_STATE", str(venvs.HOME / "chaos"))
    progress, results = Progress(), list[Result]()
    local_stack.down()
    try:
        parameters = {"Transport": arguments.transport, "AirflowLayers": "airflow3", "VerifyAfterSeconds": "20"}
        stack = local_stack.up(progress, parameters=lambda: parameters, faults=True)
        _bound(stack, arguments.gates)
        listener = Listener.subscribe(stack, "chaos")
        for number in range(1, arguments.rounds + 1):
            with (
                progress.step(f"round {number}: {arguments.files} files, seed {arguments.seed}"),
                AirflowKeeper(stack),
            ):
                results.append(_round(stack, listener, number, arguments))
            _complain(progress, results[-1])
            print(json.dumps(asdict(results[-1])), flush=True)
    finally:
        if not arguments.keep:
            local_stack.down()
    Console().print(_table(results))
    return 1 if any(_is_bad(result) for result in results) else 0


def _bound(stack: Stack, gates: int) -> None:
    """Let so many invocations of validate_artifact run at once: each has an import of Airflow beside it.

    On AWS each has processors of its own (template.yaml has 20); here they would all wait for the same two.
    """
    functions = stack.client("lambda")
    name = physical_id(stack, "ValidateArtifact")
    for mapping in functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": gates})


def _round(stack: Stack, listener: Listener, number: int, arguments: argparse.Namespace) -> Result:
    told = stories(f"round{number}", arguments.files, arguments.seed)
    killer = Killer(stack, PAUSES if arguments.kills else {}, seed=arguments.seed * 1000 + number)
    with killer:
        dropped = _play(stack, told)
        ended = max(at for each in dropped for at in each.at)
        rest = _wait_for_rest(stack, ended, arguments, killer)
    facts, wrong = _settled(stack, listener, dropped, parse_times=arguments.transport == "rest")
    return Result(
        number=number,
        files=arguments.files,
        uploads=sum(act.text is not None for story in told for act in story.acts),
        wrong=wrong | _dead_letters(stack),
        live_seconds=_seconds(dropped, facts, second_chance=False),
        second_chances=_seconds(dropped, facts, second_chance=True),
        rest_seconds=round(rest - ended, 1),
        kills=killer.kills,
    )


def _play(stack: Stack, told: Sequence[Story]) -> list[Dropped]:
    """Do what the stories say, in their time."""
    s3, bucket = stack.client("s3"), stack.outputs["DropBucketName"]
    due = sorted(
        (story.begins + sum(act.after for act in story.acts[: number + 1]), place, number)
        for place, story in enumerate(told)
        for number in range(len(story.acts))
    )
    versions: list[list[str]] = [[] for _ in told]
    times: list[list[float]] = [[] for _ in told]
    began = time.monotonic()
    for moment, place, number in due:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        key, act = told[place].key, told[place].acts[number]
        times[place].append(time.time())
        if act.text is None:
            version = s3.delete_object(Bucket=bucket, Key=key)["VersionId"]
        else:
            version = s3.put_object(Bucket=bucket, Key=key, Body=act.text.encode())["VersionId"]
        versions[place].append(version)
    return [Dropped(story, tuple(versions[place]), tuple(times[place])) for place, story in enumerate(told)]


def _wait_for_rest(stack: Stack, ended: float, arguments: argparse.Namespace, killer: Killer) -> float:
    """Wait until the queue is empty and no artifact waits for anything, and return the moment when it was so."""
    queue, table = physical_id(stack, "ArtifactQueue"), physical_id(stack, "ArtifactTable")
    still_since: float | None = None
    while still_since is None or time.time() - still_since < STILL:
        if time.time() - ended > arguments.kill_for:
            killer.stop()
        left = [f"{count} messages"] if (count := queued(stack, queue)) else _unfinished(stack, table)
        if left:
            still_since = None
        elif still_since is None:
            still_since = time.time()
        if time.time() - ended > arguments.patience:
            raise TooLateError(f"Not at rest after {arguments.patience:.0f} s: {', '.join(left)}")
        time.sleep(1)
    return still_since


def _unfinished(stack: Stack, table: str) -> list[str]:
    """The artifacts that something is still to be done about, as the artifact table says."""
    found = []
    for page in stack.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            standing: dict[str, Any] = json.loads(item["standing"]["S"]) if "standing" in item else {}
            if standing.get("stage") in OPEN or standing.get("due_at"):
                found.append(f"{standing['key']} is {standing['stage']}")
    return found


def _settled(
    stack: Stack, listener: Listener, dropped: Sequence[Dropped], *, parse_times: bool
) -> tuple[dict[str, Facts], dict[str, list[str]]]:
    """Look until nothing is wrong; what is still wrong after a while stays so."""
    deadline = time.monotonic() + SETTLING
    while True:
        facts = aftermath.read(stack, dropped, listener.hear())
        wrong = {
            each.story.key: [f"{each.story.kind}: {fault}" for fault in found]
            for each in dropped
            if (found := aftermath.faults(each, facts[each.story.key], parse_times=parse_times))
        }
        if not wrong or time.monotonic() > deadline:
            return facts, wrong
        time.sleep(10)


def _dead_letters(stack: Stack) -> dict[str, list[str]]:
    count = queued(stack, physical_id(stack, "ArtifactDeadLetters"))
    return {"the queue of dead letters": [f"holds {count} messages"]} if count else {}


def _seconds(dropped: Sequence[Dropped], facts: dict[str, Facts], *, second_chance: bool) -> list[float]:
    dropped_at = {each.story.key: each.at[0] for each in dropped}
    found = []
    for each in dropped:
        story, expected = each.story, each.expected
        copied_at = facts[story.key].copied_at
        if story.live is None or expected is None or expected not in copied_at:
            continue
        # On a slow machine a version is passed over that had all the time there is.
        newer = [copied_at[version] for version in each.versions[story.live + 1 :] if version in copied_at]
        if (story.second_chance or any(at < copied_at[expected] for at in newer)) != second_chance:
            continue
        since = each.at[story.live]
        if story.needs is not None:
            since = max(since, dropped_at[story.needs])
        found.append(round(copied_at[expected] - since, 1))
    return sorted(found)


def _is_bad(result: Result) -> bool:
    usual, most = DROP_TO_LIVE
    late = result.live_seconds and (_percentile(result.live_seconds, 95) > usual or result.live_seconds[-1] > most)
    return bool(result.wrong or late)


def _percentile(values: Sequence[float], percent: int) -> float:
    """Of sorted values; the greatest when they are few."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return min(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], values[-1])


def _complain(progress: Progress, result: Result) -> None:
    for key, found in result.wrong.items():
        for fault in found:
            progress.complain(f"{key}: {fault}")


def _table(results: Sequence[Result]) -> Table:
    table = Table(title="DAG files dropped while workers of functions are killed")
    columns = ("round", "files", "uploads", "kills", "files wrong", "drop → live p50", "p95", "most", "at rest after")
    for column in (*columns, "second chances"):
        table.add_column(column, justify="right")
    for result in results:
        live = result.live_seconds
        chances = result.second_chances
        table.add_row(
            str(result.number),
            str(result.files),
            str(result.uploads),
            str(sum(result.kills.values())),
            str(len(result.wrong)),
            *(f"{_percentile(live, percent):.0f} s" for percent in (50, 95)),
            f"{live[-1]:.0f} s" if live else "",
            f"{result.rest_seconds:.0f} s",
            f"{len(chances)}, {chances[-1]:.0f} s at most" if chances else "",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
