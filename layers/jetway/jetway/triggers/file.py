"""Trigger files: triggers/<name>.yaml as typed facts, or as findings with line and remedy.

Its shape is that of trigger.schema.json (`jetway.documents.json_schema`); what a schema cannot say is checked in
`jetway.triggers.checks`. What becomes of a trigger in AWS is told by `jetway.triggers.resources`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding, FoundDag, Judgement, judgement
from jetway.dispatch.dates import DateRule
from jetway.documents.json_schema import problems
from jetway.documents.yaml_document import Document, YamlError, load
from jetway.triggers.durations import parse_duration, parse_rate, rate_expression
from jetway.triggers.schedule_text import parse_at
from jetway.triggers.version import version_of

if TYPE_CHECKING:
    from jetway.dispatch.limits import Rate
    from jetway.dispatch.run import WhenPaused

PREFIX = "triggers/"
SUFFIX = ".yaml"
LARGEST_FILE = 64 * 1024  # bytes; what AWS takes of it is less than 20 KB


@dataclass(frozen=True, slots=True)
class S3:
    """Files put in buckets.

    Attributes:
        keys: what the key must match one of, as the file writes it: a text or a matcher; empty for every key.
    """

    buckets: tuple[str, ...]
    keys: tuple[str | Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class BusEvent:
    """Events of an EventBridge bus."""

    pattern: Mapping[str, Any]
    bus: str = "default"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule.

    Attributes:
        expression: as EventBridge Scheduler takes it.
        at: of a schedule that fires once, when; timezone-aware.
    """

    expression: str
    timezone: str = "UTC"
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Http:
    """Calls of POST /triggers/<name> or POST /webhooks/<name>; the HTTP API reads them from the accepted triggers."""

    auth: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Many events, one run."""

    max_events: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class TriggerFile:
    """A valid trigger file.

    Attributes:
        conf: template of the run's conf; None for the event's facts.
        expect: how long no event may come before an alarm is raised.
        dates: of its runs.
        when_paused: what becomes of an event whose DAG is paused.
        document: all of the file, as JSON; `from_document` makes the same trigger of it.
        version: names what the file says, in the messages of one that is in force (`in_force`); else None.
    """

    name: str
    dag: str
    on: S3 | BusEvent | Schedule | Http
    document: Mapping[str, Any]
    conf: Mapping[str, Any] | None = None
    batch: Batch | None = None
    expect: timedelta | None = None
    max_event_age: timedelta | None = None
    rate: Rate | None = None
    dates: DateRule = field(default_factory=DateRule)
    when_paused: WhenPaused = "start"
    enabled: bool = True
    version: str | None = None

    @property
    def kind(self) -> str:
        """s3, event, schedule or http, as in dispatch messages."""
        return str(next(iter(self.document["on"])))


@dataclass(frozen=True, slots=True)
class ParsedTrigger:
    """What a file says.

    Attributes:
        trigger: None when there is an error among the findings.
        line: where it says what starts it; None when it is not known.
    """

    trigger: TriggerFile | None
    judgement: Judgement
    line: int | None = None


def name_of(key: str) -> str:
    """Return the trigger's name that a key of the drop bucket gives: triggers/<name>.yaml."""
    return key.removeprefix(PREFIX).removesuffix(SUFFIX)


def parse(content: bytes, key: str) -> ParsedTrigger:
    """Read and check a trigger file.

    Args:
        content: its bytes.
        key: its key, triggers/<name>.yaml.
    """
    from jetway.triggers.checks import check_key

    findings = check_key(key)
    if len(content) > LARGEST_FILE:
        findings.append(_error("too-large", f"The file has more than {LARGEST_FILE} bytes.", 1, "Shorten it."))
        return ParsedTrigger(None, judgement("trigger", findings))
    try:
        document = load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        findings.append(_error("encoding", "The file is not UTF-8.", line, "Save it as UTF-8."))
    except YamlError as exc:
        findings.append(_error("yaml", str(exc), exc.line, exc.remedy))
    else:
        return _parse(document, name_of(key), findings)
    return ParsedTrigger(None, judgement("trigger", findings))


def from_document(document: Mapping[str, Any], name: str) -> ParsedTrigger:
    """Make a trigger of its document, as it was accepted before."""
    return _parse(Document(document, {(): 1}), name, [])


def _parse(document: Document, name: str, findings: list[Finding]) -> ParsedTrigger:
    from jetway.triggers.checks import check_document
    from jetway.triggers.never_firing import doubts

    value = document.value
    findings += [
        _error(found.rule, found.message, document.line(found.path), found.remedy)
        for found in problems(value, schema())
    ]
    if not findings:
        findings += check_document(document)
    if any(found.severity == "error" for found in findings):
        return ParsedTrigger(None, judgement("trigger", findings))
    dag = FoundDag(value["dag"], document.line(("dag",)), "exact")
    findings += doubts(document, name)
    return ParsedTrigger(_trigger(value, name), judgement("trigger", findings, [dag]), _line_of_source(document))


def _line_of_source(document: Document) -> int:
    kind, source = next(iter(document.value["on"].items()))
    return document.line(("on", kind, *(name for name in ("cron", "at") if name in source)))


def in_force(trigger: TriggerFile) -> TriggerFile:
    """Return a trigger as it is put in force: its messages name what its file says."""
    return replace(trigger, version=version_of(trigger.document))


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of trigger files; docs/schemas/trigger.schema.json is its published copy."""
    text = FilePath(__file__).with_name("trigger.schema.json").read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def _trigger(value: Mapping[str, Any], name: str) -> TriggerFile:
    batch, limits, expect = value.get("batch"), value.get("limits", {}), value.get("expect")
    source = _source(value["on"])
    of_schedule = {"schedule": source.expression, "timezone": source.timezone} if isinstance(source, Schedule) else {}
    return TriggerFile(
        name=name,
        dag=value["dag"],
        on=source,
        document=value,
        conf=value.get("conf"),
        batch=Batch(int(batch["max_events"]), parse_duration(batch["within"])) if batch else None,
        expect=parse_duration(expect["within"]) if expect else None,
        max_event_age=parse_duration(limits["max_event_age"]) if "max_event_age" in limits else None,
        rate=parse_rate(limits["rate"]) if "rate" in limits else None,
        dates=DateRule.parse({**value, **of_schedule}),
        when_paused=value.get("when_paused", "start"),
        enabled=value.get("enabled", True),
    )


def _source(on: Mapping[str, Any]) -> S3 | BusEvent | Schedule | Http:
    ((kind, value),) = on.items()
    if kind == "s3":
        return S3(tuple(_listed(value["bucket"])), tuple(_listed(value["key"])) if "key" in value else ())
    if kind == "event":
        return BusEvent({name: item for name, item in value.items() if name != "bus"}, value.get("bus", "default"))
    if kind == "http":
        return Http(value["auth"])
    timezone = value.get("timezone", "UTC")
    if "at" in value:
        at = parse_at(value["at"], timezone)
        return Schedule(f"at({at:%Y-%m-%dT%H:%M:%S})", timezone, at)
    return Schedule(f"cron({value['cron']})" if "cron" in value else rate_expression(value["rate"]), timezone)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _error(rule: str, message: str, line: int, remedy: str) -> Finding:
    return Finding(rule, "error", message, line, remedy)
