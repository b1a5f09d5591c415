"""What AWS's documented sample Lambda does with an event, re-implemented from its description to be compared with.

The page "Invoking DAGs with a Lambda function" (https://docs.aws.amazon.com/mwaa/latest/userguide/samples-lambda.html)
describes it: the function asks for a CLI token, posts `dags trigger <dag>` to the CLI endpoint with http.client, and
decodes what comes back. It gives no run id, does not look at the status, and takes anything on stderr for a failure.
Lambda calls a function that failed on an asynchronous event twice more, after one and after two more minutes
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html); then the event is gone.

Two things are done in the sample's favour: the event's key goes along as conf, so that runs can be counted by event,
and the path has the slash at its end without which Airflow 3 redirects.
"""

from __future__ import annotations

import heapq
import http.client
import json
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

RETRY_AFTER = (60.0, 120.0)  # seconds


def trigger(mwaa: Any, environment: str, dag_id: str, key: str, context: ssl.SSLContext) -> bytes:
    """Do what the sample does for one delivery.

    Raises:
        OSError, http.client.HTTPException, ValueError, KeyError, RuntimeError: whatever went wrong, as in the sample.
    """
    token = mwaa.create_cli_token(Name=environment)
    host, _, port = token["WebServerHostname"].partition(":")
    connection = http.client.HTTPSConnection(host, int(port or 443), context=context, timeout=60)
    conf = json.dumps({"key": key})
    command = f"dags trigger {dag_id} --conf '{conf}'"
    headers = {"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"}
    connection.request("POST", "/aws_mwaa/cli/", command, headers)
    answer = json.loads(connection.getresponse().read())
    complaint = b64decode(answer["stderr"])
    if complaint:
        raise RuntimeError(complaint.decode(errors="replace"))
    return b64decode(answer["stdout"])


class AsyncLambda:
    """Lambda's queue of asynchronous events in front of the sample."""

    def __init__(self, call: Any, *, concurrency: int) -> None:
        self._call = call
        self._concurrency = concurrency
        self._lock = threading.Condition()
        self._queue: list[tuple[float, int, int, str]] = []  # due, number, try, key
        self._busy = 0
        self.calls = 0
        self.given_up: list[str] = []

    def deliver(self, keys: Iterable[str]) -> None:
        """Handle every key, with its retries, and return when nothing is left."""
        now = time.monotonic()
        self._queue = [(now, number, 0, key) for number, key in enumerate(keys)]
        heapq.heapify(self._queue)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            _, number, tries, key = job
            try:
                self._call(key)
                failed = False
            except Exception:  # noqa: BLE001 - Lambda retries whatever a function raises
                failed = True
            with self._lock:
                self._busy -= 1
                self.calls += 1
                if failed and tries < len(RETRY_AFTER):
                    heapq.heappush(self._queue, (time.monotonic() + RETRY_AFTER[tries], number, tries + 1, key))
                elif failed:
                    self.given_up.append(key)
                self._lock.notify_all()

    def _next(self) -> tuple[float, int, int, str] | None:
        with self._lock:
            while self._queue or self._busy:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._queue)
                self._lock.wait(wait)
            return None
