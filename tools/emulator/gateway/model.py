"""Checks input against botocore's own model of MWAA, as the service's front does before anything else.

botocore validates types and required members on the caller's side; lengths, ranges, patterns and enumerations are
left to the service, so they are checked here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

if TYPE_CHECKING:
    from botocore.model import ServiceModel


@cache
def service_model() -> ServiceModel:
    """botocore's model of the MWAA service."""
    return botocore.session.get_session().get_service_model("mwaa")


def members(operation: str) -> frozenset[str]:
    """The names of an operation's input."""
    shape = service_model().operation_model(operation).input_shape
    return frozenset(shape.members if shape is not None else ())


def check_input(operation: str, values: dict[str, Any]) -> list[str]:
    """Return what is wrong with an operation's input; empty when nothing is."""
    shape = service_model().operation_model(operation).input_shape
    return [] if shape is None else check_shape(shape, values)


def check_shape(shape: Any, value: Any, where: str = "") -> list[str]:
    """Return how a value breaks a shape of the model; `where` is the way to it."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "structure": dict,
        "map": dict,
        "list": list,
        "string": str,
        "integer": int,
        "boolean": bool,
    }
    if getattr(shape, "is_document_type", False):
        return []
    kind = kinds.get(shape.type_name)
    if kind is not None and (not isinstance(value, kind) or (isinstance(value, bool) and shape.type_name == "integer")):
        return [f"'{where}' must be a {shape.type_name}"]
    problems = _check_constraints(shape, value, where)
    if shape.type_name == "structure":
        problems += [f"'{_join(where, name)}' must not be null" for name in shape.required_members if name not in value]
        for name, member in shape.members.items():
            if value.get(name) is not None:
                problems += check_shape(member, value[name], _join(where, name))
    elif shape.type_name == "list":
        for index, item in enumerate(value, 1):
            problems += check_shape(shape.member, item, f"{where}.{index}.member")
    elif shape.type_name == "map":
        for name, item in value.items():
            problems += check_shape(shape.key, name, f"{where}.key") + check_shape(
                shape.value, item, _join(where, name)
            )
    return problems


def _check_constraints(shape: Any, value: Any, where: str) -> list[str]:
    size = value if isinstance(value, int) else len(value) if hasattr(value, "__len__") else None
    noun = "value" if isinstance(value, int) else "length"
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    problems = []
    if size is not None and low is not None and size < low:
        problems.append(f"'{where}' must have {noun} greater than or equal to {low}")
    if size is not None and high is not None and size > high:
        problems.append(f"'{where}' must have {noun} less than or equal to {high}")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        problems.append(f"'{where}' must satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and not _matches(pattern, value):
        problems.append(f"'{where}' must satisfy regular expression pattern: {pattern}")
    return problems


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # a pattern in Java's dialect (\p{L}), which the model has for tags


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
