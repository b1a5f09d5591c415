"""How `jetway check --load` finds, starts and asks a kept process; a small program stands for the process itself."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetway_cli import check_kept
from jetway_cli.check_kept import KeptLoader, Said

# Answers each question with how it was called; what the question says to do, it does.
KEEPER = """#!{python}
import json, os, socket, sys
log = open({log!r}, "a")
print("started", file=log, flush=True)
listener = socket.socket(fileno=os.dup(0))
while True:
    connection, _ = listener.accept()
    question = json.loads(connection.makefile("rb").readline())
    word = question["arguments"][0]
    if word == "end":
        sys.exit(0)
    if word == "once" and not os.path.exists({log!r} + ".stale"):
        open({log!r} + ".stale", "w").close()
        connection.sendall(b'{{"stale": true}}')
        sys.exit(0)
    if word == "noise":
        connection.sendall(b"no JSON")
    elif word == "pid":
        answer = {{"status": 0, "stdout": str(os.getpid()), "stderr": json.dumps([sys.argv[1:], question])}}
        connection.sendall(json.dumps(answer).encode())
    else:
        connection.sendall(json.dumps({{"status": 1, "stdout": word, "stderr": ""}}).encode())
    connection.close()
    if word == "pid":
        log.flush()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def kept(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptLoader]:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    program = tmp_path / "python"
    program.write_text(KEEPER.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    one = KeptLoader(program, {"PATH": os.environ["PATH"]}, idle=5.0)
    yield one
    for path in (runtime / "jetway").glob("*"):
        if path.is_socket():
            connection = check_kept._connected(path)
            connection.sendall(b'{"arguments": ["end"]}\n')
            connection.recv(1)
            connection.close()


def started(log: Path) -> int:
    return log.read_text().count("started")


def test_it_is_started_once_and_asked_again(kept: KeptLoader, log: Path, tmp_path: Path) -> None:
    first = kept.ask(["pid", "--json"], seconds=20)
    second = kept.ask(["pid"], seconds=20)
    assert first is not None
    assert second is not None
    assert (first.status, first.stdout, started(log)) == (0, second.stdout, 1)
    folder = tmp_path / "run" / "jetway"
    assert folder.stat().st_mode & 0o777 == 0o700
    (path,) = (path for path in folder.iterdir() if path.is_socket())
    assert f'["-m", "jetway_loader.kept", "--socket", "{path}", "--idle", "5.0"]' in first.stderr
    assert '"arguments": ["pid", "--json"]' in first.stderr
    assert f'"folder": "{Path.cwd()}"' in first.stderr


def test_two_that_ask_at_once_start_one(kept: KeptLoader, log: Path) -> None:
    found: list[Said | None] = []
    threads = [threading.Thread(target=lambda: found.append(kept.ask(["pid"], seconds=20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({said.stdout for said in found if said is not None}) == 1
    assert (len(found), started(log)) == (4, 1)


def test_one_that_is_stale_is_replaced_at_once(kept: KeptLoader, log: Path) -> None:
    assert kept.ask(["once"], seconds=20) == Said(1, "once", "")
    assert started(log) == 2


def test_one_that_has_ended_is_replaced(kept: KeptLoader, log: Path) -> None:
    assert kept.ask(["pid"], seconds=20) is not None
    assert kept.ask(["end"], seconds=20) is None  # twice: the one that was started instead ends as well
    assert kept.ask(["hello"], seconds=20) == Said(1, "hello", "")
    assert started(log) == 3


def test_what_makes_no_sense_is_no_answer(kept: KeptLoader) -> None:
    assert kept.ask(["noise"], seconds=20) is None


def test_a_python_that_is_not_there_is_no_answer(kept: KeptLoader, tmp_path: Path) -> None:
    assert KeptLoader(tmp_path / "none", {}).ask(["pid"], seconds=20) is None
    assert [path.suffix for path in (tmp_path / "run" / "jetway").iterdir()] == [".lock"]


def test_where_a_sockets_path_would_be_too_long_there_is_no_answer(
    kept: KeptLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / ("long" * 25)
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert kept.ask(["pid"], seconds=20) is None
    assert list((runtime / "jetway").iterdir()) == []


def test_what_one_that_was_killed_has_left_is_taken_away_after_a_day(kept: KeptLoader, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "jetway"
    folder.mkdir(mode=0o700)
    name = kept._name()
    for old, age in ((f"{name}-old.code", 90000), (f"{name}-new.code", 10), ("another-old.code", 90000)):
        (folder / old).mkdir()
        os.utime(folder / old, (time.time() - age, time.time() - age))
    assert kept.ask(["hello"], seconds=20) is not None
    left = {path.name for path in folder.glob("*.code")}
    assert {f"{name}-new.code", "another-old.code"} < left
    assert f"{name}-old.code" not in left


@pytest.mark.parametrize("spoil", ["readable", "link", "file", "another's"])
def test_a_folder_that_is_not_this_users_alone_is_not_used(
    kept: KeptLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, log: Path
) -> None:
    folder = tmp_path / "run" / "jetway"
    if spoil == "file":
        folder.write_text("")
    elif spoil == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        if spoil == "readable":
            folder.chmod(0o750)
        else:
            user = os.getuid() + 1
            monkeypatch.setattr(os, "getuid", lambda: user)
    assert kept.ask(["pid"], seconds=20) is None
    assert not log.exists()


def test_without_a_runtime_folder_it_lies_in_the_temporary_one_by_the_users_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert check_kept._private_folder() == tmp_path / f"jetway-{os.getuid()}"


def test_its_name_carries_what_an_answer_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    names = [
        KeptLoader(python, {"LANG": "C", "PATH": "/a"})._name(),
        KeptLoader(python, {"LANG": "C", "PATH": "/b"})._name(),
    ]
    assert names[0] == names[1]  # PATH goes with each question
    others = {
        KeptLoader(python, {"LANG": "de_AT.UTF-8"})._name(),
        KeptLoader(tmp_path / "other", {"LANG": "C"})._name(),
    }
    monkeypatch.setattr(check_kept, "_code", lambda: ["model.py another"])
    others.add(KeptLoader(python, {"LANG": "C"})._name())
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    others.add(KeptLoader(python, {"LANG": "C"})._name())
    assert len(others - {names[0]}) == 4
    assert all(len(name) == 16 for name in others)
