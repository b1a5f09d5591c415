"""`jetway redrive`: sends dead letters back to the queue that they came from or never reached.

Letters are in three queues: the dispatcher's, the collector's, and that of what EventBridge and Scheduler could not
deliver. An event of a trigger with `batch` goes back to the collect queue, every other one to its lane.

Each letter is sent first and deleted afterwards. Killed between the two, the command leaves it in both queues: no event
is lost, and the second copy starts nothing, because its run id is that of the first. The other order could lose it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jetway.dispatch.run import parse_message
from jetway.errors import JetwayError
from jetway.ledger_rows import entry_id
from jetway_cli.arguments import Text, TriggerName, did_you_mean
from jetway_cli.errors import NegativeError, sentence
from jetway_cli.known import question_trigger
from jetway_cli.letters import (
    Letter,
    body_again,
    deduplication_id,
    is_for_a_batch,
    known_reasons,
    lane_of,
    matches,
    read_letter,
)
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Moment, show_time
from jetway_cli.undelivered import ATTRIBUTES, Undelivered

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.ledger import Ledger

# A letter that was looked at is invisible for so long if the command is killed; else it is shown again at once.
LOOKING = 300  # seconds


@dataclass(slots=True)
class Redrive:
    """What was done with the letters that were meant.

    Attributes:
        again: sent back by this very command, and dead letters once more before it had ended.
        others: how many were not meant.
        over: their events have had their runs; they were taken away, and started nothing.
    """

    sent: list[Letter] = field(default_factory=list)
    hopeless: list[Letter] = field(default_factory=list)
    again: list[Letter] = field(default_factory=list)
    over: list[Letter] = field(default_factory=list)
    others: int = 0


@dataclass(frozen=True, slots=True)
class LetterQueue:
    """A queue of letters, and how one of its messages is read."""

    url: str
    read: Callable[[Mapping[str, Any]], Letter] = read_letter


@dataclass(frozen=True, slots=True)
class Goals:
    """Where letters go back to.

    Attributes:
        dispatch, collect: URLs of the queues.
        one_bulk_lane: whether files and events of all triggers share one lane.
        by: who sends them; None where it is not known.
    """

    dispatch: str
    collect: str
    one_bulk_lane: bool = False
    by: str | None = None


def _reasons(_context: click.Context, _parameter: click.Parameter, reasons: tuple[str, ...]) -> tuple[str, ...]:
    known = known_reasons()
    for reason in reasons:
        if reason not in known:
            near, all_ = did_you_mean(reason, known), ", ".join(known)
            raise click.BadParameter(f"No dead letter has the reason {reason!r}.{near} Valid reasons: {all_}.")
    return reasons


@click.command(
    epilog="Exit code 1: some letters cannot be sent back, or no letter and no trigger has the name of --trigger."
)
@click.option("--trigger", type=TriggerName(), help="Only dead letters of this trigger.")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    callback=_reasons,
    help=("Only dead letters with this reason, such as dag-not-found."),
)
@click.option("--since", type=Moment(), help="Only dead letters since this time: 1h, 2d, or an ISO 8601 time.")
@click.option(
    "--force",
    type=Text(),
    metavar="TEXT",
    help="Also start a new run for events that already had one. Use another value for each further run.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be sent back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def redrive(
    *,
    trigger: str | None,
    reasons: tuple[str, ...],
    since: datetime | None,
    force: str | None,
    dry_run: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Send dead letters, and events that EventBridge or Scheduler could not deliver, back to the dispatch queue.

    If the event already had its run, its letter starts nothing; it is shown and removed. The age of an event
    counts from its redrive.
    """
    from jetway.ledger import Ledger

    target = Target(**where)
    ledger = Ledger(target.table(target.output("LedgerTableName")))
    done = redrive_letters(
        target.client("sqs"),
        sources=(
            LetterQueue(target.output("DispatchDeadLettersUrl")),
            LetterQueue(target.output("CollectDeadLettersUrl")),
            LetterQueue(target.output("UndeliveredEventsUrl"), Undelivered(target.client("events")).read),
        ),
        goals=Goals(
            dispatch=target.output("DispatchQueueUrl"),
            collect=target.output("CollectQueueUrl"),
            one_bulk_lane=target.parameters.get("Transport") == "cli",
            by=None if dry_run else _who(target),
        ),
        wanted=lambda letter: matches(letter, trigger=trigger, reasons=reasons, since=since),
        dry_run=dry_run,
        force=force,
        is_over=lambda letter: has_run(ledger, letter),
    )
    _show(done, dry_run=dry_run, as_json=as_json)
    if done.hopeless:
        raise NegativeError(
            f"{_count(done.hopeless)} cannot be sent back: {sentence(done.hopeless[0].hopeless)} Send the "
            "event again from its source."
        )
    if trigger and not done.sent and (question := question_trigger(target, trigger)):
        raise NegativeError(question)


