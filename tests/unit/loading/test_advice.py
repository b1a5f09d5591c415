"""ruff's rules for Airflow are advice for an environment of Airflow 3, where it has no longer what a file uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetway.artifacts.findings import Finding
from jetway.loading.advice import NoAdviceError, advice, ruff_command

GONE = b"""from airflow import DAG
from airflow.datasets import Dataset
from airflow.operators.dummy import DummyOperator
from airflow.utils.dates import days_ago

with DAG("x", schedule_interval=None, start_date=days_ago(1)):
    DummyOperator(
        task_id="a",
        outlets=[Dataset("s3://bucket/key")],
    )
"""
# On 3.3.1 all of it imports, with a deprecation warning at most.
STILL_THERE = b"""from airflow.decorators import dag, task
from airflow.models import DAG
from airflow.models.baseoperator import chain
from airflow.notifications.basenotifier import BaseNotifier
from airflow.operators.bash import BashOperator
from airflow.operators.email import EmailOperator
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import PythonOperator

with DAG("x", schedule=None):
    chain(
        BashOperator(task_id="a", bash_command="date"),
        EmptyOperator(task_id="b"),
        PythonOperator(task_id="c", python_callable=BaseNotifier),
        EmailOperator(task_id="d"),
    )
"""


def advised(content: bytes) -> tuple[Finding, ...]:
    """What is said of one file. ruff is of the development environment, so that it is there."""
    command = ruff_command()
    assert command is not None
    (found,) = advice([content], command)
    return found


def test_what_airflow_3_no_longer_has_is_told_with_its_line_and_remedy() -> None:
    found = advised(GONE)
    assert [(finding.message, finding.line) for finding in found] == [
        ("AIR301: `schedule_interval` is removed in Airflow 3.0.", 6),
        ("AIR301: `airflow.utils.dates.days_ago` is removed in Airflow 3.0.", 6),
        ("AIR302: `airflow.operators.dummy.DummyOperator` is moved into `standard` provider in Airflow 3.0.", 7),
        ("AIR311: `airflow.datasets.Dataset` is removed in Airflow 3.0.", 9),
    ]
    assert {(finding.rule, finding.severity) for finding in found} == {("airflow-advice", "warning")}
    assert all("https://docs.astral.sh" in finding.remedy for finding in found)
    assert found[0].remedy.startswith("Use `schedule` instead. ")


def test_what_airflow_3_still_imports_is_not_told() -> None:
    assert advised(STILL_THERE) == ()


def test_many_files_are_asked_of_at_once_and_each_gets_its_own() -> None:
    command = ruff_command()
    assert command is not None
    contents = [GONE, b"\xff\xfe", STILL_THERE, b"def broken(:", GONE.replace(b"\n", b"\r\n")] * 3
    found = advice(contents, command)
    assert found[0]
    assert found == [found[0], (), (), (), found[0]] * 3
    assert advice([], command) == []


def test_a_file_that_could_be_told_much_of_is_told_the_first() -> None:
    content = b"from airflow.utils.dates import days_ago\n" + b"days_ago(1)\n" * 1000
    assert [finding.line for finding in advised(content)] == list(range(2, 22))


def test_what_its_author_passes_over_is_not_told() -> None:
    content = b"from airflow.utils.dates import days_ago\ndays_ago(1)  # noqa: AIR301\n"
    assert advised(content) == ()


@pytest.mark.parametrize("content", [b"def broken(:", b"\xff\xfe", b"\0", b""])
def test_what_ruff_cannot_read_is_no_advice(content: bytes) -> None:
    assert advised(content) == ()


def test_a_ruff_that_cannot_be_run_or_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoAdviceError, match="No such file"):
        advice([GONE], str(tmp_path / "no-ruff"))
    failing = tmp_path / "ruff"
    failing.write_text("#!/bin/sh\necho it failed >&2\nexit 2\n")
    failing.chmod(0o755)
    with pytest.raises(NoAdviceError, match="ruff ended with 2: it failed"):
        advice([GONE], str(failing))
