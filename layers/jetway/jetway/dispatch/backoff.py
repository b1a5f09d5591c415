"""How long to wait before the next try."""

from __future__ import annotations

import random
from datetime import timedelta

FIRST_WAIT = 2.0  # seconds
MOST_JITTER = 200.0  # seconds

# A lane that is held is tried again after a tenth of the time for which it has been held: what works again is noticed
# within a tenth of the outage. 15 minutes at the most, so that nobody waits longer than that for it; and 168 hours of
# it, the longest MaxEventAgeHours, take fewer tries than the 1,000 after which SQS itself takes a message away.
SHARE = 0.1
LONGEST_HOLD = 900.0  # seconds


def wait_before_retry(
    tries: int, *, longest: float, shortest: float = 0.0, random_: random.Random | None = None
) -> int:
    """Return whole seconds to wait after `tries` failed tries (1 or more): exponential, up to half of it jitter.

    Args:
        tries: failed tries so far.
        longest: seconds that no wait exceeds.
        shortest: seconds that every wait has.
        random_: source of the jitter.

    >>> wait_before_retry(1, longest=60) in (1, 2), 30 <= wait_before_retry(50, longest=60) <= 60
    (True, True)
    """
    ceiling = min(longest, FIRST_WAIT * 2.0 ** min(tries - 1, 20))
    wait = (random_ or random).uniform(ceiling - min(ceiling / 2, MOST_JITTER), ceiling)
    return max(1, round(shortest), round(wait))


def longest_hold(longest: float, held_for: timedelta) -> float:
    """Return the seconds that a lane waits at the most that has been held for so long.

    Args:
        longest: seconds, while it has not been held for long.
        held_for: since its first message was tried first.

    >>> [longest_hold(60, timedelta(minutes=minutes)) for minutes in (1, 10, 60, 6000)]
    [60, 60, 360.0, 900.0]
    """
    return min(LONGEST_HOLD, max(longest, held_for.total_seconds() * SHARE))
