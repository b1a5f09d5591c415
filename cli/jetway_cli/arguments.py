"""What people type: texts that must not be empty, addresses, moments, and names that are nearly right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import click

LONGEST_KEY = 255  # characters of an Idempotency-Key, as the HTTP API takes it
LONGEST_WORD = 100  # characters of a name that is compared with others
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question for the name that is nearest, or nothing when none is near.

    >>> did_you_mean("dag-not-fund", ["dag-not-found", "unforeseen"])
    " Did you mean 'dag-not-found'?"
    """
    near = difflib.get_close_matches(word[:LONGEST_WORD], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


class Text(click.ParamType[str]):
    """A text that is not empty: an empty one is a variable of a script that was not set."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the option's text."""
        if not str(value).strip():
            self.fail("The value is empty. Check whether a variable is set, or give a value.", param, ctx)
        return str(value)


class TriggerName(Text):
    """A name that a trigger can have."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the option's text."""
        from jetway.dispatch.run import TRIGGER_NAME

        name = super().convert(value, param, ctx)
        if TRIGGER_NAME.fullmatch(name) is None:
            shown = name if len(name) <= LONGEST_WORD else f"{name[:LONGEST_WORD]}…"
            self.fail(
                f"{shown!r} is not a valid trigger name: a name has up to 63 letters, digits, - and _.", param, ctx
            )
        return name


class Key(Text):
    """An Idempotency-Key: it travels as an HTTP header."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the option's text."""
        key = super().convert(value, param, ctx)
        if len(key) > LONGEST_KEY or _PRINTABLE.fullmatch(key) is None:
            self.fail(f"A key has 1 to {LONGEST_KEY} printable ASCII characters.", param, ctx)
        return key


def _from_where(param: click.Parameter | None, ctx: click.Context | None) -> str:
    """Name the environment variable that a value was read from, when one was."""
    if param is None or param.name is None or ctx is None or param.envvar is None:
        return ""
    source = ctx.get_parameter_source(param.name)
    return f" in {param.envvar}" if source is click.core.ParameterSource.ENVIRONMENT else ""


class Url(click.ParamType[str]):
    """An address that begins with http:// or https://."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the option's text."""
        try:
            parts = urlsplit(str(value))
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or re.search(r"[\s\\]", str(value)):
            example = "https://abc123.execute-api.eu-central-1.amazonaws.com"
            self.fail(f"{value!r}{_from_where(param, ctx)} is not an address such as {example}.", param, ctx)
        return str(value)


class IsoTime(click.ParamType[str]):
    """A moment as ISO 8601 has it; it is sent as it was typed."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the option's text."""
        from jetway.events.incoming import parse_time

        try:
            parse_time(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-22T06:00:00+00:00.", param, ctx)
        return str(value)


class WaitFor(click.Choice[str]):
    """How far `jetway run --wait` waits; the word after --wait may be a DAG that was meant as the argument."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the option's text."""
        if value not in self.choices:
            some = ", ".join(self.choices)
            remedy = "Put --wait after the DAG (jetway run DAG --wait), or write --wait=success."
            self.fail(f"{value!r} is not one of {some}. {remedy}", param, ctx)
        return str(value)
