"""Airflow's REST API through MWAA's InvokeRestApi, an API of AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from jetway.airflow import rest_responses
from jetway.errors import EnvironmentBusyError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from .environment import Environment
    from .rest import Method


def _uncounted() -> None:
    """Spend nothing."""


class InvokeRestApi:
    """`jetway.airflow.rest.RestCalls` through InvokeRestApi."""

    # botocore's model of InvokeRestApi. A POST of a run leaves 50 characters for the dag_id.
    longest_path: int | None = 64

    def __init__(
        self,
        client: MWAAClient,
        environment: Environment,
        *,
        creator: MWAAClient | None = None,
        spend: Callable[[], None] = _uncounted,
        throttled: Callable[[], None] = _uncounted,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            client: boto3's mwaa client, with a read timeout above the 10 s of InvokeRestApi.
            environment: tells name and status.
            creator: the client that runs are created with. One that repeats no call knows more of what was done.
            spend: waits for the turn of one call; raises OutOfTurnError when it comes too late.
            throttled: told of each call that is throttled for good, after boto3's own tries.
        """
        self._client = client
        self._creator = creator or client
        self._environment = environment
        self._spend = spend
        self._throttled = throttled

    def call(
        self,
        method: Method,
        path: str,
        dag_id: str,
        *,
        creates: bool = False,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> object:
        """Make one call; see `jetway.airflow.rest.RestCalls`."""
        self._spend()
        client = self._creator if creates else self._client
        more: dict[str, Any] = {}
        if query is not None:
            more["QueryParameters"] = query
        if body is not None:
            more["Body"] = body
        try:
            answer = client.invoke_rest_api(Name=self._environment.name, Method=method, Path=path, **more)
        except (ClientError, BotoCoreError, ResponseParserError) as exc:
            repeats = rest_responses.may_repeat(client)
            call = rest_responses.RestCall(
                self._environment.name, method, path, dag_id, creates=creates, repeats=repeats
            )
            error = rest_responses.explain(exc, call)
            # Of a throttle the environment knows nothing.
            if isinstance(error, EnvironmentBusyError):
                self._throttled()
            elif isinstance(error, TransientError):
                error = self._environment.reason_of(error)
            raise error from exc
        return answer.get("RestApiResponse")
