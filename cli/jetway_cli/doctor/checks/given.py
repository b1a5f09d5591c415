"""What the commands that put something back are given."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.settings import SETTINGS
from jetway_cli.doctor.wanted import same

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen


def as_json(value: Any) -> str:
    """Return a value as JSON, quoted for a shell."""
    return shlex.quote(json.dumps(value, default=str))


# Values of parameters are texts; the AWS CLI takes none for a number.
_NUMBERS = frozenset(
    {"DatapointsToAlarm", "EvaluationPeriods", "Period", "Threshold", "ThrottlingBurstLimit", "ThrottlingRateLimit"}
)


def with_numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping in which what AWS takes as a number is one."""
    return {
        name: with_numbers(one)
        if isinstance(one, Mapping)
        else int(one)
        if name in _NUMBERS and isinstance(one, str) and one.isdecimal()
        else one
        for name, one in value.items()
    }


def differing(part: PartSeen, names: Iterable[str]) -> dict[str, Any]:
    """Return what the template says of those settings that differ; None where it says nothing.

    Args:
        part: the resource.
        names: of the settings that are looked at.
    """
    seen, found = part.seen.value or {}, {}
    for name in names:
        setting = SETTINGS[part.kind][name]
        if name in seen and (name in part.wanted or setting.has_default):
            wanted = part.wanted.get(name, setting.default if setting.has_default else None)
            if not same(setting.form(wanted), setting.form(seen[name]), whole=setting.whole):
                found[name] = wanted
    return found
