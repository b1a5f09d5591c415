"""MWAA's throttle: ten calls of InvokeRestApi a second for all who call, and whatever figure a test wants."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.emulator.conftest import NAME, Clock, FakeAirflow, Launch, Running
from tools.emulator.gateway.throttle import Throttle


def invoke(gateway: Running) -> int:
    status: int = gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")["RestApiStatusCode"]
    return status


def throttled(call: Any) -> bool:
    try:
        call()
    except ClientError as exc:
        error, status = exc.response["Error"]["Code"], exc.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (error, status) == ("ThrottlingException", 429)
        return True
    return False


def test_invoke_rest_api_takes_ten_calls_a_second_and_the_next_one_does_nothing(
    gateway: Running, airflow_api: FakeAirflow, clock: Clock
) -> None:
    assert [invoke(gateway) for _ in range(10)] == [200] * 10
    assert throttled(lambda: invoke(gateway))
    assert len(airflow_api.asked) == 10
    assert gateway.counters()["throttled.InvokeRestApi"] == 1
    clock.now += 0.11
    assert not throttled(lambda: invoke(gateway))
    assert throttled(lambda: invoke(gateway))
    clock.now += 60
    assert [throttled(lambda: invoke(gateway)) for _ in range(11)] == [False] * 10 + [True], "a second's worth at most"


def test_nothing_else_is_throttled_by_itself(gateway: Running) -> None:
    for _ in range(30):
        gateway.mwaa.create_cli_token(Name=NAME)
        gateway.mwaa.create_web_login_token(Name=NAME)
        gateway.mwaa.get_environment(Name=NAME)


def test_figures_are_configured(launch: Launch) -> None:
    gateway = launch(rest_calls_per_second=0, cli_tokens_per_second=2, web_login_tokens_per_second=1)
    assert [invoke(gateway) for _ in range(30)] == [200] * 30
    token, login = gateway.mwaa.create_cli_token, gateway.mwaa.create_web_login_token
    assert [throttled(lambda: token(Name=NAME)) for _ in range(3)] == [False, False, True]
    assert [throttled(lambda: login(Name=NAME)) for _ in range(2)] == [False, True]


def test_figures_are_switched_while_it_runs(gateway: Running) -> None:
    url = f"{gateway.url}/_local/throttle"
    rates = gateway.http.post(url, json={"InvokeRestApi": 2}, timeout=30).json()
    assert rates == gateway.http.get(url, timeout=30).json()
    assert rates == {"InvokeRestApi": 2, "CreateCliToken": 0, "CreateWebLoginToken": 0}
    assert [throttled(lambda: invoke(gateway)) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("wrong", [{"InvokeRestApi": -1}, {"InvokeRestApi": "9"}, {"InvokeRestApi": True}, [], "x"])
def test_a_figure_that_is_none_is_refused(gateway: Running, wrong: Any) -> None:
    url = f"{gateway.url}/_local/throttle"
    assert gateway.http.post(url, json=wrong, timeout=30).status_code == 400
    assert gateway.http.delete(url, timeout=30).status_code == 405
    assert gateway.http.get(url, timeout=30).json()["InvokeRestApi"] == 10


def test_the_switch_is_there_where_faults_may_be_injected_only(launch: Launch) -> None:
    gateway = launch(faults=False)
    assert gateway.http.get(f"{gateway.url}/_local/throttle", timeout=30).status_code == 404


def test_less_than_one_call_a_second(clock: Clock) -> None:
    throttle = Throttle({"CreateCliToken": 0.5}, clock=clock)
    assert [throttle.admits("CreateCliToken") for _ in range(2)] == [True, False]
    clock.now += 2
    assert [throttle.admits("CreateCliToken") for _ in range(2)] == [True, False]
