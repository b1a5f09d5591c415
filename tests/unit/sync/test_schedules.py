"""Schedules that come and go by themselves: what fires once is deleted by Scheduler, at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from jetway.sync.schedules import Schedules

GROUP, PREFIX = "jetway", "jetway."
GONE = "ResourceNotFoundException"


@pytest.fixture
def scheduler() -> Iterator[Stubber]:
    with Stubber(boto3.client("scheduler", region_name="us-east-1")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def lists(stub: Stubber, *names: str) -> None:
    stub.add_response("list_schedules", {"Schedules": [{"Name": name} for name in names]})


def load(stub: Stubber) -> Schedules:
    client: Any = stub.client
    return Schedules.load(client, GROUP, PREFIX)


def test_one_that_fires_while_the_group_is_looked_at_is_gone_and_the_others_are_there(scheduler: Stubber) -> None:
    lists(scheduler, "jetway.once", "jetway.nightly", "jetways.of.others")
    scheduler.add_client_error("get_schedule", GONE, expected_params={"GroupName": GROUP, "Name": "jetway.once"})
    scheduler.add_response("get_schedule", {"Name": "jetway.nightly"}, {"GroupName": GROUP, "Name": "jetway.nightly"})
    assert load(scheduler).found.keys() == {"jetway.nightly"}


def test_one_that_cannot_be_looked_at_is_not_taken_for_gone(scheduler: Stubber) -> None:
    lists(scheduler, "jetway.nightly")
    scheduler.add_client_error("get_schedule", "ThrottlingException")
    with pytest.raises(ClientError, match="ThrottlingException"):
        load(scheduler)


@pytest.mark.parametrize("gone", [False, True])
def test_one_that_fires_before_it_is_deleted_is_deleted(scheduler: Stubber, gone: bool) -> None:
    lists(scheduler, "jetway.once")
    scheduler.add_response("get_schedule", {"Name": "jetway.once"})
    schedules = load(scheduler)
    if gone:
        scheduler.add_client_error("delete_schedule", GONE)
    else:
        scheduler.add_response("delete_schedule", {}, {"GroupName": GROUP, "Name": "jetway.once"})
    schedules.delete("jetway.once")
    assert schedules.found == {}


def test_one_that_cannot_be_deleted_stays_known(scheduler: Stubber) -> None:
    lists(scheduler, "jetway.once")
    scheduler.add_response("get_schedule", {"Name": "jetway.once"})
    schedules = load(scheduler)
    scheduler.add_client_error("delete_schedule", "ConflictException")
    with pytest.raises(ClientError, match="ConflictException"):
        schedules.delete("jetway.once")
    assert schedules.found.keys() == {"jetway.once"}


def test_one_of_others_is_never_deleted(scheduler: Stubber) -> None:
    lists(scheduler)
    with pytest.raises(ValueError, match="does not belong to this stack"):
        load(scheduler).delete("jetways.of.others")
