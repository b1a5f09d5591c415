"""The local stack's commands: `python -m local up | down | logs | env | demo`. The Makefile calls them."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from local import demo, stack, ui
from local.airflow import AirflowError
from local.calls import TooLateError
from local.deploy import DeployError
from local.processes import ProcessError, tail
from local.progress import Progress
from local.venvs import DEV, SetupError

# What can go wrong without a fault of this program: shown as a sentence, not as a traceback.
EXPECTED = (
    AirflowError,
    BotoCoreError,
    ClientError,
    DeployError,
    ProcessError,
    SetupError,
    TooLateError,
    demo.DemoError,
    stack.StackError,
)


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "logs", "env", "demo"])
    command = parser.parse_args().command
    signal.signal(signal.SIGTERM, _interrupt)
    progress = Progress()
    try:
        return {"up": _up, "down": _down, "logs": _logs, "env": _env, "demo": _demo}[command](progress)
    except EXPECTED as exc:
        progress.console.print(str(exc), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted")
        return 130


def _up(progress: Progress) -> int:
    try:
        running = stack.up(progress)
    except BaseException:
        stack.down()
        raise
    with progress.step("Status page and Swagger UI"):
        page = ui.start(running)
    progress.say(f"Status page  {page}\nSwagger UI   {page}&page=docs")
    progress.say(f"Airflow UI   {running.airflow_url}\nHTTP API     {running.http_api_url}")
    progress.say(f"Drop bucket  s3://{running.outputs['DropBucketName']}   (endpoint {running.endpoint})")
    progress.say('Command line eval "$(make -s env)", then for example: jetway run hello_jetway --wait')
    return 0


def _down(progress: Progress) -> int:
    with progress.step("Everything stopped"):
        stack.down()
    return 0


def _logs(progress: Progress) -> int:
    for log in sorted(stack.state_folder().glob("**/run/*.log")):
        progress.say(f"[bold]{log.stem}[/]")
        progress.console.print(tail(log, 40), markup=False)
    return 0


def _env(_progress: Progress) -> int:
    """Print the shell commands that make `jetway`, `aws` and boto3 use the local stack."""
    unset = "unset AWS_PROFILE AWS_SESSION_TOKEN"  # they would lead elsewhere
    exports = [f"export {name}={shlex.quote(value)}" for name, value in stack.running().env.items()]
    print("\n".join([unset, *exports, f'export PATH={shlex.quote(str(DEV / "bin"))}:"$PATH"']))
    return 0


def _demo(progress: Progress) -> int:
    """Run the demo. A stack that ran before goes on; one that the demo started ends with it, unless KEEP is set."""
    ran_before = stack.runs()
    try:
        demo.run(progress)
        if not ran_before and sys.stdin.isatty() and not os.environ.get("KEEP"):
            progress.console.input("Press Enter to stop everything. ")
    except BaseException:
        stack.down()
        raise
    if ran_before or os.environ.get("KEEP"):
        progress.say("The local stack goes on; `make down` stops it.")
    else:
        stack.down()
    return 0


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
