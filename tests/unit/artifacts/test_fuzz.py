"""Random zips, requirement files and DAG files crash nothing (hypothesis; `make fuzz` goes on with atheris)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fuzzing_kinds import MANY

from . import fuzzing

LETTERS = st.sampled_from(list(" \n\\#-=<>~!;,.@[](){}'\"%$*&|^:/x1é\0\t"))
TEXT = """DAG dag with as def return for in if else try except import from airflow lambda yield async await class
match case f'{ }' range(3) dag_id= schedule= None True _ x.y() @task @dag --hash= -c -r -e git+ https:// == 1.0 .whl"""
WORDS = st.sampled_from(TEXT.split())
SOURCE = st.lists(st.one_of(LETTERS, WORDS, st.just(" "), st.just("\n    ")), max_size=60).map(
    lambda parts: "".join(parts).encode()
)
NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["a.py", "A.py", "a/b.py", "../x", "/x", "a", "a/", "x-1-py3-none-any.whl", "__MACOSX/._a.py"]),
)


@settings(max_examples=MANY, deadline=None)
@given(st.one_of(SOURCE, st.binary(max_size=200)))
@pytest.mark.parametrize("target", ["requirements", "dag_file", "plain_dag_file", "wheel"])
def test_sources_crash_nothing(target: str, content: bytes) -> None:
    fuzzing.TARGETS[target](content)


@settings(max_examples=MANY, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=6), st.integers(0, 2**32), st.booleans())
def test_zips_crash_nothing(members: list[tuple[str, bytes]], seed: int, damage: bool) -> None:
    content = bytearray(fuzzing.zip_of(members))
    dice = random.Random(seed)
    if damage:
        for _ in range(dice.randrange(4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        del content[len(content) - dice.choice([0, 0, 1, 10]) :]
    fuzzing.archive(bytes(content))
