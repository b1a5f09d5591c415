"""Trigger files as people write them: what is understood, and what is said of the rest, with its line."""

from __future__ import annotations

import doctest
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from jetway.artifacts.findings import Candidate
from jetway.dispatch.limits import Rate
from jetway.documents import json_schema
from jetway.documents.yaml_document import YamlError, load
from jetway.events.incoming import parse_event
from jetway.sync import aws_errors
from jetway.triggers import durations
from jetway.triggers.checks import FACTS
from jetway.triggers.file import S3, Batch, Schedule, parse
from jetway_cli.check_kinds import kind_of
from tests.unit.sample_events import sample_event

KEY = "triggers/orders.yaml"
INTERVAL = (
    "dag: a\non: {event: {source: [acme]}}\ndata_interval: {start: '2026-11-20T00:00:00Z', end: '2026-11-21T00:00:00Z'}"
)


def found(text: str, key: str = KEY) -> list[tuple[int | None, str, str, str]]:
    parsed = parse(text.encode(), key)
    assert parsed.judgement.verdict == ("accepted" if parsed.trigger else "rejected")
    return [(item.line, item.rule, item.message, item.remedy) for item in parsed.judgement.findings]


@pytest.mark.parametrize("module", [durations, json_schema, aws_errors])
def test_examples_in_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_whole_vocabulary() -> None:
    parsed = parse(
        b"""\
# yaml-language-server: $schema=../docs/schemas/trigger.schema.json
dag: ingest_orders
on:
  s3: {bucket: acme-landing, key: {prefix: incoming/orders/, suffix: .csv}}
conf:
  path: "s3://{{ bucket }}/{{ key }}"
expect: {within: 25h}
limits: {max_event_age: 24h, rate: 10/min}
enabled: false
""",
        KEY,
    )
    assert parsed.judgement.findings == ()
    trigger = parsed.trigger
    assert trigger is not None
    assert (trigger.name, trigger.dag, trigger.kind) == ("orders", "ingest_orders", "s3")
    assert trigger.on == S3(("acme-landing",), ({"prefix": "incoming/orders/", "suffix": ".csv"},))
    assert trigger.conf == {"path": "s3://{{ bucket }}/{{ key }}"}
    assert (trigger.expect, trigger.max_event_age) == (timedelta(hours=25), timedelta(days=1))
    assert (trigger.rate, trigger.enabled) == (Rate(10, 60), False)
    assert [(dag.dag_id, dag.line) for dag in parsed.judgement.dags] == [("ingest_orders", 2)]


def test_the_conf_of_a_batched_trigger_is_made_of_the_batch() -> None:
    text = "dag: a\non: {s3: {bucket: acme}}\nbatch: {max_events: 500, within: 5m}\nconf: {x: '{{ %s }}'}"
    trigger = parse((text % "manifest").encode(), KEY).trigger
    assert trigger is not None
    assert trigger.batch == Batch(500, timedelta(minutes=5))
    for wrong in ("key", "events.0.key"):
        ((_line, rule, _message, remedy),) = found(text % wrong)
        assert (rule, "can name batch_id, count, events, manifest, newest_time, time" in remedy) == ("conf", True)


def test_a_moment_is_on_the_clock_of_its_time_zone() -> None:
    parsed = parse(b"dag: a\non: {schedule: {at: 2030-07-01T08:30, timezone: Europe/Vienna}}", KEY)
    assert parsed.trigger is not None
    assert isinstance(parsed.trigger.on, Schedule)
    assert parsed.trigger.on.at == datetime(2030, 7, 1, 6, 30, tzinfo=UTC)
    assert parsed.trigger.on.expression == "at(2030-07-01T08:30:00)"


