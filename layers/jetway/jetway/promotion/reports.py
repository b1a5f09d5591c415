"""The report of one judgement: one JSON document, of the schema in docs/schemas/report.schema.json.

`reports/<key>/<version>.json` is that of one version, `latest.json` that of the newest, `report.md` that for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.artifacts.keys import report_key, report_text_key
from jetway.aws.s3 import ObjectVersion, head, is_changed, is_gone, suppress_if_changed, unchanged
from jetway.errors import TransientError
from jetway.promotion.report_markdown import as_markdown

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Finding, FoundDag, FoundPlugin, Judgement, Verdict
    from jetway.promotion.copy import Placement

_MOST_TRIES = 5


class ToldOtherwiseError(Exception):
    """The report of a version tells a later fate than the one that was to be written.

    Attributes:
        outcome: the one that it tells.
    """

    def __init__(self, outcome: str) -> None:
        """Take the outcome that holds."""
        super().__init__(f"the report says {outcome}.")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Report:
    """What the gate says of one version of one artifact.

    The first six members are there wherever a file is judged; the others when it came through the bucket.

    Attributes:
        path: the artifact's key, or its path when it is judged on a disk.
        seconds: time that judging took.
        parse_seconds: time that Airflow took to load a DAG file, where it was loaded.
        judged_at: timezone-aware.
        placement: what was done with it.
        in_force: of a promoted version, how far it is on its way (`jetway.promotion.rollout`).
        by: who put it, as far as that is known (`jetway.events.principals`).
    """

    path: str
    kind: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    dags: tuple[FoundDag, ...]
    seconds: float
    plugins: tuple[FoundPlugin, ...] = ()
    parse_seconds: float | None = None
    source: ObjectVersion | None = None
    environment: EnvironmentFacts | None = None
    judged_at: datetime | None = None
    placement: Placement | None = None
    in_force: Mapping[str, Any] | None = None
    by: Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as its JSON document."""
        document: dict[str, Any] = {
            "path": self.path,
            "kind": self.kind,
            "verdict": self.verdict,
            "findings": [asdict(finding) for finding in self.findings],
            "dags": [_dag(dag) for dag in self.dags],
            "seconds": round(self.seconds, 6),
        }
        if self.kind == "plugins":
            document["plugins"] = [asdict(plugin) for plugin in self.plugins]
        if self.parse_seconds is not None:
            document["parse_seconds"] = round(self.parse_seconds, 6)
        if self.source is not None:
            document["source"] = {
                "bucket": self.source.bucket,
                "key": self.source.key,
                "version": self.source.version_id,
                "etag": self.source.etag.strip('"'),
                "size": self.source.size,
                "last_modified": self.source.last_modified.isoformat(),
            }
        if self.environment is not None:
            python = self.environment.python_version
            document["environment"] = {
                "name": self.environment.name,
                "airflow_version": self.environment.airflow_version,
                "python_version": f"{python[0]}.{python[1]}",
            }
        if self.judged_at is not None:
            document["judged_at"] = self.judged_at.astimezone(UTC).isoformat()
        if self.placement is not None:
            document["outcome"] = self.placement.outcome
            document["placed"] = (
                {"bucket": self.placement.bucket, "key": self.placement.key, "version": self.placement.version_id}
                if self.placement.key
                else None
            )
            if self.in_force is not None:
                document["in_force"] = dict(self.in_force)
        if self.by:
            document["by"] = dict(self.by)
        return document

    def as_json(self) -> bytes:
        """The JSON document, indented for people; plain ASCII, so that any key survives."""
        return _json(self.as_dict())


def _dag(dag: FoundDag) -> dict[str, Any]:
    """A DAG as in the report: what it does is known only of one that was loaded."""
    known = asdict(dag)
    return known if dag.certainty == "loaded" else {name: known[name] for name in ("dag_id", "line", "certainty")}


