"""A small DynamoDB in memory: what Jetway asks of the artifact table, and nothing else.

A condition that it cannot read fails. Reading an index sees every write at once: the product must not rely on it.
"""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from botocore.exceptions import ClientError

Item = dict[str, Any]

_MOST_OF_AN_ITEM = 400 * 1024  # bytes
_EXISTS = re.compile(r"attribute_(not_)?exists\(([#\w]+)\)")
_EQUALS = re.compile(r"([#\w]+) (=|<>) (:\w+)")


class DynamoDB:
    """Stands in for boto3's client; every table has the key `pk`.

    Args:
        indexes: partition key and sort key of each index, by its name. What lacks one of the two is not in it.
    """

    def __init__(self, indexes: Mapping[str, tuple[str, str]]) -> None:
        self.tables: dict[str, dict[str, Item]] = {}
        self._indexes = indexes

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        found = self._table(TableName).get(_pk(Key))
        return {} if found is None else {"Item": dict(found)}

    def put_item(self, *, TableName: str, Item: Item, **condition: Any) -> dict[str, Any]:
        _check(Item)
        table = self._table(TableName)
        _require("PutItem", table.get(_pk(Item)), condition)
        table[_pk(Item)] = dict(Item)
        return {}

    def delete_item(self, *, TableName: str, Key: Item, **condition: Any) -> dict[str, Any]:
        table = self._table(TableName)
        _require("DeleteItem", table.get(_pk(Key)), condition)
        table.pop(_pk(Key), None)
        return {}

    def query(
        self,
        *,
        TableName: str,
        IndexName: str,
        KeyConditionExpression: str,
        ExpressionAttributeNames: Mapping[str, str],
        ExpressionAttributeValues: Mapping[str, Item],
    ) -> dict[str, Any]:
        partition, sort = self._indexes[IndexName]
        found = [
            item
            for item in self._table(TableName).values()
            if sort in item
            and _holds(KeyConditionExpression, item, ExpressionAttributeNames, ExpressionAttributeValues)
        ]
        assert partition in ExpressionAttributeNames.values()
        return {"Items": [dict(item) for item in sorted(found, key=lambda item: next(iter(item[sort].values())))]}

    def scan(self, *, TableName: str) -> dict[str, Any]:
        return {"Items": [dict(item) for item in self._table(TableName).values()]}

    def get_paginator(self, operation: Literal["query", "scan"]) -> _Paginator:
        return _Paginator(self, operation)

    def _table(self, name: str) -> dict[str, Item]:
        return self.tables.setdefault(name, {})


class _Paginator:
    def __init__(self, client: DynamoDB, operation: str) -> None:
        self._client, self._operation = client, operation

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield getattr(self._client, self._operation)(**arguments)


def _pk(item: Item) -> str:
    found: str = item["pk"]["S"]
    return found


def _check(item: Item) -> None:
    size = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        assert kind in {"S", "N"}, f"this DynamoDB knows no {kind!r}"
        assert isinstance(content, str), f"{name} is no text"
        size += len(name.encode()) + len(content.encode())
    if size > _MOST_OF_AN_ITEM:
        answer: Any = {"Error": {"Code": "ValidationException", "Message": "Item size has exceeded 400 KB"}}
        raise ClientError(answer, "PutItem")


def _require(operation: str, there: Item | None, condition: Mapping[str, Any]) -> None:
    if not condition:
        return
    expression = condition["ConditionExpression"]
    names, values = condition.get("ExpressionAttributeNames", {}), condition.get("ExpressionAttributeValues", {})
    assert condition.keys() <= {"ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"}
    unused = [name for name in (*names, *values) if name not in expression]
    assert not unused, f"DynamoDB refuses what an expression does not use: {unused}"
    if not _holds(expression, there or {}, names, values):
        answer: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": expression}}
        raise ClientError(answer, operation)


def _holds(expression: str, item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> bool:
    return all(_term(term.strip(), item, names, values) for term in expression.split(" AND "))


def _term(term: str, item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> bool:
    exists, equals = _EXISTS.fullmatch(term), _EQUALS.fullmatch(term)
    if exists is not None:
        return (names.get(exists[2], exists[2]) in item) is not bool(exists[1])
    assert equals is not None, f"this DynamoDB cannot read {term!r}"
    name = names.get(equals[1], equals[1])
    return (item.get(name) == values[equals[3]]) is (equals[2] == "=")
