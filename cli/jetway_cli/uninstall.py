"""`jetway uninstall`: takes out what is outside of the stack, and says what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options

if TYPE_CHECKING:
    from jetway_cli.leftovers import Leftovers


@click.command(epilog="The exit code is 1 while events wait for their runs: run it again when they are done.")
@click.option("--yes", is_flag=True, help="Do it; without this nothing is changed.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@stack_options
def uninstall(*, yes: bool, as_json: bool, **where: Any) -> None:
    """Take out what Jetway made outside of its stack: rules, schedules and alarms of triggers, attached policies.

    Do this before you delete the stack, or after it: what a deleted stack has left is found by its name. Bucket, tables
    and key stay, with all that is in them; the commands that delete them are printed. A stack can be created again over
    them.
    """
    from jetway_cli.leftovers import Account

    target = Target(**where)
    account = Account(target)
    found = account.look()
    if found.is_nothing:
        raise NegativeError(
            f"There is no stack {found.stack!r}, and none of that name has left anything.{target.other_stacks()}"
        )
    if as_json:
        _print_json(found)
    else:
        _show(found)
    if yes:
        account.take_out(found, lambda what: say(f"gone: {what}"))
        if found.waiting:
            raise NegativeError(
                f"{found.waiting} events wait for their runs and would be lost with the stack. No more come by "
                "triggers now. Run `jetway uninstall --yes` again when they are done; `jetway events` shows them."
            )
        account.detach(found, lambda what: say(f"detached: {what}"))
    elif found.outside:
        say("Nothing was changed. `jetway uninstall --yes` takes out what is outside of the stack.")
    if not as_json:
        _tell_what_stays(found)


def _show(found: Leftovers) -> None:
    rows = [
        *(("alarm", name) for name in found.alarms),
        *(("schedule", name) for name in found.schedules),
        *(("rule", f"{name} on bus {bus}") for bus, name in found.rules),
        *(("attached policy", f"{policy} on role {role}") for role, policy in found.attached),
    ]
    there = "is deployed" if found.deployed else "is not there (any more)"
    click.echo(f"Stack {found.stack} {there}. Outside of it: {len(rows) or 'nothing'}.")
    if rows:
        print_table(["what", "name"], rows)
    if found.waiting:
        click.echo(f"{found.waiting} events wait for their runs.")


def _tell_what_stays(found: Leftovers) -> None:
    from jetway_cli.leftovers import commands

    lines = commands(found)
    if not lines:
        return
    click.echo("\nWhat stays: " + ", ".join([*found.buckets, *found.tables, *(f"key {key}" for key in found.keys)]))
    if found.deployed:
        click.echo("Delete the stack within a day: sync_triggers makes rules and schedules again once a day.")
    click.echo("These commands delete everything, also what was dropped and the ledger; leave out what you keep:\n")
    for line in lines:
        click.echo(f"  {line}")


def _print_json(found: Leftovers) -> None:
    from dataclasses import asdict

    from jetway_cli.leftovers import commands

    print_json({**asdict(found), "commands": commands(found)})
