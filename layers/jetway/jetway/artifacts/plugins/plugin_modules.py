"""What plugins.zip gives to DAG files: the modules at its root, since MWAA's plugins folder is on sys.path."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipMember, ZipReader

# Bounds of what is handed over to be imported. Beyond them data files are left out first, so that a missing one proves
# nothing; wheels are never needed, because pip installs them.
MOST_BYTES = 32 * 1024**2
LARGEST_DATA_FILE = 1024**2
_MOST_FILES = 5000

_BINARY = re.compile(r"([A-Za-z_]\w*)(?:\.[\w-]+)?\.so")  # fast.so, fast.abi3.so, fast.cpython-312-x86_64-linux-gnu.so
_CODE = (".py", ".pyc", ".so", "/.airflowignore")
_NOT_NEEDED = (".whl", ".egg", ".tar.gz", ".zip")


@dataclass(frozen=True, slots=True)
class PackedPlugins:
    """What a load needs of a plugins.zip.

    Attributes:
        content: a zip of its modules and smaller files; None when the modules alone are too large to be handed over.
        modules: those at its root.
        binaries: compiled modules by their dotted names: they may be for another processor than the load's.
        has_settings: whether an airflow_local_settings.py is at its root, which every process of Airflow runs.
        readable: whether it can be read; else nobody knows what it brings.
    """

    content: bytes | None = None
    modules: frozenset[str] = frozenset()
    binaries: frozenset[str] = frozenset()
    has_settings: bool = False
    readable: bool = True


def root_modules(names: Iterable[str]) -> set[str]:
    """The modules and packages at the root of an archive with these members."""
    tops = (name.partition("/") for name in names if name.endswith((".py", ".so", ".pyc")))
    found = {top if slash else top.partition(".")[0] for top, slash, _ in tops}
    return {name for name in found if name.isidentifier()}


def pack(stream: BinaryIO, size: int) -> PackedPlugins:
    """Take out of a plugins.zip what a load needs.

    Args:
        stream: of it, seekable.
        size: its bytes.
    """
    try:
        reader = ZipReader(stream, size)
        members = [member for member in reader.members if not member.is_folder]
        names = [member.name for member in members]
        modules, binaries = frozenset(root_modules(names)), frozenset(_binaries(names))
        chosen = _chosen(members)
        content = None if chosen is None else _packed(reader, chosen)
    except (BrokenZipError, LargeDirectoryError):
        return PackedPlugins(readable=False)  # it never went through the gate
    return PackedPlugins(content, modules, binaries, has_settings="airflow_local_settings.py" in names)


def _chosen(members: Sequence[ZipMember]) -> list[ZipMember] | None:
    """Modules, then the smallest other files, as far as the bounds go; None when the modules go beyond them."""
    once = {member.name: member for member in members if not member.is_closed and _is_plain(member.name)}
    code = [member for member in once.values() if f"/{member.name}".endswith(_CODE)]
    room, places = MOST_BYTES - sum(member.size for member in code), _MOST_FILES - len(code)
    if room < 0 or places < 0:
        return None
    chosen = list(code)
    for member in sorted(once.values(), key=lambda member: member.size):
        if member in code or member.name.lower().endswith(_NOT_NEEDED) or member.size > LARGEST_DATA_FILE:
            continue
        if member.size > room or places == 0:
            break
        chosen.append(member)
        room, places = room - member.size, places - 1
    return chosen


def _packed(reader: ZipReader, members: Iterable[ZipMember]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member in members:
            archive.writestr(member.name, reader.content(member, member.size))
    return packed.getvalue()


def _is_plain(name: str) -> bool:
    """Whether it becomes one file inside the folder."""
    return "\0" not in name and "\\" not in name and not any(part in {"", ".", ".."} for part in name.split("/"))


def _binaries(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        *folders, file = name.split("/")
        found = _BINARY.fullmatch(file)
        if found and all(folder.isidentifier() for folder in folders):
            yield ".".join((*folders, found[1]))
