"""AWS asked within bounds, many questions side by side. What is refused, or not answered, is an answer too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jetway_cli.doctor.facts import Asked
from jetway_cli.errors import DENIED, error_code, sentence

if TYPE_CHECKING:
    from jetway_cli.stack import Target

T = TypeVar("T")

# S3 gives HEAD requests no code but the status; SNS and IAM have words of their own.
_DENIED = DENIED | {"403", "Forbidden", "AuthorizationErrorException", "NotAuthorized", "AllAccessDisabled"}
AT_ONCE = 12
CONNECTING, ANSWERING, TRIES = 3, 12, 2
# They take a few questions a second, and get the most.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#api-requests
PATIENCE = {"iam": 6, "lambda": 6, "apigatewayv2": 4, "cloudformation": 4, "cloudwatch": 4}


def ask(action: str, call: Callable[[], T]) -> Asked[T]:
    """Return the answer to a question, or why there is none.

    Args:
        action: the IAM action that it takes, for whoever lacks it.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
    from click import ClickException
    from requests.exceptions import RequestException, Timeout

    from jetway.errors import JetwayError

    try:
        return Asked(call())
    except ClientError as exc:
        if error_code(exc) in _DENIED:
            return Asked(denied=action)
        return Asked(trouble=sentence(f"{exc.operation_name} failed: {exc.response.get('Error', {}).get('Message')}"))
    except ClickException as exc:
        return Asked(trouble=exc.message)
    except (ConnectTimeoutError, ReadTimeoutError, Timeout):
        return Asked(trouble=_late(action))
    except (BotoCoreError, RequestException, JetwayError, OSError, ValueError, KeyError) as exc:
        return Asked(trouble=sentence(f"the response to {action} could not be read: {type(exc).__name__}: {exc}"))


def _late(action: str) -> str:
    return f"{action} timed out."


@dataclass(slots=True)
class Desk:
    """Where the questions are asked from.

    Attributes:
        target: the stack, and the caller's credentials.
        reason: why nothing is asked any more.
        clients: made once for each service.
    """

    target: Target
    reason: str | None = None
    clients: dict[tuple[str, float], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))

    def client(self, service: str, *, seconds: float = ANSWERING) -> Any:
        """Return the client of a service.

        Args:
            seconds: that one try may take; what takes long is tried once.
        """
        from botocore.config import Config

        with self._lock:  # boto3's session makes one client at a time
            if (service, seconds) not in self.clients:
                tries = PATIENCE.get(service, TRIES) if seconds <= ANSWERING else 1
                config = Config(
                    connect_timeout=CONNECTING,
                    read_timeout=seconds,
                    retries={"mode": "standard", "total_max_attempts": tries},
                    max_pool_connections=AT_ONCE,
                )
                self.clients[service, seconds] = self.target.client(service, config)
            return self.clients[service, seconds]

    def begin(self, action: str, call: Callable[[], T]) -> PendingCall[T]:
        """Ask a question; the answer is fetched later."""
        if self.reason is not None:
            known: Future[Asked[T]] = Future()
            known.set_result(Asked(trouble=self.reason))
            return PendingCall(action, known)
        return PendingCall(action, self._pool.submit(ask, action, call))

    def close(self) -> None:
        """Wait for nobody any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class PendingCall(Generic[T]):
    """A question that was asked."""

    action: str
    future: Future[Asked[T]]

    def answer(self, until: float) -> Asked[T]:
        """Return the answer, or that there was none in time.

        Args:
            until: the moment of `time.monotonic` up to which it is waited for.
        """
        try:
            return self.future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            self.future.cancel()
            return Asked(trouble=_late(self.action))
