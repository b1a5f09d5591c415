"""`make demo EXAMPLE=…`: one example on the local stack."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from rich.table import Table

from tools import examples
from tools.examples.fixture import Ended, ExampleError, Scene
from tools.examples.sources import Sources
from tools.progress import Progress, interrupt_when_told_to_end
from tools.stack import stack as local_stack
from tools.stack.__main__ import finish, keep_or_stop


def main() -> int:
    """Play the example that the first argument names; return the exit code."""
    interrupt_when_told_to_end()
    return finish(Progress(), _show, (ExampleError,))


def _show(progress: Progress) -> int:
    example = examples.find(" ".join(sys.argv[1:]))
    with local_stack.stopped_on_failure() as ran_before:
        stack = local_stack.up(progress, parameters=lambda: examples.PARAMETERS)
        with Sources() as sources, ExitStack() as ending:
            scene = Scene(stack, sources)
            with progress.step(f"{example.name}: DAGs promoted, triggers in force"):
                ending.enter_context(examples.installed(example, scene))
            with progress.step(example.about):
                runs = example.play(scene)
        progress.console.print(_table(runs))
        progress.say(f"dags/{example.name}.py and docs/examples.md show how.")
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
