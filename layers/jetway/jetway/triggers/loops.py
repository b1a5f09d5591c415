"""Triggers that never end: their own runs start them, or the files that Jetway writes itself. Pure.

A pattern is tried with the events that the trigger would cause. Of some of their values nobody knows before what they
will be; a matcher of those is taken to match. So a pattern that takes these events by mistake is found, and one that
takes them on purpose says how far: with `chain` in its detail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jetway.artifacts.findings import Finding
from jetway.artifacts.keys import OWN_PREFIXES
from jetway.batches.model import MANIFESTS
from jetway.events.outgoing import SOURCE

# How an event is told that takes place after the longest chain.
_LATE = 1_000_000

# What is wrong, and what to do.
ITSELF = (
    ("the trigger matches events of its own runs, so each run starts another one, until the chain is too long."),
    (
        "Name the DAGs that you want, or exclude the trigger's own: detail: {dag_id: [{anything-but: "
        '<dag>}]}. If the chain is intended, limit it: detail: {chain: [{numeric: ["<", 3]}]}.'
    ),
)


class _Unknown:
    """A value that nobody knows before."""


@dataclass(frozen=True, slots=True)
class _Below:
    """A key below a prefix, whichever; as a text it is one of them."""

    prefix: str

    def __str__(self) -> str:
        return f"{self.prefix}orders/1.json"


UNKNOWN = _Unknown()


def starts_itself(
    document: Mapping[str, Any], name: str, *, environment: str | None = None, bus: str = "default"
) -> bool:
    """Whether a trigger on events of a bus takes an event that Jetway sends of the trigger's own runs.

    Args:
        document: what its file says, valid.
        name: of the trigger.
        environment: the MWAA environment's name; None where it is not known: then a pattern that asks for one is taken
            to mean another one.
        bus: that Jetway's events go to; another one may get them too, and then a pattern says so by `source`.
    """
    pattern = document["on"].get("event")
    if pattern is None:
        return False
    fields = {field: value for field, value in pattern.items() if field != "bus"}
    if pattern.get("bus", "default") != bus and not _asks_for_source(fields):
        return False
    run_id = f"jetway__{name}__{'a' * 20}"
    common = {
        "id": f"{name}#{'a' * 20}#started",
        "trigger": name,
        "kind": "batch" if "batch" in document else "event",
        "identity": UNKNOWN,
        "dag_id": document["dag"],
        "dag_run_id": run_id,
        "batch_id": UNKNOWN if "batch" in document else None,
        "event_time": UNKNOWN,
        "decided_at": UNKNOWN,
        "chain": _LATE,
        **({} if environment is None else {"environment": environment}),
    }
    ended = {"start_date": UNKNOWN, "end_date": UNKNOWN, "duration_seconds": UNKNOWN}
    details: dict[str, dict[str, Any]] = {
        "DagRunStarted": {"state": "queued", "paused": UNKNOWN, "stale": UNKNOWN, "latency_seconds": UNKNOWN},
        "DagRunSucceeded": {"state": "success", **ended},
        "DagRunFailed": {"state": "failed", **ended},
        "DagRunBlocked": {"reason": UNKNOWN, "error": UNKNOWN},
        "EventDeadLettered": {"reason": UNKNOWN, "error": UNKNOWN},
    }
    return any(
        takes(fields, {**_ENVELOPE, "source": SOURCE, "detail-type": kind, "detail": {**common, **detail}})
        for kind, detail in details.items()
    )


def own_files(
    pattern: Mapping[str, Any], trigger: str, *, batched: bool, bucket: str, live: str | None
) -> Iterator[Finding]:
    """Tell of files that Jetway writes itself and that a trigger on the default bus would take.

    Args:
        pattern: the event pattern of its rule.
        trigger: its name.
        batched: whether it collects events.
        bucket: the drop bucket.
        live: the environment's bucket; None: nothing is said of it.
    """
    if batched and takes(pattern, _created(bucket, _Below(f"{MANIFESTS}{trigger}/"))):
        message = (
            f"Each of its batches writes a manifest to {MANIFESTS}{trigger}/ of the drop bucket, which would "
            "begin the next batch, endlessly."
        )
        yield Finding("starts-itself", "error", message, None, _OTHER_KEYS)
        return
    taken = [prefix for prefix in OWN_PREFIXES if takes(pattern, _created(bucket, _Below(prefix)))]
    if taken:
        message = f"It matches files that Jetway itself writes to the drop bucket, in {', '.join(taken)}."
        yield Finding("own-files", "warning", message, None, _OTHER_KEYS)
    if live is not None and takes(pattern, _created(live, UNKNOWN)):
        message = f"{live} is the environment's bucket, so each file that Jetway promotes would start a run."
        remedy = "Trigger on the event ArtifactPromoted instead, or keep data in its own bucket."
        yield Finding("own-files", "warning", message, None, remedy)


def takes(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether a pattern takes an event, as far as its values are known."""
    for name, wanted in pattern.items():
        if name == "$or":
            taken = any(takes(one, event) for one in wanted)
        elif isinstance(wanted, Mapping):
            below = event.get(name)
            taken = below is UNKNOWN or (isinstance(below, Mapping) and takes(wanted, below))
        else:
            taken = any(_matches(value, event, name) for value in wanted)
        if not taken:
            return False
    return True


