"""What the policies of queues, topics, functions and tables say to those who are not named in the template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_OF_EVERY_TOPIC = "__default_statement_ID"  # which SNS writes itself, for the topic's owner


def denials(policy: str | None) -> list[Mapping[str, Any]]:
    """Return the statements of a resource's policy that deny, but for those about calls without TLS."""
    statements = json.loads(policy or "{}").get("Statement", [])
    return [
        one
        for one in (statements if isinstance(statements, list) else [statements])
        if one.get("Effect") == "Deny" and "aws:SecureTransport" not in json.dumps(one.get("Condition", {}))
    ]


def strangers(policy: str | None, account: str) -> list[str]:
    """Return whom a resource's policy lets in of other accounts, or of all the world without any condition."""
    found = []
    statements = json.loads(policy or "{}").get("Statement", [])
    for one in statements if isinstance(statements, list) else [statements]:
        principal = one.get("Principal") or {}
        named = principal if isinstance(principal, str) else principal.get("AWS") or []
        if one.get("Effect") == "Allow" and one.get("Sid") != _OF_EVERY_TOPIC:
            each = [named] if isinstance(named, str) else named
            found += [who for who in each if (not one.get("Condition") if who == "*" else account not in who)]
    return sorted(set(found))
