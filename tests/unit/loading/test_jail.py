"""A child of the loader can do nothing to its parent, and leaves nothing behind; what it tells is looked at."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.errors import LoadUnavailableError
from jetway.loading import options
from jetway.loading import responses as received
from jetway_loader import answers, fork_pool, jail, loading, sandbox, settings
from jetway_loader.model import Finding, Loaded

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filter is Linux's")
PARENT = os.getpid()


def told_by(*steps: Callable[[], Any]) -> list[str]:
    """What came of each in one child: its result, or the name of its error."""

    def work(_item: str, tell: fork_pool.Tell) -> None:
        for step in steps:
            try:
                said = step()
            except OSError as exc:
                said = type(exc).__name__ if exc.errno is None else os.strerror(exc.errno)
            tell({"doing": str(said)})

    (ended,) = fork_pool.each([""], work, seconds=20)
    assert ended.exit_code == 0, ended.last_words
    return [entry["doing"] for entry in ended.told]


def connects() -> None:
    with socket.create_connection(("127.0.0.1", 9), timeout=1):
        pass


def sends() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        return out.sendto(b"x", ("127.0.0.1", 9))


def talks() -> bytes:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"among ourselves")
        return other.recv(100)


@linux
def test_a_child_reaches_no_network_and_its_own_sockets_work() -> None:
    assert told_by(connects, sends, talks) == ["Network is unreachable"] * 2 + ["b'among ourselves'"]


@linux
def test_neither_does_a_program_that_it_starts() -> None:
    program = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError as exc: print(exc.errno)"
    run = (sys.executable, "-S", "-c", program)
    assert told_by(lambda: subprocess.run(run, capture_output=True, check=True).stdout) == ["b'101\\n'"]


@linux
def test_a_child_cannot_signal_look_into_or_limit_its_parent() -> None:
    import resource  # noqa: PLC0415 - not on Windows, where this test is skipped

    steps = (
        lambda: os.kill(PARENT, 0),
        lambda: os.kill(-1, 0),
        lambda: os.killpg(os.getpgid(PARENT), 0),
        lambda: signal.pidfd_send_signal(os.pidfd_open(PARENT), 0),
        lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (1, 1)),
        lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 5),
    )
    assert told_by(*steps) == ["Operation not permitted"] * 6
    places = [f"/proc/{PARENT}/{name}" for name in ("environ", "mem", "maps")]
    assert told_by(*(lambda place=place: Path(place).read_bytes() for place in places)) == ["Permission denied"] * 3
    nice = str(os.nice(0))
    assert told_by(lambda: os.kill(os.getpid(), 0), lambda: os.nice(0)) == ["None", nice], "of itself it may"


@linux
def test_a_child_has_no_descriptor_of_its_parents_and_what_it_writes_to_one_goes_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("before")
    with secret.open("r+b") as file:
        number = file.fileno()
        assert told_by(lambda: os.write(number, b"after!"), lambda: os.read(number, 100)) == ["6", "b''"]
    assert secret.read_text() == "before"


@linux
@pytest.mark.parametrize("filtered", [True, False])
def test_whatever_a_child_starts_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filtered: bool) -> None:
    """Also where the system refuses the filter, so that a session of one's own is one."""
    if not filtered:
        monkeypatch.setattr(jail, "_ARCHITECTURES", {})
    note = tmp_path / "note"

    def daemon() -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    note.write_text(str(time.monotonic_ns()))
                    time.sleep(0.01)
            os._exit(0)
        while not note.exists():
            time.sleep(0.01)

    before = jail.children()
    told_by(daemon)
    written = note.read_text()
    time.sleep(0.1)
    assert note.read_text() == written, "it still writes"
    assert jail.children() == before


@linux
def test_what_the_parent_had_started_before_goes_on() -> None:
    with subprocess.Popen(["sleep", "60"]) as own:
        told_by(lambda: None)
        assert own.poll() is None
        own.kill()


