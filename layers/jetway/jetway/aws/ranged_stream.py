"""A seekable stream over bytes that are read by ranges: of an object, of a file on a web server, of what is kept."""

from __future__ import annotations

import io
from abc import abstractmethod


class RangedStream(io.RawIOBase):
    """The position and its bounds; a subclass gives the bytes of a range."""

    def __init__(self, size: int) -> None:
        """Take the size of the whole, in bytes. Nothing is read."""
        self._size, self._at = size, 0

    @abstractmethod
    def read_range(self, start: int, length: int) -> bytes:
        """Return bytes from `start` on: `length` of them, which are there and more than none, or fewer."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"negative seek position {at}")
        self._at = at
        return at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # its Buffer is of Python 3.12
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        found = self.read_range(self._at, length)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
