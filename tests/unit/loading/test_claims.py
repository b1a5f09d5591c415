"""A dag_id belongs to one file: taken, kept, released, and void when its file is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from jetway.loading.claims import DagClaims


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


def items(table: Any) -> set[str]:
    return {item["pk"]["S"] for item in table.scan(TableName="artifacts")["Items"]}


def test_the_first_file_has_the_dag_id_and_keeps_it(claims: DagClaims) -> None:
    assert claims.claim("dags/a.py", ["x", "y"]) == {}
    assert claims.claim("dags/a.py", ["x", "y"]) == {}, "again, as after a crash"
    assert claims.claim("dags/b.py", ["y", "z"]) == {"y": "dags/a.py"}
    assert claims.claim("dags/b.py", ["z"]) == {}


def test_what_a_file_no_longer_makes_is_free(claims: DagClaims) -> None:
    claims.claim("dags/a.py", ["x", "y"])
    claims.claim("dags/a.py", ["y"])
    assert claims.claim("dags/b.py", ["x"]) == {}


def test_a_removed_file_holds_nothing_and_leaves_nothing(claims: DagClaims, table: Any) -> None:
    claims.claim("dags/a.py", ["x"])
    claims.release("dags/a.py")
    assert items(table) == set()
    assert claims.claim("dags/b.py", ["x"]) == {}


def test_a_claim_of_a_file_that_is_gone_is_void(claims: DagClaims, there: set[str]) -> None:
    """A rename: the new name may be judged before the removal of the old one is heard of, and that comes afterwards."""
    claims.claim("dags/a.py", ["x"])
    there.remove("dags/a.py")
    assert claims.claim("dags/b.py", ["x"]) == {}
    claims.release("dags/a.py")
    there.add("dags/c.py")
    assert claims.claim("dags/c.py", ["x"]) == {"x": "dags/b.py"}
