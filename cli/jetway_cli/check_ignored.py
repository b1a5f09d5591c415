"""Which files of a folder .airflowignore keeps Airflow from looking at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jetway.artifacts.airflow_ignore import NAME, syntax_of
from jetway.artifacts.child_process import BeyondBoundsError
from jetway.artifacts.judging import ignored_apart
from jetway_cli.errors import WrongUseError

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement

# What only Python minds: a file that nobody loads may be a template, or for another Python.
_OF_TEXT = frozenset({"syntax", "newer-syntax", "encoding", "nul-byte", "utf-16", "too-deep"})


def ignored_below(folder: Path, environment: EnvironmentFacts) -> frozenset[str]:
    """Return the files of a dags folder that Airflow passes over, relative to it.

    Args:
        folder: the dags folder.
        environment: whose Airflow reads it.

    Raises:
        WrongUseError: a .airflowignore cannot be read, or takes too much to be matched.
    """
    files: list[str] = []
    patterns: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        here = "/".join(Path(place).relative_to(folder).parts)
        files += (f"{here}/{name}" if here else name for name in names)
        if NAME in names:
            patterns[here] = _text(Path(place, NAME))
    try:
        return ignored_apart(files, patterns, syntax_of(environment))
    except BeyondBoundsError as exc:
        raise WrongUseError(f"the patterns of {NAME} in {folder} cannot be matched: {exc}.") from exc


def is_refused_for_its_text(judgement: Judgement) -> bool:
    """Whether a file is refused, and only for what matters when it is loaded."""
    errors = {finding.rule for finding in judgement.findings if finding.severity == "error"}
    return judgement.verdict == "rejected" and errors <= _OF_TEXT


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise WrongUseError(f"{file} cannot be read: {exc.strerror}.") from exc
