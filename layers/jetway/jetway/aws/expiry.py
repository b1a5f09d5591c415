"""What lifecycle rules of a bucket may have deleted: S3's versions do not say who did, and nobody asked a rule to.

The rules are looked at again and again, and remembered: one that is gone today may have deleted something yesterday.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3 stops to delete "after a small delay" when a rule goes; and a rule deletes at the earliest at the next midnight.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-set-lifecycle-configuration-intro.html
AFTER_A_RULE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Expiry:
    """The rules of one bucket that let current objects expire, as far as they are known.

    Attributes:
        since: from when on they are; None: not yet.
        seen: of each prefix that one of them had, when that was seen last.
    """

    since: datetime | None = None
    seen: Mapping[str, datetime] = field(default_factory=dict)

    def look(self, s3: S3Client, bucket: str, now: datetime) -> Expiry:
        """Return what is known once the rules of now are too.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        try:
            rules: Sequence[Mapping[str, Any]] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                raise
            rules = ()
        return Expiry(self.since or now, {**self.seen, **dict.fromkeys(_prefixes(rules), now)})

    def may_have_deleted(self, key: str, at: datetime) -> bool:
        """Whether a rule may have deleted a key at that moment or later; not known is yes."""
        if self.since is None or at < self.since:
            return True
        return self.has_rule(key, at)

    def has_rule(self, key: str, at: datetime) -> bool:
        """Whether a rule that is known may have deleted a key at that moment."""
        return any(key.startswith(prefix) and at < seen + AFTER_A_RULE for prefix, seen in self.seen.items())

    def as_dict(self) -> dict[str, Any]:
        """What is known, for JSON."""
        since = self.since.isoformat() if self.since is not None else None
        return {"since": since, "seen": {prefix: seen.isoformat() for prefix, seen in self.seen.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        since = values.get("since")
        seen = {prefix: datetime.fromisoformat(text) for prefix, text in values.get("seen", {}).items()}
        return cls(datetime.fromisoformat(since) if since else None, seen)


def _prefixes(rules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the keys begin with that rules let expire; tags and sizes are not looked at, so they may be fewer."""
    for rule in rules:
        if rule["Status"] == "Enabled" and rule.get("Expiration", {}).keys() & {"Days", "Date"}:
            only = rule.get("Filter") or {}
            yield rule.get("Prefix") or only.get("Prefix") or only.get("And", {}).get("Prefix") or ""
