"""The accepted triggers: one JSON object in the drop bucket, with the last good document of every trigger file.

    {"format": "jetway-triggers/1",
     "triggers": {"triggers/orders.yaml": {"name": "orders", "kind": "s3", "document": {…}, "version": "…",
                                           "accepted_at": "…", "by": {…},
                                           "seen": {"version": "…", "verdict": "accepted", "report": "<digest>"}}}}

`document` is null while no version of the file was ever good. `seen` has `"crashed": true` besides when that version is
passed over, for it has ended the function time and again. Written by sync_triggers only; the HTTP API reads its
webhooks from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.aws.s3 import ObjectVersion, head, is_changed, is_gone, unchanged
from jetway.errors import TransientError
from jetway.triggers.resources import json_text

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from jetway.events.principals import By
    from jetway.triggers.file import TriggerFile

KEY = "accepted/triggers.json"
FORMAT = "jetway-triggers/1"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted before.

    Attributes:
        triggers: by key of the file.
        there: the object that they were read from; None when there was none.
    """

    triggers: Mapping[str, Mapping[str, Any]]
    there: ObjectVersion | None

    @property
    def crashed(self) -> Mapping[str, str]:
        """Versions that have ended the function time and again, by key."""
        seen = {key: entry.get("seen") or {} for key, entry in self.triggers.items()}
        return {key: each["version"] for key, each in seen.items() if each.get("crashed")}


def entry_of(trigger: TriggerFile, version: str, now: datetime, by: By) -> Mapping[str, Any]:
    """Return the entry of a file whose newest version is good.

    Args:
        by: who put it, as far as that is known (`jetway.events.principals`).
    """
    return {
        "name": trigger.name,
        "kind": trigger.kind,
        "document": dict(trigger.document),
        "version": version,
        "accepted_at": now.isoformat(timespec="seconds"),
        **({"by": dict(by)} if by else {}),
    }


def load(s3: S3Client, bucket: str) -> Accepted:
    """Read the accepted triggers.

    Raises:
        TransientError: the object was written just now.
        ValueError: the object is not what this program writes.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    content, there = load_json(s3, bucket, KEY, FORMAT)
    return Accepted(content.get("triggers", {}), there)


def save(s3: S3Client, bucket: str, before: Accepted, triggers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Write the accepted triggers, if they have changed.

    Returns:
        Whether they have.

    Raises:
        TransientError: somebody else wrote them since they were read.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    if json_text(triggers) == json_text(before.triggers):
        return False
    save_json(s3, bucket, KEY, {"format": FORMAT, "triggers": triggers}, before.there)
    return True


def load_json(s3: S3Client, bucket: str, key: str, format_: str) -> tuple[Mapping[str, Any], ObjectVersion | None]:
    """Read a JSON object that sync_triggers keeps; an empty one when there is none.

    Args:
        format_: what its member `format` must be.

    Raises: as `load`.
    """
    there = head(s3, bucket, key)
    if there is None:
        return {}, None
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, IfMatch=there.etag)
    except ClientError as exc:
        if is_gone(exc) or is_changed(exc):
            raise TransientError(f"s3://{bucket}/{key} was written just now.") from exc
        raise
    with answer["Body"] as body:
        content: Mapping[str, Any] = json.loads(body.read())
    if content.get("format") != format_:
        raise ValueError(f"s3://{bucket}/{key} has the format {content.get('format')!r}, not {format_!r}.")
    return content, there


def save_json(s3: S3Client, bucket: str, key: str, content: Mapping[str, Any], there: ObjectVersion | None) -> None:
    """Write a JSON object over the one that was read.

    Raises: as `save`.
    """
    body = json.dumps(content, indent=1, sort_keys=True).encode()
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **unchanged(there))
    except ClientError as exc:
        if is_changed(exc):
            raise TransientError(f"s3://{bucket}/{key} was written by another process.") from exc
        raise
