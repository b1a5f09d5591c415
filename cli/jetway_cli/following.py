"""Following a run that was asked for: each change of its state with its reason, until it is so far.

What is said comes from the HTTP API: a run's `because`, and the `event` of a run that Airflow does not have yet. Where
an older stack does not send them, the ledger is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import click

from jetway_cli.api import ApiTroubleError
from jetway_cli.errors import NegativeError, StackTroubleError, sentence
from jetway_cli.output import say

if TYPE_CHECKING:
    from jetway_cli.api import Api, ApiResponse
    from jetway_cli.stack import Target

# How far a run is. "accepted" is on the dispatch queue; Airflow has all others.
PROGRESS = {"accepted": 0, "queued": 1, "running": 2, "success": 3, "failed": 3}
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_IN_TROUBLE = 0.5, 5.0, 15.0  # seconds between looks
LEAST_PATIENCE = 15.0  # seconds for one look, also for the last one: Airflow's command line takes some
LOOK_AT_WORKERS = 60.0  # seconds that nothing changes before the workers are asked for, and between two such looks
UNKNOWN = "not-known: neither Airflow nor Jetway's ledger has this run. Check the DAG and the run id."
# What of the workers explains that a run does not get on.
EXPLAINING = frozenset(
    {"scaling", "stalled", "worker-overloaded"}
    | {"bounded-by-max-workers", "bounded-by-parallelism", "bounded-by-pool"}
)


@dataclass(frozen=True, slots=True)
class RunLook:
    """What one look at a run has shown.

    Attributes:
        state: in Airflow's words, or the decision on its event while Airflow does not have it; None: not learnt.
        why: "<stable word>: <text>", or None.
        run: as the API has it; empty while Airflow does not have it.
        until: when Jetway gives up, where that is known.
        decided_at: of the decision on its event.
    """

    state: str | None
    why: str | None = None
    run: Mapping[str, Any] | None = None
    until: datetime | None = None
    decided_at: datetime | None = None


def read_look(answer: ApiResponse | None, event: Mapping[str, Any] | None, trouble: str = "") -> RunLook:
    """Say what an answer to GET /dags/{dag_id}/dagRuns/{run_id} shows. Pure.

    Args:
        answer: 200, 404 or trouble; None when the API could not be reached.
        event: what became of the run's event, None when that is not known.
        trouble: the text of the trouble, if there is any.
    """
    if answer is not None and answer.status < 300:
        return RunLook(str(answer.body.get("state")), answer.body.get("because"), answer.body)
    if event is not None and event["decision"] not in {"started", "duplicate"}:
        return RunLook(
            event["decision"], event.get("because"), None, _moment(event.get("until")), _moment(event.get("decided_at"))
        )
    if answer is None or answer.is_trouble:
        return RunLook(None, trouble)
    if event is not None:
        return RunLook("gone", "run-not-found: the run was started, but Airflow no longer has it.")
    return RunLook("accepted", f"{answer.reason}: {answer.problem}" if answer.reason == "dag-not-found" else None)


@dataclass(slots=True)
class RunReported:
    """What was told of a run; says each thing once."""

    now: Callable[[], datetime]
    last: tuple[str, str] | None = None
    reason: str | None = None

    def tell(self, state: str, why: str | None, until: datetime | None = None) -> bool:
        """Print the state with its reason, if it is another one; return whether it was."""
        # The text of a reason may count seconds; its first word is what changes when something has changed.
        word = (why or "").partition(": ")[0]
        if (state, word) == self.last:
            return False
        self.last = (state, word)
        said = "" if not why else ", for the same reason." if why == self.reason else f": {sentence(why)}"
        self.reason = why
        end = f" Jetway stops trying at {self._day(until)}{until.astimezone(UTC):%H:%M:%S}." if until else ""
        say(f"{self.now():%H:%M:%S} {state}{said}{end}")
        return True

    def _day(self, moment: datetime) -> str:
        day = moment.astimezone(UTC).date()
        return "" if day == self.now().date() else f"{day} "


@dataclass(slots=True)
class FollowedRuns:
    """Looks at one run again and again.

    Attributes:
        again: the command that looks at the run again and starts nothing.
        since: a dead letter from before was an earlier call's; None when there was no earlier one.
        is_accepted: whether it is known that there is, or will be, such a run.
        reads_ledger: whether the ledger is asked for what the API does not send.
    """

    api: Api
    target: Target
    dag_id: str
    dag_run_id: str
    again: str
    since: datetime | None = None
    is_accepted: bool = True
    reads_ledger: bool = True
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def follow(self, *, until: str, timeout: timedelta) -> dict[str, Any]:
        """Look at the run until it is so far, and return it as it was last seen.

        Raises:
            NegativeError: its event is a dead letter, or the time is over.
            StackTroubleError: the credentials have expired meanwhile.
        """
        try:
            return self._follow(until, timeout)
        except KeyboardInterrupt:
            say(f"Interrupted. The run continues without this command. Check again: {self.again}")
            raise
        except StackTroubleError as exc:
            raise StackTroubleError(
                f"{sentence(exc.message)} The run continues without this command. Check again: {self.again}"
            ) from exc

    def _follow(self, until: str, timeout: timedelta) -> dict[str, Any]:
        began = changed = asked = self.clock()
        deadline = began + timeout.total_seconds()
        told, workers = RunReported(self.now), RunReported(self.now)
        before = "accepted" if self.is_accepted else "unknown"
        run: dict[str, Any] = {"dag_id": self.dag_id, "dag_run_id": self.dag_run_id, "state": before}
        if self.is_accepted:
            told.last = ("accepted", "")  # the caller has said so
        pause = FIRST_PAUSE
        while True:
            look = self._look(deadline - self.clock())
            if look.state == "dead-lettered" and (self.since is None or (look.decided_at or self.since) >= self.since):
                self._dead(look)
            if look.state == "accepted" and not self.is_accepted:
                look = RunLook("unknown", look.why or UNKNOWN)
            if look.state == "skipped":
                raise NegativeError(f"No run starts: {sentence(look.why or 'its event is skipped')}")
            run |= look.run or {}
            if look.run is None and look.state is not None:
                run["state"] = "unknown" if look.state == "unknown" else "accepted"
            state = look.state or f"{run['state']}, when last seen"
            if told.tell(state, look.why, look.until):
                changed = self.clock()
            if look.run and PROGRESS.get(str(run["state"]), 0) >= PROGRESS[until]:
                return run
            if run["state"] in {"queued", "running"} and self.clock() - max(changed, asked) >= LOOK_AT_WORKERS:
                asked = self.clock()
                if why := explanation(self.api):
                    workers.tell(state, why)
            left = deadline - self.clock()
            if left <= 0:
                why = f" ({sentence(look.why).rstrip('.')})" if look.why else ""
                goes_on = "" if run["state"] == "unknown" else " It continues without this command."
                raise NegativeError(f"After {timeout} the run is {state}{why}.{goes_on} Check again: {self.again}")
            self.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE if look.state else LONGEST_IN_TROUBLE)

    def _look(self, left: float) -> RunLook:
        answer, trouble = None, ""
        path = f"/dags/{quote(self.dag_id, safe='')}/dagRuns/{quote(self.dag_run_id, safe='')}"
        try:
            answer = self.api.call("GET", path, tries=1, seconds=max(LEAST_PATIENCE, left))
        except ApiTroubleError as exc:
            answer, trouble = exc.answer, trouble_of(exc)
        else:
            if answer.status != 404 or not answer.reason:
                return read_look(self.api.require(answer), None)
        return read_look(answer, self._event(answer), trouble)

    def _event(self, answer: ApiResponse | None) -> Mapping[str, Any] | None:
        """Return what became of the run's event: as the answer tells, else as the ledger does, if that may be read."""
        from botocore.exceptions import BotoCoreError, ClientError

        if answer is None:
            return None
        if "event" in answer.body:
            event: Mapping[str, Any] | None = answer.body["event"]
            return event
        if not self.reads_ledger:
            return None
        try:
            return find_in_ledger(self.target, self.dag_id, self.dag_run_id)
        except (StackTroubleError, ClientError, BotoCoreError):
            self.reads_ledger = False  # whoever may call the API need not be allowed to see the stack
            return None

    def _dead(self, look: RunLook) -> NoReturn:
        why = sentence(look.why or "its event is a dead letter")
        raise NegativeError(f"No run was started: {why} Fix the cause, then run: jetway redrive --trigger http")