@linux
def test_a_child_that_writes_without_end_is_ended_in_time() -> None:
    def work(_item: str, tell: fork_pool.Tell) -> None:
        pipe = next(
            int(place.name)
            for place in Path("/proc/self/fd").iterdir()
            if place.is_symlink() and str(place.readlink()).startswith("pipe:")
        )
        while True:
            os.write(pipe, b"x" * 65536)

    started = time.monotonic()
    (ended,) = fork_pool.each([""], work, seconds=0.5)
    assert (ended.timed_out, ended.told) == (True, [])
    assert time.monotonic() - started < 5


# ---- the folder for temporary files


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that is the loader's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / sandbox.MARK).touch()
    return tmp_path


def test_all_of_it_goes_however_deep_and_whatever_its_permissions(place: Path) -> None:
    here = os.open(place, os.O_RDONLY)
    for _ in range(1500):  # longer than any path may be, and deeper than Python may call
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (place / "shut").mkdir()
    (place / "shut" / "in").mkdir()
    (place / "shut" / "in" / "file").touch()
    (place / "shut" / "in").chmod(0)
    (place / "shut").chmod(0)
    (place / "link").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    assert sandbox.wipe()
    assert [path.name for path in place.iterdir()] == [sandbox.MARK]
    assert Path("/etc").is_dir()


def test_nothing_is_removed_behind_a_link_that_took_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "home").symlink_to(tmp_path / "kept")
    assert not sandbox.empty(tmp_path / "home")
    assert (tmp_path / "kept" / "file").exists()


def test_a_machine_that_is_somebodys_is_not_the_loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not sandbox.is_ours()
    (tmp_path / sandbox.MARK).touch()
    assert sandbox.is_ours()


def test_there_is_no_room_for_more_than_the_disk_has(place: Path) -> None:
    there = os.statvfs(place)
    assert sandbox.has_room(0, 0)
    assert not sandbox.has_room(there.f_bavail * there.f_frsize, 0)
    if there.f_files:
        assert not sandbox.has_room(0, there.f_favail)


