"""http_api: starts and shows DAG runs over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from botocore.exceptions import BotoCoreError, ClientError

from jetway import query
from jetway.callers import caller_of
from jetway.config import HttpApiConfig
from jetway.deadline import DeadlineError, deadline
from jetway.errors import JetwayError
from jetway.observability import logger
from jetway.prefer import Preference, read_preference, wait_for_run
from jetway.problems import CONTENT_TYPE, Problem, ProblemError, problem_of
from jetway.run_requests import Call, accept, read_request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_sqs import SQSClient

    from jetway.airflow import AirflowLists, DagRun, DagRunRequest
    from jetway.airflow.environment import Environment

T = TypeVar("T")

app = APIGatewayHttpResolver()

# Query parameters of each operation; docs/openapi.json is made from them.
TRIGGER_DAG_RUN = (query.DRY_RUN,)
LIST_DAG_RUNS = (query.STATE, query.limit(50))
LIST_DAGS = (query.limit(100), query.OFFSET)

RETRY_AFTER = {"Retry-After": "5"}  # seconds until it is worth another look


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)


@app.post(
    "/dags/<dag_id>/dagRuns",
    summary="Trigger Dag Run",
    description="Starts a run. Answered as soon as it is on the dispatch queue; `Prefer: wait=25` waits for Airflow.",
    tags=["DagRun"],
    operation_id="trigger_dag_run",
)
def trigger_dag_run(dag_id: str) -> Response[str]:
    """Accept a run: 202 as soon as it is on the dispatch queue, 200 when Airflow has it within the preferred wait."""
    options, config, call = _query(TRIGGER_DAG_RUN), _config(), _call()
    request = read_request(unquote(dag_id), call)
    if options["dry_run"]:
        return _dry_run(request)
    preference = read_preference(app.current_event.headers.get("prefer"))
    accept(_sqs(), config.dispatch_queue_url, request, call)
    logger.info("accepted", extra={"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "caller": call.caller})
    location = f"/dags/{quote(request.dag_id, safe='')}/dagRuns/{quote(request.dag_run_id, safe='')}"
    run = _wait(request, preference)
    if run is not None and preference.is_met_by(run):
        return _json(asdict(run), {"Location": location, "Preference-Applied": preference.applied})
    answer: dict[str, Any] = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id}
    answer["state"] = run.state if run else "accepted"
    if request.note is not None and config.transport == "cli":
        answer["warnings"] = ["note is not kept: only the rest transport can set it (parameter Transport)."]
    return _json(answer, {"Location": location, **RETRY_AFTER}, HTTPStatus.ACCEPTED)


@app.get(
    "/dags/<dag_id>/dagRuns/<dag_run_id>",
    summary="Get Dag Run",
    description="Shows a run as Airflow has it now.",
    tags=["DagRun"],
    operation_id="get_dag_run",
)
def get_dag_run(dag_id: str, dag_run_id: str) -> Response[str]:
    """Show a run as Airflow has it now."""
    _query()
    _caller()
    run = _ask(lambda airflow: airflow.get_dag_run(unquote(dag_id), unquote(dag_run_id)))
    if run is None:
        detail = f"Airflow has no run {unquote(dag_run_id)!r} (yet): one that was accepted is there when dispatched."
        raise ProblemError(HTTPStatus.NOT_FOUND, "run-not-found", detail, RETRY_AFTER)
    return _json(asdict(run))


@app.get(
    "/dags/<dag_id>/dagRuns",
    summary="Get Dag Runs",
    description="Lists the newest runs of a DAG, newest first.",
    tags=["DagRun"],
    operation_id="get_dag_runs",
)
def get_dag_runs(dag_id: str) -> Response[str]:
    """List the newest runs of a DAG."""
    options, _ = _query(LIST_DAG_RUNS), _caller()
    runs, total = _ask(lambda airflow: airflow.list_dag_runs(unquote(dag_id), **options))
    return _json({"dag_runs": [asdict(run) for run in runs], "total_entries": total})


@app.get(
    "/dags",
    summary="Get Dags",
    description="Lists the DAGs that Airflow knows, by dag_id.",
    tags=["DAG"],
    operation_id="get_dags",
)
def get_dags() -> Response[str]:
    """List the DAGs that Airflow knows."""
    options, _ = _query(LIST_DAGS), _caller()
    dags, total = _ask(lambda airflow: airflow.list_dags(**options))
    return _json({"dags": [asdict(dag) for dag in dags], "total_entries": total})


@app.get(
    "/health",
    summary="Get Health",
    description="Says whether runs can be started now: the environment's status, and how many events wait.",
    tags=["Monitor"],
    operation_id="get_health",
)
def get_health() -> Response[str]:
    """Say whether runs can be started now."""
    _query()
    _caller()
    with _in_time():
        facts = _environment().facts()
        queue = _sqs().get_queue_attributes(
            QueueUrl=_config().dispatch_queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
    health = {
        "status": "healthy" if facts.usable else "unhealthy",
        "environment": {"name": facts.name, "status": facts.status, "airflow_version": facts.airflow_version},
        "dispatch": {
            "waiting": int(queue["ApproximateNumberOfMessages"]),
            "in_flight": int(queue["ApproximateNumberOfMessagesNotVisible"]),
        },
    }
    if facts.usable:
        return _json(health)
    return _json(health, {"Retry-After": "60"}, HTTPStatus.SERVICE_UNAVAILABLE)


def _dry_run(request: DagRunRequest) -> Response[str]:
    """Say what a call would do: the DAG is there and the run is not."""
    from jetway.errors import RunAlreadyExistsError

    found = _ask(lambda airflow: airflow.get_dag_run(request.dag_id, request.dag_run_id))
    if found is not None:
        raise RunAlreadyExistsError(
            f"DAG {request.dag_id!r} has a run {request.dag_run_id!r} already ({found.state}).", run=found
        )
    would = asdict(request) | {"logical_date": request.logical_date and request.logical_date.isoformat()}
    return _json({**would, "state": None, "dry_run": True})


def _wait(request: DagRunRequest, preference: Preference) -> DagRun | None:
    """Wait as preferred; None when Airflow has nothing to show in time."""
    if not preference.seconds:
        return None
    try:
        with deadline(_seconds_left()):
            return wait_for_run(_airflow(), request.dag_id, request.dag_run_id, preference)
    except DeadlineError:
        _forget_clients()
        return None


def _ask(question: Callable[[AirflowLists], T]) -> T:
    """Ask Airflow, and answer in time whatever hangs."""
    with _in_time():
        return question(_airflow())


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        with deadline(_seconds_left()):
            yield
    except DeadlineError:
        _forget_clients()
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, "timeout", "Airflow did not answer in time; ask again.", RETRY_AFTER
        ) from None


def _seconds_left() -> float:
    # One second for the answer itself.
    return float(app.lambda_context.get_remaining_time_in_millis()) / 1000 - 1


@app.exception_handler([JetwayError, ProblemError])  # type: ignore[untyped-decorator]
def _problem(error: JetwayError | ProblemError) -> Response[str]:
    return _answer(error.problem if isinstance(error, ProblemError) else problem_of(error))


@app.exception_handler([BotoCoreError, ClientError])  # type: ignore[untyped-decorator]
def _aws_problem(_error: BotoCoreError | ClientError) -> Response[str]:
    logger.exception("an AWS service refused")
    detail = "An AWS service behind this API refused or did not answer. Try again, with the same Idempotency-Key."
    return _answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "aws-unavailable", detail, RETRY_AFTER))


@app.not_found
def _not_found(_error: Exception) -> Response[str]:
    return _answer(Problem(HTTPStatus.NOT_FOUND, "no-such-resource", "There is no such resource; see the API's docs."))


def _answer(problem: Problem) -> Response[str]:
    return Response(problem.status.value, CONTENT_TYPE, problem.body(app.current_event.path), dict(problem.headers))


def _json(content: object, headers: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(status.value, "application/json", json.dumps(content), all_headers)


def _query(parameters: tuple[query.Parameter, ...] = ()) -> dict[str, Any]:
    return query.read_query(app.current_event.query_string_parameters, parameters)


def _caller() -> str:
    return caller_of(app.current_event.raw_event)


def _call() -> Call:
    event = app.current_event
    return Call(
        request_id=event.request_context.request_id,
        caller=_caller(),
        body=event.decoded_body or "",
        idempotency_key=event.headers.get("idempotency-key"),
        received_at=datetime.now(UTC),
    )


@cache
def _config() -> HttpApiConfig:
    return HttpApiConfig.from_env()


@cache
def _sqs() -> SQSClient:
    # botocore instead of boto3, which loads the S3 transfer manager: a third less to import.
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return cast("SQSClient", get_session().create_client("sqs", config=config))


@cache
def _mwaa() -> MWAAClient:
    from jetway.airflow.connect import mwaa_client  # late: only what asks Airflow needs it

    return mwaa_client()


@cache
def _environment() -> Environment:
    from jetway.airflow.environment import Environment

    return Environment(_mwaa(), _config().environment_name)


@cache
def _airflow() -> AirflowLists:
    from jetway.airflow.connect import connect  # late: `requests` is slow to import

    config = _config()
    return connect(
        config.environment_name, config.transport, client=_mwaa(), environment=_environment(), read_timeout=20.0
    )


def _forget_clients() -> None:
    """A deadline may have left them in the middle of anything."""
    for client in (_airflow, _environment, _mwaa, _sqs):
        client.cache_clear()
