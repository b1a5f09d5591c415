"""cron expressions: a step of zero is refused in each field, because EventBridge Scheduler refuses it later."""

from __future__ import annotations

import re

import pytest

from jetway.triggers.schedule_text import cron_fault

GOOD = ["0", "6", "?", "*", "MON-FRI", "*"]
FIELDS = ["minutes", "hours", "day-of-month", "month", "day-of-week", "year"]


@pytest.mark.parametrize(("position", "name"), list(enumerate(FIELDS)))
def test_a_step_of_zero_is_refused(position: int, name: str) -> None:
    fields = list(GOOD)
    if name == "day-of-month":
        fields[4] = "?"
    for text in ("*/0", "*/00", "1/0", "1/0000", "1,2/00,3"):
        fields[position] = text if name != "year" else re.sub(r"\b([123])(?=[/,]|$)", r"203\1", text)
        fault = f"the {name} field is {fields[position]!r}, and a step is at least 1"
        assert cron_fault(" ".join(fields)) == fault
    fields[position] = "*/1"
    assert cron_fault(" ".join(fields)) is None
