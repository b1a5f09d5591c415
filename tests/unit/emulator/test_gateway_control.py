"""The control plane, called by the real boto3."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.unit.emulator.conftest import NAME, Clock, FakeAirflow, Launch, Running
from tests.unit.emulator.waiting import wait_for
from tools.emulator.gateway import model
from tools.emulator.gateway.environment import Description, UpdateFailedError


def environment(gateway: Running) -> dict[str, Any]:
    found: dict[str, Any] = gateway.mwaa.get_environment(Name=NAME)["Environment"]
    return found


def rest_answer(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, Any]:
    response: dict[str, Any] = dict(error.value.response)
    return response["RestApiStatusCode"], response["RestApiResponse"]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_get_environment_has_every_field_in_botocores_shapes(gateway: Running, clock: Clock) -> None:
    found = environment(gateway)
    assert found["Name"] == NAME
    assert found["Status"] == "AVAILABLE"
    assert found["AirflowVersion"] == "3.3.1"
    assert found["SourceBucketArn"] == "arn:aws:s3:::environment-bucket"
    assert found["DagS3Path"] == "dags"
    assert found["CreatedAt"] == datetime.fromtimestamp(clock.now, UTC)
    assert found["LastUpdate"] == {"Status": "SUCCESS", "CreatedAt": datetime.fromtimestamp(clock.now, UTC)}
    assert found["LoggingConfiguration"]["TaskLogs"] == {
        "Enabled": True,
        "LogLevel": "INFO",
        "CloudWatchLogGroupArn": f"arn:aws:logs:us-east-1:000000000000:log-group:airflow-{NAME}-Task",
    }


def test_the_description_satisfies_the_models_patterns_and_bounds(gateway: Running) -> None:
    description = gateway.parts.environment.describe()
    shape: Any = model.service_model().shape_for("Environment")
    assert model.check_shape(shape, description | {"Tags": {"made": "locally"}}) == []
    assert set(description) <= set(shape.members)


def test_list_environments(gateway: Running) -> None:
    assert gateway.mwaa.list_environments()["Environments"] == [NAME]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_environment", {}),
        ("update_environment", {"MaxWorkers": 2}),
        ("create_cli_token", {}),
        ("create_web_login_token", {}),
        ("invoke_rest_api", {"Path": "/dags", "Method": "GET"}),
    ],
)
def test_another_environment_is_not_found(gateway: Running, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        getattr(gateway.mwaa, operation)(Name="another", **arguments)
    assert refusal(error) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/airflow/aws4_request",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    ],
)
def test_a_request_that_is_not_signed_for_mwaa_is_refused(gateway: Running, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = gateway.http.get(f"{gateway.url}/environments/{NAME}", headers=headers, timeout=30)
    assert response.status_code == 403
    assert "message" in response.json()


def test_an_update_is_told_while_it_runs_and_kept_when_it_is_done(launch: Launch, clock: Clock) -> None:
    going = threading.Event()

    def wait(before: Description, after: Description) -> None:
        assert (before["MaxWorkers"], after["MaxWorkers"]) == (10, 3)
        assert going.wait(30)

    gateway = launch(applier=wait)
    answer = gateway.mwaa.update_environment(
        Name=NAME, MaxWorkers=3, WorkerReplacementStrategy="GRACEFUL", AirflowConfigurationOptions={"a.b": "c"}
    )
    assert answer["Arn"] == environment(gateway)["Arn"]
    assert environment(gateway)["Status"] == "UPDATING"
    assert environment(gateway)["MaxWorkers"] == 10
    assert environment(gateway)["LastUpdate"]["Status"] == "PENDING"
    with pytest.raises(ClientError, match="UPDATING") as error:
        gateway.mwaa.update_environment(Name=NAME, MaxWorkers=4)
    assert refusal(error) == ("ValidationException", 400)
    going.set()
    wait_for(lambda: environment(gateway)["Status"] == "AVAILABLE")
    done = environment(gateway)
    assert (done["MaxWorkers"], done["AirflowConfigurationOptions"]) == (3, {"a.b": "c"})
    assert done["LastUpdate"] == {
        "Status": "SUCCESS",
        "CreatedAt": datetime.fromtimestamp(clock.now, UTC),
        "WorkerReplacementStrategy": "GRACEFUL",
    }


def test_the_web_server_is_down_while_the_environment_updates(launch: Launch) -> None:
    going = threading.Event()
    gateway = launch(applier=lambda _before, _after: going.wait(30) and None)
    gateway.mwaa.update_environment(Name=NAME, MaxWorkers=3)
    assert gateway.cli("version").status_code == 503
    with pytest.raises(ClientError) as error:
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")
    assert rest_answer(error)[0] == 503
    going.set()
    wait_for(lambda: gateway.cli("version").status_code == 200)


def test_a_failed_update_leaves_the_environment_as_it_was_and_usable(launch: Launch) -> None:
    def fail(_before: Description, _after: Description) -> None:
        raise UpdateFailedError("INCORRECT_CONFIGURATION", "Airflow does not start.")

    gateway = launch(applier=fail)
    gateway.mwaa.update_environment(Name=NAME, MaxWorkers=3)
    wait_for(lambda: environment(gateway)["Status"] == "UPDATE_FAILED")
    found = environment(gateway)
    assert found["MaxWorkers"] == 10
    assert found["LastUpdate"]["Status"] == "FAILED"
    assert found["LastUpdate"]["Error"] == {
        "ErrorCode": "INCORRECT_CONFIGURATION",
        "ErrorMessage": "Airflow does not start.",
    }
    assert gateway.cli("version").status_code == 200
    gateway.mwaa.update_environment(Name=NAME, MaxWorkers=4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PluginsS3Path": "plugins.zip"}, "PluginsS3ObjectVersion"),
        ({"RequirementsS3ObjectVersion": "1"}, "RequirementsS3Path"),
        ({"StartupScriptS3Path": "startup.sh"}, "StartupScriptS3ObjectVersion"),
        ({"MinWorkers": 11}, "MaxWorkers"),
        ({"MinWebservers": 5, "MaxWebservers": 4}, "MaxWebservers"),
        ({"EnvironmentClass": "mw1.huge"}, "EnvironmentClass"),
        ({"EnvironmentClass": "mw1.micro"}, "micro"),
        ({"AirflowVersion": "2.11.2"}, "AIRFLOW_VERSION"),
        ({"Schedulers": 6}, "'Schedulers'"),
        ({"WeeklyMaintenanceWindowStart": "SUN"}, "'WeeklyMaintenanceWindowStart'"),
        ({"WebserverAccessMode": "OPEN"}, "PRIVATE_ONLY"),
        ({"NetworkConfiguration": {"SecurityGroupIds": ["sg-1"] * 6}}, "'NetworkConfiguration.SecurityGroupIds'"),
        ({"LoggingConfiguration": {"TaskLogs": {"Enabled": True, "LogLevel": "LOUD"}}}, "CRITICAL"),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(gateway: Running, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as error:
        gateway.mwaa.update_environment(Name=NAME, **changes)
    assert refusal(error) == ("ValidationException", 400)
    assert environment(gateway)["Status"] == "AVAILABLE"


def test_the_environment_survives_a_restart(launch: Launch) -> None:
    first = launch()
    first.mwaa.update_environment(Name=NAME, MaxWorkers=7, PluginsS3Path="plugins.zip", PluginsS3ObjectVersion="v1")
    wait_for(lambda: environment(first)["Status"] == "AVAILABLE")
    second = launch()
    found = environment(second)
    assert (found["MaxWorkers"], found["PluginsS3ObjectVersion"]) == (7, "v1")
    assert found["WebserverUrl"] == second.url


def test_an_update_is_carried_on_after_a_restart(launch: Launch) -> None:
    held = threading.Event()
    launch(applier=lambda _before, _after: held.wait(30) and None).mwaa.update_environment(Name=NAME, MaxWorkers=7)
    second = launch()
    wait_for(lambda: environment(second)["Status"] == "AVAILABLE")
    assert environment(second)["MaxWorkers"] == 7
    held.set()


@pytest.mark.parametrize(("version", "prefix"), [("3.3.1", "/api/v2"), ("2.11.2", "/api/v1")])
def test_invoke_rest_api_reaches_airflow(launch: Launch, airflow_api: FakeAirflow, version: str, prefix: str) -> None:
    gateway = launch(version)
    airflow_api.body = b'{"dag_run_id": "r"}'
    answer = gateway.mwaa.invoke_rest_api(
        Name=NAME, Path="/dags/d/dagRuns", Method="POST", Body={"dag_run_id": "r", "conf": {"x": None}}
    )
    assert (answer["RestApiStatusCode"], answer["RestApiResponse"]) == (200, {"dag_run_id": "r"})
    (asked,) = airflow_api.asked
    assert (asked["method"], asked["target"]) == ("POST", f"{prefix}/dags/d/dagRuns")
    assert asked["body"] == {"dag_run_id": "r", "conf": {"x": None}}
    assert asked["authorization"] == ("Basic YWRtaW46b2YtYWlyZmxvdw==" if version < "3" else None)


def test_invoke_rest_api_passes_query_parameters(gateway: Running, airflow_api: FakeAirflow) -> None:
    query = {"limit": 5, "paused": False, "tags": ["a", "b c"], "dag_id_pattern": "ä&b"}
    gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET", QueryParameters=query)
    assert airflow_api.asked[0]["target"] == (
        "/api/v2/dags?limit=5&paused=false&tags=a&tags=b+c&dag_id_pattern=%C3%A4%26b"
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "RestApiClientException"), (404, "RestApiClientException"), (500, "RestApiServerException")],
)
def test_what_airflow_refuses_comes_back_as_the_modelled_error(
    gateway: Running, airflow_api: FakeAirflow, status: int, code: str
) -> None:
    airflow_api.status, airflow_api.body = status, b'{"detail": "no"}'
    with pytest.raises(ClientError) as error:
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags/x", Method="GET")
    assert refusal(error) == (code, 400)
    assert rest_answer(error) == (status, {"detail": "no"})


def test_an_empty_answer_is_an_empty_document(gateway: Running, airflow_api: FakeAirflow) -> None:
    airflow_api.body = b""
    answer = gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags/d", Method="DELETE")
    assert answer["RestApiResponse"] == {}


def test_airflow_that_does_not_answer_in_time_is_a_server_error(launch: Launch, airflow_api: FakeAirflow) -> None:
    airflow_api.go.clear()
    with pytest.raises(ClientError) as error:
        launch(rest_seconds=0.2).mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")
    assert refusal(error)[0] == "RestApiServerException"
    assert rest_answer(error)[0] == 504


def test_an_answer_of_more_than_6_mb_is_a_server_error(gateway: Running, airflow_api: FakeAirflow) -> None:
    airflow_api.body = json.dumps({"x": "y" * 6 * 1024 * 1024}).encode()
    with pytest.raises(ClientError) as error:
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/dags", Method="GET")
    assert refusal(error)[0] == "RestApiServerException"


def test_a_path_of_64_characters_passes_and_one_more_does_not(gateway: Running) -> None:
    gateway.mwaa.invoke_rest_api(Name=NAME, Path="/" + "x" * 63, Method="GET")
    with pytest.raises(ClientError, match="less than or equal to 64") as error:
        gateway.mwaa.invoke_rest_api(Name=NAME, Path="/" + "x" * 64, Method="GET")
    assert refusal(error) == ("ValidationException", 400)


@pytest.mark.parametrize(
    ("version", "login", "cookie", "api", "way"),
    [
        ("3.3.1", "/pluginsv2/aws_mwaa/login", "_token", "/api/v2/dags", "bearer token"),
        ("2.11.2", "/aws_mwaa/login", "session", "/api/v1/dags", "cookie"),
    ],
)
def test_a_web_login_token_gives_a_session_at_the_rest_api(
    launch: Launch, airflow_api: FakeAirflow, clock: Clock, version: str, login: str, cookie: str, api: str, way: str
) -> None:
    gateway = launch(version)
    assert gateway.http.get(gateway.url + api, timeout=30).status_code == 401
    token = gateway.mwaa.create_web_login_token(Name=NAME)
    assert token["AirflowIdentity"] == "Admin"
    answer = gateway.http.post(gateway.url + login, data={"token": token["WebToken"]}, timeout=30)
    assert answer.status_code == 200
    session = answer.cookies[cookie]
    gateway.http.cookies.clear()
    headers = {"bearer token": {"Authorization": f"Bearer {session}"}, "cookie": {"Cookie": f"{cookie}={session}"}}

    def ask(way: str) -> requests.Response:
        return gateway.http.get(f"{gateway.url}{api}?limit=1", headers=headers[way], timeout=30)

    assert ask(way).json() == {"total_entries": 0}
    assert airflow_api.asked[0]["target"] == f"{api}?limit=1"
    (other,) = headers.keys() - {way}
    assert ask(other).status_code == 401, "as strict as can be"
    clock.now += 12 * 3600
    assert ask(way).status_code == 401, "a session lives twelve hours"


def test_a_web_login_token_logs_in_once(gateway: Running) -> None:
    token = gateway.mwaa.create_web_login_token(Name=NAME)["WebToken"]
    url = f"{gateway.url}/pluginsv2/aws_mwaa/login"
    assert [gateway.http.post(url, data={"token": token}, timeout=30).status_code for _ in range(2)] == [200, 401]


def test_a_web_login_token_expires(gateway: Running, clock: Clock) -> None:
    token = gateway.mwaa.create_web_login_token(Name=NAME)["WebToken"]
    clock.now += 60
    url = f"{gateway.url}/pluginsv2/aws_mwaa/login"
    assert gateway.http.post(url, data={"token": token}, timeout=30).status_code == 401


def test_a_browser_is_sent_to_airflow(gateway: Running) -> None:
    answer = gateway.http.get(f"{gateway.url}/", allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (302, gateway.airflow.url)
