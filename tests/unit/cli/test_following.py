"""Following a run: what is told of it, for how long, and what an interrupted or ended wait leaves to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result

from jetway.http.run_requests import event_id
from jetway.ledger import Entry, Ledger
from jetway_cli.api import Api
from jetway_cli.errors import NegativeError, StackTroubleError
from jetway_cli.following import FollowedRuns
from jetway_cli.stack import Target
from tests.unit.cli.conftest import LOST, REGION, Cloud

Jetway = Callable[..., Result]
Answer = tuple[int, dict[str, Any]]

AGAIN = "jetway wait orders r1"
UNTIL = "2026-11-22T06:10:00+00:00"


def shown(state: str, because: str | None = None) -> Answer:
    return 200, {"dag_id": "orders", "dag_run_id": "r1", "state": state, "because": because}


def problem(status: int, reason: str, detail: str, **more: Any) -> Answer:
    return status, {"type": f"urn:jetway:problem:{reason}", "status": status, "detail": detail, **more}


def event(decision: str, because: str | None = None, **more: Any) -> dict[str, Any]:
    return {"decision": decision, "because": because, "decided_at": UNTIL, "until": None, **more}


NOT_YET = problem(404, "run-not-found", "Airflow has no run 'r1' (yet).", event=None)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 6, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def follower(cloud: Cloud, time: Time) -> FollowedRuns:
    target = Target("jetway", REGION, None, None)
    api = Api(target, sleep=time.sleep)
    return FollowedRuns(api, target, "orders", "r1", AGAIN, sleep=time.sleep, clock=lambda: time.seconds, now=time.now)


def follow(follower: FollowedRuns, seconds: float = 600, until: str = "success") -> dict[str, Any]:
    return follower.follow(until=until, timeout=timedelta(seconds=seconds))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was told, without the times."""
    return [line.split(maxsplit=1)[1] for line in capsys.readouterr().err.splitlines()]


def test_each_change_is_told_once_with_its_reason(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = event("waiting", "dag-not-found: Airflow has no DAG 'orders' (yet).", until=UNTIL)
    wait = problem(404, "dag-not-found", "Airflow has no DAG 'orders'.", event=waiting)
    paused = "dag-paused: DAG 'orders' is paused; unpause it."
    cloud.answers.extend([NOT_YET, NOT_YET, wait, wait, shown("queued", paused), shown("queued"), shown("running")])
    cloud.answers.append(shown("success"))
    assert follow(follower)["state"] == "success"
    assert lines(capsys) == [
        "waiting: dag-not-found: Airflow has no DAG 'orders' (yet). Jetway stops trying at 06:10:00.",
        "queued: dag-paused: DAG 'orders' is paused; unpause it.",
        "queued",
        "running",
        "success",
    ]


def test_a_run_behind_a_stale_dag_is_told_so(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = "dag-stale: the file of DAG 'orders' is gone from the environment; the run waits for it."
    cloud.answers.extend([shown("queued", stale)] * 50)
    with pytest.raises(NegativeError) as ended:
        follow(follower, seconds=30)
    assert lines(capsys) == [f"queued: {stale}"]
    assert "dag-stale" in ended.value.message
    assert ended.value.message.endswith(f"It continues without this command. Check again: {AGAIN}")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            problem(503, "environment-unavailable", "Environment 'prod' is UPDATING.", environment_status="UPDATING"),
            "environment-unavailable: Environment 'prod' is UPDATING.",
        ),
        (
            problem(503, "environment-unavailable", "It takes a while.", environment_status="UPDATING", event=None),
            "environment-unavailable: The environment is UPDATING. It takes a while.",
        ),
        ((503, {"message": "Service Unavailable"}), "api-answers-503: Service Unavailable."),
        ((502, {}), "api-answers-502: status 502."),
        ((429, {"message": "Too Many Requests"}), "api-answers-429: Too Many Requests."),
        ((LOST, {}), "api-unreachable: The API at "),
    ],
)
def test_trouble_is_waited_out_and_named(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str], trouble: Answer, said: str
) -> None:
    assert cloud.ledger
    cloud.answers.extend([trouble] * 6)
    cloud.answers.append(shown("success"))
    assert follow(follower)["state"] == "success"
    told = lines(capsys)
    assert told[0].startswith(f"accepted, when last seen: {said}")
    assert told[1:] == ["success"]


