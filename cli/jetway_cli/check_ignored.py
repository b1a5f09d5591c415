"""Which files .airflowignore keeps Airflow from looking at.

Regular expressions on Airflow 2, globs as in .gitignore on Airflow 3; a file holds for its folder and those below it.
https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#airflowignore
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

NAME = ".airflowignore"

# Whether a path below the dags folder, with slashes, folder or not, is matched; None: the pattern says nothing.
Rule = Callable[[str, bool], bool | None]


def ignored(folder: Path, major: int) -> frozenset[str]:
    """Return the files of a dags folder that Airflow passes over, relative to it.

    Args:
        folder: the dags folder.
        major: version of Airflow.
    """
    found: set[str] = set()
    rules_of: dict[str, list[Rule]] = {"": []}
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        here = Path(place).relative_to(folder).as_posix().removeprefix(".")
        passed = here in found
        rules = [*rules_of[here], *_read(Path(place, NAME), here, major)]
        for name in [*folders, *names]:
            path = f"{here}/{name}" if here else name
            if passed or _matches(rules, path, is_folder=name in folders):
                found.add(path)
            rules_of[path] = rules
    return frozenset(path for path in found if (folder / path).is_file())


def _matches(rules: list[Rule], path: str, *, is_folder: bool) -> bool:
    """The last pattern that says something decides: a later one may take back what an earlier one ignored."""
    matched = False
    for rule in rules:
        said = rule(path, is_folder)
        matched = matched if said is None else said
    return matched


def _read(file: Path, here: str, major: int) -> list[Rule]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # there is none
        return []
    patterns = (re.sub(r"\s*#.*", "", line) for line in text.split("\n"))
    make = _regexp if major < 3 else _glob
    return [rule for pattern in patterns if pattern and (rule := make(pattern, here)) is not None]


def _regexp(pattern: str, _here: str) -> Rule | None:
    try:
        compiled = re.compile(pattern)
    except re.error:  # Airflow logs it and goes on
        return None
    return lambda path, _is_folder: True if compiled.search(path) else None


def _glob(pattern: str, here: str) -> Rule | None:
    from pathspec.patterns.gitignore.base import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if pattern.strip() == "/":
        return None
    try:
        compiled = GitIgnoreSpecPattern(pattern)
    except GitIgnorePatternError:
        return None
    anchored = "/" in pattern.rstrip("/")
    only_folders = pattern.lstrip("!").rstrip().endswith("/")

    def rule(path: str, is_folder: bool) -> bool | None:
        if only_folders and not is_folder:
            return None
        relative = path.removeprefix(f"{here}/" if here else "") if anchored else path.rpartition("/")[2]
        matched = compiled.match_file(relative + "/" * is_folder) is not None
        return compiled.include if matched else None

    return rule
