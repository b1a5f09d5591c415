"""Looks for what was dropped and never told: events do not come in the first minutes after a deployment, and
EventBridge may lose one.

The artifacts of the drop bucket are listed, and what has no report of its newest version is handed to the gate, which
does the same again as often as it is asked. What changed just now is left alone: its event is on its way. A change is
looked for soon, by the pass into whose time it falls, and once a day with all others of which reports are still kept.

What was deleted and is live all the same is handed to the gate as well, which takes it out; unless a lifecycle rule may
have deleted it, for nobody asked for that: then it is told. What was deleted without a trace, version by version, is
not in any list of the bucket: once a day the bucket is asked for all that is live.

One pass over the bucket may take many invocations. Where it stands is one item of the artifact table:

    sweep#artifacts    place: since, until: the window of the pass; prefix, key, version: what was listed last;
                       whole_at: when the last pass over everything began
                       expiry: what is known of the bucket's lifecycle rules (`jetway.aws.expiry`)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.keys import report_key
from jetway.artifacts.kinds import NOT_ARTIFACTS, is_artifact
from jetway.aws.dynamodb import VersionedItem, revision_of
from jetway.aws.expiry import Expiry
from jetway.aws.s3 import head
from jetway.errors import TransientError
from jetway.gate.s3_notification import settle_again
from jetway.promotion.reports import outcome_of
from jetway.promotion.state_table import SWEEP, ArtifactStateTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from jetway.promotion.artifact_state import ArtifactState, LiveVersion

# An event is there in seconds; the gate may be busy with other files, and wait for siblings.
ON_ITS_WAY = timedelta(minutes=10)
# So often everything is looked at again: what was sent to the gate may have ended in the dead letters.
WHOLE_EVERY = timedelta(days=1)
_PAGE = 1000
_MESSAGES = 10  # a call of SendMessageBatch
_MOST_SHOWN = 20
_LAST = "\U0010ffff"  # behind every key of a folder
_STANDINGS = "standings"  # no folder's name: those end with a slash
# Outcomes of a version that was deleted: when it is the newest again, the deletion was taken back.
_DELETED = frozenset({"removed", "vanished"})


@dataclass(frozen=True, slots=True)
class SweepPosition:
    """How far a pass has come.

    Attributes:
        since, until: changes of this time are looked at; `since` None: of any.
        prefix: what is being listed: "" is the top of the bucket; `_STANDINGS`, after all of the bucket, is what is
            live. None: the pass is over.
        key, version: the last one that was listed there.
        whole_at: when the last pass over everything began.
    """

    until: datetime | None = None
    since: datetime | None = None
    prefix: str | None = None
    key: str = ""
    version: str = ""
    whole_at: datetime | None = None

    def as_json(self) -> str:
        """The place as one JSON document."""
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> SweepPosition:
        """Read what `as_json` wrote."""
        values = json.loads(text)
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in ("since", "until", "whole_at")}
        return cls(**{**values, **times})


@dataclass(slots=True)
class Swept:
    """What one invocation has done; the fields of its log line.

    Attributes:
        listed: versions and delete markers that were listed.
        queued: keys that were handed to the gate.
        deleted: those of them that were deleted, and are live.
        still_live: keys that were deleted and are live, and that a lifecycle rule may have deleted; the first of them.
        finished: whether the pass is over.
    """

    listed: int = 0
    queued: int = 0
    deleted: int = 0
    still_live: list[str] = field(default_factory=list)
    finished: bool = False


def next_pass(place: SweepPosition, now: datetime, *, whole: bool, youngest: timedelta = ON_ITS_WAY) -> SweepPosition:
    """Return where the next pass begins; the one in hand, when it is not over. Pure.

    Args:
        whole: everything is to be looked at, whenever it changed.
        youngest: what changed within this time is left alone.
    """
    whole = whole or place.whole_at is None or now - place.whole_at >= WHOLE_EVERY
    if place.prefix is not None and not (whole and place.since is not None):
        return place
    since = None if whole else place.until
    return SweepPosition(now - youngest, since, "", whole_at=now if whole else place.whole_at)


def _label(entry: Mapping[str, Any]) -> str:
    """How a version that was listed is called everywhere (`jetway.aws.s3.ObjectVersion.label`)."""
    version: str = entry["VersionId"]
    return "etag-" + entry["ETag"].strip('"') if version == "null" and "ETag" in entry else version


class Sweep:
    """Sweeps one drop bucket."""

    def __init__(
        self,
        s3: S3Client,
        sqs: SQSClient,
        dynamodb: DynamoDBClient,
        *,
        bucket: str,
        queue_url: str,
        table: str,
        retention: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            bucket: the drop bucket.
            queue_url: of the gate.
            table: of artifacts.
            retention: how long reports are kept: of what is older, none says nothing.
        """
        self._s3 = s3
        self._sqs = sqs
        self._bucket = bucket
        self._queue_url = queue_url
        self._item = VersionedItem(dynamodb, table, SWEEP)
        self._standings = ArtifactStateTable(dynamodb, table)
        self._retention = retention
        self._clock = clock

    def run(self, *, whole: bool, seconds_left: Callable[[], float], at_once: bool = False) -> Swept:
        """Go on with the pass in hand, or begin one, until it is over or the time is.

        Two at once do the same work twice, which does no harm; one of them keeps its place.

        Args:
            whole: everything is to be looked at, whenever it changed.
            seconds_left: that this may take; at least one page is done.
            at_once: also what came just now, and whose event may be on its way.

        Raises:
            TransientError, ClientError, BotoCoreError: S3, SQS or DynamoDB is in trouble; what was not kept is done
                again.
        """
        item = self._item.get()
        revision = revision_of(item) if item is not None else 0
        place = SweepPosition.from_json(item["place"]["S"]) if item is not None else SweepPosition()
        now = self._clock()
        youngest = timedelta() if at_once else ON_ITS_WAY
        place, swept = next_pass(place, now, whole=whole, youngest=youngest), Swept()
        known = json.loads(item["expiry"]["S"]) if item is not None and "expiry" in item else {}
        expiry = Expiry.from_dict(known).look(self._s3, self._bucket, now)
        while place.prefix is not None:
            place = self._step(place, expiry, now, swept)
            if seconds_left() <= 0:
                break
        swept.finished = place.prefix is None
        attributes = {"place": {"S": place.as_json()}, "expiry": {"S": json.dumps(expiry.as_dict())}}
        self._item.put(attributes, onto=revision)
        return swept

    def _step(self, place: SweepPosition, expiry: Expiry, now: datetime, swept: Swept) -> SweepPosition:
        """Look at one page; return where the next one begins."""
        if place.prefix == _STANDINGS:
            return self._standings_page(place, expiry, swept)
        entries, after = self._page(place)
        swept.listed += len(entries)
        changed = [entry for entry in entries if self._counts(entry, place, now)]
        whole = place.since is None
        self._queue([each["Key"] for each in changed if "ETag" in each and not self._is_told(each, whole=whole)], swept)
        gone = {each["Key"]: each["LastModified"] for each in changed if "ETag" not in each}
        self._judge_gone({key: at for key, at in gone.items() if self._live(key) is not None}, expiry, swept)
        return after

    def _judge_gone(self, gone: Mapping[str, datetime], expiry: Expiry, swept: Swept) -> None:
        """Hand to the gate what somebody has deleted; tell what a lifecycle rule may have deleted.

        Args:
            gone: keys that are live, and since when they may be gone.
        """
        expired = [key for key, at in gone.items() if expiry.may_have_deleted(key, at)]
        swept.still_live += expired[: _MOST_SHOWN - len(swept.still_live)]
        taken_out = [key for key in gone if key not in expired]
        self._queue(taken_out, swept)
        swept.deleted += len(taken_out)

    def _standings_page(self, place: SweepPosition, expiry: Expiry, swept: Swept) -> SweepPosition:
        """Look whether what is live is in the drop bucket."""
        standings, after = self._standings.page(place.key or None)
        gone = {}
        for standing in standings:
            live = standing.live
            if live is not None and live.dropped and self._is_without_trace(standing, live):
                gone[standing.key] = live.at  # it was there then
        self._judge_gone(gone, expiry, swept)
        return replace(place, prefix=None if after is None else _STANDINGS, key=after or "")

    def _is_without_trace(self, standing: ArtifactState, live: LiveVersion) -> bool:
        """Whether what is live was deleted version by version: nothing is left of its key, or older versions alone."""
        first = self._versions(standing.key, most=1)
        if not first:
            return True
        (newest,) = first
        dealt_with = "ETag" not in newest or newest["LastModified"] >= live.at  # a delete marker, or what came after it
        if dealt_with or _label(newest) in {live.source, *standing.rolled_back}:
            return False
        return live.source not in map(_label, self._versions(standing.key, most=_PAGE))

    def _versions(self, key: str, *, most: int) -> list[Mapping[str, Any]]:
        """The newest versions and delete markers of a key, the newest one first."""
        answer = self._s3.list_object_versions(Bucket=self._bucket, Prefix=key, MaxKeys=most)
        entries: list[Mapping[str, Any]] = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        return sorted((each for each in entries if each["Key"] == key), key=lambda each: not each["IsLatest"])

    def _page(self, place: SweepPosition) -> tuple[Sequence[Mapping[str, Any]], SweepPosition]:
        """List a page; return what is there, and where the next page begins."""
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Prefix": place.prefix, "MaxKeys": _PAGE}
        if place.key:
            arguments["KeyMarker"] = place.key
            if place.version:
                arguments["VersionIdMarker"] = place.version
        if not place.prefix:
            arguments["Delimiter"] = "/"  # folders with millions of files that are no artifacts are not listed
        answer = self._s3.list_object_versions(**arguments)
        entries = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]  # of the two, versions have an ETag
        if answer.get("IsTruncated"):
            return entries, replace(
                place, key=answer.get("NextKeyMarker", ""), version=answer.get("NextVersionIdMarker", "")
            )
        following = self._next_folder(place.prefix or "")
        if following is None and place.since is None:
            following = _STANDINGS
        return entries, replace(place, prefix=following, key="", version="")

    def _next_folder(self, after: str) -> str | None:
        """Return the next folder at the top of the bucket that may hold artifacts; None when there is none."""
        while True:
            start: Any = {"StartAfter": after + _LAST} if after else {}
            answer = self._s3.list_objects_v2(Bucket=self._bucket, Delimiter="/", MaxKeys=_PAGE, **start)
            folders = [found["Prefix"] for found in answer.get("CommonPrefixes", [])]
            for folder in folders:
                if folder not in NOT_ARTIFACTS:
                    return str(folder)
            if not answer.get("IsTruncated"):
                return None
            after = max([*folders, *(found["Key"] for found in answer.get("Contents", []))])

    def _counts(self, entry: Mapping[str, Any], place: SweepPosition, now: datetime) -> bool:
        """Whether this is the newest of an artifact, and of the time that is looked at."""
        changed: datetime = entry["LastModified"]
        earliest = max(filter(None, (place.since, now - self._retention + timedelta(days=1))))
        in_time = earliest <= changed < (place.until or now)
        return in_time and bool(entry["IsLatest"]) and is_artifact(entry["Key"])

    def _is_told(self, entry: Mapping[str, Any], *, whole: bool) -> bool:
        """Whether a version has a report, which says of the newest version anything but that it was deleted."""
        key, label = entry["Key"], _label(entry)
        if head(self._s3, self._bucket, report_key(key, label)) is None:
            return False
        # It came back when it was old already, so that only a pass over everything meets it.
        return not whole or outcome_of(self._s3, self._bucket, key, label) not in _DELETED

    def _live(self, key: str) -> LiveVersion | None:
        """What is live of a key, and came from the drop bucket."""
        standing = self._standings.get(key)
        live = standing.live if standing is not None else None
        return live if live is not None and live.dropped else None

    def _queue(self, keys: Sequence[str], swept: Swept) -> None:
        for first in range(0, len(keys), _MESSAGES):
            batch = keys[first : first + _MESSAGES]
            answer = self._sqs.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "MessageBody": settle_again(self._bucket, key)}
                    for number, key in enumerate(batch)
                ],
            )
            if answer.get("Failed"):
                raise TransientError(f"SQS did not accept {len(answer['Failed'])} of {len(batch)} messages.")
            swept.queued += len(batch)
