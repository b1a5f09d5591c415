"""IAM says what a role may do (SimulatePrincipalPolicy) of each action on each thing, with the request's context.

MiniStack 1.5.33 answers for the first thing alone, knows no context, and leaves out the permissions boundary.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator, responses  # type: ignore[import-not-found]
from ministack.services import iam  # type: ignore[import-not-found]

DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}


def simulate(params: Mapping[str, Any]) -> Any:
    """Answer a request."""
    arn = iam._p(params, "PolicySourceArn")
    account = responses.get_account_id()
    name = arn.rpartition("/")[2]
    if ":role/" not in arn or iam._roles.get_scoped(account, None, name) is None:
        return iam._error(404, "NoSuchEntity", f"The entity {arn} cannot be found.", ns="iam")
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    context = dict(_context(params))

    def decide(action: str, thing: str) -> str:
        asked = iam_evaluator.EvalContext(
            principal_arn=arn,
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=thing,
            region=responses.get_region(),
            secure_transport=True,
            service_context=context,
        )
        return DECISIONS[iam_evaluator.evaluate(asked, policies, *limits).decision]

    things = list(_members(params, "ResourceArns")) or ["*"]
    results = "".join(
        _result(action, {thing: decide(action, thing) for thing in things})
        for action in _members(params, "ActionNames")
    )
    body = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
    inner = f"<SimulatePrincipalPolicyResult>{body}</SimulatePrincipalPolicyResult>"
    return iam._xml(200, "SimulatePrincipalPolicyResponse", inner, ns="iam")


def _result(action: str, decisions: Mapping[str, str]) -> str:
    worst = min(decisions.values(), key=["explicitDeny", "implicitDeny", "allowed"].index)
    each = "".join(
        f"<member><EvalResourceName>{escape(thing)}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision></member>"
        for thing, decision in decisions.items()
    )
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{worst}</EvalDecision><ResourceSpecificResults>{each}</ResourceSpecificResults></member>"
    )


def _members(params: Mapping[str, Any], name: str) -> Iterator[str]:
    number = 1
    while value := iam._p(params, f"{name}.member.{number}"):
        yield value
        number += 1


def _context(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    number = 1
    while key := iam._p(params, f"ContextEntries.member.{number}.ContextKeyName"):
        values = list(_members(params, f"ContextEntries.member.{number}.ContextKeyValues"))
        is_list = iam._p(params, f"ContextEntries.member.{number}.ContextKeyType").endswith("List")
        yield key.lower(), values if is_list else values[0]
        number += 1


def install() -> None:
    """Put this in force."""
    iam._IAM_HANDLERS["SimulatePrincipalPolicy"] = simulate
