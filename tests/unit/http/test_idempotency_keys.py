"""Idempotency-Key, from API Gateway's event to the queue: one key, one payload, one run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.http.idempotency_keys import KEPT, IdempotencyKeys, KeyUse, fingerprint
from jetway.http.problems import ProblemError
from jetway.http.webhooks import ACCEPTED_TRIGGERS
from jetway.wiring.http_api import wired
from tests.unit.http.function import DROP, ask, in_process, queued, set_queue
from tests.unit.mwaa_server import MwaaServer

KEY = {"idempotency-key": "invoice-4711"}
REUSED = "urn:jetway:problem:idempotency-key-reused"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with MwaaServer() as mwaa, in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        mwaa.answer = lambda asked: (404, {}) if "/dagRuns/" in asked["Path"] else (200, {"dag_id": "ingest_orders"})
        triggers = {
            f"triggers/{name}.yaml": {
                "name": name,
                "kind": "http",
                "document": {"on": {"http": {"auth": "iam"}}, "dag": "ingest_orders", "conf": {"id": "{{ id }}"}},
            }
            for name in ("orders", "refunds")
        }
        body = json.dumps({"format": "jetway-triggers/1", "triggers": triggers}).encode()
        boto3.client("s3").put_object(Bucket=DROP, Key=ACCEPTED_TRIGGERS, Body=body)
        yield queue


def post(body: object, path: str = "/dags/ingest_orders/dagRuns", **more: Any) -> dict[str, Any]:
    return ask("POST", path, body=body, **{"headers": KEY, **more})


def assert_reused(answer: dict[str, Any]) -> None:
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["type"], problem["status"]) == (422, REUSED, 422)
    assert "'invoice-4711'" in problem["detail"]
    assert "new key" in problem["detail"]


@pytest.mark.parametrize("path", ["/dags/ingest_orders/dagRuns", "/triggers/orders"])
def test_a_key_with_another_body_is_refused_and_starts_nothing(queue: str, path: str) -> None:
    first, other = ({"conf": {"id": 1}}, {"conf": {"id": 2}}) if "dags" in path else ({"id": 1}, {"id": 2})
    accepted = post(first, path)
    assert accepted["statusCode"] == 202
    assert_reused(post(other, path))
    assert len(queued(queue)) == 1
    # The first body is still the same call.
    assert post(first, path)["body"] == accepted["body"]


@pytest.mark.parametrize(
    "same",
    [
        '{"conf":{"a":[1,2],"b":"\\u00e4"}}',
        '  { "conf" : {"b": "\u00e4", "a": [1, 2]} }\n',
        '{"conf": {"a": [1.0, 2e0], "b": "\u00e4"}}',
        b'{"conf": {"a": [1, 2], "b": "\xc3\xa4"}}',
    ],
)
def test_the_same_json_written_otherwise_is_the_same_call(queue: str, same: str | bytes) -> None:
    answers = [post({"conf": {"a": [1, 2], "b": "\u00e4"}}), post(same)]
    assert [answer["statusCode"] for answer in answers] == [202, 202]
    assert answers[0]["body"] == answers[1]["body"]


def test_no_body_and_an_empty_object_are_the_same_call(queue: str) -> None:
    assert [post(body)["statusCode"] for body in ("", "{}", b" ")] == [202, 202, 202]


def test_a_key_counts_for_one_caller_and_one_dag_or_trigger(queue: str) -> None:
    assert post({"conf": {"a": 1}})["statusCode"] == 202
    assert post({"conf": {"a": 2}}, "/dags/refunds/dagRuns")["statusCode"] == 202
    other = {"iam": {"userArn": "arn:aws:iam::111122223333:user/other"}}
    assert post({"conf": {"a": 2}}, authorizer=other)["statusCode"] == 202
    assert post({"id": 1}, "/triggers/orders")["statusCode"] == 202
    assert post({"id": 2}, "/triggers/refunds")["statusCode"] == 202


def test_another_run_id_under_the_same_key_is_another_payload(queue: str) -> None:
    assert post({"dag_run_id": "r1"})["statusCode"] == 202
    assert_reused(post({"dag_run_id": "r2"}))


def test_a_call_that_was_refused_has_not_used_its_key(queue: str) -> None:
    assert post({"config": {}})["statusCode"] == 422
    assert post({"conf": {"a": 1}})["statusCode"] == 202


def test_a_dry_run_sees_that_a_key_was_used_and_does_not_use_it(queue: str) -> None:
    dry = {"dry_run": "true"}
    assert post({"conf": {"a": 1}}, query=dry)["statusCode"] == 200
    assert post({"conf": {"a": 2}})["statusCode"] == 202
    assert_reused(post({"conf": {"a": 1}}, query=dry))


def test_a_call_that_the_queue_did_not_take_may_come_again_and_no_other_in_its_place(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue's answer may only be lost: with another body it could be a second run's conf under the same id."""
    set_queue(monkeypatch, "https://sqs.eu-central-1.amazonaws.com/123456789012/none.fifo")
    assert post({"conf": {"a": 1}})["statusCode"] == 503
    set_queue(monkeypatch, queue)
    assert_reused(post({"conf": {"a": 2}}))
    assert post({"conf": {"a": 1}})["statusCode"] == 202
    assert len(queued(queue)) == 1


