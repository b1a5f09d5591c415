"""`jetway redrive`: sends dead letters back to the dispatch queue.

Each letter is sent first and deleted afterwards. Killed between the two, the command leaves it in both queues: no event
is lost, and the second copy starts nothing, because its run id is that of the first. The other order could lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError
from jetway_cli.letters import Letter, body_again, deduplication_id, lane_of, matches, read_letter
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Moment, show_time

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# A letter that was looked at is invisible for so long if the command is killed; else it is shown again at once.
LOOKING = 300  # seconds
LONGEST_REASON = 80  # characters in the table


@dataclass(slots=True)
class Redrive:
    """What was done with the letters that were meant."""

    sent: list[Letter] = field(default_factory=list)
    hopeless: list[Letter] = field(default_factory=list)
    others: int = 0


@click.command(epilog="Exit code 1: some of the letters cannot be sent back.")
@click.option("--trigger", help="Only those of this trigger.")
@click.option("--reason", "reasons", multiple=True, help="Only those with this reason, such as dag-not-found.")
@click.option("--since", type=Moment(), help="Only those given up since then: 1h, 2d, or an ISO 8601 time.")
@click.option("--dry-run", is_flag=True, help="Only show what would be sent back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def redrive(
    *, trigger: str | None, reasons: tuple[str, ...], since: datetime | None, dry_run: bool, as_json: bool, **where: Any
) -> None:
    """Send dead letters back to be dispatched.

    A letter whose event has had its run starts nothing. The age of an event counts from its redrive on.
    """
    target = Target(**where)
    done = redrive_letters(
        target.client("sqs"),
        dead_letters_url=target.output("DispatchDeadLettersUrl"),
        dispatch_queue_url=target.output("DispatchQueueUrl"),
        wanted=lambda letter: matches(letter, trigger=trigger, reasons=reasons, since=since),
        dry_run=dry_run,
    )
    _show(done, dry_run=dry_run, as_json=as_json)
    if done.hopeless:
        raise NegativeError(
            f"{_count(done.hopeless)} cannot be sent back: {done.hopeless[0].hopeless_because}. Send the event anew."
        )


def redrive_letters(
    sqs: SQSClient,
    *,
    dead_letters_url: str,
    dispatch_queue_url: str,
    wanted: Callable[[Letter], bool],
    dry_run: bool,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Redrive:
    """Send back the letters that are wanted; show the others again.

    Args:
        dry_run: send and delete nothing.
    """
    now = clock().isoformat()
    done = Redrive()
    looked_at: list[str] = []  # receipts of what stays
    try:
        for letter in _receive(sqs, dead_letters_url):
            if letter.redriven_at == now or not wanted(letter):  # of now: sent by this very command, and back already
                done.others += 1
            elif letter.hopeless_because:
                done.hopeless.append(letter)
            else:
                done.sent.append(letter)
                if not dry_run:
                    _send_back(sqs, dead_letters_url, dispatch_queue_url, letter, now)
                    continue
            looked_at.append(letter.receipt)
    finally:
        for receipt in looked_at:
            sqs.change_message_visibility(QueueUrl=dead_letters_url, ReceiptHandle=receipt, VisibilityTimeout=0)
    return done


def _receive(sqs: SQSClient, url: str) -> Iterator[Letter]:
    """Yield every letter once, each invisible to others while it is looked at."""
    seen: set[str] = set()
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=LOOKING,
            WaitTimeSeconds=1,  # a long poll asks all of the queue's servers; a short one may miss letters
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        fresh = [record for record in answer.get("Messages", []) if record["MessageId"] not in seen]
        if not fresh:
            return
        for record in fresh:
            seen.add(record["MessageId"])
            yield read_letter(record)


def _send_back(sqs: SQSClient, dead_letters_url: str, dispatch_queue_url: str, letter: Letter, now: str) -> None:
    message = letter.message or {}
    sqs.send_message(
        QueueUrl=dispatch_queue_url,
        MessageBody=body_again(message, now=now),
        MessageGroupId=lane_of(message),
        MessageDeduplicationId=deduplication_id(letter),
    )
    sqs.delete_message(QueueUrl=dead_letters_url, ReceiptHandle=letter.receipt)


def _show(done: Redrive, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "sent": [_to_json(letter) for letter in done.sent],
                "hopeless": [_to_json(letter) for letter in done.hopeless],
                "others": done.others,
            }
        )
        return
    rows = [_row(letter) for letter in (*done.sent, *done.hopeless)]
    if rows:
        print_table(["last try (UTC)", "trigger", "dag", "reason", "error"], rows)
    verb = "would be sent back" if dry_run else "sent back"
    say(f"{_count(done.sent)} {verb}" + (f", {done.others} others left." if done.others else "."))


def _row(letter: Letter) -> list[str]:
    error = " ".join(letter.error.split())
    if len(error) > LONGEST_REASON:
        error = error[: LONGEST_REASON - 1] + "…"
    return [show_time(letter.last_try), letter.trigger or "", letter.dag_id or "", letter.reason, error]


def _to_json(letter: Letter) -> dict[str, Any]:
    names = ("id", "reason", "error", "trigger", "dag_id", "dag_run_id")
    return {name: getattr(letter, name) for name in names} | {"last_try": letter.last_try.isoformat()}


def _count(letters: list[Letter]) -> str:
    return f"{len(letters)} dead letter" + ("" if len(letters) == 1 else "s")
