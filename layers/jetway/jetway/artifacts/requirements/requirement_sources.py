"""Requirements that come from elsewhere than an index: URLs, repositories, paths, and wheels in plugins.zip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import DAGS_FOLDER, Packages, wheel_tags
from jetway.artifacts.requirements.local_wheels import find_links_folders, inside
from jetway.artifacts.requirements.referenced_files import REQUIREMENTS_FOLDER, on_mwaa
from jetway.artifacts.requirements.requirement_lines import redacted
from jetway.artifacts.requirements.wheel_names import wheel_finding, wheel_fit

if TYPE_CHECKING:
    from jetway.artifacts.requirements.local_wheels import LocalWheels
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway.artifacts.requirements.requirements_model import Requested, RequestedDistribution

_UNSURE = frozenset(
    {
        *("environment-variable", "url-requirement", "local-requirement"),
        *("wheels-not-seen", "wheel-missing", "constraint-missing"),
    }
)
_WITH_PASSWORD = re.compile(r"\w+://[^/@:]*:[^/@]+@")


def place_findings(
    asked: Requested,
    active: Sequence[RequestedDistribution],
    python: tuple[int, int],
    packages: Packages | None,
    shelf: LocalWheels | None,
    *,
    beside: Beside | None = None,
) -> tuple[list[Finding], bool]:
    """Judge what does not come from an index.

    Returns:
        The findings, and whether something cannot be told.
    """
    findings: list[Finding] = []
    findings += (_variable(line) for line in asked.variables)
    for wanted in active:
        if wanted.source != "index":
            findings += _elsewhere(wanted, python, shelf)
    findings += (_nested(line, path, beside) for line, path in asked.nested)
    findings += _constraints_missing(asked, shelf, beside)
    findings += _credentials(asked)
    if asked.no_index is not None:
        findings += _offline(asked, active, python, packages, shelf)
    uncertain = any(finding.rule in _UNSURE and finding.severity == "warning" for finding in findings)
    return findings, uncertain


def _elsewhere(wanted: RequestedDistribution, python: tuple[int, int], shelf: LocalWheels | None) -> Iterator[Finding]:
    """A URL, a repository or a path."""
    try:
        path = unquote(urlsplit(wanted.place).path) if wanted.source == "url" else wanted.place.partition("#")[0]
    except ValueError as exc:
        yield _no_url(wanted, exc)
        return
    file_name = PurePosixPath(path).name
    if file_name.endswith(".whl"):
        fit, why = wheel_fit(file_name, python)
        if fit != "fits":
            yield wheel_finding(fit, why, wanted.line)
            return
    if wanted.source == "local":
        yield from _local(wanted, shelf)
        return
    what = "a repository" if wanted.source == "vcs" else "a URL"
    yield Finding(
        rule="url-requirement",
        severity="warning",
        message=(
            f"`{redacted(wanted.place)}` is {what}: every worker that starts fetches it again, and this check "
            "cannot determine whether it can be built there."
        ),
        line=wanted.line,
        remedy="Build a wheel, put it into plugins.zip, and name it by its path: /usr/local/airflow/plugins/NAME.whl",
    )


def _no_url(wanted: RequestedDistribution, exc: ValueError) -> Finding:
    return Finding(
        rule="requirement-syntax",
        severity="error",
        message=f"`{redacted(wanted.place)}` is not a URL: {exc}. pip would install nothing of the file.",
        line=wanted.line,
        remedy="Correct the URL, or name the package: name==version",
    )


def _local(wanted: RequestedDistribution, shelf: LocalWheels | None) -> Iterator[Finding]:
    path = wanted.place.removeprefix("file://").partition("#")[0]
    within = inside(path)
    if within is not None and shelf is not None:
        if within in shelf.names:
            return
        yield Finding(
            rule="wheel-missing",
            severity="error" if shelf.final else "warning",
            message=f"plugins.zip has no {redacted(within)}.",
            line=wanted.line,
            remedy="Put the file into plugins.zip, at its root, and upload plugins.zip first.",
        )
        return
    if within is not None or path.startswith(DAGS_FOLDER + "/"):
        message = f"This file does not show whether `{redacted(path)}` exists."
        remedy = "Also upload the plugins.zip or the dags folder that has it."
    else:
        message = f"MWAA does not put a file at `{redacted(path)}`; only startup.sh can."
        remedy = "Put it into plugins.zip and name it by its full path: /usr/local/airflow/plugins/NAME.whl"
    yield Finding(rule="local-requirement", severity="warning", message=message, line=wanted.line, remedy=remedy)


def _offline(
    asked: Requested,
    active: Sequence[RequestedDistribution],
    python: tuple[int, int],
    packages: Packages | None,
    shelf: LocalWheels | None,
) -> Iterator[Finding]:
    """--no-index: what is not installed must be among the wheels."""
    installed = packages.installed if packages else {}
    wheels = _wheels(asked, shelf)
    for wanted in active:
        requirement, name = wanted.requirement, wanted.name
        if wanted.source != "index" or requirement is None or name is None:
            continue
        if name in installed and requirement.specifier.contains(installed[name], prereleases=True):
            continue
        if wheels is None:
            yield _not_seen(wanted, name)
            continue
        found, all_seen = wheels
        named = [wheel for wheel in found if wheel.lower().replace("-", "_").startswith(name.replace("-", "_") + "_")]
        if any(_serves(wheel, wanted, python) for wheel in named):
            continue
        if not all_seen:
            yield _not_seen(wanted, name)
            continue
        there = f"; there is {', '.join(sorted(named)[:3])}" if named else ""
        yield Finding(
            rule="wheel-missing",
            severity="error" if shelf is not None and shelf.final else "warning",
            message=f"--no-index is given, and plugins.zip has no wheel for `{requirement}`{there}.",
            line=wanted.line,
            remedy=(
                "Download it and its dependencies into plugins.zip: pip download --only-binary :all: "
                "--platform manylinux2014_x86_64 -r requirements.txt"
            ),
        )


def _not_seen(wanted: RequestedDistribution, name: str) -> Finding:
    return Finding(
        rule="wheels-not-seen",
        severity="warning",
        message=f"{name} must come from wheels that this check does not have.",
        line=wanted.line,
        remedy="Upload plugins.zip with the wheels; `jetway check` accepts both files together.",
    )


def _wheels(asked: Requested, shelf: LocalWheels | None) -> tuple[list[str], bool] | None:
    """The wheels that --find-links finds in plugins.zip, and whether it looks nowhere else; None when not known."""
    if shelf is None:
        return None
    folders = find_links_folders(asked)
    found = (PurePosixPath(name) for name in shelf.names if name.lower().endswith(".whl"))
    names = [path.name for path in found if ("" if str(path.parent) == "." else f"{path.parent}/") in folders]
    return names, None not in folders


def _serves(wheel: str, wanted: RequestedDistribution, python: tuple[int, int]) -> bool:
    try:
        name, version, _, tags = parse_wheel_filename(wheel)
    except (InvalidWheelFilename, ValueError):
        return False
    return (
        canonicalize_name(name) == wanted.name
        and wanted.requirement is not None
        and wanted.requirement.specifier.contains(version, prereleases=True)
        and bool(tags & wheel_tags(python))
    )


def _nested(line: int, path: str, beside: Beside | None) -> Finding:
    """On a file of requirements that was not read."""
    gone = beside is not None and beside.is_missing(path)
    elsewhere = path.startswith(f"{REQUIREMENTS_FOLDER}/")
    if gone:
        message = f"`-r` names {redacted(path)}, which does not exist: pip would install nothing of the file."
    elif elsewhere:
        message = f"`-r` names {redacted(path)}: MWAA puts no other file beside requirements.txt, so pip would fail."
    else:
        message = f"`-r` names {redacted(path)}, which has more requirements and is not available here."
    return Finding(
        rule="local-file" if gone or elsewhere else "url-requirement",
        severity="error" if gone or elsewhere else "warning",
        message=message,
        line=line,
        remedy="Write the requirements into this file, or put the other file into dags/ and upload it first.",
    )


def _variable(line: int) -> Finding:
    return Finding(
        rule="environment-variable",
        severity="warning",
        message="pip inserts environment variables into this line; their values are not known here.",
        line=line,
        remedy="Set them in startup.sh. You do not need to do anything else.",
    )


def _constraints_missing(asked: Requested, shelf: LocalWheels | None, beside: Beside | None) -> Iterator[Finding]:
    for line, place in asked.constraints:
        path = on_mwaa(place)
        within = inside(path)
        if path.startswith(f"{DAGS_FOLDER}/") and beside is not None and beside.is_missing(path):
            yield Finding(
                rule="constraint-missing",
                severity="error",
                message=f"The dags folder has no {redacted(path.removeprefix(DAGS_FOLDER + '/'))}: pip would install "
                "nothing of the file.",
                line=line,
                remedy="Put the constraints into dags/, at that path, and upload them first.",
            )
        if within is not None and shelf is not None and within not in shelf.names:
            yield Finding(
                rule="constraint-missing",
                severity="error" if shelf.final else "warning",
                message=f"plugins.zip has no {redacted(within)}: pip would install nothing of the file.",
                line=line,
                remedy="Put the constraints into plugins.zip, at that path, and upload plugins.zip first.",
            )


def _credentials(asked: Requested) -> Iterator[Finding]:
    for line, url in asked.indexes:
        if _WITH_PASSWORD.match(url):
            yield Finding(
                rule="credentials",
                severity="warning",
                message="The index's password is in the file, where everyone who can read the bucket sees it.",
                line=line,
                remedy="Set the index in startup.sh from Secrets Manager: export PIP_INDEX_URL=…",
            )
