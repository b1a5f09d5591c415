""".airflowignore in the dags folder: what it takes away, and whether that was meant.

A line `# jetway: hides PATTERN` in it says which DAG files it is meant to hide that are live: a path below dags/, as a
glob (`*` goes over slashes), for example `# jetway: hides dags/old/*.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from jetway.artifacts.airflow_ignore import oddities, syntax_of
from jetway.artifacts.findings import Candidate, Finding, Judgement, judgement

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

KIND = "airflowignore"
_MOST_SHOWN = 10
_HIDES = re.compile(r"#\s*jetway:\s*hides\s+(\S.*?)\s*$", re.MULTILINE)


def check_ignore_file(candidate: Candidate, environment: EnvironmentFacts, *, max_bytes: int) -> Judgement:
    """Judge a .airflowignore by reading it: the patterns that Airflow passes over, or stops at.

    Args:
        candidate: the file.
        environment: tells how it is read.
        max_bytes: of a larger one nothing is said but that.
    """
    if candidate.size > max_bytes:
        message = f"The file has {candidate.size:,} bytes; a .airflowignore can have {max_bytes:,}."
        return judgement(KIND, [Finding("too-large", "error", message, None, "Write patterns instead of lists.")])
    try:
        text = candidate.content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = candidate.content[: exc.start].count(b"\n") + 1
        message = "The file is not UTF-8: Airflow stops when it reads it, and finds no DAG file."
        return judgement(KIND, [Finding("encoding", "error", message, line, "Save it as UTF-8.")])
    syntax = syntax_of(environment)
    wanted = "a glob, as in .gitignore" if syntax == "glob" else "a regular expression that matches part of the path"
    findings = []
    for odd in oddities(text, syntax):
        does = "stops at this pattern, and finds no DAG file" if odd.fatal else "skips this pattern"
        if syntax == "glob" and odd.why.startswith("it looks like"):
            does = "takes this pattern literally"
        findings.append(
            Finding(
                "ignore-pattern",
                "error" if odd.fatal else "warning",
                f"Airflow {environment.airflow_version} {does} `{odd.pattern}`: {odd.why}.",
                odd.line,
                f"Write {wanted}, or delete the line.",
            )
        )
    return judgement(KIND, findings)


def hiding(static: Judgement, text: str, hidden: Mapping[str, Iterable[str] | None]) -> Judgement:
    """The judgement of a .airflowignore that takes live DAG files away.

    Args:
        static: what reading it says.
        text: of the file.
        hidden: key in the drop bucket of each live file with DAGs that it newly hides → its DAGs; None when only
            running the file tells which.
    """
    meant = _HIDES.findall(text)
    by_mistake = [path for path in hidden if not any(fnmatchcase(path, pattern) for pattern in meant)]
    findings = []
    if by_mistake:
        names = _named({path: hidden[path] for path in by_mistake})
        words = ", ".join(sorted(by_mistake)[:_MOST_SHOWN])
        findings.append(
            Finding(
                "hides-dags",
                "error",
                (
                    f"It hides files that are live: {names}. Airflow would no longer read them, and would deactivate "
                    "their DAGs."
                ),
                None,
                (
                    "Change the pattern. If this is intended, add a line to the file, such as: # jetway: hides "
                    f"{words.partition(',')[0]}"
                ),
            )
        )
    elif hidden:
        findings.append(
            Finding(
                "hides-dags",
                "warning",
                f"It hides files that are live, as it says: {_named(hidden)}.",
                None,
                "Nothing to do, if this is intended.",
            )
        )
    verdict = "rejected" if by_mistake else static.verdict
    return replace(static, verdict=verdict, findings=(*static.findings, *findings))


def _named(files: Mapping[str, Iterable[str] | None]) -> str:
    names = []
    for path, dags in sorted(files.items())[:_MOST_SHOWN]:
        ids = sorted(dags) if dags is not None else []
        shown = ", ".join(ids[:_MOST_SHOWN]) + (" …" if len(ids) > _MOST_SHOWN else "")
        names.append(f"{path} ({shown})" if shown else f"{path} (its DAGs are known only when it runs)")
    more = f" and {len(files) - _MOST_SHOWN} more" if len(files) > _MOST_SHOWN else ""
    return ", ".join(names) + more
