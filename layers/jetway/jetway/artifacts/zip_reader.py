"""Zip files too large to be held: the directory is read, then one member after the other, in bounded memory."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# Far above any real zip; a directory of this size takes some 100 MB when it is read.
MOST_MEMBERS = 100_000
_LARGEST_DIRECTORY = 32 * 1024**2

_CHUNK = 1024 * 1024
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_SYMLINK, _FILE_TYPE = 0o120000, 0o170000

# What Python's zipimport, which Airflow loads packed DAGs with, can unpack as well. LZMA may ask for gigabytes.
_READABLE = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.14 to 4.3.16
_FIRST, _END, _LOCATOR, _END_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_END_SIZE, _LOCATOR_SIZE, _END_64_SIZE = 22, 20, 56
_LONGEST_COMMENT = 65_535

_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,  # of encrypted members
    ValueError,
    OverflowError,
)


class BrokenZipError(ValueError):
    """The bytes are no whole zip; the message says how.

    Attributes:
        truncated: whether it begins as a zip does.
    """

    def __init__(self, message: str, *, truncated: bool = False) -> None:
        super().__init__(message)
        self.truncated = truncated


class LargeDirectoryError(ValueError):
    """The zip has more members than the gate reads."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the directory.

    Attributes:
        number: its place in the order of the file.
        name: as it is written there.
        size, packed: bytes, as the directory says.
        offset: where its local header begins.
        readable: whether its compression is one that can be unpacked here.
    """

    number: int
    name: str
    size: int
    packed: int
    offset: int
    encrypted: bool
    symlink: bool
    readable: bool

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder."""
        return self.name.endswith("/")

    @property
    def is_closed(self) -> bool:
        """Whether its content cannot be read, or is that of another file."""
        return self.encrypted or self.symlink or not self.readable

    @property
    def file_name(self) -> str:
        """Its name without its folders."""
        return self.name.rpartition("/")[2]


class ZipReader:
    """A zip in a seekable stream. Beside what the stream itself holds, a few megabytes of it are held."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Read the directory.

        Args:
            stream: seekable.
            size: its bytes.

        Raises:
            BrokenZipError: it is no zip, or its end is missing.
            LargeDirectoryError: more than MOST_MEMBERS.
        """
        self._stream = stream
        stream.seek(0)
        begins = stream.read(4) in {_FIRST, _END}
        _bound_directory(stream, size, begins=begins)
        try:
            self._zip = zipfile.ZipFile(stream)
        except _READ_ERRORS as exc:
            raise BrokenZipError(str(exc), truncated=begins) from exc
        self._infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        self.members = tuple(_member(number, info) for number, info in enumerate(self._infos))
        if any(not 0 <= member.offset < size for member in self.members):
            raise BrokenZipError("its directory points outside of the file", truncated=True)

    def content(self, member: Member, limit: int) -> bytes:
        """Return a member's bytes, cut after `limit` + 1.

        Raises:
            BrokenZipError: it cannot be unpacked, or is not what the directory says.
        """
        return b"".join(self._chunks(member, limit + 1))

    def verify(self, member: Member) -> None:
        """Unpack a member to nowhere, which compares its checksum.

        Raises:
            BrokenZipError: it cannot be unpacked, or is not what the directory says.
        """
        for _ in self._chunks(member, member.size + 1):
            pass

    def ends(self, member: Member, kept: int) -> tuple[bytes, bytes]:
        """Unpack a member to nowhere, as `verify`; return its first four bytes, and its last `kept`.

        Raises:
            BrokenZipError: it cannot be unpacked, or is not what the directory says.
        """
        head, tail = b"", bytearray()
        for chunk in self._chunks(member, member.size + 1):
            head = head or chunk[:4]
            tail += chunk
            if len(tail) > 2 * kept:
                del tail[:-kept]
        return head, bytes(tail[-kept:])

    def overlapping(self) -> Member | None:
        """Return a member that begins within the one before it, as in bombs; None when there is none."""
        end = 0
        for member in self.members:
            if member.offset < end:
                return member
            end = member.offset + _LOCAL_HEADER + member.packed
        return None

    def _chunks(self, member: Member, left: int) -> Iterator[bytes]:
        try:
            with self._zip.open(self._infos[member.number]) as stream:
                while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
        except _READ_ERRORS as exc:
            raise BrokenZipError(str(exc) or type(exc).__name__) from exc


def _member(number: int, info: zipfile.ZipInfo) -> Member:
    return Member(
        number=number,
        name=info.orig_filename,  # `filename` is cut at a NUL
        size=info.file_size,
        packed=info.compress_size,
        offset=info.header_offset,
        encrypted=bool(info.flag_bits & _ENCRYPTED),
        symlink=(info.external_attr >> 16) & _FILE_TYPE == _SYMLINK,
        readable=info.compress_type in _READABLE,
    )


def _bound_directory(stream: BinaryIO, size: int, *, begins: bool) -> None:
    """Look at the end of the file before Python reads a directory of any size into memory."""
    span = min(size, _END_SIZE + _LONGEST_COMMENT + _LOCATOR_SIZE)
    stream.seek(size - span)
    tail = stream.read(span)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise BrokenZipError("it has no directory at its end, as every zip has", truncated=begins)
    count, directory = struct.unpack_from("<H2xI", tail, at + 10)[0], struct.unpack_from("<I", tail, at + 12)[0]
    if at >= _LOCATOR_SIZE and tail[at - _LOCATOR_SIZE : at - _LOCATOR_SIZE + 4] == _LOCATOR:
        (place,) = struct.unpack_from("<Q", tail, at - _LOCATOR_SIZE + 8)
        if place + _END_64_SIZE > size:
            raise BrokenZipError("its directory points outside of the file", truncated=begins)
        stream.seek(place)
        record = stream.read(_END_64_SIZE)
        if len(record) == _END_64_SIZE and record.startswith(_END_64):
            count, directory = struct.unpack_from("<QQ", record, 32)
    if count > MOST_MEMBERS or directory > _LARGEST_DIRECTORY:
        raise LargeDirectoryError(f"it has {count:,} entries")
