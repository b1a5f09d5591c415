"""A trigger as AWS resources: patterns, messages, limits, and periods of alarms."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.triggers.file import TriggerFile, from_document, parse
from jetway.triggers.resources import Resources, Targets, resources_of
from tests.unit.dispatching import parse_dispatch
from tests.unit.sample_events import sample_event
from tests.unit.triggers.samples import DOCUMENTS

PLACES = Targets("jetway", "dispatch", "collect", "undelivered", "role", "group")
AT = datetime(2026, 11, 22, tzinfo=UTC)


def trigger(document: Any, name: str = "orders") -> TriggerFile:
    found = from_document(document, name).trigger
    assert found is not None
    return found


def resources(document: Any, places: Targets = PLACES, name: str = "orders") -> Resources:
    return resources_of(trigger(document, name), places)


def rules_found(document: Any, places: Targets = PLACES, name: str = "orders") -> list[str]:
    return [finding.rule for finding in resources(document, places, name).findings]


def s3(key: Any, **more: Any) -> dict[str, Any]:
    return {"dag": "d", "on": {"s3": {"bucket": "acme", "key": key}}, **more}


@pytest.mark.parametrize(
    ("key", "matchers"),
    [
        ("a.csv", ["a.csv"]),
        ({"prefix": "in/"}, [{"prefix": "in/"}]),
        ({"suffix": ".csv"}, [{"suffix": ".csv"}]),
        ({"prefix": "in/*\\", "suffix": "*.csv"}, [{"wildcard": "in/\\*\\\\*\\*.csv"}]),
        (["a", {"anything-but": {"prefix": "tmp/"}}], ["a", {"anything-but": {"prefix": "tmp/"}}]),
    ],
)
def test_keys_become_matchers_of_eventbridge(key: Any, matchers: list[Any]) -> None:
    (rule,) = resources(s3(key)).rules
    assert rule.pattern == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["acme"]}, "object": {"key": matchers}},
    }


def test_an_event_pattern_stays_as_it_is_written_and_goes_to_its_bus() -> None:
    document = DOCUMENTS[4]
    (rule,) = resources(document).rules
    written = dict(document["on"]["event"])
    assert (rule.bus, rule.name) == (written.pop("bus"), "jetway.orders")
    assert rule.pattern == written


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(alphabet='<>"\\{}aws.events $'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_conf_goes_through_the_input_transformer_unharmed(conf: dict[str, Any]) -> None:
    """EventBridge puts the event where `<aws.events.event.json>` is, and must see no other placeholder."""
    document = s3("a")
    found = resources_of(_with_conf(trigger(document), conf), PLACES)
    if found.findings:
        assert [finding.rule for finding in found.findings] == ["conf-too-long"]
        return
    template = found.rules[0].targets[0]["InputTransformer"]["InputTemplate"]
    assert template.count("<") == template.count(">") == 1
    event = sample_event("s3_object_created")
    message = json.loads(template.replace("<aws.events.event.json>", json.dumps(event)))
    asked = {"name": "orders", "kind": "s3", "dag": "d", "conf": conf}
    assert message == {"format": 1, "trigger": asked, "event": event}
    of_before = json.dumps({"trigger": asked, "event": event})  # as 0.1.0 wrote it
    assert not conf or len(template.replace("<aws.events.event.json>", json.dumps(event))) <= _escapes(of_before)


def _escapes(text: str) -> int:
    """How long a template is in which `<` and `>` are escapes."""
    return len(text) + 5 * (text.count("<") + text.count(">"))


def _with_conf(found: TriggerFile, conf: dict[str, Any]) -> TriggerFile:
    return replace(found, conf=conf)


def test_the_message_of_a_rule_is_one_that_dispatch_takes() -> None:
    document = s3(
        {"prefix": "in/"},
        conf={"path": "s3://{{ bucket }}/{{ key }}", "html": "<b>"},
        limits={"max_event_age": "2h", "rate": "10/min"},
    )
    template = resources(document).rules[0].targets[0]["InputTransformer"]["InputTemplate"]
    event = sample_event("s3_object_created")
    found = parse_dispatch(template.replace("<aws.events.event.json>", json.dumps(event)), sent_at=AT)
    assert found.request is not None
    facts = found.event.facts
    assert found.request.conf == {"path": f"s3://{facts['bucket']}/{facts['key']}", "html": "<b>"}
    assert found.trigger.max_event_age is not None
    assert found.trigger.max_event_age.total_seconds() == 7200
    assert found.trigger.rate is not None
    assert (found.trigger.rate.count, found.trigger.rate.per) == (10, 60)


def test_the_message_of_a_schedule_is_one_that_dispatch_takes() -> None:
    (schedule,) = resources(DOCUMENTS[5]).schedules
    request = schedule.request
    assert request["ScheduleExpression"] == "cron(0 6 ? * MON-FRI *)"
    assert request["ScheduleExpressionTimezone"] == "Europe/Vienna"
    body = request["Target"]["Input"].replace("<aws.scheduler.schedule-arn>", "arn:x/jetway.orders")
    found = parse_dispatch(body.replace("<aws.scheduler.scheduled-time>", "2026-11-22T06:00:00Z"), sent_at=AT)
    assert found.request is not None
    assert found.request.conf["scheduled_time"] == "2026-11-22T06:00:00Z"


def test_a_schedule_that_fires_once_is_deleted_after_that() -> None:
    (schedule,) = resources(DOCUMENTS[7]).schedules
    assert schedule.at == datetime(2030, 12, 24, 23, tzinfo=UTC)
    assert schedule.request["ActionAfterCompletion"] == "DELETE"


def test_batched_events_go_to_the_collect_queue() -> None:
    document = s3("a", batch={"max_events": 500, "within": "5m"})
    (target,) = resources(document).rules[0].targets
    assert target["Arn"] == "collect"
    assert "SqsParameters" not in target
    assert '"batch":{"max_events":500,"within":300}' in target["InputTransformer"]["InputTemplate"]
    no_queue = Targets("jetway", "dispatch", None, "undelivered", "role", "group")
    assert rules_found(document, no_queue) == ["no-batches"]


@pytest.mark.parametrize(("names", "found"), [(100, []), (120, ["pattern-too-long"])])
def test_a_pattern_that_is_too_long_is_refused(names: int, found: list[str]) -> None:
    assert rules_found(s3([f"incoming/x{number:04}" for number in range(names)])) == found


@pytest.mark.parametrize(("length", "found"), [(7900, []), (8200, ["conf-too-long"])])
def test_a_conf_that_is_too_long_is_refused(length: int, found: list[str]) -> None:
    assert rules_found(s3("a", conf={"x": "x" * length})) == found
    assert rules_found({"dag": "d", "on": {"schedule": {"rate": "1h"}}, "conf": {"x": "x" * length}}) == found


def test_a_name_that_is_too_long_for_a_rule_is_refused_with_the_room_there_is() -> None:
    places = Targets("s" * 40, "dispatch", "collect", "undelivered", "role", "group")
    assert rules_found(s3("a"), places, "n" * 23) == []
    (finding,) = resources(s3("a"), places, "n" * 24).findings
    assert (finding.rule, "at most 23 characters" in finding.remedy) == ("name-too-long", True)


@given(st.integers(1, 7 * 24 * 60))
def test_an_alarm_looks_back_as_far_as_cloudwatch_can_and_as_long_as_asked(minutes: int) -> None:
    (alarm,) = resources(s3("a", expect={"within": f"{minutes}m"})).alarms
    seconds = alarm.period * alarm.periods
    assert minutes * 60 <= seconds < minutes * 60 + alarm.period
    assert alarm.period % 60 == 0
    assert seconds <= 86400 or (alarm.period >= 3600 and seconds <= 7 * 86400)


def test_a_trigger_that_is_not_enabled_has_no_alarm() -> None:
    document = s3("a", expect={"within": "1h"}, enabled=False)
    found = resources(document)
    assert (found.alarms, found.rules[0].enabled) == ((), False)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_sample_fits(document: Any) -> None:
    found = resources(document)
    assert found.findings == ()
    assert len(found.rules) + len(found.schedules) == (0 if "http" in document["on"] else 1)


@pytest.mark.parametrize("on", ["s3: {bucket: acme}", "schedule: {rate: 1h}"])
def test_what_a_trigger_needs_does_not_hang_on_the_order_of_its_keys(on: str) -> None:
    """Accepted documents are kept with their keys in order; what is read from them is compared with what AWS has."""
    text = f"dag: a\non: {{{on}}}\nconf: {{zebra: 1, ape: {{z: 2, a: 3}}}}\n"
    written = parse(text.encode(), "triggers/orders.yaml").trigger
    assert written is not None
    kept = from_document(json.loads(json.dumps(written.document, sort_keys=True)), "orders").trigger
    assert kept is not None
    assert resources_of(written, PLACES) == resources_of(kept, PLACES)
