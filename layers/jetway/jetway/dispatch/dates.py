"""Logical date and data interval of a run, derived from trigger and event as its id is. Pure functions.

    logical_date of the trigger     the run's
    left out; a file, event, call   the second of the event, with microseconds made of the run id
    left out; a schedule            what Airflow gives a cron of its own: from 3 on planned, on 2 previous
    planned                         the firing's planned time
    previous                        the firing before; the interval goes up to the planned time
    none                            what Airflow gives a run that asks for none: no date on 3, the moment on 2
    "{{ path }}"                    that time, to the microsecond

Airflow takes one run of a DAG per date. So a date that nobody has asked for moves to other microseconds of its second
where another run has it (`dates_to_try`), always to the same ones; `{{ ds }}` stays. Exactly-once does not rest on it:
that is the run id's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from jetway.airflow.names import check_dates
from jetway.dispatch.conf_template import render_text
from jetway.dispatch.firings import firing_before
from jetway.errors import InvalidConfError, InvalidRequestError
from jetway.events.incoming import parse_time

if TYPE_CHECKING:
    from jetway.airflow import DagRunRequest
    from jetway.events.incoming import Event

NONE, PLANNED, PREVIOUS = "none", "planned", "previous"
OF_SCHEDULES = frozenset({PLANNED, PREVIOUS})

# From this version on a cron of Airflow's own has the planned time for its date (CronTriggerTimetable), not the one
# before (CronDataIntervalTimetable): https://airflow.apache.org/docs/apache-airflow/stable/release_notes.html
FIRST_WITH_PLANNED = 3

_MICROSECONDS = 999_999

# So many dates are tried in one go. Each takes a call to Airflow and one to look for the run; of 10,000 runs in one
# second the next date is free 99 times in 100.
DATES_IN_ONE_GO = 3


@dataclass(frozen=True, slots=True)
class DateRule:
    """What a trigger says of its runs' dates.

    Attributes:
        logical_date: none, planned, previous, or a text with placeholders; None where the trigger says nothing.
        interval: texts of its start and its end, with or without placeholders.
        schedule: of a trigger on a schedule, as EventBridge Scheduler has it.
        timezone: of that schedule.
    """

    logical_date: str | None = None
    interval: tuple[str, str] | None = None
    schedule: str | None = None
    timezone: str = "UTC"

    @classmethod
    def parse(cls, trigger: Mapping[str, Any]) -> Self:
        """Read the members of a dispatch message's `trigger`.

        Raises:
            KeyError, TypeError: not of that shape.
        """
        interval = trigger.get("data_interval")
        found = cls(
            logical_date=trigger.get("logical_date"),
            interval=None if interval is None else (interval["start"], interval["end"]),
            schedule=trigger.get("schedule"),
            timezone=trigger.get("timezone", "UTC"),
        )
        for text in (found.logical_date, found.schedule, found.timezone, *(found.interval or ())):
            if text is not None and not isinstance(text, str):
                raise TypeError("logical_date, data_interval, schedule and timezone must be strings")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the members as they stand in a dispatch message's `trigger`."""
        found: dict[str, Any] = {}
        if self.logical_date is not None:
            found["logical_date"] = self.logical_date
        if self.interval is not None:
            found["data_interval"] = {"start": self.interval[0], "end": self.interval[1]}
        if self.schedule is not None:
            found |= {"schedule": self.schedule, "timezone": self.timezone}
        return found


def dated(
    request: DagRunRequest, rule: DateRule, event: Event, facts: Mapping[str, Any], *, major: Callable[[], int]
) -> DagRunRequest:
    """Return a request with its dates.

    Args:
        request: the run, without dates.
        rule: of its trigger.
        event: that it is for.
        facts: what the rule's paths lead into.
        major: returns Airflow's major version; called only where the dates depend on it.

    Raises:
        InvalidRequestError: as `asked_for`.
        TransientError: the version is not to be learnt now.
    """
    return derived(asked_for(request, rule, facts), rule, event, major=major)


def asked_for(request: DagRunRequest, rule: DateRule, facts: Mapping[str, Any]) -> DagRunRequest:
    """Return a request with the dates that its trigger's texts ask for; others are still to be derived.

    Raises:
        InvalidRequestError: a path leads to no time, or to one without a zone; an interval ends before it begins, or
            comes without a date.
    """
    found = _asked_for(request, rule, facts)
    check_dates(found)
    return found