_OTHER_KEYS = "Name the keys that you want, as key: {prefix: incoming/}, or exclude Jetway's with anything-but."
_ENVELOPE = dict.fromkeys(("version", "id", "account", "time", "region"), UNKNOWN)


def _created(bucket: str, key: Any) -> dict[str, Any]:
    """An event "Object Created" of S3."""
    known = {"bucket": {"name": bucket}, "object": {"key": key, **dict.fromkeys(_OF_OBJECTS, UNKNOWN)}}
    detail = {**dict.fromkeys(_OF_PUTS, UNKNOWN), **known}
    return {**_ENVELOPE, "resources": UNKNOWN, "source": "aws.s3", "detail-type": "Object Created", "detail": detail}


_OF_OBJECTS = ("size", "etag", "version-id", "sequencer")
_OF_PUTS = ("version", "request-id", "requester", "source-ip-address", "reason")


def _asks_for_source(pattern: Mapping[str, Any]) -> bool:
    others = pattern.get("$or", ())
    return "source" in pattern or (bool(others) and all(_asks_for_source(one) for one in others))


def _matches(value: Any, event: Mapping[str, Any], name: str) -> bool:
    """Whether one value or matcher of a pattern matches a field of an event."""
    matcher, wanted = next(iter(value.items())) if isinstance(value, Mapping) else ("", value)
    if matcher == "exists":
        return (name in event) is bool(wanted)
    if name not in event:
        return False
    known = event[name]
    if known is UNKNOWN:
        return True
    if matcher == "anything-but":
        excluded = (
            [{kind: one} for kind, many in wanted.items() for one in _several(many)]
            if isinstance(wanted, Mapping)
            else _several(wanted)
        )
        plain = {name: str(known) if isinstance(known, _Below) else known}
        return not any(_matches(one, plain, name) for one in excluded)
    if matcher == "numeric":
        return isinstance(known, int | float) and _is_in(wanted, known)
    return _fits(matcher, wanted, known) if isinstance(known, str | _Below) else matcher == "" and known == wanted


def _fits(matcher: str, wanted: Any, known: str | _Below) -> bool:
    """Whether a text, or one of the keys below a prefix, is what a matcher wants."""
    text, prefix = str(known), known.prefix if isinstance(known, _Below) else None
    if matcher == "equals-ignore-case" or isinstance(wanted, Mapping):  # {"prefix": {"equals-ignore-case": "x"}}
        wanted = next(iter(wanted.values())) if isinstance(wanted, Mapping) else wanted
        wanted, text, prefix = str(wanted).lower(), text.lower(), prefix and prefix.lower()
    if not isinstance(wanted, str):
        return False
    if matcher == "wildcard":
        parts = [part.replace("\0", "*") for part in wanted.replace("\\*", "\0").replace("\\\\", "\\").split("*")]
        if prefix is not None:
            return _meet(parts[0], prefix) if len(parts) > 1 else parts[0].startswith(prefix)
        return re.fullmatch(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None
    if prefix is not None:
        below = {"prefix": _meet(wanted, prefix), "suffix": True}
        return below.get(matcher, wanted.startswith(prefix))
    fits = {"prefix": text.startswith(wanted), "suffix": text.endswith(wanted)}
    return fits.get(matcher, text == wanted)


def _meet(one: str, other: str) -> bool:
    """Whether some text begins with both."""
    return one.startswith(other) or other.startswith(one)


def _is_in(bounds: list[Any], number: float) -> bool:
    """Whether a number is in the range of a matcher, such as [">", 0, "<=", 5]."""
    compare = {
        "<": number.__lt__,
        "<=": number.__le__,
        ">": number.__gt__,
        ">=": number.__ge__,
        "=": number.__eq__,
    }
    return all(compare[sign](bound) is True for sign, bound in zip(bounds[::2], bounds[1::2], strict=True))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
