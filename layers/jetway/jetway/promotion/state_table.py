"""The standings in DynamoDB: one item for each artifact, `artifact#<key>`.

S3's versions and metadata say what is live and what was before. The table has what they cannot hold: metadata of a
version never changes, but whether it was verified does; a version that was rolled back must be known as such for
good; and what is due must be found without listing buckets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jetway.aws.dynamodb import VersionedItem, revision_of
from jetway.aws.expiry import Expiry
from jetway.errors import TransientError
from jetway.formats import is_known
from jetway.promotion.artifact_state import ArtifactState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Where the sweep keeps its place, and what it knows of the drop bucket's lifecycle rules.
SWEEP = "sweep#artifacts"
_MOST_TRIES = 5
_ERRORS = "environment#import-errors"
_MOST_ERRORS = 2000


class StandingChangedError(TransientError):
    """Somebody else has written the artifact's standing meanwhile; what it says now is to be read first."""

    reason = "standing-changed"


class ArtifactStateTable:
    """Reads and writes standings; a write succeeds only onto what was read."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, key: str) -> ArtifactState | None:
        """Return the standing of an artifact, as of now."""
        item = self._item(key).get()
        return _read(item) if item is not None else None

    def put(self, standing: ArtifactState) -> ArtifactState:
        """Write a standing and return it with its new revision.

        Raises:
            StandingChangedError: it is not at the revision any more that this one was made from.
        """
        written = replace(standing, revision=standing.revision + 1)
        attributes = {"standing": {"S": written.as_json()}}
        if written.due_at is not None:
            # Only what has both attributes is in the index.
            attributes |= {"open": {"S": "open"}, "due_at": {"S": written.due_at.isoformat()}}
        if not self._item(standing.key).put(attributes, onto=standing.revision):
            raise StandingChangedError(f"the standing of {standing.key!r} has changed in the meantime.")
        return written

    def change(self, key: str, how: Callable[[ArtifactState | None], ArtifactState]) -> ArtifactState:
        """Write what `how` makes of the standing as it is, as often as somebody else is faster.

        Raises:
            StandingChangedError: others keep writing it.
        """
        for _ in range(_MOST_TRIES):
            before = self.get(key)
            after = how(before)
            if after == before:
                return after
            try:
                return self.put(after)
            except StandingChangedError:
                continue
        raise StandingChangedError(f"the standing of {key!r} is written by others again and again.")

    def list_open(self, limit: int) -> list[ArtifactState]:
        """Return what is to be looked at, by when it is due. The index may lag a moment: get it anew before acting."""
        found: list[ArtifactState] = []
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by_due",
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": "open"}},
        )
        for page in pages:
            found += map(_read, filter(is_known, page["Items"]))
            if len(found) >= limit:
                break
        return found[:limit]

    def page(self, after: str | None = None) -> tuple[list[ArtifactState], str | None]:
        """Return some of all standings, and the key to go on after; None when these were the last.

        Args:
            after: where the page before has ended; None: at the beginning.
        """
        start: Any = {"ExclusiveStartKey": {"pk": {"S": after}}} if after is not None else {}
        answer = self._client.scan(
            TableName=self._table,
            FilterExpression="begins_with(pk, :artifact)",
            ExpressionAttributeValues={":artifact": {"S": "artifact#"}},
            **start,
        )
        last = answer.get("LastEvaluatedKey")
        return [_read(item) for item in answer["Items"] if is_known(item)], last["pk"]["S"] if last else None

    def known_errors(self) -> Mapping[str, str]:
        """Return the import errors of the last look: digest by file."""
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": _ERRORS}})
        known: Mapping[str, str] = json.loads(answer["Item"]["errors"]["S"]) if "Item" in answer else {}
        return known

    def expiry(self) -> Expiry:
        """Return what the sweep knows of the drop bucket's lifecycle rules."""
        item = VersionedItem(self._client, self._table, SWEEP).get() or {}
        return Expiry.from_dict(json.loads(item["expiry"]["S"]) if "expiry" in item else {})

    def remember_errors(self, errors: Mapping[str, str]) -> None:
        """Keep the import errors of a look."""
        kept = dict(sorted(errors.items())[:_MOST_ERRORS])
        self._client.put_item(TableName=self._table, Item={"pk": {"S": _ERRORS}, "errors": {"S": json.dumps(kept)}})

    def _item(self, key: str) -> VersionedItem:
        return VersionedItem(self._client, self._table, f"artifact#{key}")


def _read(item: Mapping[str, Any]) -> ArtifactState:
    return ArtifactState.from_json(item["standing"]["S"], revision_of(item))