def test_without_its_table_no_call_with_a_key_is_accepted(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDEMPOTENCY_TABLE", "none")
    wired().forget()
    answer = post({})
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (503, "urn:jetway:problem:aws-unavailable")
    assert queued(queue) == []
    assert ask("POST", "/dags/ingest_orders/dagRuns", body={})["statusCode"] == 202


@pytest.mark.parametrize("path", ["/dags/ingest_orders/dagRuns", "/triggers/orders"])
@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_empty_or_too_long_is_refused(queue: str, path: str, key: str) -> None:
    answer = post({}, path, headers={"idempotency-key": key})
    assert (answer["statusCode"], queued(queue)) == (422, [])
    assert "Idempotency-Key must have 1 to 255 characters" in json.loads(answer["body"])["detail"]


class Clock:
    """A clock that tests set."""

    now = 1_795_327_200.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_free_again_a_year_after_its_last_use(queue: str) -> None:
    clock = Clock()
    keys = IdempotencyKeys(boto3.client("dynamodb"), "idempotency", clock=clock)
    use = KeyUse("k", "http#1", "a")
    for _ in range(3):
        keys.claim(use)
        clock.now += (KEPT - timedelta(hours=1)).total_seconds()
        with pytest.raises(ProblemError):
            keys.claim(KeyUse("k", "http#1", "b"))
        with pytest.raises(ProblemError):
            keys.check(KeyUse("k", "http#1", "b"))
    clock.now += timedelta(hours=2).total_seconds()
    keys.check(KeyUse("k", "http#1", "b"))
    assert keys.claim(KeyUse("k", "http#1", "b")) is False, "what is left of the other use is no use of this one"
    with pytest.raises(ProblemError):
        keys.claim(use)


def test_a_claim_says_whether_the_key_was_used_for_the_same_before(queue: str) -> None:
    keys = IdempotencyKeys(boto3.client("dynamodb"), "idempotency", clock=Clock())
    assert [keys.claim(KeyUse("k", "http#1", "a")) for _ in range(2)] == [False, True]


def test_a_key_of_a_trigger_is_of_what_makes_its_run_too(queue: str) -> None:
    keys = IdempotencyKeys(boto3.client("dynamodb"), "idempotency", clock=Clock())
    keys.claim(KeyUse("k", "trigger#1", "a", "conf 1"))
    keys.check(KeyUse("k", "trigger#1", "a", "conf 1"))
    with pytest.raises(ProblemError) as caught:
        keys.check(KeyUse("k", "trigger#1", "a", "conf 2"))
    assert "or the trigger's dag or conf has changed since then" in caught.value.problem.detail
    keys.claim(KeyUse("l", "trigger#2", "a"))  # as an earlier release of Jetway wrote it
    keys.check(KeyUse("l", "trigger#2", "a", "conf 1"))


NAMES = st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)  # small, so that some are the same


@given(OBJECTS, st.randoms())
def test_the_same_value_has_one_fingerprint(value: dict[str, Any], shuffle: random.Random) -> None:
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            pairs = list(item.items())
            shuffle.shuffle(pairs)
            return {name: turned(inner) for name, inner in pairs}
        return [turned(inner) for inner in item] if isinstance(item, list) else item

    written = json.dumps(turned(value), indent=1, ensure_ascii=shuffle.random() < 0.5)
    assert fingerprint(json.loads(written)) == fingerprint(value)


def kinds(value: Any) -> Any:
    """Tell true from 1, as JSON does and Python does not."""
    if isinstance(value, dict):
        return {name: kinds(inner) for name, inner in value.items()}
    return [kinds(inner) for inner in value] if isinstance(value, list) else (isinstance(value, bool), value)


@given(OBJECTS, OBJECTS)
def test_other_values_have_other_fingerprints(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (kinds(one) == kinds(other))
