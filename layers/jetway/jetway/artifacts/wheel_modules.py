"""What wheels on a web server bring: a small one is fetched and read whole, of a large one the directory at its end.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from email.message import Message
from typing import IO, BinaryIO, cast

from jetway.artifacts.contents import Contents, contents_in, contents_of
from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
from jetway.ranged_stream import RangedStream

_BLOCK = 64 * 1024
_AT_ONCE = 8
_SECONDS_FOR_ONE = 5

# Providers of Airflow have 30 to 300 kB, Google's 1.5 MB. Reading the names of larger wheels takes too long.
_LARGEST_READ = 2 * 1024 * 1024


def contents_at(wheels: Mapping[str, str], *, seconds: float) -> dict[str, Contents]:
    """Fetch what wheels tell; those that cannot be had in time are left out.

    Args:
        wheels: name → http or https URL.
        seconds: for all of them.
    """
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        asked = {pool.submit(_contents_at, url): name for name, url in wheels.items()}
        done, _ = wait(asked, timeout=seconds)
        return {asked[one]: found for one in done if (found := one.result()) is not None}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _contents_at(url: str) -> Contents | None:
    if not url.startswith(("https://", "http://")):
        return None
    try:
        ranged = _Ranged(url)
        size = ranged.seek(0, io.SEEK_END)
        if size <= _LARGEST_READ:
            return contents_of(ZipReader(io.BytesIO(ranged.read_range(0, size)), size))
        with cast("BinaryIO", io.BufferedReader(ranged, _BLOCK)) as stream:
            return contents_in(member.name for member in ZipReader(stream, size).members)
    except (OSError, BrokenZipError, LargeDirectoryError, ValueError):
        return None


class _Ranged(RangedStream):
    """A file on a web server.

    Raises, when made or read: OSError, of which urllib's errors are kinds, when the server answers with no range.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        _, headers = self._ask("bytes=-1")
        super().__init__(int(headers["Content-Range"].rpartition("/")[2]))

    def read_range(self, start: int, length: int) -> bytes:
        return self._ask(f"bytes={start}-{start + length - 1}", length)[0]

    def _ask(self, span: str, length: int = 1) -> tuple[bytes, Message]:
        request = urllib.request.Request(self._url, headers={"Range": span})  # noqa: S310 - see _contents_at
        with urllib.request.urlopen(request, timeout=_SECONDS_FOR_ONE) as answer:  # noqa: S310
            if answer.status != 206:
                raise OSError(f"{self._url} is not given in ranges")
            return cast("IO[bytes]", answer).read(length), answer.headers
