"""What arrives at the gate: S3's events as EventBridge sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.errors import UnknownEventError
from jetway.gate.s3_notification import Arrival, parse_arrival, settle_again


def event(**detail: Any) -> dict[str, Any]:
    found = {"key": "dags/a.py", "size": 1, "etag": "e", "version-id": "v1", "sequencer": "00A1"} | detail
    return {
        "id": "1",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-11-22T06:00:00Z",
        "detail": {
            "bucket": {"name": "acme-drop"},
            "object": {name: value for name, value in found.items() if value is not None},
        },
    }


@settings(deadline=None)
@given(st.text(min_size=1))
def test_the_key_is_taken_as_it_stands(key: str) -> None:
    assert parse_arrival(json.dumps(event(key=key))) == Arrival("acme-drop", key, "v1")


@pytest.mark.parametrize("key", ["a+b.py", "a%20b.py", "a%2Bb.py", 'a "b".py', "a\nb.py"])
def test_nothing_is_decoded_in_a_key(key: str) -> None:
    assert parse_arrival(json.dumps(event(key=key))).key == key


def test_an_event_without_a_version_id() -> None:
    assert parse_arrival(json.dumps(event(**{"version-id": None}))).version_id is None


@pytest.mark.parametrize("more", [{}, {"sequencer": None, "version-id": None, "etag": None}])
def test_a_deletion(more: dict[str, Any]) -> None:
    deletion = event(**more) | {"detail-type": "Object Deleted"}
    version = None if more else "v1"
    assert parse_arrival(json.dumps(deletion)) == Arrival("acme-drop", "dags/a.py", version, deleted=True)


def test_a_lifecycle_rule_is_nobodys_wish_to_take_a_dag_out() -> None:
    deletion = event() | {"detail-type": "Object Deleted"}
    deletion["detail"]["reason"] = "Lifecycle Expiration"
    assert parse_arrival(json.dumps(deletion)).expired


@pytest.mark.parametrize(
    "body",
    [
        "",
        "garbage",
        "null",
        "[]",
        "1",
        "{}",
        "[" * 100_000,
        json.dumps(event() | {"source": "aws.ec2"}),
        json.dumps(event() | {"source": ["aws.s3"]}),
        json.dumps(event() | {"detail-type": "Object Restore Completed"}),
        json.dumps(event(key="") | {"detail-type": "Object Deleted"}),
        json.dumps(event(key=1) | {"detail-type": "Object Deleted"}),
        json.dumps({"source": "aws.s3", "detail-type": "Object Deleted", "detail": None}),
        json.dumps(event() | {"detail": None}),
        json.dumps(event() | {"detail": {"bucket": "x"}}),
        json.dumps(event(key="")),
        json.dumps(event(key=1)),
        json.dumps({"Records": [{"s3": {"object": {"key": "a"}}}]}),
    ],
)
def test_anything_else_is_refused_in_one_way(body: str) -> None:
    with pytest.raises(UnknownEventError):
        parse_arrival(body)


@settings(deadline=None, max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["detail", "object", "bucket", "key", "name", "source", "time"]), x)
        ),
    )
)
def test_no_json_crashes_it(body: Any) -> None:
    with pytest.raises(UnknownEventError):
        parse_arrival(json.dumps(event() | {"detail": body} if isinstance(body, dict) else body))


@pytest.mark.parametrize("version", [None, "v1"])
def test_the_message_that_has_a_key_settled_again_is_read_as_an_arrival(version: str | None) -> None:
    key = "dags/a+b & c/ü.py"
    assert parse_arrival(settle_again("acme-drop", key, version)) == Arrival("acme-drop", key, version)
