"""What a schema cannot say of a trigger file: time zones, cron fields, placeholders, what goes together."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jetway.airflow.names import check_dag_id
from jetway.artifacts.findings import Finding
from jetway.dispatch.conf_template import TemplateError, paths
from jetway.dispatch.dates import NONE, OF_SCHEDULES, time_of
from jetway.dispatch.run import TRIGGER_NAME
from jetway.documents.json_schema import shown
from jetway.errors import InvalidRequestError
from jetway.triggers.durations import parse_duration
from jetway.triggers.schedule_text import cron_fault, parse_at, time_zones

if TYPE_CHECKING:
    from jetway.documents.json_schema import DocumentPath
    from jetway.documents.yaml_document import Document

# Triggers that the stack itself has; run ids are made of the name.
RESERVED_NAMES = frozenset({"data", "http", "schedule"})

# What `{{ … }}` may begin with, by kind: the facts of `jetway.events`. An HTTP call brings what it brings.
FACTS = {
    "s3": frozenset({"bucket", "key", "version_id", "etag", "size", "event_time", "event_id"}),
    "event": frozenset({"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}),
    "schedule": frozenset({"schedule", "scheduled_time"}),
    "batch": frozenset({"batch_id", "manifest", "count", "events", "time", "newest_time"}),
}

# Shortest and longest, with the reason for people.
BOUNDS = {
    ("expect", "within"): ("1m", "7d", "a CloudWatch alarm looks back at most 7 days"),
    ("limits", "max_event_age"): ("1m", "7d", "an event that waits longer should be a dead letter"),
    ("batch", "within"): ("1s", "1d", "a batch is closed after at most a day"),
}


def check_key(key: str) -> list[Finding]:
    """Check that a key is triggers/<name>.yaml with a name that a trigger can have."""
    name, dot, suffix = key.removeprefix("triggers/").rpartition(".")
    if suffix != "yaml" or not dot or "/" in name:
        message = f"{key!r} is not a trigger file: those are triggers/<name>.yaml, without folders."
        return [Finding("file-name", "error", message, None, "Rename it, or move it to another folder.")]
    if not TRIGGER_NAME.fullmatch(name):
        message = f"{name!r} is not a valid trigger name."
        remedy = "Use letters, digits, - and _ (at most 63, the first one a letter or digit)."
        return [Finding("file-name", "error", message, None, remedy)]
    if name in RESERVED_NAMES:
        message = f"The name {name!r} is reserved for one of Jetway's own triggers."
        return [Finding("file-name", "error", message, None, "Rename the file.")]
    return []


def check_document(document: Document) -> list[Finding]:
    """Check a document that has the shape of a trigger file."""
    return [
        Finding(rule, "error", f"{shown(path)}: {message}", document.line(path), remedy)
        for rule, path, message, remedy in _faults(document.value)
    ]


TriggerFault = tuple[str, "DocumentPath", str, str]


def _faults(value: Mapping[str, Any]) -> Iterator[TriggerFault]:
    kind = next(iter(value["on"]))
    source = value["on"][kind]
    try:
        check_dag_id(value["dag"])
    except InvalidRequestError as exc:
        yield ("dag-id", ("dag",), str(exc), "Write the dag_id as Airflow shows it.")
    if "batch" in value and kind in {"schedule", "http"}:
        remedy = "Leave batch out: only files and events can be batched."
        yield ("not-for-this-kind", ("batch",), f"a trigger on {kind} cannot be batched.", remedy)
    yield from _check_bounds(value)
    if kind == "schedule":
        yield from _check_schedule(source)
    elif kind == "event":
        yield from _check_pattern(source, ("on", kind))
    facts = FACTS.get("batch" if "batch" in value else kind)
    yield from _check_conf(value.get("conf", {}), ("conf",), facts)
    yield from _check_dates(value, kind, facts)
    if kind == "http" and value.get("when_paused", "start") != "start":
        message = "a call is answered with the id of its run, so the run is always created."
        yield (
            "not-for-this-kind",
            ("when_paused",),
            message,
            "Leave when_paused out. ?dry_run=true shows whether the DAG is paused.",
        )


def _check_dates(value: Mapping[str, Any], kind: str, facts: frozenset[str] | None) -> Iterator[TriggerFault]:
    date, interval = value.get("logical_date"), value.get("data_interval")
    if date in OF_SCHEDULES and kind != "schedule":
        message = f"{date} is for schedules: a trigger on {kind} has no planned time."
        remedy = "Leave it out to use the event's time; or write none, or a path such as {{ detail.closed_at }}."
        yield ("not-for-this-kind", ("logical_date",), message, remedy)
    elif date is not None:
        yield from _check_conf(date, ("logical_date",), facts)
    if interval is None:
        return
    if date == NONE:
        message = "Airflow stores no data interval for a run without a date."
        yield ("dates", ("data_interval",), message, "Leave out logical_date: none, or data_interval.")
    moments = []
    for name in ("start", "end"):
        text, path = interval[name], ("data_interval", name)
        if "{{" in text:
            yield from _check_conf(text, path, facts)
            continue
        try:
            moments.append(time_of(text, {}, shown(path)))
        except InvalidRequestError as exc:
            yield ("dates", path, str(exc), "Write a time with its zone, or a path such as {{ detail.from }}.")
    if len(moments) == 2 and moments[1] < moments[0]:
        yield ("dates", ("data_interval",), "it ends before it begins.", "Swap start and end.")


def _check_bounds(value: Mapping[str, Any]) -> Iterator[TriggerFault]:
    for path, (least, most, because) in BOUNDS.items():
        text = value.get(path[0], {}).get(path[1])
        if text and not parse_duration(least) <= parse_duration(text) <= parse_duration(most):
            yield (
                "out-of-bounds",
                path,
                f"{text} is not between {least} and {most}.",
                f"Choose another value: {because}.",
            )


def _check_schedule(source: Mapping[str, Any]) -> Iterator[TriggerFault]:
    timezone = source.get("timezone", "UTC")
    if timezone not in time_zones():
        near = difflib.get_close_matches(timezone, time_zones(), n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else "Use a name such as Europe/Vienna."
        yield ("time-zone", ("on", "schedule", "timezone"), f"unknown time zone {timezone!r}.", remedy)
    elif "at" in source:
        try:
            parse_at(source["at"], timezone)
        except ValueError as exc:
            remedy = "Write a time such as 2026-12-24T18:00:00."
            yield ("schedule", ("on", "schedule", "at"), f"this time does not exist: {exc}.", remedy)
    if "cron" in source and (fault := cron_fault(source["cron"])):
        remedy = (
            "Six fields: minutes hours day-of-month month day-of-week year, for example 0 6 ? * MON-FRI *; "
            "days of the week are 1-7 or SUN-SAT."
        )
        yield ("schedule", ("on", "schedule", "cron"), f"{fault}.", remedy)


def _check_pattern(value: Any, path: DocumentPath) -> Iterator[TriggerFault]:
    """Check the matchers of an event pattern, wherever they are."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _check_pattern(item, (*path, number))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            below = (*path, name)
            is_matcher = isinstance(path[-1], int) and path[-2] != "$or"
            if is_matcher and name == "numeric" and len(item) == 4 and item[1] >= item[3]:
                remedy = "Write the lower bound first, for example ['>', 0, '<=', 5]."
                yield ("pattern", below, f"no number is in the range {item}.", remedy)
            elif is_matcher and name == "cidr" and not _is_network(item):
                yield ("pattern", below, f"{item!r} is not an IP address range.", "Write one such as 10.0.0.0/24.")
            elif not is_matcher:
                yield from _check_pattern(item, below)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _check_conf(value: Any, path: DocumentPath, facts: frozenset[str] | None) -> Iterator[TriggerFault]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _check_conf(item, (*path, number), facts)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _check_conf(item, (*path, name), facts)
    elif isinstance(value, str) and "{{" in value:
        try:
            wanted = paths(value)
        except TemplateError as exc:
            yield ("conf", path, str(exc), "A placeholder is {{ path }}; put the string that contains it in quotes.")
            return
        if facts == FACTS["batch"]:
            yield from _check_batch_paths(wanted, path)
            return
        for first in [names[0] for names in wanted if facts is not None and names[0] not in facts]:
            near = difflib.get_close_matches(first, sorted(facts or ()), n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            remedy = f"{meant}Valid names: {', '.join(sorted(facts or ()))}."
            yield ("conf", path, f"these events have no {first!r}.", remedy)


def _check_batch_paths(wanted: Iterable[Sequence[str]], path: DocumentPath) -> Iterator[TriggerFault]:
    """A batch's run is that of many events: nothing of a single one can stand in its conf."""
    known = ", ".join(sorted(FACTS["batch"]))
    remedy = (
        f"A batch's conf can name {known}. The facts of its events are in the manifest file, whose address is manifest."
    )
    for names in wanted:
        if names[0] not in FACTS["batch"]:
            yield ("conf", path, f"the run of a batch has no {names[0]!r}, because it starts for many events.", remedy)
        elif names[0] == "events" and len(names) > 1:
            message = (
                f"{'.'.join(names)!r} refers to an item of events, which is null if the list is too long for conf."
            )
            yield ("conf", path, message, f"Name events as a whole. {remedy}")
