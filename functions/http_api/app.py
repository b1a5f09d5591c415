"""http_api: starts and shows DAG runs over HTTP."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from botocore.exceptions import BotoCoreError, ClientError

from jetway.deadline import DeadlineError, deadline, in_time, seconds_left
from jetway.errors import JetwayError
from jetway.http import answers, clients, query
from jetway.http.callers import caller_of
from jetway.http.prefer import Preference, read_preference, wait_for_run
from jetway.http.problems import Problem, ProblemError, problem_of
from jetway.http.run_requests import TRIGGER, Call, accept, event_id, read_request
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from jetway.airflow import AirflowLists, DagRun, DagRunRequest
    from jetway.http.access import Reach
    from jetway.http.callers import Caller
    from jetway.http.webhooks import Webhook

T = TypeVar("T")

app = APIGatewayHttpResolver()

# Query parameters of each operation; docs/openapi.json is made from them.
START = (query.DRY_RUN,)
LIST_DAG_RUNS = (query.STATE, query.limit(50))
LIST_DAGS = (query.limit(100), query.OFFSET)
LIST_EVENTS = (query.TRIGGER, query.SINCE, query.limit(50))
LIST_ARTIFACTS = (query.limit(20),)

PAGES = Path(__file__).parent / "pages"

if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # While Lambda starts the function it has a whole CPU; in the first call it would have a third of one.
    clients.sqs()
    clients.access_lists()


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
    caller = _caller()
    options, call = _query(START), _call(caller.name)
    request = read_request(unquote(dag_id), call)
    return _start(request, call, _reach(caller), dry_run=options["dry_run"])


@app.post(
    "/triggers/<name>",
    summary="Trigger By Name",
    description="Starts the run of a trigger file with `on: {http: {auth: iam}}`. The file makes conf of the body.",
    tags=["Trigger"],
    operation_id="trigger_by_name",
)
def trigger_by_name(name: str) -> Response[str]:
    """Accept a call for a trigger, as `trigger_dag_run` does for a DAG."""
    from jetway.http import webhooks

    caller = _caller()
    options, call = _query(START), _call(caller.name)
    webhook = webhooks.for_callers(_in_time(lambda: clients.webhooks().get(unquote(name))), unquote(name))
    identity = ("call", call.idempotency_key or call.request_id, caller.name)
    request = webhooks.read_delivery(webhook, identity, call.body)
    return _start(request, call, _reach(caller), dry_run=options["dry_run"], webhook=webhook)


@app.post(
    "/webhooks/<name>",
    summary="Receive Webhook",
    description="Starts the run of a trigger file with `on: {http: {auth: hmac}}`. The signature of the body says who "
    "sends it. The route is there when the stack's parameter Webhooks is enabled.",
    tags=["Trigger"],
    operation_id="receive_webhook",
)
def receive_webhook(name: str) -> Response[str]:
    """Accept a signed webhook: 202 as soon as its run is on the dispatch queue."""
    from jetway.http import webhooks

    _query()
    call = _call("webhook")
    headers = {key.lower(): value for key, value in app.current_event.headers.items()}
    webhook = _in_time(lambda: clients.webhooks().get(unquote(name)))
    webhook, signed = webhooks.authenticate(webhook, headers, call.body, clients.secrets_of_webhook)
    if (reply := webhooks.handshake(headers, call.body)) is not None:
        return answers.json_answer(reply)
    request = webhooks.read_delivery(webhook, ("webhook", signed.identity), call.body)
    with webhooks.once(clients.replays(), webhook, signed):
        return _start(request, call, webhook=webhook)


@app.get(
    "/dags/<dag_id>/dagRuns/<dag_run_id>",
    summary="Get Dag Run",
    description="Shows a run as Airflow has it now.",
    tags=["DagRun"],
    operation_id="get_dag_run",
)
def get_dag_run(dag_id: str, dag_run_id: str) -> Response[str]:
    """Show a run as Airflow has it now."""
    _, reach = _asked()
    reach.require("read", unquote(dag_id))
    run = _ask(lambda airflow: airflow.get_dag_run(unquote(dag_id), unquote(dag_run_id)))
    if run is None:
        detail = f"Airflow has no run {unquote(dag_run_id)!r} (yet): one that was accepted is there when dispatched."
        raise ProblemError(HTTPStatus.NOT_FOUND, "run-not-found", detail, answers.RETRY_AFTER)
    return answers.json_answer(asdict(run))


@app.get(
    "/dags/<dag_id>/dagRuns",
    summary="Get Dag Runs",
    description="Lists the newest runs of a DAG, newest first.",
    tags=["DagRun"],
    operation_id="get_dag_runs",
)
def get_dag_runs(dag_id: str) -> Response[str]:
    """List the newest runs of a DAG."""
    options, reach = _asked(LIST_DAG_RUNS)
    reach.require("read", unquote(dag_id))
    runs, total = _ask(lambda airflow: airflow.list_dag_runs(unquote(dag_id), **options))
    return answers.json_answer({"dag_runs": [asdict(run) for run in runs], "total_entries": total})


@app.get(
    "/dags",
    summary="Get Dags",
    description="Lists the DAGs that Airflow knows, by dag_id.",
    tags=["DAG"],
    operation_id="get_dags",
)
def get_dags() -> Response[str]:
    """List the DAGs that Airflow knows and the caller may see."""
    from jetway.http.access_lists import visible_dags

    options, reach = _asked(LIST_DAGS)
    dags, total = _ask(lambda airflow: visible_dags(airflow, reach, **options))
    return answers.json_answer({"dags": [asdict(dag) for dag in dags], "total_entries": total})


@app.get(
    "/events",
    summary="Get Events",
    description="Lists what became of the newest events, and why: started, duplicate, held, waiting, dead-lettered.",
    tags=["Event"],
    operation_id="get_events",
)
def get_events() -> Response[str]:
    """List what became of the newest events, from the ledger."""
    options, reach = _asked(LIST_EVENTS)
    keep = (lambda entry: reach.allows("read", entry.dag_id)) if reach.is_limited else None
    entries = _in_time(lambda: clients.ledger().newest(**options, keep=keep))
    return answers.json_answer({"events": [answers.event_shown(entry) for entry in entries]})


@app.get(
    "/artifacts",
    summary="Get Artifacts",
    description="Lists the newest validation reports of dropped files: one for each file, its latest.",
    tags=["Artifact"],
    operation_id="get_artifacts",
)
def get_artifacts() -> Response[str]:
    """List the newest validation reports; of files without a DAG that the caller may see, none."""
    from jetway.http.recent_reports import recent_reports

    options, reach = _asked(LIST_ARTIFACTS)
    dags = partial(reach.allows, "read") if reach.is_limited else None
    bucket = clients.config().drop_bucket
    reports, total = _in_time(lambda: recent_reports(clients.s3(), bucket, options["limit"], dags=dags))
    return answers.json_answer({"artifacts": reports, "total_entries": total})


@app.get(
    "/health",
    summary="Get Health",
    description="Says whether runs can be started now: the environment's status, and how many events wait.",
    tags=["Monitor"],
    operation_id="get_health",
)
def get_health() -> Response[str]:
    """Say whether runs can be started now."""
    _caller()
    _query()
    url, counts = clients.config().dispatch_queue_url, answers.QUEUE_COUNTS
    queue = _in_time(lambda: clients.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"])
    return answers.health_answer(_in_time(lambda: clients.environment().facts()), queue)


@app.get(
    "/workers",
    summary="Get Workers",
    description="Shows the last hour: workers required and running, the verdict and its remedy, events, files, costs.",
    tags=["Monitor"],
    operation_id="get_workers",
)
def get_workers() -> Response[str]:
    """Show what `jetway workers` shows."""
    from jetway.workers.view import ask_view, workers_json, workers_view

    _, reach = _asked()
    now, environment = datetime.now(UTC), clients.config().environment_name
    found = _in_time(lambda: ask_view(clients.cloudwatch(), environment, now))
    shown = {"environment": environment, **workers_json(workers_view(found, now=now))}
    # Which DAG a trigger starts is not known here.
    return answers.json_answer(shown | {"triggers": []} if reach.is_limited else shown)


@app.get("/", include_in_schema=False)
def get_status_page() -> Response[str]:
    """Show people what goes on."""
    from jetway.http.pages import read_page

    return answers.page_answer(read_page(PAGES / "status.html"))


@app.get("/docs", include_in_schema=False, compress=True)
def get_docs_page() -> Response[str]:
    """Show people the API."""
    from jetway.http.pages import read_page

    return answers.page_answer(read_page(PAGES / "docs.html", swagger=True))


@app.get("/docs/<file>", include_in_schema=False, compress=True)
def get_docs_asset(file: str) -> Response[str]:
    """Send what the page of the API is made of."""
    from jetway.http.pages import read_asset

    asset = read_asset(file)
    return _not_found() if asset is None else answers.page_answer(asset)


@app.get("/openapi.json", include_in_schema=False, compress=True)
def get_openapi() -> Response[str]:
    """Send the API's description, made when the function was built."""
    content = (PAGES / "openapi.json").read_text()
    return Response(HTTPStatus.OK.value, "application/json", content, {"Cache-Control": "no-cache"})


