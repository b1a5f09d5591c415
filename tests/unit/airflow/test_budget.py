"""The budget of REST calls: moto's DynamoDB, and many functions that share one clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.airflow.budget import Budget, Share
from jetway.dispatch.lanes import LONGEST_TURN, OUT_OF_TURN
from jetway.errors import OutOfTurnError
from tests.unit.airflow.conftest import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "ledger"


class OneItem:
    """DynamoDB's UpdateItem as the budget uses it, strict about its words: moto takes milliseconds for each call."""

    def __init__(self) -> None:
        self.until: dict[str, int] = {}
        self.writes = 0

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.writes += 1
        values = {name: int(value["N"]) for name, value in request["ExpressionAttributeValues"].items()}
        key = request["Key"]["id"]["S"]
        there = self.until.get(key)
        if request["UpdateExpression"] == "SET #until = :until":
            assert request["ConditionExpression"] == "attribute_not_exists(#until) OR #until < :now"
            holds, new = there is None or there < values[":now"], values[":until"]
        else:
            assert request["UpdateExpression"] == "SET #until = #until + :every"
            assert request["ConditionExpression"] == "#until <= :latest"
            holds = there is not None and there <= values[":latest"]
            new = (there or 0) + values[":every"]
        if not holds:
            answer: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
            if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and there is not None:
                answer["Item"] = {"until": {"N": str(there)}}
            raise ClientError(answer, "UpdateItem")
        self.until[key] = new
        return {"Attributes": {"until": {"N": str(new)}}}


def budget(client: Any, clock: Clock, share: Share = "bulk", **more: Any) -> Budget:
    options: dict[str, Any] = {"calls_per_second": 10, "longest": 2.0, **more}
    return Budget(client, TABLE, share=share, clock=clock, sleep=clock.sleep, **options)


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-central-1")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def times_of(spends: Budget, clock: Clock, calls: int) -> list[float]:
    """Make calls one after the other, each of which takes no time; return when they were made."""
    found = []
    for _ in range(calls):
        spends.spend()
        found.append(clock.now)
    return found


@pytest.mark.parametrize("share", ["bulk", "interactive"])
def test_one_function_alone_gets_the_whole_budget(dynamodb: DynamoDBClient, share: Share) -> None:
    clock = Clock()
    made = times_of(budget(dynamodb, clock, share), clock, 200)
    assert 9.5 < 200 / (made[-1] - made[0]) < 10.5
    assert_within(made)


def assert_within(made: list[float], rate: float = 10.0) -> None:
    """AWS's bucket, as strictly as it can be read, throttles none of these calls."""
    level, then = rate, made[0]
    for moment in sorted(made):
        level = min(rate, level + (moment - then) * rate) - 1
        then = moment
        assert level > -1e-6, f"throttled at {moment}"


@dataclass
class Lane:
    """A lane with more messages than there is time for: start_dag_run as `jetway.dispatch.lanes` has it."""

    share: Share
    made: list[float] = field(default_factory=list)
    refused: int = 0
    left: int = 10
    waited: float = 0.0

    def work(self, items: OneItem, now: float, dice: random.Random) -> float:
        """Do one message; return when the lane does its next one."""
        if self.left == 0:
            self.left, self.waited = 10, 0.0
        if self.waited > LONGEST_TURN and self.share == "bulk":
            return self._pass_the_turn(now, dice)
        clock = Clock(now)
        try:
            budget(items, clock, self.share).spend()
        except OutOfTurnError:
            self.refused += 1
            return self._pass_the_turn(now, dice)
        self.made.append(clock.now)
        self.waited += sum(clock.slept)
        self.left -= 1
        return clock.now + 0.15  # the call itself

    def _pass_the_turn(self, now: float, dice: random.Random) -> float:
        self.left, self.waited = 10, 0.0
        return now + dice.uniform(*OUT_OF_TURN)


@pytest.mark.parametrize("lanes", [2, 5, 12, 30, 100])
def test_many_lanes_at_once_stay_within_it_and_all_have_their_turns(lanes: int) -> None:
    """For five minutes, beside three functions that people ask."""
    items, begin, dice = OneItem(), 1_000_000.0, random.Random(7)
    files = [Lane("bulk") for _ in range(lanes)]
    people = [Lane("interactive") for _ in range(3)]
    queue = [(begin + number * 0.001, number) for number in range(lanes + 3)]
    heapq.heapify(queue)
    while queue[0][0] < begin + 300:
        moment, number = heapq.heappop(queue)
        heapq.heappush(queue, ((files + people)[number].work(items, moment, dice), number))
    assert_within([moment for lane in files + people for moment in lane.made])
    of_files = sorted(len(lane.made) for lane in files)
    assert sum(of_files) > 300 * 7 * 0.9
    assert sum(len(lane.made) for lane in people) > 300 * 3 * 0.97
    assert sum(lane.refused for lane in people) == 0
    assert of_files[0] > 0.2 * of_files[-1], "no lane starves"


def test_a_call_of_people_comes_at_once_however_busy_files_are() -> None:
    items, clock = OneItem(), Clock()
    files = budget(items, clock, longest=60.0)
    for _ in range(100):
        files.spend()
        people = Clock(clock.now)
        if clock.now > 1_000_001 and int(clock.now * 10) % 50 == 0:
            budget(items, people, "interactive").spend()
            assert people.slept == []


def test_what_comes_too_late_is_refused_and_takes_no_turn(dynamodb: DynamoDBClient) -> None:
    clock = Clock()
    waiting = [budget(dynamodb, Clock(clock.now)) for _ in range(40)]
    outcomes = []
    for each in waiting:
        try:
            each.spend()
            outcomes.append(True)
        except OutOfTurnError as exc:
            outcomes.append("RestCallsPerSecond" not in str(exc))
    assert outcomes == sorted(outcomes, reverse=True), "who comes first has the first turn"
    # Those of half a second at once, those who wait two seconds for theirs, and what was lent.
    assert sum(outcomes) == pytest.approx((0.5 + 2.0) * 7 + 2, abs=1)


def test_an_idle_share_lends_one_turn_and_has_its_own_still(dynamodb: DynamoDBClient) -> None:
    clock = Clock()
    for _ in range(5):
        budget(dynamodb, Clock(clock.now)).spend()
    people = Clock(clock.now)
    budget(dynamodb, people, "interactive").spend()
    assert people.slept == []


def test_what_cannot_be_counted_is_not_held_up(dynamodb: DynamoDBClient, caplog: pytest.LogCaptureFixture) -> None:
    with Stubber(dynamodb) as stub:
        stub.add_client_error("update_item", "ProvisionedThroughputExceededException")
        budget(dynamodb, Clock()).spend()
    assert "not counted" in caplog.text
    with Stubber(dynamodb) as stub:
        stub.add_client_error("update_item", "ConditionalCheckFailedException")
        stub.add_client_error("update_item", "AccessDeniedException")
        budget(dynamodb, Clock()).spend()


@given(rate=st.integers(1, 200), gaps=st.lists(st.floats(0, 3), min_size=2, max_size=60))
def test_never_more_than_the_budget_whenever_calls_come(rate: int, gaps: list[float]) -> None:
    items, now = OneItem(), 1_000_000.0
    made = []
    for number, gap in enumerate(gaps):
        now += gap
        clock = Clock(now)
        try:
            budget(items, clock, "interactive" if number % 3 else "bulk", calls_per_second=rate).spend()
        except OutOfTurnError:
            continue
        made.append(clock.now)
    if made:
        assert_within(made, rate=max(4.0, rate))  # each of the two shares may have two calls at once
