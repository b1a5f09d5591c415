"""How long to wait before the next try."""

from __future__ import annotations

import random

FIRST_WAIT = 2.0  # seconds


def wait_before_retry(tries: int, *, longest: float, random_: random.Random | None = None) -> int:
    """Return whole seconds to wait after `tries` failed tries (1 or more): exponential, half of it jitter.

    Args:
        tries: failed tries so far.
        longest: seconds that no wait exceeds.
        random_: source of the jitter.

    >>> wait_before_retry(1, longest=60) in (1, 2), 30 <= wait_before_retry(50, longest=60) <= 60
    (True, True)
    """
    ceiling = min(longest, FIRST_WAIT * 2.0 ** min(tries - 1, 20))
    return max(1, round((random_ or random).uniform(ceiling / 2, ceiling)))
