"""What AWS says of one resource, told apart from AWS being in trouble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# The same request will be refused again. Everything else is no fault of a file: throttling, 5xx, missing permissions,
# and something that is not found any more, for whoever took it away did so just now.
_REFUSALS = frozenset(
    {
        "InvalidEventPatternException",
        "ValidationException",
        "ValidationError",
        "InvalidParameterValue",
        "LimitExceededException",
        "LimitExceeded",
        "ServiceQuotaExceededException",
        "ManagedRuleException",
    }
)


class ResourceRefusedError(ValueError):
    """AWS refuses a resource for what it is."""


def refusal(exc: ClientError, name: str) -> Exception:
    """Return the error to raise for what AWS said of a resource."""
    error = exc.response["Error"]
    if error["Code"] in _REFUSALS:
        return ResourceRefusedError(f"AWS rejects {name} ({error['Code']}): {error['Message']}")
    return exc


def is_missing(exc: ClientError) -> bool:
    """Whether AWS says that the resource, or what holds it, is not there."""
    return exc.response["Error"]["Code"] == "ResourceNotFoundException"


def may_be_done(exc: Exception) -> bool:
    """Whether a call that failed may have been carried out all the same: AWS failed while it was at it."""
    answer = getattr(exc, "response", {}).get("ResponseMetadata", {})
    return bool(answer.get("HTTPStatusCode", 400) >= 500)


def covers(actual: object, wanted: object) -> bool:
    """Whether a resource is as wanted; AWS may add members that nobody asked for.

    >>> covers({"Arn": "a", "RetryPolicy": {"MaximumRetryAttempts": 185}}, {"Arn": "a"})
    True
    """
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(covers(actual.get(name), item) for name, item in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(covers(one, other) for one, other in zip(actual, wanted, strict=True))
        )
    return actual == wanted


def is_as(actual: Mapping[str, Any], wanted: Mapping[str, Any], *, absent: Iterable[str]) -> bool:
    """Whether a resource is as wanted, and has nothing of what only somebody else can have given it.

    Args:
        absent: members that must be missing or empty.
    """
    return covers(dict(actual), dict(wanted)) and not any(actual.get(name) for name in absent)
