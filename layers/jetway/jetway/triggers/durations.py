"""Times and rates as trigger files write them: 25h, 10/min."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from jetway.dispatch.limits import Rate, limits_in_message

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_WORDS = {"m": "minute", "h": "hour", "d": "day"}


def parse_duration(text: str) -> timedelta:
    """Read a whole number and s, m, h or d.

    >>> parse_duration("25h")
    datetime.timedelta(days=1, seconds=3600)
    """
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def parse_rate(text: str) -> Rate:
    """Read a number of runs per s, min, h or d.

    >>> parse_rate("10/min")
    Rate(count=10, per=60)
    """
    count, _, unit = text.partition("/")
    return Rate(int(count), _SECONDS[unit])


def rate_expression(text: str) -> str:
    """Write a duration as EventBridge Scheduler wants it.

    >>> rate_expression("1h"), rate_expression("15m")
    ('rate(1 hour)', 'rate(15 minutes)')
    """
    count, word = int(text[:-1]), _WORDS[text[-1]]
    return f"rate({count} {word}{'' if count == 1 else 's'})"


def limits_of_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a trigger file's document as they stand in a dispatch message.

    >>> limits_of_document({"limits": {"rate": "10/min"}})
    {'rate': {'count': 10, 'per': 60}}
    """
    limits = document.get("limits", {})
    return limits_in_message(
        parse_duration(limits["max_event_age"]) if "max_event_age" in limits else None,
        parse_rate(limits["rate"]) if "rate" in limits else None,
    )
