"""Formats of what outlives a deployment: messages in queues, and items in tables.

A version of Jetway reads what the version before has left, and after going back the version before reads what this one
has left. So a member or an attribute may be added at any time: readers ignore what they do not know. A change that
a reader of before would misunderstand raises the number here, and the reader of before refuses it with
`NewerFormatError` instead of guessing. What has no number is of format 1: it is older than the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jetway.errors import NewerFormatError, UnknownEventError

MEMBER = "format"

# Of the dispatch queue, the collect queue and the waiting queue, and so of their dead letters' `message`.
# {"format": 1, "trigger": {…}, "event": {…}, "waits"?, "force"?, "redriven_at"?, "redriven_by"?} or
# {"format": 1, "look_at": {"stream": …, "batch": …}}
MESSAGE = 1

# Of the ledger's rows, an artifact's standing, the record of updates, and open and closed batches. What has none:
# claims, sets of names, and counters and answers that are kept for minutes or a day.
ITEM = 1

OF_ITEM: Mapping[str, Any] = {MEMBER: {"N": str(ITEM)}}  # in DynamoDB's JSON


def check_message(message: Mapping[str, Any]) -> None:
    """Refuse a message of a newer format than is known.

    Args:
        message: its body.

    Raises:
        NewerFormatError: it is of a newer format.
        UnknownEventError: its format is not a whole number from 1.
    """
    _check(message.get(MEMBER, 1), MESSAGE, "the message")


def check_item(item: Mapping[str, Any], what: str) -> None:
    """Refuse an item of a newer format than is known.

    Args:
        item: as DynamoDB has it, in DynamoDB's JSON or as boto3's Table returns it.
        what: what it is, for the error.

    Raises:
        NewerFormatError: it is of a newer format.
    """
    _check(_format(item), ITEM, what)


def is_known(item: Mapping[str, Any]) -> bool:
    """Whether an item's format is known here. A list leaves out what is newer: it waits for the newer version."""
    return _format(item) <= ITEM


def _format(item: Mapping[str, Any]) -> int:
    found = item.get(MEMBER, 1)
    return int(found["N"] if isinstance(found, Mapping) else found)


def _check(found: object, known: int, what: str) -> None:
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UnknownEventError(f"the format of {what} is {found!r}; it must be a whole number from 1.")
    if found > known:
        raise NewerFormatError(
            f"{what} has format {found}, and this version of Jetway knows formats up to {known}. Deploy the newer "
            "version again; then send dead letters again with `jetway redrive`."
        )