def test_a_file_that_is_written_anew_with_its_old_times_is_another_state(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one")
    told, before = file.stat(), sandbox.state(tmp_path)
    assert sandbox.state(tmp_path) == before
    time.sleep(0.02)
    file.write_text("two")
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert sandbox.state(tmp_path) != before


def test_the_process_that_judges_imports_nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own modules try to import packages that are not there, and the dags folder is on its path."""
    (tmp_path / "no_such_package_of_airflows.py").write_text("raise SystemExit('a user has run here')")
    monkeypatch.setenv("AIRFLOW_HOME", "/nowhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    loading._import_nothing_from(tmp_path)
    with pytest.raises(ImportError):
        importlib.import_module("no_such_package_of_airflows")


# ---- what is told

DAG = {"dag_id": "a", "line": 1, "schedule": None, "tags": ["x"], "tasks": 1, "certain": True}
FINDING = {"rule": "r", "severity": "error", "message": "m", "line": None, "remedy": "d"}


@pytest.mark.parametrize(
    "entry",
    [
        {"dag": DAG},
        {"advice": FINDING},
        {"done": True, "seconds": 0.1, "cpu_seconds": 0.1, "busy": 0.1, "at": 3, "doing": "`x`"},
        {"error": "E: x", "where": "/a.py", "lines": {"cycle": 3}, "dag_line": None, "after": None, "not_led": False},
        {"unseen": ["Variable", "x", None], "plugin": ""},
        {"exit_line": 3, "unseen_led": None},
    ],
)
def test_what_the_loader_tells_is_believed(entry: dict[str, Any]) -> None:
    assert answers.sound([entry]) == [entry]


@pytest.mark.parametrize(
    "entry",
    [
        7,
        [],
        {},
        {"unheard": 1},
        {"dag": {**DAG, "dag_id": 5}},
        {"dag": {**DAG, "more": 5}},
        {"dag": {**DAG, "line": "](javascript:alert(1))"}},
        {"dag": {**DAG, "dag_id": "x" * 251}},
        {"advice": {**FINDING, "severity": "<b>"}},
        {"done": True},
        {"done": True, "seconds": math.nan, "cpu_seconds": 0.1},
        {"unseen": 7},
        {"error": 1},
        {"siblings": "x"},
        {"parsed": True},
        {"exit_line": -1},
    ],
)
def test_what_it_never_tells_is_dropped_and_told_of(entry: Any) -> None:
    assert answers.sound([entry, {"begun": True}]) == [{"begun": True}, {"forged": True}]


def test_what_is_long_is_cut_and_its_two_ends_stay() -> None:
    text = "Traceback\n" + "  line\n" * 100_000 + "ValueError: " + "x" * 1_000_000
    (entry,) = answers.sound([{"error": text}])
    assert len(entry["error"]) < 220_000
    assert entry["error"].startswith("Traceback\n")
    assert "\nValueError: xxx" in entry["error"]


def test_more_dags_than_anybody_reads_are_counted() -> None:
    told = answers.sound([{"dag": {**DAG, "dag_id": f"d{number}"}} for number in range(2_500)])
    assert (len(told), told[-1]) == (2_001, {"too_many": 2_500})


NAMES = st.sampled_from([*answers._KEYS, *DAG, *FINDING])
JSON: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.floats()
        | st.integers()
        | st.text()
        | st.lists(JSON, max_size=4)
        | st.dictionaries(NAMES, JSON, max_size=4)
    )
)


@given(st.lists(JSON))
def test_nothing_that_is_told_makes_the_judge_fail(told: list[Any]) -> None:
    json.dumps(answers.sound(told))


LOADED = json.loads(json.dumps(Loaded("a.py", "accepted", findings=(Finding("r", "error", "m", 1, "d"),)).as_dict()))


def test_an_answer_of_the_loader_is_one() -> None:
    assert received.checked("f", {"airflow": "3.3.1", "loaded": [LOADED]}, ["a.py"]) == ("3.3.1", [LOADED])


@given(
    st.one_of(JSON, st.sampled_from(list(LOADED)).flatmap(lambda name: JSON.map(lambda part: {**LOADED, name: part})))
)
def test_an_answer_is_what_the_loader_tells_or_there_is_none(loaded: Any) -> None:
    try:
        _, (found,) = received.checked("f", {"airflow": "3.3.1", "loaded": [loaded]}, ["a.py"])
    except LoadUnavailableError:
        return
    assert found["path"] == "a.py"
    assert all(isinstance(finding["message"], str) for finding in found["findings"])
    assert math.isfinite(found["seconds"])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"airflow": 3, "loaded": [LOADED]},
        {"airflow": "3.3.1", "loaded": []},
        {"airflow": "3.3.1", "loaded": [LOADED, LOADED]},
        {"airflow": "3.3.1", "loaded": [{**LOADED, "path": "team_b/orders.py"}]},
        {"airflow": "3.3.1", "loaded": [{**LOADED, "verdict": "fine"}]},
        {"airflow": "3.3.1", "loaded": [{**LOADED, "seconds": math.inf}]},
        {"airflow": "3.3.1", "loaded": [{**LOADED, "dags": [DAG] * 2_001}]},
        {"unavailable": "no Airflow"},
    ],
)
def test_another_answer_is_none(answer: dict[str, Any]) -> None:
    with pytest.raises(LoadUnavailableError):
        received.checked("f", answer, ["a.py"])


def test_both_sides_know_the_same_options_and_the_same_end_of_a_spent_sandbox() -> None:
    from jetway.loading import import_dag_client  # noqa: PLC0415 - private on purpose

    assert settings.HONOURED == options.HONOURED
    assert f"exit status {sandbox.SPENT}" == import_dag_client._SPENT
    assert received.MOST_DAGS == answers.MOST_DAGS
