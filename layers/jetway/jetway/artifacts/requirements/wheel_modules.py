"""What wheels on a web server bring: a small one is fetched and read whole, of a large one the directory at its end.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from email.message import Message
from typing import BinaryIO, cast

from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
from jetway.artifacts.requirements.contents import Contents, contents_in, contents_of
from jetway.artifacts.requirements.fetching import fetch
from jetway.artifacts.requirements.index_proxy import IndexProxy
from jetway.aws.ranged_stream import RangedStream

_BLOCK = 64 * 1024
_AT_ONCE = 8
_SECONDS_FOR_ONE = 5
_FOR_FETCHING = 0.7  # of the time; the rest is for reading names

# Providers of Airflow have 30 to 300 kB, Google's 1.5 MB. Reading the names of larger wheels takes too long.
_LARGEST_READ = 2 * 1024 * 1024


def contents_at(
    wheels: Mapping[str, str], *, seconds: float, first: Collection[str] = (), allowed: Collection[str] = ()
) -> dict[str, Contents]:
    """Fetch what wheels tell; those that cannot be had in time are left out.

    The modules of all come first, then names: of what is asked for by name, then of the smallest.

    Args:
        wheels: name → http or https URL.
        seconds: for all of them.
        first: names that matter most.
        allowed: hosts that the operator names, as of `index_proxy.named`.
    """
    if not wheels:
        return {}
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(_AT_ONCE)
    with IndexProxy(allowed) as proxy:
        try:
            order = sorted(wheels, key=lambda name: name not in first)
            asked = {pool.submit(_fetched, wheels[name], proxy): name for name in order}
            done, _ = wait(asked, timeout=seconds * _FOR_FETCHING)
            fetched = {asked[one]: found for one in done if (found := one.result()) is not None}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    contents = {name: found for name, (found, _) in fetched.items()}
    whole = {name: content for name, (_, content) in fetched.items() if content is not None}
    for name in sorted(whole, key=lambda name: (name not in first, len(whole[name]))):
        if time.monotonic() >= deadline:
            break
        with suppress(BrokenZipError):  # then its modules are all that is known
            reader = ZipReader(io.BytesIO(whole[name]), len(whole[name]))
            contents[name] = contents_of(reader, lambda: time.monotonic() < deadline)
    return contents


def _fetched(url: str, proxy: IndexProxy) -> tuple[Contents, bytes | None] | None:
    """The modules of a wheel, and the wheel itself if it is small; None when it cannot be had."""
    try:
        ranged = _Ranged(url, proxy)
        size = ranged.seek(0, io.SEEK_END)
        if size <= _LARGEST_READ:
            content = ranged.read_range(0, size)
            return contents_in(member.name for member in ZipReader(io.BytesIO(content), size).members), content
        with cast("BinaryIO", io.BufferedReader(ranged, _BLOCK)) as stream:
            return contents_in(member.name for member in ZipReader(stream, size).members), None
    except (OSError, BrokenZipError, LargeDirectoryError, ValueError):
        return None


class _Ranged(RangedStream):
    """A file on a web server.

    Raises, when made or read: OSError, when the server answers with no range.
    """

    def __init__(self, url: str, proxy: IndexProxy) -> None:
        self._url, self._proxy = url, proxy
        _, headers = self._ask("bytes=-1")
        super().__init__(int(headers["Content-Range"].rpartition("/")[2]))

    def read_range(self, start: int, length: int) -> bytes:
        return self._ask(f"bytes={start}-{start + length - 1}", length)[0]

    def _ask(self, span: str, length: int = 1) -> tuple[bytes, Message]:
        status, headers, body = fetch(
            self._url, self._proxy, most=length, seconds=_SECONDS_FOR_ONE, headers={"Range": span}
        )
        if status != 206:
            raise OSError(f"{self._url} is not given in ranges")
        return body, headers
