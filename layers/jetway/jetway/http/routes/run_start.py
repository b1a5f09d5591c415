"""Starting the run that a call asks for: on the dispatch queue, and then as the caller prefers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.dispatch.run import DERIVED
from jetway.http import responses as answers
from jetway.http.deadline import DeadlineError, deadline
from jetway.http.prefer import Preference, Waited, read_preference, wait_for_run
from jetway.http.run_requests import TRIGGER, HttpCall, accept, event_id
from jetway.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from jetway.airflow import DagRunRequest
    from jetway.http.access import Reach
    from jetway.http.idempotency_keys import KeyUse
    from jetway.http.routes.request import Request
    from jetway.http.webhooks import Webhook


def start(
    asked: Request,
    request: DagRunRequest,
    call: HttpCall,
    reach: Reach | None = None,
    *,
    key: KeyUse | None = None,
    dry_run: bool = False,
    webhook: Webhook | None = None,
    named_by: str | None = None,
) -> Response[str]:
    """Put a run on the dispatch queue and wait for it as preferred.

    Args:
        asked: the HTTP request.
        request: the run.
        reach: of the caller; None for a webhook, whose trigger file and secret say what it may start.
        key: for what the call uses its Idempotency-Key, if it has one.
        dry_run: only say what would be started.
        webhook: the trigger file that made the run of the call, if one did.
        named_by: of a signed delivery, what names it.
    """
    if reach is not None:
        reach.require("start", request.dag_id)
    keys, repeated = asked.services.idempotency_keys, False
    if key is not None and dry_run:
        asked.in_time(lambda: keys.check(key))
    elif key is not None:
        repeated = asked.in_time(lambda: keys.claim(key))
    if dry_run:
        from jetway.http.routes.dry_runs import dry_run_of

        return dry_run_of(asked, request, reach, _warnings(asked, request))
    preference = read_preference(asked.header("prefer"))
    config = asked.services.settings
    trigger, limits = (webhook.name, webhook.limits) if webhook else (TRIGGER, None)
    event = event_id(request.dag_id, request.dag_run_id, trigger=trigger)
    is_chosen = DERIVED.fullmatch(request.dag_run_id) is None
    if repeated or (is_chosen and preference.seconds):
        from jetway.http.routes.deleted_runs import (
            refuse_deleted,  # late: the ledger costs a cold start more than the call
        )

        refuse_deleted(asked, event)
    message_id = asked.in_time(
        lambda: accept(
            asked.services.sqs,
            config.dispatch_queue_url,
            request,
            call,
            trigger=trigger,
            limits=limits,
            one_lane=config.transport == "cli",
        )
    )
    ids = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id}
    logger.info("accepted", extra={**ids, "trigger": trigger, "caller": call.by or call.caller})
    waited = _wait(asked, request, preference, event, message_id) if reach is not None else Waited()
    run = waited.run
    if run is None:
        return answers.accepted_answer(
            request, warnings=[*_warnings(asked, request), *waited.unknown], named_by=named_by
        )
    from jetway.http.routes.run_lookup import why_it_waits

    because = why_it_waits(asked, run)
    if preference.is_met_by(run):
        return answers.run_answer(run, because, preference.applied)
    return answers.accepted_answer(request, run.state, [*_warnings(asked, request), *([because] if because else [])])


def _warnings(asked: Request, request: DagRunRequest) -> list[str]:
    """Return what of a request will not be done."""
    loses_note = request.note is not None and not asked.services.airflow.keeps_note(request.dag_id)
    return ["note is not kept, because only Airflow's REST API can set it (parameter Transport)."] if loses_note else []


def _wait(asked: Request, request: DagRunRequest, preference: Preference, event: str, message_id: str) -> Waited:
    """Wait as preferred.

    Args:
        event: id of the call's event, in the ledger.
        message_id: of the call's own message: a dead letter of an earlier call for the same run is not this one's.
    """
    if not preference.seconds:
        return Waited()
    left = asked.seconds_left()
    bounded = replace(preference, seconds=min(preference.seconds, left))

    def dead_letter() -> str | None:
        return asked.services.ledger.why_dead(event, since=datetime.min.replace(tzinfo=UTC), message_id=message_id)

    try:
        with deadline(left):
            airflow = asked.services.airflow
            return wait_for_run(airflow, request.dag_id, request.dag_run_id, bounded, dead_letter=dead_letter)
    except DeadlineError:
        asked.services.forget()
        return Waited(unknown=["Airflow did not respond while this call waited, so the result is not known yet."])
