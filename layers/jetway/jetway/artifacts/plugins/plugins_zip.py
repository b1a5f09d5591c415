"""plugins.zip: whether MWAA can unpack it, whether its modules compile, and which plugins and wheels are in it.

MWAA unpacks it to /usr/local/airflow/plugins; Airflow imports every .py file below that folder when it starts.
https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-dag-import-plugins.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jetway.artifacts.airflow_ignore import NAME, ignored, syntax_of
from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipMember, ZipReader
from jetway.artifacts.archives.zip_structure import (
    broken,
    damaged,
    directory_findings,
    is_bomb,
    is_clutter,
    shown,
    too_many,
    verify,
)
from jetway.artifacts.findings import Candidate, Finding, FoundPlugin, Judgement, judgement
from jetway.artifacts.mwaa import full_python, packages_of
from jetway.artifacts.plugins import plugins_contents
from jetway.artifacts.plugins.plugin_classes import find_plugins, mentions_plugins
from jetway.artifacts.plugins.plugin_imports import Import, imports_of, not_known
from jetway.artifacts.python.python_source import MOST_WORDS, read_source, weight
from jetway.artifacts.requirements.wheel_files import BrokenWheelError, broken_wheel, read_wheel, wheel_findings
from jetway.artifacts.requirements.wheel_names import wheel_finding, wheel_fit

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

KIND = "plugins"

LARGEST_MODULE = 1024 * 1024
# Compiling takes milliseconds each; a zip with more is a library that should be a wheel.
MOST_MODULES = 10_000
# Of all modules together: a minute of compiling at the worst.
MOST_WORDS_IN_ALL = 16 * MOST_WORDS
MOST_FINDINGS = 100


@dataclass(slots=True)
class _Seen:
    """What was met on the way through the zip."""

    findings: list[Finding]
    plugins: list[FoundPlugin]
    modules: int = 0
    words: int = 0
    wheels: int = 0
    uncertain: bool = False
    imports: list[Import] = field(default_factory=list)  # of plugins
    foreign: list[tuple[str, str]] = field(default_factory=list)  # binaries of another platform, and which


def check_plugins(candidate: Candidate, environment: EnvironmentFacts) -> Judgement:
    """Judge a plugins.zip, in bounded memory.

    Args:
        candidate: with a stream.
        environment: tells the Python that will import it.
    """
    with candidate.stream() as stream:
        try:
            reader = ZipReader(stream, candidate.size)
        except BrokenZipError as exc:
            return judgement(KIND, [broken(exc)])
        except LargeDirectoryError:
            return judgement(KIND, [too_many()])
        findings = list(directory_findings(reader))
        if is_bomb(findings):
            return judgement(KIND, bounded(findings))
        if not _has_error(findings):  # the layout of names that cannot stay says nothing
            findings += layout_findings(reader.members)
            findings += plugins_contents.of_names(reader.members)
        seen = _walk(reader, environment)  # what is wrong with modules is told at once, not after the next upload
        findings += seen.findings
        if (seen.modules or seen.wheels) and not _has_error(findings):
            findings += _without_plugin(seen)
            findings += not_known(seen.imports, (member.name for member in reader.members), environment)
        return replace(judgement(KIND, bounded(findings), uncertain=seen.uncertain), plugins=tuple(seen.plugins))


def bounded(findings: Iterable[Finding]) -> list[Finding]:
    """Keep one of each, and errors before warnings when there are more than MOST_FINDINGS."""
    findings = list(dict.fromkeys(findings))
    if len(findings) <= MOST_FINDINGS:
        return findings
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    left = Finding(
        rule="more-findings",
        severity="warning",
        message=f"There are {len(findings) - MOST_FINDINGS:,} more findings.",
        line=None,
        remedy="Fix these first, and upload the file again.",
    )
    return [*ordered[:MOST_FINDINGS], left]


def layout_findings(members: Iterable[ZipMember]) -> Iterator[Finding]:
    """Explain the classic mistakes: a folder around all, and what a Mac adds."""
    names = [member.name for member in members]
    clutter = [name for name in names if is_clutter(name)]
    if clutter:
        yield Finding(
            rule="macosx",
            severity="warning",
            message=(
                f"macOS Finder added {shown(clutter[0])} and {len(clutter) - 1} more; Airflow tries to import "
                "those that end in .py, and logs an error for each."
            ),
            line=None,
            remedy="Create the zip on the command line: zip -r plugins.zip . -x '__MACOSX/*' -x '.DS_Store'",
        )
    names = [name for name in names if not is_clutter(name)]
    tops = {name.partition("/")[0] for name in names}
    if len(tops) != 1 or any("/" not in name for name in names):
        return
    (top,) = tops
    if f"{top}/__init__.py" in names and top != "plugins":
        return  # one package: it is meant so
    if any(name.lower().endswith((".py", ".whl")) for name in names):
        yield Finding(
            rule="wrapping-folder",
            severity="warning",
            message=(
                f"Everything is inside the folder {shown(top)}/, so it is unpacked to "
                f"/usr/local/airflow/plugins/{shown(top)}/, where `import` and --find-links do not find it."
            ),
            line=None,
            remedy=f"Create the zip from inside the folder: cd {shown(top)} && zip -r ../plugins.zip .",
        )


def module_findings(content: bytes, name: str, python: tuple[int, int]) -> tuple[list[Finding], bool]:
    """Return what is wrong with a module of a zip, its name before each message, and whether that is uncertain."""
    source = read_source(content, python)
    return [replace(found, message=f"{shown(name)}: {found.message}") for found in source.findings], source.uncertain


def _has_error(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _walk(reader: ZipReader, environment: EnvironmentFacts) -> _Seen:
    seen = _Seen([], [])
    passed_over = _passed_over(reader, environment)
    for member in reader.members:
        if member.is_closed:
            continue
        name = member.name.lower()
        if name.endswith(".whl") and not is_clutter(member.name):
            seen.wheels += 1
            seen.findings += _wheel(reader, member, environment)
        elif name.endswith(".py") and not is_clutter(member.name):
            _module(reader, member, environment.python_version, seen, passed_over=member.name in passed_over)
        else:
            seen.findings += _other(reader, member, environment.python_version, seen)
    if seen.foreign:
        seen.findings.append(plugins_contents.foreign_finding(seen.foreign, environment.python_version))
    return seen


def _other(reader: ZipReader, member: ZipMember, python: tuple[int, int], seen: _Seen) -> Iterator[Finding]:
    """What is neither a module nor a wheel: whether it can be unpacked, and whether it hardly belongs there."""
    found = verify(reader, member)
    if found:
        yield found
    elif plugins_contents.is_binary(member.name):
        head = reader.content(member, plugins_contents.HEAD - 1)
        if why := plugins_contents.foreign(member.name, head, python):
            seen.foreign.append((member.name, why))
    elif plugins_contents.is_text(member) and not is_clutter(member.name):
        content = reader.content(member, plugins_contents.MOST_LOOKED_INTO)
        yield from plugins_contents.secrets(member.name, content)


def _passed_over(reader: ZipReader, environment: EnvironmentFacts) -> frozenset[str]:
    """The modules that a .airflowignore in the zip keeps Airflow from importing as plugins."""
    patterns = {}
    for member in reader.members:
        if member.file_name == NAME and not member.is_closed and member.size <= LARGEST_MODULE:
            try:
                text = reader.content(member, LARGEST_MODULE).decode(errors="replace")
            except BrokenZipError:
                continue  # it is told when the member's turn comes
            patterns[member.name.rpartition("/")[0]] = text
    if not patterns:
        return frozenset()
    return ignored((member.name for member in reader.members), patterns, syntax_of(environment))


def _wheel(reader: ZipReader, member: ZipMember, environment: EnvironmentFacts) -> Iterator[Finding]:
    fit, why = wheel_fit(member.file_name, environment.python_version)
    if fit != "fits":
        folder, slash, _ = member.name.rpartition("/")
        yield wheel_finding(fit, why, None, shown(folder) + slash)
        found = verify(reader, member)
        if found:
            yield found
        return
    packages = packages_of(environment.airflow_version)
    try:
        wheel = read_wheel(reader, member)
    except BrokenZipError as exc:
        yield damaged(member, exc)
    except BrokenWheelError as exc:
        yield broken_wheel(member.name, exc)
    else:
        if wheel is not None:
            yield from wheel_findings(wheel, member.name, full_python(environment), packages)


def _module(reader: ZipReader, member: ZipMember, python: tuple[int, int], seen: _Seen, *, passed_over: bool) -> None:
    seen.modules += 1
    if member.size > LARGEST_MODULE or seen.modules > MOST_MODULES:
        found = verify(reader, member)
        seen.findings.append(found or not_judged(member))
        return
    try:
        content = reader.content(member, LARGEST_MODULE)
    except BrokenZipError as exc:
        seen.findings.append(damaged(member, exc))
        return
    seen.words += weight(content)
    if seen.words > MOST_WORDS_IN_ALL:
        seen.findings.append(not_judged(member))
        return
    seen.findings += plugins_contents.secrets(member.name, content)
    findings, uncertain = module_findings(content, member.name, python)
    if passed_over:  # nobody imports it unless another module does
        seen.findings += (replace(finding, severity="warning") for finding in findings)
        return
    seen.findings += findings
    seen.uncertain = seen.uncertain or uncertain
    if mentions_plugins(content):
        plugins, without_name = find_plugins(content, member.name)
        seen.plugins += plugins
        seen.imports += imports_of(content, member.name) if plugins else ()
        seen.findings += without_name


def not_judged(member: ZipMember) -> Finding:
    """Return the finding on a module that is one too many to be compiled."""
    return Finding(
        rule="not-judged",
        severity="error",
        message=(
            f"{shown(member.name)} is not compiled here: it is larger than {LARGEST_MODULE:,} bytes, or there are "
            f"more than {MOST_MODULES:,} modules, or they have more than {MOST_WORDS_IN_ALL:,} tokens in total."
        ),
        line=None,
        remedy="Pack libraries as wheels and list them in requirements.txt.",
    )


def _without_plugin(seen: _Seen) -> Iterator[Finding]:
    if seen.plugins or not seen.modules:
        return
    yield Finding(
        rule="no-plugin",
        severity="warning",
        message="No class in the zip derives from AirflowPlugin, so Airflow registers nothing from it.",
        line=None,
        remedy=(
            "Nothing to do for modules that DAG files import. You can also put them into dags/, which takes "
            "effect without an update of the environment."
        ),
    )
