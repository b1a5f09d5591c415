"""Numbers that decide how long a message waits, and whether it is forgotten: each from both sides of its bound."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from jetway.dispatch.backoff import longest_hold, wait_before_retry
from jetway.dispatch.following import LATEST, SOONEST, next_look
from jetway.dispatch.limits import Rate, WaitingState, parse_age
from jetway.dispatch.rates import Window, is_now, next_place
from jetway.dispatch.waiting import delay_until, next_waits
from jetway.errors import (
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    PermissionMissingError,
    TokenRefusedError,
    TransientError,
)
from jetway.triggers.checks import BOUNDS
from tests.unit.template.source import RESOURCES, TEMPLATE

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
RATE = Rate(2, 60)


class Least(random.Random):
    """Jitter that is as short as it can be."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


class Most(random.Random):
    """Jitter that is as long as it can be."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@pytest.mark.parametrize(
    ("tries", "least", "most"), [(1, 1, 2), (2, 2, 4), (3, 4, 8), (6, 32, 64), (9, 312, 512), (10, 400, 600)]
)
def test_a_wait_doubles_and_up_to_half_of_it_is_jitter(tries: int, least: int, most: int) -> None:
    assert wait_before_retry(tries, longest=600, random_=Least()) == least
    assert wait_before_retry(tries, longest=600, random_=Most()) == most
    assert {wait_before_retry(50, longest=1000) for _ in range(20)} != {500}, "and it is jitter"


def tries_of(age: timedelta, error: type[TransientError], jitter: random.Random) -> int:
    """How often a message is received that is held for all its age, as `Lanes` holds it."""
    held_for, tries = timedelta(), 1
    while held_for <= age:
        longest = longest_hold(error.longest_wait, held_for)
        wait = wait_before_retry(tries, longest=longest, shortest=error.shortest_wait, random_=jitter)
        held_for, tries = held_for + timedelta(seconds=wait), tries + 1
    return tries


# Receives that are no tries of a message itself: the batches in which it stood behind others that took all the time.
BEHIND_OTHERS = 9


@pytest.mark.parametrize("hours", [*range(1, 25), 48, 72, 96, 120, 144, 168])
def test_no_event_is_taken_away_by_sqs_before_its_greatest_age(hours: int) -> None:
    """Over the range of MaxEventAgeHours, which a trigger's max_event_age does not exceed, with the least waits."""
    bounds = TEMPLATE["Parameters"]["MaxEventAgeHours"]
    assert (bounds["MinValue"], bounds["MaxValue"]) == (1, 168)
    assert BOUNDS["limits", "max_event_age"][1] == "7d"
    most = RESOURCES["DispatchQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    for error in (EnvironmentBusyError, TokenRefusedError, EnvironmentUnavailableError, PermissionMissingError):
        assert tries_of(timedelta(hours=hours), error, Least()) + BEHIND_OTHERS < most


@pytest.mark.parametrize("minutes", [1, 10, 30, 60, 120, 600, 6000])
def test_a_lane_wakes_up_within_a_tenth_of_the_outage(minutes: int) -> None:
    outage = timedelta(minutes=minutes)
    longest = timedelta(seconds=longest_hold(EnvironmentBusyError.longest_wait, outage))
    assert longest <= max(timedelta(minutes=1), min(outage / 10, timedelta(minutes=15)))


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-5.0, 0), (0.0, 0), (0.9, 0), (1.0, 1), (1.2, 2), (900.0, 900), (899.1, 900), (2000.0, 900)]
)
def test_a_delay_is_whole_seconds_and_never_too_short(seconds: float, delay: int) -> None:
    assert delay_until(NOW + timedelta(seconds=seconds), NOW) == delay


