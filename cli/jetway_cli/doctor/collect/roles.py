"""Asks IAM whether a role may do what its function does. Nothing is done in the role's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jetway_cli.doctor.facts import IamDecision, StackFacts
from jetway_cli.doctor.needs import Need, arn_of
from jetway_cli.errors import error_code

SIMULATE = "iam:SimulatePrincipalPolicy"


def decide(iam: Any, need: Need, stack: StackFacts) -> tuple[IamDecision, ...] | None:
    """Ask what IAM says of each action on each thing; None when there is no such role.

    Raises:
        ClientError, BotoCoreError: IAM refuses to say, or is in trouble.
    """
    from botocore.exceptions import ClientError

    resource = stack.find(need.role)
    if resource is None:
        raise ValueError(f"the stack has no {need.role}.")
    request: dict[str, Any] = {
        "PolicySourceArn": arn_of(resource, stack),
        "ActionNames": list(need.actions),
        "ResourceArns": list(need.resources),
        "ContextEntries": need.entries,
    }
    pages = iam.get_paginator("simulate_principal_policy").paginate(**request)
    try:
        return tuple(found for page in pages for one in page["EvaluationResults"] for found in _read(need.role, one))
    except ClientError as exc:
        if error_code(exc) != "NoSuchEntity":
            raise
        return None


def _read(role: str, result: Mapping[str, Any]) -> Iterator[IamDecision]:
    """Read one result: IAM says it for each thing by itself where it was asked about several."""
    action, by = str(result["EvalActionName"]), _who_denies(result)
    each = result.get("ResourceSpecificResults") or []
    for one in each:
        limited = by or _who_denies(one)
        yield IamDecision(role, action, str(one["EvalResourceName"]), str(one["EvalResourceDecision"]), limited)
    if not each:
        yield IamDecision(role, action, str(result.get("EvalResourceName", "*")), str(result["EvalDecision"]), by)


def _who_denies(result: Mapping[str, Any]) -> str:
    if (result.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations") is False:
        return "an organization's policy"
    if (result.get("PermissionsBoundaryDecisionDetail") or {}).get("AllowedByPermissionsBoundary") is False:
        return "the permissions boundary"
    return ""
