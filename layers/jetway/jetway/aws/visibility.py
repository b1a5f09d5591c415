"""The messages of one batch, invisible to others only while somebody works on them.

SQS gives a message to nobody else for the queue's visibility timeout, and of a FIFO queue's group nothing at all. AWS
demands that it is no shorter than the function's timeout: a crash would hold a lane for minutes. So the function makes
its messages visible again in half a minute, and says anew every ten seconds that it is alive. Whoever dies stops
saying so.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from jetway.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SPAN = 30  # seconds for which a message stays with a function that has died
EVERY = 10.0  # seconds between two signs of life: two may be lost
JOIN = 2.0  # seconds that the end of an invocation waits for a sign of life that is on its way
_MOST = 10  # messages a call


class Holding:
    """A context in which messages stay with this invocation, as long as it lives.

    A failure to hold them is logged and nothing more: they come back early and are done twice, which does no harm, or
    after the queue's own timeout.
    """

    def __init__(
        self,
        sqs: SQSClient,
        queue_url: str,
        handles: Iterable[str],
        *,
        seconds_left: Callable[[], float],
        every: float = EVERY,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            handles: receipt handles of the messages.
            seconds_left: of the invocation: no message is held beyond its end.
            every: seconds between two signs of life.
        """
        self._sqs = sqs
        self._queue_url = queue_url
        self._handles = dict.fromkeys(handles)  # in order
        self._seconds_left = seconds_left
        self._every = every
        self._over = threading.Event()
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="holding", daemon=True)

    def __enter__(self) -> Self:
        """Shorten the time for which the messages are invisible, before anything can go wrong with them."""
        self.extend()
        try:
            self._thread.start()
        except RuntimeError as exc:  # the process may have no more threads
            logger.warning("messages are held for only 30 seconds", extra={"error": str(exc)})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. Nothing is extended after this, also when Lambda freezes the process now and wakes it up later."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(JOIN)

    def extend(self) -> None:
        """Keep what is still in hand for the next half minute."""
        with self._changing:
            if not self._over.is_set():
                seconds = max(1, min(SPAN, ceil(self._seconds_left())))
                self._change(dict.fromkeys(self._handles, seconds))

    def release(self, handles: Iterable[str]) -> None:
        """Leave messages alone: they are done, or somebody else says for how long they are invisible."""
        with self._changing:
            for handle in handles:
                self._handles.pop(handle, None)

    def give_back(self, waits: Mapping[str, int]) -> None:
        """Let messages come back after so many seconds, by receipt handle."""
        self.release(waits)
        self._change(waits)

    def _live(self) -> None:
        while not self._over.wait(self._every):
            self.extend()

    def _change(self, waits: Mapping[str, int]) -> None:
        all_entries: list[Any] = [
            {"Id": str(number % _MOST), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for number, (handle, seconds) in enumerate(waits.items())
        ]
        for first in range(0, len(all_entries), _MOST):
            entries = all_entries[first : first + _MOST]
            try:
                answer = self._sqs.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
            except (BotoCoreError, ClientError) as exc:
                logger.warning("the visibility of messages did not change", extra={"error": str(exc)})
                return
            if failed := answer.get("Failed"):
                codes = sorted({failure["Code"] for failure in failed})
                logger.warning("the visibility of messages did not change", extra={"error": ", ".join(codes)})
