"""What an import error misses of the dags folder; and while that is on its way, nobody is at fault."""

from __future__ import annotations

from typing import Any

import pytest

from jetway.live.missing import awaited, missing_files
from jetway.live.standing import Problem
from tests.unit.explorer.promotion_world import DROP, PromotionWorld, content
from tests.unit.explorer.scenes import HELPER

LATE = Problem("orders.py", "Traceback…\nModuleNotFoundError: No module named 'helper'\n")
WRONG = Problem("returns.py", "Traceback…\nKeyError: 'region'\n")


@pytest.mark.parametrize(
    ("error", "keys"),
    [
        ("ModuleNotFoundError: No module named 'c2.helper'", ("dags/c2/helper.py", "dags/c2/helper/__init__.py")),
        (
            "ImportError: cannot import name 'LIMIT' from 'helper' (/usr/local/airflow/dags/helper.py)",
            ("dags/helper.py", "dags/helper/__init__.py"),
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/airflow/dags/sql/q.sql'",
            ("dags/sql/q.sql",),
        ),
        ("KeyError: 'helper'", ()),
        ("ValueError: No module named 'helper'", ()),
        ("", ()),
    ],
)
def test_what_an_error_misses(error: str, keys: tuple[str, ...]) -> None:
    assert missing_files(f"Traceback (most recent call last):\n{error}\n") == keys


def test_a_file_is_on_its_way_until_it_has_a_report() -> None:
    world = PromotionWorld()
    s3: Any = world.s3
    assert not awaited(s3, DROP, (LATE,)), "nobody has dropped it"
    world.upload(HELPER, b"LIMIT = 1\n")
    assert awaited(s3, DROP, (LATE,))
    assert not awaited(s3, DROP, (LATE, WRONG)), "the other one is not for want of a file"
    assert not awaited(s3, DROP, ())
    assert world.rest()
    assert not awaited(s3, DROP, (LATE,)), "it is judged"
    world.upload(HELPER, content("refused"))
    assert awaited(s3, DROP, (LATE,)), "a newer version of it is on its way"
    assert world.rest()
    assert not awaited(s3, DROP, (LATE,)), "and was refused"


def test_a_name_that_begins_alike_is_another_file() -> None:
    world = PromotionWorld()
    world.upload("dags/helper.python", b"")
    assert not awaited(world.s3, DROP, (LATE,))  # type: ignore[arg-type]
