"""`jetway uninstall`: takes out what is outside of the stack, and says what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options

if TYPE_CHECKING:
    from jetway_cli.leftovers import Leftovers


@click.command(epilog="The exit code is 1 while events wait for their runs. Run it again when they are done.")
@click.option("--yes", is_flag=True, help="Delete. Without this option, nothing changes.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@stack_options
def uninstall(*, yes: bool, as_json: bool, **where: Any) -> None:
    """Delete what Jetway created outside its stack: rules, schedules and alarms of triggers, and attached policies.

    Run this before or after you delete the stack. It finds the resources of a deleted stack by the stack's name.
    The bucket, tables, and key stay, with their content; the command prints the commands that delete them. You can
    create a stack over them again.
    """
    from jetway_cli.leftovers import Account

    target = Target(**where)
    account = Account(target)
    found = account.look()
    if found.is_nothing:
        raise NegativeError(
            f"Stack {found.stack!r} does not exist, and no stack of that name left anything.{target.other_stacks()}"
        )
    if as_json:
        _print_json(found)
    else:
        _show(found)
    if yes:
        account.take_out(found, lambda what: say(f"deleted: {what}"))
        if found.waiting:
            raise NegativeError(
                f"{found.waiting} events wait for their runs and would be lost with the stack. Triggers send "
                "no more events now. When the events are done, run `jetway uninstall --yes` again. `jetway "
                "events` shows them."
            )
        account.detach(found, lambda what: say(f"detached: {what}"))
    elif found.outside:
        say("Nothing was changed. `jetway uninstall --yes` deletes what is outside the stack.")
    if not as_json:
        _tell_what_stays(found)


def _show(found: Leftovers) -> None:
    rows = [
        *(("alarm", name) for name in found.alarms),
        *(("schedule", name) for name in found.schedules),
        *(("rule", f"{name} on bus {bus}") for bus, name in found.rules),
        *(("attached policy", f"{policy} on role {role}") for role, policy in found.attached),
    ]
    there = "is deployed" if found.deployed else "does not exist"
    click.echo(f"Stack {found.stack} {there}. Outside it: {len(rows) or 'nothing'}.")
    if rows:
        print_table(["what", "name"], rows)
    if found.waiting:
        click.echo(f"{found.waiting} events wait for their runs.")


def _tell_what_stays(found: Leftovers) -> None:
    from jetway_cli.leftovers import commands

    lines = commands(found)
    if not lines:
        return
    click.echo("\nNot deleted: " + ", ".join([*found.buckets, *found.tables, *(f"key {key}" for key in found.keys)]))
    if found.deployed:
        click.echo("Delete the stack within a day, because sync_triggers creates rules and schedules again once a day.")
    click.echo(
        "These commands delete everything, including dropped files and the ledger. Leave out what you want to keep:\n"
    )
    for line in lines:
        click.echo(f"  {line}")


def _print_json(found: Leftovers) -> None:
    from dataclasses import asdict

    from jetway_cli.leftovers import commands

    print_json({**asdict(found), "commands": commands(found)})