def trouble_of(exc: ApiTroubleError) -> str:
    """Say in a reason's form why the API cannot tell; the environment's status comes first where it is known."""
    answer = exc.answer
    if answer is None:
        return f"api-unreachable: {exc.message}"
    status = answer.body.get("environment_status")
    named = f"The environment is {status}. " if status and str(status) not in answer.problem else ""
    return f"{answer.reason or f'api-answers-{answer.status}'}: {named}{answer.problem}"


def explanation(api: Api) -> str | None:
    """Ask for the workers; return their verdict with its remedy where it explains that a run does not get on."""
    try:
        answer = api.call("GET", "/workers", tries=1)
    except click.ClickException:
        return None  # the run is what was asked for
    verdict = answer.body.get("verdict")
    if answer.status != 200 or verdict not in EXPLAINING:
        return None
    return f"{verdict}: {answer.body.get('remedy') or 'see jetway workers.'}"


def find_in_ledger(target: Target, dag_id: str, dag_run_id: str) -> dict[str, Any] | None:
    """Return what the ledger says of a call's event, in the API's words; None when it says nothing now.

    Raises:
        StackTroubleError, ClientError, BotoCoreError: the stack is not there or may not be looked at.
    """
    from jetway.http.run_requests import event_id
    from jetway.ledger import Ledger, LedgerUnavailableError

    try:
        entry = Ledger(target.table(target.output("LedgerTableName"))).get(event_id(dag_id, dag_run_id))
    except LedgerUnavailableError:
        return None
    if entry is None:
        return None
    return {"decision": entry.decision, "because": entry.because, "decided_at": entry.decided_at.isoformat()}


def _moment(text: object) -> datetime | None:
    from jetway.events.incoming import parse_time

    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
