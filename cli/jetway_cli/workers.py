"""`jetway workers`: what the dashboard shows, in the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError
from jetway_cli.output import console, print_json, print_table
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Moment, show_time

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from jetway.workers.view import Row, WorkersView

PAUSE = 30.0  # seconds between looks of --watch; a measurement comes every minute
LEAST_MINUTES = 10  # of a sparkline, however narrow the terminal is


@click.command(epilog="Ctrl-C ends --watch. With --json it prints one JSON object per line.")
@click.option("--watch", "-w", is_flag=True, help="Refresh every 30 seconds.")
@click.option("--until", type=Moment(), help=("End of the hour to show, instead of now: 8h, 2d, or an ISO 8601 time."))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def workers(*, watch: bool, until: datetime | None, as_json: bool, **where: Any) -> None:
    """Show the last hour: workers needed and running, the verdict, events, artifacts, and costs.

    The exit code is 1 if there is no fresh measurement.
    """
    if watch and until:
        raise click.UsageError("--watch always shows the current hour. Leave out --until.")
    target = Target(**where)
    environment = target.output("EnvironmentName")
    view = None
    for view in views(target.client("cloudwatch"), environment, until):
        if as_json:
            print_json(to_json(environment, view), line=watch)
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            show(environment, view)
        if not watch:
            break
    if view is not None and view.measured_at is None:
        raise NegativeError(
            "There are no measurements in this hour. The first numbers arrive about two minutes after a stack "
            "is deployed. If the stack is older, see the alarm no-measurement and the log of measure_workers."
        )
    if view is None or view.verdict == "unknown":
        raise NegativeError(
            "There is no fresh measurement; see the alarm no-measurement and the log of measure_workers."
        )


def views(
    cloudwatch: CloudWatchClient,
    environment: str,
    until: datetime | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[WorkersView]:
    """Yield what CloudWatch says of the hour before `until`, or before now, again and again."""
    from jetway.workers.view import ask_view, workers_view

    while True:
        now = until or clock()
        yield workers_view(ask_view(cloudwatch, environment, now, recent=until is None), now=now)
        sleep(PAUSE)


def show(environment: str, view: WorkersView) -> None:
    """Print the view for people."""
    click.echo(f"{environment}: {view.verdict} - {view.remedy}")
    if view.bounds:
        measured = show_time(view.measured_at)
        click.echo(f"measured {measured} UTC, MinWorkers {view.bounds[0]}, MaxWorkers {view.bounds[1]}")
    if view.verdicts:
        click.echo("in the hour: " + ", ".join(f"{verdict} {count} min" for verdict, count in view.verdicts))
    cells = [("verdict", "", "", view.timeline), *map(_cells, view.rows)]
    # Label, two numbers and three gaps; the sparkline's newest minutes get what is left of the line.
    taken = sum(max(len(cell[column]) for cell in cells) for column in range(2)) + len("the hour") + 6
    minutes = max(LEAST_MINUTES, console().width - taken)
    click.echo()
    print_table(
        ["", "now", "the hour", "minute by minute"], [(*cell[:3], cell[3][-minutes:].rstrip()) for cell in cells]
    )
    if view.triggers:
        click.echo()
        rows = [
            [row.trigger, *(str(count) for count in (row.started, row.duplicate, row.dead_lettered))]
            for row in view.triggers
        ]
        print_table(["trigger", "started", "duplicate", "dead-lettered"], rows)


def to_json(environment: str, view: WorkersView) -> dict[str, Any]:
    """Return the view as the HTTP API's GET /workers has it."""
    from jetway.workers.view import workers_json

    return {"environment": environment, **workers_json(view)}


def _cells(row: Row) -> tuple[str, str, str, str]:
    now, hour = ("", row.text) if row.shown == "sum" else (row.text, "")
    return row.label, now, hour, row.sparkline
