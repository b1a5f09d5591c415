"""What Jetway wants to know of Airflow beside a run: is its DAG stale or paused, has the run ended? In few calls.

REST and command line have little in common here, so each has a watch of its own (DECISIONS.md has the figures):

    rest  state: GET /dags/{dag_id}, remembered for a minute per DAG; ends: one list call over all DAGs at once
    cli   state: `dags list`, remembered for five minutes for all DAGs; ends: one command for each DAG
    auto  that of whichever works
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, cast

from jetway.airflow import AirflowQuestions
from jetway.airflow.blocked import blocked_by_commands, blocked_over_rest
from jetway.airflow.rest_responses import NoRestApiError
from jetway.errors import AnswerLostError, DagNotFoundError, JetwayError, PermanentError
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow import DagRun, DagState
    from jetway.airflow.auto import AutoClient
    from jetway.airflow.blocked import Blocked
    from jetway.airflow.rest import RestClient

ENDED = frozenset({"success", "failed"})

# An end is looked for from a little earlier on: clocks differ, and a transaction shows its time late.
MARGIN = timedelta(minutes=2)

# With so few runs of a DAG, each is looked up by its id; with more, the list of all its runs is cheaper.
FEW_RUNS = 2

# Of a DAG whose list is too long to come in time, so many runs are looked up in one go.
RUNS_OF_A_LONG_HISTORY = 5

_ALL = 1_000_000

# Seconds in which an answer is not asked for a second time before a run is refused for it; of a pause by commands,
# where each answer is a list of all DAGs.
JUST_NOW = 5.0
REFUSED_BY_LIST = 60.0


class CommandLine(AirflowQuestions, Protocol):
    """The client of the command line, which tells the states of all DAGs at once."""

    def dag_states(self) -> Mapping[str, DagState]:
        """Return the state of every DAG."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of the open runs of some DAGs.

    Attributes:
        looked_at: (dag_id, run id) of what this look was for.
        ended: runs among them that have ended.
        open: runs among them that were seen and have not.
        gone: (dag_id, run id) that Airflow has not any more.
        until: no end before this moment was missed; None for "now".
    """

    looked_at: frozenset[tuple[str, str]]
    ended: Sequence[DagRun] = ()
    open: Sequence[DagRun] = ()
    gone: frozenset[tuple[str, str]] = frozenset()
    until: datetime | None = None


class Dags(Protocol):
    """What is asked of a DAG around the start of a run."""

    def is_stale(self, dag_id: str) -> bool:
        """Whether Airflow would create a run of the DAG although no file makes it any more, as far as that is known.

        Asked before a run is created, so it costs nothing where nothing is remembered. What is remembered is never
        enough to refuse a run: the file may be back, so it is asked anew.
        """
        ...

    def is_paused(self, dag_id: str) -> bool:
        """Whether the DAG is paused, as far as that is to be learnt. A pause that is remembered is asked for anew."""
        ...

    def dag_state(self, dag_id: str) -> DagState | None:
        """The DAG's state as of some minutes ago at most; None when that is not to be learnt."""
        ...


class Watch(Dags, Protocol):
    """What is asked from the start of a run to its end."""

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        """Look at open runs, in the order of the DAGs; ends early when the time is over.

        Args:
            wanted: run ids by dag_id.
            since: none of them has ended before.

        Raises:
            TransientError: not now; what was yielded before counts.
        """
        ...

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        """Look for runs that are queued and will not start, since their DAG is paused, stale or deleted.

        Args:
            wanted: run ids by dag_id.

        Raises:
            TransientError: not now; what was yielded before counts.
        """
        ...


