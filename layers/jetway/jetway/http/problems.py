"""Errors of the HTTP API as RFC 9457 problem documents, each with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Self

from jetway.airflow import RunAlreadyExistsError
from jetway.errors import (
    CommandRejectedError,
    DagNotFoundError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    TransientError,
)

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        reason: a stable word; the problem's `type` is urn:jetway:problem:<reason>.
        detail: what was wrong, where, and what to do.
        headers: of the answer, beside its content type.
        members: what a program wants to know beside (RFC 9457, extension members).
    """

    status: HTTPStatus
    reason: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)

    def with_near(self, near: Sequence[str]) -> Self:
        """Return the problem with the names that may have been meant."""
        said = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return replace(self, detail=self.detail + said, members={**self.members, "near": list(near)})

    def document(self, instance: str) -> dict[str, Any]:
        """Return the problem document; `instance` is the path that was asked for."""
        return {
            "type": f"urn:jetway:problem:{self.reason}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "instance": instance,
            **self.members,
        }

    def body(self, instance: str) -> str:
        """Return the problem document as JSON."""
        return json.dumps(self.document(instance))


NO_SUCH_RESOURCE = Problem(
    HTTPStatus.NOT_FOUND, "no-such-resource", ("The resource does not exist; see the API's docs.")
)

WEBHOOKS_DISABLED = Problem(
    HTTPStatus.NOT_FOUND,
    "webhooks-disabled",
    "This stack does not accept webhooks. Deploy it with the parameter Webhooks=enabled.",
)


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(status, reason, detail, headers or {}, members or {})

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return what ends a request with this problem."""
        return cls(problem.status, problem.reason, problem.detail, problem.headers, problem.members)


_STATUS: tuple[tuple[type[JetwayError], HTTPStatus], ...] = (
    (InvalidConfError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidRequestError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DagNotFoundError, HTTPStatus.NOT_FOUND),
    (RunAlreadyExistsError, HTTPStatus.CONFLICT),
    (CommandRejectedError, HTTPStatus.BAD_GATEWAY),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_OF_DEAD_LETTERS = {
    DagNotFoundError.reason: HTTPStatus.NOT_FOUND,
    InvalidConfError.reason: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidRequestError.reason: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def problem_of(error: JetwayError) -> Problem:
    """Return the problem that says what an error of Jetway says."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            later = max(30, round(error.shortest_wait)) if isinstance(error, TransientError) else 0
            headers = {"Retry-After": str(later)} if later else {}
            environment_status = getattr(error, "status", None)
            members = {} if environment_status is None else {"environment_status": environment_status}
            return Problem(status, error.reason, str(error), headers, members)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, error.reason, str(error))


def not_started(because: str) -> ProblemError:
    """Return the problem of a run whose event has become a dead letter.

    Args:
        because: as the ledger has it, `<reason>: <text>`.
    """
    reason = because.partition(":")[0]
    detail = (
        f"No run was started: {because} The request is in the dispatch dead-letter queue. Fix the cause, then run "
        "`jetway redrive`."
    )
    return ProblemError(_OF_DEAD_LETTERS.get(reason, HTTPStatus.BAD_GATEWAY), reason, detail)
