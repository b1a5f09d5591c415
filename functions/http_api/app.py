"""http_api: starts and shows DAG runs over HTTP."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import boto3
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from jetway.config import HttpApiConfig
from jetway.errors import JetwayError
from jetway.observability import logger
from jetway.problems import CONTENT_TYPE, Problem, ProblemError, problem_of
from jetway.run_requests import Call, accept, principal, read_request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowClient

app = APIGatewayHttpResolver()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)


@app.post("/dags/<dag_id>/dagRuns")
def trigger_dag_run(dag_id: str) -> Response[str]:
    """Accept a run: 202 as soon as it is on the dispatch queue."""
    config, call = _config(), _call()
    request = read_request(unquote(dag_id), call)
    accept(_sqs(), config.dispatch_queue_url, request, call)
    logger.info("accepted", extra={"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "caller": call.caller})
    answer: dict[str, Any] = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "state": "accepted"}
    if request.note is not None and config.transport == "cli":
        answer["warnings"] = ["note is not kept: only the rest transport can set it (parameter Transport)."]
    location = f"/dags/{quote(request.dag_id, safe='')}/dagRuns/{quote(request.dag_run_id, safe='')}"
    return Response(HTTPStatus.ACCEPTED.value, "application/json", json.dumps(answer), {"Location": location})


@app.get("/dags/<dag_id>/dagRuns/<dag_run_id>")
def get_dag_run(dag_id: str, dag_run_id: str) -> dict[str, Any]:
    """Show a run as Airflow has it now."""
    run = _airflow().get_dag_run(unquote(dag_id), unquote(dag_run_id))
    if run is None:
        detail = f"Airflow has no run {unquote(dag_run_id)!r} (yet): one that was accepted is there when dispatched."
        raise ProblemError(HTTPStatus.NOT_FOUND, "run-not-found", detail)
    return asdict(run)


@app.exception_handler([JetwayError, ProblemError])  # type: ignore[untyped-decorator]
def _problem(error: JetwayError | ProblemError) -> Response[str]:
    return _answer(error.problem if isinstance(error, ProblemError) else problem_of(error))


@app.not_found
def _not_found(_error: Exception) -> Response[str]:
    return _answer(Problem(HTTPStatus.NOT_FOUND, "no-such-resource", "There is no such resource; see the API's docs."))


def _answer(problem: Problem) -> Response[str]:
    return Response(problem.status.value, CONTENT_TYPE, problem.body(app.current_event.path), dict(problem.headers))


def _call() -> Call:
    event = app.current_event
    authorizer = event.request_context.authorizer
    return Call(
        request_id=event.request_context.request_id,
        caller=principal(authorizer.iam.user_arn or "") if authorizer else "",
        body=event.decoded_body or "",
        idempotency_key=event.headers.get("idempotency-key"),
        query=event.query_string_parameters,
        received_at=datetime.now(UTC),
    )


@cache
def _config() -> HttpApiConfig:
    return HttpApiConfig.from_env()


@cache
def _sqs() -> SQSClient:
    return boto3.client("sqs")


@cache
def _airflow() -> AirflowClient:
    from jetway.airflow.connect import connect  # late: only GET needs it, and `requests` is slow to import

    return connect(_config().environment_name, _config().transport, read_timeout=20.0)