def _who(target: Target) -> str | None:
    """The ARN of whoever runs the command; None where STS does not say."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(target.client("sts").get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError):
        return None


def redrive_letters(
    sqs: SQSClient,
    *,
    sources: Iterable[LetterQueue],
    goals: Goals,
    wanted: Callable[[Letter], bool],
    dry_run: bool,
    force: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    is_over: Callable[[Letter], bool] = lambda _letter: False,
) -> Redrive:
    """Send back the letters that are wanted; show the others again.

    Args:
        dry_run: send and delete nothing.
        force: makes the run another one than the event had, if it had one.
        is_over: tells whether a letter's event has had its run. With `force` it is not asked.
    """
    now = clock().isoformat()
    done = Redrive()
    for source in sources:
        looked_at: list[str] = []  # receipts of what stays
        try:
            for letter in _receive(sqs, source):
                if letter.redriven_at == now:
                    done.again.append(letter)
                elif not wanted(letter):
                    done.others += 1
                elif letter.hopeless:
                    done.hopeless.append(letter)
                else:
                    over = force is None and is_over(letter)
                    (done.over if over else done.sent).append(letter)
                    if not dry_run:
                        if not over:
                            body = body_again(letter.message or {}, now=now, force=force, by=goals.by)
                            _send_back(sqs, letter, goals, body)
                        sqs.delete_message(QueueUrl=source.url, ReceiptHandle=letter.receipt)
                        continue
                looked_at.append(letter.receipt)
        finally:
            for receipt in looked_at:
                sqs.change_message_visibility(QueueUrl=source.url, ReceiptHandle=receipt, VisibilityTimeout=0)
    return done


def has_run(ledger: Ledger, letter: Letter) -> bool:
    """Whether the ledger says that a letter's event was started, or is in a batch. No answer is no.

    Its redrive would start nothing: the letter was written when Airflow had the run and nobody could know.
    """
    try:
        read = parse_message(json.dumps(letter.message), sent_at=letter.last_try)
        entry = ledger.get(entry_id(read.trigger.name, read.digest))
    except JetwayError:  # it cannot be read, or the ledger does not answer
        return False
    return entry is not None and entry.decision in {"started", "batched"}


def _receive(sqs: SQSClient, source: LetterQueue) -> Iterator[Letter]:
    """Yield every letter once, each invisible to others while it is looked at."""
    seen: set[str] = set()
    while True:
        answer = sqs.receive_message(
            QueueUrl=source.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=LOOKING,
            WaitTimeSeconds=1,  # a long poll asks all of the queue's servers; a short one may miss letters
            MessageSystemAttributeNames=["SentTimestamp"],
            MessageAttributeNames=list(ATTRIBUTES),
        )
        fresh = [record for record in answer.get("Messages", []) if record["MessageId"] not in seen]
        if not fresh:
            return
        for record in fresh:
            seen.add(record["MessageId"])
            yield source.read(record)


def _send_back(sqs: SQSClient, letter: Letter, goals: Goals, body: str) -> None:
    message = letter.message or {}
    if is_for_a_batch(message):
        sqs.send_message(QueueUrl=goals.collect, MessageBody=body)
        return
    sqs.send_message(
        QueueUrl=goals.dispatch,
        MessageBody=body,
        MessageGroupId=lane_of(message, one_bulk_lane=goals.one_bulk_lane),
        MessageDeduplicationId=deduplication_id(letter),
    )


def _show(done: Redrive, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "sent": [_to_json(letter) for letter in done.sent],
                "hopeless": [_to_json(letter) for letter in done.hopeless],
                "again": [_to_json(letter) for letter in done.again],
                "over": [_to_json(letter) for letter in done.over],
                "others": done.others,
            }
        )
        return
    rows = [_row(letter) for letter in (*done.sent, *done.over, *done.hopeless)]
    if rows:
        print_table(["last try (UTC)", "trigger", "dag", "reason", "error"], rows)
    verb = "would be sent back" if dry_run else "sent back"
    stay = f"; {done.others} other{'' if done.others == 1 else 's'} not selected" if done.others else ""
    say(f"{_count(done.sent)} {verb}{stay}.")
    if done.over:
        runs = ", ".join(filter(None, (letter.dag_run_id for letter in done.over[:3])))
        away = "would be removed" if dry_run else "was removed" if len(done.over) == 1 else ("were removed")
        say(
            f"{_count(done.over)} {away} and started nothing: the event already had its run "
            f"({runs or 'see jetway events'}). For another run, send the event again from its source."
        )
    if done.again:
        letter = done.again[0]
        say(f"{_count(done.again)} of these failed again immediately: {letter.reason}: {sentence(letter.error)}")


def _row(letter: Letter) -> list[str]:
    error = " ".join(letter.error.split())
    return [show_time(letter.last_try), letter.trigger or "", letter.dag_id or "", letter.reason, error]


def _to_json(letter: Letter) -> dict[str, Any]:
    names = ("id", "reason", "error", "trigger", "dag_id", "dag_run_id")
    return {name: getattr(letter, name) for name in names} | {"last_try": letter.last_try.isoformat()}


def _count(letters: list[Letter]) -> str:
    return f"{len(letters)} dead letter" + ("" if len(letters) == 1 else "s")
