"""`make demo EXAMPLE=…`: one example on the local stack."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from rich.table import Table

from local import examples
from local import stack as local_stack
from local.__main__ import EXPECTED, goes_on, keep_or_stop
from local.examples.scene import Ended, ExampleError, Scene
from local.examples.sources import Sources
from local.progress import Progress, interrupt_when_told_to_end


def main() -> int:
    """Play the example that the first argument names; return the exit code."""
    interrupt_when_told_to_end()
    progress = Progress()
    try:
        return _show(examples.find(" ".join(sys.argv[1:])), progress)
    except (*EXPECTED, ExampleError) as exc:
        progress.complain(str(exc))
        return 1
    except KeyboardInterrupt:
        progress.complain("Interrupted.")
        return 130


def _show(example: examples.Example, progress: Progress) -> int:
    with goes_on(progress) as ran_before:
        stack = local_stack.up(progress, parameters=lambda: examples.PARAMETERS)
        with Sources() as sources, ExitStack() as ending:
            scene = Scene(stack, sources)
            with progress.step(f"{example.name}: DAGs promoted, triggers in force"):
                ending.enter_context(examples.installed(example, scene))
            with progress.step(example.about):
                runs = example.play(scene)
        progress.console.print(_table(runs))
        progress.say(f"dags/{example.name}.py and docs/examples.md tell how.")
        keep_or_stop(progress, stack, ran_before=ran_before)
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
