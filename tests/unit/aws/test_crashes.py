"""A message that ends its function three times is told apart from one that is tried again for good reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from jetway.aws.crashes import CrashedError, Crashes


class KilledError(BaseException):
    """The process is gone."""


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client: Any = boto3.client("dynamodb")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        yield client


class Message:
    """One message, as its receives go; says of each whether it was taken for crashed."""

    def __init__(self, dynamodb: Any, name: str = "m") -> None:
        self.crashes = Crashes(dynamodb, "t", key="id", ttl="ttl", clock=lambda: 1_000_000.0)
        self.name, self.receives = name, 0

    def tried(self, end: BaseException | None) -> bool:
        self.receives += 1
        said: list[bool] = []
        with suppress(KilledError, ValueError), self.crashes.trying(self.name, self.receives) as crashed:
            said.append(crashed)
            if end is not None and not crashed:
                raise end
        return said[0]

    def dies(self) -> bool:
        return self.tried(KilledError())

    def comes_back(self) -> bool:
        return self.tried(ValueError())

    def is_done(self) -> bool:
        return self.tried(None)

    def untried(self) -> None:
        """It shared a batch with another one that died."""
        self.receives += 1


def test_after_three_crashes_it_is_not_tried_again_and_that_stays_so(dynamodb: Any) -> None:
    message = Message(dynamodb)
    assert [message.dies() for _ in range(5)] == [False, False, False, True, True]
    assert message.is_done()


@pytest.mark.parametrize("before", [1, 2, 7])
def test_what_comes_back_for_a_reason_has_not_crashed_however_often(dynamodb: Any, before: int) -> None:
    message = Message(dynamodb)
    assert [message.comes_back() for _ in range(before)] == [False] * before
    assert [message.dies() for _ in range(4)] == [False, False, False, True]


def test_crashes_count_in_a_row_only(dynamodb: Any) -> None:
    message = Message(dynamodb)
    assert not any([message.dies(), message.dies(), message.comes_back(), message.dies(), message.dies()])
    assert not message.comes_back()


def test_who_waits_behind_a_message_that_crashes_is_tried_as_if_nothing_had_been(dynamodb: Any) -> None:
    message = Message(dynamodb)
    for _ in range(9):
        message.untried()
    assert not message.is_done()
    for _ in range(9):  # done, but the batch died before it was deleted
        assert not message.is_done()


def test_the_first_try_costs_nothing(dynamodb: Any) -> None:
    message = Message(dynamodb)
    message.is_done()
    assert dynamodb.scan(TableName="t")["Items"] == []
    Message(dynamodb, "n").comes_back()
    (item,) = dynamodb.scan(TableName="t")["Items"]
    assert item == {"id": {"S": "crash#n"}, "tries": {"N": "-1"}, "ttl": {"N": str(1_000_000 + 15 * 86400)}}


def test_without_dynamodb_nothing_is_taken_for_crashed(caplog: pytest.LogCaptureFixture) -> None:
    class Down:
        def update_item(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")

    message = Message(Down())
    assert [message.dies() for _ in range(6)] == [False] * 6
    assert {line.levelname for line in caplog.records} == {"WARNING"}


def test_its_reason_is_a_word_of_its_own() -> None:
    assert CrashedError.reason == "crashed"
    assert "3 times" in str(CrashedError())
