"""Lanes: which one an event is in, and what holds one lane or all lanes of a batch."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jetway.dispatch.lanes import LONGEST_TURN, OUT_OF_TURN, Lanes, by_lane, share_of
from jetway.dispatch.messages import Message
from jetway.dispatch.run import bulk_lane, call_lane, is_interactive, schedule_lane
from jetway.errors import (
    AnswerLostError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    OutOfTurnError,
    TokenRefusedError,
    TransientError,
)
from jetway.ledger import LedgerUnavailableError
from jetway.triggers.file import S3, Schedule, TriggerFile
from jetway.triggers.resources import Targets, resources_of
from jetway_cli.letters import lane_of
from tests.unit.template.source import RESOURCES

PLACES = Targets("jetway", "dispatch", "collect", "undelivered", "role", "group")
GROUPS = ("bulk/orders", "interactive", "bulk/invoices", "bulk", "bulk/data")


def record(group: str, number: int = 1) -> dict[str, Any]:
    attributes = {
        "MessageGroupId": group,
        "SentTimestamp": "1764000000000",
        "ApproximateFirstReceiveTimestamp": "1764000000000",
        "ApproximateReceiveCount": "1",
    }
    return {"messageId": f"{group}-{number}", "receiptHandle": "h", "body": "{}", "attributes": attributes}


class Dispatching:
    """Stands for the dispatcher; raises what it is told for messages of some groups."""

    def __init__(self, error: Exception | None = None, groups: tuple[str, ...] = GROUPS) -> None:
        self.error, self.groups = error, groups
        self.asked: list[str] = []

    def __call__(self, message: Message) -> Any:
        self.asked.append(message.group)
        if self.error is not None and message.group in self.groups:
            raise self.error
        return None


def handle(dispatching: Dispatching, **more: Any) -> tuple[Lanes, list[str]]:
    """Handle one message of each group, as start_dag_run does; return the lanes, and what was told as held."""
    held: list[str] = []
    lanes = Lanes(
        dispatching,
        seconds_left=lambda: 200.0,
        on_held=lambda message, _exc, _wait: held.append(message.group),
        sleep=lambda _seconds: None,
        **more,
    )
    for lane in by_lane(record(group) for group in GROUPS):
        for each in lane:
            try:
                lanes.handle(SQSRecord(each))
            except TransientError:
                continue
    return lanes, held


@pytest.mark.parametrize(
    "error",
    [
        EnvironmentUnavailableError("UPDATING"),
        EnvironmentBusyError("throttled"),
        TokenRefusedError("401"),
        AnswerLostError("nobody there", unreachable=True),
    ],
)
def test_trouble_of_the_environment_is_met_once_and_holds_every_lane_of_the_batch(error: TransientError) -> None:
    dispatching = Dispatching(error)
    lanes, held = handle(dispatching)
    assert set(dispatching.asked) == {"interactive"}, "the first lane meets it, and no other asks again"
    assert len(dispatching.asked) <= 3
    assert sorted(held) == sorted(GROUPS), "each event's row says why it is held"
    assert set(lanes.waits) == set(GROUPS)


@pytest.mark.parametrize("error", [AnswerLostError("this one DAG"), LedgerUnavailableError("this one item")])
def test_trouble_of_one_message_holds_its_own_lane_alone(error: TransientError) -> None:
    dispatching = Dispatching(error, groups=("bulk/invoices",))
    lanes, held = handle(dispatching)
    assert sorted(dispatching.asked) == sorted(GROUPS)
    assert (held, set(lanes.waits)) == (["bulk/invoices"], {"bulk/invoices"})


def test_the_next_invocation_asks_again() -> None:
    handle(Dispatching(EnvironmentUnavailableError("UPDATING")))
    dispatching = Dispatching()
    handle(dispatching)
    assert sorted(dispatching.asked) == sorted(GROUPS)


def test_a_used_up_budget_of_files_holds_the_lanes_of_files_for_some_seconds() -> None:
    files = tuple(group for group in GROUPS if group != "interactive")
    dispatching = Dispatching(OutOfTurnError("spent"), groups=files)
    lanes, held = handle(dispatching)
    assert dispatching.asked == ["interactive", "bulk/orders"], "it is not tried again in place"
    assert sorted(held) == sorted(files)
    assert all(OUT_OF_TURN[0] <= wait <= OUT_OF_TURN[1] for wait in lanes.waits.values())


def test_a_used_up_budget_of_calls_holds_no_lane_of_files() -> None:
    dispatching = Dispatching(OutOfTurnError("spent"), groups=("interactive",))
    lanes, held = handle(dispatching)
    assert (held, set(lanes.waits)) == (["interactive"], {"interactive"})
    assert lanes.waits["interactive"] <= 2


def test_a_lane_that_has_waited_long_for_its_turns_lets_others_have_theirs() -> None:
    dispatching = Dispatching()
    lanes, held = handle(dispatching, waited=lambda: LONGEST_TURN + 0.1)
    assert dispatching.asked == ["interactive"], "people keep their turn"
    assert held == [], "it is no trouble, and costs no row"
    assert set(lanes.waits) == set(GROUPS) - {"interactive"}
    dispatching = Dispatching()
    handle(dispatching, waited=lambda: LONGEST_TURN - 0.1)
    assert sorted(dispatching.asked) == sorted(GROUPS)


def test_whose_calls_a_lane_makes() -> None:
    assert [share_of([record(group)]) for group in GROUPS] == ["bulk", "interactive", "bulk", "bulk", "bulk"]


def test_each_trigger_has_a_lane_unless_airflow_is_told_one_thing_at_a_time() -> None:
    file = TriggerFile("interactive", "d", S3(("b",)), {"on": {"s3": {}}})
    (rule,) = resources_of(file, PLACES).rules
    assert rule.targets[0]["SqsParameters"] == {"MessageGroupId": "bulk/interactive"}, "no name makes it another lane"
    (rule,) = resources_of(file, replace(PLACES, one_bulk_lane=True)).rules
    assert rule.targets[0]["SqsParameters"] == {"MessageGroupId": "bulk"}


@pytest.mark.parametrize("one", [True, False])
def test_no_call_is_in_the_lane_of_a_schedule(one: bool) -> None:
    file = TriggerFile("nightly", "d", Schedule("rate(1 day)"), {"on": {"schedule": {}}})
    (schedule,) = resources_of(file, replace(PLACES, one_bulk_lane=one)).schedules
    lane = schedule.request["Target"]["SqsParameters"]["MessageGroupId"]
    assert lane == ("interactive/schedules" if one else "interactive/nightly")
    assert is_interactive(lane)
    assert lane not in {call_lane("http", "ann", one_for_all=one), call_lane("hook", "ann", one_for_all=one)}


def test_the_stacks_own_schedule_has_a_lane_too() -> None:
    target = RESOURCES["BuiltInSchedule"]["Properties"]["Target"]
    assert target["SqsParameters"]["MessageGroupId"] == schedule_lane("schedule")


def test_each_caller_has_a_lane_and_each_trigger_file() -> None:
    ann, bob = call_lane("http", "arn:aws:iam::111122223333:user/ann"), call_lane("http", "jwt:https://x:bob")
    assert len({ann, bob, call_lane("hook", "ann"), schedule_lane("nightly")}) == 4
    assert call_lane("hook", "ann") == call_lane("hook", "bob"), "runs of a trigger start in order"
    group = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,./:;<=>?@\[\\\]^_`{|}~-]{1,128}")  # as SQS takes it
    assert all(group.fullmatch(lane) for lane in (ann, bob, schedule_lane("x" * 63), bulk_lane("x" * 63)))
    assert [is_interactive(lane) for lane in (ann, "interactive", "interactivex", "bulk/interactive", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_the_shorter_of_two_interactive_lanes_comes_first() -> None:
    groups = ["bulk/a", *["interactive/http/x"] * 3, "interactive/nightly", "bulk/a"]
    lanes = by_lane([record(group) for group in groups])
    assert [lane[0]["attributes"]["MessageGroupId"] for lane in lanes] == [
        "interactive/nightly",
        "interactive/http/x",
        "bulk/a",
    ]


def test_files_below_data_have_a_lane_too() -> None:
    (target,) = RESOURCES["DataDroppedRule"]["Properties"]["Targets"]
    group = target["SqsParameters"]["MessageGroupId"]
    assert group == {"If": ["UseOneBulkLane", bulk_lane("data", one_for_all=True), bulk_lane("data")]}


@pytest.mark.parametrize(
    ("kind", "apart", "together"),
    [
        ("s3", "bulk/orders", "bulk"),
        ("event", "bulk/orders", "bulk"),
        ("batch", "bulk/orders", "bulk"),
        ("http", "interactive/orders", "interactive"),
        ("schedule", "interactive/orders", "interactive/schedules"),
    ],
)
def test_a_redrive_goes_back_to_the_lane_of_its_trigger(kind: str, apart: str, together: str) -> None:
    message = {"trigger": {"name": "orders", "kind": kind}}
    assert lane_of(message) == apart
    assert lane_of(message, one_bulk_lane=True) == together


def test_the_longest_name_fits_into_a_group_id() -> None:
    assert len(bulk_lane("x" * 63)) <= 128
