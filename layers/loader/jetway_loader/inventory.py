"""What is known of distributions that the environment has and this machine has not."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Inventory:
    """Modules, their names, and what providers register.

    Attributes:
        contents: module → its names, separated by blanks; None when they are not known. What is not among them is not
            there, unless a distribution of which less is known has it.
        decorators: name of a task decorator, `docker` of `@task.docker` → dotted name of what makes it.
        changed: modules, and what is below them, of distributions that the environment has in another version than
            this machine.
    """

    contents: Mapping[str, str | None] = field(default_factory=dict)
    decorators: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, value: Mapping[str, Any] | str | None) -> Inventory:
        """Read it as JSON has it, or packed: zlib of that, in base64.

        Raises:
            ValueError, KeyError, TypeError: not of its shape.
        """
        given: Mapping[str, Any] = (
            json.loads(zlib.decompress(base64.b64decode(value))) if isinstance(value, str) else value or {}
        )
        return cls(
            dict(given.get("contents", {})), dict(given.get("decorators", {})), frozenset(given.get("changed", ()))
        )

    def is_changed(self, module: str) -> bool:
        """Whether a module is of another version here than in the environment."""
        return not self.changed.isdisjoint({module, *above(module)})


def above(module: str) -> Iterator[str]:
    """The packages above a module: of a.b.c, a and a.b."""
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))
