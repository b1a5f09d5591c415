"""Messages of the dispatch queue → runs: identity, run id, conf; and what is refused, with its reason."""

from __future__ import annotations

import copy
import doctest
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow.names import check_run_id
from jetway.dispatch import backoff
from jetway.dispatch import run as dispatch
from jetway.dispatch.run import derive_run_id
from jetway.errors import InvalidConfError, InvalidRequestError, JetwayError, UnknownEventError
from jetway.events.incoming import parse_event
from jetway.http import run_requests
from tests.unit.dispatching import parse_dispatch
from tests.unit.sample_events import sample_event

SENT = datetime(2026, 11, 22, 6, 0, 1, tzinfo=UTC)


def message(event: object, **trigger: object) -> str:
    return json.dumps({"trigger": {"name": "orders", "kind": "s3", "dag": "ingest", **trigger}, "event": event})


@pytest.mark.parametrize("module", [backoff, dispatch, run_requests])
def test_examples_in_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_file_under_data_starts_the_dag_its_key_names_with_the_facts_as_conf() -> None:
    body = sample_event("dispatch_batch")["Records"][0]["body"]
    found = parse_dispatch(body, sent_at=SENT)
    assert found.request is not None
    assert found.request.dag_id == "ingest_orders"
    assert found.request.conf["key"] == 'data/ingest_orders/2026 + café "q".csv'
    assert found.request.conf["bucket"] == "acme-drop"
    assert found.event.occurred_at == datetime(2026, 11, 22, 6, tzinfo=UTC)


def test_the_same_upload_delivered_again_is_the_same_run_and_another_upload_is_another() -> None:
    first = sample_event("s3_object_created")
    again = copy.deepcopy(first)
    again["id"], again["time"] = "another-delivery", "2026-11-22T06:04:00Z"
    other = copy.deepcopy(first)
    other["detail"]["object"]["version-id"] = "the-next-version"
    ids = [_run_id(event) for event in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]


def test_without_versioning_etag_and_sequencer_tell_uploads_apart() -> None:
    first = sample_event("s3_object_created")
    del first["detail"]["object"]["version-id"]
    other = copy.deepcopy(first)
    other["detail"]["object"]["sequencer"] = "00617F08299329D190"
    assert _run_id(first) == _run_id(copy.deepcopy(first)) != _run_id(other)


def test_two_triggers_on_one_event_are_two_runs() -> None:
    event = sample_event("s3_object_created")
    assert _run_id(event, name="orders") != _run_id(event, name="archive")


def test_every_firing_of_a_schedule_is_a_run_of_its_own() -> None:
    def run_id(time: str) -> str:
        return _run_id({"schedule-arn": "arn:x:schedule/jetway/s", "scheduled-time": time}, kind="schedule")

    assert run_id("2026-11-22T06:00:00Z") == run_id("2026-11-22T06:00:00Z") != run_id("2026-11-23T06:00:00Z")


def test_a_call_keeps_the_run_id_it_was_answered_with() -> None:
    body = sample_event("dispatch_batch")["Records"][2]["body"]
    request = parse_dispatch(body, sent_at=SENT).request
    assert request is not None
    assert (request.dag_run_id, dict(request.conf), request.logical_date) == ("by-hand-1", {"a": 1}, None)


def test_a_folder_marker_starts_nothing() -> None:
    event = sample_event("s3_object_created")
    event["detail"]["object"]["key"] = "data/ingest_orders/"
    found = parse_dispatch(message(event, dag=None, dag_from_key="data/"), sent_at=SENT)
    assert found.request is None
    assert found.skipped_because is not None


@pytest.mark.parametrize("key", ["data/orders.csv", "data//x.csv", "data/", "elsewhere/x/y"])
def test_a_key_that_names_no_dag_is_refused_with_the_right_place(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="data/<dag_id>/"):
        dispatch.dag_id_of_key(key, "data/")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "null",
        "{}",
        '{"trigger": {}, "event": {}}',
        '{"trigger": "x", "event": {}}',
        message({}, kind="carrier-pigeon"),
        message({}, kind=["s3"]),
        message({}, name="no/slash"),
        message({}, name=".."),
        message({}, dag=7),
        message({}, dag=None),
        message({}, conf="{{ key }}"),
        message({}, max_event_age="1h"),
        message({}, max_event_age=-1),
        message({}, max_event_age=1e300),
        message([]),
        message({"detail": {"bucket": {"name": "b"}}}),
        message({"detail": {"bucket": {"name": "b"}, "object": {"key": 3}}, "time": "2026-01-01T00:00:00Z"}),
        message({"schedule-arn": "a", "scheduled-time": "<aws.scheduler.scheduled-time>"}, kind="schedule"),
        message({"dag_run_id": ""}, kind="http"),
        message({"id": "1", "source": "acme", "detail-type": None, "time": "x"}, kind="event"),
        "[" * 100_000,
    ],
)
def test_a_message_of_unknown_shape_is_refused(body: str) -> None:
    with pytest.raises(UnknownEventError):
        parse_dispatch(body, sent_at=SENT)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_event_of_any_shape_raises_anything_but_the_typed_errors(event: object) -> None:
    for kind in ("s3", "event", "schedule", "http"):
        try:
            parse_event(kind, event, sent_at=SENT)
        except UnknownEventError:
            continue


