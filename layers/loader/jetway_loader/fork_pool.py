"""A forked child for each piece of work: it tells what it finds line by line, and is killed when its time is over.

Airflow's own timeout is a signal handler, which a C call that blocks never runs; a kill from outside always works.
What a child has told stays, whatever becomes of it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import secrets
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from jetway_loader import answers
from jetway_loader import jail as jails

Item = TypeVar("Item")
Tell = Callable[[dict[str, Any]], None]

_LARGEST_ANSWER = 16 * 1024 * 1024
_LARGEST_FILE = 64 * 1024 * 1024  # that a child may write
_LAST_WORDS = 2000
_MOST_READS = 256  # of 64 KiB at once: who writes without end must not keep the parent from looking at the time
_LOOK = 0.05  # seconds between looks whether a child has ended: a grandchild may keep its pipe open


@dataclass
class Ended(Generic[Item]):
    """What became of one child.

    Attributes:
        told: what it told, in order.
        exit_code: None when it was killed by a signal.
        signal: that ended it; None when it ended by itself.
        timed_out: it was killed because its time was over.
        last_words: the end of what it wrote to standard output and error.
        seconds: from the fork on.
    """

    item: Item
    told: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    last_words: str = ""
    seconds: float = 0.0


class _Child(Generic[Item]):
    def __init__(self, item: Item, pid: int, pipe: int, words: BinaryIO, mark: bytes) -> None:
        self.item, self.pid, self.pipe, self.words, self.mark = item, pid, pipe, words, mark
        self.started = time.monotonic()
        self.heard = bytearray()
        os.set_blocking(pipe, False)

    def hear(self) -> bool:
        """Read all that has come; False when nothing more will."""
        for _ in range(_MOST_READS):
            try:
                data = os.read(self.pipe, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.heard += data[: _LARGEST_ANSWER - len(self.heard)]
        return True

    def ended(self, status: int, *, timed_out: bool) -> Ended[Item]:
        with self.words as words:
            size = words.seek(0, os.SEEK_END)
            words.seek(max(0, size - _LAST_WORDS))
            last_words = words.read().decode(errors="replace")
        told = []
        for line in self.heard.split(b"\n")[:-1]:  # what has no end of line was cut off
            _, mark, entry = line.rpartition(self.mark)
            if not mark:
                continue  # the file wrote to a descriptor that was not its own
            with suppress(ValueError, RecursionError):  # it did so in the middle of a line
                told.append(json.loads(entry))
        return Ended(
            item=self.item,
            told=answers.sound(told),
            exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            timed_out=timed_out,
            last_words=last_words,
            seconds=time.monotonic() - self.started,
        )


def each(
    items: Sequence[Item],
    work: Callable[[Item, Tell], None],
    *,
    seconds: float,
    memory: int | None = None,
    jobs: int = 1,
) -> Iterator[Ended[Item]]:
    """Do `work` for each item in a child of its own, and yield as they end.

    Args:
        items: one child each.
        work: gets the item and a function that tells the parent something that JSON takes.
        seconds: after which a child is killed, with all that it has started.
        memory: bytes of address space that a child may add to what it was forked with.
        jobs: children at once.
    """
    waiting, children = list(reversed(items)), list[_Child[Item]]()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    selector, jailed = selectors.DefaultSelector(), ExitStack()
    jail = jailed.enter_context(jails.around())
    try:
        while waiting or children:
            while waiting and len(children) < jobs:
                child = _fork(waiting.pop(), work, memory, jail)
                children.append(child)
                selector.register(child.pipe, selectors.EVENT_READ)
            selector.select(_LOOK)
            for child in list(children):
                open_ended = child.hear()
                timed_out = time.monotonic() - child.started > seconds
                status = _status(child, kill=timed_out, patient=not open_ended)
                if status is not None:
                    child.hear()
                    selector.unregister(child.pipe)
                    children.remove(child)
                    os.close(child.pipe)
                    jail.clear(other.pid for other in children)
                    yield child.ended(status, timed_out=timed_out)
    finally:
        for child in children:
            _kill(child.pid)
            os.waitpid(child.pid, 0)
        jail.clear()
        jailed.close()
        selector.close()
        gc.unfreeze()


def _status(child: _Child[Any], *, kill: bool, patient: bool) -> int | None:
    """The child's exit status; None while it goes on. What it has started is killed with it.

    Args:
        child: that may have ended.
        kill: end it now.
        patient: its pipe is closed, so it is about to end.
    """
    for _ in range(20 if patient else 1):
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            _kill(child.pid)
            return status
        if patient:
            time.sleep(0.001)
    if not kill:
        return None
    _kill(child.pid)
    return os.waitpid(child.pid, 0)[1]


def _kill(pid: int) -> None:
    """Kill a child's process group: itself and what it has started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nothing of it is left; macOS denies it for a group of zombies


def _fork(item: Item, work: Callable[[Item, Tell], None], memory: int | None, jail: jails.Jail) -> _Child[Item]:
    read, write = os.pipe()
    mark = secrets.token_hex(8).encode()  # begins what is told: the file may write to any descriptor
    words: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child has ended
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:

        def tell(entry: dict[str, Any]) -> None:
            os.write(write, mark + json.dumps(entry).encode() + b"\n")

        _live(partial(work, item, tell), words, memory, partial(jail.enter, write))
    os.close(write)
    with suppress(ProcessLookupError, PermissionError):  # the child does so itself: whoever is first
        os.setpgid(pid, pid)
    return _Child(item, pid, read, words, mark)


def _live(work: Callable[[], None], words: BinaryIO, memory: int | None, enter: Callable[[], None]) -> None:
    """Be the child. Never returns: what the parent has registered to do at its exit is not the child's to do."""
    code, leave = 70, os._exit
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGSEGV):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
        jails.bound(resource.RLIMIT_CORE, 0)
        jails.bound(resource.RLIMIT_FSIZE, _LARGEST_FILE)
        enter()
        if memory is not None:
            jails.bound(resource.RLIMIT_AS, _address_space() + memory)
        work()
        sys.stdout.flush()
        sys.stderr.flush()
        code = 0
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode(errors="replace")[-_LAST_WORDS:])
    finally:
        leave(code)


def _address_space() -> int:
    """Bytes of address space of this process; Linux only, elsewhere the bound is generous."""
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as statm:
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 8 * 1024**3
