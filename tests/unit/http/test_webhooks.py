"""Webhooks and calls of triggers, from API Gateway's event to the queue: who may, once, and with which conf."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest

from jetway.dispatch.limits import Rate
from jetway.events.incoming import parse_time
from jetway.http.signatures import WINDOW
from jetway.http.webhook_secrets import WebhookSecrets
from jetway.http.webhooks import ACCEPTED_TRIGGERS
from jetway.wiring.http_api import wired
from tests.unit.dispatching import parse_dispatch
from tests.unit.hanging import hanging_server
from tests.unit.http.function import DROP, ask, in_process, queued, set_queue
from tests.unit.ledger_table import make_table

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or so").decode()


def trigger(name: str, auth: str, **more: Any) -> dict[str, Any]:
    document = {"on": {"http": {"auth": auth}}, "dag": "build", **more}
    return {"name": name, "kind": "http", "document": document}


@dataclass
class Stage:
    """What the function talks to."""

    queue: str
    secrets: Any

    def queued(self) -> list[dict[str, Any]]:
        return queued(self.queue)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with in_process(monkeypatch, TRANSPORT="cli") as queue:
        s3 = boto3.client("s3")
        triggers = [
            trigger("push", "hmac", conf={"branch": "{{ ref }}", "repository": "{{ repository.name }}"}),
            trigger("plain", "hmac"),
            trigger("no_secret", "hmac"),
            trigger("too_short", "hmac"),
            trigger("plain_text", "hmac"),
            trigger("off", "hmac", enabled=False),
            trigger("bounded", "iam", limits={"max_event_age": "2h", "rate": "10/min"}),
            trigger("by_role", "iam"),
            {"name": "files", "kind": "s3", "document": {"on": {"s3": {"bucket": "b"}}, "dag": "build"}},
            {"name": "never_good", "kind": "http", "document": None},
        ]
        content = {"format": "jetway-triggers/1", "triggers": {f"triggers/{t['name']}.yaml": t for t in triggers}}
        s3.put_object(Bucket=DROP, Key=ACCEPTED_TRIGGERS, Body=json.dumps(content).encode())
        secrets = boto3.client("secretsmanager")
        secrets.create_secret(Name="acme/webhooks/push", SecretString=SECRET)
        secrets.create_secret(Name="acme/webhooks/plain", SecretString=json.dumps({"secret": SECRET}))
        secrets.create_secret(Name="acme/webhooks/too_short", SecretString="of 15 bytes ...")
        secrets.create_secret(Name="acme/webhooks/plain_text", SecretString="It's a Secret to Everybody")
        yield Stage(queue, secrets)


def send(name: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    return ask("POST", f"/webhooks/{name}", body=body, headers=headers, nobody=True)


def mac(message: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()


def github(body: bytes, secret: str = SECRET, event: str = "push") -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={mac(body, secret).hex()}", "x-github-event": event}


def stripe(body: bytes, *, at: float | None = None, header: str = "stripe-signature") -> dict[str, str]:
    seconds = int(at or time.time())
    return {header: f"t={seconds},v1={mac(f'{seconds}.'.encode() + body).hex()}"}


def standard(body: bytes, id_: str = "msg_1", *, at: float | None = None) -> dict[str, str]:
    seconds = int(at or time.time())
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id_}.{seconds}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(seconds), "webhook-signature": signature}


PUSH = json.dumps({"ref": "refs/heads/main", "repository": {"name": "dags"}, "forced": False}).encode()


def test_a_signed_event_is_a_run_with_the_conf_of_the_template(stage: Stage) -> None:
    answer = send("push", PUSH, github(PUSH))
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["dag_id"], body["state"]) == (202, "build", "accepted")
    assert answer["headers"]["Location"] == f"/dags/build/dagRuns/{body['dag_run_id']}"
    (message,) = stage.queued()
    request = parse_dispatch(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z")).request
    assert request is not None
    assert (request.dag_id, request.dag_run_id) == ("build", body["dag_run_id"])
    assert dict(request.conf) == {"branch": "refs/heads/main", "repository": "dags"}
    assert body["dag_run_id"].startswith("jetway__push__")


@pytest.mark.parametrize("sign", [stripe, standard])
def test_every_scheme_is_taken_and_a_replay_of_it_is_not(stage: Stage, sign: Any) -> None:
    headers = sign(PUSH)
    assert send("plain", PUSH, headers)["statusCode"] == 202
    again = send("plain", PUSH, headers)
    assert (again["statusCode"], json.loads(again["body"])["type"]) == (409, "urn:jetway:problem:webhook-replayed")
    assert len(stage.queued()) == 1


def test_a_redelivery_of_github_is_told_its_run_and_starts_none(stage: Stage) -> None:
    first = json.loads(send("plain", PUSH, github(PUSH))["body"])
    answer = send("plain", PUSH, github(PUSH))
    again = json.loads(answer["body"])
    assert (answer["statusCode"], again["state"], again["dag_run_id"]) == (200, "duplicate", first["dag_run_id"])
    assert answer["headers"]["Location"].endswith(first["dag_run_id"])
    assert "does not start a second run" in again["warnings"][0]
    assert len(stage.queued()) == 1


@pytest.mark.parametrize(("sign", "named_by"), [(github, "body"), (stripe, "body"), (standard, "webhook-id")])
def test_the_answer_says_what_names_the_delivery(stage: Stage, sign: Any, named_by: str) -> None:
    assert json.loads(send("plain", PUSH, sign(PUSH))["body"])["named_by"] == named_by


FORM = "application/x-www-form-urlencoded"


def test_the_form_that_github_sends_by_default_is_taken(stage: Stage) -> None:
    body = urlencode({"payload": PUSH.decode()}).encode()
    answer = send("push", body, {**github(body), "content-type": FORM})
    assert answer["statusCode"] == 202, answer["body"]
    (message,) = stage.queued()
    request = parse_dispatch(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z")).request
    assert request is not None
    assert dict(request.conf) == {"branch": "refs/heads/main", "repository": "dags"}
    ping = send("push", body, {**github(body, event="ping"), "content-type": f"{FORM}; charset=utf-8"})
    assert json.loads(ping["body"]) == {"message": "pong"}


@pytest.mark.parametrize(
    "body", [b"", b"payload", b"a=1", b"payload=%7B%7D&payload=%7B%7D", b"payload=%ff", b"x=1&" * 20]
)
def test_a_form_without_its_payload_is_told_what_to_choose(stage: Stage, body: bytes) -> None:
    answer = send("push", body, {**github(body), "content-type": FORM})
    assert answer["statusCode"] == 422
    assert "In the webhook's settings, choose application/json" in json.loads(answer["body"])["detail"]
    assert stage.queued() == []


@pytest.mark.parametrize("sign", [stripe, standard])
def test_the_senders_next_try_is_the_same_run(stage: Stage, sign: Any) -> None:
    now = time.time()
    runs = {json.loads(send("plain", PUSH, sign(PUSH, at=now + late))["body"])["dag_run_id"] for late in (0, 10)}
    assert len(runs) == 1


def test_a_signature_of_one_trigger_is_worth_nothing_for_another(stage: Stage) -> None:
    stage.secrets.put_secret_value(SecretId="acme/webhooks/plain", SecretString="another secret of theirs")
    stage.secrets.put_secret_value(SecretId="acme/webhooks/plain", SecretString="a third secret of theirs")
    assert send("plain", PUSH, github(PUSH))["statusCode"] == 401


@pytest.mark.parametrize(
    ("name", "headers", "said"),
    [
        ("push", {}, "has no signature"),
        ("push", github(PUSH + b" "), "does not match the body"),
        ("push", github(PUSH, "another secret"), "does not match the body"),
        ("push", {"x-hub-signature-256": "sha256=00"}, "64 hexadecimal"),
        ("push", stripe(PUSH, at=time.time() - WINDOW - 3600), "more than 300 s"),
        ("push", standard(PUSH, at=time.time() + WINDOW + 3600), "more than 300 s"),
        ("no_secret", github(PUSH), "does not match the body"),
        ("too_short", github(PUSH, "of 15 bytes ..."), "does not match the body"),
        ("by_role", github(PUSH), "does not match the body"),
        ("off", github(PUSH), "does not match the body"),
        ("files", github(PUSH), "does not match the body"),
        ("nothing", github(PUSH), "does not match the body"),
        ("never_good", {}, "has no signature"),
    ],
)
def test_nobody_without_the_secret_gets_in_or_learns_which_triggers_there_are(
    stage: Stage, name: str, headers: dict[str, str], said: str
) -> None:
    answer = send(name, PUSH, headers)
    assert (answer["statusCode"], stage.queued()) == (401, [])
    assert said in json.loads(answer["body"])["detail"]
    assert SECRET not in answer["body"]


def test_a_secret_that_the_scheme_cannot_use_refuses_in_the_words_of_a_wrong_one(stage: Stage) -> None:
    answer = send("plain_text", PUSH, standard(PUSH))
    assert (answer["statusCode"], stage.queued()) == (401, [])
    assert json.loads(answer["body"])["detail"] == "The signature does not match the body."


def test_while_a_secret_is_rotated_both_are_valid(stage: Stage) -> None:
    assert send("push", PUSH, github(PUSH))["statusCode"] == 202
    stage.secrets.put_secret_value(SecretId="acme/webhooks/push", SecretString="the new secret, long enough")
    wired().forget()
    for number, secret in enumerate((SECRET, "the new secret, long enough")):
        body = json.dumps({"ref": f"{number}", "repository": {"name": "x"}}).encode()
        assert send("push", body, github(body, secret))["statusCode"] == 202
    stage.secrets.put_secret_value(SecretId="acme/webhooks/push", SecretString="the newest secret, long enough")
    wired().forget()
    body = json.dumps({"ref": "last", "repository": {"name": "x"}}).encode()
    assert send("push", body, github(body))["statusCode"] == 401


def test_a_new_secret_counts_before_the_old_one_is_forgotten(stage: Stage) -> None:
    now = [1000.0]
    secrets = WebhookSecrets(stage.secrets, clock=lambda: now[0])
    assert secrets.get("acme/webhooks/push") == (SECRET,)
    stage.secrets.put_secret_value(SecretId="acme/webhooks/push", SecretString="new")
    assert secrets.get("acme/webhooks/push", fresh=True) == (SECRET,)  # read just now
    now[0] += 10
    assert secrets.get("acme/webhooks/push") == (SECRET,)
    assert secrets.get("acme/webhooks/push", fresh=True) == ("new", SECRET)
    assert secrets.get("acme/webhooks/none") == ()


def test_handshakes_are_answered_and_start_nothing(stage: Stage) -> None:
    ping = send("push", PUSH, github(PUSH, event="ping"))
    assert (ping["statusCode"], json.loads(ping["body"])) == (200, {"message": "pong"})
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()
    challenge = send("plain", body, stripe(body, header="jetway-signature"))
    assert (challenge["statusCode"], json.loads(challenge["body"])) == (200, {"challenge": "3eZbrw1a"})
    assert send("push", PUSH, {"x-github-event": "ping"})["statusCode"] == 401
    assert stage.queued() == []


def call(name: str, body: bytes, **more: Any) -> dict[str, Any]:
    return ask("POST", f"/triggers/{name}", body=body, **more)


@pytest.mark.parametrize("service", ["SECRETS_MANAGER", "DYNAMODB", "SQS"])
def test_a_webhook_is_answered_in_time_whatever_hangs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    with hanging_server() as url:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
        wired().forget()
        answer = ask("POST", "/webhooks/push", body=PUSH, headers=github(PUSH), nobody=True)
    monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}")
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (503, "urn:jetway:problem:timeout")
    assert stage.queued() == []
    wired().forget()
    # Not a replay: nothing was accepted.
    assert send("push", PUSH, github(PUSH))["statusCode"] == 202


@pytest.mark.parametrize("sign", [github, stripe])
def test_a_signature_that_was_not_remembered_may_come_again_and_is_the_same_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, sign: Any
) -> None:
    """The function may die between the queue and the table: the event is not lost, and not doubled."""
    headers = sign(PUSH)
    monkeypatch.setenv("REPLAY_TABLE", "replays-of-another-life")
    make_table("WebhookReplays", "replays-of-another-life")
    wired().forget()
    first = send("plain", PUSH, headers)
    monkeypatch.setenv("REPLAY_TABLE", "replays")
    wired().forget()
    again = send("plain", PUSH, headers)
    assert (first["statusCode"], again["body"]) == (202, first["body"])


def test_the_limits_of_the_file_go_along_with_the_message(stage: Stage) -> None:
    assert call("bounded", b"{}")["statusCode"] == 202
    (message,) = stage.queued()
    trigger = parse_dispatch(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z")).trigger
    assert (trigger.max_event_age, trigger.rate) == (timedelta(hours=2), Rate(10, 60))


def test_a_trigger_with_iam_is_started_by_whom_the_gateway_knows(stage: Stage) -> None:
    headers = {"idempotency-key": "k"}
    first, second = (call("by_role", b'{"a": 1}', headers=headers) for _ in range(2))
    assert (first["statusCode"], first["body"]) == (202, second["body"])
    assert call("by_role", b"{}", nobody=True)["statusCode"] == 401
    assert call("by_role", b"{}", nobody=True, headers=github(b"{}"))["statusCode"] == 401
    for name in ("nothing", "off", "files", "never_good"):
        assert call(name, b"{}")["statusCode"] == 404


def test_a_call_for_a_trigger_of_webhooks_is_told_the_way(stage: Stage) -> None:
    answer = call("push", PUSH, headers=github(PUSH))
    assert answer["statusCode"] == 404
    assert "POST /webhooks/push" in json.loads(answer["body"])["detail"]


@pytest.mark.parametrize(
    ("body", "status"), [(b"[1]", 422), (b"{", 400), (b"\xff", 400), (b'{"other": 1}', 422), (b" " * 300_000, 413)]
)
def test_a_body_that_makes_no_conf_is_refused_and_may_be_sent_again(stage: Stage, body: bytes, status: int) -> None:
    for _ in range(2):  # not a replay: it was never accepted
        assert send("push", body, github(body))["statusCode"] == status
    assert stage.queued() == []


def test_a_delivery_that_could_not_be_queued_may_come_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = stage.queue
    set_queue(monkeypatch, queue.replace("dispatch", "gone"))
    headers = stripe(PUSH)
    assert send("plain", PUSH, headers)["statusCode"] == 503
    set_queue(monkeypatch, queue)
    assert send("plain", PUSH, headers)["statusCode"] == 202
    assert len(stage.queued()) == 1


def test_a_stack_without_webhooks_says_so_and_asks_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The route stays, closed by IAM: whoever IAM lets in is told why, whether or not the body is signed."""
    monkeypatch.setenv("WEBHOOKS", "disabled")
    wired().forget()
    body = b'{"ref": "refs/heads/main", "repository": {"name": "shop"}}'
    for headers in ({}, github(body)):
        answer = ask("POST", "/webhooks/push", body=body, headers=headers)
        problem = json.loads(answer["body"])
        assert (answer["statusCode"], problem["type"]) == (404, "urn:jetway:problem:webhooks-disabled")
        assert "Webhooks=enabled" in problem["detail"]
    assert stage.queued() == []
