"""Work in a forked child, which is ended when it takes too much memory or time.

It is for reading what somebody has written: however well a parser is bounded, its author may know a way around. The
child has no use of the parent's connections; what it needs of a large file it asks the parent for, range by range.
"""

from __future__ import annotations

import io
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar, cast

from jetway.aws.ranged_stream import RangedStream
from jetway.errors import TransientError

T = TypeVar("T")
Opener = Callable[[], BinaryIO]

_BLOCK = 8 * 1024 * 1024  # bytes of a stream in one answer
_RANGE, _ANSWER = b"R", b"A"
_HEAD = struct.Struct("<cQ")
_PLACE = struct.Struct("<QQ")
_LARGEST_ANSWER = 256 * 1024 * 1024
_IDLE = 4  # who used less than this part of the processor time was held up by something else


@dataclass(frozen=True, slots=True)
class Bounds:
    """What work may take.

    Attributes:
        memory: bytes that the child may add to what it was forked with.
        cpu_seconds: of a processor.
        seconds: until the answer is there; what the parent takes for reading a stream does not count.
    """

    memory: int = 640 * 1024**2  # validate_artifact has 1 GiB, of which the parent takes some 150 MiB
    cpu_seconds: int = 60
    seconds: float = 120.0  # leaves of the function's 300 s what a load takes


class BeyondBoundsError(Exception):
    """The work took more than it may, or ended its process; the message says how, for people."""


def apart(work: Callable[[Opener | None], T], bounds: Bounds, *, opener: Opener | None = None, size: int = 0) -> T:
    """Do work in a child and return what it returns, which must be something that can be pickled.

    Args:
        work: gets an opener of the stream; None without one.
        bounds: of the child.
        opener: opens the stream in the parent; it is read there.
        size: bytes of the stream.

    Raises:
        BeyondBoundsError: it took too much, or crashed.
        TransientError: it was held up, so that nothing is known of it.
        Exception: what the work raises; what reading the stream raises.
    """
    ours, theirs = socket.socketpair()
    with warnings.catch_warnings():
        # Others' threads may hold locks that the child then waits for: it needs none, and has a deadline.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        ours.close()
        _be_child(theirs, work, bounds, size if opener is not None else None)
    theirs.close()
    child = _Child(pid, ours)
    with ours:
        try:
            return cast("T", _listen(child, bounds, opener))
        finally:
            child.end()


class _Child:
    """The child as its parent sees it."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self._pid, self.socket = pid, end
        self._ended: tuple[int, float] | None = None

    def end(self) -> tuple[int, float]:
        """Kill it, and what it has started, if it is there; return its status and the processor time that it took."""
        if self._ended is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            os.kill(self._pid, signal.SIGKILL)  # it may be too early for the group; who has ended, has ended
            _, status, used = os.wait4(self._pid, 0)
            self._ended = status, used.ru_utime + used.ru_stime
        return self._ended


def _listen(child: _Child, bounds: Bounds, opener: Opener | None) -> Any:
    """Answer the child's questions until its answer comes."""
    deadline, stream = time.monotonic() + bounds.seconds, None
    try:
        while True:
            with _told_of(child, bounds):
                child.socket.settimeout(max(0.001, deadline - time.monotonic()))
                kind, body = _receive(child.socket)
            if kind == _ANSWER:
                return _answered(*pickle.loads(body))  # noqa: S301 - our own code's; it runs nothing of the file
            started = time.monotonic()
            if stream is None and opener is not None:
                stream = opener()
            found = _ranged(stream, *_PLACE.unpack(body))
            deadline += time.monotonic() - started
            with _told_of(child, bounds):
                child.socket.sendall(_HEAD.pack(_RANGE, len(found)) + found)
    finally:
        if stream is not None:
            stream.close()


