"""Faults of a zip that show in its directory, or when its members are unpacked.

Python's extractor and Airflow take paths that leave the folder, names that come twice and thousands of files without
complaint, and let the last one win: so these checks look at the structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jetway.artifacts.archives.zip_reader import MOST_MEMBERS, BrokenZipError, ZipMember, ZipReader
from jetway.artifacts.findings import Finding
from jetway.artifacts.keys import UNSEEN

LARGEST_UNPACKED = 4 * 1024**3
# Deflate reaches 1,032 : 1 on zeros; code and wheels stay below 20 : 1. Small files do no harm.
WORST_RATIO = 100
_RATIO_COUNTS_FROM = 64 * 1024**2

_LONGEST_NAME = 255  # of a file on Linux, in bytes
_LONGEST_SHOWN = 120
_DRIVE = re.compile(r"^[A-Za-z]:")


def shown(name: str) -> str:
    """Return a member's name for people: without control characters, and not too long."""
    name = UNSEEN.sub("\N{REPLACEMENT CHARACTER}", name)
    return name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"


def is_clutter(name: str) -> bool:
    """Whether it is what a Mac or an editor leaves behind, and no content."""
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in {".DS_Store", "Thumbs.db"}


def broken(exc: BrokenZipError) -> Finding:
    """Return the finding on a file that is no zip, or not all of one."""
    if exc.truncated:
        return Finding(
            rule="truncated",
            severity="error",
            message=f"The zip is truncated or damaged: {exc}.",
            line=None,
            remedy="Test it with `unzip -t FILE` and upload it again.",
        )
    return Finding(
        rule="not-a-zip",
        severity="error",
        message=f"The file is not a zip: {exc}.",
        line=None,
        remedy="Create it with zip, not with tar or 7z: cd FOLDER && zip -r ../NAME.zip .",
    )


def too_many() -> Finding:
    """Return the finding on a zip whose directory is too large to be read."""
    return Finding(
        rule="too-many-files",
        severity="error",
        message=f"The zip has more than {MOST_MEMBERS:,} entries.",
        line=None,
        remedy="Pack libraries as wheels, and keep data in S3.",
    )


def directory_findings(reader: ZipReader) -> Iterator[Finding]:
    """Judge what the directory says."""
    yield from _bombs(reader)
    exact: set[str] = set()
    folded: dict[str, str] = {}
    folders: set[str] = set()
    for member in reader.members:
        yield from _member_findings(member)
        name = member.name.rstrip("/")
        if member.is_folder:
            folders.add(name)
            continue
        yield from _collisions(name, exact, folded)
        parts = name.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, min(len(parts), 50)))
    for name in sorted(folders & exact):
        yield Finding(
            rule="duplicate-name",
            severity="error",
            message=f"{shown(name)} is both a file and a folder, and cannot be unpacked.",
            line=None,
            remedy="Create the zip again from a folder on a disk.",
        )


def is_bomb(findings: Iterable[Finding]) -> bool:
    """Whether nothing may be unpacked, according to what `directory_findings` has found."""
    return any(finding.rule == "zip-bomb" for finding in findings)


def verify(reader: ZipReader, member: ZipMember) -> Finding | None:
    """Unpack a member to nowhere; return what is wrong with it."""
    try:
        reader.verify(member)
    except BrokenZipError as exc:
        return damaged(member, exc)
    return None


def damaged(member: ZipMember, exc: BrokenZipError) -> Finding:
    """Return the finding on a member that cannot be unpacked."""
    return Finding(
        rule="damaged-member",
        severity="error",
        message=f"{shown(member.name)} cannot be unpacked: {shown(str(exc))}.",
        line=None,
        remedy="Test it with `unzip -t FILE`, create the zip again, and upload it again.",
    )


def _bombs(reader: ZipReader) -> Iterator[Finding]:
    unpacked = sum(member.size for member in reader.members)
    packed = sum(member.packed for member in reader.members)
    overlapping = reader.overlapping()
    if overlapping is not None:
        message = f"{shown(overlapping.name)} begins inside the entry before it, as in a zip bomb."
    elif unpacked > LARGEST_UNPACKED:
        message = f"Unpacked, it has {unpacked:,} bytes; the limit is {LARGEST_UNPACKED:,}."
    elif unpacked > _RATIO_COUNTS_FROM and unpacked > WORST_RATIO * max(packed, 1):
        message = f"{packed:,} bytes unpack to {unpacked:,}: more than {WORST_RATIO} times as many, as in a zip bomb."
    else:
        return
    yield Finding(
        rule="zip-bomb",
        severity="error",
        message=message,
        line=None,
        remedy="MWAA unpacks it on every scheduler, worker and web server. Keep data in S3 and read it from there.",
    )


def _member_findings(member: ZipMember) -> Iterator[Finding]:
    name = member.name
    why = _unsafe(name)
    if why:
        yield Finding(
            rule="unsafe-path",
            severity="error",
            message=f"The path `{shown(name)}` {why}.",
            line=None,
            remedy=("Create the zip from inside the folder, with relative paths: cd FOLDER && zip -r ../plugins.zip ."),
        )
    if member.second_name is not None:
        yield Finding(
            rule="two-names",
            severity="error",
            message=(
                f"{shown(name)} has a second name, {shown(member.second_name)}: the program that unpacks the "
                "zip decides which one is used."
            ),
            line=None,
            remedy="Write names as UTF-8: zip -UN=UTF8 -r FILE.zip .",
        )
    if member.symlink:
        yield Finding(
            rule="symlink",
            severity="error",
            message=f"{shown(name)} is a symbolic link, which can point anywhere in the environment, or nowhere.",
            line=None,
            remedy="Put the file itself into the zip: zip -r follows links unless -y is given.",
        )
    if member.encrypted:
        yield Finding(
            rule="encrypted",
            severity="error",
            message=f"{shown(name)} is encrypted, and MWAA does not have the password.",
            line=None,
            remedy="Create the zip without a password; KMS encrypts the bucket.",
        )
    elif not member.readable:
        yield Finding(
            rule="compression",
            severity="error",
            message=(
                f"{shown(name)} is compressed in a way that not every unzip program, and not Python's "
                "zipimport, can read."
            ),
            line=None,
            remedy="Compress it with deflate, the default of zip.",
        )


def _unsafe(name: str) -> str:
    parts = name.removesuffix("/").split("/")
    reasons = (
        (name.startswith(("/", "\\")) or _DRIVE.match(name), "is absolute"),
        (".." in parts or ".." in name.split("\\"), "leaves the folder by `..`"),
        ("\\" in name, "has backslashes, which do not separate folders on Linux"),
        ("\0" in name, "has a NUL byte"),
        (UNSEEN.search(name), "has control characters, or characters that change the direction of text"),
        ("" in parts or "." in parts, "has an empty part"),
        (
            any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts),
            f"has a part of more than {_LONGEST_NAME} bytes",
        ),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _collisions(name: str, exact: set[str], folded: dict[str, str]) -> Iterator[Finding]:
    other = folded.setdefault(name.casefold(), name)
    if name in exact:
        yield Finding(
            rule="duplicate-name",
            severity="error",
            message=f"{shown(name)} is in the zip twice; the program that unpacks the zip decides which one is used.",
            line=None,
            remedy="Keep one of them.",
        )
    elif other != name:
        yield Finding(
            rule="case-collision",
            severity="warning",
            message=(
                f"{shown(name)} and {shown(other)} differ only in case: they are two files on MWAA, and one "
                "replaces the other on Windows and macOS."
            ),
            line=None,
            remedy="Rename one of them, unless you need both.",
        )
    exact.add(name)
