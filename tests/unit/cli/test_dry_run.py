"""`jetway dry-run`: the whole chain from trigger file to run, offline."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from jetway.triggers.file import parse
from jetway.triggers.resources import message_template
from jetway_cli.app import cli
from tests.unit.dispatching import parse_dispatch
from tests.unit.sample_events import ROOT, sample_event

Jetway = Callable[..., Result]

FILES = {
    "orders": "on: {s3: {bucket: acme, key: {prefix: in/, suffix: .csv}}}\nconf: {path: 's3://{{ bucket }}/{{ key }}'}",
    "other": "on: {s3: {bucket: other, key: {suffix: .json}}}",
    "many": "on: {s3: {bucket: acme}}\nbatch: {max_events: 500, within: 5m}",
    "off": "on: {event: {source: [aws.s3]}}\nenabled: false",
    "nightly": "on: {schedule: {cron: '0 6 ? * MON-FRI *'}}",
}
EVENT: dict[str, Any] = {
    "id": "e1",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "time": "2026-11-22T06:00:00Z",
    "detail": {"bucket": {"name": "acme"}, "object": {"key": "in/a+b é.csv", "version-id": "v1", "etag": "0"}},
}


@pytest.fixture
def triggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of trigger files; nothing that would lead to AWS is set."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    for name, text in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(f"dag: dag_{name}\n{text}\n", encoding="utf-8")
    return tmp_path


def dry_run(triggers: Path, event: object, *options: str) -> Result:
    return CliRunner().invoke(cli, ["dry-run", "--triggers", str(triggers), "-", *options], input=json.dumps(event))


def verdicts(result: Result) -> dict[str, dict[str, Any]]:
    return {verdict["trigger"]: verdict for verdict in json.loads(result.stdout)}


def test_every_trigger_says_what_it_makes_of_the_event(triggers: Path) -> None:
    result = dry_run(triggers, EVENT, "--json")
    assert result.exit_code == 0
    found = verdicts(result)
    assert {name: verdict["outcome"] for name, verdict in found.items()} == {
        "orders": "starts",
        "other": "no match",
        "many": "batched",
        "off": "disabled",
        "nightly": "no match",
    }
    assert found["orders"]["conf"] == {"path": "s3://acme/in/a+b é.csv"}
    assert found["orders"]["goes_to"] == "dispatch queue, lane bulk/orders"
    assert found["other"]["because"] == [
        'detail.bucket.name is "acme", expected ["other"]',
        'detail.object.key is "in/a+b é.csv", expected [{"suffix": ".json"}]',
    ]


def test_the_run_id_is_the_one_that_the_dispatcher_derives(triggers: Path) -> None:
    trigger = parse((triggers / "orders.yaml").read_bytes(), "triggers/orders.yaml").trigger
    assert trigger is not None
    dispatch = parse_dispatch(message_template(trigger, json.dumps(EVENT)), sent_at=datetime.now(UTC))
    assert dispatch.request is not None
    assert verdicts(dry_run(triggers, EVENT, "--json"))["orders"]["dag_run_id"] == dispatch.request.dag_run_id


def test_the_table_has_a_line_for_each_reason_and_the_conf_below(triggers: Path) -> None:
    lines = dry_run(triggers, EVENT).stdout.splitlines()
    assert lines[0].split() == ["trigger", "outcome", "dag", "run", "id", "target,", "or", "reason"]
    assert lines[-5:-1] == ["conf of orders:", "{", '  "path": "s3://acme/in/a+b é.csv"', "}"]
    assert lines[-1].startswith(f"logical date: {EVENT['time'].removesuffix('Z')}.")
    assert sum("expected" in line for line in lines) == 2


def test_an_event_that_starts_nothing_is_a_negative_answer(triggers: Path) -> None:
    result = dry_run(triggers, EVENT | {"source": "acme.billing"})
    assert (result.exit_code, result.stderr) == (1, "Error: This event would start nothing.\n")


def test_the_dates_of_its_run_are_told(triggers: Path) -> None:
    text = "dag: d\non: {event: {source: [acme]}}\nlogical_date: '{{ detail.at }}'\n"
    text += "data_interval: {start: '{{ detail.from }}', end: '2026-11-21T00:00:00Z'}\n"
    (triggers / "dated.yaml").write_text(text)
    detail = {"at": "2026-11-20T06:00:00+01:00", "from": "2026-11-20T00:00:00Z"}
    event = EVENT | {"source": "acme", "detail": detail}
    dated = verdicts(dry_run(triggers, event, "--json"))["dated"]
    assert (dated["outcome"], dated["logical_date"]) == ("starts", detail["at"])
    assert dated["data_interval"] == ["2026-11-20T00:00:00+00:00", "2026-11-21T00:00:00+00:00"]
    assert "data interval: 2026-11-20T00:00:00+00:00 to 2026-11-21T00:00:00+00:00" in dry_run(triggers, event).stdout
    wrong = verdicts(dry_run(triggers, event | {"detail": {**detail, "at": "2026-11-20"}}, "--json"))["dated"]
    assert wrong["outcome"] == "dead-letter"
    assert "has no time zone" in wrong["because"][0]
    backwards = verdicts(dry_run(triggers, event | {"detail": {**detail, "from": "2026-11-22T00:00:00Z"}}, "--json"))
    assert backwards["dated"]["outcome"] == "dead-letter"
    assert "ends before it begins" in backwards["dated"]["because"][0]


def test_an_event_that_the_dispatcher_refuses_is_told(triggers: Path) -> None:
    (triggers / "bad.yaml").write_text("dag: d\non: {event: {source: [acme]}}\nconf: {x: '{{ detail.total }}'}\n")
    result = dry_run(triggers, EVENT | {"source": "acme"}, "--json")
    bad = verdicts(result)["bad"]
    assert (result.exit_code, bad["outcome"]) == (1, "dead-letter")
    assert "total" in bad["because"][0]


def test_a_file_that_is_not_valid_is_told_with_its_line(triggers: Path) -> None:
    (triggers / "broken.yaml").write_text("dag: d\non: {s3: {bucket: acme}}\ncnof: {}\n")
    result = dry_run(triggers, EVENT, "--json")
    broken = verdicts(result)["broken"]
    assert (result.exit_code, broken["outcome"]) == (1, "invalid")
    assert broken["because"][0].startswith("line 3: ")


@pytest.mark.parametrize("event", [[], {}, {"source": "x"}])
def test_what_is_no_event_is_wrong_use(triggers: Path, event: object) -> None:
    result = dry_run(triggers, event)
    assert result.exit_code == 2
    assert "stdin is not an EventBridge event" in result.stderr


def test_an_empty_folder_is_wrong_use(tmp_path: Path) -> None:
    assert dry_run(tmp_path, EVENT).exit_code == 2


def test_an_event_written_by_hand_is_told_what_it_lacks(triggers: Path) -> None:
    detail = {"bucket": {"name": "acme"}, "object": {"key": "in/x.csv"}}
    result = dry_run(triggers, EVENT | {"detail": detail}, "--json")
    assert verdicts(result)["orders"]["because"] == [
        "unknown-event: the s3 event has no 'sequencer' where its source writes one.",
        "an AWS event has all of these; an event that you write yourself needs them too",
    ]


def test_a_folder_that_is_named_like_a_file_is_passed_over(triggers: Path) -> None:
    (triggers / "folder.yaml").mkdir()
    assert dry_run(triggers, EVENT).exit_code == 0


def test_the_end_of_a_run_that_jetway_has_not_started_starts_a_run_once(triggers: Path) -> None:
    pattern = "{source: [jetway], detail-type: [DagRunFailed], detail: {dag_id: [nightly_export]}}"
    (triggers / "mend.yaml").write_text(f"dag: mend\non: {{event: {pattern}}}\n", encoding="utf-8")
    event = sample_event("dag_run_failed")
    schema = json.loads((ROOT / "docs" / "schemas" / "DagRunFailed.json").read_text())
    Draft202012Validator(schema).validate(event["detail"])
    found = [verdicts(dry_run(triggers, event | {"id": id_}, "--json"))["mend"] for id_ in ("copy 1", "copy 2")]
    assert found[0]["outcome"] == "starts"
    assert found[0]["dag_run_id"] == found[1]["dag_run_id"]
