"""import_dag as Lambda runs it: the real runtime client, a process that stays warm, and a /tmp of its own and small.

A process that ends is answered for as Lambda does, and the next request starts another one.
"""

from __future__ import annotations

import functools
import io
import json
import os
import queue
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from tools import venvs
from tools.bench.runtime_api import RuntimeApi

SECRET = "wJalrXUtnFEMI-not-a-real-key"
_START_SECONDS, _ANSWER_SECONDS = 60, 60
# A small disk, and processes of its own: what is sent to all of them stays among them. The shell waits, so that the
# function is not the first process, which the system spares.
_ALONE = """
mount -t tmpfs -o size=200m,nr_inodes=12k,mode=0700 tmpfs "$TMPDIR" && touch "$TMPDIR/.jetway-sandbox" || exit 1
"$@"
exit $?
"""
_NAMESPACES = ("--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


@functools.cache
def namespaces() -> tuple[str, ...] | None:
    """How a program gets a disk and processes of its own on this machine; None where nobody may."""
    for how in (("unshare", *_NAMESPACES), ("unshare", "--map-root-user", *_NAMESPACES)):
        try:
            done = subprocess.run([*how, "true"], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return how
    return None


class Sandbox:
    """Stands for the Lambda client: `invoke` as boto3 has it.

    Attributes:
        started: processes so far.
        ended: how those ended that did.
    """

    def __init__(self, version: str, root: Path = venvs.ROOT) -> None:
        self._version, self._root = version, root
        self._folder = tempfile.TemporaryDirectory(prefix="jetway-sandbox-")
        self._api: RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.started, self.ended = 0, list[int]()

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Have the function handle a request, in the process of the one before if that is still there."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        api, process = self._api, self._process
        if api is None or process is None:
            raise AssertionError
        api.events.put(json.loads(Payload))
        for _ in range(_ANSWER_SECONDS * 20):
            try:
                kind, body, _ = api.answers.get(timeout=0.05)
            except queue.Empty:
                if process.poll() is None:
                    continue
                self.ended.append(process.returncode)
                how = f"exit status {process.returncode}"
                words = f"RequestId: x Error: Runtime exited with error: {how}"
                text = {"errorType": "Runtime.ExitError", "errorMessage": words}
                return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(text).encode())}
            answer = {"Payload": io.BytesIO(body)}
            return answer if kind == "response" else {**answer, "FunctionError": "Unhandled"}
        process.kill()
        raise TimeoutError("the function did not answer")

    def unasked(self) -> list[tuple[str, bytes, float]]:
        """Answers that belong to no request."""
        found = []
        while self._api is not None and not self._api.answers.empty():
            found.append(self._api.answers.get())
        return found

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._api is not None:
            self._api.__exit__()
        self._process = self._api = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._folder.cleanup()

    def _start(self) -> None:
        self._api = RuntimeApi(timeout=100.0).__enter__()
        client = venvs.ensure("lambda").parent.parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        paths = [self._root / "layers/loader", self._root / "functions/import_dag", client / "site-packages"]
        wrapper = self._root / "layers/loader/without-credentials"
        command = [str(venvs.ensure(f"airflow-{self._version}")), "-m", "awslambdaric", "app.handler"]
        if wrapper.exists():
            command = [str(wrapper), *command]
        command = [*(namespaces() or ()), "sh", "-c", _ALONE, "sh", *command]
        self._process = subprocess.Popen(
            command,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "TMPDIR": self._folder.name,
                "AWS_LAMBDA_RUNTIME_API": self._api.address,
                "AWS_ACCESS_KEY_ID": f"AKIA{SECRET}",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_SESSION_TOKEN": f"token-{SECRET}",
            },
            cwd=self._root / "functions/import_dag",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.started += 1
        if not self._api.asked.wait(_START_SECONDS):
            raise TimeoutError("the function did not ask for an event")
