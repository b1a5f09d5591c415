"""An artifact is read in a child of its own: one that takes too much, or crashes it, is not judged and goes nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jetway.artifacts.airflow_ignore import Syntax, ignored
from jetway.artifacts.child_process import BeyondBoundsError, Bounds, Opener, apart
from jetway.artifacts.findings import Candidate, Finding, Judgement, internal_error, judgement

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.kinds import Kind

BOUNDS = Bounds()
_FOR_PATTERNS = Bounds(memory=256 * 1024**2, cpu_seconds=10, seconds=30.0)


def read(kind: Kind, candidate: Candidate, environment: EnvironmentFacts, max_bytes: int) -> Judgement:
    """Judge an artifact by reading it, in this process.

    Args:
        kind: its kind.
        candidate: the artifact.
        environment: that it is for.
        max_bytes: the size limit of DAG files.
    """
    return kind.check(candidate, environment, max_bytes)


def read_apart(
    kind: Kind, candidate: Candidate, environment: EnvironmentFacts, max_bytes: int, *, bounds: Bounds = BOUNDS
) -> Judgement:
    """Judge an artifact by reading it, as `read`, in a child with bounds.

    Raises:
        TransientError: the child was held up.
        Exception: what opening and reading the candidate's stream raises.
    """
    work = partial(_read, kind, candidate, environment, max_bytes)
    try:
        return apart(work, bounds, opener=candidate.opener, size=candidate.size)
    except BeyondBoundsError as exc:
        return judgement(kind.name, [not_judged(exc)])


def not_judged(why: BeyondBoundsError) -> Finding:
    """Return the finding on what takes too much to be read."""
    return Finding(
        rule="not-judged",
        severity="error",
        message=f"The file was not checked: {why}.",
        line=None,
        remedy="Make it smaller or simpler, or move data into separate files, and upload it again.",
    )


def ignored_apart(files: Iterable[str], patterns: Mapping[str, str], syntax: Syntax) -> frozenset[str]:
    """Return the files that Airflow passes over, as `ignored`; what others wrote is matched in a child with bounds.

    Raises:
        BeyondBoundsError: that takes too much.
        TransientError: the child was held up.
    """
    if not any(patterns.values()):
        return frozenset()
    return apart(lambda _opener: ignored(list(files), patterns, syntax), _FOR_PATTERNS)


def _read(
    kind: Kind, candidate: Candidate, environment: EnvironmentFacts, max_bytes: int, opener: Opener | None
) -> Judgement:
    try:
        return kind.check(replace(candidate, opener=opener), environment, max_bytes)
    except MemoryError:
        raise
    except Exception as exc:  # noqa: BLE001 - a fault of ours with one file is a finding of that file
        return judgement(kind.name, [internal_error(exc)])
