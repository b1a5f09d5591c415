"""The event on a run's end, when Airflow's answer does not say when it began or ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jetway.dispatch.run_events import completion
from jetway.ledger import Entry

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
ENTRY = Entry(
    id="orders#1",
    trigger="orders",
    kind="s3",
    identity=("a",),
    decision="started",
    decided_at=NOW,
    because=None,
    dag_id="load",
    dag_run_id="run",
    message_id="m",
)


@pytest.mark.parametrize("start", [None, NOW])
@pytest.mark.parametrize("end", [None, NOW + timedelta(seconds=90)])
def test_times_that_are_not_known_are_null(start: datetime | None, end: datetime | None) -> None:
    later = NOW + timedelta(minutes=5)
    event = completion("acme", ENTRY, state="success", start=start, end=end, now=later)
    assert event.time == (end or later)
    assert event.detail["start_date"] == ("2026-11-22T06:00:00+00:00" if start else None)
    assert event.detail["end_date"] == ("2026-11-22T06:01:30+00:00" if end else None)
    assert event.detail["duration_seconds"] == (90.0 if start and end else None)
    assert event.detail["event_time"] is None
