"""Query parameters of the HTTP API: declared once, read from here and described from here (docs/openapi.json)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from jetway.events.incoming import parse_time
from jetway.http.problems import ProblemError


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter.

    Attributes:
        schema: JSON Schema of its value; `type` (string, integer or boolean), `enum`, `minimum`, `maximum`,
            `minLength`, `maxLength`, `format` (date-time) and `default` are obeyed.
    """

    name: str
    description: str
    schema: Mapping[str, Any]


DRY_RUN = Parameter("dry_run", "true: check everything, but start nothing.", {"type": "boolean", "default": False})
STATE = Parameter(
    "state", "Return only runs in this state.", {"type": "string", "enum": ["queued", "running", "success", "failed"]}
)
OFFSET = Parameter(
    "offset", "Number of items to skip.", {"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0}
)
TRIGGER = Parameter(
    "trigger", "Return only events of this trigger.", {"type": "string", "minLength": 1, "maxLength": 63}
)
SINCE = Parameter(
    "since",
    "Return only decisions made after this time. The default is the last 24 hours.",
    {"type": "string", "format": "date-time"},
)


def limit(default: int) -> Parameter:
    """Return the parameter that bounds a page."""
    schema = {"type": "integer", "minimum": 1, "maximum": 100, "default": default}
    return Parameter("limit", "Maximum number of items to return.", schema)


def read_query(raw: Mapping[str, str], parameters: Sequence[Parameter] = ()) -> dict[str, Any]:
    """Return the value of every parameter, its default where it was not given, None where it has no default.

    Raises:
        ProblemError: an unknown parameter, or a value that its schema does not take. Both are named.
    """
    for name in raw:
        if name not in {parameter.name for parameter in parameters}:
            raise _invalid(_unknown(name, [parameter.name for parameter in parameters]))
    return {
        parameter.name: _read(parameter, raw[parameter.name])
        if parameter.name in raw
        else parameter.schema.get("default")
        for parameter in parameters
    }


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return f"Unknown query parameter {name!r}; this call has no query parameters."
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"Unknown query parameter {name!r}{meant} Valid parameters: {', '.join(known)}."


def _read(parameter: Parameter, text: str) -> Any:
    schema = parameter.schema
    if schema["type"] == "integer":
        # isdecimal alone takes the digits of every script; ASCII ones are meant.
        if not (text.isascii() and text.isdecimal()) or not schema["minimum"] <= int(text[:20]) <= schema["maximum"]:
            raise _wrong(parameter, text, f"an integer from {schema['minimum']} to {schema['maximum']}")
        return int(text)
    if schema["type"] == "boolean":
        if text not in {"true", "false"}:
            raise _wrong(parameter, text, "true or false")
        return text == "true"
    if "enum" in schema:
        if text not in schema["enum"]:
            raise _wrong(parameter, text, "one of " + ", ".join(schema["enum"]))
        return text
    if schema.get("format") == "date-time":
        return _time(parameter, text)
    if not schema["minLength"] <= len(text) <= schema["maxLength"]:
        raise _wrong(parameter, text, f"a string of {schema['minLength']} to {schema['maxLength']} characters")
    return text


def _time(parameter: Parameter, text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise _wrong(parameter, text, "an ISO 8601 time such as 2026-11-22T06:00:00Z") from None


def _wrong(parameter: Parameter, text: str, wanted: str) -> ProblemError:
    return _invalid(f"Query parameter {parameter.name} is {text[:100]!r}; it must be {wanted}.")


def _invalid(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
