"""Faults on demand, for integration tests: what a real environment does on a bad day.

    POST   /_local/faults    {"kind": "lose_answer", "target": "cli", "count": 3}
    GET    /_local/faults    the faults that are in force
    DELETE /_local/faults    none any more
    GET    /_local/counters  how often what happened
    POST   /_local/throttle  {"InvokeRestApi": 10, "CreateCliToken": 2}: calls a second, 0 for no bound
    GET    /_local/throttle  the bounds that are in force

| kind | what happens | fields |
| --- | --- | --- |
| busy | 503 before anything is done | target, count or probability |
| lose_answer | the work is done, then the connection is closed without an answer | target, count or probability |
| status | GetEnvironment tells this; the web server is down unless usable, or `serves` | status, seconds, serves |
| web_server_down | every connection to the web server is closed at once | seconds |
| denied | an operation is refused for want of a right (AccessDeniedException) | operation, seconds, code |

`target` is "cli" (default) or "rest" (InvokeRestApi). `seed` makes probabilities repeatable.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

_FIELDS = {
    "busy": {"target", "count", "probability", "seed"},
    "lose_answer": {"target", "count", "probability", "seed"},
    "status": {"status", "seconds", "serves"},
    "web_server_down": {"seconds"},
    "denied": {"operation", "seconds", "code"},
}
_DENIALS = {"AccessDeniedException": 403, "ValidationException": 400}
_OPERATIONS = {"GetEnvironment", "UpdateEnvironment", "CreateCliToken", "CreateWebLoginToken", "InvokeRestApi"}


class FaultError(ValueError):
    """The fault asked for is not one that can be injected."""


@dataclass(slots=True)
class Fault:
    """One fault in force; `remaining` of None means until it is deleted."""

    kind: str
    target: str = "cli"
    probability: float = 1.0
    remaining: int | None = None
    status: str = ""
    serves: bool = False
    code: str = ""
    until: float = 0.0


class Faults:
    """The faults in force, and counters. Without faults all questions are answered with no."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._random = random.Random()  # noqa: S311 - no secret hangs on it
        self._counters: Counter[str] = Counter()

    def add(self, wanted: Mapping[str, Any]) -> None:
        """Put a fault in force.

        Raises:
            FaultError: an unknown kind or field, or a field that is missing.
        """
        kind = wanted.get("kind")
        if kind not in _FIELDS:
            raise FaultError(f"kind must be one of {', '.join(_FIELDS)}")
        unknown = set(wanted) - _FIELDS[kind] - {"kind"}
        if unknown:
            raise FaultError(f"{kind} does not know {', '.join(sorted(unknown))}")
        fault = Fault(kind)
        if kind in {"busy", "lose_answer"}:
            fault.target = wanted.get("target", "cli")
            if fault.target not in {"cli", "rest"}:
                raise FaultError("target must be cli or rest")
            if ("count" in wanted) == ("probability" in wanted):
                raise FaultError("give either count or probability")
            fault.remaining = int(wanted["count"]) if "count" in wanted else None
            fault.probability = float(wanted.get("probability", 1.0))
        else:
            if "seconds" not in wanted or (kind == "status") != ("status" in wanted):
                raise FaultError("seconds is needed; status is needed for kind status")
            fault.until = self._clock() + float(wanted["seconds"])
            fault.status = wanted.get("status", "")
            fault.serves = bool(wanted.get("serves"))
            if kind == "denied":
                fault.target, fault.code = wanted.get("operation", ""), wanted.get("code", "AccessDeniedException")
                if fault.target not in _OPERATIONS or fault.code not in _DENIALS:
                    raise FaultError(f"operation is one of {sorted(_OPERATIONS)}, code one of {sorted(_DENIALS)}")
        with self._lock:
            if "seed" in wanted:
                self._random.seed(wanted["seed"])
            self._faults.append(fault)

    def clear(self) -> None:
        """End all faults; counters stay."""
        with self._lock:
            self._faults.clear()

    def strikes(self, kind: str, target: str) -> bool:
        """Whether this fault strikes now; uses it up by one."""
        with self._lock:
            for fault in self._faults:
                if (fault.kind, fault.target) != (kind, target) or fault.remaining == 0:
                    continue
                if self._random.random() < fault.probability:
                    if fault.remaining is not None:
                        fault.remaining -= 1
                    self._counters[f"{target}.{kind}"] += 1
                    return True
        return False

    def status(self) -> str | None:
        """The status that is forced now."""
        with self._lock:
            forced = [f.status for f in self._faults if f.kind == "status" and f.until > self._clock()]
        return forced[-1] if forced else None

    def serves(self) -> bool:
        """Whether the web server answers although the status that is forced now takes no work."""
        with self._lock:
            forced = [f.serves for f in self._faults if f.kind == "status" and f.until > self._clock()]
        return bool(forced) and forced[-1]

    def denied(self, operation: str) -> tuple[int, str] | None:
        """HTTP status and code with which an operation is refused now."""
        with self._lock:
            for fault in self._faults:
                if (fault.kind, fault.target) == ("denied", operation) and fault.until > self._clock():
                    self._counters[f"denied.{operation}"] += 1
                    return _DENIALS[fault.code], fault.code
        return None

    def web_server_down(self) -> bool:
        """Whether the web server is to look down now."""
        with self._lock:
            return any(f.kind == "web_server_down" and f.until > self._clock() for f in self._faults)

    def active(self) -> list[dict[str, Any]]:
        """The faults in force, for people."""
        now = self._clock()
        with self._lock:
            return [
                asdict(f) | {"until": max(0.0, f.until - now)}
                for f in self._faults
                if f.remaining != 0 and (f.until == 0.0 or f.until > now)
            ]

    def count(self, name: str) -> None:
        """Count one occurrence."""
        with self._lock:
            self._counters[name] += 1

    def counters(self) -> dict[str, int]:
        """How often what happened since the gateway's start."""
        with self._lock:
            return dict(self._counters)
