"""What is refused before anything is sent. The patterns are Airflow's own, 2.7 to 3.3."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow import DagRunRequest
from jetway.airflow.commands import dag_state, list_runs, task_states, to_line, trigger
from jetway.airflow.names import check_dag_id, check_new_run_id, check_request, check_run_id, encode_conf
from jetway.errors import InvalidConfError, InvalidRequestError

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
CONF = st.dictionaries(TEXTS, JSON, max_size=8)
RUN_IDS = st.from_regex(r"[A-Za-z0-9_.~:+-]{1,250}", fullmatch=True)


@pytest.mark.parametrize("dag_id", ["a", "orders.daily-2", "_x", "-x", "übung", "注文", "a..b", "x" * 250])
def test_dag_ids_of_airflow(dag_id: str) -> None:
    check_dag_id(dag_id)


@pytest.mark.parametrize(
    "dag_id", ["", ".", "..", "a b", "a/b", "a'b", 'a"b', "a\n", "a;b", "a+b", "a%b", "x" * 251, "a\x00", "é?"]
)
def test_no_dag_ids(dag_id: str) -> None:
    with pytest.raises(InvalidRequestError, match="dag_id"):
        check_dag_id(dag_id)


@pytest.mark.parametrize(
    "run_id", ["r", "jetway__s3.9f2c", "manual__2026-11-22T05:16:26.103666+00:00", "a~b:c+d-e", "-r", "x" * 250]
)
def test_run_ids_of_airflow(run_id: str) -> None:
    check_run_id(run_id)


@pytest.mark.parametrize(
    "run_id",
    [
        *("", ".", "..", "a..b", "a b", "a/b", "a\n", "ü", "a'b", "a%20b", "x" * 251),
    ],
)
def test_no_run_ids(run_id: str) -> None:
    for check in (check_run_id, check_new_run_id):
        with pytest.raises(InvalidRequestError, match=r"(?i)run id"):
            check(run_id)


@pytest.mark.parametrize(
    "run_id",
    [
        *("scheduled__2024-01-01", "backfill__x", "asset_triggered__x", "dataset_triggered__x"),
        *("operator_triggered__x", "asset_materialization__x"),
    ],
)
def test_runs_of_airflow_itself_are_looked_up_and_never_triggered(run_id: str) -> None:
    check_run_id(run_id)
    with pytest.raises(InvalidRequestError, match="reserves the prefix"):
        check_new_run_id(run_id)


@given(st.text())
def test_run_id_is_refused_or_matches_airflows_pattern(run_id: str) -> None:
    try:
        check_run_id(run_id)
    except InvalidRequestError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]{1,250}", run_id)


@given(st.text())
def test_dag_id_is_refused_or_matches_airflows_pattern(dag_id: str) -> None:
    try:
        check_dag_id(dag_id)
    except InvalidRequestError:
        return
    assert re.fullmatch(r"[\w.-]{1,250}", dag_id)


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(InvalidRequestError):
        check_dag_id(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError):
        check_run_id(None)  # type: ignore[arg-type]


@given(CONF)
def test_conf_is_ascii_json_of_one_line(conf: Mapping[str, Any]) -> None:
    text = encode_conf(conf)

    assert json.loads(text) == conf
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "x\\u00000", "😀", "\x01\x7f", 'it\'s "quoted"\n\t\r'])
def test_conf_may_hold_any_other_text(text: str) -> None:
    assert json.loads(encode_conf({"k": text, text: 1})) == {"k": text, text: 1}


def test_conf_may_have_64_kib() -> None:
    assert len(encode_conf({"k": "x" * (65536 - 8)})) == 65536


@pytest.mark.parametrize(
    "conf",
    [
        *([1], "text", None, 7),
        *({"n": math.nan}, {"n": math.inf}, {"d": datetime(2024, 5, 1, tzinfo=UTC)}, {(1, 2): 3}),
        *({"k": "x" * 65529}, {"k": "ü" * 11_000}),
        *({"k": "\0"}, {"\0": 1}, {"k": [{"l": "\\\0"}]}, {"k": "\ud800"}, {"\udfff": 1}),
    ],
    ids=lambda conf: repr(conf)[:20],
)
def test_no_conf(conf: Any) -> None:
    with pytest.raises(InvalidConfError, match="conf"):
        encode_conf(conf)


def test_conf_that_contains_itself_or_is_too_deep() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"d": deep}

    for conf in (circle, deep):
        with pytest.raises(InvalidConfError):
            encode_conf(conf)


def test_refused_conf_is_not_repeated() -> None:
    with pytest.raises(InvalidConfError) as caught:
        encode_conf({"password": {"secret-1", "secret-2"}})

    assert "secret" not in str(caught.value)


def test_date_without_zone_is_refused() -> None:
    naive = DagRunRequest("d", "r", logical_date=datetime(2024, 5, 1))  # noqa: DTZ001 - that is the case

    with pytest.raises(InvalidRequestError, match="time zone"):
        check_request(naive)


@given(conf=CONF, run_id=RUN_IDS, dag_id=st.from_regex(r"[\w.-]{1,60}", fullmatch=True))
def test_command_line_is_taken_apart_into_the_same_words(conf: Mapping[str, Any], run_id: str, dag_id: str) -> None:
    request = DagRunRequest(dag_id, run_id, conf, logical_date=datetime(2024, 5, 1, tzinfo=UTC))
    argv = trigger((3, 3, 1), request, encode_conf(conf))

    line = to_line(argv)

    assert shlex.split(line) == argv
    assert "\n" not in line
    assert json.loads(argv[argv.index("--conf") + 1]) == conf
    assert argv[-1] == dag_id


@given(st.lists(st.text()))
def test_any_words_survive_the_line(words: list[str]) -> None:
    assert shlex.split(to_line(words)) == words


def test_commands_of_airflow_2_and_3() -> None:
    request = DagRunRequest("d", "r", logical_date=datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=UTC))
    head = ["dags", "trigger", "--output", "json", "--run-id=r", "--conf", "{}"]
    date = "2024-05-01T12:00:00.000005+00:00"

    assert trigger((2, 4, 3), request, "{}") == [*head, f"--exec-date={date}", "d"]
    assert trigger((2, 11, 2), request, "{}") == [
        *head,
        "--no-replace-microseconds",
        f"--exec-date={date}",
        "d",
    ]
    assert trigger((3, 3, 1), request, "{}") == [
        *head,
        "--no-replace-microseconds",
        f"--logical-date={date}",
        "d",
    ]
    assert list_runs((2, 11, 2), "d") == ["dags", "list-runs", "--output", "json", "--dag-id=d"]
    assert list_runs((3, 0, 6), "d") == ["dags", "list-runs", "--output", "json", "d"]


def test_ids_that_begin_with_a_hyphen_are_no_options() -> None:
    assert trigger((3, 3, 1), DagRunRequest("-d", "-r"), "{}")[-2:] == ["--", "-d"]
    assert dag_state("d", "-r") == ["dags", "state", "--", "d", "-r"]
    assert task_states("-d", "r")[-3:] == ["--", "-d", "r"]
    assert list_runs((3, 3, 1), "-d")[-2:] == ["--", "-d"]
    assert list_runs((2, 11, 2), "-d")[-1] == "--dag-id=-d"
