"""Triggers that never end, as far as it takes the stack's own names to tell: at the file, in its report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.artifacts.keys import OWN_PREFIXES
from jetway.triggers.loops import own_files, starts_itself, takes
from jetway_cli.patterns import explain
from tests.unit.sync.world import DROP, ENVIRONMENT_BUCKET, World

BATCH = "batch: {max_events: 5, within: 5m}\n"


def on(source: object, more: str = "") -> str:
    return f"dag: ingest\non: {json.dumps(source)}\n{more}"


def s3(key: object = None, bucket: str = DROP) -> dict[str, Any]:
    return {"s3": {"bucket": bucket, **({} if key is None else {"key": key})}}


DROPPED = {"source": ["aws.s3"], "detail": {"bucket": {"name": [DROP]}}}


@pytest.mark.parametrize(
    "source",
    [
        s3(),
        s3({"suffix": ".json"}),
        s3({"wildcard": "*/orders/*"}),
        s3({"prefix": "batches/"}),
        s3([{"prefix": "incoming/"}, {"anything-but": "x"}]),
        {"event": DROPPED},
        {"event": {"source": ["aws.s3"]}},
        {"event": {"account": ["123456789012"]}},
    ],
    ids=str,
)
def test_a_batch_whose_own_manifest_would_begin_the_next_one_is_refused(world: World, source: object) -> None:
    done = world.sync(orders=on(source, BATCH))
    assert (done.rejected, world.said("orders")[-1]) == (["triggers/orders.yaml"], "starts-itself")
    assert world.rules() == {}, "nothing was made"


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        (s3(), OWN_PREFIXES),
        (s3({"prefix": "reports/triggers/"}), ["reports/"]),
        (s3({"prefix": "accepted/"}), ["accepted/"]),
        (s3("quarantine/dags/x.py/1"), ["quarantine/"]),
        (s3({"wildcard": "bundles/*.zip"}), ["bundles/"]),
        (s3({"anything-but": {"prefix": ["accepted/", "batches/", "bundles/"]}}), ["quarantine/", "reports/"]),
        ({"event": DROPPED | {"detail-type": ["Object Created"]}}, OWN_PREFIXES),
        (s3({"prefix": "incoming/"}), []),
        (s3({"anything-but": {"prefix": list(OWN_PREFIXES)}}), []),
        (s3({"prefix": "data/"}), []),
        (s3("batches"), []),
        (s3(bucket="acme-landing"), []),
        ({"event": DROPPED | {"detail-type": ["Object Deleted"]}}, []),
        ({"event": DROPPED | {"bus": "acme"}}, []),
    ],
    ids=str,
)
def test_a_trigger_on_what_jetway_writes_into_the_drop_bucket_is_warned_of(
    world: World, source: object, taken: list[str]
) -> None:
    done = world.sync(orders=on(source))
    assert done.rejected == []
    told = [found["message"] for found in world.report("orders")["findings"] if found["rule"] == "own-files"]
    assert [prefix for prefix in OWN_PREFIXES for message in told if prefix in message] == list(taken)


@pytest.mark.parametrize("more", ["", BATCH])
@pytest.mark.parametrize(
    "source",
    [
        s3(bucket=ENVIRONMENT_BUCKET),
        s3({"prefix": "dags/"}, ENVIRONMENT_BUCKET),
        {"event": {"source": ["aws.s3"], "detail": {"bucket": {"name": [{"prefix": "acme-env"}]}}}},
    ],
    ids=str,
)
def test_a_trigger_on_the_environments_bucket_is_warned_of(world: World, source: object, more: str) -> None:
    assert world.sync(orders=on(source, more)).rejected == []
    assert "own-files" in world.said("orders")


@pytest.mark.parametrize(
    ("bus", "source", "warned"),
    [
        ("default", {"source": ["jetway"], "detail": {"dag_id": ["ingest"], "environment": ["prod"]}}, True),
        ("default", {"source": ["jetway"], "detail": {"dag_id": ["ingest"], "environment": ["test"]}}, False),
        ("acme", {"account": ["123456789012"], "bus": "acme"}, True),
        ("default", {"account": ["123456789012"], "bus": "acme"}, False),
        ("default", {"source": ["jetway"], "detail": {"dag_id": ["ingest"]}}, True),
    ],
)
def test_the_stacks_own_names_tell_more_and_nothing_twice(
    world: World, bus: str, source: object, warned: object
) -> None:
    world.event_bus = bus
    world.sync(orders=on({"event": source}))
    assert world.said("orders").count("starts-itself") == warned


def test_what_is_known_of_no_environments_bucket_says_nothing_of_it() -> None:
    assert list(own_files({"source": ["aws.s3"]}, "x", batched=False, bucket="a", live=None)) != []
    assert not starts_itself({"dag": "x", "on": {"schedule": {"rate": "1h"}}}, "x")


TEXTS = st.sampled_from(["jetway", "Jetway", "jet", "way", "", "ingest", "orders", "a*b"])
MATCHERS = st.one_of(
    TEXTS,
    st.builds(lambda kind, text: {kind: text}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), TEXTS),
    st.builds(
        lambda a, b: {"wildcard": f"{a.replace('*', chr(92) + '*')}*{b.replace('*', chr(92) + '*')}"}, TEXTS, TEXTS
    ),
    st.builds(lambda text: {"anything-but": text}, TEXTS),
    st.builds(lambda text: {"anything-but": {"prefix": text}}, TEXTS.filter(bool)),
    st.builds(lambda is_there: {"exists": is_there}, st.booleans()),
    st.builds(lambda low: {"numeric": [">=", low, "<", low + 2]}, st.integers(0, 5)),
)
FIELDS = st.dictionaries(
    st.sampled_from(["source", "name", "count", "gone"]), st.lists(MATCHERS, min_size=1, max_size=2)
)
VALUES = st.fixed_dictionaries({"source": TEXTS, "name": TEXTS, "count": st.integers(0, 6)})


@given(FIELDS.filter(bool), FIELDS, VALUES)
def test_of_an_event_that_is_known_whole_it_says_what_the_matcher_of_the_command_line_says(
    pattern: dict[str, Any], below: dict[str, Any], event: dict[str, Any]
) -> None:
    whole = {**event, "detail": event}
    for each in (pattern, {**pattern, **({"detail": below} if below else {})}, {"$or": [pattern, {"name": ["x"]}]}):
        assert takes(each, whole) == (explain(each, whole) == [])
