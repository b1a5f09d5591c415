"""/events, /artifacts, /workers, /health: what goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response  # noqa: TC002 - Powertools reads routes' annotations

from jetway.http import query
from jetway.http import responses as answers
from jetway.http.problems import ProblemError
from jetway.http.routes.request import Request, make_router

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.http.health import Reached

LIST_EVENTS = (query.TRIGGER, query.SINCE, query.limit(50))
LIST_ARTIFACTS = (query.limit(20),)

router = make_router()
request = Request(router)


@router.get(
    "/events",
    summary="Get Events",
    description=(
        "Lists the newest events, one row for each, with the decision (started, duplicate, held, waiting, "
        "skipped, dead-lettered) and its reason. For an event that is held or waiting, `until` shows when "
        "Jetway stops trying."
    ),
    tags=["Event"],
    operation_id="get_events",
)
def get_events() -> Response[str]:
    """List what became of the newest events, from the ledger."""
    options, reach = request.asked(LIST_EVENTS)
    keep = (lambda entry: reach.allows("read", entry.dag_id)) if reach.is_limited else None
    entries = request.in_time(lambda: request.services.ledger.newest(**options, keep=keep))
    return answers.json_answer({"events": [answers.event_shown(entry) for entry in entries]})


@router.get(
    "/artifacts",
    summary="Get Artifacts",
    description="Lists the newest validation reports of dropped files, one for each file.",
    tags=["Artifact"],
    operation_id="get_artifacts",
)
def get_artifacts() -> Response[str]:
    """List the newest validation reports; of files without a DAG that the caller may see, none."""
    from jetway.http.recent_reports import recent_reports

    options, reach = request.asked(LIST_ARTIFACTS)
    dags = partial(reach.allows, "read") if reach.is_limited else None
    bucket = request.services.settings.drop_bucket
    reports, total = request.in_time(lambda: recent_reports(request.services.s3, bucket, options["limit"], dags=dags))
    return answers.json_answer({"artifacts": reports, "total_entries": total})


@router.get(
    "/health",
    summary="Get Health",
    description=(
        "Shows whether runs can be started now: the environment's status, whether Airflow responds (checked "
        "at most every 15 s), how many events wait, and how many dead letters there are."
    ),
    tags=["Monitor"],
    operation_id="get_health",
)
def get_health() -> Response[str]:
    """Say whether runs can be started now."""
    from jetway.http import health

    request.caller()
    request.query()
    config = request.services.settings
    queues = {
        "dispatch": config.dispatch_queue_url,
        "collect": config.collect_queue_url,
        "waiting": config.waiting_queue_url,
        "dead_letters": config.dead_letters_url,
    }
    counted = request.in_time(lambda: health.dispatch_counts(_count_messages, queues))
    facts = request.in_time(_facts)
    reached = _reach_airflow() if facts.may_serve else health.not_asked(facts)
    if reached.reachable is False:
        facts = request.in_time(lambda: request.services.environment.facts(max_age=health.JUST_NOW))
        if not facts.usable:  # an update has begun since
            reached = health.not_asked(facts)
    return answers.health_answer(health.health_document(facts, reached, counted))


def _facts() -> EnvironmentFacts:
    from jetway.http.health import MAX_AGE

    return request.services.environment.facts(max_age=MAX_AGE)


def _count_messages(url: str) -> Mapping[Any, str]:
    from jetway.http.health import COUNTS

    return request.services.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)["Attributes"]


def _reach_airflow() -> Reached:
    from jetway.http.health import LONGEST, Reached, ask_airflow

    known = request.services.reachability.get()
    if known is not None:
        return known
    try:
        reached = request.in_time(lambda: ask_airflow(request.services.airflow), spare=2.0, longest=LONGEST)
    except ProblemError:  # the time was over
        detail = f"timeout: Airflow did not respond within {LONGEST:.0f} s. See the environment's web server logs."
        reached = Reached(False, detail)
    return request.services.reachability.remember(reached)


@router.get(
    "/workers",
    summary="Get Workers",
    description=(
        "Shows the last hour: workers required and running, the verdict and its remedy, events, files, and costs."
    ),
    tags=["Monitor"],
    operation_id="get_workers",
)
def get_workers() -> Response[str]:
    """Show what `jetway workers` shows."""
    from jetway.workers.view import ask_view, workers_json, workers_view

    _, reach = request.asked()
    now, environment = datetime.now(UTC), request.services.settings.environment_name
    found = request.in_time(lambda: ask_view(request.services.cloudwatch, environment, now))
    shown = {"environment": environment, **workers_json(workers_view(found, now=now))}
    # Which DAG a trigger starts is not known here.
    return answers.json_answer(shown | {"triggers": []} if reach.is_limited else shown)
