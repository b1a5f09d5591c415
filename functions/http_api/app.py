"""http_api: starts and shows DAG runs over HTTP."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from botocore.exceptions import BotoCoreError, ClientError

from jetway import http_clients as clients
from jetway import query
from jetway.callers import caller_of
from jetway.deadline import DeadlineError, deadline
from jetway.errors import JetwayError
from jetway.observability import logger
from jetway.prefer import Preference, read_preference, wait_for_run
from jetway.problems import CONTENT_TYPE, Problem, ProblemError, problem_of
from jetway.run_requests import Call, accept, read_request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.airflow import AirflowLists, DagRun, DagRunRequest
    from jetway.ledger import Entry
    from jetway.pages import Page

T = TypeVar("T")

app = APIGatewayHttpResolver()

# Query parameters of each operation; docs/openapi.json is made from them.
TRIGGER_DAG_RUN = (query.DRY_RUN,)
LIST_DAG_RUNS = (query.STATE, query.limit(50))
LIST_DAGS = (query.limit(100), query.OFFSET)
LIST_EVENTS = (query.TRIGGER, query.SINCE, query.limit(50))
LIST_ARTIFACTS = (query.limit(20),)

PAGES = Path(__file__).parent / "pages"

if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # While Lambda starts the function it has a whole CPU; in the first call it would have a third of one.
    clients.sqs()

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
    options, config, call = _query(TRIGGER_DAG_RUN), clients.config(), _call()
    request = read_request(unquote(dag_id), call)
    if options["dry_run"]:
        return _dry_run(request)
    preference = read_preference(app.current_event.headers.get("prefer"))
    accept(clients.sqs(), config.dispatch_queue_url, request, call)
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


@app.post(
    "/triggers/<name>",
    summary="Trigger By Name",
    description="Starts the run of a trigger file with `on: http`. The body is the event; the file makes conf of it.",
    tags=["Trigger"],
    operation_id="trigger_by_name",
)
def trigger_by_name(name: str) -> Response[str]:
    """Accept a webhook or a call for a trigger: 202 as soon as its run is on the dispatch queue."""
    from jetway import webhooks

    _query()
    event = app.current_event
    content = base64.b64decode(event.body or "") if event.is_base64_encoded else (event.body or "").encode()
    headers = {key.lower(): value for key, value in event.headers.items()}
    webhook = clients.webhooks().get(unquote(name))
    if webhook is None or webhook.auth != "hmac":
        caller = _caller()  # before anything is said of triggers
        webhook = webhooks.found(webhook, unquote(name))
        delivery = webhooks.Delivery(
            ("call", headers.get("idempotency-key") or event.request_context.request_id, caller)
        )
    else:
        delivery = webhooks.authenticate(
            webhook, headers, content, clients.webhook_secrets(), prefix=clients.config().webhook_secret_prefix
        )
    reply = webhooks.handshake(headers, content)
    if reply is not None:
        return _json(reply)
    with webhooks.once(clients.replays, webhook, delivery):
        queue, request_id = clients.config().dispatch_queue_url, event.request_context.request_id
        request = webhooks.accept(clients.sqs(), queue, webhook, delivery, content, request_id=request_id)
    logger.info("accepted", extra={"trigger": webhook.name, "dag_id": request.dag_id, "dag_run_id": request.dag_run_id})
    answer = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "state": "accepted"}
    location = f"/dags/{quote(request.dag_id, safe='')}/dagRuns/{quote(request.dag_run_id, safe='')}"
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
    "/events",
    summary="Get Events",
    description="Lists what became of the newest events, and why: started, duplicate, held, waiting, dead-lettered.",
    tags=["Event"],
    operation_id="get_events",
)
def get_events() -> Response[str]:
    """List what became of the newest events, from the ledger."""
    options, _ = _query(LIST_EVENTS), _caller()
    with _in_time():
        entries = clients.ledger().newest(**options)
    return _json({"events": [_event(entry) for entry in entries]})


@app.get(
    "/artifacts",
    summary="Get Artifacts",
    description="Lists the newest validation reports of dropped files: one for each file, its latest.",
    tags=["Artifact"],
    operation_id="get_artifacts",
)
def get_artifacts() -> Response[str]:
    """List the newest validation reports."""
    from jetway.recent_reports import recent_reports

    options, _ = _query(LIST_ARTIFACTS), _caller()
    with _in_time():
        reports, total = recent_reports(clients.s3(), clients.config().drop_bucket, options["limit"])
    return _json({"artifacts": reports, "total_entries": total})


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
        facts = clients.environment().facts()
        queue = clients.sqs().get_queue_attributes(
            QueueUrl=clients.config().dispatch_queue_url,
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


@app.get("/", include_in_schema=False)
def get_status_page() -> Response[str]:
    """Show people what goes on."""
    from jetway.pages import read_page

    return _page(read_page(PAGES / "status.html"))


@app.get("/docs", include_in_schema=False, compress=True)
def get_docs_page() -> Response[str]:
    """Show people the API."""
    from jetway.pages import read_page

    return _page(read_page(PAGES / "docs.html", swagger=True))


@app.get("/docs/<file>", include_in_schema=False, compress=True)
def get_docs_asset(file: str) -> Response[str]:
    """Send what the page of the API is made of."""
    from jetway.pages import read_asset

    asset = read_asset(file)
    return _not_found() if asset is None else _page(asset)


@app.get("/openapi.json", include_in_schema=False, compress=True)
def get_openapi() -> Response[str]:
    """Send the API's description, made when the function was built."""
    content = (PAGES / "openapi.json").read_text()
    return Response(HTTPStatus.OK.value, "application/json", content, {"Cache-Control": "no-cache"})


def _page(page: Page) -> Response[str]:
    return Response(HTTPStatus.OK.value, page.content_type, page.body, dict(page.headers))


def _event(entry: Entry) -> dict[str, Any]:
    """Return a row of the ledger as the API shows it."""
    times = {name: time and time.isoformat() for name, time in asdict(entry).items() if isinstance(time, datetime)}
    return asdict(entry) | {"identity": list(entry.identity)} | times


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
            return wait_for_run(clients.airflow(), request.dag_id, request.dag_run_id, preference)
    except DeadlineError:
        clients.forget()
        return None


def _ask(question: Callable[[AirflowLists], T]) -> T:
    """Ask Airflow, and answer in time whatever hangs."""
    with _in_time():
        return question(clients.airflow())


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        with deadline(_seconds_left()):
            yield
    except DeadlineError:
        clients.forget()
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
def _not_found(_error: Exception | None = None) -> Response[str]:
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
