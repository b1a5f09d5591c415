"""Runs of trigger files with `on: http`: who may start them, and with which conf.

    on:
      http: {auth: hmac}     # POST /webhooks/<name>, signed with the secret <stack>/webhooks/<name> of Secrets Manager
      http: {auth: iam}      # POST /triggers/<name>, signed with SigV4, or with a token where the API takes tokens

The trigger is read from the accepted triggers, which sync_triggers writes: a file with an error changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.exceptions import BotoCoreError, ClientError

from jetway.airflow import DagRunRequest
from jetway.airflow.names import check_request
from jetway.dispatch.conf_template import render
from jetway.dispatch.dates import DateRule, asked_for
from jetway.dispatch.run import derive_run_id
from jetway.http.json_body import check_size, read_json_object
from jetway.http.problems import ProblemError
from jetway.http.signatures import Scheme, SignatureError, Signed, key_of, verify
from jetway.observability import logger
from jetway.triggers.durations import limits_of_document
from jetway.triggers.version import version_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.http.replays import ReplayCache

ACCEPTED_TRIGGERS = "accepted/triggers.json"  # in the drop bucket; its only writer is sync_triggers
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10
MAX_AGE = 10.0  # seconds that a changed trigger file may take to count here

# Whose header a request carries tells whose rules it follows.
_SCHEMES: Mapping[str, Scheme] = {
    "x-hub-signature-256": "github",
    "webhook-signature": "standard",
    "stripe-signature": "stripe",
    "jetway-signature": "stripe",
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A trigger that calls may start.

    Attributes:
        auth: hmac or iam.
        conf: template of the run's conf over the body; None for the body itself.
        document: the trigger file, as it was accepted.
    """

    name: str
    dag: str
    auth: str
    conf: Mapping[str, Any] | None
    document: Mapping[str, Any]

    @property
    def limits(self) -> Mapping[str, Any]:
        """What bounds its runs, as it stands in a dispatch message."""
        return {**limits_of_document(self.document), "version": version_of(self.document)}

    @property
    def made_by(self) -> Mapping[str, Any]:
        """What makes a run of a body."""
        return {"dag": self.dag, "conf": self.conf, **DateRule.parse(self.document).to_json()}


class Webhooks:
    """The triggers with `on: http`, remembered for a while."""

    def __init__(self, s3: S3Client, bucket: str, *, clock: Callable[[], float] = time.time) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._clock = clock
        self._found: dict[str, Webhook] = {}
        self._read_at: float | None = None

    def get(self, name: str) -> Webhook | None:
        """Return an enabled trigger by its name.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer.
        """
        now = self._clock()
        if self._read_at is None or not 0 <= now - self._read_at < MAX_AGE:
            self._found = self._read()
            self._read_at = now
        return self._found.get(name)

    def _read(self) -> dict[str, Webhook]:
        try:
            content = self._s3.get_object(Bucket=self._bucket, Key=ACCEPTED_TRIGGERS)["Body"].read()
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "NoSuchKey":
                return {}  # no trigger file has been dropped yet
            raise
        triggers: Mapping[str, Mapping[str, Any]] = json.loads(content)["triggers"]
        return {
            trigger["name"]: Webhook(
                name=trigger["name"],
                dag=document["dag"],
                auth=document["on"]["http"]["auth"],
                conf=document.get("conf"),
                document=document,
            )
            for trigger in triggers.values()
            if (document := trigger["document"]) and "http" in document["on"] and document.get("enabled", True)
        }


def for_callers(webhook: Webhook | None, name: str) -> Webhook:
    """Return a trigger that is there for authenticated callers.

    Raises:
        ProblemError: 404.
    """
    if webhook is not None and webhook.auth == "iam":
        return webhook
    shown = "`on: {http: {auth: iam}}`"
    detail = f"No accepted and enabled trigger file triggers/{name[:100]}.yaml with {shown} is in force."
    if webhook is not None:
        detail = f"Trigger {name!r} has `auth: hmac`: it accepts signed webhooks at POST /webhooks/{name}."
    raise ProblemError(HTTPStatus.NOT_FOUND, "trigger-not-found", detail)


