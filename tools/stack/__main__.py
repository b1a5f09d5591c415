"""The local stack's commands: `python -m tools.stack up | down | logs | env | unenv | demo`, for the Makefile."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from tools.emulator.airflow import AirflowError
from tools.emulator.processes import ProcessError, tail
from tools.progress import Progress, interrupt_when_told_to_end
from tools.stack import calls, demo, stack, ui
from tools.stack.calls import TooLateError
from tools.stack.deploy import DeployError
from tools.venvs import DEV, SetupError

if TYPE_CHECKING:
    from tools.stack.stack import Stack

# What can go wrong without a fault of this program: shown as a sentence, not as a traceback.
EXPECTED: tuple[type[Exception], ...] = (
    AirflowError,
    BotoCoreError,
    ClientError,
    DeployError,
    ProcessError,
    SetupError,
    TooLateError,
    calls.NotLiveError,
    demo.DemoError,
    stack.StackError,
)


# They would lead `jetway` and boto3 elsewhere.
LEAD_ELSEWHERE = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "JETWAY_API_URL")


def main() -> int:
    """Run one command; return its exit code."""
    commands = {"up": _up, "down": _down, "logs": _logs, "env": _env, "unenv": _unenv, "demo": _demo}
    parser = argparse.ArgumentParser(prog="python -m tools.stack", description=__doc__)
    parser.add_argument("command", choices=commands)
    command = parser.parse_args().command
    interrupt_when_told_to_end()
    return finish(Progress(), commands[command])


def finish(progress: Progress, command: Callable[[Progress], int], expected: tuple[type[Exception], ...] = ()) -> int:
    """Run a command to its end, whichever that is; return its exit code.

    Args:
        expected: errors to be shown as a sentence, beside EXPECTED.
    """
    try:
        return command(progress)
    except EXPECTED + expected as exc:
        progress.complain(str(exc))
        code = 1
    except KeyboardInterrupt:
        progress.complain("Interrupted.")
        code = 130
    if stack.runs():
        progress.complain("The local stack is still running. `make down` stops it.")
    return code


def _up(progress: Progress) -> int:
    with stack.stopped_on_failure():
        running = stack.up(progress)
    with progress.step("Status page and Swagger UI"):
        page = ui.start(running)
    with progress.step(f"{demo.GOOD.name}: dropped, checked, and listed by Airflow"):
        calls.put_live(running, demo.GOOD, demo.DAG_ID)
    progress.say(f"Status page  {page}\nSwagger UI   {page}&page=docs")
    progress.say(f"Airflow UI   {running.airflow_url}\nHTTP API     {running.http_api_url}")
    progress.say(f"Drop bucket  s3://{running.outputs['DropBucketName']}")
    progress.say("To start a run, type in this folder:")
    progress.say(f'  eval "$(make -s env)"\n  jetway run {demo.DAG_ID} --wait')
    progress.say("`make down` stops everything; what the stack holds is gone then.")
    return 0


def _down(progress: Progress) -> int:
    ran = stack.runs()
    with progress.step("Everything stopped" if ran else "Nothing was running"):
        stack.down()
    if ran:
        progress.say(
            "Buckets, triggers, events, DAGs and runs are gone. `make up` starts an empty stack, on the same ports."
        )
    return 0


def _logs(progress: Progress) -> int:
    for log in sorted(stack.state_folder().glob("**/run/*.log")):
        progress.say(f"[bold]{log.stem}[/]")
        progress.console.print(tail(log, 40), markup=False)
    return 0


def _env(_progress: Progress) -> int:
    """Print the shell commands that make `jetway`, `aws`, boto3 and the snippets of the docs use the local stack."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in stack.running().env.items()]
    path = f'export PATH={shlex.quote(str(DEV / "bin"))}:"$PATH"'
    print("\n".join([f"unset {' '.join(LEAD_ELSEWHERE)}", *exports, *_past_the_proxy(), path]))
    return 0


def _past_the_proxy() -> list[str]:
    """Behind a proxy, loopback is to be asked without it."""
    if not any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")):
        return []
    had = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")).split(",")
    hosts = shlex.quote(",".join(filter(None, dict.fromkeys([*had, "localhost", "127.0.0.1"]))))
    return [f"export {name}={hosts}" for name in ("NO_PROXY", "no_proxy")]


def _unenv(_progress: Progress) -> int:
    """Print the shell commands that take back what `env` has set."""
    print(f"unset {' '.join(stack.VARIABLES)}\nPATH=${{PATH#{shlex.quote(f'{DEV}/bin:')}}}")
    return 0


def _demo(progress: Progress) -> int:
    """Run the demo. A stack that ran before goes on; one that the demo started ends with it, unless KEEP is set."""
    with stack.stopped_on_failure() as ran_before:
        running = demo.run(progress)
        keep_or_stop(progress, running, ran_before=ran_before)
    return 0


def keep_or_stop(progress: Progress, running: Stack, *, ran_before: bool) -> None:
    """End a demo: stop the stack that it has started, after a look at it where somebody sits at a terminal."""
    addresses = f"Airflow UI   {running.airflow_url}\nHTTP API     {running.http_api_url}"
    if ran_before or os.environ.get("KEEP"):
        progress.say(f"{addresses}\nThe local stack is still running. `make down` stops it.")
        return
    if sys.stdin.isatty():
        progress.say(addresses)
        progress.console.input("Press Enter to stop everything. ")
    stack.down()
    progress.say(
        "The local stack is stopped, and what it held is gone. To keep it, run this with KEEP=1, or `make up` first."
    )


if __name__ == "__main__":
    sys.exit(main())
