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
_ENCRYPTED, _SIZES_FOLLOW, _UTF_8 = 0x1, 0x8, 0x800
_NOT_HERE, _NOT_HERE_16 = 0xFFFF_FFFF, 0xFFFF  # the number is in the record of zip64
_ZIP_64, _UNICODE_PATH = 0x0001, 0x7075  # what extra fields are
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
class ZipMember:
    """An entry of the directory.

    Attributes:
        number: its place in the order of the file.
        name: as it is written there.
        size, packed: bytes, as the directory says.
        offset: where its local header begins.
        readable: whether its compression is one that can be unpacked here.
        second_name: another name that it has in an extra field, which some programs take; None without one.
    """

    number: int
    name: str
    size: int
    packed: int
    offset: int
    encrypted: bool
    symlink: bool
    readable: bool
    second_name: str | None = None

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
    """A zip in a seekable stream. Beside what the stream itself holds, a few megabytes of it are held.

    A member is unpacked here and not by `zipfile`, which looks at the directory alone and stops at the size that stands
    there. Info-ZIP's unzip follows the member's own header, and zipimport unpacks until the data end. So a member is
    broken unless all three read the same.
    """

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
            infos = zipfile.ZipFile(stream).infolist()
        except _READ_ERRORS as exc:
            raise BrokenZipError(str(exc), truncated=begins) from exc
        self._infos = sorted(infos, key=lambda info: info.header_offset)
        self.members = tuple(_member(number, info) for number, info in enumerate(self._infos))
        if any(not 0 <= member.offset < size for member in self.members):
            raise BrokenZipError("its directory points outside the file", truncated=True)

    def content(self, member: ZipMember, limit: int) -> bytes:
        """Return a member's bytes, cut after `limit` + 1.

        Raises:
            BrokenZipError: it cannot be unpacked, or is not what the directory says.
        """
        return b"".join(self._chunks(member, limit + 1))

    def verify(self, member: ZipMember) -> None:
        """Unpack a member to nowhere, which compares its checksum.

        Raises:
            BrokenZipError: it cannot be unpacked, or is not what the directory says.
        """
        for _ in self._chunks(member, member.size + 1):
            pass

    def ends(self, member: ZipMember, kept: int) -> tuple[bytes, bytes]:
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

    def overlapping(self) -> ZipMember | None:
        """Return a member that begins within the one before it, as in bombs; None when there is none."""
        end = 0
        for member in self.members:
            if member.offset < end:
                return member
            end = member.offset + _LOCAL_HEADER + member.packed
        return None

    def _chunks(self, member: ZipMember, left: int) -> Iterator[bytes]:
        """Unpack the first `left` bytes; only when that is all, the member is known to be whole."""
        info = self._infos[member.number]
        crc = 0
        try:
            _check_header(self._stream, info)
            for chunk in _unpacked(self._stream, info):
                crc = zlib.crc32(chunk, crc)
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
        except _READ_ERRORS as exc:
            raise BrokenZipError(str(exc) or type(exc).__name__) from exc
        if crc != info.CRC:
            raise BrokenZipError("its checksum does not match its data")


def _check_header(stream: BinaryIO, info: zipfile.ZipInfo) -> None:
    """Go to where a member's data begin, if its own header says of it what the directory says.

    Raises: BrokenZipError.
    """
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or not header.startswith(_FIRST):
        raise BrokenZipError("it has no header where the directory says")
    flags, method, crc, packed, size, name_length, extra_length = struct.unpack_from("<6xHH4xIIIHH", header)
    name, extra = stream.read(name_length), stream.read(extra_length)
    if name != _raw_name(info) or (flags ^ info.flag_bits) & (_ENCRYPTED | _UTF_8) or method != info.compress_type:
        raise BrokenZipError("its header and the directory differ")
    if _second_name(extra, info) not in {None, _second_name(info.extra, info)}:  # the directory's has its own finding
        raise BrokenZipError("its header has a second name for it")
    if flags & _SIZES_FOLLOW:
        return  # these numbers say nothing then
    if _NOT_HERE in {packed, size}:
        numbers = _extra_fields(extra).get(_ZIP_64, [b""])[0]
        size, packed = struct.unpack_from("<QQ", numbers)  # a header has both, whichever is needed
    if (crc, packed, size) != (info.CRC, info.compress_size, info.file_size):
        raise BrokenZipError("its header and the directory differ")


