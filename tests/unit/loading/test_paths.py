"""Where MWAA's paths lead: the rules, and Python's own functions in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway_loader.paths import Mount, as_on_mwaa, mounts_of, not_led, placed, told_to_programs

ROOT = Path(__file__).parents[3]
MOUNTS = (Mount("/usr/local/airflow/dags", "/copy/of/dags", whole=True), Mount("/usr/local/airflow", "/tmp/home"))


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/usr/local/airflow/dags", "/copy/of/dags"),
        ("/usr/local/airflow/dags/", "/copy/of/dags/"),
        ("/usr/local/airflow/dags/a/b.yaml", "/copy/of/dags/a/b.yaml"),
        ("/usr/local//airflow/./dags/b.yaml", "/copy/of/dags/b.yaml"),
        ("/usr/local/airflow/plugins/../dags/b.yaml", "/copy/of/dags/b.yaml"),
        ("/usr/local/airflow/dags/../x", "/tmp/home/x"),
        ("/usr/local/airflow/dags.py", "/tmp/home/dags.py"),
        ("/usr/local/airflow", "/tmp/home"),
        ("dags/b.yaml", "/copy/of/dags/b.yaml"),
        ("/usr/local/airflow2/dags/b.yaml", None),
        ("/opt/airflow/dags/b.yaml", None),
        ("/usr/local/airflow/../b.yaml", None),
        ("/etc/passwd", None),
    ],
)
def test_a_path_leads_to_the_copy_however_it_is_written(path: str, there: str | None) -> None:
    place = placed(path, "/usr/local/airflow", MOUNTS)
    assert (place.there if place else None) == there


@given(st.text(st.characters(blacklist_characters="\0"), max_size=40))
def test_whatever_follows_nothing_outside_the_copies_is_reached(rest: str) -> None:
    place = placed(f"/usr/local/airflow/dags/{rest}", "/", MOUNTS)
    assert place is None or place.there.startswith(("/copy/of/dags", "/tmp/home"))
    assert place is None or ".." not in place.there.split("/")


def test_the_way_back_is_mwaas_path() -> None:
    assert as_on_mwaa("/copy/of/dags/a.py", MOUNTS) == "/usr/local/airflow/dags/a.py"
    assert as_on_mwaa("/tmp/home", MOUNTS) == "/usr/local/airflow"
    assert as_on_mwaa("/tmp/homes/a", MOUNTS) == "/tmp/homes/a"


def test_programs_are_given_the_copys_path() -> None:
    given = "cat /usr/local/airflow/dags/a.sql '/usr/local/airflow/dags' /usr/local/airflow/x /usr/local/airflow-2"
    told = "cat /copy/of/dags/a.sql '/copy/of/dags' /tmp/home/x /usr/local/airflow-2"
    assert told_to_programs(given, MOUNTS) == told


def test_a_machine_that_has_mwaas_folder_keeps_all_of_it_but_the_dags(tmp_path: Path) -> None:
    seen = [mount.seen for mount in mounts_of(tmp_path, tmp_path)]
    assert seen == ["/usr/local/airflow/dags", "/usr/local/airflow/plugins", "/usr/local/airflow"]
    assert mounts_of(tmp_path, tmp_path, whole=False)[0].whole is False


def test_without_a_load_no_error_is_of_a_file_that_c_has_not_found() -> None:
    assert not_led("RuntimeError: cannot open /usr/local/airflow/dags/a.sql") == []


# Without Airflow: in a process of its own, since the functions are replaced for good.
SCRIPT = """
import bz2, io, json, os, pickle, shutil, sqlite3, subprocess, sys
from pathlib import Path

class Holds:
    opens = open  # a class may hold one, and must not get a method of it

from jetway_loader import calls
from jetway_loader.paths import PATHS, mounts_of

copy, home = Path(sys.argv[1]), Path(sys.argv[2])
calls.install()
calls.install()
assert not os.path.exists("/usr/local/airflow/dags")
noted, line = [], [7]
PATHS.lead(mounts_of(copy, home), home / "written", lambda *said: noted.append(said), lambda: line[0])
D = "/usr/local/airflow/dags"

with bz2.open(D + "/packed.bz2", "wt") as file:
    file.write("packed")
assert bz2.open(D + "/packed.bz2", "rt").read() == "packed"
assert Holds().opens(D + "/conf/a.txt").read() == "a"
assert pickle.loads(pickle.dumps(open)) is open and pickle.loads(pickle.dumps(os.stat)) is os.stat
assert os.stat in os.supports_follow_symlinks and os.open in os.supports_dir_fd
assert io.FileIO(D + "/conf/a.txt").read() == b"a"
with open(D + "/conf/a.txt", "rb", buffering=0) as raw:
    assert isinstance(raw, io.FileIO) and issubclass(io.FileIO, io.RawIOBase)
assert subprocess.check_output(["cat", D + "/conf/a.txt"]) == b"a" and os.system(f"test -f {D}/conf/a.txt") == 0
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert os.listdir(os.fsencode(D + "/conf")) == [b"a.txt"]
assert os.stat(path=D + "/conf/a.txt").st_size == 1
folder = os.open(D + "/conf", os.O_RDONLY)
assert os.stat("a.txt", dir_fd=folder).st_size == 1 and os.listdir(folder) == ["a.txt"]
with os.scandir(D + "/conf") as entries:
    (entry,) = entries
assert (entry.path, os.fspath(entry), entry.is_file()) == (D + "/conf/a.txt", D + "/conf/a.txt", True)
shutil.copytree(D + "/conf", home / "copied")
os.rename(D + "/conf/a.txt", D + "/conf/b.txt")
assert open(D + "/conf/b.txt").read() == "a"
try:
    os.mkdir(D + "/conf")
except FileExistsError:
    pass
else:
    raise AssertionError("on MWAA the folder is there")
try:
    open(D + "/no/folder.txt", "w")
except FileNotFoundError:
    pass
else:
    raise AssertionError("on MWAA there is no such folder")
assert not os.path.exists("/usr/local/airflow/requirements/requirements.txt")
line[0] = None
assert os.path.exists(D + "/unseen.txt") is False
print(json.dumps({"noted": sorted({name for _, name, _ in noted}), "read": PATHS.read()}))
"""


def test_pythons_own_functions_are_led(tmp_path: Path) -> None:
    copy, home = tmp_path / "copy", tmp_path / "home"
    (copy / "conf").mkdir(parents=True)
    home.mkdir()
    (copy / "conf" / "a.txt").write_text("a")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(copy), str(home)],
        env={"PYTHONPATH": str(ROOT / "layers" / "loader"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert {"conf/", "conf/a.txt"} <= set(said["read"])
    assert "unseen.txt" not in said["read"]
    dags = "/usr/local/airflow/dags"
    assert said["noted"] == [
        *(f"{dags}/conf/a.txt", f"{dags}/conf/b.txt", f"{dags}/no/folder.txt", f"{dags}/packed.bz2"),
        "/usr/local/airflow/requirements/requirements.txt",
    ]
    assert sorted(path.name for path in copy.rglob("*")) == ["a.txt", "conf"]
