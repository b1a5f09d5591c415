"""Faults on demand: what is asked for happens, as often as asked for, and can be counted."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError, HTTPClientError

from jetway.airflow.environment import denied, is_denied
from tests.unit.emulator.conftest import NAME, Clock, FakeAirflow, FakeRunner, Launch, Running
from tools.emulator.gateway.faults import FaultError, Faults


def inject(gateway: Running, **fault: Any) -> None:
    gateway.http.post(f"{gateway.url}/_local/faults", json=fault, timeout=30).raise_for_status()


def test_answers_are_lost_after_the_work_is_done(gateway: Running, runner: FakeRunner) -> None:
    inject(gateway, kind="lose_answer", count=2)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            gateway.cli("dags list")
    assert gateway.cli("dags list").status_code == 200
    assert runner.commands == [["dags", "list"]] * 3
    assert gateway.counters()["cli.lose_answer"] == 2
    assert gateway.counters()["cli.commands"] == 3


def test_busy_is_said_before_the_work_is_done(gateway: Running, runner: FakeRunner) -> None:
    inject(gateway, kind="busy", count=1)
    assert [gateway.cli("dags list").status_code for _ in range(2)] == [503, 200]
    assert len(runner.commands) == 1


def test_the_rest_api_has_faults_of_its_own(gateway: Running, airflow_api: FakeAirflow) -> None:
    inject(gateway, kind="busy", target="rest", count=1)
    inject(gateway, kind="lose_answer", target="rest", count=1)
    # Both at once: the 503 is the answer that is lost.
    with pytest.raises(HTTPClientError):
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")
    assert airflow_api.asked == []
    inject(gateway, kind="busy", target="rest", count=1)
    with pytest.raises(ClientError) as error:
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")
    assert dict(error.value.response)["RestApiStatusCode"] == 503
    assert gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")["RestApiStatusCode"] == 200
    assert gateway.cli("version").status_code == 200


def test_a_forced_status_is_told_and_refuses_updates(gateway: Running) -> None:
    inject(gateway, kind="status", status="UPDATING", seconds=600)
    assert gateway.mwaa.get_environment(Name=NAME)["Environment"]["Status"] == "UPDATING"
    assert gateway.cli("version").status_code == 503
    with pytest.raises(ClientError, match="UPDATING state"):
        gateway.mwaa.update_environment(Name=NAME, MaxWorkers=2)
    gateway.http.delete(f"{gateway.url}/_local/faults", timeout=30).raise_for_status()
    assert gateway.mwaa.get_environment(Name=NAME)["Environment"]["Status"] == "AVAILABLE"


def test_an_environment_that_updates_can_serve_meanwhile_as_under_graceful(gateway: Running) -> None:
    inject(gateway, kind="status", status="UPDATING", seconds=600, serves=True)
    assert gateway.mwaa.get_environment(Name=NAME)["Environment"]["Status"] == "UPDATING"
    assert gateway.cli("version").status_code == 200
    assert gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")["RestApiStatusCode"] == 200
    with pytest.raises(ClientError, match="UPDATING state"):
        gateway.mwaa.update_environment(Name=NAME, MaxWorkers=2)


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 403), ("ValidationException", 400)])
@pytest.mark.parametrize(
    ("operation", "call", "arguments"),
    [
        ("GetEnvironment", "get_environment", {}),
        ("UpdateEnvironment", "update_environment", {"MaxWorkers": 2}),
        ("CreateCliToken", "create_cli_token", {}),
        ("CreateWebLoginToken", "create_web_login_token", {}),
        ("InvokeRestApi", "invoke_rest_api", {"Path": "/dags", "Method": "GET"}),
    ],
)
def test_an_operation_is_denied_in_both_of_mwaas_forms(
    gateway: Running, operation: str, call: str, arguments: dict[str, Any], code: str, status: int
) -> None:
    inject(gateway, kind="denied", operation=operation, code=code, seconds=600)
    with pytest.raises(ClientError) as error:
        getattr(gateway.mwaa, call)(Name=NAME, **arguments)
    response = error.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert is_denied(error.value), "the product knows it for what it is"
    assert f"airflow:{operation}" in str(denied(NAME, operation, error.value))
    gateway.http.delete(f"{gateway.url}/_local/faults", timeout=30).raise_for_status()
    getattr(gateway.mwaa, call)(Name=NAME, **arguments)


def test_a_web_server_that_is_down_takes_no_connection(gateway: Running, runner: FakeRunner) -> None:
    inject(gateway, kind="web_server_down", seconds=600)
    with pytest.raises(requests.ConnectionError):
        gateway.cli("version")
    assert runner.commands == []
    assert gateway.mwaa.get_environment(Name=NAME)["Environment"]["Status"] == "AVAILABLE"


def test_what_lasts_for_seconds_ends(clock: Clock) -> None:
    faults = Faults(clock)
    faults.add({"kind": "status", "status": "MAINTENANCE", "seconds": 10})
    faults.add({"kind": "web_server_down", "seconds": 5})
    assert (faults.status(), faults.web_server_down()) == ("MAINTENANCE", True)
    clock.now += 5
    assert (faults.status(), faults.web_server_down()) == ("MAINTENANCE", False)
    clock.now += 5
    assert faults.status() is None
    assert faults.active() == []


def test_a_probability_strikes_about_as_often_and_a_seed_repeats_it() -> None:
    def strikes() -> list[bool]:
        faults = Faults()
        faults.add({"kind": "busy", "probability": 0.1, "seed": 7})
        return [faults.strikes("busy", "cli") for _ in range(2000)]

    assert 140 < sum(strikes()) < 260
    assert strikes() == strikes()


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "busy"},
        {"kind": "busy", "count": 1, "probability": 0.5},
        {"kind": "busy", "count": 1, "target": "moon"},
        {"kind": "busy", "count": 1, "seconds": 5},
        {"kind": "busy", "count": "many"},
        {"kind": "status", "seconds": 5},
        {"kind": "status", "status": "UPDATING"},
        {"kind": "web_server_down", "status": "UPDATING", "seconds": 5},
    ],
)
def test_a_fault_that_does_not_exist_is_refused(gateway: Running, wanted: dict[str, Any]) -> None:
    answer = gateway.http.post(f"{gateway.url}/_local/faults", json=wanted, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(FaultError, match="lose_answer"):
        Faults().add({"kind": "lost_answer", "count": 1})


def test_without_configuration_there_is_no_injection(launch: Launch) -> None:
    gateway = launch(faults=False)
    for method in ("GET", "POST", "DELETE"):
        assert gateway.http.request(method, f"{gateway.url}/_local/faults", json={}, timeout=30).status_code == 404
    assert gateway.http.get(f"{gateway.url}/_local/health", timeout=30).status_code == 200
