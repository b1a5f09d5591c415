"""`jetway events`: what became of events, and why nothing ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.arguments import TriggerName
from jetway_cli.errors import NegativeError
from jetway_cli.known import question_trigger
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Moment, show_time

if TYPE_CHECKING:
    from jetway.ledger import Entry, Ledger

PAUSE = 2.0  # seconds between looks of --follow
# A row is in the ledger's indexes a moment after it was written, and clocks differ a little.
OVERLAP = timedelta(seconds=30)
COLUMNS = ["decided (UTC)", "trigger", "decision", "dag", "run id", "latency", "because"]
# With --follow every row is printed by itself, so the columns have widths of their own.
ENDS = {"success": "the run has succeeded", "failed": "the run has failed: see its task logs"}
WIDTHS = [19, 16, 13, 20, 44, 8]


@click.command(
    epilog=(
        "Each line of --json is one event. Ctrl-C ends --follow. Exit code 1: no event and no trigger has "
        "the name of --trigger."
    )
)
@click.option("--trigger", type=TriggerName(), help="Show only events of this trigger.")
@click.option("--since", type=Moment(), default="1h", show_default=True, help="1h, 2d, or an ISO 8601 time.")
@click.option("--follow", "-f", is_flag=True, help="Keep showing new events.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
@stack_options
def events(*, trigger: str | None, since: datetime, follow: bool, as_json: bool, **where: Any) -> None:
    """Show the events, what Jetway decided on each, and why.


    started        its run was created; the last column shows how the run ended
    duplicate      the event arrived again; its run already exists
    batched        it is in a batch, whose own event starts the run
    held           the environment cannot take runs now; its lane waits, and Jetway tries it again
    waiting        it waits outside its lane, for its DAG or its rate, and Jetway tries it again
    skipped        it starts nothing, as its trigger says
    dead-lettered  Jetway stopped trying: fix the cause, then run jetway redrive
    """
    from jetway.ledger import Ledger

    target = Target(**where)
    ledger = Ledger(target.table(target.output("LedgerTableName")))
    if follow:
        if trigger and (question := question_trigger(target, trigger)):
            say(f"Note: {question}")
        if not as_json:
            click.echo(_line(COLUMNS))
        for entry in news(ledger, trigger, since):
            if as_json:
                print_json(to_json(entry), line=True)
            else:
                click.echo(_line(_row(entry)))
        return
    entries = list(ledger.list_events(trigger, since))
    if as_json:
        for entry in entries:
            print_json(to_json(entry), line=True)
    elif entries:
        print_table(COLUMNS, map(_row, entries))
    if not entries:
        whose = f"of trigger {trigger!r} " if trigger else ""
        say(f"There are no events {whose}since {show_time(since)} UTC.")
        if trigger and (question := question_trigger(target, trigger)):
            raise NegativeError(question)


def news(
    ledger: Ledger,
    trigger: str | None,
    since: datetime,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Entry]:
    """Yield the events since then and go on with new decisions, each once."""
    told: dict[str, datetime] = {}
    while True:
        began = clock()
        for entry in ledger.list_events(trigger, since):
            if told.get(entry.id) != entry.decided_at:
                told[entry.id] = entry.decided_at
                yield entry
        since = max(since, began - OVERLAP)
        told = {id_: decided_at for id_, decided_at in told.items() if decided_at >= since}
        sleep(PAUSE)


def to_json(entry: Entry) -> dict[str, Any]:
    """Return a row of the ledger as JSON, its times in ISO 8601."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(entry).items()}


def because_of(entry: Entry) -> str:
    """Return why it was decided so, and how the run of a started event stands, where that is worth a word. Pure."""
    because = " ".join((entry.because or "").split())
    if entry.decision in {"held", "waiting"} and entry.until is not None:
        return f"{because} Jetway stops trying at {show_time(entry.until)}.".lstrip()
    if entry.decision != "started" or entry.state not in ENDS:
        return because
    if because.startswith("queued"):  # what held the run up when it was started does so no more
        return f"was {because}; {ENDS[entry.state]}"
    return "; ".join(filter(None, (because, ENDS[entry.state] if entry.state == "failed" else "")))


def _row(entry: Entry) -> list[str]:
    latency = "" if entry.latency is None else f"{entry.latency:.1f} s"
    return [
        show_time(entry.decided_at),
        entry.trigger,
        entry.decision,
        entry.dag_id or "",
        entry.dag_run_id or entry.batch_id or "",
        latency,
        because_of(entry),
    ]


def _line(cells: list[str]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(WIDTHS) :]]).rstrip()
