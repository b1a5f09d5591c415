"""Whose fault an import error is: the files that its traceback goes through, whatever its words say."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.diagnosis.traceback_files import files_of
from jetway.promotion.artifact_state import ArtifactState
from jetway.verification.reinstatement import LONGEST
from tests.unit.promotion.world import World

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


ORDERS = "dags/team_b/orders.py"
PATIENT = 45  # minutes


def words(number: int) -> str:
    """The same error in other words each time; no digit tells them apart, for those do not count."""
    return FRAMES[0].replace("division", "abcdefghij"[number % 10] * (1 + number // 10))


def rolled_back_for_another_file(world: World) -> str:
    world.verified("dags/old.py")
    world.verified(ORDERS, b"y = 1\n")
    version = world.drop(ORDERS, b"y = 2\n")
    world.airflow.errors = {OLD: words(0)}
    (found,) = world.minutes_with_the_gate(3)
    assert (found.key, found.outcome, world.live(ORDERS)) == (ORDERS, "rolled-back", b"y = 1\n")
    return version


def test_a_roll_back_that_did_not_help_is_undone_once_and_that_file_does_not_do_it_again(world: World) -> None:
    version = rolled_back_for_another_file(world)
    seen = []
    for number in range(PATIENT):
        world.airflow.errors = {OLD: words(number)}
        seen += [found.outcome for found in world.minutes_with_the_gate(1)]
    assert seen == ["good"]
    assert world.live(ORDERS) == b"y = 2\n"
    standing = world.standing(ORDERS)
    assert (standing.stage, standing.rolled_back, standing.trial) == ("good", (), None)
    assert standing.acquitted == ((version, "old.py"),)
    assert world.report(ORDERS)["outcome"] == "promoted"
    assert ArtifactState.from_json(standing.as_json(), standing.revision) == standing


def test_a_roll_back_that_helped_stands(world: World) -> None:
    version = rolled_back_for_another_file(world)
    world.airflow.errors = {}
    assert world.minutes_with_the_gate(PATIENT) == []
    standing = world.standing(ORDERS)
    assert (world.live(ORDERS), standing.rolled_back, standing.trial) == (b"y = 1\n", (version,), None)
    assert standing.due_at is None, "and it is put away"


def test_an_error_of_its_own_never_acquits(world: World) -> None:
    world.verified(ORDERS, b"y = 1\n")
    version = world.drop(ORDERS, b"y = 2\n")
    world.airflow.errors = {"team_b/orders.py": FRAMES[1], OLD: FRAMES[0]}
    world.minutes_with_the_gate(PATIENT)
    standing = world.standing(ORDERS)
    assert (standing.rolled_back, standing.trial, standing.acquitted) == ((version,), None, ())


def test_what_was_never_verified_and_is_back_is_not_blamed_for_it_either(world: World) -> None:
    world.verified("dags/old.py")
    first = world.drop(ORDERS, b"y = 1\n")
    second = world.drop(ORDERS, b"y = 2\n")
    seen = []
    for number in range(2 * PATIENT):
        world.airflow.errors = {OLD: words(number)}
        seen += [(found.outcome, found.version) for found in world.minutes_with_the_gate(1)]
    assert [one for one in seen if one[0] == "rolled-back"] == [("rolled-back", second)]
    assert (world.live(ORDERS), world.standing(ORDERS).rolled_back) == (b"y = 2\n", ())
    assert first not in world.standing(ORDERS).rolled_back


def test_where_nobody_can_tell_the_roll_back_stands_after_a_day(world: World) -> None:
    version = rolled_back_for_another_file(world)
    world.judges = False
    world.minutes_with_the_gate(PATIENT)
    assert world.standing(ORDERS).trial is not None
    world.now += LONGEST
    world.minutes_with_the_gate(5)
    standing = world.standing(ORDERS)
    assert (standing.trial, standing.rolled_back, standing.due_at) == (None, (version,), None)


def test_a_newer_version_that_works_ends_the_trial(world: World) -> None:
    version = rolled_back_for_another_file(world)
    world.drop(ORDERS, b"y = 3\n")
    world.airflow.errors = {}
    world.minutes_with_the_gate(PATIENT)
    assert (world.live(ORDERS), world.standing(ORDERS).rolled_back) == (b"y = 3\n", (version,))
    assert world.standing(ORDERS).trial is None


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