def _unpacked(stream: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Unpack what comes next in a stream, in pieces. When the last was taken, it was all of it and no more."""
    left, given, tail = info.compress_size, 0, b""
    deflated = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    full = False
    while (left or tail or full) and not (deflated and deflated.eof):
        data = tail or stream.read(min(_CHUNK, left))
        if not (data or full):
            raise BrokenZipError("its data is truncated")
        left -= 0 if tail else len(data)
        chunk = deflated.decompress(data, _CHUNK) if deflated else data
        tail = deflated.unconsumed_tail if deflated else b""
        full = deflated is not None and len(chunk) == _CHUNK  # there may be more of what was read
        given += len(chunk)
        if given > info.file_size:
            raise BrokenZipError(f"it unpacks to more than the {info.file_size:,} bytes that the directory says")
        if chunk:
            yield chunk
    if given != info.file_size or (deflated and not deflated.eof):
        raise BrokenZipError(f"it unpacks to {given:,} bytes; the directory says {info.file_size:,}")


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The bytes of a name in the directory."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437")


def _second_name(extra: bytes, info: zipfile.ZipInfo) -> str | None:
    """The name in Info-ZIP's field for a path in Unicode, unless it says what the name's own bytes say."""
    for value in _extra_fields(extra).get(_UNICODE_PATH, ()):
        if value[5:] not in {_raw_name(info), info.orig_filename.encode()}:
            return value[5:].decode("utf-8", "replace")
    return None


def _extra_fields(extra: bytes) -> dict[int, list[bytes]]:
    """The values of extra fields by what they are; one that is cut off ends them."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        found.setdefault(kind, []).append(extra[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _member(number: int, info: zipfile.ZipInfo) -> ZipMember:
    return ZipMember(
        number=number,
        name=info.orig_filename,  # `filename` is cut at a NUL
        size=info.file_size,
        packed=info.compress_size,
        offset=info.header_offset,
        encrypted=bool(info.flag_bits & _ENCRYPTED),
        symlink=(info.external_attr >> 16) & _FILE_TYPE == _SYMLINK,
        readable=info.compress_type in _READABLE,
        second_name=_second_name(info.extra, info),
    )


def _bound_directory(stream: BinaryIO, size: int, *, begins: bool) -> None:
    """Look at the end of the file before Python reads a directory of any size into memory."""
    span = min(size, _END_SIZE + _LONGEST_COMMENT + _LOCATOR_SIZE)
    stream.seek(size - span)
    tail = stream.read(span)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise BrokenZipError("it has no directory at its end, as every zip has", truncated=begins)
    there, count, directory, offset = struct.unpack_from("<HHII", tail, at + 8)
    if at >= _LOCATOR_SIZE and tail[at - _LOCATOR_SIZE : at - _LOCATOR_SIZE + 4] == _LOCATOR:
        before = size - span + at - _LOCATOR_SIZE - _END_64_SIZE  # where every program that writes zips puts the record
        (place,) = struct.unpack_from("<Q", tail, at - _LOCATOR_SIZE + 8)
        stream.seek(max(before, 0))
        record = stream.read(_END_64_SIZE)
        # Some programs look where the locator says, some right before it, and some into the old record first.
        said = (there, count, directory, offset)
        there, count, directory, offset = struct.unpack_from("<QQQQ", record.ljust(_END_64_SIZE, b"\0"), 24)
        same = zip(
            said, (there, count, directory, offset), (_NOT_HERE_16, _NOT_HERE_16, _NOT_HERE, _NOT_HERE), strict=True
        )
        if place != before or not record.startswith(_END_64) or not all(old in {new, no} for old, new, no in same):
            raise BrokenZipError("it has two directories that differ", truncated=begins)
    if there != count:
        raise BrokenZipError("it is one part of several", truncated=begins)
    if count > MOST_MEMBERS or directory > _LARGEST_DIRECTORY:
        raise LargeDirectoryError(f"it has {count:,} entries")
