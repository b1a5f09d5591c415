"""Answers that nobody has recorded: every shape ends in facts or in a typed error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetway.airflow import DagRun
from jetway.airflow.cli_errors import explain, param_refused
from jetway.airflow.cli_responses import (
    CliOutput,
    created_run,
    failure,
    json_rows,
    listed_run,
    printed_state,
    read_output,
    run_date,
)
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
)

ROW = {"dag_id": "d", "dag_run_id": "r", "state": "queued", "logical_date": "2024-05-01 00:00:00+00:00"}
RUN = DagRun("d", "r", "queued", logical_date="2024-05-01 00:00:00+00:00")
LOG = "[2026-11-22T05:23:30.807+0000] {__init__.py:43} INFO - [1] {a} run_id=r"
BYTES_OF_AN_ENVELOPE = st.builds(
    lambda out, err: json.dumps(
        {"stdout": base64.b64encode(out).decode(), "stderr": base64.b64encode(err).decode()}
    ).encode(),
    st.binary(),
    st.binary(),
)
WORDS = st.sampled_from(
    [
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in x',
        "ValueError: ",
        "sqlalchemy.exc.IntegrityError: (x) UNIQUE constraint failed: a, b",
        "airflow.exceptions.DagNotFound: ",
        "airflow dags trigger command error: unrecognized arguments: -x {secret}, see help above.",
        "Invalid input for param n: 1",
        "Failed validating 'minimum' in schema:",
        "    {'type': 'integer'}",
        "[{",
        "[]",
        '[{"dag_id": "d", "run_id": "r"}]',
        "queued, {",
        "None",
        "DAG: d does not exist in 'dag' table",
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=30), max_size=12).map("\n".join)


@pytest.mark.parametrize(
    "stdout",
    [
        json.dumps([ROW]),
        f"{LOG}\n{json.dumps([ROW])}\n",
        f"{LOG}\n{json.dumps([ROW])}\n{LOG}\n\n",
        f"{LOG}\n{json.dumps([ROW], indent=2)}\n{LOG}\n",
        f"{LOG}\r\n{json.dumps([ROW])}\r\n",
        f"[]\n{json.dumps([ROW])}",
        f"{json.dumps([ROW])}\n[1, 2]\n",
        f"{json.dumps([ROW])}\n[] is what is left\n",
    ],
)
def test_run_is_found_behind_and_before_log_lines(stdout: str) -> None:
    assert created_run(CliOutput(stdout, "", failed=False), "d", "r") == RUN


def test_run_in_the_answer_counts_more_than_status_and_stderr() -> None:
    stderr = "Traceback (most recent call last):\n  File\nValueError: of a plugin\n"

    assert created_run(CliOutput(json.dumps([ROW]), stderr, failed=True), "d", "r") == RUN


def test_run_in_a_log_line_is_no_proof() -> None:
    assert created_run(CliOutput(f"{LOG}\n[]\n", "", failed=False), "d", "r") is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("airflow.exceptions.DagNotFound: Dag id x not found", DagNotFoundError),
        ("airflow.exceptions.DagNotFound: ", DagNotFoundError),
        ("sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) timeout", EnvironmentUnavailableError),
        ("sqlalchemy.exc.TimeoutError: QueuePool limit of size 5", EnvironmentUnavailableError),
        ("sqlalchemy.exc.IntegrityError: (x) ForeignKeyViolation", EnvironmentUnavailableError),
        ("MemoryError", EnvironmentUnavailableError),
        ("sqlalchemy.exc.DataError: (psycopg2.errors.X) unsupported Unicode escape", InvalidConfError),
        ("ValueError: The run_id 'a' must not contain '..' to prevent path traversal", InvalidRequestError),
        ("ValueError: Logical date [x] should be >= start_date [y] from Dag's", InvalidRequestError),
        ("ValueError: Dag with dag_id: 'd' does not allow manual runs", CommandRejectedError),
        ("ModuleNotFoundError: No module named 'x'", CommandRejectedError),
        ("KeyError", CommandRejectedError),
    ],
)
def test_last_line_of_a_traceback_tells(line: str, error: type[JetwayError]) -> None:
    found = explain(f"a warning\nTraceback (most recent call last):\n  File\n    code\n{line}\n[SQL: secret]\n")

    assert type(found) is error
    assert "secret" not in str(found)


def test_known_error_counts_more_than_one_logged_after_it() -> None:
    trace = "Traceback (most recent call last):\n  File\n{}\n\n"
    text = trace.format("airflow.exceptions.DagNotFound: Dag id x not found") + trace.format("OSError: closing")

    assert isinstance(explain(text), DagNotFoundError)


def test_last_of_two_known_errors_counts() -> None:
    trace = "Traceback (most recent call last):\n  File\n{}\n\n"
    logged, died_of = "sqlalchemy.exc.OperationalError: gone", "airflow.exceptions.DagNotFound: Dag id x not found"

    assert isinstance(explain(trace.format(logged) + trace.format(died_of)), DagNotFoundError)


@pytest.mark.parametrize(("look", "stdout"), [(listed_run, "[]\n"), (printed_state, "None\n"), (run_date, "[]\n")])
def test_failed_look_up_is_no_proof_of_absence(look: Callable[..., object], stdout: str) -> None:
    died = "Traceback (most recent call last):\n  File\nsqlalchemy.exc.OperationalError: gone\n"
    read = CliOutput(stdout, died, failed=True)

    with pytest.raises(EnvironmentUnavailableError):
        look(read) if look is run_date else look(read, "d", "r")


def test_long_messages_are_cut() -> None:
    found = explain("Traceback (most recent call last):\n  File\nOSError: " + "x" * 10_000)

    assert len(str(found)) < 500


def test_refused_param_is_named_without_its_value() -> None:
    message = (
        "Invalid input for param amount: 'secret' is not of type 'integer'\n\n"
        "Failed validating 'type' in schema['anyOf'][0]:\n"
        "    {'type': 'integer',\n     'minimum': 3}\n\nOn instance:\n    'secret'"
    )

    found = param_refused(message)

    assert "'amount' fails 'type' of {'type': 'integer', 'minimum': 3}" in str(found)
    assert "secret" not in str(found)


def test_usage_error_shows_options_without_values() -> None:
    found = explain("airflow command error: unrecognized arguments: secret --x=secret -y, see help above.")

    assert "unrecognized arguments: --x -y" in str(found)
    assert "secret" not in str(found)


def test_failure_without_a_word() -> None:
    assert isinstance(failure(CliOutput("", "Killed", failed=True)), AnswerLostError)


@pytest.mark.parametrize(
    ("stdout", "state"),
    [
        ("queued\n", "queued"),
        ('log\nfailed, {"a": "x, y"}\n', "failed"),
        ("success\n" + LOG + "\n", "success"),
        ("None\n", None),
    ],
)
def test_printed_state(stdout: str, state: str | None) -> None:
    run = printed_state(CliOutput(stdout, "", failed=False), "d", "r")

    assert (run.state if run else None) == state


@pytest.mark.parametrize("stdout", ["", "done\n", "queued for later\n", "[]\n", "None of it\n"])
def test_no_state(stdout: str) -> None:
    with pytest.raises(AnswerLostError):
        printed_state(CliOutput(stdout, "", failed=False), "d", "r")


@given(status=st.integers(100, 599), body=st.binary() | BYTES_OF_AN_ENVELOPE)
@example(status=200, body=b"[" * 100_000)
@example(status=200, body=b"1" * 10_000)
def test_any_body_is_read_or_a_typed_error(status: int, body: bytes) -> None:
    try:
        read = read_output(status, body, "host")
    except JetwayError:
        return
    assert status not in {401, 403, 429, 503}
    assert read.failed == (status != 200)


@given(stdout=TEXTS, stderr=TEXTS, failed=st.booleans())
@example(stdout="[" * 200_000, stderr="", failed=False)
@example(stdout="[\n" * 200_000, stderr="", failed=False)
@example(stdout="[" + "1" * 10_000 + "]", stderr="", failed=False)
@example(stdout="[[1]]", stderr="", failed=False)
def test_any_output_ends_in_facts_or_a_typed_error(stdout: str, stderr: str, *, failed: bool) -> None:
    read = CliOutput(stdout, stderr, failed=failed)

    created = created_run(read, "d", "r")
    assert created is None or created.dag_run_id == "r"
    assert isinstance(failure(read), JetwayError)
    assert "secret" not in str(failure(read))
    for look in (listed_run, printed_state):
        try:
            run = look(read, "d", "r")
        except JetwayError:
            continue
        assert run is None or (run.dag_id, run.dag_run_id) == ("d", "r")
    with suppress(JetwayError):
        run_date(read)


@given(st.lists(st.dictionaries(st.text(), st.none() | st.text(), max_size=4), max_size=4), TEXTS)
def test_list_on_the_last_line_is_always_found(rows: list[dict[str, str | None]], logs: str) -> None:
    assert json_rows(f"{logs}\n{json.dumps(rows)}\n") == rows
