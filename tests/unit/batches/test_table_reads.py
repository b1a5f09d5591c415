"""What is asked of DynamoDB: moto answers at once with the newest, so the parameters themselves are looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jetway.batches.table import BatchTable

from .world import World


@pytest.mark.parametrize(
    "read",
    [
        lambda table: table.find_open("stream"),
        lambda table: table.list_open(),
        lambda table: table.list_closed(),
        lambda table: table.count_waiting(),
        lambda table: table.read_closed("batch"),
    ],
    ids=["find_open", "list_open", "list_closed", "count_waiting", "read_closed"],
)
def test_every_read_sees_what_was_written_before(world: World, read: Callable[[BatchTable], Any]) -> None:
    asked: list[dict[str, Any]] = []
    for operation in ("GetItem", "Query"):
        world.dynamodb.meta.events.register(
            f"before-parameter-build.dynamodb.{operation}", lambda params, **_: asked.append(dict(params))
        )
    read(world.table)
    assert [params["ConsistentRead"] for params in asked] == [True] * len(asked) != []