def _start(
    request: DagRunRequest,
    call: Call,
    reach: Reach | None = None,
    *,
    dry_run: bool = False,
    webhook: Webhook | None = None,
) -> Response[str]:
    """Put a run on the dispatch queue and wait for it as preferred.

    Args:
        reach: of the caller; None for a webhook, whose trigger file and secret say what it may start.
    """
    if reach is not None:
        reach.require("start", request.dag_id)
    if dry_run:
        return _dry_run(request)
    preference = read_preference(app.current_event.headers.get("prefer"))
    config = clients.config()
    trigger, limits = (webhook.name, webhook.limits) if webhook else (TRIGGER, None)
    accept(clients.sqs(), config.dispatch_queue_url, request, call, trigger=trigger, limits=limits)
    ids = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id}
    logger.info("accepted", extra={**ids, "trigger": trigger, "caller": call.caller})
    run = _wait(request, preference, call, trigger) if reach is not None else None
    if run is not None and preference.is_met_by(run):
        return answers.run_answer(run, preference.applied)
    loses_note = request.note is not None and config.transport == "cli"
    warnings = ["note is not kept: only the rest transport can set it (parameter Transport)."] if loses_note else []
    return answers.accepted_answer(request, run.state if run else "accepted", warnings)


def _dry_run(request: DagRunRequest) -> Response[str]:
    """Say what a call would do: the DAG is there and the run is not."""
    from jetway.errors import RunAlreadyExistsError

    found = _ask(lambda airflow: airflow.get_dag_run(request.dag_id, request.dag_run_id))
    if found is not None:
        raise RunAlreadyExistsError(
            f"DAG {request.dag_id!r} has a run {request.dag_run_id!r} already ({found.state}).", run=found
        )
    return answers.dry_run_answer(request)


