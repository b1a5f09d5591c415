"""`POST /aws_mwaa/cli`: an Airflow command as text in, its base64 output out.

AWS documents the request, the 200 answer and the 503 above four commands at once:
https://docs.aws.amazon.com/mwaa/latest/userguide/airflow-cli-command-reference.html
https://docs.aws.amazon.com/mwaa/latest/userguide/t-apache-airflow-202.html
The rest is chosen here, after what clients of MWAA report:

- Airflow 3 redirects the path without a slash at its end (307); Airflow 2 takes both.
- 401 for a missing, wrong or expired token.
- A command that fails (exit code other than 0, or text that shlex cannot split): 400 with the same envelope.
- A command that MWAA does not offer: 403 with the envelope, and the reason on stderr.
- A command that is killed after `seconds`: 504.
- A client that goes away does not end its command.
"""

from __future__ import annotations

import logging
import shlex
import threading
from base64 import b64encode
from typing import TYPE_CHECKING

from tools.emulator.gateway.commands import supported
from tools.emulator.gateway.runner import Runner, RunnerError
from tools.emulator.gateway.server import AnswerLostError, Request, Response, json_response, text_response
from tools.emulator.gateway.tokens import TokenError, Tokens, bearer

if TYPE_CHECKING:
    from tools.emulator.gateway.faults import Faults

log = logging.getLogger(__name__)

BUSY = (
    "Airflow CLI runs on the webserver, which has limited concurrency. "
    "Typically a maximum of 4 CLI commands can run simultaneously."
)


class CliEndpoint:
    """The CLI endpoint of one environment.

    Args:
        concurrency: commands that may run at once.
        seconds: life of a command.
    """

    def __init__(
        self,
        *,
        airflow_major: int,
        tokens: Tokens,
        runner: Runner,
        faults: Faults,
        concurrency: int = 4,
        seconds: float = 120.0,
    ) -> None:
        self._major = airflow_major
        self._tokens = tokens
        self._runner = runner
        self._faults = faults
        self._slots = threading.BoundedSemaphore(concurrency)
        self._seconds = seconds

    def handle(self, request: Request) -> Response:
        """Answer one request to `/aws_mwaa/cli` or `/aws_mwaa/cli/`."""
        if self._major >= 3 and not request.path.endswith("/"):
            host = request.headers.get("host", "")
            return Response(307, headers={"Location": f"https://{host}{request.path}/"})
        if request.method != "POST":
            return json_response(405, {"message": "Method Not Allowed"}, {"Allow": "POST"})
        self._faults.count("cli.requests")
        try:
            self._tokens.verify(bearer(request.headers.get("authorization", "")), "cli")
        except TokenError as exc:
            self._faults.count("cli.unauthorized")
            return json_response(401, {"message": str(exc)})
        if self._faults.strikes("busy", "cli") or not self._slots.acquire(blocking=False):
            self._faults.count("cli.503")
            return text_response(503, BUSY)
        try:
            return self._run(request.body)
        finally:
            self._slots.release()

    def _run(self, body: bytes) -> Response:
        try:
            arguments = shlex.split(body.decode())
        except ValueError as exc:  # also of bytes that are not UTF-8
            return _envelope(400, b"", f"{exc}\n".encode())
        if not supported(arguments, self._major):
            self._faults.count("cli.unsupported")
            name = " ".join(arguments[:2])
            return _envelope(403, b"", f"Amazon MWAA does not support the command: {name}\n".encode())
        try:
            result = self._runner.run(arguments, self._seconds)
        except RunnerError as exc:
            log.warning("command %s: %s", arguments[:2], exc)
            return text_response(502, "Bad Gateway")
        self._faults.count("cli.commands")
        if self._faults.strikes("lose_answer", "cli"):
            raise AnswerLostError
        if result.timed_out:
            return text_response(504, "Gateway Timeout")
        return _envelope(200 if result.exit_code == 0 else 400, result.stdout, result.stderr)


def _envelope(status: int, stdout: bytes, stderr: bytes) -> Response:
    return json_response(status, {"stderr": b64encode(stderr).decode(), "stdout": b64encode(stdout).decode()})
