"""Whether a run could be created now: a real question to Airflow, asked seldom, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jetway.airflow.environment import not_available
from jetway.errors import EnvironmentBusyError, JetwayError, PermissionMissingError
from jetway.events.denials import say

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions
    from jetway.airflow.environment import EnvironmentFacts

MAX_AGE = 15.0  # seconds that an answer counts: who looks every five costs Airflow one question of three
JUST_NOW = 5.0  # seconds that the environment's status counts when Airflow does not answer
LONGEST = 10.0  # seconds that Airflow has for an answer

# The web server runs about four commands at once. To be busy for a moment is no fault, so it is asked once more.
PAUSE_WHEN_BUSY = 1.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of the question.

    Attributes:
        reachable: None when it was not asked.
        detail: why not, and what to do.
    """

    reachable: bool | None
    detail: str | None = None


def ask_airflow(airflow: AirflowQuestions, *, sleep: Callable[[float], None] = time.sleep) -> Reached:
    """Ask Airflow whether it is there."""
    try:
        try:
            airflow.ping()
        except EnvironmentBusyError:
            sleep(PAUSE_WHEN_BUSY)
            airflow.ping()
    except JetwayError as exc:
        if isinstance(exc, PermissionMissingError):
            say(exc)
        return Reached(False, f"{exc.reason}: {exc}")
    return Reached(True)


class Reachability:
    """Remembers what came of the last question."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last: tuple[float, Reached] | None = None

    def get(self) -> Reached | None:
        """Return what came of it; None when that is too long ago."""
        if self._last is None or not 0 <= self._clock() - self._last[0] < MAX_AGE:
            return None
        return self._last[1]

    def remember(self, reached: Reached) -> Reached:
        """Note what came of the question that was just asked, and return it."""
        self._last = (self._clock(), reached)
        return reached


def dispatch_counts(counts: Callable[[str], Mapping[str, str]], queues: Mapping[str, str]) -> dict[str, int]:
    """Return how many events are where.

    Args:
        counts: returns the attributes of a queue, as SQS gives them.
        queues: URLs of dispatch, collect, waiting and dead_letters.
    """
    dispatch, collect = counts(queues["dispatch"]), counts(queues["collect"])
    return {
        # What is delayed in the collect queue is no event but the alarm clock of a batch.
        "waiting": int(dispatch[VISIBLE]) + int(collect[VISIBLE]),
        "in_flight": int(dispatch[IN_FLIGHT]) + int(collect[IN_FLIGHT]),
        "aside": _all(counts(queues["waiting"])),
        "dead_letters": _all(counts(queues["dead_letters"])),
    }


def health_document(facts: EnvironmentFacts, reached: Reached, dispatch: Mapping[str, int]) -> dict[str, Any]:
    """Return what /health says."""
    return {
        "status": "healthy" if reached.reachable else "unhealthy",
        "environment": {"name": facts.name, "status": facts.status, "airflow_version": facts.airflow_version},
        "airflow": asdict(reached),
        "dispatch": dict(dispatch),
    }


def not_asked(facts: EnvironmentFacts) -> Reached:
    """Return that Airflow was not asked, since the environment takes no work."""
    error = not_available(facts)
    return Reached(None, f"{error.reason}: {error}")


VISIBLE = "ApproximateNumberOfMessages"
IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
DELAYED = "ApproximateNumberOfMessagesDelayed"
COUNTS: Any = (VISIBLE, IN_FLIGHT, DELAYED)  # any, since the stubs of the client know them as literals only


def _all(attributes: Mapping[str, str]) -> int:
    return sum(int(attributes[name]) for name in (VISIBLE, IN_FLIGHT, DELAYED))
