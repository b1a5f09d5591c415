"""Writes to DynamoDB that depend on what is there: a condition that does not hold is an answer, no trouble.

ConditionalCheckFailedException   the item is not as the condition wants it: `write_if` and `put_if` return False
TransactionCanceledException      for ConditionalCheckFailed: the same, of one step; for TransactionConflict: another
                                  write of an item is on its way; for throttling: the partition takes no more now. Worth
                                  another try after a pause. `transact` returns which; other causes are raised
TransactionConflictException      a transaction on the item is on its way: raised, worth another try
anything else                     throttled, refused, out of reach: nothing is known of the item, and it is raised

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec

from botocore.exceptions import ClientError

from jetway.formats import OF_ITEM, check_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

P = ParamSpec("P")

ABSENT = "attribute_not_exists(pk)"  # the condition of an item that must not be there yet

_FAILED = "ConditionalCheckFailed"
# Nothing is wrong with the step, and nothing was written.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_NOT_NOW = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def write_if(write: Callable[P, object], *args: P.args, **request: P.kwargs) -> bool:
    """Make one conditional write; False when its condition does not hold, and nothing was written.

    Args:
        write: put_item, update_item or delete_item, of a client or a Table.
        args: none; boto3 takes names only.
        request: its members, of which one is the condition.

    Raises:
        ClientError, BotoCoreError: DynamoDB is in trouble.
    """
    try:
        write(*args, **request)
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def put_if(
    client: DynamoDBClient,
    table: str,
    item: Mapping[str, Any],
    condition: str,
    *,
    values: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> bool:
    """Put an item in the place of what is there; False when the condition does not hold of that.

    Args:
        client: of DynamoDB.
        table: its name.
        item: in DynamoDB's JSON, with its key.
        condition: a condition expression.
        values: what the condition's `:names` stand for.
        names: what its `#names` stand for.

    Raises:
        ClientError, BotoCoreError: DynamoDB is in trouble.
    """
    more: dict[str, Any] = {}  # DynamoDB refuses empty ones
    if values:
        more["ExpressionAttributeValues"] = values
    if names:
        more["ExpressionAttributeNames"] = names
    return write_if(client.put_item, TableName=table, Item=item, ConditionExpression=condition, **more)


@dataclass(frozen=True, slots=True)
class VersionedItem:
    """An item that is written only onto what was read; its `revision` counts the writes, from 1.

    Attributes:
        client: of DynamoDB.
        table: its name.
        pk: the item's key.
    """

    client: DynamoDBClient
    table: str
    pk: str

    def get(self) -> Mapping[str, Any] | None:
        """Return the item as the last write left it, or None.

        Raises:
            NewerFormatError: a newer version of Jetway has written it.
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        answer = self.client.get_item(TableName=self.table, Key={"pk": {"S": self.pk}}, ConsistentRead=True)
        item = answer.get("Item")
        if item is not None:
            check_item(item, f"the item {self.pk!r}")
        return item

    def put(self, attributes: Mapping[str, Any], *, onto: int) -> bool:
        """Write the item, all of it; False when it is not at that revision any more, and nothing was written.

        Args:
            attributes: in DynamoDB's JSON, without key and revision.
            onto: the revision that this one was made from; 0: there was no item.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        item = {**OF_ITEM, **attributes, "pk": {"S": self.pk}, "revision": {"N": str(onto + 1)}}
        if not onto:
            return put_if(self.client, self.table, item, ABSENT)
        before = {":before": {"N": str(onto)}}
        return put_if(self.client, self.table, item, "revision = :before", values=before)


def revision_of(item: Mapping[str, Any]) -> int:
    """Return how often a versioned item has been written."""
    return int(item["revision"]["N"])


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a transaction that was not made says of one of its steps.

    Attributes:
        failed: the step's condition does not hold; else the step was not at fault, another write was on its way, or the
            partition took no more just then.
        item: as it is, where the step has asked for it.
    """

    failed: bool
    item: Mapping[str, Any] = field(default_factory=dict)


def transact(client: DynamoDBClient, steps: Sequence[Any]) -> tuple[Refusal, ...]:
    """Make all steps, or none: then a condition does not hold, or it is worth another try after a pause.

    Returns:
        nothing when they are made; else one for each step, in order.

    Raises:
        ClientError, BotoCoreError: DynamoDB is in trouble.
    """
    try:
        client.transact_write_items(TransactItems=steps)
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        reasons: Sequence[Mapping[str, Any]] = exc.response.get("CancellationReasons", ())
        codes = {reason.get("Code") for reason in reasons}
        if not codes & {_FAILED, *_NOT_NOW}:
            raise
        return tuple(Refusal(reason.get("Code") == _FAILED, reason.get("Item", {})) for reason in reasons)
    return ()
