"""How many times its size a zip may unpack to: a hundred times, counted from 64 MiB on."""

from __future__ import annotations

import random

import pytest

from jetway.artifacts.findings import Candidate
from jetway.artifacts.plugins.plugins_zip import check_plugins

from .judging import AIRFLOW_3
from .zips import zip_of

MIB = 1024**2


def is_bomb(unpacked: int, incompressible: int) -> bool:
    """Judge a zip of zeros, and of bytes that stay as many."""
    content = zip_of({"zeros": bytes(unpacked - incompressible), "noise": random.Random(1).randbytes(incompressible)})
    judged = check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)
    return "zip-bomb" in {finding.rule for finding in judged.findings}


@pytest.mark.parametrize(("incompressible", "bomb"), [(500 * 1024, True), (800 * 1024, False)], ids=["122:1", "81:1"])
def test_the_bound_lies_at_a_hundred_times(incompressible: int, bomb: bool) -> None:
    assert is_bomb(70 * MIB, incompressible) is bomb


def test_small_zips_may_be_as_compressible_as_they_like() -> None:
    assert not is_bomb(60 * MIB, 0)
