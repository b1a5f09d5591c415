"""Requirements that come from elsewhere than an index: URLs, repositories, paths, and wheels in plugins.zip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import ARCHITECTURE, DAGS_FOLDER, GLIBC, PLUGINS_FOLDER, Packages, wheel_tags
from jetway.artifacts.requirement_lines import redacted

if TYPE_CHECKING:
    from jetway.artifacts.requirements_file import Shelf
    from jetway.artifacts.requirements_model import Requested, Wanted

_WITH_PASSWORD = re.compile(r"\w+://[^/@:]*:[^/@]+@")

Fit = Literal["fits", "other-platform", "no-wheel"]


def wheel_fit(file_name: str, python: tuple[int, int]) -> tuple[Fit, str]:
    """Say whether pip can install a wheel in the environment, and if not, why.

    Args:
        file_name: the wheel's name, which says all: https://peps.python.org/pep-0427/#file-name-convention
        python: version of the environment's Python.
    """
    try:
        _, _, _, tags = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, ValueError) as exc:
        return "no-wheel", f"{file_name} is no wheel's name: {exc}"
    if tags & wheel_tags(python):
        return "fits", ""
    made_for = ", ".join(sorted(map(str, tags)))
    return (
        "other-platform",
        (
            f"{file_name} is made for {made_for}; the environment has CPython {python[0]}.{python[1]} on Linux "
            f"{ARCHITECTURE} with glibc {GLIBC[0]}.{GLIBC[1]}"
        ),
    )


def wheel_finding(fit: Fit, why: str, line: int | None, where: str = "") -> Finding:
    """Return the finding on a wheel that does not fit."""
    if fit == "no-wheel":
        remedy = "Keep the name that the wheel was built with: name-version-python-abi-platform.whl"
    else:
        remedy = (
            "Download the right one: pip download --only-binary :all: --platform manylinux2014_x86_64 "
            "--python-version 3.12 NAME==VERSION (with the environment's Python)."
        )
    return Finding(rule="wheel-platform", severity="error", message=f"{where}{why}.", line=line, remedy=remedy)


def place_findings(
    asked: Requested,
    active: Sequence[Wanted],
    python: tuple[int, int],
    packages: Packages | None,
    shelf: Shelf | None,
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
    findings += (_nested(line, place) for line, place in asked.nested)
    findings += _credentials(asked)
    if asked.no_index is not None:
        findings += _offline(asked, active, python, packages, shelf)
    unsure = {"environment-variable", "url-requirement", "local-requirement", "wheels-not-seen", "wheel-missing"}
    uncertain = any(finding.rule in unsure and finding.severity == "warning" for finding in findings)
    return findings, uncertain


def _elsewhere(wanted: Wanted, python: tuple[int, int], shelf: Shelf | None) -> Iterator[Finding]:
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
        message=f"`{redacted(wanted.place)}` is {what}: it is fetched anew on every worker that starts, "
        "and nothing tells here whether it can be built there.",
        line=wanted.line,
        remedy="Build a wheel, put it into plugins.zip, and name it by its path: /usr/local/airflow/plugins/NAME.whl",
    )


def _no_url(wanted: Wanted, exc: ValueError) -> Finding:
    return Finding(
        rule="requirement-syntax",
        severity="error",
        message=f"`{redacted(wanted.place)}` is no URL: {exc}. pip would install nothing of the file.",
        line=wanted.line,
        remedy="Correct the URL, or name the package: name==version",
    )


def _local(wanted: Wanted, shelf: Shelf | None) -> Iterator[Finding]:
    path = wanted.place.removeprefix("file://").partition("#")[0]
    inside = _inside(path)
    if inside is not None and shelf is not None:
        if inside in shelf.names:
            return
        yield Finding(
            rule="wheel-missing",
            severity="error" if shelf.final else "warning",
            message=f"plugins.zip has no {redacted(inside)}.",
            line=wanted.line,
            remedy="Put the file into plugins.zip, at its root, and upload plugins.zip first.",
        )
        return
    if inside is not None or path.startswith(DAGS_FOLDER + "/"):
        message = f"Whether `{redacted(path)}` is there is not told by this file."
        remedy = "Upload plugins.zip, or the dags folder, that holds it as well."
    else:
        message = f"MWAA puts no file at `{redacted(path)}`; only startup.sh could."
        remedy = "Put it into plugins.zip and name it by its full path: /usr/local/airflow/plugins/NAME.whl"
    yield Finding(rule="local-requirement", severity="warning", message=message, line=wanted.line, remedy=remedy)


def _offline(
    asked: Requested,
    active: Sequence[Wanted],
    python: tuple[int, int],
    packages: Packages | None,
    shelf: Shelf | None,
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
            yield Finding(
                rule="wheels-not-seen",
                severity="warning",
                message=f"{name} has to come from wheels that are not seen here.",
                line=wanted.line,
                remedy="Upload plugins.zip with the wheels; `jetway check` takes both files together.",
            )
            continue
        named = [wheel for wheel in wheels if wheel.lower().replace("-", "_").startswith(name.replace("-", "_") + "_")]
        if any(_serves(wheel, wanted, python) for wheel in named):
            continue
        there = f"; there is {', '.join(sorted(named)[:3])}" if named else ""
        yield Finding(
            rule="wheel-missing",
            severity="error" if shelf is not None and shelf.final else "warning",
            message=f"--no-index is given, and plugins.zip has no wheel for `{requirement}`{there}.",
            line=wanted.line,
            remedy="Download it and what it depends on into plugins.zip: pip download --only-binary :all: "
            "--platform manylinux2014_x86_64 -r requirements.txt",
        )


def _wheels(asked: Requested, shelf: Shelf | None) -> list[str] | None:
    """The wheels that --find-links finds in plugins.zip; None when not known. pip looks into the folder only."""
    if shelf is None:
        return None
    folders = {_inside(place.removeprefix("file://").rstrip("/") + "/") for place in asked.find_links}
    if folders == {None}:
        return None
    found = (PurePosixPath(name) for name in shelf.names if name.lower().endswith(".whl"))
    return [path.name for path in found if ("" if str(path.parent) == "." else f"{path.parent}/") in folders]


def _serves(wheel: str, wanted: Wanted, python: tuple[int, int]) -> bool:
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


def _inside(path: str) -> str | None:
    """The path within plugins.zip, or None when it is elsewhere."""
    return path.removeprefix(PLUGINS_FOLDER + "/") if path.startswith(PLUGINS_FOLDER + "/") else None


def _nested(line: int, place: str) -> Finding:
    absolute = place.startswith(("/usr/local/airflow/", "https://", "http://"))
    return Finding(
        rule="local-file" if not absolute else "url-requirement",
        severity="warning" if absolute else "error",
        message=f"`-r {redacted(place)}` reads more requirements, which are not seen here."
        if absolute
        else f"`-r {redacted(place)}`: MWAA puts no other file beside requirements.txt, so pip would fail.",
        line=line,
        remedy="Write the requirements into this file.",
    )


def _variable(line: int) -> Finding:
    return Finding(
        rule="environment-variable",
        severity="warning",
        message="pip puts environment variables into this line, which are not known here.",
        line=line,
        remedy="Set them in startup.sh; nothing else is to be done.",
    )


def _credentials(asked: Requested) -> Iterator[Finding]:
    for line, url in asked.indexes:
        if _WITH_PASSWORD.match(url):
            yield Finding(
                rule="credentials",
                severity="warning",
                message="The index's password stands in the file, which everybody who may read the bucket sees.",
                line=line,
                remedy="Set the index in startup.sh from Secrets Manager: export PIP_INDEX_URL=…",
            )