@pytest.mark.parametrize(
    ("text", "line", "rule", "said"),
    [
        ("dag: a\non:\n  s3: {bucket: acme}\nexpects: {within: 25h}", 4, "unknown-key", "Did you mean 'expect'?"),
        ("dag: a\non:\n  s3:\n    bucket: acme\n    keys: x", 5, "unknown-key", "Did you mean 'key'?"),
        ("dag: a\non:\n  event: {source: [x], detail_type: [y]}", 3, "unknown-key", "Did you mean 'detail-type'?"),
        ("on:\n  s3: {bucket: acme}", 1, "missing-key", "Add dag:"),
        ("dag: a\non:\n  s3: {}", 3, "missing-key", "bucket: a bucket name"),
        ("dag: a\non:\n  s3: {bucket: acme}\n  http: {auth: iam}", 2, "wrong-keys", "exactly one of"),
        ("dag: a\non: {}", 2, "wrong-keys", "exactly one of"),
        ("dag: a\non:\n  event:\n    bus: x", 3, "wrong-keys", "source, detail-type or detail"),
        ("dag: a\non:\n  event:\n    source: x", 4, "wrong-type", 'for example ["acme.billing"]'),
        ("dag: a\non: {s3: {bucket: 's3://acme/x'}}", 2, "wrong-value", "not its ARN or URL"),
        ("dag: a\non: {s3: {bucket: acme}}\nenabled: yes", 3, "wrong-type", "true or false"),
        ("dag: a\non: {s3: {bucket: acme}}\neach: true\nbatch: {max_events: 5, within: 5m}", 1, "wrong-keys", "only"),
        ("dag: a\non: {s3: {bucket: acme}}\nbatch: {max_events: 0, within: 5m}", 3, "wrong-value", "from 1 to 10000"),
        ("dag: a\non: {s3: {bucket: acme}}\nexpect: {within: 25 hours}", 3, "wrong-value", 'for example "5m"'),
        ("dag: a\non: {s3: {bucket: acme}}\nlimits:\n  rate: 10/minute", 4, "wrong-value", 'for example "10/min"'),
        ("dag: a\non: {s3: {bucket: acme}}\nexpect: {within: 8d}", 3, "out-of-bounds", "7 days"),
        ("dag: a b\non: {s3: {bucket: acme}}", 1, "wrong-value", "dag_id"),
        ("dag: 'a§'\non: {s3: {bucket: acme}}", 1, "dag-id", "dag_id"),
        ("dag: a\non: {schedule: {cron: 0 6 * * MON-FRI}}", 2, "wrong-value", "six fields"),
        ("dag: a\non: {schedule: {cron: 0 6 * * MON-FRI *}}", 2, "schedule", "must be '?'"),
        ("dag: a\non: {schedule: {cron: 0 25 ? * MON *}}", 2, "schedule", "the hours field is '25'"),
        ("dag: a\non: {schedule: {cron: 0 6 ? * 0 *}}", 2, "schedule", "1-7 or SUN-SAT"),
        ("dag: a\non: {schedule: {rate: 30s}}", 2, "wrong-value", "m, h or d"),
        ("dag: a\non: {schedule: {at: 2030-02-30T00:00}}", 2, "schedule", "this time does not exist"),
        ("dag: a\non:\n  schedule:\n    rate: 1h\n    timezone: Europe/Viena", 5, "time-zone", "Europe/Vienna"),
        ("dag: a\non: {schedule: {rate: 1h}}\nbatch: {max_events: 5, within: 5m}", 3, "not-for-this-kind", "batched"),
        ("dag: a\non: {http: {auth: hmac}}\nwhen_paused: skip", 3, "not-for-this-kind", "?dry_run=true"),
        ("dag: a\non: {s3: {bucket: acme}}\nwhen_paused: stop", 3, "wrong-value", "start, wait, skip or dead-letter"),
        ("dag: a\non: {s3: {bucket: acme}}\nlogical_date: planned", 3, "not-for-this-kind", "the event's time"),
        ("dag: a\non: {s3: {bucket: acme}}\nlogical_date: today", 3, "wrong-value", "none, planned, previous"),
        ("dag: a\non: {s3: {bucket: acme}}\nlogical_date: '{{ evnt_time }}'", 3, "conf", "Did you mean 'event_time'?"),
        ("dag: a\non: {schedule: {rate: 1h}}\nlogical_date: '{{ time }}'", 3, "conf", "scheduled_time"),
        (f"{INTERVAL}\nlogical_date: none", 3, "dates", "Leave out logical_date: none"),
        (INTERVAL.replace("2026-11-21", "2026-11-19"), 3, "dates", "Swap start and end"),
        (INTERVAL.replace("21T00:00:00Z", "21"), 3, "dates", "with its zone"),
        (INTERVAL.replace("2026-11-21T00:00:00Z", "tomorrow"), 3, "dates", "with its zone"),
        (INTERVAL.replace("2026-11-21T00:00:00Z", "{{ tiem }}"), 3, "conf", "Did you mean 'time'?"),
        ("dag: a\non: {s3: {bucket: acme}}\ndata_interval: {start: x}", 3, "missing-key", "end"),
        ("dag: a\non: {s3: {bucket: acme}}\nconf:\n  x: '{{ buket }}'", 4, "conf", "Did you mean 'bucket'?"),
        ("dag: a\non: {s3: {bucket: acme}}\nconf:\n  x: ['{{ }}']", 4, "conf", "is not a placeholder"),
        ("dag: a\non: {s3: {bucket: acme}}\nconf: [1]", 3, "wrong-type", "an object"),
        ("dag: a\non: {event: {detail: {n: [{numeric: ['>', 5, '<', 1]}]}}}", 2, "pattern", "lower bound first"),
        ("dag: a\non: {event: {detail: {n: [{cidr: 10.0.0.0/64}]}}}", 2, "pattern", "10.0.0.0/24"),
        ("dag: a\non: {event: {detail: {n: {prefix: x}}}}", 2, "wrong-value", "a list of values"),
        ("dag: a\non: {event: {detail: {n: [{wildcard: 'a**'}]}}}", 2, "wrong-value", "not two *"),
        ("dag: a\non: {s3: {bucket: acme, key: {prefix: a, anything-but: b}}}", 2, "wrong-keys", "or anything-but"),
        ("dag: a\non: {s3: {bucket: acme}}\ndag: b", 3, "yaml", "appears twice"),
        ("dag: a\non: [", 2, "yaml", "not YAML"),
        ("dag: *x", 1, "yaml", "not YAML"),
        ("dag: &x a", 1, "yaml", "anchor"),
        ("", 1, "yaml", "empty"),
        ("- a", 1, "wrong-type", "triggers/<name>.yaml"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_line_and_remedy(text: str, line: int, rule: str, said: str) -> None:
    items = found(text)
    assert any((item[0], item[1]) == (line, rule) and said in f"{item[2]} {item[3]}" for item in items), items


@pytest.mark.parametrize(
    "key",
    [
        *(
            "triggers/orders.yml",
            "triggers/team/orders.yaml",
            "triggers/a b.yaml",
            "triggers/.yaml",
            "triggers/README.md",
        ),
        *(
            "triggers/data.yaml",
            "triggers/http.yaml",
            f"triggers/{'a' * 64}.yaml",
            "triggers/-a.yaml",
            "triggers/a\n.yaml",
        ),
    ],
)
def test_a_file_of_another_name_is_refused(key: str) -> None:
    assert found("dag: a\non: {s3: {bucket: acme}}", key)[0][1] == "file-name"


def test_what_is_no_text_or_too_large_is_refused() -> None:
    assert found("x: y" * 20_000)[0][1] == "too-large"
    parsed = parse(b"dag: a\n# caf\xe9\n", KEY)
    assert [(item.rule, item.line) for item in parsed.judgement.findings] == [("encoding", 2)]


def test_the_check_judges_a_trigger_file_like_sync_does() -> None:
    kind: Any = kind_of(KEY)
    judged = kind.check(Candidate(KEY, 7, b"dag: a\n"), None, 0)
    assert (kind.name, judged.verdict) == ("trigger", "rejected")


def test_the_facts_that_conf_may_ask_for_are_those_that_events_have() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_event("s3", sample_event("s3_object_created"), sent_at=at).facts.keys() == FACTS["s3"]
    assert parse_event("event", sample_event("s3_object_created"), sent_at=at).facts.keys() == FACTS["event"]
    firing = {"schedule-arn": "arn:x/y", "scheduled-time": "2026-01-01T00:00:00Z"}
    assert parse_event("schedule", firing, sent_at=at).facts.keys() == FACTS["schedule"]


@given(st.text() | st.text(alphabet="a:- {}[]\"'&*!#|>%@\n\t?,.0129~"))
def test_any_text_is_yaml_or_is_refused_with_a_line(text: str) -> None:
    try:
        first = load(text).lines[()]
    except YamlError as exc:
        first = exc.line
    assert 1 <= first <= len(text) + 1


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(codec="utf-8"), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="ab :#\"'{\n", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_in_a_file_is_read_as_it_is(value: Any) -> None:
    assert load(json.dumps({"x": value})).value == {"x": value}


def test_yaml_of_other_programs_is_read_like_the_library_does() -> None:
    text = "a: 010\nb: 0x1F\nc: 1e3\nd: .5\ne: ~\nf: True\ng: 'x'\nh: |\n  a\n  b\ni: >-\n  a\n  b\nj: {k: [1, 2]}\n"
    assert load(text).value == YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("  when: {{ scheduled_time }}", 'when: "{{ scheduled_time }}"'),
        ("  when: {{scheduled_time}}  # at six", 'when: "{{scheduled_time}}"'),
        ("  when: {{ scheduled_time }}/x", 'when: "{{ scheduled_time }}/x"'),
        ("  list: [1, 2]\n  more:\n  - {{ schedule }}", '- "{{ schedule }}"'),
        ("  deep: {a: 1, when: {{ scheduled_time }}}", 'when: "{{ scheduled_time }}"'),
    ],
)
def test_a_placeholder_without_quotes_is_told_to_be_quoted(line: str, remedy: str) -> None:
    text = f"dag: a\non: {{schedule: {{rate: 1h}}}}\nconf:\n{line}\n"
    (finding,) = parse(text.encode(), "triggers/t.yaml").judgement.findings
    assert (finding.rule, finding.message) == ("yaml", "A string that begins with {{ is not in quotes.")
    assert finding.line == 4 + line.count("\n")
    assert finding.remedy == f"Quote it: `{remedy}`."


def test_a_key_that_is_a_mapping_and_no_placeholder_is_told_as_such() -> None:
    (finding,) = parse(b"dag: a\n{x: 1}: 2\n", "triggers/t.yaml").judgement.findings
    assert (finding.message, finding.line) == ("A key is not a string.", 2)
