"""MiniStack as Jetway's local stack runs it. Executed by the Python of MiniStack's own virtual environment.

Gaps are closed here, so that product code needs no branch for them and tests of alarms and lanes prove something:

An alarm looks at the metric with exactly its dimensions, period by period, and treats missing data as it is told;
MiniStack 1.5.33 lumps all dimensions and periods together. It looks whenever a metric is put, here as there.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html

A function reads a FIFO queue with one batch in flight for each message group; MiniStack 1.5.33 has one for the whole
queue, though its queues keep a group whose messages are in flight to themselves, as SQS does.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html

GetObject gives the asked range of the asked version; MiniStack 1.5.33 gives the whole of a version.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

CopyObject goes ahead only if If-Match and If-None-Match hold, as PutObject and DeleteObject do; MiniStack 1.5.33 copies
whatever they say. Any of the three answers 409 ConditionalRequestConflict, as of two writes at once, to a request with
the header x-conflict, which only tests send.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

Tags of a version can be read and written while a delete marker is on top of it; MiniStack 1.5.33 knows no such key.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html

S3's events on the event bus name the version; MiniStack 1.5.33 leaves it out.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

Files of functions and layers keep their modes, so that a layer may hold a program, and a layer is unpacked once;
MiniStack 1.5.33 drops the modes, and unpacks a layer for each of its workers, which takes a minute for an Airflow.
https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html

A process that dies while it starts ends its own invocation; MiniStack 1.5.33 ends all others of its function with it.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html

What concerns permissions is in iam.py and deliveries.py beside it, what concerns templates in cloudformation.py.
"""

from __future__ import annotations

import hashlib
import json
import operator
import os
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.core import lambda_runtime  # type: ignore[import-not-found]
from ministack.services import (  # type: ignore[import-not-found]
    cloudwatch,
    eventbridge,
    lambda_svc,
    s3,
    scheduler,
)

# Last, so that nothing of MiniStack's is looked for here.
sys.path.append(str(Path(__file__).resolve().parents[3]))
from tools.emulator.ministack import (
    authorizer,
    cloudformation,
    deliveries,
    late_events,
    loops,
    missing,
    requests,
    simulation,
    subscriptions,
)
from tools.emulator.ministack import iam as ministack_iam

