"""Whose fault an import error is: the files that its traceback goes through, whatever its words say."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.live.blame import files_of
from tests.unit.live.world import World

THEIRS = "/usr/local/airflow/dags/team_b/orders.py"
OLD = "/usr/local/airflow/dags/old.py"
FRAME = f'  File "{THEIRS}", line 1, in <module>\n    rate = 1 / 0\n'
RAISED = f'Traceback (most recent call last):\n  File "{OLD}", line 3, in <module>\n    raise Exception(text)\n'

IMPORTS = (
    f'Traceback (most recent call last):\n  File "{OLD}", line 3, in <module>\n    from team_b.orders import LIMIT\n'
)
AGAIN = "During handling of the above exception, another exception occurred:"
CIRCLE = "partially initialized module 'team_b.orders' (most likely due to a circular import)"

WORDS = [
    f'{RAISED}Exception: … "{THEIRS}"\n',
    f"{RAISED}Exception: ({THEIRS})\n",
    f"{RAISED}Exception: something\n{FRAME}",
    f"{RAISED}Exception: x\n\n{AGAIN}\n\nTraceback (most recent call last):\n{FRAME}ZeroDivisionError\n",
    f"{RAISED}ImportError: cannot import name 'x' from 'team_b.orders' ({THEIRS})\n",
    f'{RAISED}FileNotFoundError: [Errno 2] No such file or directory: "{THEIRS}"\n',
    f"{FRAME}ZeroDivisionError: division by zero\n",
    f'DagBag import timeout of "{THEIRS}" after 30 s\n',
]
FRAMES = [
    f"{RAISED}{FRAME}ZeroDivisionError: division by zero\n",
    f"Traceback (most recent call last):\n{FRAME}    ~~^~~\nZeroDivisionError\n",
    f'{RAISED}  File "{THEIRS}", line 3\n    def f(:\n          ^\nSyntaxError: invalid syntax\n',
    f'{RAISED}  File "{THEIRS}", line 3\n    x\nIndentationError: unexpected indent\n',
    f"{IMPORTS}ImportError: cannot import name 'LIMIT' from 'team_b.orders' ({THEIRS})\n",
    f"{IMPORTS}    ^^^^^\nImportError: cannot import name 'LIMIT' from {CIRCLE} ({THEIRS})\n",
]


@pytest.mark.parametrize("error", WORDS)
def test_words_lead_to_nobody(error: str) -> None:
    assert THEIRS not in files_of(error)


@pytest.mark.parametrize("error", FRAMES)
def test_frames_lead_to_their_files(error: str) -> None:
    assert THEIRS in files_of(error)


@pytest.mark.parametrize("error", WORDS)
def test_a_version_that_only_words_name_stays(world: World, error: str) -> None:
    world.verified("dags/old.py")
    world.verified("dags/team_b/orders.py")
    world.drop("dags/team_b/orders.py", b"y = 2\n")
    world.airflow.errors = {OLD: error}
    assert [found.outcome for found in world.minutes(14)] == ["good"]
    assert world.live("dags/team_b/orders.py") == b"y = 2\n"


@pytest.mark.parametrize("error", FRAMES)
def test_a_version_that_a_frame_names_goes_back(world: World, error: str) -> None:
    world.verified("dags/old.py")
    world.verified("dags/team_b/orders.py")
    world.drop("dags/team_b/orders.py", b"y = 2\n")
    world.airflow.errors = {OLD: error}
    assert [found.outcome for found in world.minutes(14)][:1] == ["rolled-back"]


def test_it_reads_what_this_python_writes(tmp_path: Path) -> None:
    helper, dag = tmp_path / "helper.py", tmp_path / "dag.py"
    cases = {
        "def f():\n    raise ValueError('x')\n": True,
        "def f(:\n": True,
        "g = 1\n": True,
        "def f():\n    return 1\n": False,
    }
    dag.write_text("from helper import f\nf()\nraise Exception('words: \"' + HELPER + '\"')\n")
    for text, leads in cases.items():
        helper.write_text(text)
        told = _error_of(dag, helper)
        assert (str(helper) in files_of(told)) == leads, told
        assert str(dag) in files_of(told)


def _error_of(dag: Path, helper: Path) -> str:
    """What Airflow keeps of the error of a file: the last frames of its traceback."""
    module = ModuleType("helper")
    module.__file__ = str(helper)
    sys.modules.pop("helper", None)
    sys.path.insert(0, str(helper.parent))
    try:
        exec(compile(dag.read_text(), dag, "exec"), {"__name__": "dag", "HELPER": str(helper)})
    except SyntaxError:
        return traceback.format_exc()
    except Exception:  # noqa: BLE001 - whatever the file raises, as Airflow does
        return traceback.format_exc(limit=-2)
    finally:
        sys.path.remove(str(helper.parent))
        sys.modules.pop("helper", None)
        for kept in helper.parent.glob("__pycache__/*"):
            kept.unlink()
    raise AssertionError("it was to fail")


@given(st.text())
def test_no_text_is_trouble(text: str) -> None:
    files_of(text)
    files_of(f"Traceback\n{text}")
