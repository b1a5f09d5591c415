"""What the buckets say of a file that an update may have broken."""

from __future__ import annotations

from typing import Any

import pytest

from jetway.verification.update_verifier import Witness
from tests.unit.explorer.promotion_world import DROP, content
from tests.unit.explorer.update_world import UpdateWorld


@pytest.mark.parametrize(
    ("dropped", "is_there"),
    [("dags/acme.py", True), ("dags/acme/__init__.py", True), ("dags/acme_two/__init__.py", False), (None, False)],
)
def test_a_module_was_dropped_as_a_file_or_as_a_folder(dropped: str | None, *, is_there: bool) -> None:
    world = UpdateWorld()
    if dropped:
        world.upload(dropped, content("works"))
    s3: Any = world.s3
    assert Witness(s3, DROP).was_dropped("acme") is is_there
