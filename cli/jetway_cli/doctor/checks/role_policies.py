"""The policies of a role against the template: which it has, lacks, or has in another form, and what puts them back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.checks.given import as_json
from jetway_cli.doctor.facts import Asked
from jetway_cli.doctor.settings import SETTINGS
from jetway_cli.doctor.wanted import same

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen

_ROLE, _INLINE, _MANAGED = "AWS::IAM::Role", "Policies", "ManagedPolicyArns"
_HOW = {
    "more": "it has policy {}, which is not in the template",
    "less": "it lacks policy {}",
    "other": "policy {} differs from the template",
}


def is_of_policies(part: PartSeen, name: str) -> bool:
    """Whether a setting is of the policies that a role has."""
    return part.kind == _ROLE and name in {_INLINE, _MANAGED}


def allows_nothing(part: PartSeen) -> bool:
    """Whether a role has no policy at all by the template: it runs what nobody has looked at yet."""
    return part.kind == _ROLE and not part.wanted.get(_INLINE) and not part.wanted.get(_MANAGED)


def described(part: PartSeen, name: str) -> Iterator[str]:
    """Say of each policy that differs how it does."""
    for policy, how in _differences(part, name):
        yield _HOW[how].format(policy)


def put_policies_back(part: PartSeen) -> str:
    """Return the command for the first policy that differs."""
    for policy, how in _differences(part, _MANAGED):
        verb, first = ("detach", "Unless this is intended: ") if how == "more" else ("attach", "")
        return f"{first}aws iam {verb}-role-policy --role-name {part.name} --policy-arn {policy}"
    for policy, how in _differences(part, _INLINE):
        named = f"--role-name {part.name} --policy-name {shlex.quote(policy)}"
        if how == "more":
            return f"Unless this is intended: aws iam delete-role-policy {named}"
        document = as_json(_wanted(part, _INLINE)[policy]["PolicyDocument"])
        return f"aws iam put-role-policy {named} --policy-document {document}"
    return ""


def _differences(part: PartSeen, name: str) -> Iterator[tuple[str, str]]:
    wanted, seen = _wanted(part, name), _seen(part, name)
    for policy in sorted(wanted.keys() | seen.keys()):
        if policy not in wanted:
            yield policy, "more"
        elif policy not in seen:
            yield policy, "less"
        elif not same(wanted[policy], seen[policy]):
            yield policy, "other"


def _wanted(part: PartSeen, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = SETTINGS[_ROLE][name].form(part.wanted.get(name, ()))
    return found


def _seen(part: PartSeen, name: str) -> Mapping[str, Any]:
    """What there is; what nobody tells is taken to be as the template says."""
    there = (part.seen.value or {}).get(name, ())
    if isinstance(there, Asked):
        if not there.known:
            return _wanted(part, name)
        there = there.value
    found: Mapping[str, Any] = SETTINGS[_ROLE][name].form(there)
    return found
