"""What each function is told by its environment, read once at the edge into typed facts.

A field says which variable it is and how that is read; `from_env` reads them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from jetway.dispatch.limits import LONGEST_CHAIN


class ConfigError(ValueError):
    """An environment variable is missing or wrong; template.yaml sets them all."""


Env = Mapping[str, str]
_READ = "read"


def text(env: Env, name: str) -> str:
    """Read a text that is there."""
    value = env.get(name, "")
    if not value:
        raise ConfigError(f"environment variable {name} is not set.")
    return value


def number(env: Env, name: str) -> int:
    """Read a whole number."""
    value = text(env, name)
    if not value.isdecimal():
        raise ConfigError(f"environment variable {name} is {value!r}, not a whole number.")
    return int(value)


def one_of(*words: str) -> Callable[[Env, str], str]:
    """Return a reader of one of some words."""

    def read(env: Env, name: str) -> str:
        value = text(env, name)
        if value not in words:
            raise ConfigError(
                f"environment variable {name} is {value!r}; it must be {', '.join(words[:-1])} or {words[-1]}."
            )
        return value

    return read


def either(yes: str, no: str) -> Callable[[Env, str], bool]:
    """Return a reader of one of two words, the first of which is True."""
    word = one_of(yes, no)
    return lambda env, name: word(env, name) == yes


def optional(env: Env, name: str) -> str | None:
    """Read a text; None when there is none."""
    return env.get(name) or None


def longest_chain(env: Env, name: str) -> int:
    """Read how many runs in a row may each be started by the event of the one before."""
    return number(env, name) if env.get(name) else LONGEST_CHAIN


def flag(env: Env, name: str) -> bool:
    """Read true, or anything else."""
    return text(env, name) == "true"


def seconds(env: Env, name: str) -> timedelta:
    """Read so many seconds."""
    return timedelta(seconds=number(env, name))


def days(env: Env, name: str) -> timedelta:
    """Read so many days."""
    return timedelta(days=number(env, name))


def hours(env: Env, name: str) -> timedelta:
    """Read so many hours."""
    return timedelta(hours=number(env, name))


def minutes(env: Env, name: str) -> timedelta:
    """Read so many minutes."""
    return timedelta(minutes=number(env, name))


def variable(name: str, read: Callable[[Env, str], object] = text) -> Any:
    """Declare a field: which variable it is, and how that is read."""
    return field(metadata={_READ: lambda env: read(env, name)})


def part(read: Callable[[Env], object]) -> Any:
    """Declare a field that is made of several variables."""
    return field(metadata={_READ: read})


@dataclass(frozen=True, slots=True)
class FromEnv:
    """A configuration whose fields are environment variables."""

    @classmethod
    def from_env(cls, env: Env = os.environ) -> Self:
        """Read the function's environment variables.

        Raises:
            ConfigError: one is missing or wrong.
        """
        return cls(**{each.name: each.metadata[_READ](env) for each in fields(cls)})