@dataclass(slots=True)
class DagStates:
    """Remembers the states of DAGs.

    Attributes:
        ask: tells that of one DAG, and those of others when that costs nothing more.
        max_age: seconds that an answer is good for.
        after_failure: seconds until the next try when there was none. To know is a courtesy: it must not slow dispatch.
        refuses_for: seconds that a pause is taken for one before it is asked for anew.
    """

    ask: Callable[[str], Mapping[str, DagState | None]]
    max_age: float
    after_failure: float = 300.0
    refuses_for: float = JUST_NOW
    clock: Callable[[], float] = time.time
    _known: dict[str, tuple[float, DagState | None]] = field(default_factory=dict)
    _not_before: float = 0.0

    def get(self, dag_id: str, *, max_age: float | None = None) -> DagState | None:
        """Return what is known of the DAG, asking when that is too old."""
        known, state = self._remembered(dag_id, self.max_age if max_age is None else max_age)
        now = self.clock()
        if known or now < self._not_before:
            return state
        try:
            answer: dict[str, DagState | None] = {dag_id: None, **self.ask(dag_id)}
        except JetwayError as exc:
            logger.warning("the state of DAGs cannot be read", extra={"dag_id": dag_id, "error": str(exc)})
            self._not_before = now + self.after_failure
            return None
        self._known.update({name: (now, value) for name, value in answer.items()})
        return answer[dag_id]

    def learn(self, dag_id: str, state: DagState) -> None:
        """Remember what was asked elsewhere just now."""
        self._known[dag_id] = (self.clock(), state)

    def remembered(self, dag_id: str) -> DagState | None:
        """Return what is known of the DAG without a question; None when that is too old, or nothing."""
        return self._remembered(dag_id, self.max_age)[1]

    def is_stale(self, dag_id: str) -> bool:
        """Whether the DAG was stale when it was asked last, and still is."""
        return self._remembered(dag_id, self.max_age)[1] == "stale" and self.get(dag_id, max_age=JUST_NOW) == "stale"

    def is_paused(self, dag_id: str) -> bool:
        """Whether the DAG is paused; that it is not may be remembered, that it is may be over."""
        return self.get(dag_id) == "paused" and self.get(dag_id, max_age=self.refuses_for) == "paused"

    def _remembered(self, dag_id: str, max_age: float) -> tuple[bool, DagState | None]:
        asked_at, state = self._known.get(dag_id, (float("-inf"), None))
        known = 0 <= self.clock() - asked_at < max_age
        return known, state if known else None


class RestWatch:
    """`Watch` over InvokeRestApi."""

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self._states = DagStates(self._ask, max_age=60.0, after_failure=60.0)

    def is_stale(self, _dag_id: str) -> bool:
        """See `Watch`. The REST API answers 404 to a run of a stale DAG, on Airflow 2 and 3: nothing is to be asked."""
        return False

    def is_paused(self, dag_id: str) -> bool:
        """See `Watch`."""
        return self._states.is_paused(dag_id)

    def dag_state(self, dag_id: str) -> DagState | None:
        """See `Watch`."""
        return self._states.get(dag_id)

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        """See `Watch`. One list call over all DAGs, of runs that have ended since then, by their end."""
        looked_at = _pairs(wanted)
        if not looked_at:
            return
        runs, complete = self._client.list_ended_runs(list(wanted), since=since - MARGIN)
        ended = [run for run in runs if (run.dag_id, run.dag_run_id) in looked_at]
        last = runs[-1].end_date if runs and not complete else None
        yield Sighting(looked_at, ended=ended, until=datetime.fromisoformat(last) if last else None)

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        """See `Watch`."""
        return blocked_over_rest(self._client, {name: ids for name, ids in wanted.items() if self._client.fits(name)})

    def _ask(self, dag_id: str) -> Mapping[str, DagState | None]:
        if not self._client.fits(dag_id):
            return {}  # the command line could tell, for more than it is worth
        try:
            return {dag_id: self._client.get_dag_state(dag_id)}
        except DagNotFoundError:
            return {}


