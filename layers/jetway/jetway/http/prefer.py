"""`Prefer: wait=25, state=final` (RFC 7240): how long a caller would wait for the run, and for what."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.errors import DagNotFoundError, JetwayError, TransientError
from jetway.http.problems import not_started

if TYPE_CHECKING:
    from jetway.airflow import AirflowClient, DagRun

LONGEST_WAIT = 25.0  # seconds; API Gateway answers by itself after 30
FINAL_STATES = frozenset({"success", "failed"})

FIRST_PAUSE = 0.5  # seconds between looks; each look is longer than the last by a half
LONGEST_PAUSE = 3.0


@dataclass(frozen=True, slots=True)
class Preference:
    """What the caller would wait for.

    Attributes:
        seconds: at most so long; 0 is no wait.
        final: until the run has ended, not only until Airflow has it.
    """

    seconds: float = 0.0
    final: bool = False

    def is_met_by(self, run: DagRun) -> bool:
        """Whether the run is as far as was waited for."""
        return not self.final or run.state in FINAL_STATES

    @property
    def applied(self) -> str:
        """The value of Preference-Applied."""
        return f"wait={self.seconds:.0f}" + (", state=final" if self.final else "")


@dataclass(frozen=True, slots=True)
class Waited:
    """What a wait has come to.

    Attributes:
        run: as it was seen last; None when it was not.
        unknown: what could not be learnt meanwhile, a sentence each.
    """

    run: DagRun | None = None
    unknown: Sequence[str] = ()


def read_preference(header: str | None) -> Preference:
    """Read a Prefer header. As RFC 7240 has it, what is unknown or malformed is passed over.

    >>> read_preference("respond-async, wait=10; x=y, state=final")
    Preference(seconds=10.0, final=True)
    """
    found: dict[str, str] = {}
    for part in (header or "").split(","):
        name, _, value = part.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))  # the first of a name counts
    wait = found.get("wait", "")
    seconds = min(float(wait[:6]), LONGEST_WAIT) if wait.isascii() and wait.isdecimal() else 0.0
    return Preference(seconds, final=found.get("state", "").lower() == "final")


def wait_for_run(
    airflow: AirflowClient,
    dag_id: str,
    dag_run_id: str,
    preference: Preference,
    *,
    dead_letter: Callable[[], str | None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Look for an accepted run until it is as preferred or the time is over; return it as last seen.

    A DAG that Airflow does not know is looked for again: its file may be on its way. So is an environment that is
    not available: whoever waits for a run waits for that as well. A dead letter is not waited for: no run will come.

    Args:
        airflow: is asked for the run.
        dag_id, dag_run_id: of the run.
        preference: how long, and for what.
        dead_letter: tells why the call has become a dead letter, None when it has not.
        clock, sleep: of the machine.

    Raises:
        ProblemError: the call has become a dead letter; the problem says why.
    """
    deadline = clock() + preference.seconds
    seen: DagRun | None = None
    trouble: JetwayError | None = None
    pause = FIRST_PAUSE
    while clock() + pause < deadline:
        sleep(pause)
        try:
            seen, trouble = airflow.get_dag_run(dag_id, dag_run_id) or seen, None
        except DagNotFoundError:
            trouble = None
        except JetwayError as exc:  # also a question that is refused: the call is accepted all the same
            trouble = exc
        if seen is not None and preference.is_met_by(seen):
            return Waited(seen)
        if seen is None and (because := _why_dead(dead_letter)) is not None:
            raise not_started(because)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    if trouble is None:
        return Waited(seen)
    return Waited(seen, [f"The run could not be read from Airflow: {trouble.reason}: {trouble}"])


def _why_dead(dead_letter: Callable[[], str | None]) -> str | None:
    with suppress(TransientError):  # a ledger that does not answer says nothing of the run
        return dead_letter()
    return None
