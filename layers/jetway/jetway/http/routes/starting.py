"""Starting the run that a call asks for: on the dispatch queue, and then as the caller prefers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.http import answers
from jetway.http.deadline import DeadlineError, deadline
from jetway.http.prefer import Preference, read_preference, wait_for_run
from jetway.http.run_requests import TRIGGER, Call, accept, event_id
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from jetway.airflow import DagRun, DagRunRequest
    from jetway.http.access import Reach
    from jetway.http.idempotency_keys import KeyUse
    from jetway.http.routes.request import Request
    from jetway.http.webhooks import Webhook


def start(
    asked: Request,
    request: DagRunRequest,
    call: Call,
    reach: Reach | None = None,
    *,
    key: KeyUse | None = None,
    dry_run: bool = False,
    webhook: Webhook | None = None,
) -> Response[str]:
    """Put a run on the dispatch queue and wait for it as preferred.

    Args:
        asked: the HTTP request.
        request: the run.
        reach: of the caller; None for a webhook, whose trigger file and secret say what it may start.
        key: for what the call uses its Idempotency-Key, if it has one.
        dry_run: only say what would be started.
        webhook: the trigger file that made the run of the call, if one did.
    """
    if reach is not None:
        reach.require("start", request.dag_id)
    if key is not None:
        keys = asked.services.idempotency_keys
        asked.in_time(lambda: keys.check(key) if dry_run else keys.claim(key))
    if dry_run:
        from jetway.http.routes.dry_runs import dry_run_of

        return dry_run_of(asked, request, reach, _warnings(asked, request))
    preference = read_preference(asked.header("prefer"))
    config = asked.services.settings
    trigger, limits = (webhook.name, webhook.limits) if webhook else (TRIGGER, None)
    asked.in_time(
        lambda: accept(asked.services.sqs, config.dispatch_queue_url, request, call, trigger=trigger, limits=limits)
    )
    ids = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id}
    logger.info("accepted", extra={**ids, "trigger": trigger, "caller": call.caller})
    run = _wait(asked, request, preference, call, trigger) if reach is not None else None
    if run is None:
        return answers.accepted_answer(request, warnings=_warnings(asked, request))
    from jetway.http.routes.looking import why_it_waits

    because = why_it_waits(asked, run)
    if preference.is_met_by(run):
        return answers.run_answer(run, because, preference.applied)
    return answers.accepted_answer(request, run.state, [*_warnings(asked, request), *([because] if because else [])])


def _warnings(asked: Request, request: DagRunRequest) -> list[str]:
    """Return what of a request will not be done."""
    loses_note = request.note is not None and asked.services.settings.transport == "cli"
    return ["note is not kept: only the rest transport can set it (parameter Transport)."] if loses_note else []


def _wait(asked: Request, request: DagRunRequest, preference: Preference, call: Call, trigger: str) -> DagRun | None:
    """Wait as preferred; None when Airflow has nothing to show in time."""
    if not preference.seconds:
        return None

    id_ = event_id(request.dag_id, request.dag_run_id, trigger=trigger)
    left = asked.seconds_left()
    bounded = replace(preference, seconds=min(preference.seconds, left))

    def dead_letter() -> str | None:
        # An earlier call for the same run may have become one; this call is a new try.
        return asked.services.ledger.why_dead(id_, since=call.received_at)

    try:
        with deadline(left):
            airflow = asked.services.airflow
            return wait_for_run(airflow, request.dag_id, request.dag_run_id, bounded, dead_letter=dead_letter)
    except DeadlineError:
        asked.services.forget()
        return None
