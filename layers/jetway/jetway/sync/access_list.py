"""access.yaml of the drop bucket becomes the access list in force, which the HTTP API reads.

    accepted/access.json = {"format": "jetway-access/1", "document": {"allow": […]}, "version": "…",
                            "accepted_at": "…", "seen": {"version": "…", "verdict": "accepted"}}

`document` is null while no list is in force: no version of the file was ever good, or it was deleted. Written by
sync_triggers only. A broken file leaves the last good list in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding, Judgement, internal_error, judgement
from jetway.aws.s3 import ObjectVersion, head, read
from jetway.errors import TransientError
from jetway.events.principals import NOBODY, claimed_in
from jetway.http.access_file import KEY, KIND, LARGEST_FILE, ParsedAccess, parse_access
from jetway.observability import logger
from jetway.promotion.reports import report_on, write_report
from jetway.sync.accepted import load_json, save_json
from jetway.sync.causes import NO_CAUSES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.sync.causes import VersionCauses

ACCEPTED = "accepted/access.json"
FORMAT = "jetway-access/1"
_NONE: Mapping[str, Any] = {"document": None, "version": None, "accepted_at": None, "seen": None}


def sync_access(
    s3: S3Client,
    bucket: str,
    now: datetime,
    *,
    by: VersionCauses = NO_CAUSES,
    parser: Callable[[bytes], ParsedAccess] = parse_access,
    clock: Callable[[], float] = time.perf_counter,
) -> list[str]:
    """Make the newest version of access.yaml the list in force; if it cannot be, leave the last good one.

    Returns:
        What has changed, in words; nothing when all is as it was.

    Raises:
        TransientError, ClientError, BotoCoreError: not now; nothing has changed, or the file has, meanwhile.
    """
    content, there = load_json(s3, bucket, ACCEPTED, FORMAT)
    before = {**_NONE, **content}
    source = head(s3, bucket, KEY)
    if source is None:
        if before["document"] is None and before["seen"] is None:
            return []
        save_json(s3, bucket, ACCEPTED, {**_NONE, "format": FORMAT}, there)
        _check_unchanged(s3, bucket, source)
        return ["deleted access"]
    if before["seen"] and before["seen"]["version"] == source.label:
        return []
    body = read(s3, source, LARGEST_FILE)
    if body is None:
        return []  # changed or deleted since: another event is on its way
    started = clock()
    parsed = _judged(parser, body)
    judged, after = parsed.judgement, before
    if parsed.document is None:
        judged = _with(judged, _what_counts(before))
    else:
        accepted_at = now.isoformat(timespec="seconds")
        after = {"document": parsed.document, "version": source.label, "accepted_at": accepted_at}
    # The report comes first: a crash in between repeats both.
    who = {**by.get((KEY, source.version_id), NOBODY), **claimed_in(source.metadata)}
    write_report(s3, report_on(KEY, judged, clock() - started, source=source, judged_at=now, by=who), source)
    seen = {"version": source.label, "verdict": judged.verdict}
    save_json(s3, bucket, ACCEPTED, {**after, "format": FORMAT, "seen": seen}, there)
    _check_unchanged(s3, bucket, source)
    return ["put access" if parsed.document is not None else "rejected access"]


def _judged(parser: Callable[[bytes], ParsedAccess], content: bytes) -> ParsedAccess:
    """Judge the list; a fault of ours with it stops no trigger, and the last good list stays in force."""
    try:
        return parser(content)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the triggers go on
        logger.exception("the access list could not be checked")
        return ParsedAccess(None, judgement(KIND, [internal_error(exc)]))


def _check_unchanged(s3: S3Client, bucket: str, seen: ObjectVersion | None) -> None:
    """Look at the file again: a run beside this one may have seen a newer one before this one wrote."""
    newest = head(s3, bucket, KEY)
    if (newest.label if newest else None) != (seen.label if seen else None):
        raise TransientError(f"{KEY} has changed while it was applied.")


def _what_counts(before: Mapping[str, Any]) -> Finding:
    if before["document"] is None:
        message = "No access list is in force: every caller that IAM or the token admits can start and see every DAG."
        return Finding("no-list-in-force", "warning", message, None, "Correct the file and drop it again soon.")
    message = f"The list of {before['accepted_at']} (version {before['version']}) stays in force."
    return Finding("last-good-in-force", "warning", message, None, "Correct the file and drop it again.")


def _with(judged: Judgement, finding: Finding) -> Judgement:
    return replace(judged, findings=(*judged.findings, finding))