def test_a_reason_is_not_told_twice_in_a_row(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    because = "dag-not-found: Airflow has no DAG 'orders'."
    cloud.answers.append(problem(404, "dag-not-found", "Airflow has no DAG 'orders'.", event=None))
    cloud.answers.append(problem(404, "dag-not-found", "x", event=event("waiting", because, until=UNTIL)))
    cloud.answers.append(shown("success"))
    follow(follower)
    assert lines(capsys) == [
        f"accepted: {because}",
        "waiting, for the same reason. Jetway stops trying at 06:10:00.",
        "success",
    ]


def test_trouble_that_lasts_ends_the_wait_at_its_bound_as_a_negative_answer(
    cloud: Cloud, follower: FollowedRuns, time: Time
) -> None:
    updating = problem(503, "environment-unavailable", "Environment 'prod' is UPDATING.", event=event("held"))
    cloud.answers.extend([updating] * 100)
    with pytest.raises(NegativeError) as ended:
        follow(follower, seconds=60)
    assert time.seconds == 60
    assert "held" in ended.value.message
    assert "jetway run" not in ended.value.message


def test_a_held_event_is_told_while_the_environment_updates(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    held = event("held", "environment-unavailable: Environment 'prod' is UPDATING.", until="2026-11-23T06:00:00+00:00")
    cloud.answers.append(problem(503, "environment-unavailable", "Environment 'prod' is UPDATING.", event=held))
    cloud.answers.append(shown("success"))
    follow(follower)
    assert lines(capsys) == [
        ("held: environment-unavailable: Environment 'prod' is UPDATING. Jetway stops trying at 2026-11-23 06:00:00."),
        "success",
    ]


@pytest.mark.parametrize("status", [404, 503])
def test_a_dead_letter_ends_the_wait(cloud: Cloud, follower: FollowedRuns, status: int) -> None:
    dead = event("dead-lettered", "dag-not-found: Airflow has no DAG 'orders'.")
    cloud.answers.append(problem(status, "run-not-found", "No.", event=dead))
    with pytest.raises(NegativeError, match="has no DAG 'orders'\\. Fix the cause, then run: jetway redrive"):
        follow(follower)


def test_the_dead_letter_of_an_earlier_call_does_not_count(cloud: Cloud, follower: FollowedRuns, time: Time) -> None:
    follower.since = datetime.fromisoformat(UNTIL) + timedelta(seconds=1)
    cloud.answers.append(problem(404, "run-not-found", "No.", event=event("dead-lettered", "dag-not-found: No.")))
    cloud.answers.append(shown("success"))
    assert follow(follower)["state"] == "success"


def test_an_older_stack_that_sends_no_event_is_asked_through_its_ledger(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    at = datetime.fromisoformat(UNTIL)
    id_ = event_id("orders", "r1")
    Ledger(cloud.ledger, retention=timedelta(days=36500)).record(
        Entry(id_, "http", "http", ("http", "r1"), "waiting", at, because="dag-not-found: Airflow has no DAG 'orders'.")
    )
    cloud.answers.extend([problem(404, "run-not-found", "Airflow has no run."), shown("success")])
    follow(follower)
    assert lines(capsys) == ["waiting: dag-not-found: Airflow has no DAG 'orders'.", "success"]


def test_a_run_that_airflow_has_lost_is_told(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.answers.append(problem(404, "run-not-found", "Airflow has no run.", event=event("started")))
    cloud.answers.append(shown("success"))
    follow(follower)
    assert lines(capsys)[0].startswith("gone: run-not-found: the run was started")


def test_workers_are_asked_for_once_a_minute_and_told_where_they_explain_it(
    cloud: Cloud, follower: FollowedRuns, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    bounded = {"verdict": "bounded-by-max-workers", "remedy": "more workers help: raise MaxWorkers"}
    asked: list[float] = []

    def answer() -> None:
        """Put what comes next: the run, or the workers when they are due."""
        due = time.seconds - max([0.0, *asked]) >= 60
        cloud.answers.append(shown("queued"))
        if due:
            asked.append(time.seconds)
            cloud.answers.append((200, bounded if len(asked) > 1 else {"verdict": "healthy", "remedy": "nothing"}))

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        answer()

    answer()
    follower.sleep = sleep
    with pytest.raises(NegativeError):
        follow(follower, seconds=300)
    assert [call.path for call in cloud.calls].count("/api/workers") == len(asked) == 4
    assert lines(capsys) == ["queued", "queued: bounded-by-max-workers: more workers help: raise MaxWorkers."]


def test_workers_that_cannot_be_asked_for_change_nothing(cloud: Cloud, follower: FollowedRuns, time: Time) -> None:
    def sleep(seconds: float) -> None:
        time.sleep(61)
        cloud.answers.extend([shown("running"), (503, {})] if time.seconds < 100 else [shown("success")])

    cloud.answers.append(shown("running"))
    follower.sleep = sleep
    assert follow(follower)["state"] == "success"


def test_an_interrupt_says_that_the_run_goes_on(
    cloud: Cloud, follower: FollowedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    follower.sleep = interrupt
    cloud.answers.append(shown("queued"))
    with pytest.raises(KeyboardInterrupt):
        follow(follower)
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Interrupted. The run continues without this command. Check again: {AGAIN}"
    )


def test_credentials_that_expire_meanwhile_end_the_wait_and_not_the_run(cloud: Cloud, follower: FollowedRuns) -> None:
    cloud.answers.extend([shown("queued"), (401, {"message": "Unauthorized"})])
    with pytest.raises(StackTroubleError) as ended:
        follow(follower)
    assert "Sign in again" in ended.value.message
    assert ended.value.message.endswith(f"The run continues without this command. Check again: {AGAIN}")


def test_wait_looks_at_a_run_and_starts_none(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append(shown("success"))
    result = jetway("wait", "orders", "r1", "--json")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (0, "success")
    assert [(call.method, call.path) for call in cloud.calls] == [("GET", "/api/dags/orders/dagRuns/r1")]
    assert cloud.checked == []


def test_wait_for_a_run_that_nobody_knows_says_so(cloud: Cloud, jetway: Jetway) -> None:
    cloud.answers.append(NOT_YET)
    result = jetway("wait", "orders", "r1", "--timeout", "0s", "--stack", "jetway")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "unknown: not-known: neither Airflow nor Jetway's ledger has this run" in result.stderr
    assert "continues" not in result.stderr
    assert "Check again: jetway wait orders r1 --stack jetway" in result.stderr


def test_trouble_before_a_run_was_seen_says_nothing_of_the_run(cloud: Cloud, follower: FollowedRuns) -> None:
    follower.is_accepted = False
    cloud.answers.append((503, {"message": "Service Unavailable"}))
    with pytest.raises(NegativeError, match="the run is unknown, when last seen \\(api-answers-503") as ended:
        follow(follower, seconds=0)
    assert "continues" not in ended.value.message


@pytest.mark.parametrize("arguments", [("a b", "r1"), ("orders", "a b"), ("orders",), ("orders", "")])
def test_wait_takes_ids_only(cloud: Cloud, jetway: Jetway, arguments: tuple[str, ...]) -> None:
    assert (jetway("wait", *arguments).exit_code, cloud.calls) == (2, [])
