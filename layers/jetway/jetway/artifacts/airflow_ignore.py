"""Which files .airflowignore keeps Airflow from looking at, in the dags folder and in the plugins folder.

Regular expressions on Airflow 2, globs as in .gitignore on Airflow 3, unless core.dag_ignore_file_syntax says
otherwise; a file holds for its folder and those below it.
https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#airflowignore
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

NAME = ".airflowignore"

Syntax = Literal["regexp", "glob"]
# Whether a path with slashes, a folder or not, is matched; None: the pattern says nothing.
Rule = Callable[[str, bool], bool | None]

# Airflow matches with re2, in linear time; Python's expressions may take forever on some patterns, which are left out.
_SLOW = re.compile(r"[*+}][?+]?\)+[*+{]")
_MOST_REPEATS = 4
_REPEAT = re.compile(r"[*+{]")


def syntax_of(environment: EnvironmentFacts) -> Syntax:
    """How an environment reads the file."""
    said = environment.options.get("core.dag_ignore_file_syntax", "").strip().lower()
    if said in {"regexp", "glob"}:
        return "glob" if said == "glob" else "regexp"
    return "regexp" if environment.major < 3 else "glob"


def ignored(files: Iterable[str], patterns: Mapping[str, str], syntax: Syntax) -> frozenset[str]:
    """Return the files that Airflow passes over.

    Args:
        files: paths below the folder that Airflow walks, with slashes.
        patterns: text of the .airflowignore of a folder, "" for that of the walked one.
        syntax: how it is read.
    """
    rules: dict[str, list[Rule] | None] = {"": _read(patterns.get("", ""), "", syntax)}

    def rules_in(folder: str) -> list[Rule] | None:
        """Those that hold in a folder; None when it is passed over itself."""
        if folder not in rules:
            above = rules_in(folder.rpartition("/")[0])
            if above is None or _matches(above, folder, is_folder=True):
                rules[folder] = None
            else:
                rules[folder] = [*above, *_read(patterns.get(folder, ""), folder, syntax)]
        return rules[folder]

    found = set()
    for path in files:
        here = rules_in(path.rpartition("/")[0])
        if here is None or _matches(here, path, is_folder=False):
            found.add(path)
    return frozenset(found)


def _matches(rules: list[Rule], path: str, *, is_folder: bool) -> bool:
    """The last pattern that says something decides: a later one may take back what an earlier one ignored."""
    matched = False
    for rule in rules:
        said = rule(path, is_folder)
        matched = matched if said is None else said
    return matched


def _read(text: str, here: str, syntax: Syntax) -> list[Rule]:
    patterns = (re.sub(r"\s*#.*", "", line) for line in text.split("\n"))
    make = _regexp if syntax == "regexp" else _glob
    return [rule for pattern in patterns if pattern and (rule := make(pattern, here)) is not None]


def _regexp(pattern: str, _here: str) -> Rule | None:
    if _SLOW.search(pattern) or len(_REPEAT.findall(pattern)) > _MOST_REPEATS:
        return None
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):  # Airflow logs it and goes on
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
