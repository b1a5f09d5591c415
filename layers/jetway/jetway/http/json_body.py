"""The body of a request as a JSON object, within bounds."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final, NoReturn

from jetway.http.problems import ProblemError

LONGEST_BODY = 256 * 1024  # bytes
DEEPEST = 32  # levels of lists and objects; Airflow renders conf recursively, and so do those who read it


def check_size(body: bytes) -> None:
    """Let pass a body within bounds.

    Raises:
        ProblemError: 413.
    """
    if len(body) > LONGEST_BODY:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"The body must not exceed {LONGEST_BODY} bytes."
        )


_KINDS: Final = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def read_json_object(body: bytes) -> dict[str, Any]:
    """Read a body; none at all is an empty object.

    Raises:
        ProblemError: too large, too deep, not UTF-8, no JSON, or no object.
    """
    check_size(body)
    if not body.strip():
        return {}
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "invalid-json", "The body is not UTF-8.") from None
    except ValueError as exc:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "invalid-json", f"The body is not valid JSON: {exc}.") from exc
    if not isinstance(value, dict):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid-request",
            f"The body must be a JSON object, not {json_kind(value)}.",
        )
    if _is_too_deep(value):
        raise _too_deep()
    return value


def json_kind(value: object) -> str:
    """Name the kind of a value as JSON does, with its article: "an integer", "null"."""
    return _KINDS[type(value)]


def _is_too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _too_deep() -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        f"The body is nested too deeply; at most {DEEPEST} levels are allowed.",
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
