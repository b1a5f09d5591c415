"""Between a requirements.txt and uv: what is asked, and what the answer means for the verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from jetway.artifacts.findings import Finding, Judgement, judgement
from jetway.artifacts.requirements.index_proxy import named
from jetway.artifacts.requirements.local_wheels import inside
from jetway.artifacts.requirements.requirement_constraints import in_force, unknown_constraints
from jetway.artifacts.requirements.requirement_lines import redacted
from jetway.artifacts.requirements.requirements_file import parse_for
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.mwaa import Packages
    from jetway.artifacts.requirements.local_wheels import LocalWheels
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway.artifacts.requirements.requirements_model import Requested, RequestedDistribution
    from jetway.artifacts.requirements.wheel_files import WheelMetadata

AskResolver = Callable[[ResolutionRequest], Resolution]

# As uv says it of a version that would have to be built; a marker may stand behind the name.
_SOURCE_ONLY = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z0-9][\w.-]*)(?:\{[^{}]*\})?==(?P<version>[\w.+!-]*\w) has no usable wheels"
)
_MOST_SOURCES = 4  # each is another question
# What these are built with is on Airflow's machines and not in MWAA's image. That has compilers, and what is needed for
# MariaDB's, PostgreSQL's and Kerberos's libraries: https://github.com/aws/amazon-mwaa-docker-images, in
# images/airflow/*/BillOfMaterials/*/System-Packages-BOM.txt.
_NEEDS_LIBRARIES = frozenset({"python-ldap", "sasl"})

# Of all that MWAA's images have, these are published as source only. What they need has been the same for years.
_WITHOUT_WHEEL: Mapping[str, tuple[str, ...]] = {
    "psycopg2": (),
    "python-nvd3": ("python-slugify>=1.2.5", "Jinja2>=2.8"),
}

# More than any real file; each is asked of the index.
MOST_REQUIREMENTS = 1000


def resolved(
    content: bytes,
    environment: EnvironmentFacts,
    static: Judgement,
    ask: AskResolver,
    *,
    index_url: str | None = None,
    allowed: Sequence[str] = (),
    shelf: LocalWheels | None = None,
    beside: Beside | None = None,
) -> tuple[Judgement, Resolution | None]:
    """Judge once more, by really resolving.

    Args:
        content: the file.
        environment: for its Airflow version.
        static: what reading the file says; a file that is rejected already is not resolved.
        ask: asks uv.
        index_url: the index, when the file names none; the operator's.
        allowed: other hosts that the operator names, as of `index_proxy.named`.
        shelf: plugins.zip, when it is known.
        beside: reads the files that it names with -r and -c.

    Returns:
        The judgement, and uv's answer when it was asked.
    """
    if static.verdict == "rejected":
        return static, None
    asked, active, packages = parse_for(content, environment, beside)
    if packages is None:
        return static, None  # nothing to compare with
    unseen = bool(asked.find_links) or asked.no_index is not None
    wheels = shelf.found_by(asked) if shelf else None if unseen else {}
    if asked.no_index is not None and wheels is None:
        return static, None  # all comes from places that are not seen; the static check has said so
    question = question_of(asked, active, packages, index_url=index_url, allowed=allowed, shelf=shelf)
    if not question.requirements:
        return static, None
    answer = _with_sources(question, in_force(asked, packages), ask)
    # An index of its own, set in startup.sh or in a line with a variable, may know what PyPI does not; so may wheels
    # in a place, or in a plugins.zip, that is not here.
    elsewhere = environment.startup_script_path is not None or bool(asked.variables)
    more_wheels = wheels is None or (bool(asked.find_links) and shelf is not None and not shelf.final)
    findings, uncertain = answer_findings(
        answer, active, open_index=elsewhere and asked.no_index is None, open_wheels=more_wheels
    )
    findings += [_built_there(name, answer.versions.get(name, ""), active) for name in answer.built]
    findings += _unread_constraints(asked)
    unread = any(found.rule == "constraints-not-read" for found in findings)
    uncertain = uncertain or static.verdict == "unknown" or unread
    judged = judgement(static.kind, [*static.findings, *findings], uncertain=uncertain)
    return replace(judged, dags=static.dags), answer


def _with_sources(question: ResolutionRequest, pins: Mapping[str, str], ask: AskResolver) -> Resolution:
    """Ask; and where only a wheel is missing of a version that Airflow's own constraints name, ask as if it were there.

    Airflow installs from those constraints, so such a version can be built, and what it needs is among them.
    """
    answer, built = ask(question), list[str]()
    while answer.status == "not-resolved" and len(built) < _MOST_SOURCES:
        found = _SOURCE_ONLY.search(answer.said)
        name = canonicalize_name(found["name"]) if found else ""
        if not found or name in built or name in _NEEDS_LIBRARIES or pins.get(name) != found["version"]:
            return answer
        built.append(name)
        question = replace(question, wheels=dict(question.wheels) | _wheel(name, found["version"]))
        answer = ask(question)
    return replace(answer, built=tuple(built)) if answer.status == "resolved" else answer


def _built_there(name: str, version: str, active: Sequence[RequestedDistribution]) -> Finding:
    return Finding(
        rule="built-there",
        severity="warning",
        message=f"{name}=={version} is published only as source: pip builds it on every worker that starts.",
        line=next((wanted.line for wanted in active if wanted.name == name), None),
        remedy=(
            "Nothing to do if the time does not matter. Otherwise, build a wheel once and put it into plugins.zip."
        ),
    )


def question_of(
    asked: Requested,
    active: Sequence[RequestedDistribution],
    packages: Packages,
    *,
    index_url: str | None,
    shelf: LocalWheels | None,
    allowed: Sequence[str] = (),
) -> ResolutionRequest:
    """Return what uv is asked: all that is named, under all constraints that are known or can be fetched."""
    pins = dict(in_force(asked, packages)) | dict(packages.essential)
    constraints = [f"{name}=={version}" for name, version in sorted(pins.items())]
    own = next((url for _, url in asked.indexes), None) if asked.own_index else None
    extra = [url for _, url in asked.indexes[1 if asked.own_index else 0 :]]
    unknown = unknown_constraints(asked)
    offline = asked.no_index is not None
    wheels = dict(shelf.found_by(asked) or {}) if shelf else {}
    requirements = []
    for wanted in active[:MOST_REQUIREMENTS]:
        wheel = _wheel_at(wanted, shelf)
        if wheel is not None:
            wheels[wheel.file_name] = wheel
            requirements.append(f"{wheel.name}=={wheel.version}")
        elif wanted.requirement is not None and wanted.source == "index":
            requirements.append(str(wanted.requirement))
    constraints += dict.fromkeys(str(one) for lines in asked.own_constraints.values() for one in lines)
    texts = {name: one.as_text() for name, one in wheels.items()}
    return ResolutionRequest(
        requirements=tuple(requirements),
        constraints=tuple(constraints),
        python=packages.python,
        constraint_urls=() if offline else tuple(place for _, place in unknown if place.startswith("https://")),
        index_url=_https(own) or index_url,
        extra_index_urls=tuple(filter(None, map(_https, extra))),
        prerelease=asked.pre,
        # Without an index what is installed is there as well.
        wheels=(_installed(packages) if offline else _built(packages)) | texts,
        no_index=offline,
        allowed=(*([named(index_url)] if index_url else []), *allowed),
    )


def answer_findings(
    answer: Resolution, active: Sequence[RequestedDistribution], *, open_index: bool, open_wheels: bool
) -> tuple[list[Finding], bool]:
    """Return what uv's answer means, and whether the verdict stays open.

    Args:
        answer: uv's.
        active: the requirements, of which one may be named.
        open_index: another index may have what this one does not know.
        open_wheels: other wheels may take the place of those that were seen.
    """
    if answer.status == "resolved":
        return [], False
    line = line_of(answer.said, active)
    if answer.status == "not-resolved":
        finding = Finding(
            rule="not-resolved",
            severity="warning",
            message=f"Not resolved: {answer.said}.".replace("..", "."),
            line=line,
            remedy=(
                "The file is not known to be wrong. The environment's update shows whether it installs. To set "
                "an index, use the parameter PackageIndexUrl, or --index-url."
            ),
        )
        return [finding], True
    elsewhere = open_wheels or (open_index and answer.status == "not-found")
    if answer.status == "not-found":
        remedy = (
            "Correct the name and version. If the package is in your own index, name it: --extra-index-url "
            "https://… Without an index, put the package and its dependencies into plugins.zip as wheels."
        )
    else:
        remedy = "Change one of the versions that uv names; Airflow's constraints fix the environment's own versions."
    finding = Finding(
        rule="unresolvable",
        severity="warning" if elsewhere else "error",
        message=f"pip would install nothing of the file. uv says: {answer.said}",
        line=line,
        remedy=remedy,
    )
    return [finding], elsewhere


def _wheel_at(wanted: RequestedDistribution, shelf: LocalWheels | None) -> WheelMetadata | None:
    """The wheel in plugins.zip that a path names, as far as it is known."""
    if shelf is None or wanted.source != "local" or wanted.editable:
        return None
    return shelf.wheels.get(inside(wanted.place.removeprefix("file://").partition("#")[0]) or "")


def _wheel(name: str, version: str, requires: Sequence[str] = ()) -> dict[str, str]:
    """A wheel at hand: its file name, and its metadata."""
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    return {f"{name.replace('-', '_')}-{version}-py3-none-any.whl": "\n".join(lines) + "\n"}


def _installed(packages: Packages) -> dict[str, str]:
    """What the environment has, as wheels that want nothing: its own wants are met."""
    return {key: text for name, version in packages.installed.items() for key, text in _wheel(name, version).items()}


def _built(packages: Packages) -> dict[str, str]:
    """What the environment has that an index has no wheel of: pip keeps it, and builds nothing."""
    return {
        key: text
        for name, requires in _WITHOUT_WHEEL.items()
        if name in packages.installed
        for key, text in _wheel(name, packages.installed[name], requires).items()
    }


def line_of(said: str, active: Sequence[RequestedDistribution]) -> int | None:
    """Return the line of the requirement that uv's words name first."""
    first: tuple[int, int] | None = None
    for wanted in active:
        if wanted.name is None:
            continue
        match = re.search(rf"(?<![\w.-]){re.escape(wanted.name)}(?![\w-])", said)
        if match and (first is None or match.start() < first[0]):
            first = (match.start(), wanted.line)
    return first[1] if first else None


def names_of(answer: Resolution) -> dict[str, str]:
    """Return name → version of what was resolved, normalized."""
    return {canonicalize_name(name): version for name, version in answer.versions.items()}


def _unread_constraints(asked: Requested) -> list[Finding]:
    offline = asked.no_index is not None
    return [
        Finding(
            rule="constraints-not-read",
            severity="warning",
            message=f"The constraints `{redacted(place)}` are not read here; they might still contradict the file.",
            line=line,
            remedy="Nothing to do; the environment's update shows the result.",
        )
        for line, place in unknown_constraints(asked)
        if offline or not place.startswith("https://")
    ]


def _https(url: str | None) -> str | None:
    return url if url and url.startswith("https://") else None