def test_a_wait_counts_its_time_by_reason_and_its_tries_by_all() -> None:
    moment, later = NOW + timedelta(minutes=5), NOW + timedelta(minutes=1)
    first = next_waits(None, because="rate", first=NOW - timedelta(minutes=2), now=NOW, not_before=moment)
    assert first == WaitingState(NOW, 1, "rate", moment, NOW - timedelta(minutes=2))
    same = next_waits(first, because="rate", first=later, now=later)
    assert same == WaitingState(NOW, 2, "rate", None, NOW - timedelta(minutes=2))
    other = next_waits(same, because="dag-not-found", first=later, now=later)
    assert other == WaitingState(later, 3, "dag-not-found", None, NOW - timedelta(minutes=2))


def test_a_message_that_comes_back_knows_since_when_it_has_waited_for_each_reason() -> None:
    """Else reasons that take turns would begin anew with each wait, and nothing would ever be over."""
    later = NOW + timedelta(minutes=1)
    waits = next_waits(None, because="dag-not-found", first=NOW, now=NOW)
    waits = next_waits(waits, because="rate", first=later, now=later)
    back = WaitingState.parse(waits.to_json())
    assert [back.since_of(reason) for reason in ("dag-not-found", "rate", "answer-lost")] == [NOW, later, None]


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_limit_is_a_whole_number_up_to_a_milliard(value: int) -> None:
    assert Rate.parse({"count": value, "per": value}) == Rate(value, value)
    assert parse_age(value) == timedelta(seconds=value)
    assert WaitingState.parse({"since": NOW.isoformat(), "count": value}).count == value


@pytest.mark.parametrize("value", [0, -1, 10**9 + 1])
def test_a_limit_beyond_that_is_refused(value: int) -> None:
    for given in ({"count": value, "per": 1}, {"count": 1, "per": value}):
        with pytest.raises(ValueError, match=r"rate\.(count|per) is .*, not between 1 and 10\^9"):
            Rate.parse(given)
    with pytest.raises(ValueError, match=r"waits\.count is"):
        WaitingState.parse({"since": NOW.isoformat(), "count": value})


def test_a_limit_that_is_no_number_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match=r"rate\.per is 'a', not a whole number"):
        Rate.parse({"count": 1, "per": "a"})
    with pytest.raises(TypeError, match=r"max_event_age is True"):
        parse_age(value=True)


def test_places_are_given_out_window_by_window() -> None:
    present = int(NOW.timestamp())
    assert next_place(None, RATE, NOW + timedelta(seconds=59)) == Window(present, 1)
    assert next_place(Window(present - 60, 1), RATE, NOW) == Window(present, 1), "the past is over"
    assert next_place(Window(present, 1), RATE, NOW) == Window(present, 2)
    assert next_place(Window(present, 2), RATE, NOW) == Window(present + 60, 1)
    assert next_place(Window(present + 60, 1), RATE, NOW) == Window(present + 60, 2), "given out ahead"


def test_a_place_is_one_of_a_window_of_the_rate_that_it_was_asked_for() -> None:
    """What takes the next place after a change of the rate has to know where the window of the last one ends."""
    place: Window | None = None
    for _ in range(3):
        place = next_place(place, RATE, NOW)
        assert next_place(place, Rate(1, 90), NOW).start >= place.start + RATE.per


@pytest.mark.parametrize(("seconds", "good"), [(-1, False), (0, True), (59, True), (60, False)])
def test_a_place_is_good_in_its_own_window_only(seconds: int, good: bool) -> None:
    assert is_now(NOW.timestamp(), RATE, NOW + timedelta(seconds=seconds)) is good


@pytest.mark.parametrize(
    ("age", "after"),
    [
        (timedelta(0), SOONEST),
        (timedelta(minutes=8), SOONEST),
        (timedelta(minutes=10), timedelta(minutes=1)),
        (timedelta(hours=1), timedelta(minutes=6)),
        (timedelta(hours=3), LATEST),
    ],
)
def test_a_run_is_looked_at_again_after_a_tenth_of_its_age(age: timedelta, after: timedelta) -> None:
    assert next_look(NOW, NOW + age) - (NOW + age) == after