def authenticate(
    webhook: Webhook | None,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Callable[..., Sequence[str]],
    *,
    now: Callable[[], float] = time.time,
) -> tuple[Webhook, Signed]:
    """Check the signature of a webhook, and return whose it is.

    Whoever has no secret does not learn which triggers there are.

    Args:
        webhook: whose secret; None when there is no such trigger.
        headers: of the request, names in lower case.
        body: raw, as received.
        secrets: returns the valid secrets of the trigger of that name; with `fresh=True` it reads them anew.
        now: seconds since 1970.

    Raises:
        ProblemError: 401, with why; 413.
    """
    check_size(body)
    header = next((name for name in _SCHEMES if name in headers), None)
    if header is None:
        raise _unauthenticated(
            f"The request has no signature. A webhook has one of these headers: {', '.join(_SCHEMES)}."
        )

    def check(**how: bool) -> Signed:
        known = secrets(webhook.name, **how) if webhook is not None and webhook.auth == "hmac" else ()
        # With a secret that nobody knows, a trigger that is not there refuses in the same words as one that is.
        scheme = _SCHEMES[header]
        if known and not any(key_of(scheme, secret) for secret in known):
            logger.warning(
                (
                    "the secret of this webhook cannot sign: it is shorter than 16 bytes or does not have the form "
                    "whsec_<base64>"
                ),
                extra={"trigger": webhook and webhook.name, "scheme": scheme},
            )
        return verify(scheme, headers, body, known or (token_hex(),), now=now(), header=header)

    try:
        try:
            signed = check()
        except SignatureError:
            signed = check(fresh=True)  # the sender may know a newer secret than we remember
    except SignatureError as exc:
        raise _unauthenticated(f"{str(exc)[:1].upper()}{str(exc)[1:]}.") from exc
    if webhook is None:
        raise _unauthenticated("The signature does not match the body.")
    return webhook, signed


def content_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the JSON text of a delivery: the body, or the field `payload` of a form.

    GitHub sends a form unless its webhook is set to application/json. The signature covers the raw body either way.
    https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks

    Raises:
        ProblemError: 422, a form without one such field.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return body
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        fields = {}
    found = fields.get("payload", [])
    if len(found) != 1:
        detail = (
            "The form must have exactly one field, `payload`, with JSON. In the webhook's settings, choose "
            "application/json."
        )
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
    return found[0].encode()


def handshake(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """Return the answer to a sender that only wants to know whether somebody is there, None for an event.

    The request is authenticated already: GitHub's ping, and a challenge in the form that Slack made common.
    https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
    """
    if headers.get("x-github-event") == "ping":
        return {"message": "pong"}
    if b"challenge" not in body[:10_000]:
        return None
    content = read_json_object(body)
    if content.get("type") == "url_verification" and isinstance(content.get("challenge"), str):
        return {"challenge": content["challenge"]}
    return None


@contextmanager
def once(
    replays: ReplayCache, webhook: Webhook, signed: Signed, *, in_time: Callable[[Callable[[], Any]], Any]
) -> Iterator[bool]:
    """Serve a signature once; when serving fails, it may come again.

    Args:
        replays: remembers it.
        webhook: whose signature.
        signed: the signature.
        in_time: does a piece of work, and ends it with a problem when there is no time left.

    Yields:
        Whether it was served before, and its sender cannot sign anew: it is told so, and nothing is started.

    Raises:
        ProblemError: 409, it was served before.
    """
    if in_time(lambda: replays.knows(webhook.name, signed)):
        if signed.timestamp is None:
            yield True
            return
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "webhook-replayed",
            (
                "This signature was accepted before, and its run was started then. A sender signs each retry again, so "
                "this is a replay."
            ),
        )
    yield False
    try:
        in_time(lambda: replays.remember(webhook.name, signed))
    except (ProblemError, ClientError, BotoCoreError) as exc:
        # The run is accepted, and that is the answer; a copy would ask for the same run.
        logger.warning("a signature could not be stored", extra={"trigger": webhook.name, "error": str(exc)})


def read_delivery(webhook: Webhook, identity: Sequence[str], body: bytes) -> DagRunRequest:
    """Return the run that a delivery to a trigger asks for.

    Args:
        webhook: the trigger.
        identity: what makes it that one delivery, also when its sender tries again.
        body: raw, a JSON object.

    Raises:
        ProblemError: the body is no JSON object, too large, or too deep.
        InvalidConfError: the template asks for what the body does not have, or conf is too large.
        InvalidRequestError: the body has no time where the trigger says that the run's dates are.
    """
    event = read_json_object(body)
    request = DagRunRequest(
        dag_id=webhook.dag,
        dag_run_id=derive_run_id(webhook.name, identity),
        conf=event if webhook.conf is None else render(webhook.conf, event),
    )
    request = asked_for(request, DateRule.parse(webhook.document), event)
    check_request(request)
    return request


def _unauthenticated(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, "unauthenticated", detail, {"WWW-Authenticate": "Signature"})
