"""Whether an artifact can be put where it belongs, and the keys of what the gate writes about it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from jetway.artifacts.findings import Finding

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_LONGEST_KEY = 1024

# What one CopyObject takes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
LARGEST_COPY = 5 * 1024**3

REPORTS = "reports/"
QUARANTINE = "quarantine/"
# What only Jetway writes in the drop bucket; its policy denies it to everybody else (docs/security.md).
OWN_PREFIXES = ("accepted/", "batches/", "bundles/", QUARANTINE, REPORTS)

# Control characters, and what changes the order in which letters are shown: such a name looks like another one.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_NO_TEXT = re.compile("[\ud800-\udfff]")  # stand for bytes of a file's name that are no text


def placing_findings(
    key: str, size: int, destination: str | None, taken: Mapping[str, str] | None = None
) -> list[Finding]:
    """Refuse what would not become one file inside the environment's dags folder.

    MWAA copies the folder's keys to a file system, where `..` leaves the folder, and `.` or nothing between
    two slashes names another file.

    Args:
        key: in the drop bucket.
        size: bytes.
        destination: the key in the environment's bucket, or None when it has no place there.
        taken: places in that bucket that belong to other artifacts: the key of each in the drop bucket.
    """
    if size > LARGEST_COPY:
        return [
            Finding(
                rule="too-large",
                severity="error",
                message=f"The object has {size:,} bytes; S3 copies at most {LARGEST_COPY:,} in one request.",
                line=None,
                remedy=(
                    "Keep data in its own bucket and read it from there. MWAA copies the whole dags folder to "
                    "every scheduler and worker."
                ),
            )
        ]
    if destination is None:
        return []
    parts = key.split("/")
    if any(part in {"", ".", ".."} for part in parts) or UNSEEN.search(key) or _NO_TEXT.search(key):
        return [
            Finding(
                rule="unsafe-key",
                severity="error",
                message=(
                    "The key has '..', '.', '//', characters that are not UTF-8, a control character, or a "
                    "character that changes the direction of text. In the dags folder it would be, or look like, "
                    "another file."
                ),
                line=None,
                remedy="Upload it under a plain path, such as dags/team/orders.py.",
            )
        ]
    owner = (taken or {}).get(destination, key)
    if owner != key:
        return [
            Finding(
                rule="taken-path",
                severity="error",
                message=(
                    f"In the environment's bucket the key would be {destination}, the environment's {owner}, which "
                    "has other rules and needs an update of the environment."
                ),
                line=None,
                remedy=f"Upload it as {owner}, or under another name.",
            )
        ]
    if len(destination.encode()) > _LONGEST_KEY:
        return [
            Finding(
                rule="key-too-long",
                severity="error",
                message=f"In the environment's bucket the key would have more than {_LONGEST_KEY} bytes.",
                line=None,
                remedy="Shorten the path.",
            )
        ]
    return []


def report_key(key: str, version: str) -> str:
    """Where the report of one version of an artifact is; of version "latest", the newest report."""
    return _beside(REPORTS, key, f"/{version}.json")


def report_text_key(key: str) -> str:
    """Where the newest report of an artifact is, for people."""
    return _beside(REPORTS, key, "/report.md")


def quarantine_key(key: str, version: str) -> str:
    """Where a rejected version of an artifact is kept."""
    return _beside(QUARANTINE, key, f"/{version}")


def _beside(prefix: str, key: str, rest: str) -> str:
    """Join the three; a key too long for that is cut, and told apart by a digest."""
    room = _LONGEST_KEY - len(prefix) - len(rest.encode())
    encoded = key.encode()
    if len(encoded) > room:
        digest = "~" + hashlib.sha256(encoded).hexdigest()[:32]
        key = encoded[: room - len(digest)].decode(errors="ignore") + digest
    return prefix + key + rest
