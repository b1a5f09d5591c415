"""The stacks of both templates, with their defaults and with all that parameters can add."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.unit.sample_events import ROOT
from tools.checks.rendered import WHOLE, Rendered

FULL, ENVIRONMENT_FULL = WHOLE["template.yaml"], WHOLE["environment.yaml"]
KEY, BOUNDARY = FULL["EnvironmentKmsKeyArn"], FULL["PermissionsBoundaryArn"]


@cache
def least(stack: str = "jetway") -> Rendered:
    """The stack with its defaults."""
    return Rendered(stack=stack)


@cache
def full(stack: str = "jetway") -> Rendered:
    """The stack with all that parameters can add."""
    return Rendered(parameters=FULL, stack=stack)


@cache
def environment(*, whole: bool = False, stack: str = "jetway-environment", name: str = "jetway") -> Rendered:
    """The stack of environment.yaml."""
    parameters = {"EnvironmentName": name, **(ENVIRONMENT_FULL if whole else {})}
    return Rendered(ROOT / "environment.yaml", parameters, stack=stack)


STACKS = [
    pytest.param(make, id=name)
    for name, make in {
        "least": least,
        "full": full,
        "environment": environment,
        "environment-full": lambda: environment(whole=True),
    }.items()
]


def listed(value: Any) -> list[Any]:
    """A policy's word that may be one or several."""
    return value if isinstance(value, list) else [value]


def roles(rendered: Rendered) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each role with what its policies say."""
    for name in rendered.of_type("AWS::IAM::Role"):
        yield name, rendered.statements(name)
