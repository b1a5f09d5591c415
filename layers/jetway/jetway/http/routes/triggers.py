"""/triggers and /webhooks: runs of trigger files with `on: http`."""

from __future__ import annotations

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response  # noqa: TC002 - Powertools reads routes' annotations

from jetway.http import query
from jetway.http import responses as answers
from jetway.http.problems import WEBHOOKS_DISABLED, ProblemError
from jetway.http.routes.request import Request, make_router
from jetway.http.routes.run_start import start
from jetway.http.run_requests import key_use
from jetway.observability import logger

START = (query.DRY_RUN,)

router = make_router()
request = Request(router)


@router.post(
    "/triggers/<name>",
    summary="Trigger By Name",
    description=(
        "Starts the run of a trigger file with `on: {http: {auth: iam}}`. The trigger file defines how "
        "the body becomes conf."
    ),
    tags=["Trigger"],
    operation_id="trigger_by_name",
)
def trigger_by_name(name: str) -> Response[str]:
    """Accept a call for a trigger, as POST /dags/{dag_id}/dagRuns does for a DAG."""
    from jetway.http import webhooks

    caller = request.caller()
    options, call = request.query(START), request.call(caller.name, by=caller.arn)
    webhook = webhooks.for_callers(request.in_time(lambda: request.services.webhooks.get(unquote(name))), unquote(name))
    identity = ("call", call.idempotency_key or call.request_id, caller.name)
    run = webhooks.read_delivery(webhook, identity, call.body)
    key = key_use(call, webhook.name, identity, made_by=webhook.made_by)
    return start(request, run, call, request.reach(caller), key=key, dry_run=options["dry_run"], webhook=webhook)


@router.post(
    "/webhooks/<name>",
    summary="Receive Webhook",
    description=(
        "Starts the run of a trigger file with `on: {http: {auth: hmac}}`. The signature of the body "
        "identifies the sender. Unless the stack's parameter Webhooks is enabled, API Gateway requires IAM "
        "authorization and the response is 404."
    ),
    tags=["Trigger"],
    operation_id="receive_webhook",
)
def receive_webhook(name: str) -> Response[str]:
    """Accept a signed webhook: 202 as soon as its run is on the dispatch queue."""
    from jetway.http import webhooks

    if not request.services.settings.webhooks_enabled:
        raise ProblemError.of(WEBHOOKS_DISABLED)
    request.query()
    call, headers = request.call("webhook", by=f"webhook:{unquote(name)}", with_key=False), request.headers()
    found = request.in_time(lambda: request.services.webhooks.get(unquote(name)))
    webhook, signed = request.in_time(lambda: webhooks.authenticate(found, headers, call.body, _secrets_of))
    content = webhooks.content_of(headers, call.body)
    if (reply := webhooks.handshake(headers, content)) is not None:
        return answers.json_answer(reply)
    run = webhooks.read_delivery(webhook, ("webhook", signed.identity), content)
    with webhooks.once(request.services.replays, webhook, signed, in_time=request.in_time) as served_before:
        if served_before:
            return answers.duplicate_answer(run)
        return start(request, run, call, webhook=webhook, named_by=signed.named_by)


def _secrets_of(trigger: str, *, fresh: bool = False) -> tuple[str, ...]:
    """Return the valid secrets of a trigger's webhook, current one first; with `fresh` as they are now."""
    name = request.services.settings.webhook_secret_prefix + trigger
    found = request.services.webhook_secrets.get(name, fresh=fresh)
    if not found:
        logger.warning("this webhook has no secret, so no one can sign", extra={"secret": name})
    return found
