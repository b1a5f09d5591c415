"""What a requirements.txt asks pip for, and what of it pip could not even read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from jetway.artifacts.findings import Finding
from jetway.artifacts.requirements.requirement_lines import RequirementLine, logical_lines, redacted

# More than any real list; each line is parsed.
MOST_LINES = 10_000

# MWAA itself looks for this in every line, comments included, to see whether it should add its own constraints.
# https://github.com/aws/amazon-mwaa-docker-images/blob/main/images/airflow/3.3.1/python/mwaa/utils/user_requirements.py
SEEN_BY_MWAA = re.compile(r"-c |--constraint ")

_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
# pip reads these as a short option with the rest as its value, -f with "ind-links".
_ONE_DASH = re.compile(r"-(find-links|index-url|extra-index-url|constraint|requirement|editable|pypi-url)(?=[\s=]|$)")
_FINDS_NOTHING = frozenset({"find-links", "index-url", "pypi-url"})  # which what is installed does not need
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")
_VCS = ("git+", "hg+", "svn+", "bzr+")

RequirementSource = Literal["index", "vcs", "url", "local"]


@dataclass(frozen=True, slots=True)
class RequestedDistribution:
    """One distribution that the file asks for.

    Attributes:
        line: 1-based.
        requirement: by name; None of a bare URL or path.
        source: where pip takes it from.
        place: the URL or path; "" from an index.
        hashed: whether the line has a --hash.
        editable: whether it is `-e`.
    """

    line: int
    requirement: Requirement | None
    source: RequirementSource = "index"
    place: str = ""
    hashed: bool = False
    editable: bool = False

    @property
    def name(self) -> NormalizedName | None:
        """The name of the distribution, normalized; None when only its archive tells."""
        return canonicalize_name(self.requirement.name) if self.requirement else None

    @property
    def version(self) -> str | None:
        """The one version of an index that it can be; None when there may be several."""
        return exact_version(self.requirement) if self.source == "index" and self.requirement is not None else None

    @property
    def pinned(self) -> bool:
        """Whether it can only be one version."""
        return self.source != "index" or (
            self.requirement is not None
            and any(
                spec.operator == "===" or (spec.operator == "==" and not spec.version.endswith(".*"))
                for spec in self.requirement.specifier
            )
        )


def exact_version(requirement: Requirement) -> str | None:
    """The one version that a requirement takes; None when there may be several."""
    exact = (spec for spec in requirement.specifier if spec.operator in {"==", "==="})
    return next((spec.version for spec in exact if not spec.version.endswith(".*")), None)


@dataclass(slots=True)
class Requested:
    """All that a file says.

    Attributes:
        wanted: the distributions, in the order of their lines.
        constraints: (line, URL or path) of every constraint file that pip reads.
        own_constraints: place → what it says, of constraint files that were read.
        nested: (line, path) of every -r; once the files that are known are read, of the others.
        seen: first line that MWAA takes for a constraint, or None.
        find_links: the places given by --find-links.
        indexes: (line, URL) of --index-url and --extra-index-url; the former replaces PyPI.
        own_index: whether --index-url is given.
        no_index: line of --no-index, or None.
        hashed: line of --require-hashes or of the first --hash, or None.
        variables: lines in which pip puts in environment variables.
        findings: what pip cannot read.
    """

    wanted: list[RequestedDistribution] = field(default_factory=list)
    constraints: list[tuple[int, str]] = field(default_factory=list)
    own_constraints: dict[str, list[Requirement]] = field(default_factory=dict)
    nested: list[tuple[int, str]] = field(default_factory=list)
    seen: int | None = None
    find_links: list[str] = field(default_factory=list)
    indexes: list[tuple[int, str]] = field(default_factory=list)
    own_index: bool = False
    pre: bool = False
    no_index: int | None = None
    hashed: int | None = None
    variables: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_requirements(text: str) -> Requested:
    """Read a file's text."""
    asked = Requested()
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        asked.findings.append(
            Finding(
                rule="too-large",
                severity="error",
                message=f"The file has {len(lines):,} lines; the gate reads at most {MOST_LINES:,}.",
                line=None,
                remedy="List what your DAGs import, not everything that is installed.",
            )
        )
        return asked
    asked.seen = next((number for number, line in enumerate(lines, 1) if SEEN_BY_MWAA.search(line)), None)
    for line in logical_lines(text):
        _read_line(line, asked)
    return asked


