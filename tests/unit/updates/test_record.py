"""The record of the update that is on its way, as an earlier release of Jetway has written it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from jetway.promotion.artifact_state import LiveVersion
from jetway.updates.record import Debt, UpdateRecord

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
KEY = "requirements.txt"
BAD = LiveVersion("v2", "live", KEY, "copy of v2", "requirements", "accepted", NOW, "reports/r.json")


def earlier(phase: str, **changes: Any) -> UpdateRecord:
    """Read a record that knows neither of what is blamed nor of what is owed."""
    values = json.loads(UpdateRecord(artifacts={KEY: BAD}, began_at=NOW).as_json())
    for name in ("blamed", "owed", "sighted", "seen", "seen_update"):
        del values[name]
    return UpdateRecord.from_json(json.dumps(values | {"phase": phase, **changes}), 7)


def test_what_it_was_giving_up_is_given_up() -> None:
    assert earlier("undo").blamed == (KEY,)


def test_the_way_back_that_it_had_begun_is_owed() -> None:
    """Going back was a phase of its own, in which the bad version was what the update was about."""
    back = {"RequirementsS3Path": KEY, "RequirementsS3ObjectVersion": "copy of v1"}
    record = earlier("undoing", changes=back)
    assert (record.phase, record.artifacts) == ("updating", {})
    assert record.owed == {KEY: Debt(BAD, (KEY, "copy of v1"), NOW)}
    assert record.pays == record.owed
