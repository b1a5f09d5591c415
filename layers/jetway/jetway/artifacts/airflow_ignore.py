"""Which files .airflowignore keeps Airflow from looking at, in the dags folder and in the plugins folder.

Regular expressions on Airflow 2, globs as in .gitignore on Airflow 3, unless core.dag_ignore_file_syntax says
otherwise; a file holds for its folder and those below it. Airflow 2 reads regular expressions with re2, Airflow 3 with
Python's re.
https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#airflowignore
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

NAME = ".airflowignore"

Syntax = Literal["re2", "regexp", "glob"]
# Whether a path with slashes, a folder or not, is matched; None: the pattern says nothing.
Rule = Callable[[str, bool], bool | None]

# Airflow matches with re2, in linear time; Python's expressions may take forever on some patterns, which are left out.
_SLOW = re.compile(r"[*+}][?+]?\)+[*+{]")
_MOST_REPEATS = 4
_REPEAT = re.compile(r"[*+{]")


@dataclass(frozen=True, slots=True)
class Oddity:
    """A pattern that does not do what its writer may think.

    Attributes:
        line: 1-based.
        pattern: as it stands there, without comment.
        why: for people.
        fatal: Airflow does not pass over it: it stops there, and finds no file at all.
    """

    line: int
    pattern: str
    why: str
    fatal: bool = False


def syntax_of(environment: EnvironmentFacts) -> Syntax:
    """How an environment reads the file."""
    said = environment.options.get("core.dag_ignore_file_syntax", "").strip().lower()
    if said == "glob" or (said != "regexp" and environment.major >= 3):
        return "glob"
    return "re2" if environment.major < 3 else "regexp"


def oddities(text: str, syntax: Syntax) -> list[Oddity]:
    """Return the patterns that Airflow passes over, or stops at."""
    found = []
    for number, pattern in enumerate(_patterns(text), start=1):
        fault = _fault_of_glob(pattern) if syntax == "glob" else _fault_of_regexp(pattern, syntax)
        if pattern and fault is not None:
            found.append(Oddity(number, pattern, *fault))
    return found


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


def _patterns(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.partition("#")[0].rstrip() if "#" in line else line for line in lines]


def _read(text: str, here: str, syntax: Syntax) -> list[Rule]:
    make = _glob if syntax == "glob" else _re2 if syntax == "re2" else _regexp
    return [rule for pattern in _patterns(text) if pattern and (rule := make(pattern, here)) is not None]


def _re2(pattern: str, here: str) -> Rule | None:
    return None if not_in_re2(pattern) else _regexp(re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", pattern), here)


def _regexp(pattern: str, _here: str) -> Rule | None:
    if _SLOW.search(pattern) or len(_REPEAT.findall(pattern)) > _MOST_REPEATS:
        return None
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):  # Airflow logs it and goes on
        return None
    return lambda path, _is_folder: True if compiled.search(path) else None


def _fault_of_regexp(pattern: str, syntax: Syntax) -> tuple[str, bool] | None:
    lacking = not_in_re2(pattern) if syntax == "re2" else None
    if lacking is not None:
        return f"Airflow 2 reads it with re2, which has no {lacking}", False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        if syntax == "re2" and _ONLY_RE2.search(pattern):
            return None  # which Python cannot tell
        return f"it is not a regular expression ({exc})", False
    return None


def not_in_re2(pattern: str) -> str | None:
    """Name what a regular expression of Python's has that re2 has not; None for nothing.

    https://github.com/google/re2/wiki/Syntax
    """
    bare = _ESCAPED.sub(lambda found: "x" if found[0][1:] in _NOT_ESCAPES else found[0], pattern)
    bare = _CLASS.sub("x", bare)
    return next((name for name, found in _LACKING if found.search(bare)), None)


_ONLY_RE2 = re.compile(r"\\[pPQCz]|[$^][*+?]")
_NOT_ESCAPES = set("\\.*+?()[]{}|^$/-#&~!@%=<>,;:'\"` ")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]\\]*(?:\\.[^\]\\]*)*(?:\]|\\?\Z)")  # one without end is none, and ends here
_LACKING = (
    ("lookahead", re.compile(r"\(\?[=!]")),
    ("lookbehind", re.compile(r"\(\?<[=!]")),
    ("atomic groups", re.compile(r"\(\?>")),
    ("conditions", re.compile(r"\(\?\(")),
    ("comments", re.compile(r"\(\?#")),
    ("references back to groups", re.compile(r"\(\?P=|\\[1-9]")),
    ("possessive quantifiers", re.compile(r"(?:[*+?]|\{\d*+(?:,\d*+)?\})\+")),
    ("such flags", re.compile(r"\(\?[b-tvwyzA-KM-Z]*[axLu][a-zA-Z]*+[:)]")),
    (r"\Z (write \z)", re.compile(r"\\Z")),
    (r"\N, \u and \U", re.compile(r"\\[NuU]")),
)


def _glob(pattern: str, here: str) -> Rule | None:
    from pathspec.patterns.gitignore.base import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if pattern.strip() == "/":
        return None
    try:
        compiled = GitIgnoreSpecPattern(pattern)
    except (GitIgnorePatternError, re.error):
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


def _fault_of_glob(pattern: str) -> tuple[str, bool] | None:
    from pathspec.patterns.gitignore.base import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if not pattern.strip():
        return None
    try:
        compiled = GitIgnoreSpecPattern(pattern)
    except (GitIgnorePatternError, re.error) as exc:
        return f"it is not a glob ({exc})", True
    if pattern.strip() == "/" or compiled.include is None:
        return "it matches nothing", False
    if _LIKE_REGEXP.search(pattern):
        return "it looks like a regular expression, and is read as a glob, as in .gitignore", False
    return None


# In a glob these stand for themselves, and hardly a file's name has them.
_LIKE_REGEXP = re.compile(r"\.\*|\.\+|^\^|\$$|\\\.|\(\?")