def _read_line(line: RequirementLine, asked: Requested) -> None:
    if _VARIABLE.search(line.text):
        asked.variables.append(line.number)
        return
    dash = _ONE_DASH.match(line.text)
    if dash:
        asked.findings.append(_one_dash(line, dash[1]))
        return
    if line.options is None:
        asked.findings.append(_unknown_option(line))
        return
    options = line.options
    asked.constraints += ((line.number, place) for place in options.get("constraints", ()))
    asked.nested += ((line.number, place) for place in options.get("requirements", ()))
    asked.find_links += options.get("find_links", ())
    asked.indexes += ((line.number, url) for url in options.get("extra_index_urls", ()))
    if "index_url" in options:
        asked.own_index = True
        asked.indexes.insert(0, (line.number, options["index_url"]))
    asked.pre = asked.pre or "pre" in options
    if "no_index" in options:
        asked.no_index = asked.no_index or line.number
    if "require_hashes" in options or "hashes" in options:
        asked.hashed = asked.hashed or line.number
    hashed = "hashes" in options
    for place in options.get("editables", ()):
        asked.wanted.append(RequestedDistribution(line.number, None, _source_of(place), place, hashed, editable=True))
    if line.requirement:
        _read_requirement(line, hashed, asked)


def _read_requirement(line: RequirementLine, hashed: bool, asked: Requested) -> None:
    text = line.requirement
    # What looks like an archive is one to pip, though 'a-1.0-py3-none-any.whl' could be a name.
    if text.lower().endswith(_ARCHIVES) and "@" not in text and _is_place(text):
        asked.wanted.append(RequestedDistribution(line.number, None, _source_of(text), text, hashed))
        return
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError) as exc:
        # Brackets are extras of an archive; a marker may follow it.
        place = re.split(r";\s", text, maxsplit=1)[0].strip()
        if _is_place(place):
            asked.wanted.append(RequestedDistribution(line.number, None, _source_of(place), place, hashed))
        else:
            asked.findings.append(_unreadable(line, exc))
        return
    if requirement.url:
        asked.wanted.append(
            RequestedDistribution(line.number, requirement, _source_of(requirement.url), requirement.url, hashed)
        )
    else:
        asked.wanted.append(RequestedDistribution(line.number, requirement, hashed=hashed))


def _is_place(text: str) -> bool:
    return not re.search(r"\s", text) and ("/" in text or text.startswith(".") or text.lower().endswith(_ARCHIVES))


def _source_of(place: str) -> RequirementSource:
    if place.startswith(_VCS):
        return "vcs"
    return "url" if "://" in place and not place.startswith("file:") else "local"


def _unknown_option(line: RequirementLine) -> Finding:
    return Finding(
        rule="requirement-syntax",
        severity="error",
        message=f"pip cannot read `{redacted(line.text)}`: {line.problem}. It would install nothing of the file.",
        line=line.number,
        remedy=(
            "Write one requirement or one pip option per line, in the requirements file format: "
            "https://pip.pypa.io/en/stable/reference/requirements-file-format/"
        ),
    )


def _one_dash(line: RequirementLine, option: str) -> Finding:
    passed_over = option in _FINDS_NOTHING
    then = "It finds nothing there." if passed_over else "It would install nothing of the file."
    return Finding(
        rule="requirement-syntax",
        severity="warning" if passed_over else "error",
        message=f"pip reads `-{option}`, with one dash, as `-{option[0]}` with the value `{option[1:]}`. {then}",
        line=line.number,
        remedy=f"Write two dashes: --{option}",
    )


def _unreadable(line: RequirementLine, exc: Exception) -> Finding:
    words = " ".join(str(exc).split("\n")[0].split()) or "too deeply nested"
    return Finding(
        rule="requirement-syntax",
        severity="error",
        message=f"pip cannot read `{redacted(line.text)}`: {redacted(words)}. It would install nothing of the file.",
        line=line.number,
        remedy="Write name==version, as in pandas==2.2.3, or name @ URL: https://peps.python.org/pep-0508/",
    )
