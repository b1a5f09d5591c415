"""The published JSON Schema and what Jetway refuses are one and the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.documents.json_schema import problems
from jetway.triggers import file as triggers
from tests.unit.triggers.samples import DOCUMENTS

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "docs" / "schemas" / "trigger.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(triggers.schema())

# Values and keys that the schema speaks of, beside anything else.
KEYS = st.sampled_from(
    [
        *("dag", "on", "conf", "each", "batch", "expect", "limits", "enabled", "within", "max_events", "max_event_age"),
        *("s3", "event", "schedule", "http", "bucket", "key", "bus", "cron", "at", "rate", "timezone", "auth"),
        *("prefix", "suffix", "wildcard", "anything-but", "numeric", "exists", "cidr", "equals-ignore-case"),
        *("$or", "source", "detail", "detail-type", "Dag", "onn", "x"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [
            *("x", "", "5m", "25 h", "10/min", "a**", "a\\b", "2030-01-01T00:00", "0 6 ? * 2 *", "iam", "10.0.0.0/8"),
            *(">", "<", 0, 1, -1, 2.5, 500.0, 10**10, 10_001, True, False, None, "b" * 300, "acme-x", "ünï"),
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def nearly_valid(draw: st.DrawFn) -> Any:
    """A valid document with up to three changes somewhere in it."""
    document: Any = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(0, 3))):
        container: Any = document
        while True:
            places = list(container) if isinstance(container, dict) else list(range(len(container)))
            inner = [place for place in places if isinstance(container[place], dict | list)]
            if not inner or draw(st.booleans()):
                break
            container = container[draw(st.sampled_from(inner))]
        _change(draw, container, places)
    return document


def _change(draw: st.DrawFn, container: Any, places: list[Any]) -> None:
    change = draw(st.sampled_from(["replace", "delete", "add", "rename"]))
    if change == "add" or not places:
        if isinstance(container, dict):
            container[draw(KEYS)] = draw(VALUES)
        else:
            container.append(draw(VALUES))
        return
    place = draw(st.sampled_from(places))
    if change == "replace":
        container[place] = draw(VALUES)
    else:
        value = container.pop(place)
        if change == "rename" and isinstance(container, dict):
            container[draw(KEYS)] = value


def test_the_published_schema_is_the_one_that_is_used() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == triggers.schema()


@settings(max_examples=600, deadline=None)
@given(nearly_valid())
def test_the_schema_and_jetway_agree_on_nearly_valid_files(document: Any) -> None:
    assert (problems(document, triggers.schema()) == []) == VALIDATOR.is_valid(document)


@settings(deadline=None)
@given(VALUES)
def test_the_schema_and_jetway_agree_on_anything(document: Any) -> None:
    assert (problems(document, triggers.schema()) == []) == VALIDATOR.is_valid(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_samples_are_valid(document: Any) -> None:
    VALIDATOR.validate(document)
    parsed = triggers.from_document(document, "orders")
    assert {finding.severity for finding in parsed.judgement.findings} <= {"warning"}
    assert parsed.trigger is not None
    assert parsed.trigger.kind == next(iter(document["on"]))


def test_a_keyword_that_is_not_understood_is_no_silent_pass() -> None:
    with pytest.raises(NotImplementedError):
        problems({}, {"type": "object", "unevaluatedProperties": False})
