"""What a child may do to its parent and to who comes next: nothing, as far as the system keeps it from it.

A child gives up its rights before it runs anybody's code. It cannot look into its parent or send it signals, has no
descriptor of the parent's, reaches no network, cannot leave its process group, and leaves nothing in the system's own
memory. So one kill ends all that it has started. Linux only; where a filter is refused, the rest holds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MOST_PROCESSES = 256  # and threads, that a child may add to those of its user
_SECONDS_TO_END = 5.0
_PR_SET_DUMPABLE, _PR_GET_DUMPABLE = 4, 3
_PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 22, 36, 38
# Of root's rights, which it has in a container: those over files stay.
_RIGHTS_KEPT = 0b11111
_CAPABILITY_VERSION = 0x20080522


class _Call:
    """Numbers of system calls: on x86_64, on aarch64."""

    CONNECT, SENDTO, SENDMSG, SENDMMSG = (42, 203), (44, 206), (46, 211), (307, 269)
    KILL, TKILL, TGKILL, SIGQUEUE, TGSIGQUEUE = (62, 129), (200, 130), (234, 131), (129, 138), (297, 240)
    PIDFD_OPEN, PIDFD_GETFD, PTRACE, READV, WRITEV = (434, 434), (438, 438), (101, 117), (310, 270), (311, 271)
    PRLIMIT, AFFINITY, SCHEDULER, PARAM, ATTR = (302, 261), (203, 122), (144, 119), (142, 118), (314, 274)
    PRIORITY, IOPRIO, MIGRATE, MOVE, KCMP = (141, 140), (251, 30), (256, 238), (279, 239), (312, 272)
    SETSID, SETPGID, IO_URING, FCNTL, IOCTL = (112, 157), (109, 154), (425, 425), (72, 25), (16, 29)
    SHMGET, SEMGET, MSGGET, MQ_OPEN = (29, 194), (64, 190), (68, 186), (240, 180)
    ADD_KEY, REQUEST_KEY, KEYCTL = (248, 217), (249, 218), (250, 219)
    PERF, BPF, USERFAULT, UNSHARE, SETNS, MOUNT = (298, 241), (321, 280), (323, 282), (272, 97), (308, 268), (165, 40)


_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32 = 0x40000000  # numbers from here on are another interface of x86_64, for the same calls
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_FASTOPEN = 0x20000000
# fcntl and ioctl that name who gets a descriptor's signals
_F_SETOWN, _F_SETOWN_EX, _FIOSETOWN, _SIOCSPGRP = 8, 15, 0x8901, 0x8902
_Step = tuple[int, int, int, int]  # an instruction: code, where to go if so and if not, operand


@dataclass(frozen=True)
class Jail:
    """What the children of one process live in.

    Attributes:
        parent: its process id.
        before: children that it had already, which are none of ours.
        processes: bound of processes and threads of this user; None where there is none.
    """

    parent: int
    before: frozenset[int]
    processes: int | None
    _filter: bytes

    def enter(self, keep: int) -> None:
        """Give up, in a child that was just forked, what it is not to have.

        Args:
            keep: a descriptor that it goes on with, beside 0, 1 and 2.
        """
        _hide_descriptors(keep)
        if self.processes is not None:
            bound(resource.RLIMIT_NPROC, self.processes)
        if not sys.platform.startswith("linux"):
            return
        _prctl(_PR_SET_DUMPABLE, 1)  # as its parent is not: its own entries of /proc are its own again
        with suppress(OSError):  # who takes all memory is ended, and not its parent
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        _give_up_rights()
        if self._filter and _prctl(_PR_SET_NO_NEW_PRIVS, 1) == 0:
            program = ctypes.create_string_buffer(self._filter, len(self._filter))
            count = len(self._filter) // 8
            given = struct.pack("HxxxxxxP", count, ctypes.addressof(program))
            _prctl(_PR_SET_SECCOMP, 2, given)

    def clear(self, running: Iterable[int] = ()) -> bool:
        """End all that children have left behind; return whether nothing is left.

        Args:
            running: children that go on.
        """
        others = self.before.union(running)
        deadline = time.monotonic() + _SECONDS_TO_END
        while left := _children() - others:
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True


@contextmanager
def around() -> Iterator[Jail]:
    """Make this process one that its children cannot look into, and that inherits what they leave behind."""
    linux = sys.platform.startswith("linux")
    parent = os.getpid()
    jail = Jail(parent, children(), _most_processes(), _program(parent, os.getpgrp()) if linux else b"")
    if not linux:
        yield jail
        return
    shown = _prctl(_PR_GET_DUMPABLE)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # no ptrace, no /proc/<pid>/mem, environ, fd
    try:
        yield jail
    finally:
        _prctl(_PR_SET_DUMPABLE, max(0, shown))
        _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def children() -> frozenset[int]:
    """The processes whose parent this one is, by birth or because theirs has ended; none where nobody tells."""
    return frozenset(_children())


def bound(what: int, limit: int) -> None:
    """Set a limit of this process, and of what it starts, for good; never above the one that it has."""
    hard = resource.getrlimit(what)[1]
    least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (least, least))


def _children() -> set[int]:
    """The processes whose parent this one is; none where the system does not tell."""
    try:
        lists = [(task / "children").read_text(encoding="ascii") for task in Path("/proc/self/task").iterdir()]
        return {int(pid) for listed in lists for pid in listed.split()}
    except OSError:
        return _children_by_parent()


def _children_by_parent() -> set[int]:
    """The same where the kernel keeps no lists of children."""
    own, found = str(os.getpid()), set()
    with suppress(OSError):
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                with suppress(OSError, IndexError):
                    text = (place / "stat").read_text(encoding="utf-8", errors="replace")
                    if text.rpartition(")")[2].split()[1] == own:
                        found.add(int(place.name))
    return found


def _most_processes() -> int | None:
    """The bound counts all of the user's; root has none."""
    if os.getuid() == 0 or not sys.platform.startswith("linux"):
        return None
    own, count = os.getuid(), 0
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                if place.stat().st_uid in {own, 0}:  # root's too: of who hides, the owner is not told
                    count += sum(1 for _ in (place / "task").iterdir())
    return count + MOST_PROCESSES


