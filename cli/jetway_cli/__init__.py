"""`jetway`, the command line for people and CI. No part of it is in any Lambda package."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the console script calls this."""
    try:
        import click  # noqa: F401 - only whether it is there
        import rich  # noqa: F401
    except ImportError as exc:
        sys.exit(
            f"Error: {exc.name} is missing. Install jetway with its dependencies: run pip install . in its checkout."
        )
    from jetway_cli.app import cli

    cli(prog_name="jetway")
