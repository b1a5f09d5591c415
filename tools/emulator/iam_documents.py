"""What IAM demands of a policy document beyond its form: MalformedPolicyDocument and LimitExceeded, without an account.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Kind = Literal["identity", "trust", "resource"]

# Characters, without whitespace: all inline policies of one role together, a managed policy, a role's trust policy.
INLINE, MANAGED, TRUST = 10_240, 6_144, 2_048
_SID = re.compile(r"[A-Za-z0-9]*")
_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", re.IGNORECASE)
_OF_A_STATEMENT = {
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
}


def malformed(document: Mapping[str, Any], kind: Kind = "identity") -> str | None:
    """Return IAM's words on why a document is malformed; None when it is not.

    Args:
        kind: of a role or user, the trust policy of a role, or the policy of a resource.
    """
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    repeated = [sid for sid, count in Counter(_sids(statements)).items() if count > 1]
    if repeated:
        return f"Statement IDs (SID) in a single policy must be unique. ({', '.join(sorted(repeated))})"
    if document.get("Version") not in {None, "2012-10-17", "2008-10-17"}:
        return "The policy must contain a valid version string"
    return next((said for statement in statements if (said := _said_of(statement, kind))), None)


def _sids(statements: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(statement["Sid"]) for statement in statements if statement.get("Sid")]


def _said_of(statement: Mapping[str, Any], kind: Kind) -> str | None:
    return _said_of_elements(statement, kind) or _said_of_actions(statement) or _said_of_resources(statement, kind)


def _said_of_elements(statement: Mapping[str, Any], kind: Kind) -> str | None:
    if kind != "resource" and not _SID.fullmatch(str(statement.get("Sid", ""))):
        return f"Statement IDs (SID) must be alpha-numeric. ({statement['Sid']})"
    unknown = sorted(set(statement) - _OF_A_STATEMENT)
    if unknown:
        return f"Syntax errors in policy. (unknown elements: {', '.join(unknown)})"
    if statement.get("Effect") not in {"Allow", "Deny"}:
        return "Syntax errors in policy. (Effect is Allow or Deny)"
    named = "Principal" in statement or "NotPrincipal" in statement
    if kind == "identity" and named:
        return "Policy document should not specify a principal."
    return None if kind == "identity" or named else "Policy document must specify a principal."


def _said_of_actions(statement: Mapping[str, Any]) -> str | None:
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    wrong = [action for action in actions if not _ACTION.fullmatch(action)]
    if actions and not wrong:
        return None
    return f"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. ({', '.join(wrong)})"


def _said_of_resources(statement: Mapping[str, Any], kind: Kind) -> str | None:
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    if kind == "trust":
        return "Has prohibited field Resource" if resources else None
    if kind == "resource":
        return None
    if not resources:
        return "Policy statement must contain resources."
    wrong = [found for found in resources if found != "*" and found.count(":") < 5]
    return f"The policy failed legacy parsing ({', '.join(wrong)})" if wrong else None


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def size(document: Mapping[str, Any]) -> int:
    """Return how many characters IAM counts of a document: all but whitespace."""
    return len(re.sub(r"\s", "", json.dumps(document, ensure_ascii=False)))


def too_large(documents: Iterable[Mapping[str, Any]], most: int, what: str) -> str | None:
    """Return IAM's words when documents together exceed a quota; None when they do not.

    Args:
        most: INLINE, MANAGED or TRUST.
        what: they are of: "role x".
    """
    found = sum(map(size, documents))
    return None if found <= most else f"Maximum policy size of {most} bytes exceeded for {what} ({found})"