def report_on(path: str, judged: Judgement, seconds: float, **circumstances: Any) -> Report:
    """Make a report of a judgement; `circumstances` are the members that only the bucket's gate knows."""
    return Report(
        path,
        judged.kind,
        judged.verdict,
        judged.findings,
        judged.dags,
        seconds,
        judged.plugins,
        judged.parse_seconds,
        **circumstances,
    )


def write_report(
    s3: S3Client, report: Report, source: ObjectVersion, *, acquitted: bool = False
) -> ObjectVersion | None:
    """Write a report as its version's and, if that is the newest, as the key's latest.

    The gate comes to a version again when an event comes twice: then it does not write over what became of it since.

    Args:
        acquitted: whether a roll-back of the version was undone (`jetway.verification.reinstatement`), so that it is
            its last fate no more.

    Returns:
        The newest version of the artifact, seen after all else was done; None when it is deleted.

    Raises:
        ToldOtherwiseError: that is so.
        TransientError: others keep writing the report, or the latest one.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    _put_version(s3, report, source, acquitted=acquitted)
    return write_latest(s3, report.as_dict(), source)


def write_latest(s3: S3Client, document: Mapping[str, Any], source: ObjectVersion) -> ObjectVersion | None:
    """Write a version's report as the key's latest, if that is the newest version.

    The latest report only moves forward: it is written only onto the one that was there before the version
    was seen to be the newest. That of a deleted artifact is of the last version that was judged.

    Returns: as `write_report`.

    Raises:
        TransientError: others keep writing the latest report.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    latest, text = report_key(source.key, "latest"), report_text_key(source.key)
    for _ in range(_MOST_TRIES):
        before, text_before = head(s3, source.bucket, latest), head(s3, source.bucket, text)
        newest = head(s3, source.bucket, source.key)
        if newest is not None and newest.label != source.label:
            return newest
        if newest is None and _is_of_later(_read(s3, source.bucket, latest), source):
            return None
        try:
            _put(s3, source.bucket, latest, _json(document), **unchanged(before))
            _put_text(s3, source.bucket, text, document, **unchanged(text_before))
        except ClientError as exc:
            if not is_changed(exc):
                raise
        else:
            return newest
    raise TransientError(f"s3://{source.bucket}/{latest} is written by others again and again.")


def _put_version(s3: S3Client, report: Report, source: ObjectVersion, *, acquitted: bool) -> None:
    """Write the report of one version, onto what was read of it."""
    own, body = report_key(source.key, source.label), report.as_json()
    if report.placement is None:
        _put(s3, source.bucket, own, body)
        return
    for _ in range(_MOST_TRIES):
        there, before = _read_exactly(s3, source.bucket, own)
        told = (before or {}).get("outcome")
        if acquitted and told == "rolled-back":
            told = None
        if told is not None and _holds(told, report.placement.outcome, s3, source):
            raise ToldOtherwiseError(told)
        with suppress_if_changed():
            _put(s3, source.bucket, own, body, **({"IfMatch": there} if there else {"IfNoneMatch": "*"}))
            return
    raise TransientError(f"s3://{source.bucket}/{own} is written by others again and again.")


def _holds(told: str, now: str, s3: S3Client, source: ObjectVersion) -> bool:
    """Whether a fate that was told is later than the one that the gate finds now."""
    if now in {"superseded", "rolled-back"} and told == now:
        return False
    if now in {"superseded", "vanished"} or told == "rolled-back":
        return True
    if now in {told, "rolled-back"}:
        return False
    return told in {"removed", "vanished"} and head(s3, source.bucket, source.key) is None


def _is_of_later(report: Mapping[str, Any] | None, source: ObjectVersion) -> bool:
    """Whether a report is of another version that was uploaded later, or within the same second."""
    of = (report or {}).get("source") or {}
    if not of or of["version"] == source.version_id:
        return False
    return datetime.fromisoformat(of["last_modified"]) >= source.last_modified