scheduler._SCHEDULE_TICK_INTERVAL = 1  # seconds between looks at the schedules; 10 would only slow the tests

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def _alarm_state(alarm: dict[str, Any], now: float) -> tuple[str, str]:
    """The state that an alarm is to have, and why."""
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions") or []}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    period, count = int(alarm["Period"]), int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or count)
    periods: dict[int, list[Any]] = {}
    for point in cloudwatch._metrics.get(key) or []:
        periods.setdefault(int(point["Timestamp"] // period), []).append(point)
    newest = int(now // period)
    if newest not in periods:
        newest -= 1  # the current period has only begun
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]

    def value(number: int) -> float | None:
        points = periods.get(number)
        found = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
        return None if found is None else float(found)

    # CloudWatch looks further back than it must; only when too few values are there is missing data treated at all.
    values = [value(number) for number in range(newest - count - 1, newest + 1)]
    real = [found for found in values if found is not None]
    values = list(real[-count:]) if len(real) >= count else values[-count:]
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    judged = [None if value is None else breaches(value, alarm["Threshold"]) for value in values]
    missing = alarm.get("TreatMissingData") or "missing"
    if missing in {"breaching", "notBreaching"}:
        judged = [missing == "breaching" if breach is None else breach for breach in judged]
    known = [breach for breach in judged if breach is not None]
    if not known or (missing == "ignore" and len(known) < count):
        return ("INSUFFICIENT_DATA" if missing == "missing" else alarm["StateValue"]), "no data"
    state = "ALARM" if sum(known) >= min(needed, len(known)) else "OK"
    return state, f"{statistic} of the last {count} periods: {values}, threshold {alarm['Threshold']}"


def _evaluate_alarm(alarm: dict[str, Any]) -> None:
    before = alarm["StateValue"]
    state, reason = _alarm_state(alarm, time.time())
    if state == before:
        return
    alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(time.time())}
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


cloudwatch._evaluate_alarm = _evaluate_alarm


_sqs_esm_concurrency = lambda_svc._sqs_esm_concurrency


def _concurrency_of_groups(esm: Any, func_rec: Any, config: Any, _queue: Any = None) -> int:
    return int(_sqs_esm_concurrency(esm, func_rec, config))  # as for any queue: groups keep their order by themselves


lambda_svc._sqs_esm_concurrency = _concurrency_of_groups


_get_object = s3._get_object


def _get_range(bucket: str, key: str, headers: dict[str, str], query: Any = None) -> tuple[int, dict[str, str], bytes]:
    status, told, body = _get_object(bucket, key, headers, query)
    if status != 200 or not headers.get("range"):
        return status, told, body
    part = s3._parse_range(headers["range"], len(body))
    if part is None:
        refused: tuple[int, dict[str, str], bytes] = s3._error(
            "InvalidRange", "The requested range is not satisfiable", 416, f"/{bucket}/{key}"
        )
        return refused
    start, end = part
    # A checksum of the whole would contradict the part.
    told = {name: value for name, value in told.items() if not name.lower().startswith("x-amz-checksum")}
    told |= {"Content-Length": str(end - start + 1), "Content-Range": f"bytes {start}-{end}/{len(body)}"}
    return 206, told, body[start : end + 1]


s3._get_object = _get_range


Answer = tuple[int, dict[str, str], bytes]
_put_object, _copy_object, _delete_object = s3._put_object, s3._copy_object, s3._delete_object


def _conflict(bucket: str, key: str, headers: dict[str, str]) -> Answer | None:
    """The refusal of a test that asks for one."""
    if "x-conflict" not in headers:
        return None
    said = "A conflicting operation occurred while the request was in flight."
    refused: Answer = s3._error("ConditionalRequestConflict", said, 409, f"/{bucket}/{key}")
    return refused


def _put_or_conflict(bucket: str, key: str, body: bytes, headers: dict[str, str], *more: Any) -> Any:
    return _conflict(bucket, key, headers) or _put_object(bucket, key, body, headers, *more)


def _delete_or_conflict(bucket: str, key: str, headers: dict[str, str] | None = None, query: Any = None) -> Any:
    return _conflict(bucket, key, headers or {}) or _delete_object(bucket, key, headers, query)


def _copy_if(bucket: str, key: str, headers: dict[str, str]) -> Any:
    there = s3._ensure_bucket(bucket)
    refused = _conflict(bucket, key, headers)
    if refused is None and there is not None:
        refused = s3._check_put_preconditions(headers, there["objects"].get(key))
    return refused or _copy_object(bucket, key, headers)


s3._put_object, s3._copy_object, s3._delete_object = _put_or_conflict, _copy_if, _delete_or_conflict


_get_object_tagging, _put_object_tagging = s3._get_object_tagging, s3._put_object_tagging


def _below_a_marker(bucket: str, key: str, query: Any) -> str | None:
    """The version that a request names, if the newest of its key is a delete marker."""
    there = s3._ensure_bucket(bucket)
    version_id: str | None = s3._qp(query or {}, "versionId", "")
    if there is None or not version_id or key in there["objects"] or s3._no_such_version(bucket, key, query):
        return None
    return version_id


def _get_tags_of_a_version(bucket: str, key: str, query: Any = None) -> Any:
    version_id = _below_a_marker(bucket, key, query)
    if version_id is None:
        return _get_object_tagging(bucket, key, query)
    root = s3.Element("Tagging", xmlns=s3.S3_NS)
    tags = s3.SubElement(root, "TagSet")
    for name, value in s3._object_tags.get((bucket, key, version_id), {}).items():
        tag = s3.SubElement(tags, "Tag")
        s3.SubElement(tag, "Key").text, s3.SubElement(tag, "Value").text = name, value
    return 200, {"Content-Type": "application/xml", "x-amz-version-id": version_id}, s3._xml_body(root)


def _put_tags_of_a_version(bucket: str, key: str, body: bytes, query: Any = None) -> Any:
    version_id = _below_a_marker(bucket, key, query)
    if version_id is None:
        return _put_object_tagging(bucket, key, body, query)
    s3._object_tags[(bucket, key, version_id)] = s3._parse_tags_xml(body)
    return 200, {"Content-Type": "application/xml", "x-amz-version-id": version_id}, b""


s3._get_object_tagging, s3._put_object_tagging = _get_tags_of_a_version, _put_tags_of_a_version


_fire_s3_event, _dispatch_event = s3._fire_s3_event, eventbridge._dispatch_event
_told = threading.local()  # each event is told in a thread of its own


def _fire_naming_the_version(*args: Any, version_id: str | None = None, **more: Any) -> None:
    _told.version_id = version_id
    try:
        _fire_s3_event(*args, version_id=version_id, **more)
    finally:
        _told.version_id = None


def _dispatch_with_the_version(event: dict[str, Any], *more: Any, **options: Any) -> Any:
    version_id = getattr(_told, "version_id", None)
    if version_id and event.get("Source") == "aws.s3":
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = version_id
        event = {**event, "Detail": json.dumps(detail)}
    return _dispatch_event(event, *more, **options)


s3._fire_s3_event, eventbridge._dispatch_event = _fire_naming_the_version, _dispatch_with_the_version


_unpacking = threading.Lock()


class _Package(zipfile.ZipFile):
    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        folder = Path(path or ".")
        if not folder.name.startswith("layer_") or self.filename is None:
            self._unpack(folder, members, pwd)
            return
        with Path(self.filename).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shared = Path(tempfile.gettempdir()) / f"unpacked-{digest}"
        with _unpacking:
            if not shared.exists():
                draft = Path(tempfile.mkdtemp(prefix="unpacking-"))
                self._unpack(draft, members, pwd)
                draft.rename(shared)
        folder.rmdir()
        folder.symlink_to(shared, target_is_directory=True)

    def _unpack(self, folder: Path, members: Any, pwd: bytes | None) -> None:
        for info in members or self.infolist():
            target = Path(self.extract(info, folder, pwd))
            mode = info.external_attr >> 16 & 0o777
            if mode and target.is_file():
                target.chmod(mode)


lambda_runtime.zipfile = SimpleNamespace(
    ZipFile=_Package,
    BadZipFile=zipfile.BadZipFile,
    LargeZipFile=zipfile.LargeZipFile,
    LargeFileError=zipfile.LargeZipFile,  # MiniStack's name for it, which no zipfile has
)


_invoke_worker = lambda_runtime.Worker.invoke


def _invoke_alone(worker: Any, *args: Any, **more: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = _invoke_worker(worker, *args, **more)
    except (RuntimeError, OSError) as exc:  # what escapes here makes MiniStack discard every worker of the function
        if worker._proc is not None:
            lambda_runtime.kill_workers([worker])
        return {"status": "error", "error": str(exc), "log": worker._drain_stderr()}
    return answer


lambda_runtime.Worker.invoke = _invoke_alone


if __name__ == "__main__":
    cloudformation.install()
    deliveries.install()
    loops.install()
    late_events.install(float(os.environ.get("EVENTS_BEGIN_AFTER", "0")))
    requests.install()
    missing.install()
    authorizer.install()
    simulation.install()
    subscriptions.install()
    ministack_iam.install(Path(os.environ["JETWAY_DECISIONS"]))
    app.main()
