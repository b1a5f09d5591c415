"""What plugins.zip holds for a requirements.txt: files that a path may name, wheels for --find-links, constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from jetway.artifacts.archives.zip_reader import BrokenZipError, ZipReader
from jetway.artifacts.mwaa import PLUGINS_FOLDER
from jetway.artifacts.requirements.referenced_files import on_mwaa
from jetway.artifacts.requirements.requirement_lines import UnreadableError, decode
from jetway.artifacts.requirements.wheel_files import BrokenWheelError, WheelMetadata, read_wheel
from jetway.artifacts.requirements.wheel_names import wheel_fit

if TYPE_CHECKING:
    from jetway.artifacts.requirements.requirements_model import Requested

# Real sets have a few hundred wheels; each is unpacked once.
MOST_WHEELS = 1000
_MOST_TEXTS = 20
_LARGEST_TEXT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalWheels:
    """The files of plugins.zip, which --find-links and paths may name.

    Attributes:
        names: paths within the zip.
        final: whether no other plugins.zip may be on its way; what is missing is then missing for certain.
        wheels: path → what the wheel says of itself, of those that pip can install.
        unread: paths of wheels of which that is not known.
        texts: path → the text of files that may be requirements or constraints.
    """

    names: Sequence[str]
    final: bool = True
    wheels: Mapping[str, WheelMetadata] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)

    def found_by(self, asked: Requested) -> dict[str, WheelMetadata] | None:
        """Return the wheels that pip finds by --find-links, by file name; None when not all places are seen here."""
        folders = find_links_folders(asked)
        if None in folders or any(_folder(path) in folders for path in self.unread):
            return None
        return {wheel.file_name: wheel for path, wheel in self.wheels.items() if _folder(path) in folders}

    def text(self, path: str) -> str | None:
        """Return the text of a file in plugins.zip, by its path on MWAA; None when it is not there, or not read."""
        return self.texts.get(inside(path) or "")


def read_shelf(stream: BinaryIO, size: int, python: tuple[int, int], *, final: bool) -> LocalWheels:
    """Look into a plugins.zip.

    Args:
        stream: of it, seekable.
        size: its bytes.
        python: version of the environment's Python; wheels for others are passed over.
        final: as of `LocalWheels`.

    Raises:
        BrokenZipError, LargeDirectoryError: it cannot be read.
    """
    reader = ZipReader(stream, size)
    wheels: dict[str, WheelMetadata] = {}
    texts: dict[str, str] = {}
    unread: set[str] = set()
    for member in reader.members:
        name = member.name.lower()
        if name.endswith(".whl") and wheel_fit(member.file_name, python)[0] == "fits":
            try:
                found = read_wheel(reader, member) if len(wheels) < MOST_WHEELS else None
            except (BrokenZipError, BrokenWheelError):
                continue  # pip cannot install it: as if it were not there
            if found is None:
                unread.add(member.name)
            else:
                wheels[member.name] = found
        elif name.endswith(".txt") and member.size <= _LARGEST_TEXT and len(texts) < _MOST_TEXTS:
            try:
                texts[member.name] = decode(reader.content(member, _LARGEST_TEXT))
            except (BrokenZipError, UnreadableError):
                continue  # that it is damaged is said of plugins.zip
    return LocalWheels([member.name for member in reader.members], final, wheels, frozenset(unread), texts)


def find_links_folders(asked: Requested) -> set[str | None]:
    """Where in plugins.zip --find-links looks: folders that end in a slash, "" for its root, None for elsewhere.

    pip looks into the folder itself only, not into those below it.
    """
    return {inside(on_mwaa(place) + "/") for place in asked.find_links}


def inside(path: str) -> str | None:
    """The path within plugins.zip, or None when it is elsewhere."""
    return path.removeprefix(PLUGINS_FOLDER + "/") if path.startswith(PLUGINS_FOLDER + "/") else None


def _folder(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else f"{parent}/"
