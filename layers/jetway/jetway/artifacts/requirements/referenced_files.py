"""The files on MWAA that a requirements.txt may name with -r and -c: those of dags/ and of plugins.zip.

pip takes a relative path from the folder of the file that names it, and requirements.txt is in REQUIREMENTS_FOLDER, as
MWAA's own logs show.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import DAGS_FOLDER, PLUGINS_FOLDER
from jetway.artifacts.requirements.requirement_lines import redacted
from jetway.artifacts.requirements.requirements_model import Requested, RequestedDistribution, read_requirements

REQUIREMENTS_FOLDER = "/usr/local/airflow/requirements"

_DEEPEST = 5  # files that name files


@dataclass(frozen=True, slots=True)
class Beside:
    """Reads what is beside.

    Attributes:
        text: from a path below DAGS_FOLDER or PLUGINS_FOLDER to the file's text; None where it is not known.
        final: folders, of these two, that are seen whole: what has no text there is not there.
    """

    text: Callable[[str], str | None]
    final: frozenset[str] = frozenset()

    def is_missing(self, path: str) -> bool:
        """Whether there is certainly no such file."""
        return any(path.startswith(f"{folder}/") for folder in self.final) and self.text(path) is None


def on_mwaa(place: str, folder: str = REQUIREMENTS_FOLDER) -> str:
    """Return the path that pip reads; of a URL, the URL.

    Args:
        place: as -r or -c names it.
        folder: of the file that does.
    """
    if place.startswith("file://"):
        return posixpath.normpath(place.removeprefix("file://"))
    return place if "://" in place else posixpath.normpath(posixpath.join(folder, place))


def is_beside(path: str) -> bool:
    """Whether a path leads to where dags/ or plugins.zip are on MWAA."""
    return path.startswith((f"{DAGS_FOLDER}/", f"{PLUGINS_FOLDER}/"))


def with_files(asked: Requested, beside: Beside | None) -> Requested:
    """Read the files that a requirements.txt names, as pip does: what they say is said in the line that names them.

    Args:
        asked: the file; it is changed.
        beside: reads the others; None when none is known.
    """
    _read_constraints(asked, asked, REQUIREMENTS_FOLDER, beside)
    nested, asked.nested = asked.nested, []
    for line, place in nested:
        _read_nested(asked, line, on_mwaa(place), beside, _DEEPEST)
    return asked


def _read_nested(asked: Requested, line: int, path: str, beside: Beside | None, deep: int) -> None:
    text = beside.text(path) if beside is not None and is_beside(path) and deep else None
    if text is None:
        asked.nested.append((line, path))
        return
    inner = read_requirements(text)
    where = path.rpartition("/")[0]
    _read_constraints(asked, inner, where, beside)
    asked.constraints += ((line, on_mwaa(place, where)) for _, place in inner.constraints)
    asked.wanted += (_at(line, wanted) for wanted in inner.wanted)
    asked.find_links += inner.find_links
    asked.indexes += ((line, url) for _, url in inner.indexes)
    asked.own_index = asked.own_index or inner.own_index
    asked.pre = asked.pre or inner.pre
    asked.no_index = asked.no_index or (line if inner.no_index else None)
    asked.hashed = asked.hashed or (line if inner.hashed else None)
    asked.variables += [line] if inner.variables else []
    asked.findings += (_in_file(found, line, path) for found in inner.findings)
    for _, place in inner.nested:
        _read_nested(asked, line, on_mwaa(place, where), beside, deep - 1)


def _read_constraints(asked: Requested, of: Requested, folder: str, beside: Beside | None) -> None:
    """Keep what the constraint files say that are here."""
    for _, place in of.constraints:
        path = on_mwaa(place, folder)
        text = beside.text(path) if beside is not None and is_beside(path) else None
        if text is None:
            continue
        read = read_requirements(text)
        if read.findings or read.constraints or read.nested or read.variables:
            continue  # pip makes something of it that is not known here
        lines = [one.requirement for one in read.wanted if one.requirement is not None and one.source == "index"]
        asked.own_constraints[place] = asked.own_constraints[path] = lines


def _at(line: int, wanted: RequestedDistribution) -> RequestedDistribution:
    return RequestedDistribution(line, wanted.requirement, wanted.source, wanted.place, wanted.hashed, wanted.editable)


def _in_file(found: Finding, line: int, path: str) -> Finding:
    """A finding on another file, which may be somebody else's: none of its lines is quoted."""
    said = f"pip cannot read line {found.line}. It would install nothing of the file." if found.line else found.message
    return Finding(found.rule, found.severity, f"In {redacted(path)}: {said}", line, found.remedy)
