"""Walks one meeting: `python -m tests.unit.explorer.event_run NAME TRANSPORT`. Exit code 1: it breaks, and how."""

from __future__ import annotations

import logging
import sys
from functools import partial

from tests.unit.explorer.event_scenes import MEETINGS
from tests.unit.explorer.event_street import one_disturbance, play_once


def main(name: str, transport: str) -> str | None:
    """Return the first play that breaks something."""
    logging.disable(logging.CRITICAL)
    meeting = MEETINGS[name]
    make = partial(meeting.make, transport)
    for play in one_disturbance(make, meeting.first, meeting.others):
        try:
            broken = play_once(make, play)
        except Exception as exc:  # noqa: BLE001 - that breaks something as well
            return f"{play}: {exc!r}"
        if broken is not None:
            return str(broken)
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
