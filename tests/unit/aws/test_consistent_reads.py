"""Reads that decide whether something happens twice must see what was written a moment ago.

moto answers with the newest whatever is asked for, so the parameter itself is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.dispatch.limits import Rate
from jetway.dispatch.rates import Rates
from jetway.http.idempotency_keys import IdempotencyKeys, KeyUse
from jetway.http.replays import KEPT_WITH_TIME, KEPT_WITHOUT_TIME, ReplayCache
from jetway.http.signatures import Signed
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.record import UpdateTable
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.ledger_table import make_ledger_table

NOW = 1_795_327_200.0
READS: dict[str, Callable[[Any, Any], object]] = {
    "replays": lambda client, table: ReplayCache(client, table.name).knows("push", Signed("id", "proof", None)),
    "keys": lambda client, table: IdempotencyKeys(client, table.name).check(KeyUse("key", "id", "print")),
    "standings": lambda client, _: ArtifactStateTable(client, TABLE).get("dags/a.py"),
    "updates": lambda client, _: UpdateTable(client, TABLE).get(),
}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield make_ledger_table()


@pytest.fixture
def client(table: Any) -> Any:
    made = boto3.client("dynamodb", region_name=table.meta.client.meta.region_name)
    make_artifact_table(made)
    return made


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_was_written_a_moment_ago_is_seen(client: Any, table: Any, read: Callable[[Any, Any], object]) -> None:
    asked: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb.GetItem", lambda params, **_: asked.append(dict(params))
    )
    read(client, table)
    assert [params["ConsistentRead"] for params in asked] == [True]


def test_the_last_place_of_a_rate_is_seen(table: Any) -> None:
    asked: list[dict[str, Any]] = []
    table.meta.client.meta.events.register(
        "before-parameter-build.dynamodb.GetItem", lambda params, **_: asked.append(dict(params))
    )
    Rates(table).take("orders", Rate(1, 60), latest=datetime.max.replace(tzinfo=UTC))
    assert [params["ConsistentRead"] for params in asked] == [True]


@pytest.mark.parametrize(("timestamp", "kept"), [(None, KEPT_WITHOUT_TIME), (int(NOW), KEPT_WITH_TIME)])
def test_a_signature_is_known_as_long_as_it_could_come_back(
    client: Any, table: Any, timestamp: int | None, kept: float
) -> None:
    clock = [NOW]
    cache = ReplayCache(client, table.name, clock=lambda: clock[0])
    signed = Signed("delivery", "proof", timestamp)
    assert not cache.knows("push", signed)
    cache.remember("push", signed)
    for clock[0] in (NOW, NOW + kept):
        assert cache.knows("push", signed)
    assert not cache.knows("pull", signed), "another trigger's"
    assert not cache.knows("push", Signed("delivery", "other proof", timestamp))
    clock[0] = NOW + kept + 1
    assert not cache.knows("push", signed)
