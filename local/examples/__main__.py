"""`make demo EXAMPLE=…`: one example on the local stack."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from rich.table import Table

from local import examples
from local import stack as local_stack
from local.__main__ import EXPECTED
from local.examples.scene import Ended, ExampleError, Scene
from local.examples.sources import Sources
from local.progress import Progress


def main() -> int:
    """Play the example that the first argument names; return the exit code."""
    progress = Progress()
    try:
        return _show(examples.find(" ".join(sys.argv[1:])), progress)
    except (*EXPECTED, ExampleError) as exc:
        progress.console.print(str(exc), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted")
        return 130


def _show(example: examples.Example, progress: Progress) -> int:
    ran_before = local_stack.runs()
    try:
        stack = local_stack.up(progress, parameters=lambda: examples.PARAMETERS)
        with Sources() as sources, ExitStack() as ending:
            scene = Scene(stack, sources)
            with progress.step(f"{example.name}: DAGs promoted, triggers in force"):
                ending.enter_context(examples.installed(example, scene))
            with progress.step(example.about):
                runs = example.play(scene)
        progress.console.print(_table(runs))
        progress.say(f"dags/{example.name}.py and docs/examples.md tell how.   Airflow UI   {stack.airflow_url}")
        if not ran_before and sys.stdin.isatty() and not os.environ.get("KEEP"):
            progress.console.input("Press Enter to stop everything. ")
    except BaseException:
        if not ran_before:
            local_stack.down()
        raise
    if ran_before or os.environ.get("KEEP"):
        progress.say("The local stack goes on; `make down` stops it.")
    else:
        local_stack.down()
    return 0


def _table(runs: list[Ended]) -> Table:
    table = Table(title="Runs", show_lines=True)
    for column in ("started by", "DAG", "run id", "state", "left"):
        table.add_column(column, overflow="fold")
    for run in runs:
        table.add_row(run.cause, run.dag_id, run.run_id, f"[green]{run.state}[/]", run.left)
    return table


if __name__ == "__main__":
    sys.exit(main())
