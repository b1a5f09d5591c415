"""Who made a request: the principal that API Gateway has authenticated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from jetway.http.problems import ProblemError


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a request.

    Attributes:
        name: the same from call to call: an ARN, of an assumed role without the session, or `jwt:<issuer>:<subject>`.
        arn: as API Gateway has it, with the session; None for a token.
        claims: of the token, as API Gateway writes them: all texts, a list as "[a b]".
    """

    name: str
    arn: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)


def principal(user_arn: str) -> str:
    """Return who is behind a signature: of an assumed role the role, since its session changes with every caller.

    >>> principal("arn:aws:sts::111122223333:assumed-role/billing/i-0abc")
    'arn:aws:sts::111122223333:assumed-role/billing'
    """
    head, separator, rest = user_arn.partition(":assumed-role/")
    return head + separator + rest.partition("/")[0] if separator else user_arn


def caller_of(event: Mapping[str, Any]) -> Caller:
    """Return who made a request.

    API Gateway has refused all others already. It is checked again, so that a route that somebody opens by
    mistake stays closed.

    Args:
        event: of an HTTP API, payload version 2.0.
            https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

    Raises:
        ProblemError: 401, nobody.
    """
    authorizer = event["requestContext"].get("authorizer") or {}
    iam, claims = authorizer.get("iam") or {}, (authorizer.get("jwt") or {}).get("claims") or {}
    if iam.get("userArn"):
        return Caller(principal(iam["userArn"]), arn=iam["userArn"])
    # Tokens of machines have no sub with some issuers, but a client_id (Cognito) or azp.
    subject = claims.get("sub") or claims.get("client_id") or claims.get("azp")
    if claims.get("iss") and subject:
        return Caller(f"jwt:{claims['iss']}:{subject}", claims={name: str(value) for name, value in claims.items()})
    raise ProblemError(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        (
            "Sign the request with SigV4 (service execute-api), or send a bearer token if the API is configured for "
            "JWTs."
        ),
        {"WWW-Authenticate": "AWS4-HMAC-SHA256, Bearer"},
    )