def _hide_descriptors(keep: int) -> None:
    """Put nothing in the place of the parent's descriptors. Closed, an object that has one would close another's."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        numbers = [int(place.name) for place in Path("/proc/self/fd").iterdir()]
    except OSError:
        numbers = list(range(3, 256))
    for number in numbers:
        if number > 2 and number not in {keep, null}:
            with suppress(OSError):
                os.fstat(number)
                os.dup2(null, number, inheritable=False)
    os.close(null)


def _give_up_rights() -> None:
    """Of root: the rights to look into processes, to end them, to be above limits, to mount."""
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    library = ctypes.CDLL(None, use_errno=True)
    if library.capget(header, data) != 0:
        return
    sets = [number & _RIGHTS_KEPT for number in struct.unpack("6I", data.raw)[:2]]
    library.capset(header, struct.pack("6I", *sets, 0, 0, 0, 0))


def _prctl(option: int, *arguments: int | bytes) -> int:
    given = [ctypes.c_char_p(each) if isinstance(each, bytes) else ctypes.c_ulong(each) for each in arguments]
    while len(given) < 4:
        given.append(ctypes.c_ulong(0))
    return int(ctypes.CDLL(None, use_errno=True).prctl(ctypes.c_int(option), *given))


def _program(parent: int, group: int) -> bytes:
    """The filter of system calls (classic BPF); b"" for a processor whose numbers are not known here."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return b""
    architecture, column = known
    steps: list[_Step] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]

    def rule(calls: Iterable[tuple[int, int]], inner: list[_Step]) -> None:
        for call in calls:
            steps.append((_EQUAL, 0, len(inner), call[column]))
            steps.extend(inner)

    def refused(number: int) -> list[_Step]:
        return [(_RETURN, 0, 0, _ERRNO | number)]

    unreachable, denied = errno.ENETUNREACH, errno.EPERM
    rule((_Call.CONNECT, _Call.SENDMSG, _Call.SENDMMSG), refused(unreachable))
    rule([_Call.SENDTO], _unless(unreachable, [(4, _EQUAL, 0, False), (3, _ANY_OF, _FASTOPEN, True)], high=4))
    # It does as if: who starts a program in a session of its own goes on, and all stay in one group.
    rule((_Call.SETSID, _Call.SETPGID), refused(0))
    rule((_Call.IO_URING, _Call.SHMGET, _Call.SEMGET, _Call.MSGGET, _Call.MQ_OPEN), refused(errno.ENOSYS))
    rule((_Call.ADD_KEY, _Call.REQUEST_KEY, _Call.KEYCTL), refused(errno.ENOSYS))
    rule((_Call.PTRACE, _Call.READV, _Call.WRITEV, _Call.PIDFD_GETFD, _Call.KCMP, _Call.PERF), refused(denied))
    rule((_Call.BPF, _Call.USERFAULT, _Call.UNSHARE, _Call.SETNS, _Call.MOUNT, _Call.TKILL), refused(denied))
    to_parent = [(0, _EQUAL, parent, True)]
    rule([_Call.KILL], _unless(denied, [*to_parent, *((0, _EQUAL, -each, True) for each in (1, parent, group))]))
    rule((_Call.TGKILL, _Call.SIGQUEUE, _Call.TGSIGQUEUE, _Call.PIDFD_OPEN, _Call.PRLIMIT), _unless(denied, to_parent))
    rule((_Call.AFFINITY, _Call.SCHEDULER, _Call.PARAM, _Call.ATTR), _unless(denied, to_parent))
    rule((_Call.MIGRATE, _Call.MOVE), _unless(denied, to_parent))
    rule([_Call.PRIORITY], _unless(denied, [(0, _EQUAL, 0, False), (1, _EQUAL, 0, False)]))  # of itself only
    rule([_Call.IOPRIO], _unless(denied, [(0, _EQUAL, 1, False), (1, _EQUAL, 0, False)]))
    rule([_Call.FCNTL], _unless(denied, [(1, _EQUAL, _F_SETOWN, True), (1, _EQUAL, _F_SETOWN_EX, True)]))
    rule([_Call.IOCTL], _unless(denied, [(1, _EQUAL, _FIOSETOWN, True), (1, _EQUAL, _SIOCSPGRP, True)]))
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", code, so, not_so, value & 0xFFFFFFFF) for code, so, not_so, value in steps)


def _unless(number: int, tests: list[tuple[int, int, int, bool]], high: int | None = None) -> list[_Step]:
    """Refuse if a test of an argument comes out as it says (index, operation, operand, outcome); else allow.

    Args:
        number: of the error.
        tests: the low half of each argument is looked at.
        high: an argument whose high half must be 0, too: it is an address.
    """
    steps: list[_Step] = []
    places = [(16 + 8 * index, operation, value, outcome) for index, operation, value, outcome in tests]
    places += [(20 + 8 * high, _EQUAL, 0, False)] if high is not None else []
    for place, operation, value, outcome in places:
        steps += [
            (_LOAD, 0, 0, place),
            (operation, 0, 1, value) if outcome else (operation, 1, 0, value),
            (_RETURN, 0, 0, _ERRNO | number),
        ]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]
