"""Which modules a wheel brings, told by the directory at its end: a few kilobytes of it are fetched, not the wheel.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from email.message import Message
from typing import IO, BinaryIO, cast

from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
from jetway.ranged_stream import RangedStream

_SUFFIXES = (".py", ".so", ".pyd")
_BLOCK = 64 * 1024
_AT_ONCE = 8
_SECONDS_FOR_ONE = 5

# Namespace packages are followed so deep: google.cloud.storage is three.
_DEEPEST = 4


def modules_in(names: Iterable[str]) -> frozenset[str]:
    """Return what can be imported from an archive: packages, modules, and those below namespace packages.

    Args:
        names: of its files, with slashes.
    """
    files = [name for name in names if name.endswith(_SUFFIXES) and not _beside(name)]
    packages = {name.rpartition("/")[0] for name in files if name.rpartition("/")[2] == "__init__.py"}
    return frozenset(found for name in files if (found := _top(name, packages)))


def modules_of(wheels: Mapping[str, str], *, seconds: float) -> dict[str, list[str]]:
    """Fetch the directories of wheels; those that cannot be had in time are left out.

    Args:
        wheels: name → http or https URL.
        seconds: for all of them.
    """
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        asked = {pool.submit(_modules_at, url): name for name, url in wheels.items()}
        done, _ = wait(asked, timeout=seconds)
        return {asked[one]: sorted(found) for one in done if (found := one.result()) is not None}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _modules_at(url: str) -> frozenset[str] | None:
    if not url.startswith(("https://", "http://")):
        return None
    try:
        with cast("BinaryIO", io.BufferedReader(_Ranged(url), _BLOCK)) as stream:
            size = stream.seek(0, io.SEEK_END)
            return modules_in(member.name for member in ZipReader(stream, size).members)
    except (OSError, BrokenZipError, LargeDirectoryError, ValueError):
        return None


def _beside(name: str) -> bool:
    """Whether it is no module: metadata, scripts, data, bytecode."""
    return name.partition("/")[0].endswith((".dist-info", ".data")) or "__pycache__/" in name


def _top(name: str, packages: set[str]) -> str | None:
    """The first package on the way to a file, or the file's own module when it stands alone."""
    parts = name.split("/")
    for depth in range(1, min(len(parts), _DEEPEST + 1)):
        if "/".join(parts[:depth]) in packages:
            return ".".join(parts[:depth])
    if len(parts) > _DEEPEST:
        return None
    module = parts[-1].partition(".")[0]  # fast.cpython-312-x86_64-linux-gnu.so
    return ".".join([*parts[:-1], module]) if all(part.isidentifier() for part in [*parts[:-1], module]) else None


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
        request = urllib.request.Request(self._url, headers={"Range": span})  # noqa: S310 - see _modules_at
        with urllib.request.urlopen(request, timeout=_SECONDS_FOR_ONE) as answer:  # noqa: S310
            if answer.status != 206:
                raise OSError(f"{self._url} is not given in ranges")
            return cast("IO[bytes]", answer).read(length), answer.headers
