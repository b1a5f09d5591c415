"""Releases: what must be right before a version is tagged, and the text that goes with it.

    python -m tools.release.release version 0.2.0       write the version, here and where AWS reads it
    python -m tools.release.release check v0.2.0 URL    say what keeps that tag of repository URL back
    python -m tools.release.release notes v0.2.0        print the version's section of CHANGELOG.md

The version is in pyproject.toml. The command line reads it from the installed package. template.yaml can read no other
file, so its output JetwayVersion has a copy: `version` writes both. .github/workflows/release.yml calls the other two.
CONTRIBUTING.md says how a release is made.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.venvs import ROOT

PYPROJECT, TEMPLATE, CHANGELOG = "pyproject.toml", "template.yaml", "CHANGELOG.md"
RECORDINGS = "tests/data/formats"

# Semantic Versioning, and between two releases what PEP 440 makes of the next one.
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(\.dev0)?", re.ASCII)
UPGRADE_NOTES = "### Upgrade notes"

_OF_PROJECT = re.compile(r'^(version = )"[^"]*"$', re.MULTILINE)
_OF_STACK = re.compile(r"^(  JetwayVersion:\n(?:    .*\n)*?    Value: )(\S+)$", re.MULTILINE)
_SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?$", re.MULTILINE)


class ReleaseError(Exception):
    """A version that is none, or a file that does not say its version where it should."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the changelog.

    Attributes:
        version: as in its heading: a version, or "Unreleased".
        date: as in its heading; empty when there is none.
        text: what stands below the heading.
    """

    version: str
    date: str
    text: str


def sections(changelog: str) -> Iterator[Section]:
    """Yield the changelog's sections, in their order."""
    headings = [*_SECTION.finditer(changelog)]
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    for heading, end in zip(headings, ends, strict=False):
        yield Section(heading["version"], heading["date"] or "", changelog[heading.end() : end].strip())


def version_of_stack(template: str) -> str:
    """Return the version that template.yaml's output says.

    Raises:
        ReleaseError: it has no such output.
    """
    found = _OF_STACK.search(template)
    if found is None:
        raise ReleaseError(f"{TEMPLATE} has no output JetwayVersion with a Value.")
    return found[2]


def problems(tag: str, repository: str, files: Mapping[str, str]) -> Iterator[str]:
    """Yield what keeps a tag from being released, a sentence each.

    Args:
        tag: such as v0.2.0.
        repository: the address that it is released from.
        files: the text of PYPROJECT, TEMPLATE and CHANGELOG, and any text for each recording, by path.
    """
    project: Mapping[str, Any] = tomllib.loads(files[PYPROJECT])["project"]
    version = str(project["version"])
    if tag != f"v{version}":
        yield f"The tag is {tag}, and {PYPROJECT} has version {version}: the tag must be v{version}."
    if not VERSION.fullmatch(version) or version.endswith(".dev0"):
        yield f"Version {version} in {PYPROJECT} is not a release: run `python -m tools.release.release version X.Y.Z`."
    if (stack := version_of_stack(files[TEMPLATE])) != version:
        yield f"{TEMPLATE} says version {stack}: run `python -m tools.release.release version {version}`."
    if (source := project.get("urls", {}).get("Source")) != repository:
        yield f"{PYPROJECT} has Source = {source!r} in [project.urls]; this repository is {repository}."
    if f"{RECORDINGS}/{version}.json" not in files:
        yield f"{RECORDINGS} has no recording of {version}: run `python -m tests.unit.formats.recorder`."
    section = next((one for one in sections(files[CHANGELOG]) if one.version == version), None)
    if section is None:
        yield f"{CHANGELOG} has no section `## [{version}] - YYYY-MM-DD`."
        return
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", section.date):
        yield f"The section [{version}] of {CHANGELOG} has no date: `## [{version}] - YYYY-MM-DD`."
    if UPGRADE_NOTES not in section.text:
        yield f"The section [{version}] of {CHANGELOG} has no `{UPGRADE_NOTES}`: what to do, or that nothing is to do."


def write_version(version: str, folder: Path = ROOT) -> None:
    """Write the version into pyproject.toml and template.yaml.

    Raises:
        ReleaseError: it is not a version such as 0.2.0 or 0.2.0.dev0, or a file has no place for it.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a version: write X.Y.Z, or X.Y.Z.dev0 for what is not released yet.")
    for name, place in ((PYPROJECT, _OF_PROJECT), (TEMPLATE, _OF_STACK)):
        text = (folder / name).read_text(encoding="utf-8")
        written, times = place.subn(rf'\g<1>"{version}"' if name == PYPROJECT else rf"\g<1>{version}", text)
        if times != 1:
            raise ReleaseError(f"{name} has its version {times} times; it must have it once.")
        (folder / name).write_text(written, encoding="utf-8")


def read_files(folder: Path = ROOT) -> dict[str, str]:
    """Return what `problems` looks at."""
    recordings = (folder / RECORDINGS).glob("*.json")
    paths = [folder / PYPROJECT, folder / TEMPLATE, folder / CHANGELOG, *recordings]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    try:
        match arguments:
            case ["version", version]:
                write_version(version)
            case ["check", tag, repository]:
                found = [*problems(tag, repository, read_files())]
                print("\n".join(found) or f"{tag} can be released.")
                return 1 if found else 0
            case ["notes", tag]:
                changelog = (ROOT / CHANGELOG).read_text(encoding="utf-8")
                print(next(one.text for one in sections(changelog) if f"v{one.version}" == tag))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except ReleaseError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
