"""What resume_waiting is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jetway.dispatch.waiting import Waiting
from jetway.wiring.clients import client
from jetway.wiring.variables import FromEnv, variable


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of resume_waiting."""

    waiting_queue_url: str = variable("WAITING_QUEUE_URL")
    dispatch_queue_url: str = variable("DISPATCH_QUEUE_URL")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of resume_waiting."""

    config: Config
    waiting: Waiting


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first message."""
    config = Config.from_env()
    return Parts(config, Waiting(client("sqs"), config.waiting_queue_url))
