"""The request in hand: who asks, for what, and how much time is left for the answer."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from jetway.errors import AnswerLostError
from jetway.http.callers import caller_of
from jetway.http.deadline import in_time, seconds_left
from jetway.http.query import read_query
from jetway.http.run_requests import HttpCall, check_key

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions
    from jetway.http.access import Reach
    from jetway.http.callers import Caller
    from jetway.http.query import Parameter
    from jetway.http.services import Services

T = TypeVar("T")


def make_router() -> APIGatewayHttpRouter:
    """Return a router without routes."""
    return APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


class Request:
    """What the routes of one router ask of the request that it serves just now."""

    def __init__(self, router: APIGatewayHttpRouter) -> None:
        self._router = router

    @property
    def services(self) -> Services:
        """What the stack is asked and told through; handed in by the function, with each request."""
        services: Services = self._router.context["services"]
        return services

    def header(self, name: str) -> str | None:
        """Return a header's value; its name in any case."""
        return self._router.current_event.headers.get(name)

    def headers(self) -> dict[str, str]:
        """Return all headers, names in lower case."""
        return {name.lower(): value for name, value in self._router.current_event.headers.items()}

    def caller(self) -> Caller:
        """Return who asks.

        Raises:
            ProblemError: 401, nobody.
        """
        return caller_of(self._router.current_event.raw_event)

    def query(self, parameters: tuple[Parameter, ...] = ()) -> dict[str, Any]:
        """Return the query parameters.

        Raises:
            ProblemError: 422, one that is unknown or wrong.
        """
        return read_query(self._router.current_event.query_string_parameters, parameters)

    def reach(self, caller: Caller) -> Reach:
        """Return what the caller may see and start."""
        # Looked up within the time as well, for what is forgotten is made anew.
        return self.in_time(lambda: self.services.access_lists.current()).reach_of(caller)  # noqa: PLW0108

    def asked(self, parameters: tuple[Parameter, ...] = ()) -> tuple[dict[str, Any], Reach]:
        """Return the query parameters, and what the caller may see."""
        caller = self.caller()
        return self.query(parameters), self.reach(caller)

    def call(self, caller: str, *, by: str | None = None, with_key: bool = True) -> HttpCall:
        """Return what a call brings that would start a run.

        Args:
            caller: name of who calls.
            by: the same with the session, where it has one.
            with_key: an Idempotency-Key counts.

        Raises:
            ProblemError: 422, the key is empty or too long.
        """
        event = self._router.current_event
        body = event.body or ""
        return HttpCall(
            request_id=event.request_context.request_id,
            caller=caller,
            # API Gateway may pass on halves of surrogate pairs; those are no UTF-8, as the reader will say.
            body=base64.b64decode(body) if event.is_base64_encoded else body.encode("utf-8", "surrogatepass"),
            idempotency_key=check_key(event.headers.get("idempotency-key")) if with_key else None,
            received_at=datetime.now(UTC),
            by=by,
        )

    def ask(self, question: Callable[[AirflowQuestions], T], *, spare: float = 0.0) -> T:
        """Ask Airflow, and answer in time whatever hangs.

        Args:
            spare: seconds that are left for more work after it.
        """
        try:
            return self.in_time(lambda: question(self.services.airflow), spare=spare)
        except AnswerLostError as exc:
            lost = exc
        reason = self.in_time(lambda: self.services.environment.reason_of(lost, of_a_question=True))
        raise reason from (None if reason is lost else lost)

    def in_time(self, work: Callable[[], T], *, spare: float = 0.0, longest: float = math.inf) -> T:
        """Return what the work returns, or end the request with a problem while there is time to say so.

        Args:
            spare: seconds that are left for more work after it.
            longest: seconds that this work may take, however many are left.
        """
        seconds = max(0.1, min(longest, self.seconds_left() - spare))
        return in_time(seconds, work, forget=self.services.forget)

    def seconds_left(self) -> float:
        """Return how long the answer may still take."""
        remaining = self._router.lambda_context.get_remaining_time_in_millis() / 1000
        asked_at = self._router.current_event.request_context.time_epoch / 1000
        return seconds_left(remaining, asked_at, time.time())