@given(st.text())
def test_no_body_raises_anything_but_the_typed_errors(body: str) -> None:
    with pytest.raises(JetwayError):
        parse_dispatch(body, sent_at=SENT)


@given(st.from_regex(dispatch.TRIGGER_NAME, fullmatch=True), st.lists(st.text(), min_size=1))
def test_every_derived_run_id_is_one_that_airflow_takes(name: str, identity: list[str]) -> None:
    run_id = derive_run_id(name, identity)
    check_run_id(run_id)
    assert run_id == derive_run_id(name, tuple(identity))


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_different_identities_have_different_run_ids(one: list[str], other: list[str]) -> None:
    assert (derive_run_id("t", one) == derive_run_id("t", other)) == (one == other)


@given(st.integers(min_value=1, max_value=10_000))
def test_waits_stay_within_their_bounds(tries: int) -> None:
    assert 1 <= backoff.wait_before_retry(tries, longest=900) <= 900
    assert backoff.wait_before_retry(tries, longest=60) <= 60


def test_an_event_time_without_offset_is_utc() -> None:
    event = sample_event("s3_object_created") | {"time": "2026-11-22T06:00:00"}
    assert parse_event("s3", event, sent_at=SENT).occurred_at.utcoffset() == timedelta(0)


def _run_id(event: dict[str, Any], **trigger: object) -> str:
    request = parse_dispatch(message(event, **trigger), sent_at=SENT).request
    assert request is not None
    return request.dag_run_id


def test_the_conf_of_a_trigger_is_filled_in_from_the_event() -> None:
    conf = {"path": "s3://{{ bucket }}/{{ key }}", "size": "{{ size }}", "fixed": [1, "{"]}
    found = parse_dispatch(message(sample_event("s3_object_created"), conf=conf), sent_at=SENT)
    assert found.request is not None
    facts = found.event.facts
    assert found.request.conf == {
        "path": f"s3://{facts['bucket']}/{facts['key']}",
        "size": facts["size"],
        "fixed": [1, "{"],
    }


def test_a_conf_that_asks_for_what_the_event_has_not_is_refused() -> None:
    with pytest.raises(InvalidConfError, match="did you mean 'bucket'"):
        parse_dispatch(message(sample_event("s3_object_created"), conf={"x": "{{ buket }}"}), sent_at=SENT)


def test_a_trigger_may_say_how_long_its_events_wait() -> None:
    found = parse_dispatch(message(sample_event("s3_object_created"), max_event_age=90), sent_at=SENT)
    assert found.trigger.max_event_age == timedelta(seconds=90)


@pytest.mark.parametrize("size", [0, 5])
def test_a_folder_made_in_the_console_is_no_file_but_an_object_named_like_one_is(size: int) -> None:
    event = sample_event("s3_object_created")
    event["detail"]["object"] |= {"key": "incoming/orders/", "size": size}
    assert (parse_dispatch(message(event), sent_at=SENT).request is None) == (size == 0)


def test_copies_of_one_event_of_jetways_own_are_one_event() -> None:
    def identity(event_id: str, **detail: object) -> tuple[str, ...]:
        body = {"id": event_id, "source": "jetway", "detail-type": "DagRunSucceeded", "time": "2026-11-22T06:00:00Z"}
        return parse_event("event", body | {"detail": detail}, sent_at=datetime(2026, 11, 22, tzinfo=UTC)).identity

    assert identity("1", id="orders#x#success") == identity("2", id="orders#x#success")
    assert identity("1", id="orders#x#success") != identity("1", id="orders#y#success")
    assert identity("1") == ("event", "jetway", "1")
