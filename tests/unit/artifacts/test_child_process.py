"""Work in a child: what it returns and raises comes back; what takes too much is ended, and told."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pytest

from jetway.artifacts.child_process import BeyondBoundsError, Bounds, apart
from jetway.errors import TransientError

SMALL = Bounds(memory=64 * 1024**2, cpu_seconds=1, seconds=120.0)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the bound of memory is Linux's")


def test_what_it_returns_comes_back() -> None:
    assert apart(lambda _opener: {"a": (1, None)}, SMALL) == {"a": (1, None)}


def test_it_is_another_process_whose_changes_stay_its_own() -> None:
    seen: list[int] = []

    def work(_opener: Any) -> int:
        seen.append(1)
        return os.getpid()

    assert apart(work, SMALL) != os.getpid()
    assert not seen


def test_what_it_raises_is_raised() -> None:
    def work(_opener: Any) -> NoReturn:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        apart(work, SMALL)


def test_what_cannot_be_taken_across_is_told_in_words() -> None:
    def work(_opener: Any) -> NoReturn:
        class OwnError(Exception):
            pass

        raise OwnError("words")

    with pytest.raises(RuntimeError, match="OwnError: words"):
        apart(work, SMALL)


@LINUX
def test_memory_is_bounded() -> None:
    with pytest.raises(BeyondBoundsError, match="too much memory"):
        apart(lambda _opener: len(bytearray(200 * 1024**2)), SMALL)
    assert apart(lambda _opener: len(bytearray(20 * 1024**2)), SMALL) == 20 * 1024**2


def test_processor_time_is_bounded() -> None:
    def work(_opener: Any) -> NoReturn:
        while True:
            pass

    with pytest.raises(BeyondBoundsError, match="more than 1 s of a processor"):
        apart(work, SMALL)


def test_time_is_bounded_and_who_was_held_up_is_tried_again() -> None:
    bounds = Bounds(cpu_seconds=60, seconds=0.3)
    with pytest.raises(TransientError, match="held up"):
        apart(lambda _opener: time.sleep(60), bounds)


def test_a_crash_is_told() -> None:
    with pytest.raises(BeyondBoundsError, match="ends the process"):
        apart(lambda _opener: os.kill(os.getpid(), signal.SIGSEGV), SMALL)
    with pytest.raises(BeyondBoundsError, match="ends the process"):
        apart(lambda _opener: os._exit(0), SMALL)


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    def work(_opener: Any) -> NoReturn:
        program = subprocess.Popen(["sleep", "60"])
        (tmp_path / "pid").write_text(str(program.pid))
        while True:
            pass

    with pytest.raises(BeyondBoundsError):
        apart(work, SMALL)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # nobody waits for it any more
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{pid}").exists()


class Counted(io.BytesIO):
    """A stream that counts in which process it is read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads: list[int] = []

    def read(self, size: int | None = -1) -> bytes:
        self.reads.append(os.getpid())
        return super().read(size)


def test_a_stream_is_read_in_the_parent_range_by_range() -> None:
    content = bytes(range(256)) * 100_000
    stream = Counted(content)

    def work(opener: Any) -> tuple[bytes, bytes, int]:
        with opener() as found:
            found.seek(-10, io.SEEK_END)
            end = found.read()
            found.seek(0)
            return found.read(5), end, len(found.read())

    assert apart(work, SMALL, opener=lambda: stream, size=len(content)) == (
        content[:5],
        content[-10:],
        len(content) - 5,
    )
    assert set(stream.reads) == {os.getpid()}
    assert stream.closed


class Gone(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionResetError("S3 is in trouble")


def test_what_reading_the_stream_raises_is_raised_and_not_the_files_fault() -> None:
    def work(opener: Any) -> bytes:
        found: BinaryIO = opener()
        return found.read(1)

    with pytest.raises(ConnectionResetError, match="S3 is in trouble"):
        apart(work, SMALL, opener=Gone, size=10)


def test_time_that_reading_takes_does_not_count() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.5)
            return super().read(size)

    bounds = Bounds(cpu_seconds=60, seconds=0.4)

    def work(opener: Any) -> bytes:
        found: BinaryIO = opener()
        return found.read(1)

    assert apart(work, bounds, opener=lambda: Slow(b"ab"), size=2) == b"a"


def test_threads_of_the_parent_do_not_hold_it_up() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert [apart(lambda _opener: 1, SMALL) for _ in range(20)] == [1] * 20
    finally:
        over.set()
        thread.join()


def test_no_descriptor_and_no_process_is_left() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs /proc")

    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), len(children.read_text().split())

    before = left()
    for _ in range(5):
        apart(lambda _opener: 1, SMALL)
        with pytest.raises(BeyondBoundsError):
            apart(lambda _opener: os._exit(1), SMALL)
    assert left() == before
