"""The command `jetway` with its subcommands."""

from __future__ import annotations

from typing import Any

import click

from jetway_cli.audit import audit
from jetway_cli.check import check
from jetway_cli.doctor.command import doctor
from jetway_cli.dry_run import dry_run
from jetway_cli.errors import translated
from jetway_cli.events import events
from jetway_cli.redrive import redrive
from jetway_cli.run import run
from jetway_cli.sync import sync
from jetway_cli.triggers import triggers
from jetway_cli.ui import ui
from jetway_cli.uninstall import uninstall
from jetway_cli.updates import updates
from jetway_cli.wait import wait
from jetway_cli.workers import workers

INTERRUPTED = 130  # as shells have it: 128 + SIGINT


# Its arguments are paths, and a path may be any bytes.
TAKES_ANY_BYTES = frozenset({"check"})


class Translating(click.Group):
    """A group whose commands end in a sentence, not in a traceback."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; refuse arguments that no program, file or service can take."""
        name, command, rest = super().resolve_command(ctx, args)
        for arg in rest:
            if "\0" in arg:
                raise click.UsageError(f"An argument contains a NUL character: {arg[:100]!r}.", ctx)
            if name not in TAKES_ANY_BYTES and not _is_unicode(arg):
                raise click.UsageError(f"An argument is not UTF-8: {arg[:100]!r}. Encode it as UTF-8.", ctx)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            with translated():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)  # click itself would say "Aborted!" and end with 1, which is an answer of ours


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.group(
    cls=Translating,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=(
        "Exit codes: 0 success, or yes; 1 a negative answer; 2 wrong usage; 3 no answer, because AWS, the "
        "stack, the network, or your credentials prevented it."
    ),
)
@click.version_option(package_name="jetway")
def cli() -> None:
    """Turn events into Airflow runs: start runs, show events and workers, send dead letters back."""


cli.add_command(check)
cli.add_command(doctor)
cli.add_command(run)
cli.add_command(wait)
cli.add_command(redrive)
cli.add_command(events)
cli.add_command(audit)
cli.add_command(triggers)
cli.add_command(dry_run)
cli.add_command(workers)
cli.add_command(updates)
cli.add_command(sync)
cli.add_command(uninstall)
cli.add_command(ui)
