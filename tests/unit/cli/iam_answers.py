"""What IAM answers to doctor, as XML; moto's own would want every role made in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from .conftest import Cloud

Asked = dict[str, list[str]]


def _simulated(asked: dict[str, list[str]], cloud: Cloud) -> str:
    """SimulatePrincipalPolicy's answer: each action, and of each the things that were asked about."""

    def given(name: str) -> list[str]:
        return [value for key, (value, *_) in asked.items() if key.startswith(f"{name}.member.")]

    def decision(action: str) -> str:
        return "implicitDeny" if action in cloud.denied else "allowed"

    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{decision(action)}</EvalDecision><ResourceSpecificResults>"
        + "".join(
            f"<member><EvalResourceName>{resource}</EvalResourceName>"
            f"<EvalResourceDecision>{decision(action)}</EvalResourceDecision></member>"
            for resource in given("ResourceArns")
        )
        + "</ResourceSpecificResults></member>"
        for action in given("ActionNames")
    )
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{members}</EvaluationResults>"
        "<IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )


def _role(asked: dict[str, list[str]], cloud: Cloud) -> str:
    """GetRole's answer."""
    document = quote(json.dumps(cloud.trusts[asked["RoleName"][0]]))
    return (
        '<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role>'
        f"<AssumeRolePolicyDocument>{document}</AssumeRolePolicyDocument></Role></GetRoleResult></GetRoleResponse>"
    )


def _policy(asked: dict[str, list[str]], cloud: Cloud) -> str:
    """GetPolicy's and GetPolicyVersion's answer."""
    (action,) = asked["Action"]
    document = quote(json.dumps(cloud.policies[asked["PolicyArn"][0]]))
    found = {
        "GetPolicy": "<Policy><DefaultVersionId>v1</DefaultVersionId></Policy>",
        "GetPolicyVersion": f"<PolicyVersion><Document>{document}</Document></PolicyVersion>",
    }[action]
    return (
        f'<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{action}Result>{found}'
        f"</{action}Result></{action}Response>"
    )


def _inline_policies(asked: Asked, cloud: Cloud) -> str:
    """ListRolePolicies' answer."""
    names = "".join(f"<member>{name}</member>" for name in cloud.inline.get(asked["RoleName"][0], {}))
    return _answer("ListRolePolicies", f"<PolicyNames>{names}</PolicyNames><IsTruncated>false</IsTruncated>")


def _inline_policy(asked: Asked, cloud: Cloud) -> str:
    """GetRolePolicy's answer."""
    role, name = asked["RoleName"][0], asked["PolicyName"][0]
    document: Any = cloud.inline[role][name]
    return _answer(
        "GetRolePolicy",
        f"<RoleName>{role}</RoleName><PolicyName>{name}</PolicyName>"
        f"<PolicyDocument>{quote(json.dumps(document))}</PolicyDocument>",
    )


def _attached_policies(asked: Asked, cloud: Cloud) -> str:
    """ListAttachedRolePolicies' answer."""
    members = "".join(
        f"<member><PolicyArn>{arn}</PolicyArn></member>" for arn in cloud.attached.get(asked["RoleName"][0], ())
    )
    return _answer(
        "ListAttachedRolePolicies", f"<AttachedPolicies>{members}</AttachedPolicies><IsTruncated>false</IsTruncated>"
    )


def _answer(action: str, found: str) -> str:
    return (
        f'<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{action}Result>{found}'
        f"</{action}Result></{action}Response>"
    )


IAM: Mapping[str, Callable[[Asked, Cloud], str]] = {
    "SimulatePrincipalPolicy": _simulated,
    "GetRole": _role,
    "GetPolicy": _policy,
    "GetPolicyVersion": _policy,
    "ListRolePolicies": _inline_policies,
    "GetRolePolicy": _inline_policy,
    "ListAttachedRolePolicies": _attached_policies,
}
