"""Tables for people, JSON for machines. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jetway.documents.escape import visible

# A pipe or a log has no width of its own: nothing is cut there.
WIDE = 400

COLOURS = {
    "started": "green",
    "success": "green",
    "on": "green",
    "duplicate": "cyan",
    "batched": "cyan",
    "dead-lettered": "red",
    "failed": "red",
    "held": "yellow",
    "waiting": "yellow",
    "drifted": "red",
    "ok": "green",
    "warning": "yellow",
    "broken": "red",
    "not known": "cyan",
}


def console() -> Console:
    """Return stdout as a console of rich's."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, heading: bool = True) -> None:
    """Print rows; cells are plain text, whatever brackets they have."""
    table = Table(*columns, box=None, pad_edge=False, show_header=heading, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"  # ids are copied from here: none is cut
    for row in rows:
        table.add_row(*(Text(visible(cell, lines=True), style=COLOURS.get(cell, "")) for cell in row))
    out = console()
    with out.capture() as captured:
        out.print(table)
    # Without spaces at the end of lines, so that what is copied is what was meant.
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def print_json(value: Any, *, line: bool = False) -> None:
    """Print a JSON document, or one line of JSON Lines."""
    text = json.dumps(value, ensure_ascii=False, default=str, indent=None if line else 2)
    # JSON leaves some characters as they are that a terminal obeys.
    click.echo("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))


def say(text: str) -> None:
    """Tell a person something that is no part of the answer."""
    click.echo(visible(text, lines=True), err=True)
