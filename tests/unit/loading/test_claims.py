"""A dag_id belongs to one file: taken, kept, released, and void when its file is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.loading.claims import DagClaims
from jetway.loading.dag_id_conflicts import Rival

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield {"dags/a.py", "dags/b.py"}


@pytest.fixture
def table(there: set[str]) -> Any:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="artifacts",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    return client


@pytest.fixture
def claims(table: Any, there: set[str]) -> DagClaims:
    return DagClaims(table, "artifacts", there.__contains__)


def claim(claims: DagClaims, key: str, dag_ids: list[str], *, minute: int = 0) -> dict[str, str]:
    """Claim for a version that was uploaded then, and is judged a minute later; return dag_id → other file's key."""
    uploaded = NOON + timedelta(minutes=minute)
    taken = claims.claim(key, dag_ids, uploaded, uploaded + timedelta(minutes=1))
    return {dag_id: rival.key for dag_id, rival in taken.items()}


def items(table: Any) -> set[str]:
    return {item["pk"]["S"] for item in table.scan(TableName="artifacts")["Items"]}


def test_the_first_file_has_the_dag_id_and_keeps_it(claims: DagClaims) -> None:
    assert claim(claims, "dags/a.py", ["x", "y"]) == {}
    assert claim(claims, "dags/a.py", ["x", "y"]) == {}, "again, as after a crash"
    assert claim(claims, "dags/b.py", ["y", "z"]) == {"y": "dags/a.py"}
    assert claim(claims, "dags/b.py", ["z"]) == {}


def test_what_a_file_no_longer_makes_is_free(claims: DagClaims) -> None:
    claim(claims, "dags/a.py", ["x", "y"])
    claim(claims, "dags/a.py", ["y"])
    assert claim(claims, "dags/b.py", ["x"]) == {}


def test_a_removed_file_holds_nothing_and_leaves_nothing(claims: DagClaims, table: Any) -> None:
    claim(claims, "dags/a.py", ["x"])
    claims.release("dags/a.py")
    assert items(table) == set()
    assert claim(claims, "dags/b.py", ["x"]) == {}


def test_a_claim_of_a_file_that_is_gone_is_void(claims: DagClaims, there: set[str]) -> None:
    """A rename: the new name may be judged before the removal of the old one is heard of, and that comes afterwards."""
    claim(claims, "dags/a.py", ["x"])
    there.remove("dags/a.py")
    assert claim(claims, "dags/b.py", ["x"]) == {}
    claims.release("dags/a.py")
    there.add("dags/c.py")
    assert claim(claims, "dags/c.py", ["x"]) == {"x": "dags/b.py"}


def test_a_claim_keeps_the_times_of_the_version_that_made_it(claims: DagClaims) -> None:
    claim(claims, "dags/a.py", ["x"], minute=0)
    claim(claims, "dags/a.py", ["x"], minute=30)
    taken = claims.claim("dags/b.py", ["x"], NOON, NOON)
    assert taken == {"x": Rival("dags/a.py", NOON, NOON + timedelta(minutes=1))}


def test_only_what_nobody_has_claimed_is_looked_for_elsewhere(claims: DagClaims, table: Any) -> None:
    asked: list[str] = []

    def other(dag_id: str) -> Rival | None:
        asked.append(dag_id)
        return Rival("s3://live/dags/x.py", by_hand=True) if dag_id == "x" else None

    assert claims.claim("dags/a.py", ["x", "y"], NOON, NOON, other)["x"].by_hand
    assert asked == ["x", "y"]
    assert items(table) == {"dag#y", "dags#dags/a.py"}, "x is not claimed"
    claims.claim("dags/a.py", ["y"], NOON, NOON, other)
    assert asked == ["x", "y"]


def test_a_claim_of_an_earlier_release_holds_without_times(claims: DagClaims, table: Any) -> None:
    table.put_item(TableName="artifacts", Item={"pk": {"S": "dag#x"}, "holder": {"S": "dags/a.py"}})
    assert claims.claim("dags/b.py", ["x"], NOON, NOON) == {"x": Rival("dags/a.py")}
