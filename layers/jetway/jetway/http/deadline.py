"""A deadline for a piece of work, so that a caller gets an answer in time, whatever hangs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from types import FrameType
from typing import TypeVar

from jetway.http.problems import ProblemError

T = TypeVar("T")

# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
LONGEST_ANSWER = 30.0  # seconds until API Gateway answers by itself
RESERVE = 1.0  # seconds for the answer itself

# Seconds until it is said again: a finalizer or a callback of a weak reference that just runs ignores what it raises.
AGAIN = 0.25


class DeadlineError(BaseException):
    """The time was over.

    Like KeyboardInterrupt no Exception: clients that catch those to try again must not catch this one.
    """


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineError in the block when it takes longer than so many seconds.

    Connections have timeouts of their own, but a request can be several of them (token, redirect, look-up), and
    Lambda kills a function that takes too long: the caller would see API Gateway's 503 and no reason. The block may be
    left at any point, so clients used in it must not be used again afterwards. Does nothing outside the main thread,
    where Python takes no signals; Lambda's handler runs in it. Not to be nested.
    """
    if threading.current_thread() is not threading.main_thread() or seconds <= 0:
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        with suppress(DeadlineError):  # it may be said again at this very moment
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def seconds_left(remaining: float, asked_at: float, now: float) -> float:
    """Return how long an answer may still take.

    A cold start is part of API Gateway's time and no part of the function's, so both are looked at.

    Args:
        remaining: seconds until Lambda ends the function.
        asked_at: when API Gateway took the request, in seconds since 1970.
        now: seconds since 1970.
    """
    waited = now - asked_at
    if not 0 <= waited < LONGEST_ANSWER:  # clocks that differ
        waited = 0.0
    return max(min(remaining, LONGEST_ANSWER - waited) - RESERVE, 0.1)


def in_time(seconds: float, work: Callable[[], T], *, forget: Callable[[], None]) -> T:
    """Return what the work returns, or end it with a problem.

    Args:
        seconds: how long it may take.
        work: what to do.
        forget: makes the clients anew that the work may have left in the middle of anything.

    Raises:
        ProblemError: 503, the time was over.
    """
    try:
        with deadline(seconds):
            return work()
    except DeadlineError:
        forget()
        detail = "Airflow or an AWS service that this API uses did not respond in time. Try again."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "timeout", detail, {"Retry-After": "5"}) from None


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise DeadlineError("the time limit was reached")
