"""`jetway ui` beside the local stack: `make up` starts it and prints its address, `make ui` opens that in a browser."""

from __future__ import annotations

import os
import re
import sys
import time
import webbrowser
from typing import TYPE_CHECKING

from jetway_cli.signing_proxy import page_to
from tools.emulator import processes
from tools.stack import stack
from tools.venvs import DEV

if TYPE_CHECKING:
    from tools.stack.stack import Stack

NAME = stack.UI
SECONDS_TO_OPEN = 5  # until the browser has read the page that leads it


def start(running: Stack) -> str:
    """Start `jetway ui` unless it runs, and return the address to open.

    Raises:
        ProcessError: it ended or said nothing; the text has the end of its log.
    """
    folder = running.run_folder
    log = folder / f"{NAME}.log"
    if processes.find(folder, NAME) is None:
        log.unlink(missing_ok=True)  # it has the address of a former one
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "PYTHONUNBUFFERED": "1", **running.env}
    command = [str(DEV / "bin" / "jetway"), "ui", "--no-browser", "--port", str(stack.ui_port())]
    process = processes.start(NAME, command, folder=folder, env=env)

    def address() -> str | None:
        found = re.findall(r"^Status page +(\S+)$", log.read_text(), re.MULTILINE)
        return found[-1] if found else None  # the newest: each opens one browser

    processes.wait_until(lambda: address() is not None, seconds=60, what="jetway ui", processes=[process])
    return address() or ""


def main() -> int:
    """Open the status page of the local stack."""
    try:
        address = start(stack.running())
    except (stack.StackError, processes.ProcessError) as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"Status page  {address}\nSwagger UI   {address}&page=docs")
    print("The address opens one browser, until `make down`; for another one: make ui.")
    with page_to(address) as page:
        if webbrowser.open(page):
            time.sleep(SECONDS_TO_OPEN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