def _asked_for(request: DagRunRequest, rule: DateRule, facts: Mapping[str, Any]) -> DagRunRequest:
    text, interval = rule.logical_date, None
    if rule.interval is not None:
        start, end = rule.interval
        interval = (time_of(start, facts, "data_interval.start"), time_of(end, facts, "data_interval.end"))
    if text == NONE:
        return replace(request, data_interval=interval)
    if text is None or text in OF_SCHEDULES:
        return replace(request, data_interval=interval, is_date_derived=True, is_interval_derived=interval is None)
    return replace(request, logical_date=time_of(text, facts, "logical_date"), data_interval=interval)


def derived(request: DagRunRequest, rule: DateRule, event: Event, *, major: Callable[[], int]) -> DagRunRequest:
    """Return a request with the dates that nobody has asked for; see `dated`."""
    if not request.is_date_derived:
        return request
    if event.identity[0] != "schedule":
        return replace(request, logical_date=_within(event.dated_at, request.dag_run_id, 0))
    start, planned = _firing(rule, event.occurred_at, major)
    return replace(request, logical_date=start, data_interval=request.data_interval or (start, planned))


def dates_to_try(request: DagRunRequest, *, passed: int) -> Iterator[DagRunRequest]:
    """Yield the request with its date, and then with the others that do as well; always the same ones.

    Args:
        passed: so many goes have found their dates taken.
    """
    if not request.is_date_derived or request.logical_date is None:
        yield request
        return
    for number in range(passed * DATES_IN_ONE_GO, (passed + 1) * DATES_IN_ONE_GO):
        moved = _within(request.logical_date, request.dag_run_id, number)
        yield request if number == 0 else replace(request, logical_date=moved)


def time_of(text: str, facts: Mapping[str, Any], where: str) -> datetime:
    """Return the moment that a text stands for, filled in.

    Args:
        text: with or without placeholders.
        facts: what the paths lead into.
        where: it stands, for the error's text.

    Raises:
        InvalidRequestError: it is no time of ISO 8601, has no zone, or a path leads nowhere.
    """
    try:
        value = render_text(text, facts, where)
    except InvalidConfError as exc:
        raise InvalidRequestError(str(exc)) from exc
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise InvalidRequestError(
            f"{where}: {text!r} is {str(value)[:80]!r} here, which is not an ISO 8601 time such as "
            "2026-11-22T06:00:00+00:00."
        ) from exc
    if found.utcoffset() is None:
        raise InvalidRequestError(
            f"{where}: {text!r} is {value[:80]!r} here, which has no time zone; add one, for example +00:00 or Z."
        )
    return found


def _firing(rule: DateRule, planned: datetime, major: Callable[[], int]) -> tuple[datetime, datetime]:
    """Return the interval of a firing."""
    word = rule.logical_date or (PLANNED if major() >= FIRST_WITH_PLANNED else PREVIOUS)
    before = firing_before(rule.schedule or "", rule.timezone, planned) if word == PREVIOUS else None
    return before or planned, planned


def _within(moment: datetime, run_id: str, number: int) -> datetime:
    """Return a moment of the same second that belongs to a run. Never the whole second, as schedules have it."""
    digest = hashlib.sha256(f"{run_id}#{number}".encode()).digest()
    return moment.replace(microsecond=1 + int.from_bytes(digest[:8]) % _MICROSECONDS)


def parse_dates_of_call(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dates that a call brings, as members of a request: one that says nothing of a date has none yet.

    Raises:
        InvalidRequestError: no time, or one without an offset.
    """
    found: dict[str, Any] = {"is_date_derived": "logical_date" not in facts}
    text = facts.get("logical_date")
    try:
        if text:
            found["logical_date"] = parse_time(text)
        if facts.get("data_interval"):
            found["data_interval"] = tuple(parse_time(moment) for moment in facts["data_interval"])
    except (ValueError, TypeError) as exc:
        raise InvalidRequestError(f"logical_date {text!r} is not an ISO 8601 time with an offset: {exc}.") from exc
    return found
