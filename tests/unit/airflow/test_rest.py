"""The REST client against botocore's stubbed InvokeRestApi; answers as Airflow 2.11 and 3.x word them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from jetway.airflow import Dag, DagRun, DagRunRequest, RunAlreadyExistsError
from jetway.airflow.rest_responses import RestCall, explain, may_repeat
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
    LogicalDateTakenError,
    PermissionMissingError,
    TransientError,
)
from tests.unit.airflow.rest_stage import FOUND, LONG_DAG_ID, LONG_RUN_ID, PARAM, RUN, Rest, body


@pytest.mark.parametrize("version", ["2.11.2", "3.0.6", "3.3.1"])
def test_run_is_created(rest: Rest, version: str) -> None:
    rest.posts(version)

    assert rest.client.trigger_dag_run(RUN) == DagRun("hello", "evt_1", "queued")


@pytest.mark.parametrize("version", ["2.11.2", "3.3.1"])
def test_date_and_note_are_sent(rest: Rest, version: str) -> None:
    rest.environment(version)
    sent = body(version, note="why", logical_date="2024-05-01T00:00:00+00:00")
    rest.answers("POST", "/dags/hello/dagRuns", FOUND, Body=sent)

    rest.client.trigger_dag_run(
        DagRunRequest("hello", "evt_1", RUN.conf, logical_date=datetime(2024, 5, 1, tzinfo=UTC), note="why")
    )


def test_airflow_before_notes_gets_none(rest: Rest) -> None:
    """It refuses a field that it does not know, and with it the run."""
    rest.posts("2.4.3")
    rest.client.trigger_dag_run(replace(RUN, note="why"))


INTERVAL = (datetime(2024, 4, 30, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize("version", ["2.9.2", "2.11.0", "3.0.6", "3.3.1"])
def test_an_interval_is_sent_where_airflow_takes_one(rest: Rest, version: str) -> None:
    rest.environment(version)
    start, end = "2024-04-30T00:00:00+00:00", "2024-05-01T00:00:00+00:00"
    sent = body(version, logical_date=start, data_interval_start=start, data_interval_end=end)
    rest.answers("POST", "/dags/hello/dagRuns", FOUND, Body=sent)
    rest.client.trigger_dag_run(replace(RUN, logical_date=INTERVAL[0], data_interval=INTERVAL))


def test_before_2_9_an_interval_that_was_asked_for_is_refused_and_a_derived_one_left_out(rest: Rest) -> None:
    rest.environment("2.8.1")
    request = replace(RUN, logical_date=INTERVAL[0], data_interval=INTERVAL)
    with pytest.raises(
        InvalidRequestError, match="data_interval requires Airflow 2\\.9 or later; the environment has 2\\.8\\.1"
    ):
        rest.client.trigger_dag_run(request)
    rest.answers("POST", "/dags/hello/dagRuns", FOUND, Body=body("2.8.1", logical_date=INTERVAL[0].isoformat()))
    rest.client.trigger_dag_run(replace(request, is_date_derived=True, is_interval_derived=True))


def test_dag_id_is_encoded_in_the_path(rest: Rest) -> None:
    rest.environment("3.3.1")
    found = {**FOUND, "dag_id": "übung.1-a"}
    rest.answers(
        "POST", "/dags/%C3%BCbung.1-a/dagRuns", found, Body={"dag_run_id": "r", "conf": {}, "logical_date": None}
    )
    rest.answers("GET", "/dags/%C3%BCbung.1-a/dagRuns/a:b+c~d", {**found, "dag_run_id": "a:b+c~d"})

    with pytest.raises(AnswerLostError):
        rest.client.trigger_dag_run(DagRunRequest("übung.1-a", "r"))
    assert rest.client.get_dag_run("übung.1-a", "a:b+c~d") is not None


class TestLongPaths:
    def test_of_50_characters_of_dag_id_still_fit(self, rest: Rest) -> None:
        dag_id = "d" * 50
        rest.environment("3.3.1")
        rest.answers("POST", f"/dags/{dag_id}/dagRuns", {**FOUND, "dag_id": dag_id}, Body=body("3.3.1"))

        rest.client.trigger_dag_run(DagRunRequest(dag_id, "evt_1", RUN.conf))

    def test_go_over_the_command_line(self, rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
        rest.environment("3.3.1")
        wanted = DagRunRequest(LONG_DAG_ID, "evt_1", {"secret": "secret"})

        rest.client.trigger_dag_run(wanted)

        assert rest.other.triggered == [wanted]
        assert "secret" not in caplog.text

    def test_of_a_run_are_searched_by_prefix_from_3_3_on(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        others = [{**FOUND, "dag_run_id": f"{LONG_RUN_ID}{n}"} for n in range(3)]
        wanted = {**FOUND, "dag_run_id": LONG_RUN_ID, "state": "running"}
        rest.answers(
            "GET",
            "/dags/hello/dagRuns",
            {"dag_runs": [others[0], wanted, *others[1:]], "total_entries": 4},
            QueryParameters={"run_id_prefix_pattern": LONG_RUN_ID, "limit": 100, "order_by": "run_id"},
        )

        assert rest.client.get_dag_run("hello", LONG_RUN_ID) == DagRun("hello", LONG_RUN_ID, "running")

    def test_of_a_run_are_searched_by_pattern_on_3_2(self, rest: Rest) -> None:
        rest.environment("3.2.1")
        rest.answers(
            "GET",
            "/dags/hello/dagRuns",
            {"dag_runs": [], "total_entries": 0},
            QueryParameters={"run_id_pattern": LONG_RUN_ID, "limit": 100, "order_by": "run_id"},
        )

        assert rest.client.get_dag_run("hello", LONG_RUN_ID) is None
        assert rest.other.asked == []

    @pytest.mark.parametrize("version", ["2.11.2", "3.0.6"])
    def test_of_a_run_go_over_the_command_line_where_no_filter_is(self, rest: Rest, version: str) -> None:
        rest.environment(version)

        run = rest.client.get_dag_run("hello", LONG_RUN_ID)

        assert run is not None
        assert rest.other.asked == [("hello", LONG_RUN_ID)]

    @pytest.mark.parametrize(
        "response",
        [
            {"dag_runs": [{**FOUND, "dag_run_id": "x"}] * 100, "total_entries": 101},
            {"dag_runs": [{**FOUND, "dag_run_id": "x"}]},
            {},
            [],
            "text",
        ],
    )
    def test_of_a_run_in_an_incomplete_list_go_over_the_command_line(self, rest: Rest, response: object) -> None:
        rest.environment("3.3.1")
        rest.stub.add_response("invoke_rest_api", {"RestApiStatusCode": 200, "RestApiResponse": response})

        rest.client.get_dag_run("hello", LONG_RUN_ID)

        assert rest.other.asked == [("hello", LONG_RUN_ID)]

    def test_of_a_dag(self, rest: Rest) -> None:
        rest.environment("3.3.1")

        rest.client.get_dag_run(LONG_DAG_ID, "evt_1")

        assert rest.other.asked == [(LONG_DAG_ID, "evt_1")]


class TestLookUp:
    def test_of_a_run(self, rest: Rest) -> None:
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "start_date": "2026-11-22T05:00:00Z"})

        run = rest.client.get_dag_run("hello", "evt_1")

        assert run == DagRun("hello", "evt_1", "queued", start_date="2026-11-22T05:00:00Z")

    def test_of_no_run_of_a_known_dag(self, rest: Rest) -> None:
        rest.refuses(404, {"detail": "The DagRun with dag_id: `hello` and run_id: `evt_1` was not found"})
        rest.answers("GET", "/dags/hello", {"dag_id": "hello"})

        assert rest.client.get_dag_run("hello", "evt_1") is None

    def test_of_an_unknown_dag(self, rest: Rest) -> None:
        rest.refuses(404)
        rest.refuses(404)

        with pytest.raises(DagNotFoundError, match="no DAG 'hello'"):
            rest.client.get_dag_run("hello", "evt_1")

    def test_answered_with_another_run(self, rest: Rest) -> None:
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "dag_run_id": "evt_2"})

        with pytest.raises(AnswerLostError):
            rest.client.get_dag_run("hello", "evt_1")


class TestLists:
    def test_of_dags(self, rest: Rest) -> None:
        items = [{"dag_id": "hello", "is_paused": True, "owners": ["ann"], "fileloc": "/dags/hello.py", "tags": []}]
        query = {"limit": 1, "offset": 2, "order_by": "dag_id"}
        rest.answers("GET", "/dags", {"dags": items, "total_entries": 7}, QueryParameters=query)
        assert rest.client.list_dags(limit=1, offset=2) == ([Dag("hello", True, ("ann",), "/dags/hello.py")], 7)

    def test_of_runs(self, rest: Rest) -> None:
        query = {"limit": 5, "order_by": "-id", "state": "queued"}
        rest.answers("GET", "/dags/hello/dagRuns", {"dag_runs": [FOUND], "total_entries": 9}, QueryParameters=query)
        assert rest.client.list_dag_runs("hello", limit=5, state="queued") == ([DagRun("hello", "evt_1", "queued")], 9)

    def test_of_runs_go_over_the_command_line_where_the_path_is_too_long(self, rest: Rest) -> None:
        assert rest.client.list_dag_runs("d" * 250, limit=5)[0][0].dag_run_id == "of the command line"

    @pytest.mark.parametrize("response", [{}, [], {"dags": "none"}, "text"])
    def test_that_are_none_are_lost_answers(self, rest: Rest, response: object) -> None:
        query = {"limit": 1, "offset": 0, "order_by": "dag_id"}
        rest.answers("GET", "/dags", response, QueryParameters=query)
        with pytest.raises(AnswerLostError):
            rest.client.list_dags(limit=1)


class TestRefusal:
    @pytest.mark.parametrize(
        ("status", "response", "error", "text"),
        [
            (400, {"detail": PARAM}, InvalidConfError, r"'n' fails 'type' of \{'type': 'integer'\}"),
            (400, {"detail": "{'conf': ['secret']}"}, InvalidConfError, "JSON object"),
            (400, {"detail": "The run_id provided 'x' does not match"}, InvalidRequestError, "run_id provided"),
            (400, {"detail": "DAG with dag_id: 'hello' has import errors"}, DagNotFoundError, "import errors"),
            (400, {"detail": "Dag with dag_id: 'hello' does not allow manual runs"}, CommandRejectedError, "allow"),
            (404, {"detail": "DAG with dag_id: 'hello' not found"}, DagNotFoundError, "no DAG 'hello'"),
            (
                422,
                {"detail": [{"loc": ["body", "conf"], "msg": "Input should be a valid dictionary", "input": "secret"}]},
                InvalidConfError,
                "body.conf: Input should be a valid dictionary",
            ),
            (
                422,
                {"detail": [{"loc": ["body", "logical_date"], "msg": "Field required", "input": {"conf": "secret"}}]},
                InvalidRequestError,
                "body.logical_date: Field required",
            ),
            (
                422,
                {"detail": {"reason": "Value rejected by database", "orig_error": "secret"}},
                InvalidRequestError,
                "Value rejected by database",
            ),
            (422, "no json", InvalidRequestError, "does not say why"),
            (422, '{"detail": "Nope"}', CommandRejectedError, "Nope"),
            (401, {}, EnvironmentUnavailableError, r"Airflow answers 401 .*role/acme/<role>.*AirflowRole"),
            (403, {}, EnvironmentUnavailableError, r"Airflow answers 403 .*role/acme/<role>.*AirflowRole"),
            (429, {}, EnvironmentBusyError, "throttled"),
        ],
    )
    def test_of_airflow(self, rest: Rest, status: int, response: Any, error: type[JetwayError], text: str) -> None:
        rest.environment("3.3.1")
        rest.refuses(status, response)

        with pytest.raises(error, match=text) as caught:
            rest.client.trigger_dag_run(RUN)

        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_of_a_web_server_in_trouble(self, rest: Rest, status: int) -> None:
        rest.environment("3.3.1")
        rest.refuses(status, code="RestApiServerException")

        rest.refuses(503, code="RestApiServerException")

        with pytest.raises(AnswerLostError, match=f"{status}.*not visible") as caught:
            rest.client.trigger_dag_run(RUN)

        assert caught.value.unreachable

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_of_a_web_server_that_fell_over_when_all_was_done(self, rest: Rest, status: int) -> None:
        rest.environment("3.3.1")
        rest.refuses(status, code="RestApiServerException")
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"

    @pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "RestApiClientException"])
    def test_of_a_call_that_boto3_had_sent_before(self, rest: Rest, code: str) -> None:
        """The last answer says that nothing was done, and nothing of the call before it."""
        rest.environment("3.3.1")
        rest.stub.add_client_error("invoke_rest_api", code, response_meta={"RetryAttempts": 1})
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"

    @pytest.mark.parametrize(
        ("code", "error", "text"),
        [
            ("AccessDeniedException", PermissionMissingError, "airflow:InvokeRestApi on .*role/acme/<role>"),
            ("ThrottlingException", EnvironmentBusyError, "throttled"),
            ("ResourceNotFoundException", EnvironmentUnavailableError, "no environment 'acme'"),
            ("InternalServerException", AnswerLostError, "InternalServerException"),
            ("RestApiClientException", EnvironmentUnavailableError, "RestApiClientException"),
            ("ValidationException", CommandRejectedError, "MWAA rejects POST /dags/hello/dagRuns"),
        ],
    )
    def test_of_mwaa(self, rest: Rest, code: str, error: type[JetwayError], text: str) -> None:
        rest.environment("3.3.1")
        rest.refuses(None, code=code)

        with pytest.raises(error, match=text):
            rest.client.trigger_dag_run(RUN)

    def test_for_want_of_a_right_in_the_words_of_a_validation(self, rest: Rest) -> None:
        """MWAA's other form: what it asks of its caller."""
        rest.environment("3.3.1")
        words = "User arn:aws:iam::1:role/x does not have permissions to perform: kms:Decrypt on resource: key/1."
        rest.stub.add_client_error("invoke_rest_api", "ValidationException", words)

        with pytest.raises(PermissionMissingError) as caught:
            rest.client.trigger_dag_run(RUN)
        assert (caught.value.action, caught.value.resource) == ("kms:Decrypt", "key/1")

    def test_of_a_value_with_the_word_in_it_is_no_denial(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        words = "1 validation error detected: Value '/dags/permissions/dagRuns' at 'path' failed to satisfy constraint"
        rest.stub.add_client_error("invoke_rest_api", "ValidationException", words)

        with pytest.raises(CommandRejectedError, match="MWAA rejects POST"):
            rest.client.trigger_dag_run(RUN)

    def test_of_an_environment_too_old(self, rest: Rest) -> None:
        rest.environment("2.4.3")
        rest.stub.add_client_error(
            "invoke_rest_api", "ValidationException", "Update your environment to use InvokeRestApi"
        )

        with pytest.raises(EnvironmentUnavailableError, match="does not support InvokeRestApi yet"):
            rest.client.trigger_dag_run(RUN)

    def test_of_an_environment_that_is_updating_and_does_not_serve(self, rest: Rest) -> None:
        rest.environment("3.3.1", "UPDATING")
        rest.refuses(503, {"message": "Service Unavailable"}, code="RestApiServerException")

        with pytest.raises(EnvironmentUnavailableError, match="UPDATING"):
            rest.client.trigger_dag_run(RUN)

    def test_is_none_of_an_environment_that_is_updating_and_serves(self, rest: Rest) -> None:
        rest.environment("3.3.1", "UPDATING")
        page = {"limit": 1, "offset": 0, "order_by": "dag_id"}
        rest.answers("GET", "/dags", {"dags": [], "total_entries": 0}, QueryParameters=page)
        rest.answers("POST", "/dags/hello/dagRuns", FOUND, Body=body("3.3.1"))

        assert rest.client.trigger_dag_run(RUN).dag_run_id == RUN.dag_run_id

    def test_before_anything_is_sent(self, rest: Rest) -> None:
        with pytest.raises(InvalidRequestError):
            rest.client.trigger_dag_run(DagRunRequest("a/b", "evt_1"))
        with pytest.raises(InvalidRequestError):
            rest.client.get_dag_run("..", "evt_1")


class TestDuplicate:
    def test_that_is_there(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.refuses(409, {"detail": {"reason": "Unique constraint violation", "orig_error": "secret"}})
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", {**FOUND, "state": "success"})

        with pytest.raises(RunAlreadyExistsError) as caught:
            rest.client.trigger_dag_run(RUN)

        assert caught.value.run.state == "success"
        assert "secret" not in str(caught.value)

    def test_that_boto3_made_itself(self, rest: Rest) -> None:
        """The first of two calls created the run, and its answer was lost inside boto3."""
        rest.environment("3.3.1")
        rest.stub.add_client_error(
            "invoke_rest_api",
            "RestApiClientException",
            response_meta={"RetryAttempts": 1},
            modeled_fields={"RestApiStatusCode": 409, "RestApiResponse": {}},
        )
        rest.answers("GET", "/dags/hello/dagRuns/evt_1", FOUND)

        assert rest.client.trigger_dag_run(RUN).dag_run_id == "evt_1"

    @pytest.mark.parametrize(("repeats", "error"), [(1, AnswerLostError), (0, EnvironmentUnavailableError)])
    def test_whose_look_up_fails(self, rest: Rest, repeats: int, error: type[JetwayError]) -> None:
        """Of a call that boto3 has repeated, the run that is there is our own: that is not forgotten."""
        rest.environment("3.3.1")
        rest.stub.add_client_error(
            "invoke_rest_api",
            "RestApiClientException",
            response_meta={"RetryAttempts": repeats},
            modeled_fields={"RestApiStatusCode": 409, "RestApiResponse": {}},
        )
        rest.refuses(503, code="RestApiServerException")

        with pytest.raises(error):
            rest.client.trigger_dag_run(RUN)

    def test_of_a_date(self, rest: Rest) -> None:
        rest.environment("3.3.1")
        rest.refuses(409)
        rest.refuses(404)
        rest.answers("GET", "/dags/hello", {})

        with pytest.raises(LogicalDateTakenError, match="another run with the logical date"):
            rest.client.trigger_dag_run(DagRunRequest("hello", "evt_1", logical_date=datetime(2024, 5, 1, tzinfo=UTC)))

    def test_of_nothing_that_can_be_seen(self, rest: Rest) -> None:
        rest.environment("2.11.2")
        rest.refuses(409)
        rest.refuses(404)
        rest.answers("GET", "/dags/hello", {})

        with pytest.raises(TransientError, match="was not created"):
            rest.client.trigger_dag_run(RUN)


class TestDagState:
    @pytest.mark.parametrize(
        ("document", "state"),
        [
            ({"is_paused": False, "is_stale": False}, "active"),
            ({"is_paused": True, "is_stale": False}, "paused"),
            ({"is_paused": True, "is_stale": True}, "stale"),
            ({"is_paused": False, "is_active": True}, "active"),  # Airflow 2
            ({"is_paused": False, "is_active": False}, "stale"),
        ],
    )
    def test_is_as_airflow_says(self, rest: Rest, document: dict[str, Any], state: str) -> None:
        rest.answers("GET", "/dags/hello", {"dag_id": "hello", **document})

        assert rest.client.get_dag_state("hello") == state

    def test_of_an_unknown_dag(self, rest: Rest) -> None:
        rest.refuses(404, {"detail": "The Dag with ID: `hello` was not found"})

        with pytest.raises(DagNotFoundError, match="no DAG 'hello'"):
            rest.client.get_dag_state("hello")

    def test_of_a_dag_whose_name_is_too_long_is_asked_over_the_command_line(self, rest: Rest) -> None:
        assert rest.client.get_dag_state("d" * 60) == "paused"

    def test_stale_is_why_airflow_refuses_a_run_as_if_it_had_no_such_dag(self, rest: Rest) -> None:
        """Recorded from Airflow 3.3.1: POST says 404, GET of the DAG says is_stale."""
        rest.environment("3.3.1")
        rest.refuses(404, {"detail": "Dag with dag_id: 'hello' not found"})
        rest.answers("GET", "/dags/hello", {"dag_id": "hello", "is_paused": False, "is_stale": True})

        with pytest.raises(DagNotFoundError, match="its file was deleted"):
            rest.client.trigger_dag_run(RUN)

    def test_is_not_asked_for_when_the_run_is_created(self, rest: Rest) -> None:
        rest.posts("3.3.1")

        assert rest.client.trigger_dag_run(RUN).state == "queued"


def test_an_answer_that_an_update_explains_names_the_status(rest: Rest) -> None:
    rest.refuses(503, {"message": "Service Unavailable"}, code="RestApiServerException")
    rest.environment("3.3.1", "UPDATING")

    with pytest.raises(EnvironmentUnavailableError, match="'acme' is UPDATING") as caught:
        rest.client.list_dags(limit=1)
    assert caught.value.status == "UPDATING"


@pytest.mark.parametrize(("attempts", "error"), [(1, EnvironmentUnavailableError), (2, AnswerLostError)])
def test_a_connection_that_never_stood_proves_nothing_of_a_call_before(attempts: int, error: type[JetwayError]) -> None:
    """Of a client that repeats calls, what is raised is what became of the last one."""
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(connect_timeout=0.2, retries=retries, inject_host_prefix=False)
    mwaa = boto3.client(
        "mwaa",
        region_name="eu-central-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
        endpoint_url="http://127.0.0.1:1",
        config=config,
    )
    call = RestCall("acme", "POST", "/dags/hello/dagRuns", "hello", creates=True, repeats=may_repeat(mwaa))
    with pytest.raises(EndpointConnectionError) as caught:
        mwaa.get_environment(Name="acme")
    assert type(explain(caught.value, call)) is error
