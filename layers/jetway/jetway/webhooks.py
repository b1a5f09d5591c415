"""Runs of trigger files with `on: http`: who may start them, and the message that does.

    on:
      http: {auth: hmac}     # signed with the shared secret <stack>/webhooks/<trigger> of Secrets Manager
      http: {auth: iam}      # signed with SigV4

The trigger is read from the accepted triggers, which sync_triggers writes: a file with an error changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.airflow import DagRunRequest
from jetway.airflow.names import check_request
from jetway.conf_template import render
from jetway.dispatch import INTERACTIVE, derive_run_id
from jetway.json_body import LONGEST_BODY, read_json_object
from jetway.problems import ProblemError
from jetway.signatures import Scheme, SignatureError, Signed, verify

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from jetway.replays import ReplayCache
    from jetway.webhook_secrets import WebhookSecrets

ACCEPTED_TRIGGERS = "accepted/triggers.json"  # in the drop bucket; its only writer is sync_triggers
MAX_AGE = 30.0  # seconds that a changed trigger file may take to count here

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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One authenticated request.

    Attributes:
        identity: what makes it that one delivery, also when its sender tries again.
        signed: what a replay would repeat; None when it came over IAM, whose signatures AWS itself checks.
    """

    identity: tuple[str, ...]
    signed: Signed | None = None


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


def found(webhook: Webhook | None, name: str) -> Webhook:
    """Return a trigger that is there.

    Raises:
        ProblemError: 404.
    """
    if webhook is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "trigger-not-found",
            f"No accepted and enabled trigger file triggers/{name[:100]}.yaml with `on: http` is in force.",
        )
    return webhook


def authenticate(
    webhook: Webhook,
    headers: Mapping[str, str],
    body: bytes,
    secrets: WebhookSecrets,
    *,
    prefix: str,
    now: Callable[[], float] = time.time,
) -> Delivery:
    """Check the signature of a webhook.

    Args:
        webhook: whose secret.
        headers: of the request, names in lower case.
        body: raw, as received.
        secrets: reads them.
        prefix: of the secrets' names.
        now: seconds since 1970.

    Raises:
        ProblemError: 401, with why; 413.
    """
    if len(body) > LONGEST_BODY:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"The body must have at most {LONGEST_BODY} bytes."
        )
    header = next((name for name in _SCHEMES if name in headers), None)
    if header is None:
        raise _unauthenticated(f"No signature: this trigger takes one of the headers {', '.join(_SCHEMES)}.")
    name = prefix + webhook.name
    try:
        try:
            signed = verify(_SCHEMES[header], headers, body, secrets.get(name), now=now(), header=header)
        except SignatureError:
            # The sender may know a newer secret than we remember.
            signed = verify(_SCHEMES[header], headers, body, secrets.get(name, fresh=True), now=now(), header=header)
    except SignatureError as exc:
        raise _unauthenticated(f"{str(exc)[:1].upper()}{str(exc)[1:]}.") from exc
    return Delivery(("webhook", signed.identity), signed)


def handshake(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """Return the answer to a sender that only wants to know whether somebody is there, None for an event.

    The request is authenticated already: GitHub's ping, and a challenge in the form that Slack made common.
    https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
    """
    if headers.get("x-github-event") == "ping":
        return {"message": "pong"}
    if b"challenge" not in body[:10_000]:
        return None
    content = read_json_object(body.decode("utf-8", "replace"))
    if content.get("type") == "url_verification" and isinstance(content.get("challenge"), str):
        return {"challenge": content["challenge"]}
    return None


@contextmanager
def once(replays: Callable[[], ReplayCache], webhook: Webhook, delivery: Delivery) -> Iterator[None]:
    """Serve a signature once; when serving fails, it may come again.

    Raises:
        ProblemError: 409, it was served before.
    """
    if delivery.signed is None:
        yield
        return
    if not replays().claim(webhook.name, delivery.signed):
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "webhook-replayed",
            "This very signature was accepted before; its run was started then. A sender's next try is signed anew.",
        )
    try:
        yield
    except BaseException:
        replays().release(webhook.name, delivery.signed)
        raise


def accept(
    sqs: SQSClient,
    queue_url: str,
    webhook: Webhook,
    delivery: Delivery,
    body: bytes,
    *,
    request_id: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> DagRunRequest:
    """Put the trigger's run on the dispatch queue and return it.

    The deduplication id is the call's own, as in `jetway.run_requests.accept`.

    Raises:
        ProblemError: the body is no JSON object, or too deep.
        InvalidConfError: the template asks for what the body does not have, or conf is too large.
    """
    try:
        event = read_json_object(body.decode())
    except UnicodeDecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "invalid-json", "The body is not UTF-8.") from None
    request = DagRunRequest(
        dag_id=webhook.dag,
        dag_run_id=derive_run_id(webhook.name, delivery.identity),
        conf=event if webhook.conf is None else render(webhook.conf, event),
    )
    check_request(request)
    message = {
        "trigger": {"name": webhook.name, "kind": "http", "dag": webhook.dag},
        "event": {
            "dag_run_id": request.dag_run_id,
            "conf": request.conf,
            "logical_date": None,
            "note": None,
            "time": now().isoformat(),
        },
    }
    sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=json.dumps(message),
        MessageGroupId=INTERACTIVE,
        MessageDeduplicationId=request_id,
    )
    return request


def _unauthenticated(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, "unauthenticated", detail, {"WWW-Authenticate": "Signature"})
