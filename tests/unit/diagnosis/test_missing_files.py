"""What an import error misses of the dags folder; and while that is on its way, nobody is at fault."""

from __future__ import annotations

from typing import Any

import pytest

from jetway.artifacts.keys import report_key
from jetway.aws.s3 import ObjectVersion, head
from jetway.diagnosis.missing_files import awaited, missing_files
from jetway.promotion.artifact_state import Defect
from tests.unit.explorer.promotion_world import DROP, FACTS, PromotionWorld, content
from tests.unit.explorer.scenes import HELPER

LATE = Defect("orders.py", "Traceback…\nModuleNotFoundError: No module named 'helper'\n")
WRONG = Defect("returns.py", "Traceback…\nKeyError: 'region'\n")


@pytest.mark.parametrize(
    ("error", "keys"),
    [
        ("ModuleNotFoundError: No module named 'c2.helper'", ("dags/c2/helper.py", "dags/c2/helper/")),
        (
            "ImportError: cannot import name 'LIMIT' from 'helper' (/usr/local/airflow/dags/helper.py)",
            ("dags/helper.py", "dags/helper/"),
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


def test_a_folder_is_a_package_without_its_init_file() -> None:
    """While `dags/helper/` is not there, Python misses `helper`, and not the module in it."""
    world = PromotionWorld()
    s3: Any = world.s3
    world.upload("dags/helper/limits.py", b"LIMIT = 1\n")
    assert awaited(s3, DROP, (LATE,))
    assert world.rest()
    assert not awaited(s3, DROP, (LATE,)), "it is judged"


def test_one_that_was_passed_over_for_a_refused_one_comes_next() -> None:
    world = PromotionWorld()
    s3: Any = world.s3
    world.upload(HELPER, b"LIMIT = 1\n")
    world.upload(HELPER, content("refused"))
    first, second = world.queue
    world.gate()._settle(_newest(world), FACTS, set())  # and whoever does it is not at the next one yet
    assert awaited(s3, DROP, (LATE,)), "all that is newer was refused"
    world.queue.remove(second)
    assert world.deliver(first)
    assert not awaited(s3, DROP, (LATE,)), "it is live"


def test_what_was_judged_long_ago_is_not_on_its_way() -> None:
    """Its report has expired, and what came over it was refused."""
    world = PromotionWorld()
    s3: Any = world.s3
    version = world.prepare(HELPER, b"LIMIT = 1\n")
    del world.s3.buckets[DROP].keys[report_key(HELPER, version)]
    world.prepare(HELPER, content("refused"))
    assert not awaited(s3, DROP, (LATE,))


def _newest(world: PromotionWorld) -> ObjectVersion:
    s3: Any = world.s3
    found = head(s3, DROP, HELPER)
    assert found is not None
    return found
