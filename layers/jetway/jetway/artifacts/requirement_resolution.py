"""Between a requirements.txt and uv: what is asked, and what the answer means for the verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from jetway.artifacts.findings import Finding, Judgement, judgement
from jetway.artifacts.requirement_constraints import in_force, unknown_constraints
from jetway.artifacts.requirement_lines import redacted
from jetway.artifacts.requirements_file import parse_for
from jetway.artifacts.resolving import Answer, Question

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.mwaa import Packages
    from jetway.artifacts.requirements_model import Requested, Wanted

Ask = Callable[[Question], Answer]

# More than any real file; each is asked of the index.
MOST_REQUIREMENTS = 1000


def resolved(
    content: bytes, environment: EnvironmentFacts, static: Judgement, ask: Ask, *, index_url: str | None = None
) -> tuple[Judgement, Answer | None]:
    """Judge once more, by really resolving.

    Args:
        content: the file.
        environment: for its Airflow version.
        static: what reading the file says; a file that is rejected already is not resolved.
        ask: asks uv.
        index_url: the index, when the file names none.

    Returns:
        The judgement, and uv's answer when it was asked.
    """
    if static.verdict == "rejected":
        return static, None
    asked, active, packages = parse_for(content, environment)
    if packages is None or asked.no_index is not None:
        return static, None  # nothing to compare with; or the wheels in plugins.zip, which the static check has seen
    question = question_of(asked, active, packages, environment, index_url)
    if not question.requirements:
        return static, None
    answer = ask(question)
    findings, uncertain = answer_findings(answer, asked, active, environment)
    findings += _unread_constraints(asked, environment, packages)
    uncertain = (
        uncertain or static.verdict == "unknown" or any(found.rule == "constraints-not-read" for found in findings)
    )
    judged = judgement(static.kind, [*static.findings, *findings], uncertain=uncertain)
    return replace(judged, dags=static.dags), answer


def question_of(
    asked: Requested,
    active: Sequence[Wanted],
    packages: Packages,
    environment: EnvironmentFacts,
    index_url: str | None,
) -> Question:
    """Return what uv is asked: what comes from an index, under all constraints that are known or can be fetched."""
    pins = dict(in_force(asked, packages, environment.airflow_version, packages.python)) | dict(packages.essential)
    own = next((url for _, url in asked.indexes), None) if asked.own_index else None
    extra = [url for _, url in asked.indexes[1 if asked.own_index else 0 :]]
    unknown = unknown_constraints(asked, environment.airflow_version, packages.python)
    return Question(
        requirements=tuple(
            str(wanted.requirement)
            for wanted in active[:MOST_REQUIREMENTS]
            if wanted.requirement is not None and wanted.source == "index"
        ),
        constraints=tuple(f"{name}=={version}" for name, version in sorted(pins.items())),
        python=packages.python,
        constraint_urls=tuple(place for _, place in unknown if place.startswith("https://")),
        index_url=_https(own) or index_url,
        extra_index_urls=tuple(filter(None, map(_https, extra))),
        prerelease=asked.pre,
    )


def answer_findings(
    answer: Answer, asked: Requested, active: Sequence[Wanted], environment: EnvironmentFacts
) -> tuple[list[Finding], bool]:
    """Return what uv's answer means, and whether the verdict stays open."""
    if answer.status == "resolved":
        return [], False
    line = line_of(answer.said, active)
    if answer.status == "not-resolved":
        finding = Finding(
            rule="not-resolved",
            severity="warning",
            message=f"Not resolved: {answer.said}.".replace("..", "."),
            line=line,
            remedy="Nothing is certain against the file; whether it installs shows after the environment's update. "
            "An index is set by the parameter PackageIndexUrl, or by --index-url.",
        )
        return [finding], True
    # An index of its own, set in startup.sh or in a line with a variable, may know what PyPI does not.
    elsewhere = answer.status == "not-found" and (environment.startup_script_path is not None or bool(asked.variables))
    if answer.status == "not-found":
        remedy = "Correct name and version; if it is in an index of your own, name it: --extra-index-url https://…"
    else:
        remedy = "Change one of the versions that uv names; the environment's own are fixed by Airflow's constraints."
    finding = Finding(
        rule="unresolvable",
        severity="warning" if elsewhere else "error",
        message=f"pip would install nothing of the file. uv says: {answer.said}",
        line=line,
        remedy=remedy,
    )
    return [finding], elsewhere


def line_of(said: str, active: Sequence[Wanted]) -> int | None:
    """Return the line of the requirement that uv's words name first."""
    first: tuple[int, int] | None = None
    for wanted in active:
        if wanted.name is None:
            continue
        match = re.search(rf"(?<![\w.-]){re.escape(wanted.name)}(?![\w-])", said)
        if match and (first is None or match.start() < first[0]):
            first = (match.start(), wanted.line)
    return first[1] if first else None


def names_of(answer: Answer) -> dict[str, str]:
    """Return name → version of what was resolved, normalized."""
    return {canonicalize_name(name): version for name, version in answer.versions.items()}


def _unread_constraints(asked: Requested, environment: EnvironmentFacts, packages: Packages) -> list[Finding]:
    return [
        Finding(
            rule="constraints-not-read",
            severity="warning",
            message=f"The constraints `{redacted(place)}` are not read here; they may still contradict the file.",
            line=line,
            remedy="Nothing to do; the environment's update shows it.",
        )
        for line, place in unknown_constraints(asked, environment.airflow_version, packages.python)
        if not place.startswith("https://")
    ]


def _https(url: str | None) -> str | None:
    return url if url and url.startswith("https://") else None
