"""Asks the function resolve_requirements, which may do nothing else, to resolve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from jetway.artifacts.requirements.contents import Contents
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest, Status

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# What Lambda lets a function send. Modules and names of 100 distributions are a megabyte.
_MOST_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ResolverResponse:
    """What the function answered.

    Attributes:
        answer: uv's.
        contents: name of a distribution → what it brings, where its wheel told.
    """

    answer: Resolution
    contents: Mapping[str, Contents] = field(default_factory=dict)


def ask_function(
    client: LambdaClient, function: str, question: ResolutionRequest, known: frozenset[str]
) -> ResolverResponse:
    """Invoke the function and wait.

    Args:
        client: with a read timeout above the function's own.
        function: its name or ARN.
        question: what.
        known: `name==version` of distributions whose wheels are not asked.

    Returns:
        Its answer; "not-resolved", with why, when the function did not do its part: that is no fault of the file.

    Raises:
        ClientError: Lambda throttles, or is in trouble: worth another try.
    """
    payload = json.dumps(asdict(question) | {"known": sorted(known)}).encode()
    try:
        reply = client.invoke(FunctionName=function, Payload=payload)
    except BotoCoreError as exc:
        return ResolverResponse(Resolution("not-resolved", f"the resolver did not respond: {type(exc).__name__}"))
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ResourceNotFoundException":
            return ResolverResponse(Resolution("not-resolved", "the resolver function does not exist"))
        raise
    body = reply["Payload"].read(_MOST_BYTES + 1)
    if "FunctionError" in reply:
        return ResolverResponse(Resolution("not-resolved", f"the resolver failed: {_words(body)}"))
    return _parsed(body)


def _parsed(body: bytes) -> ResolverResponse:
    try:
        told: dict[str, Any] = json.loads(body)
        if told["status"] not in get_args(Status):
            raise ValueError(told["status"])  # noqa: TRY301 - the same answer as for all that is no answer
        answer = Resolution(told["status"], str(told["said"]), dict(told["versions"]), dict(told["wheels"]))
        contents = {str(name): Contents.parse(found) for name, found in told["contents"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        return ResolverResponse(Resolution("not-resolved", f"the resolver's response cannot be read: {exc!r}"))
    return ResolverResponse(answer, contents)


def _words(body: bytes) -> str:
    try:
        error = json.loads(body)
    except ValueError:
        return "without a reason"
    return str(error.get("errorMessage", "without a reason"))[:200] if isinstance(error, dict) else "without a reason"
