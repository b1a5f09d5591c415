"""ruff's rules for Airflow are advice for the environment's major version."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetway.loading.advice import advice, ruff_command

CONTENT = b"""from airflow import DAG
from airflow.operators.bash import BashOperator
with DAG("x", schedule_interval=None):
    BashOperator(task_id="a", bash_command="date")
"""


def test_removed_arguments_and_moved_modules_are_told_for_airflow_3() -> None:
    found = advice(CONTENT, 3, ruff_command())
    assert {(finding.message.partition(":")[0], finding.line) for finding in found} >= {("AIR301", 3), ("AIR312", 4)}
    assert {(finding.rule, finding.severity) for finding in found} == {("airflow-advice", "warning")}
    assert all("https://docs.astral.sh" in finding.remedy for finding in found)


def test_an_environment_of_airflow_2_gets_no_advice_for_an_upgrade() -> None:
    assert advice(CONTENT, 2, ruff_command()) == ()


@pytest.mark.parametrize("content", [b"def broken(:", b"\xff\xfe", b"\0", b""])
def test_what_ruff_cannot_read_is_no_advice(content: bytes) -> None:
    assert advice(content, 3, ruff_command()) == ()


def test_without_ruff_there_is_no_advice(tmp_path: Path) -> None:
    assert advice(CONTENT, 3, None) == ()
    assert advice(CONTENT, 3, str(tmp_path / "no-ruff")) == ()
