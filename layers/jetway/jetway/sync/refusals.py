"""What AWS says of one resource, told apart from AWS being in trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# The same request will be refused again. Everything else (throttling, 5xx, missing permissions) is no fault of a file.
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
        "ResourceNotFoundException",
    }
)


class ResourceRefusedError(ValueError):
    """AWS refuses a resource for what it is."""


def refusal(exc: ClientError, name: str) -> Exception:
    """Return the error to raise for what AWS said of a resource."""
    error = exc.response["Error"]
    if error["Code"] in _REFUSALS:
        return ResourceRefusedError(f"AWS refuses {name} ({error['Code']}): {error['Message']}")
    return exc


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
