"""Import errors that come and go are nobody's fault: no update and no promotion of somebody else is undone for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jetway.airflow import ImportProblem
from jetway.diagnosis.intermittent import KEPT, is_open, is_remembered, lasting, may_pass, owner_of, remembered, sighted
from tests.unit.artifacts.zips import zip_of
from tests.unit.promotion.world import GOOD, World
from tests.unit.updates.test_apply import MORE, applied

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZIPPED = "/usr/local/airflow/dags/z/sales.zip/sales.py"
NOT_A_FOLDER = (
    "Traceback (most recent call last):\n"
    f'  File "{ZIPPED}", line 7, in <module>\n    with open(path) as f:\n'
    "NotADirectoryError: [Errno 20] Not a directory: '/usr/local/airflow/dags/z/sales.zip/sql/sales.sql'\n"
)
REFUSED = (
    "Traceback (most recent call last):\n"
    '  File "/usr/local/airflow/dags/reads.py", line 3, in <module>\n    rates = requests.get(URL)\n'
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='rates-{}.example'): Max retries exceeded\n"
)
TIMED_OUT = (
    "Traceback (most recent call last):\n"
    '  File "/usr/local/airflow/dags/slow.py", line {}, in {}\n    sleep(1)\n'
    "airflow.sdk.exceptions.AirflowTaskTimeout: DagBag import timeout for slow.py after 30.0s., PID: {}\n"
)
KEY_ERROR = "Traceback (most recent call last):\n  File \"/usr/local/airflow/dags/a.py\", line 3, in f\nKeyError: 'x'\n"


def test_of_a_module_in_a_zip_the_owner_is_the_zip() -> None:
    assert owner_of("z/sales.zip/sales.py") == "z/sales.zip"
    assert owner_of("z/sales.zip") == "z/sales.zip"
    assert owner_of("z/sales.py") == "z/sales.py"


@pytest.mark.parametrize(
    ("path", "error", "passes"),
    [
        (ZIPPED, NOT_A_FOLDER, True),
        (ZIPPED, "Traceback (most recent call last):\nModuleNotFoundError: No module named 'a'\n", True),
        ("a.py", "Traceback (most recent call last):\nModuleNotFoundError: No module named 'a'\n", False),
        ("a.py", "Traceback…\nAttributeError: module 'a' has no attribute 'b'\n", False),
        ("a.py", KEY_ERROR, True),
        ("reads.py", REFUSED, True),
        ("a.py", "words without a type", True),
    ],
)
def test_what_cannot_change_by_itself_does_not_pass(path: str, error: str, passes: bool) -> None:
    assert may_pass(ImportProblem(path, error)) is passes


def test_an_error_counts_when_it_has_stayed_and_never_when_it_was_gone() -> None:
    error, other = ImportProblem("reads.py", REFUSED.format(1)), ImportProblem("reads.py", REFUSED.format(2))
    counts: dict[str, int] = {}
    for found in ([error], [other]):  # the words name a moment, and are of the same error
        counts = sighted(counts, found)
        assert lasting(found, counts) == []
    counts = sighted(counts, [error])
    assert lasting([error], counts) == [error]
    for found in ([], [error], [error], [error], [error]):
        counts = sighted(counts, found)
        assert lasting(found, counts) == []


def test_the_next_looks_tell_more_of_an_error_that_has_not_stayed_yet_and_was_never_gone() -> None:
    errors, counts, is_told = [ImportProblem("reads.py", REFUSED.format(1))], dict[str, int](), list[bool]()
    assert not is_open(errors, counts), "what no look has counted is waited for by none"
    for found in (errors, errors, errors, [], errors):
        counts = sighted(counts, found)
        is_told.append(is_open(found, counts))
    assert is_told == [True, True, False, False, False]
    never_passes = [ImportProblem("a.py", "Traceback…\nSyntaxError: invalid syntax\n")]
    assert not is_open(never_passes, sighted({}, never_passes))


def test_a_time_limit_is_the_same_wherever_it_strikes() -> None:
    first, second = (ImportProblem("slow.py", TIMED_OUT.format(*where)) for where in ((3, "f", 12), (8, "g", 13)))
    assert is_remembered(second, remembered({}, [first], NOW))


def test_what_is_of_the_world_outside_is_known_for_a_day() -> None:
    refused, zipped = ImportProblem("reads.py", REFUSED.format(1)), ImportProblem(ZIPPED, NOT_A_FOLDER)
    key_error = ImportProblem("a.py", KEY_ERROR)
    known = remembered({"a.py": "digest"}, [refused, zipped, key_error], NOW)
    assert [is_remembered(error, known) for error in (refused, zipped, key_error)] == [True, True, False]
    later = remembered(known, [], NOW + KEPT - timedelta(seconds=1))
    assert later == known
    assert remembered(later, [], NOW + KEPT) == {}


def flapping(world: World, path: str, error: str, minutes: int) -> list[str]:
    """Let both schedules fire, while an error is there every second time."""
    found: list[str] = []
    for minute in range(minutes):
        world.airflow.errors = {} if minute % 2 else {path: error}
        found += world.settle_update(1)
    return found


@pytest.mark.parametrize(("path", "error"), [(ZIPPED, NOT_A_FOLDER), ("reads.py", REFUSED)])
def test_no_update_is_undone_for_an_error_that_comes_and_goes(world: World, path: str, error: str) -> None:
    applied(world)
    world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    assert flapping(world, path, error, 20) == ["applied", "good"]
    assert world.standing("requirements.txt").stage == "good"


@pytest.mark.parametrize(("path", "error"), [(ZIPPED, NOT_A_FOLDER), ("reads.py", REFUSED), ("a.py", KEY_ERROR)])
def test_one_that_stays_undoes_it(world: World, path: str, error: str) -> None:
    applied(world)
    world.drop("requirements.txt", MORE)
    world.apply()
    world.mwaa.end()
    world.airflow.errors = {path: error}
    assert world.settle_update(8)[:3] == ["applied", "rolled-back", "begun"]


def test_a_fresh_zip_answers_for_the_errors_of_its_modules(world: World) -> None:
    applied(world)
    world.drop("requirements.txt", MORE)
    world.apply()
    world.drop("dags/z/sales.zip", zip_of({"sales.py": GOOD}))
    world.mwaa.end()
    world.airflow.errors = {ZIPPED: NOT_A_FOLDER}
    world.settle_update()
    assert world.standing("requirements.txt").stage == "good"
    assert world.standing("dags/z/sales.zip").stage == "rolled-back"


def test_no_promotion_is_undone_for_an_error_that_has_come_and_gone_before(world: World) -> None:
    through = REFUSED.format(1).replace("reads.py", "helper.py")
    world.verified("dags/helper.py", b"def rates(): ...\n")
    world.drop("dags/other.py")
    world.airflow.errors = {"reads.py": through}
    found = world.look(after=timedelta(minutes=2))
    world.airflow.errors = {}
    world.drop("dags/third.py", b"from airflow.sdk import DAG\nwith DAG('third'):\n    pass\n")
    assert [one.outcome for one in (*found, *world.minutes(14))] == ["good", "good"]
    assert "reads.py" not in world.table.known_errors(), "a look has found it gone"
    world.drop("dags/helper.py", b"def rates(): return 1\n")
    world.airflow.errors = {"reads.py": through}
    assert [found.outcome for found in world.minutes(14)] == ["good"]
