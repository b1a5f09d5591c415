"""Whether a Deny in the policy of a bucket hits what the stack's roles need there. Pure functions.

IAM's simulation does not take the policy of a bucket together with a role, so that its denials are read here: who,
what, on what, and under which condition. A condition on what cannot be told from here leaves it open.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.needs import arn_of

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import StackFacts
    from jetway_cli.doctor.needs import Need


@dataclass(frozen=True, slots=True)
class Denial:
    """What a statement denies to a role.

    Attributes:
        role: its name.
        unless: condition keys that nobody can tell from here; empty when it is certain.
    """

    role: str
    action: str
    statement: str
    unless: tuple[str, ...] = ()


def denials(policy: Mapping[str, Any], bucket: str, needs: list[Need], stack: StackFacts) -> Iterator[Denial]:
    """Yield what a bucket's policy denies of what roles need there.

    Args:
        policy: of the bucket.
        bucket: its name.
        needs: of all roles.
        stack: that they belong to.
    """
    statements = policy.get("Statement", [])
    on_it = f"arn:{stack.partition}:s3:::{bucket}"
    for number, statement in enumerate(statements if isinstance(statements, list) else [statements]):
        if statement.get("Effect") != "Deny":
            continue
        for need in needs:
            role = stack.find(need.role)
            things = [one for one in need.resources if one == on_it or one.startswith(f"{on_it}/")]
            if role is None or not things:
                continue
            arn = arn_of(role, stack)
            open_keys = _conditions(statement.get("Condition") or {}, _context(arn, stack))
            if open_keys is None or not _names_principal(statement, arn, stack):
                continue
            for action in need.actions:
                if _of_statement(statement, "Action", action.lower()) and any(
                    _of_statement(statement, "Resource", one) for one in things
                ):
                    sid = str(statement.get("Sid") or f"statement {number + 1}")
                    yield Denial(role.physical, action, sid, tuple(open_keys))


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _of_statement(statement: Mapping[str, Any], member: str, value: str) -> bool:
    """Whether a statement is about an action or a thing: by its name, or by the names of all others."""

    def among(patterns: Any) -> bool:
        lower = member == "Action"
        return any(_like(one.lower() if lower else one, value) for one in _listed(patterns))

    if f"Not{member}" in statement:
        return not among(statement[f"Not{member}"])
    return among(statement.get(member, []))


def _like(pattern: str, value: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _names_principal(statement: Mapping[str, Any], role: str, stack: StackFacts) -> bool:
    name = role.rpartition("/")[2]
    account = {stack.account, f"arn:{stack.partition}:iam::{stack.account}:root"}

    def among(principal: Any, *, whole_account: bool) -> bool:
        if principal == "*":
            return True
        found = _listed(principal.get("AWS", [])) if isinstance(principal, Mapping) else []
        return any(
            one in {"*", role} or f":assumed-role/{name}/" in one or (whole_account and one in account) for one in found
        )

    if "NotPrincipal" in statement:
        return not among(statement["NotPrincipal"], whole_account=False)
    return among(statement.get("Principal", {}), whole_account=True)


def _context(role: str, stack: StackFacts) -> dict[str, str]:
    """What a request of a function has for certain, by key in small letters."""
    return {
        "aws:securetransport": "true",
        "s3:tlsversion": "1.3",
        "aws:principalarn": role,
        "aws:principalaccount": stack.account,
        "aws:principaltype": "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:requestedregion": stack.region,
    }


def _conditions(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> list[str] | None:
    """Return the keys that decide and cannot be told; None when a condition is known not to hold."""
    open_keys = []
    for operation, keys in conditions.items():
        for key, values in keys.items():
            known = context.get(key.lower())
            holds = None if known is None else _holds(operation, known, _listed(values))
            if holds is False:
                return None
            if holds is None:
                open_keys.append(key)
    return open_keys


def _holds(operation: str, value: str, wanted: list[str]) -> bool | None:
    """Whether a condition holds of a key that the request has; None for an operation that is not known here."""
    name = re.sub(r"^(ForAnyValue|ForAllValues):", "", operation).removesuffix("IfExists")
    if name == "Null":
        return wanted == ["false"]
    positive = name.replace("Not", "", 1)
    if positive not in _OPERATIONS:
        return None
    found = any(_OPERATIONS[positive](value, one) for one in wanted)
    return found if positive == name else not found


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(float(value), float(wanted))


_OPERATIONS: Mapping[str, Callable[[str, str], bool]] = {
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": lambda value, wanted: _like(wanted, value),
    "ArnEquals": lambda value, wanted: _like(wanted, value),
    "ArnLike": lambda value, wanted: _like(wanted, value),
    "NumericEquals": _number(operator.eq),
    "NumericLessThan": _number(operator.lt),
    "NumericLessThanEquals": _number(operator.le),
    "NumericGreaterThan": _number(operator.gt),
    "NumericGreaterThanEquals": _number(operator.ge),
}
