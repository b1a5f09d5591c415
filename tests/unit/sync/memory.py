"""S3, EventBridge, Scheduler and CloudWatch in memory, as far as sync_triggers asks them; every call is a place.

Written for walking: a schedule of some hundred calls takes milliseconds. They refuse what AWS refuses: a condition that
does not hold, a sixth target, a rule deleted with targets, a schedule that is or is not there. At every call something
may happen: `Aws.stage` is asked, which may raise before or after the call is carried out, or let others act.
"""

# ruff: noqa: N803 - arguments have AWS's names
from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from jetway.sync.reconcile import Clients

DROP = "acme-drop"
BUSES = ("acme", "default")


@dataclass(frozen=True)
class Call:
    """One call that is about to be made.

    Attributes:
        name: as "s3.put_object".
        what: the key or the name that it is about.
        number: how often this was called before in this run, from 0.
    """

    name: str
    what: str
    number: int

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.name.partition(".")[2].partition("_")[0] in {"put", "create", "update", "delete", "remove"}


def refused(code: str, call: str, status: int = 400) -> ClientError:
    """Return the error that botocore raises for an answer."""
    answer: Any = {"Error": {"Code": code, "Message": "as it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, call)


@dataclass
class Aws:
    """All that is there, and who is asked before each call."""

    objects: dict[str, list[tuple[str, bytes, bool]]] = field(default_factory=dict)  # versions: id, body, deleted
    rules: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    targets: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[Any] = field(default_factory=list)
    stage: Callable[[Call, Callable[[], Any]], Any] = lambda _call, do: do()
    versions: int = 0

    def clients(self, *, note: Callable[[Call], None] = lambda _call: None) -> Clients:
        """Return the clients of one run; what it calls is counted by itself."""
        line = Line(self, note)
        parts: Any = (S3(line), Events(line), Scheduler(line), CloudWatch(line))
        return Clients(*parts)

    def put(self, key: str, body: str | None) -> None:
        """Upload an object, or delete it."""
        self.versions += 1
        self.objects.setdefault(key, []).append((f"v{self.versions}", (body or "").encode(), body is None))

    def read(self, key: str) -> Any:
        """Return an object's JSON; None when it is not there."""
        versions = self.objects.get(key)
        return json.loads(versions[-1][1]) if versions and not versions[-1][2] else None

    def in_force(self) -> dict[str, Any]:
        """Return all that starts something or watches, to be compared."""
        entries = (self.read("accepted/triggers.json") or {"triggers": {}})["triggers"]
        return {
            "rules": self.rules,
            "targets": {place: there for place, there in self.targets.items() if there},
            "schedules": self.schedules,
            "alarms": self.alarms,
            "accepted": {key: entry["document"] for key, entry in entries.items() if entry["document"]},
        }


@dataclass
class Line:
    """What the clients of one run have in common."""

    aws: Aws
    note: Callable[[Call], None]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, what: str, do: Callable[[], Any]) -> Any:
        with self.lock:
            call = Call(name, what, self.counts[name, what])
            self.counts[name, what] += 1
        self.note(call)
        return self.aws.stage(call, do)


class Service:
    """One client. Its methods are those of botocore, with one page for every list."""

    name = ""

    def __init__(self, line: Line) -> None:
        self.line, self.aws = line, line.aws

    def __getattr__(self, operation: str) -> Any:
        do: Any = object.__getattribute__(self, f"do_{operation}")

        def call(**given: Any) -> Any:
            what = given.get("Key") or given.get("Rule") or given.get("Name") or given.get("AlarmName") or ""
            what = what or " ".join(given.get("AlarmNames", ())) or given.get("Bucket", "")
            return self.line.call(f"{self.name}.{operation}", what, lambda: do(**given))

        return call

    def get_paginator(self, operation: str) -> Any:
        def paginate(**given: Any) -> Iterator[Any]:
            yield getattr(self, operation)(**given)

        return SimpleNamespace(paginate=paginate)


class S3(Service):
    name = "s3"

    def _newest(self, key: str) -> tuple[str, bytes] | None:
        versions = self.aws.objects.get(key)
        return None if not versions or versions[-1][2] else versions[-1][:2]

    def do_list_objects_v2(self, Bucket: str, Prefix: str) -> Any:
        found = [(key, self._newest(key)) for key in sorted(self.aws.objects) if key.startswith(Prefix)]
        return {"Contents": [{"Key": key, "ETag": _etag(newest[1])} for key, newest in found if newest]}

    def do_head_object(self, Bucket: str, Key: str) -> Any:
        newest = self._newest(Key)
        if newest is None:
            raise refused("404", "HeadObject", 404)
        return {
            "VersionId": newest[0],
            "ETag": _etag(newest[1]),
            "ContentLength": len(newest[1]),
            "LastModified": datetime(2026, 11, 22, tzinfo=UTC),
        }

    def do_get_object(self, Bucket: str, Key: str, VersionId: str | None = None, IfMatch: str | None = None) -> Any:
        if VersionId:
            body = next(body for id_, body, _ in self.aws.objects[Key] if id_ == VersionId)
        elif (newest := self._newest(Key)) is None:
            raise refused("NoSuchKey", "GetObject", 404)
        else:
            body = newest[1]
        if IfMatch not in {None, _etag(body)}:
            raise refused("PreconditionFailed", "GetObject", 412)
        return {"Body": _Body(body), "ETag": _etag(body)}

    def do_put_object(self, Bucket: str, Key: str, Body: bytes, **condition: Any) -> Any:
        newest = self._newest(Key)
        there = _etag(newest[1]) if newest else None
        if "IfMatch" in condition and there is None:
            raise refused("NoSuchKey", "PutObject", 404)
        if ("IfNoneMatch" in condition and there) or condition.get("IfMatch", there) != there:
            raise refused("PreconditionFailed", "PutObject", 412)
        self.aws.put(Key, Body.decode())
        return {}

    def do_get_bucket_notification_configuration(self, Bucket: str) -> Any:
        return {"EventBridgeConfiguration": {}}


class Events(Service):
    name = "events"

    def do_list_event_buses(self) -> Any:
        return {"EventBuses": [{"Name": bus} for bus in BUSES]}

    def do_list_rules(self, EventBusName: str) -> Any:
        found = [{"Name": name, **rule} for (bus, name), rule in self.aws.rules.items() if bus == EventBusName]
        return {"Rules": found}

    def _there(self, bus: str, name: str) -> tuple[str, str]:
        if (bus, name) not in self.aws.rules:
            raise refused("ResourceNotFoundException", "Rule")
        return bus, name

    def do_list_targets_by_rule(self, Rule: str, EventBusName: str) -> Any:
        return {"Targets": list(self.aws.targets.get(self._there(EventBusName, Rule), {}).values())}

    def do_put_rule(self, Name: str, EventBusName: str, **rule: Any) -> Any:
        self.aws.rules[EventBusName, Name] = rule
        return {}

    def do_put_targets(self, Rule: str, EventBusName: str, Targets: list[Any]) -> Any:
        place = self._there(EventBusName, Rule)
        wanted = self.aws.targets.get(place, {}) | {target["Id"]: target for target in Targets}
        if len(wanted) > 5:
            raise refused("LimitExceededException", "PutTargets")
        self.aws.targets[place] = wanted
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def do_remove_targets(self, Rule: str, EventBusName: str, Ids: list[str]) -> Any:
        place = self._there(EventBusName, Rule)
        there = self.aws.targets.get(place, {})
        self.aws.targets[place] = {id_: target for id_, target in there.items() if id_ not in Ids}
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def do_delete_rule(self, Name: str, EventBusName: str) -> Any:
        if self.aws.targets.get((EventBusName, Name)):
            raise refused("ValidationException", "DeleteRule")
        self.aws.rules.pop((EventBusName, Name), None)
        self.aws.targets.pop((EventBusName, Name), None)
        return {}


class Scheduler(Service):
    name = "scheduler"

    def _there(self, name: str) -> dict[str, Any]:
        if name not in self.aws.schedules:
            raise refused("ResourceNotFoundException", "Schedule", 404)
        return self.aws.schedules[name]

    def do_list_schedules(self, GroupName: str, NamePrefix: str) -> Any:
        return {"Schedules": [{"Name": name} for name in self.aws.schedules if name.startswith(NamePrefix)]}

    def do_get_schedule(self, GroupName: str, Name: str) -> Any:
        return {"Name": Name, "Arn": f"arn:{Name}", **self._there(Name)}

    def do_create_schedule(self, Name: str, **request: Any) -> Any:
        if Name in self.aws.schedules:
            raise refused("ConflictException", "CreateSchedule", 409)
        self.aws.schedules[Name] = request
        return {}

    def do_update_schedule(self, Name: str, **request: Any) -> Any:
        self._there(Name)
        self.aws.schedules[Name] = request
        return {}

    def do_delete_schedule(self, GroupName: str, Name: str) -> Any:
        self._there(Name)
        del self.aws.schedules[Name]
        return {}


class CloudWatch(Service):
    name = "cloudwatch"

    def do_describe_alarms(self, AlarmNamePrefix: str, AlarmTypes: list[str]) -> Any:
        found = [alarm for name, alarm in self.aws.alarms.items() if name.startswith(AlarmNamePrefix)]
        return {"MetricAlarms": found}

    def do_put_metric_alarm(self, AlarmName: str, **request: Any) -> Any:
        self.aws.alarms[AlarmName] = {"AlarmName": AlarmName, **request}
        return {}

    def do_put_metric_data(self, Namespace: str, MetricData: list[Any]) -> Any:
        self.aws.points += MetricData
        return {}

    def do_delete_alarms(self, AlarmNames: list[str]) -> Any:
        for name in AlarmNames:
            self.aws.alarms.pop(name, None)
        return {}


class _Body(io.BytesIO):
    """A body as S3 gives it: read once, and closed."""


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
