"""DynamoDB in memory as the event engine asks for it: boto3's Table for the ledger, its client for batches.

Update expressions and conditions are read, not guessed: what this cannot read fails. A condition that does not hold, a
key that a step names twice, and a number that is none are refused as AWS refuses them.
"""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from boto3.dynamodb.conditions import ConditionBase
from botocore.exceptions import ClientError

Item = dict[str, Any]
Named = Mapping[str, Any]

_CLAUSES = re.compile(r"\b(SET|REMOVE|ADD|DELETE)\b")
_IF_NOT_EXISTS = re.compile(r"if_not_exists\((#?\w+), (:\w+)\)")
_SUM = re.compile(r"(#?\w+) \+ (:\w+)")
_COMPARED = re.compile(r"(#?\w+) (=|<=|<) (:\w+)")
_EXISTS = re.compile(r"attribute_(not_)?exists\((#?\w+)\)")

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: bool(one == other),
    "<>": lambda one, other: bool(one != other),
    "<=": lambda one, other: bool(one <= other),
    "<": lambda one, other: bool(one < other),
    ">=": lambda one, other: bool(one >= other),
}


def refusal(operation: str, code: str, **more: Any) -> ClientError:
    """Return the error that AWS answers with."""
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(answer, operation)


class Ledger:
    """Stands in for boto3's Table of the ledger: its key is `id`, its values are Python's."""

    def __init__(self, indexes: Mapping[str, tuple[str, str]]) -> None:
        self.name = "ledger"
        self.items: dict[str, Item] = {}
        self._indexes = indexes
        self.meta = SimpleNamespace(client=None)

    def get_item(self, *, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        assert ConsistentRead, "a decision must not rest on an old row"
        found = self.items.get(Key["id"])
        return {} if found is None else {"Item": copy.deepcopy(found)}

    def put_item(self, *, Item: Item, ConditionExpression: ConditionBase) -> dict[str, Any]:
        if not holds(ConditionExpression, self.items.get(Item["id"], {})):
            raise refusal("PutItem", "ConditionalCheckFailedException")
        self.items[Item["id"]] = copy.deepcopy(Item)
        return {}

    def update_item(
        self,
        *,
        Key: Item,
        UpdateExpression: str,
        ExpressionAttributeNames: Mapping[str, str],
        ExpressionAttributeValues: Named,
        ConditionExpression: ConditionBase | None = None,
        ReturnValues: str = "NONE",
    ) -> dict[str, Any]:
        before = self.items.get(Key["id"], {})
        if ConditionExpression is not None and not holds(ConditionExpression, before):
            raise refusal("UpdateItem", "ConditionalCheckFailedException")
        values = {**before, **Key}
        _update(values, UpdateExpression, ExpressionAttributeNames, ExpressionAttributeValues)
        self.items[Key["id"]] = values
        return {"Attributes": copy.deepcopy(before)} if ReturnValues == "ALL_OLD" and before else {}

    def query(self, *, IndexName: str, KeyConditionExpression: ConditionBase, **_more: Any) -> dict[str, Any]:
        partition, sort = self._indexes[IndexName]
        inside = [item for item in self.items.values() if partition in item and sort in item]
        found = [item for item in inside if holds(KeyConditionExpression, item)]
        return {"Items": copy.deepcopy(sorted(found, key=lambda item: str(item[sort])))}


def holds(condition: ConditionBase, item: Item) -> bool:
    """Whether one of boto3's conditions holds of an item."""
    expression = condition.get_expression()
    operator, values = expression["operator"], expression["values"]
    if operator == "AND":
        return all(holds(each, item) for each in values)
    if operator == "OR":
        return any(holds(each, item) for each in values)
    if operator == "NOT":
        return not holds(values[0], item)
    name = values[0].name
    if operator == "attribute_exists":
        return name in item
    if operator == "attribute_not_exists":
        return name not in item
    if operator == "IN":
        return item.get(name) in values[1]
    if operator == "<>":
        return bool(item.get(name) != values[1])
    return name in item and _OPERATORS[operator](item[name], values[1])


def _update(item: Item, expression: str, names: Mapping[str, str], values: Named) -> None:
    parts = _CLAUSES.split(expression)[1:]
    touched: list[str] = []
    for clause, text in zip(parts[::2], parts[1::2], strict=True):
        for action in re.split(r", (?![^(]*\))", text.strip()):
            words = re.split(r" = | ", action, maxsplit=1)
            name = names.get(words[0], words[0])
            assert name not in touched, f"two paths overlap: {name}"
            touched.append(name)
            _act(item, clause, name, words[1] if len(words) > 1 else "", names, values)


def _act(item: Item, clause: str, name: str, value: str, names: Mapping[str, str], values: Named) -> None:
    if clause == "REMOVE":
        item.pop(name, None)
    elif clause == "SET":
        if found := _IF_NOT_EXISTS.fullmatch(value):
            assert names.get(found[1], found[1]) == name
            item.setdefault(name, _plain(values[found[2]]))
        else:
            item[name] = _plain(values[value])
    elif isinstance(values[value], set):
        there = set(item.get(name, set()))
        there = there | values[value] if clause == "ADD" else there - values[value]
        item.pop(name, None)
        if there:
            item[name] = there  # DynamoDB has no empty set
    else:
        assert clause == "ADD"
        item[name] = Decimal(item.get(name, 0)) + values[value]


def _plain(value: Any) -> Any:
    assert not isinstance(value, float), "DynamoDB takes no floats"
    return copy.deepcopy(value)


class Batches:
    """Stands in for boto3's client: the table of batches, with the key (`pk`, `sk`), in DynamoDB's JSON."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        assert ConsistentRead
        found = self.items.get(_key(Key))
        return {} if found is None else {"Item": copy.deepcopy(found)}

    def get_paginator(self, operation: str) -> _Pages:
        assert operation == "query"
        return _Pages(self)

    def transact_write_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        steps = [next(iter(step.items())) for step in TransactItems]
        keys = [_key(step.get("Item") or step["Key"]) for _, step in steps]
        assert len(set(keys)) == len(keys) <= 100, "a transaction takes each item once, 100 of them"
        reasons = [self._refused(key, step) for key, (_, step) in zip(keys, steps, strict=True)]
        if any(reason["Code"] != "None" for reason in reasons):
            raise refusal("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)
        for key, (kind, step) in zip(keys, steps, strict=True):
            self._make(key, kind, step)
        return {}

    def put_item(self, *, TableName: str, Item: Item, **more: Any) -> dict[str, Any]:
        condition, there = more.get("ConditionExpression"), self.items.get(_key(Item), {})
        if condition is not None and not _text_holds(condition, there, more.get("ExpressionAttributeValues", {})):
            raise refusal("PutItem", "ConditionalCheckFailedException")
        self.items[_key(Item)] = copy.deepcopy(dict(Item))
        return {}

    def delete_item(self, *, TableName: str, Key: Item) -> dict[str, Any]:
        self.items.pop(_key(Key), None)
        return {}

    def _refused(self, key: tuple[str, str], step: Mapping[str, Any]) -> dict[str, Any]:
        there = self.items.get(key, {})
        condition = step.get("ConditionExpression")
        if condition is None or _text_holds(condition, there, step.get("ExpressionAttributeValues", {})):
            return {"Code": "None"}
        shown = {"Item": copy.deepcopy(there)} if step.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
        return {"Code": "ConditionalCheckFailed", **shown}

    def _make(self, key: tuple[str, str], kind: str, step: Mapping[str, Any]) -> None:
        if kind == "Delete":
            self.items.pop(key, None)
        elif kind == "Put":
            self.items[key] = copy.deepcopy(dict(step["Item"]))
        else:
            item = self.items.setdefault(key, dict(step["Key"]))
            for action in step["UpdateExpression"].removeprefix("SET ").split(", "):
                name, _, value = action.partition(" = ")
                values = step["ExpressionAttributeValues"]
                if added := _SUM.fullmatch(value):
                    assert added[1] == name
                    item[name] = {"N": str(int(item[name]["N"]) + int(values[added[2]]["N"]))}
                else:
                    item[name] = copy.deepcopy(values[value])


class _Pages:
    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def paginate(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Named,
        ConsistentRead: bool = False,
    ) -> Iterator[dict[str, Any]]:
        assert ConsistentRead
        of_key, _, after = KeyConditionExpression.partition(" AND sk > ")
        pk = ExpressionAttributeValues[of_key.removeprefix("pk = ")]["S"]
        least = ExpressionAttributeValues[after]["S"] if after else ""
        found = [item for key, item in sorted(self._batches.items.items()) if key[0] == pk and key[1] > least]
        yield {"Items": copy.deepcopy(found)}


def _text_holds(condition: str, item: Item, values: Named) -> bool:
    def term(text: str) -> bool:
        if found := _EXISTS.fullmatch(text):
            return (found[2] in item) is not bool(found[1])
        compared = _COMPARED.fullmatch(text)
        assert compared is not None, f"this DynamoDB cannot read {text!r}"
        if compared[1] not in item:
            return False
        return _OPERATORS[compared[2]](_number(item[compared[1]]), _number(values[compared[3]]))

    return any(all(term(text) for text in either.split(" AND ")) for either in condition.split(" OR "))


def _number(value: Item) -> Any:
    return float(value["N"]) if "N" in value else value["S"]


def _key(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]
