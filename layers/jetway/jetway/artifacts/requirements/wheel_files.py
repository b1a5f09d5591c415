"""Wheels inside of plugins.zip: what their own metadata says, beside what their file names say.

pip refuses a wheel whose metadata is not there, is of another distribution than its name, or wants another Python.
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, canonicalize_version, parse_wheel_filename

from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipMember, ZipReader
from jetway.artifacts.archives.zip_structure import shown
from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import Packages, marker_environment
from jetway.aws.ranged_stream import RangedStream

# Builders put the metadata at the end of a wheel, before its directory: so much of a wheel is kept to find both.
_KEPT = 8 * 1024 * 1024
_LARGEST_METADATA = 4 * 1024 * 1024
_WHEEL_VERSION = re.compile(rb"^Wheel-Version:\s*(\d+)", re.MULTILINE)
_NEWEST_WHEEL = 1


class BrokenWheelError(ValueError):
    """pip cannot install the wheel; the message says why."""


@dataclass(frozen=True, slots=True)
class WheelMetadata:
    """What a wheel says of itself.

    Attributes:
        file_name: without its folder.
        name: normalized.
        version: as it is written.
        requires_python: as it is written, or None.
        requires: the lines `Requires-Dist` that can be read.
        extras: the lines `Provides-Extra`.
    """

    file_name: str
    name: str
    version: str
    requires_python: str | None
    requires: tuple[Requirement, ...]
    extras: tuple[str, ...]

    def as_text(self) -> str:
        """Its METADATA, as far as it matters for resolving; what comes by a URL is left out."""
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        lines += [f"Requires-Python: {self.requires_python}"] if self.requires_python else []
        lines += [f"Provides-Extra: {extra}" for extra in self.extras]
        lines += [f"Requires-Dist: {wanted}" for wanted in self.requires if not wanted.url]
        return "\n".join(" ".join(line.split()) for line in lines) + "\n"


def read_wheel(reader: ZipReader, member: ZipMember) -> WheelMetadata | None:
    """Unpack a wheel to nowhere and read its metadata on the way.

    Args:
        reader: of plugins.zip.
        member: the wheel, whose name is one of a wheel.

    Returns:
        What it says; None when that is not at its end, where it is looked for.

    Raises:
        BrokenZipError: the member cannot be unpacked.
        BrokenWheelError: pip could not install it.
    """
    with cast("BinaryIO", _Ends(member.size, *reader.ends(member, _KEPT))) as stream:
        try:
            return _read(ZipReader(stream, member.size), member.file_name)
        except _NotKeptError:
            return None
        except BrokenZipError as exc:
            raise BrokenWheelError(f"it is not a zip: {exc}") from exc
        except LargeDirectoryError as exc:
            raise BrokenWheelError(str(exc)) from exc


def wheel_findings(wheel: WheelMetadata, where: str, python: str, packages: Packages | None) -> Iterator[Finding]:
    """Compare what a wheel wants with what the environment has.

    Args:
        wheel: that fits by its name.
        where: its path in plugins.zip.
        python: full version of the environment's Python.
        packages: of the environment's Airflow; None when not known.
    """
    try:
        fits = not wheel.requires_python or SpecifierSet(wheel.requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        fits = True  # pip passes over it
    if not fits:
        yield Finding(
            rule="wheel-python",
            severity="error",
            message=(
                f"{shown(where)} requires Python {shown(str(wheel.requires_python))}; the environment has {python}."
            ),
            line=None,
            remedy=f"Use a version of {wheel.name} that supports this Python.",
        )
    values = marker_environment(python)
    for wanted in wheel.requires:
        pin = packages.essential.get(canonicalize_name(wanted.name)) if packages else None
        active = wanted.marker is None or wanted.marker.evaluate(values)
        if pin is not None and active and not wanted.specifier.contains(pin, prereleases=True):
            yield Finding(
                rule="wheel-dependency",
                severity="warning",
                message=(
                    f"{shown(where)} requires {shown(str(wanted))}, but MWAA pins {wanted.name}=={pin}: pip would "
                    "install nothing of a requirements.txt that requires it."
                ),
                line=None,
                remedy=f"Use a version of {wheel.name} that is compatible with {wanted.name}=={pin}, or leave it out.",
            )


def broken_wheel(where: str, exc: BrokenWheelError) -> Finding:
    """Return the finding on a wheel that pip cannot install."""
    return Finding(
        rule="wheel-broken",
        severity="error",
        message=f"pip cannot install {shown(where)}: {shown(str(exc))}.",
        line=None,
        remedy="Build or download the wheel again, keep its file name, and test it: pip install --dry-run FILE",
    )


def _read(wheel: ZipReader, file_name: str) -> WheelMetadata:
    members = {member.name: member for member in wheel.members}
    name, version, _, _ = parse_wheel_filename(file_name)
    folders = {path.partition("/")[0] for path in members}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise BrokenWheelError(f"it has {len(found) or 'no'} folders .dist-info; it must have one")
    for wanted in ("METADATA", "WHEEL"):
        if f"{found[0]}/{wanted}" not in members:
            raise BrokenWheelError(f"it has no {found[0]}/{wanted}")
    made = _WHEEL_VERSION.search(wheel.content(members[f"{found[0]}/WHEEL"], _LARGEST_METADATA))
    if made is None or int(made[1]) > _NEWEST_WHEEL:
        raise BrokenWheelError("its file WHEEL does not name a format version that pip knows")
    raw, _ = parse_email(wheel.content(members[f"{found[0]}/METADATA"], _LARGEST_METADATA))
    said_name, said_version = raw.get("name", ""), raw.get("version", "")
    if canonicalize_name(said_name) != name or canonicalize_version(said_version) != canonicalize_version(version):
        raise BrokenWheelError(f"its metadata is of {said_name or 'no name'} {said_version or 'without a version'}")
    return WheelMetadata(
        file_name=file_name,
        name=name,
        version=said_version,
        requires_python=raw.get("requires_python"),
        requires=tuple(_requirements(raw.get("requires_dist", []))),
        extras=tuple(raw.get("provides_extra", [])),
    )


def _requirements(lines: list[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line)
        except (InvalidRequirement, RecursionError):
            continue  # of an old builder; what pip makes of it depends on its version


class _NotKeptError(OSError):
    """A part of the wheel that was passed over."""


class _Ends(RangedStream):
    """A file of which only the beginning and the end are there.

    Raises, when another part is read: _NotKeptError.
    """

    def __init__(self, size: int, head: bytes, tail: bytes) -> None:
        super().__init__(size)
        self._head, self._tail, self._tail_begins = head, tail, size - len(tail)

    def read_range(self, start: int, length: int) -> bytes:
        if start >= self._tail_begins:
            start -= self._tail_begins
            return self._tail[start : start + length]
        if start + length <= len(self._head):
            return self._head[start : start + length]
        raise _NotKeptError("this part of the wheel is not kept")
