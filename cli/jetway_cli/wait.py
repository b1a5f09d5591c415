"""`jetway wait`: looks at a run that was started before, until it is so far. It starts nothing."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any

import click

from jetway_cli.arguments import Text
from jetway_cli.run import show_run
from jetway_cli.stack import Target, api_option, stack_options, typed_options
from jetway_cli.times import Span


@click.command(
    epilog=(
        "Exit codes: 0 the run has the state of --until; 1 the run failed, its event is a dead letter, or "
        "it did not reach the state in time; 2 wrong usage; 3 the result is unknown."
    )
)
@click.argument("dag_id", metavar="DAG", type=Text())
@click.argument("run_id", metavar="RUN_ID", type=Text())
@click.option(
    "--until",
    type=click.Choice(["queued", "running", "success"]),
    default="success",
    show_default=True,
    help="Wait until the run has this state.",
)
@click.option("--timeout", type=Span(), default="30m", show_default=True, help="Maximum time to wait. 0s checks once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@api_option
@stack_options
@click.pass_context
def wait(
    context: click.Context, /, *, dag_id: str, run_id: str, until: str, timeout: timedelta, as_json: bool, **where: Any
) -> None:
    """Wait for a run that was started before, and show each change of its state. This starts nothing."""
    from jetway.airflow.names import check_dag_id, check_run_id
    from jetway_cli.api import Api
    from jetway_cli.following import FollowedRuns

    check_dag_id(dag_id)
    check_run_id(run_id)
    target = Target(**where)
    again = f"jetway wait {shlex.quote(dag_id)} {shlex.quote(run_id)}{typed_options(context)}"
    follower = FollowedRuns(Api(target), target, dag_id, run_id, again, is_accepted=False)
    show_run(follower.follow(until=until, timeout=timeout), as_json=as_json)
