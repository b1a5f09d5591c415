"""Triggers that are valid and do not do what was meant: each gets a warning with the remedy, and good ones get none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.artifacts.findings import Finding
from jetway.triggers.file import parse
from jetway.triggers.never_firing import moment_findings
from jetway.triggers.schedule_text import cron_fault, ever_comes
from tests.unit.triggers.samples import DOCUMENTS

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)


def warnings(on: dict[str, Any], dag: str = "orders") -> list[Finding]:
    """What is said of a valid trigger."""
    parsed = parse(json.dumps({"dag": dag, "on": on}).encode(), "triggers/orders.yaml")
    assert parsed.trigger is not None
    assert parsed.judgement.verdict == "accepted"
    found = [*parsed.judgement.findings, *moment_findings(parsed.trigger.on, NOW, parsed.line)]
    assert {finding.severity for finding in found} <= {"warning"}
    return found


def of_key(key: Any) -> list[Finding]:
    return warnings({"s3": {"bucket": "acme-landing", "key": key}})


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ({"prefix": "uploads/*"}, "Write prefix: 'uploads/'"),
        ({"prefix": "uploads/*", "suffix": ".txt"}, "Write prefix: 'uploads/'"),
        ({"prefix": "uploads/**"}, "Write prefix: 'uploads/'"),
        ({"prefix": "in/*/orders"}, "For a pattern write wildcard: 'in/*/orders*'."),
        ({"prefix": "*"}, "Leave it out"),
        ({"suffix": "*.csv"}, "Write suffix: '.csv'"),
        ({"suffix": "*-orders-*.csv"}, "For a pattern write wildcard: '*-orders-*.csv'."),
        ({"suffix": ".{csv,json}"}, "under key: [{suffix: '.csv'}, {suffix: '.json'}]."),
        ({"suffix": "*.{csv, json}"}, "under key: [{suffix: '.csv'}, {suffix: '.json'}]."),
        ({"prefix": "{in,out}/*"}, "under key: [{prefix: 'in/'}, {prefix: 'out/'}]."),
        ({"suffix": "-*.{csv,json}"}, "For a pattern write wildcard"),
        ({"suffix": "[0-9].csv"}, "For a pattern write wildcard"),
        ({"prefix": "in/202?"}, "For a pattern write wildcard"),
        ({"suffix": ".csv$"}, "Write suffix: '.csv'."),
        ({"suffix": "\\.csv$"}, "Write suffix: '.csv'."),
        ({"prefix": "^in/"}, "Write prefix: 'in/'."),
        ("in/*.csv", "For a pattern write wildcard: 'in/*.csv'."),
        (["a.csv", "b*.csv"], "For a pattern write wildcard: 'b*.csv'."),
        ({"wildcard": "in/*/orders-?.csv"}, "Write *"),
        ({"wildcard": "in/*.{csv,json}"}, "or a list of matchers"),
        ({"prefix": "/incoming/"}, "Write 'incoming/'."),
        ({"prefix": "./incoming/"}, "Write 'incoming/'."),
        ({"prefix": "s3://acme-landing/incoming/"}, "Write 'incoming/'."),
        ({"prefix": "/"}, "Leave it out"),
        ({"wildcard": "/in/*.csv"}, "Write 'in/*.csv'."),
        ("/in/a.csv", "Write 'in/a.csv'."),
        ("incoming/", "key: {prefix: incoming/}"),
        ({"anything-but": "*.tmp"}, "anything-but: {wildcard: …}"),
        ({"anything-but": ["a", "*.tmp"]}, "anything-but: {wildcard: …}"),
        ({"anything-but": {"suffix": "*.tmp"}}, "anything-but: {wildcard: …}"),
        ({"anything-but": {"prefix": "/tmp/"}}, "Write 'tmp/'."),
        ({"anything-but": {"wildcard": "/tmp/*"}}, "Write 'tmp/*'."),
    ],
)
def test_a_glob_where_text_is_meant_and_a_beginning_that_no_key_has(key: Any, remedy: str) -> None:
    (finding,) = of_key(key)
    assert finding.rule == "never-fires"
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "key",
    [
        "in/a.csv",
        {"prefix": "in/", "suffix": ".csv"},
        {"suffix": "/manifest.json"},
        {"suffix": "_$folder$"},
        {"wildcard": "in/*/x-\\*.csv"},
        {"prefix": "[id]/"},
        {"prefix": "{uuid}/"},
        {"prefix": "..hidden/"},
        {"prefix": ".well-known/"},
        {"anything-but": {"wildcard": "*/tmp/*"}},
        {"anything-but": {"suffix": [".tmp", ".part"]}},
        {"anything-but": "x"},
    ],
)
def test_keys_as_people_write_them_get_no_finding(key: Any) -> None:
    assert of_key(key) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ({"source": ["acme.*"]}, "on.event.source[0]"),
        ({"source": [{"prefix": "acme.*"}]}, "on.event.source[0]"),
        ({"source": ["a"], "resources": ["arn:aws:s3:::acme/*"]}, "on.event.resources[0]"),
        ({"source": ["a"], "detail": {"name": [{"suffix": "*.csv"}]}}, "on.event.detail.name[0]"),
        ({"source": ["a"], "detail": {"state": ["*"]}}, "on.event.detail.state[0]"),
        ({"source": ["a"], "$or": [{"detail": {"a": ["x*"]}}, {"detail": {"b": [1]}}]}, "$or[0].detail.a[0]"),
        ({"source": ["a"], "detail": {"a": [{"wildcard": "x?*"}]}}, "on.event.detail.a[0]"),
        ({"source": ["aws.S3"]}, "on.event.source[0]"),
        ({"source": ["aws.s3"], "detail-type": ["s3:ObjectCreated:Put"]}, "on.event.detail-type[0]"),
        ({"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "/in/"}]}}}, "detail.object.key[0]"),
    ],
)
def test_globs_in_event_patterns(pattern: Any, line: str) -> None:
    (finding,) = warnings({"event": pattern})
    assert (finding.rule, line in finding.message) == ("never-fires", True)


@pytest.mark.parametrize(
    "pattern",
    [{"source": ["Acme.Billing"]}, {"source": ["aws.partner/example.com/Acme/Name"]}, {"detail-type": ["s3:a"]}],
)
def test_names_that_are_no_names_of_aws(pattern: Any) -> None:
    assert warnings({"event": {"source": ["a"], **pattern}}) == []


def test_of_the_vocabulary_only_what_is_odd_gets_a_finding() -> None:
    judged = [parse(json.dumps(document).encode(), "triggers/orders.yaml").judgement for document in DOCUMENTS]
    assert [(finding.rule, finding.message.split()[0]) for one in judged for finding in one.findings] == [
        ("never-fires", "on.s3.key[1].prefix:"),  # of keys that have a star
        ("starts-itself", "on.event:"),  # a chain on every DAG's end
    ]


ITS_OWN = {"source": ["jetway"], "detail-type": ["DagRunSucceeded"]}


@pytest.mark.parametrize(
    "pattern",
    [
        {**ITS_OWN, "detail": {"dag_id": ["orders"]}},
        {**ITS_OWN, "detail": {"dag_id": ["other", "orders"]}},
        {**ITS_OWN, "detail": {"dag_id": [{"prefix": "ord"}]}},
        ITS_OWN,
        {"source": ["jetway"]},
        {"source": [{"prefix": "jet"}]},
        {"detail-type": ["DagRunFailed"]},
        {"region": ["eu-central-1"]},
        {**ITS_OWN, "bus": "acme"},
        {"source": ["jetway"], "detail-type": ["DagRunBlocked"]},
        {"source": ["jetway"], "detail-type": [{"anything-but": "DagRunFailed"}]},
        {"source": ["jetway"], "detail-type": [{"anything-but": ["DagRunFailed", "DagRunStarted"]}]},
        {"source": ["jetway"], "detail-type": [{"wildcard": "DagRun*"}]},
        {"source": ["jetway"], "detail-type": [{"suffix": "Succeeded"}]},
        {"source": [{"equals-ignore-case": "JETWAY"}]},
        {"source": ["jetway"], "detail": {"dag_id": [{"anything-but": {"prefix": "ingest_"}}]}},
        {"$or": [{"source": ["acme"]}, {"source": ["jetway"]}]},
        {"account": ["123456789012"]},
        {"source": [{"prefix": ""}]},
        {"detail": {"dag_id": [{"exists": True}]}},
        {"detail": {"trigger": ["orders"]}},
        {"detail": {"dag_run_id": [{"prefix": "jetway__orders__"}], "error": [{"exists": False}]}},
        {"detail-type": ["EventDeadLettered"], "detail": {"dag_id": ["orders"]}},
        {"detail-type": [{"anything-but": {"prefix": "DagRun"}}]},
        {
            "detail": {
                "state": ["failed"],
                "duration_seconds": [{"numeric": [">", 60]}],
                "chain": [{"numeric": [">", 1]}],
            }
        },
        {"detail": {"$or": [{"dag_id": ["orders"]}, {"dag": ["x"]}]}},
    ],
)
def test_a_trigger_on_the_end_of_its_own_runs(pattern: Any) -> None:
    (finding,) = warnings({"event": pattern})
    assert (finding.rule, finding.line) == ("starts-itself", 1)


@pytest.mark.parametrize(
    "pattern",
    [
        {**ITS_OWN, "detail": {"dag_id": ["ingest_orders"]}},
        {**ITS_OWN, "detail": {"dag_id": [{"anything-but": "orders"}]}},
        {"source": ["jetway"], "detail-type": ["ArtifactPromoted"]},
        {"source": ["acme"]},
        {"source": ["jetway"], "detail-type": [{"anything-but": {"wildcard": ["DagRun*", "EventDead*"]}}]},
        {**ITS_OWN, "detail": {"dag_id": ["orders"], "chain": [{"numeric": ["<", 3]}]}},
        {**ITS_OWN, "detail": {"dag_id": ["orders"], "chain": [1]}},
        {**ITS_OWN, "detail": {"dag_id": ["orders"], "dag_run_id": [{"prefix": "jetway__other__"}]}},
        {**ITS_OWN, "detail": {"dag_id": ["orders"], "batch_id": [{"exists": True}], "trigger": ["other"]}},
        {**ITS_OWN, "resources": ["arn:aws:s3:::acme"]},
        {"source": ["jetway"], "detail": {"dag_id": [{"anything-but": {"wildcard": "ord*s"}}]}},
        {"$or": [{"source": ["acme"]}, {"detail-type": ["Order Placed"]}]},
        {"$or": [{"region": ["eu-central-1"]}, {"account": ["123456789012"]}], "bus": "acme"},
        {**ITS_OWN, "detail": {"dag_id": ["orders"], "state": ["unknown"]}},
        {"source": ["aws.s3"], "detail-type": ["Object Created"]},
        {"detail-type": ["Order Placed"]},
        {"region": ["eu-central-1"], "bus": "acme"},
        {**ITS_OWN, "detail": {"environment": ["other"]}},
    ],
)
def test_a_trigger_on_other_events_does_not_start_itself(pattern: Any) -> None:
    assert warnings({"event": pattern}) == []


@pytest.mark.parametrize(
    "cron",
    [
        *("0 9 31 2 ? *", "0 9 30 FEB ? *", "0 9 31 4,6,9,11 ? *", "0 9 29 2 ? 2027", "0 9 30W 2 ? *"),
        *("0 9 * * ? 2020", "0 9 * * ? 2020-2025", "0 9 28 11 ? 2025", "0 9 1 1 ? 2026", "0 9 ? 2 FRI#5 2027"),
        *("0 9 ? 1-6 MON 2026", "0 9 31/5 2 ? *", "0 9 L 10 ? 2026"),
    ],
)
def test_a_date_that_never_comes(cron: str) -> None:
    assert cron_fault(cron) is None
    (finding,) = warnings({"schedule": {"cron": cron}})
    assert (finding.rule, finding.line, cron in finding.message) == ("never-fires", 1, True)


@pytest.mark.parametrize(
    "cron",
    [
        *("0 6 ? * MON-FRI *", "0 9 29 2 ? *", "0 9 29 2 ? 2028", "0 9 31 * ? *", "0 9 30 2,3 ? *", "0 9 L 2 ? *"),
        *("0 9 LW * ? *", "0 9 ? * 6L *", "0 9 ? * 2#1 *", "0 9 ? * FRI#5 *", "0 9 * * ? 2026", "0 9 29 11 ? 2026"),
        *("0 9 28 11 ? 2026", "0 9 1 1 ? 2199", "0/15 8-17 ? JAN-MAR,DEC MON,WED *", "0 9 ? * FRI-MON *"),
        *("0 9 1/7 * ? *", "0 9 */2 * ? *", "0 0 1 1 ? 2020/4", "0 9 29 2 ? 2096-2104"),
    ],
)
def test_a_date_that_comes_gets_no_finding(cron: str) -> None:
    assert cron_fault(cron) is None
    assert warnings({"schedule": {"cron": cron}}) == []


@given(st.dates(date(2026, 11, 29), date(2199, 12, 31)), st.sampled_from(["day", "weekday"]))
def test_a_day_to_come_is_found(day: date, written_by: str) -> None:
    weekday = day.isoweekday() % 7 + 1
    if written_by == "day":
        cron = f"0 9 {day.day} {day.month} ? {day.year}"
    else:
        cron = f"0 9 ? {day:%b} {weekday}#{(day.day - 1) // 7 + 1} {day.year}".upper()
    assert cron_fault(cron) is None
    assert ever_comes(cron, date(2026, 11, 29))
    assert not ever_comes(cron, day.replace(year=day.year + 1, month=1, day=1))


def test_a_moment_that_is_over_is_told_with_its_line() -> None:
    text = b"dag: orders\non:\n  schedule:\n    timezone: Europe/Vienna\n    at: 2020-01-01T00:00:00\n"
    parsed = parse(text, "triggers/orders.yaml")
    assert parsed.trigger is not None
    (finding,) = moment_findings(parsed.trigger.on, NOW, parsed.line)
    assert (finding.rule, finding.severity, finding.line) == ("moment-is-over", "warning", 5)
    assert warnings({"schedule": {"at": "2027-01-01T00:00:00"}}) == []