class CliWatch:
    """`Watch` over the command line, where every question costs seconds of a slow machine."""

    def __init__(
        self,
        client: CommandLine,
        *,
        seconds_left: Callable[[], float] = lambda: 60.0,
        command_seconds: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            client: of the command line.
            seconds_left: until the caller must end.
            command_seconds: that a command can take; with less time left none is begun.
            clock: seconds.
        """
        self._client = client
        self._seconds_left = seconds_left
        self._command_seconds = command_seconds
        self._states = DagStates(
            self._ask, max_age=300.0, after_failure=900.0, refuses_for=REFUSED_BY_LIST, clock=clock
        )
        self._long: set[str] = set()
        self._lost: set[str] = set()

    def is_stale(self, dag_id: str) -> bool:
        """See `Watch`. `dags trigger` of Airflow 3 creates runs of stale DAGs, and they stay queued.

        A first start is not kept waiting for a list of all DAGs; what the last list said is used.
        """
        return self._states.is_stale(dag_id)

    def is_paused(self, dag_id: str) -> bool:
        """See `Watch`."""
        return self._states.is_paused(dag_id)

    def dag_state(self, dag_id: str) -> DagState | None:
        """See `Watch`."""
        return self._states.get(dag_id)

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:  # noqa: ARG002
        """See `Watch`. One DAG after the other; the command line cannot list by the end of a run."""
        for dag_id, run_ids in wanted.items():
            if self._seconds_left() < self._command_seconds:
                return
            if dag_id in self._long:
                run_ids = run_ids[:RUNS_OF_A_LONG_HISTORY]  # noqa: PLW2901 - the others are due again in a minute
            by_id = len(run_ids) <= FEW_RUNS or dag_id in self._long
            looked_at = _pairs({dag_id: run_ids})
            try:
                runs = self._few(dag_id, run_ids) if by_id else self._list(dag_id)
            except (PermanentError, AnswerLostError) as exc:  # of this DAG; the others are looked at
                if not by_id and isinstance(exc, AnswerLostError):
                    # One lost answer says nothing of the list's length; two in a row do.
                    (self._long if dag_id in self._lost else self._lost).add(dag_id)
                    looked_at = frozenset()
                logger.warning("the runs of a DAG cannot be read", extra={"dag_id": dag_id, "error": str(exc)})
                yield Sighting(looked_at)
                continue
            self._lost.discard(dag_id)
            runs = {run_id: runs[run_id] for run_id in run_ids if run_id in runs}
            yield Sighting(
                looked_at,
                ended=[run for run in runs.values() if run.state in ENDED],
                open=[run for run in runs.values() if run.state not in ENDED],
                gone=frozenset((dag_id, run_id) for run_id in run_ids if run_id not in runs),
            )

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        """See `Watch`."""
        for dag_id, run_ids in wanted.items():
            if self._seconds_left() < 2 * self._command_seconds:
                return
            yield from blocked_by_commands(self._client, self._states.get, {dag_id: run_ids})

    def _few(self, dag_id: str, run_ids: Sequence[str]) -> dict[str, DagRun]:
        found = (self._client.get_dag_run(dag_id, run_id) for run_id in run_ids)
        return {run.dag_run_id: run for run in found if run is not None}

    def _list(self, dag_id: str) -> dict[str, DagRun]:
        runs, _total = self._client.list_dag_runs(dag_id, limit=_ALL)
        return {run.dag_run_id: run for run in runs}

    def _ask(self, _dag_id: str) -> Mapping[str, DagState | None]:
        return self._client.dag_states()


class AutoWatch:
    """`Watch` over whichever way works."""

    def __init__(self, client: AutoClient, watch: Callable[[AirflowQuestions], Watch]) -> None:
        self._client = client
        self._watch = watch
        self._watches: dict[int, Watch] = {}  # by client; there are two

    def is_stale(self, dag_id: str) -> bool:
        """See `Watch`."""
        return self._of(self._client.chosen()).is_stale(dag_id)

    def is_paused(self, dag_id: str) -> bool:
        """See `Watch`."""
        return self._of(self._client.chosen()).is_paused(dag_id)

    def dag_state(self, dag_id: str) -> DagState | None:
        """See `Watch`."""
        try:
            watch = self._of(self._client.chosen())
        except JetwayError:
            return None  # to know is a courtesy
        return watch.dag_state(dag_id)

    def look(self, wanted: Mapping[str, Sequence[str]], *, since: datetime) -> Iterator[Sighting]:
        """See `Watch`."""
        client = self._client.chosen()
        try:
            yield from self._of(client).look(wanted, since=since)
        except NoRestApiError as exc:  # before anything was seen: it is one call
            self._client.chooser.without_rest(exc)
        else:
            return
        yield from self._of(self._client.chosen()).look(wanted, since=since)

    def blocked(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[Blocked]:
        """See `Watch`."""
        return self._of(self._client.chosen()).blocked(wanted)

    def _of(self, client: AirflowQuestions) -> Watch:
        key = id(client)
        if key not in self._watches:
            self._watches[key] = self._watch(client)
        return self._watches[key]


def watch_of(
    airflow: AirflowQuestions, *, seconds_left: Callable[[], float] = lambda: 60.0, command_seconds: float = 30.0
) -> Watch:
    """Return the watch that fits a client of any transport.

    Args:
        airflow: the client.
        seconds_left, command_seconds: as in `CliWatch`.
    """
    from .auto import AutoClient
    from .rest import RestClient

    if isinstance(airflow, AutoClient):
        return AutoWatch(
            airflow, lambda client: watch_of(client, seconds_left=seconds_left, command_seconds=command_seconds)
        )
    if isinstance(airflow, RestClient):
        return RestWatch(airflow)
    return CliWatch(cast("CommandLine", airflow), seconds_left=seconds_left, command_seconds=command_seconds)


def _pairs(wanted: Mapping[str, Sequence[str]]) -> frozenset[tuple[str, str]]:
    return frozenset((dag_id, run_id) for dag_id, run_ids in wanted.items() for run_id in run_ids)
