"""One caller cannot hold up schedules, nor other callers: a queue that fills faster than runs can be started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from jetway.airflow import DagRunRequest
from jetway.dispatch.lanes import MOST_OF_A_BATCH, by_lane
from jetway.http.run_requests import HttpCall, accept
from jetway.triggers.file import Schedule, TriggerFile
from jetway.triggers.resources import Targets, resources_of

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
SECONDS = 600
CALLS_A_SECOND = 20
# MWAA's command line starts about one run a second.
STARTS_A_SECOND = 1.0
POLLERS = 20  # template.yaml: MaximumConcurrency of the queue
LONGEST = 2.0 * MOST_OF_A_BATCH / STARTS_A_SECOND


@dataclass
class Fifo:
    """dispatch.fifo as SQS keeps it: nothing of a group is handed out while a message of it is in flight."""

    waiting: list[tuple[float, str, str]] = field(default_factory=list)  # since, group, what
    in_flight: set[str] = field(default_factory=set)
    clock: float = 0.0

    def send_message(self, **message: Any) -> dict[str, str]:
        self.waiting.append(
            (self.clock, message["MessageGroupId"], json.loads(message["MessageBody"])["trigger"]["name"])
        )
        return {"MessageId": str(len(self.waiting))}

    def receive(self) -> list[tuple[float, str, str]]:
        """Up to ten of the oldest whose groups are free."""
        free = [one for one in self.waiting if one[1] not in self.in_flight and one[0] <= self.clock]
        taken = sorted(free)[:MOST_OF_A_BATCH]
        for one in taken:
            self.waiting.remove(one)
            self.in_flight.add(one[1])
        return taken


def call(queue: Any, number: int, caller: str, one_lane: bool) -> None:
    made = HttpCall(f"call-{number}-{caller}", caller, b"", None, NOW)
    accept(queue, "url", DagRunRequest("d", f"r{number}"), made, one_lane=one_lane)


def firing(queue: Any, one_lane: bool) -> None:
    places = Targets("jetway", "dispatch", None, "undelivered", "role", "group", one_lane)
    (schedule,) = resources_of(
        TriggerFile("nightly", "d", Schedule("rate(1 day)"), {"on": {"schedule": {}}}), places
    ).schedules
    target = schedule.request["Target"]
    queue.send_message(MessageBody=target["Input"], **target["SqsParameters"])


def waits(send: Callable[[Fifo, int], None]) -> dict[str, list[float]]:
    """Let pollers start runs, in turns of the budget that they share; return how long each kind of event waited."""
    queue, turn = Fifo(), 0.0
    found: dict[str, list[float]] = {}
    for second in range(SECONDS):
        queue.clock = float(second)
        send(queue, second)
    busy: list[tuple[float, list[Any]]] = []  # the next start of a poller, and what it has left
    queue.clock = 0.0
    while queue.clock < SECONDS:
        while len(busy) < POLLERS and (batch := queue.receive()):
            records = [{"attributes": {"MessageGroupId": group}, "of": (at, group, what)} for at, group, what in batch]
            busy.append((queue.clock, [one["of"] for lane in by_lane(records) for one in lane]))
        for number, (_, left) in enumerate(busy):
            at, group, what = left.pop(0)
            turn = max(turn + 1 / STARTS_A_SECOND, queue.clock)
            found.setdefault(what, []).append(turn - at)
            if all(group != other for _, other, _ in left):
                queue.in_flight.discard(group)
            busy[number] = (turn, left)
        busy = [one for one in busy if one[1]]
        queue.clock = max(turn, queue.clock + 0.1)
    return found


@pytest.mark.parametrize("one_lane", [False, True], ids=["rest", "cli"])
def test_a_caller_at_twenty_a_second_does_not_hold_up_a_schedule(one_lane: bool) -> None:
    def send(queue: Fifo, second: int) -> None:
        for number in range(CALLS_A_SECOND):
            call(queue, second * CALLS_A_SECOND + number, "arn:greedy", one_lane)
        if second % 60 == 59:
            firing(queue, one_lane)

    found = waits(send)
    assert max(found["http"]) > 10 * LONGEST, "the caller waits for itself"
    assert len(found["nightly"]) >= SECONDS // 60 - 1
    assert max(found["nightly"]) <= LONGEST


def test_nor_does_it_hold_up_another_caller() -> None:
    def send(queue: Fifo, second: int) -> None:
        for number in range(CALLS_A_SECOND):
            call(queue, second * CALLS_A_SECOND + number, "arn:greedy", False)
        if second % 30 == 0:
            queue.send_message(MessageBody='{"trigger": {"name": "modest"}}', MessageGroupId=lane_of("arn:modest"))

    assert max(waits(send)["modest"]) <= LONGEST


def lane_of(caller: str) -> str:
    queue = Fifo()
    call(queue, 1, caller, False)
    return queue.waiting[0][1]
