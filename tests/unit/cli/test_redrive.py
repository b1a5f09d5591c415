"""`jetway redrive`: which letters go back, as what, and what a kill between two steps leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from moto.backends import get_backend

from jetway.dispatch.run import call_lane, parse_message
from jetway.ledger import Decision, Entry, Ledger, entry_id
from jetway_cli.letters import Letter, matches, read_letter
from jetway_cli.redrive import Goals, LetterQueue, redrive_letters
from tests.unit.cli.conftest import Cloud
from tests.unit.cli.test_triggers import BUCKET, ORDERS, accept
from tests.unit.dispatching import parse_dispatch
from tests.unit.sample_events import sample_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Jetway = Callable[..., Result]

SEVEN = datetime(2026, 11, 22, 7, tzinfo=UTC)
S3 = {"trigger": {"name": "data", "kind": "s3", "dag": "orders"}, "event": sample_event("s3_object_created")}
HTTP = {
    "trigger": {"name": "http", "kind": "http", "dag": "orders"},
    "event": {"dag_run_id": "r1", "time": "2026-11-22T06:00:00+00:00"},
}


def test_a_letter_goes_back_as_its_own_event_with_a_new_age(cloud: Cloud, jetway: Jetway) -> None:
    waited = S3 | {"waits": {"since": "2026-11-22T06:00:00+00:00", "count": 9}}
    id_ = cloud.dead_letter(waited)
    result = jetway("redrive")
    assert result.exit_code == 0
    assert result.stderr == "1 dead letter sent back.\n"
    (sent,) = cloud.drain(cloud.dispatch_url)
    body = json.loads(sent["Body"])
    assert "waits" not in body
    assert sent["Attributes"]["MessageGroupId"] == "bulk/data"
    assert sent["Attributes"]["MessageDeduplicationId"] == f"redrive-{id_}"
    now = datetime.now(UTC)
    assert now - datetime.fromisoformat(body.pop("redriven_at")) < timedelta(minutes=1)
    assert body.pop("redriven_by").startswith("arn:aws:sts::"), "who has run the command"
    assert body == S3
    # The run that it asks for is the run that it asked for: a second one cannot come of it.
    again, before = (parse_dispatch(text, sent_at=now) for text in (sent["Body"], json.dumps(S3)))
    assert again.request is not None
    assert before.request is not None
    assert replace(again.request, note=None) == replace(before.request, note=None)
    assert "redriven by arn:aws:sts::" in (again.request.note or "")
    assert cloud.drain(cloud.dead_url) == []


def test_force_makes_it_another_run(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(S3)
    assert jetway("redrive", "--force", "the first run read the wrong table").exit_code == 0
    (sent,) = cloud.drain(cloud.dispatch_url)
    now = datetime.now(UTC)
    again, before = (parse_dispatch(text, sent_at=now).request for text in (sent["Body"], json.dumps(S3)))
    assert again is not None
    assert before is not None
    assert again.dag_run_id != before.dag_run_id


@pytest.mark.parametrize("decision", ["started", "batched"])
def test_a_letter_whose_event_has_had_its_run_starts_nothing_and_says_so(
    cloud: Cloud, jetway: Jetway, decision: Decision
) -> None:
    read = parse_message(json.dumps(S3), sent_at=SEVEN)
    entry = Entry(
        entry_id("data", read.digest), "data", "s3", read.identity, decision, SEVEN, dag_id="orders", dag_run_id="r"
    )
    Ledger(cloud.ledger).record(entry)
    cloud.dead_letter(S3)
    assert "1 dead letter would be removed and started nothing" in jetway("redrive", "--dry-run").stderr
    result = jetway("redrive")
    assert (result.exit_code, cloud.drain(cloud.dispatch_url), cloud.drain(cloud.dead_url)) == (0, [], [])
    assert result.stderr.startswith("0 dead letters sent back.\n1 dead letter was removed and started nothing: ")
    cloud.dead_letter(S3)
    assert len(json.loads(jetway("redrive", "--json").stdout)["over"]) == 1
    cloud.dead_letter(S3)
    assert jetway("redrive", "--force", "all the same").stderr == "1 dead letter sent back.\n"


def test_a_ledger_that_does_not_answer_keeps_nobody_from_redriving(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(S3)
    cloud.ledger.delete()
    assert jetway("redrive").stderr == "1 dead letter sent back.\n"


def test_calls_and_schedules_go_back_to_the_interactive_lane(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(HTTP, trigger="http")
    jetway("redrive")
    (sent,) = cloud.drain(cloud.dispatch_url)
    caller = json.loads(sent["Body"])["event"].get("caller")
    assert sent["Attributes"]["MessageGroupId"] == call_lane("http", str(caller))


def test_a_dry_run_shows_and_changes_nothing(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(S3)
    for _ in range(2):  # the letter can be seen again at once
        result = jetway("redrive", "--dry-run")
        assert result.stdout == (
            "last try (UTC)       trigger  dag     reason         error\n"
            "2026-11-22 06:10:00  data     orders  dag-not-found  DagNotFoundError: Airflow has no DAG 'orders'.\n"
        )
        assert result.stderr == "1 dead letter would be sent back.\n"
    assert cloud.drain(cloud.dispatch_url) == []
    assert len(cloud.drain(cloud.dead_url)) == 1


@pytest.mark.parametrize(
    ("trigger", "reasons", "since", "wanted"),
    [
        (None, [], None, "abc"),
        ("data", [], None, "ac"),
        (None, ["event-too-old"], None, "b"),
        (None, ["event-too-old", "unforeseen"], None, "bc"),
        (None, [], SEVEN, "c"),
        (None, [], SEVEN + timedelta(seconds=1), ""),
        ("data", ["event-too-old"], None, ""),
    ],
)
def test_letters_are_chosen_by_trigger_reason_and_time(
    trigger: str | None, reasons: list[str], since: datetime | None, wanted: str
) -> None:
    letters = {
        "a": _letter(trigger="data", reason="dag-not-found", last_try="2026-11-22T06:10:00+00:00"),
        "b": _letter(trigger="other", reason="event-too-old", last_try="2026-11-22T06:59:59.9+00:00"),
        "c": _letter(trigger="data", reason="unforeseen", last_try="2026-11-22T08:00:00+01:00"),
    }
    chosen = [name for name, one in letters.items() if matches(one, trigger=trigger, reasons=reasons, since=since)]
    assert "".join(chosen) == wanted


def _letter(**members: str) -> Letter:
    body = json.dumps({"message": S3} | members)
    return read_letter(
        {"MessageId": "m", "ReceiptHandle": "r", "Body": body, "Attributes": {"SentTimestamp": "1795000000000"}}
    )


def test_what_is_not_meant_stays(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(S3 | {"mark": "a"}, id_="a")
    cloud.dead_letter(S3 | {"mark": "b"}, id_="b", trigger="other")
    result = jetway("redrive", "--trigger", "data", "--since", "2026-11-22T06:00", "--json")
    assert [sent["trigger"] for sent in json.loads(result.stdout)["sent"]] == ["data"]
    assert [json.loads(sent["Body"])["mark"] for sent in cloud.drain(cloud.dispatch_url)] == ["a"]
    assert [json.loads(left["Body"])["message"]["mark"] for left in cloud.drain(cloud.dead_url)] == ["b"]


def test_what_cannot_go_back_stays_and_is_said(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter("not json", id_="1")
    cloud.dead_letter({}, id_="2")
    cloud.dead_letter(S3, id_="3", message_cut_at=100_000)
    cloud.dead_letter(S3, id_="4")
    result = jetway("redrive")
    assert result.exit_code == 1
    assert "3 dead letters cannot be sent back" in result.stderr
    assert len(cloud.drain(cloud.dispatch_url)) == 1
    assert len(cloud.drain(cloud.dead_url)) == 3


def test_a_message_that_sqs_itself_moved_there_goes_back(cloud: Cloud, jetway: Jetway) -> None:
    cloud.sqs.send_message(
        QueueUrl=cloud.dead_url, MessageBody=json.dumps(S3), MessageGroupId="bulk", MessageDeduplicationId="x"
    )
    assert jetway("redrive", "--reason", "received-too-often").exit_code == 0
    (sent,) = cloud.drain(cloud.dispatch_url)
    assert json.loads(sent["Body"])["event"] == S3["event"]


def test_no_letters_is_no_error(jetway: Jetway) -> None:
    result = jetway("redrive")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "0 dead letters sent back.\n")


def test_more_letters_than_one_receive_holds(cloud: Cloud, jetway: Jetway) -> None:
    for number in range(23):
        cloud.dead_letter(S3 | {"number": number}, id_=str(number))
    jetway("redrive")
    numbers = [json.loads(message["Body"])["number"] for message in cloud.drain(cloud.dispatch_url)]
    assert sorted(numbers) == list(range(23))


class Killed(BaseException):
    """The process ends here."""


class KilledBefore:
    """SQS, until a call of one name: there the process is killed."""

    def __init__(self, sqs: SQSClient, call: str) -> None:
        self._sqs, self._call = sqs, call

    def __getattr__(self, name: str) -> Any:
        if name in {self._call, "change_message_visibility"}:  # a killed process does not tidy up either
            raise Killed
        return getattr(self._sqs, name)


@pytest.mark.parametrize("call", ["send_message", "delete_message"])
def test_killed_between_two_steps_no_letter_is_lost_and_none_is_doubled(cloud: Cloud, call: str) -> None:
    cloud.dead_letter(S3)

    def go(sqs: Any) -> None:
        redrive_letters(
            sqs,
            sources=[LetterQueue(cloud.dead_url)],
            goals=Goals(dispatch=cloud.dispatch_url, collect=cloud.collect_url),
            wanted=lambda _: True,
            dry_run=False,
        )

    with pytest.raises(Killed):
        go(KilledBefore(cloud.sqs, call))
    _show_again()
    go(cloud.sqs)
    assert cloud.drain(cloud.dead_url) == []
    assert len(cloud.drain(cloud.dispatch_url)) == 1


def _show_again() -> None:
    """Let every visibility timeout be over."""
    for account in get_backend("sqs").values():
        for region in account.values():
            for queue in region.queues.values():
                for message in queue._messages:
                    message.change_visibility(0)


def test_a_misspelt_reason_is_wrong_use_and_nothing_is_sent(cloud: Cloud, jetway: Jetway) -> None:
    cloud.dead_letter(S3)
    result = jetway("redrive", "--reason", "dag-not-fund")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'dag-not-found'?" in result.stderr
    assert "event-too-old" in result.stderr
    assert len(cloud.drain(cloud.dead_url)) == 1


@pytest.mark.parametrize("reason", ["dag-not-found", "invalid-conf", "unforeseen", "received-too-often", "undelivered"])
def test_every_reason_that_a_letter_can_have_is_taken(jetway: Jetway, reason: str) -> None:
    assert jetway("redrive", "--reason", reason).exit_code == 0


def test_a_trigger_that_never_was_is_questioned(cloud: Cloud, jetway: Jetway) -> None:
    cloud.outputs["DropBucketName"] = BUCKET
    accept(cloud, {"orders": ORDERS})
    cloud.dead_letter(S3, trigger="deleted_since")
    result = jetway("redrive", "--trigger", "ordres", "--dry-run")
    assert result.exit_code == 1
    assert "Did you mean 'orders'?" in result.stderr
    assert jetway("redrive", "--trigger", "data", "--dry-run").exit_code == 0
    assert jetway("redrive", "--trigger", "deleted_since", "--dry-run").exit_code == 0


class BackAtOnce:
    """SQS with a dispatcher behind it that makes a dead letter of each message again."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud.sqs, name)

    def send_message(self, **call: Any) -> None:
        if call["QueueUrl"] == self._cloud.dispatch_url:
            self._cloud.dead_letter(json.loads(call["MessageBody"]), id_="again")


def test_a_letter_that_comes_back_is_no_other_letter(cloud: Cloud) -> None:
    cloud.dead_letter(S3)
    sqs: Any = BackAtOnce(cloud)
    done = redrive_letters(
        sqs,
        sources=[LetterQueue(cloud.dead_url)],
        goals=Goals(dispatch=cloud.dispatch_url, collect=cloud.collect_url),
        wanted=lambda _: True,
        dry_run=False,
    )
    assert (len(done.sent), len(done.again), done.others) == (1, 1, 0)


def test_what_is_not_meant_is_counted_and_an_error_is_shown_whole(
    cloud: Cloud, jetway: Jetway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    place = "put the file under data/<dag_id>/ of the bucket, then it has its run"
    error = f"UnknownEventError: s3://drop/data/orders.csv belongs to no DAG; {place}."
    cloud.dead_letter(S3, id_="a", error=error)
    cloud.dead_letter(S3, id_="b", trigger="other")
    result = jetway("redrive", "--trigger", "data", "--dry-run")
    assert error in result.stdout
    assert result.stderr == "1 dead letter would be sent back; 1 other not selected.\n"
