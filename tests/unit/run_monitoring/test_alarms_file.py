"""alarms.yaml: what it says, what is wrong with it in which line, and which of its DAGs Airflow does not have."""

from __future__ import annotations

import json
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.run_monitoring.alarms_file import RunAlarms, absent, check_alarms, parse_alarms, schema
from tests.unit.sample_events import ROOT


def parsed(text: str) -> RunAlarms:
    found = parse_alarms(text.encode())
    assert found.value is not None, found.judgement.findings
    return found.value


def test_the_sample_says_owners_silence_and_deadlines() -> None:
    found = parsed((ROOT / "docs/samples/alarms.yaml").read_text())
    assert found.owners == {"nightly_export": ("data-platform@example.com",)}
    assert found.silent == {"complex_workflow"}
    (expected,) = found.expected
    assert (expected.dag_id, expected.by, expected.zone.key) == ("nightly_export", time(6, 0), "Europe/Vienna")
    assert expected.days == {0, 1, 2, 3, 4}
    assert all((ROOT / "dags" / f"{dag_id}.py").exists() for dag_id in found.lines)


def test_days_are_named_or_listed_and_all_by_default() -> None:
    text = "dags:\n  a: {{expect: {{by: '06:00'{}}}}}\n"
    days = [parsed(text.format(more)).expected[0].days for more in ("", ", days: weekend", ", days: [wed, mon]")]
    assert days == [{0, 1, 2, 3, 4, 5, 6}, {5, 6}, {0, 2}]
    assert parsed(text.format("")).expected[0].zone.key == "UTC"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("dags:\n  a: {alarm: maybe}\n", 2, "dags.a.alarm"),
        ("dags:\n  a: {owner: [ann]}\n", 2, "owner"),
        ("dags:\n  a: {}\n", 2, "dags.a"),
        ("dags:\n  a: {expect: {by: '24:00'}}\n", 2, "expect.by"),
        ("dags:\n  a: {expect: {days: daily}}\n", 2, "by"),
        ("dags:\n  a: {expect: {by: '06:00', days: [someday]}}\n", 2, "days"),
        ("timezone: Europe/Wien\ndags:\n  a: {alarm: false}\n", 1, "'Europe/Wien' is not a time zone"),
        ("timezone: ../etc/passwd\ndags:\n  a: {alarm: false}\n", 1, "is not a time zone"),
        ("dags: [a]\n", 1, "dags"),
        ("dags: [", 1, "not YAML"),
        ("#" * 70_000, 1, "larger than 64 KiB"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_remedy(text: str, line: int, message: str) -> None:
    found = parse_alarms(text.encode())
    assert found.value is None
    assert found.judgement.verdict == "rejected"
    first = found.judgement.findings[0]
    assert (first.line, message in first.message, bool(first.remedy)) == (line, True, True), first


def test_a_file_that_is_no_text_is_refused_with_its_line() -> None:
    (finding,) = check_alarms(b"dags:\n  a: {alarm: false}\n\xff").findings
    assert (finding.rule, finding.line) == ("encoding", 3)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_dropped_has_a_verdict(content: bytes) -> None:
    found = parse_alarms(content)
    assert (found.value is None) == (found.judgement.verdict == "rejected")


def test_a_dag_that_is_not_there_has_a_finding_with_its_line_and_the_nearest_name() -> None:
    alarms = parsed("dags:\n  orders: {alarm: false}\n  ordres: {alarm: false}\n  x: {owners: [ann]}\n")
    near, far = absent(alarms, ["orders", "invoices"])
    assert (near.rule, near.severity, near.line) == ("dag-not-there", "warning", 3)
    assert near.message == "Airflow has no DAG 'ordres'. Did you mean 'orders'?"
    assert (far.line, far.message) == (4, "Airflow has no DAG 'x'.")


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads((ROOT / "docs" / "schemas" / "alarms.schema.json").read_text()) == schema()