@contextmanager
def _told_of(child: _Child, bounds: Bounds) -> Iterator[None]:
    """Say what became of a child that does not answer, or is gone."""
    try:
        yield
    except TimeoutError:
        _, used = child.end()
        if used < bounds.cpu_seconds / _IDLE:
            raise TransientError(f"a child was held up for {bounds.seconds:.0f} s.") from None
        raise BeyondBoundsError(f"it takes longer than {bounds.seconds:.0f} s") from None
    except (EOFError, ConnectionError):
        raise BeyondBoundsError(_how(child.end()[0], bounds)) from None


def _answered(how: str, what: Any) -> Any:
    if how == "raised":
        raise what
    if how == "memory":
        raise BeyondBoundsError("it takes too much memory")
    return what


def _how(status: int, bounds: Bounds) -> str:
    """How a child ended that gave no answer."""
    by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if by == signal.SIGXCPU:
        return f"it takes more than {bounds.cpu_seconds} s of a processor"
    if by == signal.SIGKILL:
        return "it takes too much memory"
    return "reading it ends the process"


def _ranged(stream: BinaryIO | None, start: int, length: int) -> bytes:
    if stream is None:
        return b""
    stream.seek(start)
    return stream.read(min(length, _BLOCK))


def _be_child(end: socket.socket, work: Callable[[Opener | None], Any], bounds: Bounds, size: int | None) -> NoReturn:
    """Be the child. Never returns: what the parent has registered to do at its exit is not the child's to do."""
    leave = os._exit
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGSEGV):
            signal.signal(number, signal.SIG_DFL)
        _bound(bounds)
        answer: tuple[str, Any]
        try:
            opener = None if size is None else (lambda: cast("BinaryIO", io.BufferedReader(_Asked(end, size), _BLOCK)))
            answer = ("returned", work(opener))
        except MemoryError:
            answer = ("memory", None)
        except Exception as exc:  # noqa: BLE001 - it is raised in the parent
            answer = ("raised", _carried(exc))
        body = pickle.dumps(answer)
        end.sendall(_HEAD.pack(_ANSWER, len(body)) + body)
    finally:
        leave(0)


def _carried(exc: Exception) -> Exception:
    """The exception, or its words where it cannot be taken across."""
    try:
        pickle.loads(pickle.dumps(exc))  # noqa: S301 - what was written just now
    except Exception:  # noqa: BLE001 - as many kinds as there are exceptions
        return RuntimeError(f"{type(exc).__name__}: {exc}")
    return exc


def _bound(bounds: Bounds) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_CPU, bounds.cpu_seconds, spare=1)  # at the first it is told, at the second it is killed
    if sys.platform == "linux":  # macOS knows no bound of the address space
        with Path("/proc/self/statm").open(encoding="ascii") as statm:
            there = int(statm.read().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, there + bounds.memory)


def _limit(what: int, most: int, *, spare: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    hard = most + spare if hard == resource.RLIM_INFINITY else min(most + spare, hard)
    resource.setrlimit(what, (min(most, hard), hard))


class _Asked(RangedStream):
    """The stream, in the child: each range is asked of the parent."""

    def __init__(self, end: socket.socket, size: int) -> None:
        super().__init__(size)
        self._end = end

    def read_range(self, start: int, length: int) -> bytes:
        self._end.sendall(_HEAD.pack(_RANGE, _PLACE.size) + _PLACE.pack(start, min(length, _BLOCK)))
        return _receive(self._end)[1]


def _receive(end: socket.socket) -> tuple[bytes, bytes]:
    """The next message: its kind and its body.

    Raises:
        EOFError: the other side is gone.
    """
    kind, length = _HEAD.unpack(_exactly(end, _HEAD.size))
    if length > _LARGEST_ANSWER:
        raise EOFError("the answer is too large")
    return kind, _exactly(end, length)


def _exactly(end: socket.socket, length: int) -> bytes:
    found = bytearray(length)
    view, at = memoryview(found), 0
    while at < length:
        got = end.recv_into(view[at:])
        if not got:
            raise EOFError("the other side is gone")
        at += got
    return bytes(found)
