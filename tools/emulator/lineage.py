"""The lineage in X-Amzn-Trace-Id, by which Lambda finds loops: how often each function has run in a chain of requests.

    Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:1|68fd508a:5

https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

# "If your function is invoked approximately 16 times in the same chain of requests, then Lambda automatically stops the
# next function invocation in that request chain".
MOST = 16
_LINEAGE = re.compile(r"Lineage=([^;]*)")
_STEP = re.compile(r"([0-9a-f]{8}):(\d{1,9})")


def step(function: str) -> str:
    """Return how a function, by its ARN, is named in a lineage."""
    return hashlib.sha256(function.encode()).hexdigest()[:8]


def read(headers: Iterable[str]) -> dict[str, int]:
    """Return how often each function has run in the chains of these headers; where they differ, the most.

    How AWS counts a batch whose messages come from different chains is not documented: this is the strict reading.
    """
    counts: dict[str, int] = {}
    for header in headers:
        found = _LINEAGE.search(header)
        for name, count in _STEP.findall(found[1]) if found else ():
            counts[name] = max(counts.get(name, 0), int(count))
    return counts


def with_one_more(counts: Mapping[str, int], function: str) -> dict[str, int]:
    """Return the counts once the function, by its ARN, runs again."""
    return {**counts, step(function): counts.get(step(function), 0) + 1}


def header(counts: Mapping[str, int], *, root: str, parent: str) -> str:
    """Return the header of a function that runs.

    Args:
        root: "1-5759e988-bd862e3fe1be46a994272793".
        parent: 16 hexadecimal digits.
    """
    lineage = "|".join(f"{name}:{count}" for name, count in sorted(counts.items()))
    return f"Root={root};Parent={parent};Sampled=0" + (f";Lineage={lineage}" if lineage else "")


def ends(counts: Mapping[str, int], function: str) -> bool:
    """Whether Lambda stops the function, by its ARN, unless it is let through."""
    return counts.get(step(function), 0) >= MOST