def _wait(request: DagRunRequest, preference: Preference, call: Call, trigger: str) -> DagRun | None:
    """Wait as preferred; None when Airflow has nothing to show in time."""
    if not preference.seconds:
        return None

    id_ = event_id(request.dag_id, request.dag_run_id, trigger=trigger)
    left = _seconds_left()
    bounded = replace(preference, seconds=min(preference.seconds, left))

    def dead_letter() -> str | None:
        # An earlier call for the same run may have become one; this call is a new try.
        return clients.ledger().why_dead(id_, since=call.received_at)

    try:
        with deadline(left):
            airflow = clients.airflow()
            return wait_for_run(airflow, request.dag_id, request.dag_run_id, bounded, dead_letter=dead_letter)
    except DeadlineError:
        clients.forget()
        return None


def _ask(question: Callable[[AirflowLists], T]) -> T:
    """Ask Airflow, and answer in time whatever hangs."""
    return _in_time(lambda: question(clients.airflow()))


def _in_time(work: Callable[[], T]) -> T:
    return in_time(_seconds_left(), work, forget=clients.forget)


def _seconds_left() -> float:
    remaining = app.lambda_context.get_remaining_time_in_millis() / 1000
    return seconds_left(remaining, app.current_event.request_context.time_epoch / 1000, time.time())


@app.exception_handler([JetwayError, ProblemError])  # type: ignore[untyped-decorator]
def _problem(error: JetwayError | ProblemError) -> Response[str]:
    return _answer(error.problem if isinstance(error, ProblemError) else problem_of(error))


@app.exception_handler([BotoCoreError, ClientError])  # type: ignore[untyped-decorator]
def _aws_problem(_error: BotoCoreError | ClientError) -> Response[str]:
    logger.exception("an AWS service refused")
    detail = "An AWS service behind this API refused or did not answer. Try again, with the same Idempotency-Key."
    return _answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "aws-unavailable", detail, answers.RETRY_AFTER))


@app.not_found
def _not_found(_error: Exception | None = None) -> Response[str]:
    return _answer(Problem(HTTPStatus.NOT_FOUND, "no-such-resource", "There is no such resource; see the API's docs."))


def _answer(problem: Problem) -> Response[str]:
    return answers.problem_answer(problem, app.current_event.path)


def _asked(parameters: tuple[query.Parameter, ...] = ()) -> tuple[dict[str, Any], Reach]:
    """Return the query parameters, and what the caller may see."""
    caller = _caller()
    return _query(parameters), _reach(caller)


def _query(parameters: tuple[query.Parameter, ...] = ()) -> dict[str, Any]:
    return query.read_query(app.current_event.query_string_parameters, parameters)


def _caller() -> Caller:
    return caller_of(app.current_event.raw_event)


def _reach(caller: Caller) -> Reach:
    return _in_time(lambda: clients.access_lists().current()).reach_of(caller)


def _call(caller: str) -> Call:
    event = app.current_event
    body = event.body or ""
    return Call(
        request_id=event.request_context.request_id,
        caller=caller,
        # API Gateway may pass on halves of surrogate pairs; those are no UTF-8, as the reader will say.
        body=base64.b64decode(body) if event.is_base64_encoded else body.encode("utf-8", "surrogatepass"),
        idempotency_key=event.headers.get("idempotency-key"),
        received_at=datetime.now(UTC),
    )
