"""Times as people write them: 90s, 1h, 2d, or an ISO 8601 moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from jetway.events.incoming import parse_time

_SPAN = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_span(text: str) -> timedelta:
    """Read 90s, 15m, 1h or 2d.

    Raises:
        ValueError: no such span.

    >>> parse_span("15m")
    datetime.timedelta(seconds=900)
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 1h or 2d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Span(click.ParamType[timedelta]):
    """A span of time."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the option's text."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_span(value)
        except (ValueError, OverflowError) as exc:
            self.fail(f"{exc}.", param, ctx)


class Moment(click.ParamType[datetime]):
    """A moment: how long ago, or an ISO 8601 time; without an offset it is UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the option's text."""
        if isinstance(value, datetime):
            return value
        try:
            if _SPAN.fullmatch(value.strip()):
                return datetime.now(UTC) - parse_span(value)
            return parse_time(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a duration such as 1h or 2d nor a time such as 2026-11-22T06:00.", param, ctx
            )


def show_time(time: datetime | None) -> str:
    """Return a moment for a table, in UTC, to the second."""
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