def amend_report(s3: S3Client, bucket: str, key: str, version: str, changes: Mapping[str, Any]) -> None:
    """Write into a version's report, and into the latest one if that is of the same version, what came later.

    Args:
        version: `ObjectVersion.label`.
        changes: members of the document.

    Raises:
        TransientError: others keep writing the report, or the latest one.
        ClientError, BotoCoreError: S3 is in trouble.
    """
    own = report_key(key, version)
    for _ in range(_MOST_TRIES):
        there, before_it = _read_exactly(s3, bucket, own)
        if there is None or before_it is None:
            return  # it has expired
        document = dict(before_it)
        if "outcome" in changes:
            document.pop("in_force", None)  # the way into force ends with another outcome, unless it is told anew
        document |= changes
        if document == before_it:
            break
        with suppress_if_changed():
            _put(s3, bucket, own, _json(document), IfMatch=there)
            break
    else:
        raise TransientError(f"s3://{bucket}/{own} is written by others again and again.")
    latest, text = report_key(key, "latest"), report_text_key(key)
    for _ in range(_MOST_TRIES):
        before = head(s3, bucket, latest)
        newest = _read(s3, bucket, latest)
        if before is None or newest is None or newest.get("source") != document["source"] or newest == document:
            return  # the report of a newer version may have just come
        try:
            _put(s3, bucket, latest, _json(document), **unchanged(before))
        except ClientError as exc:
            if not is_changed(exc):
                raise
        else:
            _put_text(s3, bucket, text, document)
            return
    raise TransientError(f"s3://{bucket}/{latest} is written by others again and again.")


def known_in_force(s3: S3Client, bucket: str, key: str, version: str) -> Mapping[str, Any] | None:
    """Return what the report of a version says of its way into force; None when there is none, or it says nothing.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return (_read(s3, bucket, report_key(key, version)) or {}).get("in_force")


def outcome_of(s3: S3Client, bucket: str, key: str, version: str) -> str | None:
    """Return what the report of a version says became of it; None when there is no report.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return (_read(s3, bucket, report_key(key, version)) or {}).get("outcome")


def read_report(s3: S3Client, bucket: str, key: str, version: str) -> Mapping[str, Any] | None:
    """Return the report of a version; None when there is none.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return _read(s3, bucket, report_key(key, version))


def verdict_of(s3: S3Client, bucket: str, key: str, version: str) -> str | None:
    """Return the gate's verdict on a version, as its report says; None when there is no report.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return (_read(s3, bucket, report_key(key, version)) or {}).get("verdict")


def is_on_its_way(s3: S3Client, bucket: str, key: str) -> bool:
    """Whether an object of the drop bucket is there and not judged yet: its newest version has no report.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    there = next((found for found in listed if found["Key"] == key), None)
    return there is not None and not is_reported(s3, bucket, key, there["ETag"], there["LastModified"])


def is_reported(s3: S3Client, bucket: str, key: str, etag: str, last_modified: datetime) -> bool:
    """Whether the newest report of an artifact is that of the version which a listing shows as the newest.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    source = (_read(s3, bucket, report_key(key, "latest")) or {}).get("source") or {}
    return (source.get("etag"), source.get("last_modified")) == (etag.strip('"'), last_modified.isoformat())


def _read(s3: S3Client, bucket: str, key: str) -> dict[str, Any] | None:
    return _read_exactly(s3, bucket, key)[1]


def _read_exactly(s3: S3Client, bucket: str, key: str) -> tuple[str, dict[str, Any]] | tuple[None, None]:
    """Return the ETag and the document; None and None when it is not there."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        with answer["Body"] as body:
            document: dict[str, Any] = json.loads(body.read())
    except ClientError as exc:
        if is_gone(exc):
            return None, None
        raise
    return answer["ETag"], document


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()


def _put(s3: S3Client, bucket: str, key: str, body: bytes, **condition: Any) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)


def _put_text(s3: S3Client, bucket: str, key: str, document: Mapping[str, Any], **condition: Any) -> None:
    content = as_markdown(document).encode(errors="replace")
    s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType="text/markdown; charset=utf-8", **condition)
