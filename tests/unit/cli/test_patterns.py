"""Patterns against AWS's documentation. tests/integration puts the same table to the local stack's EventBridge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway_cli.patterns import Mismatch, PatternError, explain

IP4, IP6 = "10.0.0.25", "2001:db8::5"

# pattern, event, matches
TABLE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # exact
    ({"a": ["x"]}, {"a": "x"}, True),
    ({"a": ["x"]}, {"a": "X"}, False),
    ({"a": ["x", "y"]}, {"a": "y"}, True),
    ({"a": ["x"]}, {"b": "x"}, False),
    ({"a": [""]}, {"a": ""}, True),
    ({"a": [None]}, {"a": None}, True),
    ({"a": [None]}, {}, False),
    ({"a": [1]}, {"a": 1}, True),
    ({"a": [1]}, {"a": "1"}, False),
    ({"a": ["1"]}, {"a": 1}, False),
    ({"a": [True]}, {"a": True}, True),
    ({"a": [True]}, {"a": "true"}, False),
    ({"a": [True]}, {"a": 1}, False),
    ({"a": [1]}, {"a": True}, False),
    ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "z"}, False),
    ({"a": {"b": ["x"]}}, {"a": {"b": "x", "c": 1}}, True),
    ({"a": {"b": ["x"]}}, {"a": "x"}, False),
    ({"a": ["x"]}, {"a": {"b": "x"}}, False),
    # lists in the event
    ({"a": ["x"]}, {"a": ["z", "x"]}, True),
    ({"a": ["x"]}, {"a": []}, False),
    ({"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]}, True),
    ({"a": {"b": [1], "c": [1]}}, {"a": [{"b": 1, "c": 2}, {"b": 2, "c": 1}]}, False),
    ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 2}, {"b": 2, "c": 1}]}, True),
    # prefix, suffix
    ({"a": [{"prefix": "in/"}]}, {"a": "in/x.csv"}, True),
    ({"a": [{"prefix": "in/"}]}, {"a": "out/in/x.csv"}, False),
    ({"a": [{"prefix": "1"}]}, {"a": 12}, False),
    ({"a": [{"prefix": {"equals-ignore-case": "EVENTB"}}]}, {"a": "EventBridge"}, True),
    ({"a": [{"prefix": {"equals-ignore-case": "bridge"}}]}, {"a": "EventBridge"}, False),
    ({"a": [{"suffix": ".csv"}]}, {"a": "in/x.csv"}, True),
    ({"a": [{"suffix": ".csv"}]}, {"a": "in/x.CSV"}, False),
    ({"a": [{"suffix": {"equals-ignore-case": ".csv"}}]}, {"a": "in/x.CSV"}, True),
    # equals-ignore-case
    ({"a": [{"equals-ignore-case": "alice"}]}, {"a": "ALICE"}, True),
    ({"a": [{"equals-ignore-case": "alice"}]}, {"a": "bob"}, False),
    # wildcard
    ({"a": [{"wildcard": "*.png"}]}, {"a": "dir/x.png"}, True),
    ({"a": [{"wildcard": "dir/*/x*.png"}]}, {"a": "dir/a/b/x1.png"}, True),
    ({"a": [{"wildcard": "dir/*.png"}]}, {"a": "other/x.png"}, False),
    ({"a": [{"wildcard": "a*"}]}, {"a": "a"}, True),
    ({"a": [{"wildcard": "a\\*b"}]}, {"a": "a*b"}, True),
    ({"a": [{"wildcard": "a\\*b"}]}, {"a": "axb"}, False),
    ({"a": [{"wildcard": "a.b"}]}, {"a": "axb"}, False),
    # numeric
    ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 5}, True),
    ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 0}, False),
    ({"a": [{"numeric": ["=", 3.5]}]}, {"a": 3.5}, True),
    ({"a": [{"numeric": ["<", 10]}]}, {"a": -3}, True),
    ({"a": [{"numeric": [">=", 10]}]}, {"a": 10}, True),
    ({"a": [{"numeric": [">", 1]}]}, {"a": "2"}, False),
    ({"a": [{"numeric": [">", 0]}]}, {"a": True}, False),
    # exists: leaves only
    ({"a": [{"exists": True}]}, {"a": 0}, True),
    ({"a": [{"exists": True}]}, {"a": None}, True),
    ({"a": [{"exists": True}]}, {"b": 0}, False),
    ({"a": [{"exists": False}]}, {"b": 0}, True),
    ({"a": [{"exists": False}]}, {"a": 0}, False),
    ({"a": {"b": [{"exists": False}]}}, {"c": 1}, True),
    ({"a": ["x", {"exists": False}]}, {"c": 1}, True),
    # anything-but
    ({"a": [{"anything-but": "x"}]}, {"a": "y"}, True),
    ({"a": [{"anything-but": "x"}]}, {"a": "x"}, False),
    ({"a": [{"anything-but": "x"}]}, {"b": "y"}, False),
    ({"a": [{"anything-but": "x"}]}, {"a": 1}, True),
    ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "y"}, False),
    ({"a": [{"anything-but": 123}]}, {"a": 123}, False),
    ({"a": [{"anything-but": [100, 200]}]}, {"a": 300}, True),
    ({"a": [{"anything-but": "x"}]}, {"a": ["x", "y"]}, True),
    ({"a": [{"anything-but": {"prefix": "tmp/"}}]}, {"a": "in/x"}, True),
    ({"a": [{"anything-but": {"prefix": "tmp/"}}]}, {"a": "tmp/x"}, False),
    ({"a": [{"anything-but": {"suffix": ".tmp"}}]}, {"a": "x.tmp"}, False),
    ({"a": [{"anything-but": {"equals-ignore-case": "x"}}]}, {"a": "X"}, False),
    ({"a": [{"anything-but": {"wildcard": "*/lib/*"}}]}, {"a": "a/lib/b"}, False),
    ({"a": [{"anything-but": {"wildcard": "*/lib/*"}}]}, {"a": "a/bin/b"}, True),
    # cidr
    ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": IP4}, True),
    ({"a": [{"cidr": "10.0.1.0/24"}]}, {"a": IP4}, False),
    ({"a": [{"cidr": "2001:db8::/64"}]}, {"a": IP6}, True),
    ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "no address"}, False),
    # $or
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
    ({"c": ["x"], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 1}, False),
    ({"d": {"$or": [{"a": [{"prefix": "x"}]}, {"a": [{"exists": False}]}]}}, {"d": {"z": 1}}, True),
]


@pytest.mark.parametrize(("pattern", "event", "wanted"), TABLE)
def test_patterns_match_as_aws_documents(pattern: dict[str, Any], event: dict[str, Any], wanted: bool) -> None:
    assert (explain(pattern, event) == []) is wanted


def test_every_field_that_does_not_match_is_told_and_no_other() -> None:
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["acme"]}, "object": {"key": [{"prefix": "in/"}]}}}
    event = {"source": "aws.s3", "detail": {"bucket": {"name": "other"}, "object": {}}}
    assert explain(pattern, event) == [
        Mismatch("detail.bucket.name", '["acme"]', '"other"'),
        Mismatch("detail.object.key", '[{"prefix": "in/"}]', "nothing"),
    ]


def test_alternatives_on_one_field_are_told_together() -> None:
    pattern = {"$or": [{"a": [1]}, {"a": [{"prefix": "x"}]}]}
    assert explain(pattern, {"a": "y"}) == [Mismatch("a", '[1] or [{"prefix": "x"}]', '"y"')]


@pytest.mark.parametrize(
    "pattern",
    [
        {"a": "x"},
        {"a": []},
        {"a": [["x"]]},
        {"a": [{"regex": "x"}]},
        {"a": [{"prefix": 1}]},
        {"a": [{"prefix": "a", "suffix": "b"}]},
        {"a": [{"exists": "yes"}]},
        {"a": [{"numeric": [">"]}]},
        {"a": [{"numeric": ["!", 1]}]},
        {"a": [{"cidr": "10.0.0"}]},
        {"a": [{"wildcard": "a**b"}]},
        {"a": [{"wildcard": "a\\b"}]},
        {"a": [{"anything-but": {"numeric": [">", 1]}}]},
        {"$or": [{"a": [1]}]},
    ],
)
def test_what_eventbridge_refuses_is_refused_whatever_the_event(pattern: dict[str, Any]) -> None:
    for event in ({}, {"a": "x"}):
        with pytest.raises(PatternError):
            explain(pattern, event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


# In a pattern $or is no field but an operator.
@given(event=st.dictionaries(st.text(min_size=1, max_size=3).filter(lambda name: name != "$or"), JSON, max_size=4))
def test_a_field_exists_or_does_not(event: dict[str, Any]) -> None:
    name = next(iter(event), "a")
    there, missing = (explain({name: [{"exists": exists}]}, event) for exists in (True, False))
    assert bool(there) is not bool(missing)


@given(text=st.text(max_size=8), prefix=st.text(max_size=3))
def test_a_prefix_is_the_wildcard_of_it(text: str, prefix: str) -> None:
    wildcard = prefix.replace("\\", "\\\\").replace("*", "\\*") + "*"
    by_wildcard, by_prefix = (
        explain({"a": [matcher]}, {"a": text}) for matcher in ({"wildcard": wildcard}, {"prefix": prefix})
    )
    assert bool(by_wildcard) is bool(by_prefix)
