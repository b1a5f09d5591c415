"""The HTTP API's handler, from API Gateway's event to its answer and the message on the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow.names import MAX_CONF_BYTES
from jetway.dispatch.run import parse_message
from jetway.errors import JetwayError
from jetway.events.incoming import parse_time
from jetway.http.deadline import seconds_left
from jetway.http.json_body import DEEPEST, LONGEST_BODY
from jetway.http.prefer import Preference, read_preference
from jetway.http.problems import ProblemError
from jetway.http.run_requests import HttpCall, event_id, read_request
from jetway.ledger import Entry, Ledger, entry_id
from jetway.wiring.http_api import wired
from tests.unit.dispatching import parse_dispatch
from tests.unit.hanging import hang
from tests.unit.http.function import IGNORED_ONCE, ask, in_process, queued, set_queue
from tests.unit.ledger_table import make_ledger_table
from tests.unit.mwaa_server import MwaaServer


@pytest.fixture
def mwaa() -> Iterator[MwaaServer]:
    with MwaaServer() as server:
        yield server


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, mwaa: MwaaServer) -> Iterator[str]:
    with in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        yield queue


def post(body: object, **headers: str) -> dict[str, Any]:
    return ask("POST", "/dags/ingest_orders/dagRuns", body=body, headers=headers)


def test_an_accepted_run_is_one_message_that_the_dispatcher_understands(queue: str) -> None:
    answer = post({"conf": {"a": 1}, "logical_date": "2026-01-02T03:04:05Z"})
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["state"]) == (202, "accepted")
    assert answer["headers"]["Location"] == f"/dags/ingest_orders/dagRuns/{body['dag_run_id']}"
    (message,) = queued(queue)
    request = parse_dispatch(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z")).request
    assert request is not None
    assert (request.dag_id, request.dag_run_id) == ("ingest_orders", body["dag_run_id"])
    assert dict(request.conf) == {"a": 1}
    assert request.logical_date == parse_time("2026-01-02T03:04:05Z")
    assert message["Attributes"]["MessageGroupId"].startswith("interactive/http/"), "the lane of its caller"


def test_the_message_says_who_called_with_the_session(queue: str) -> None:
    post({"dag_run_id": "r1"})
    (message,) = queued(queue)
    event = json.loads(message["Body"])["event"]
    assert event["by"].startswith(f"{event['caller']}/"), "the name is the role's, the same from call to call"
    found = parse_message(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z"))
    assert found.by == {"principal": event["by"], "request_id": event["request_id"]}


def test_a_body_in_base64_is_read(queue: str) -> None:
    assert ask("POST", "/dags/ingest_orders/dagRuns", body=b'{"conf": {"a": 2}}')["statusCode"] == 202
    assert '"conf": {"a": 2}' in queued(queue)[0]["Body"]


def test_no_body_is_a_run_without_conf(queue: str) -> None:
    assert post("")["statusCode"] == 202


def test_a_note_is_refused_by_nobody_but_the_cli_says_that_it_is_not_kept(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warnings" not in json.loads(post({"note": "by hand"})["body"])
    monkeypatch.setenv("TRANSPORT", "cli")
    wired().forget()
    assert "note" in json.loads(post({"note": "by hand"})["body"])["warnings"][0]


def test_an_unknown_resource_is_a_problem_document(queue: str) -> None:
    answer = ask("GET", "/nothing")
    assert (answer["statusCode"], json.loads(answer["body"])["instance"]) == (404, "/nothing")


def test_a_refused_call_puts_nothing_on_the_queue(queue: str) -> None:
    answer = post({"dag_run_id": "not valid"})
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["type"]) == (422, "urn:jetway:problem:invalid-request")
    assert queued(queue) == []


def call(body: str, key: str | None = None, caller: str = "arn:aws:iam::1:user/a", request_id: str = "r1") -> HttpCall:
    return HttpCall(request_id, caller, body.encode("utf-8", "surrogatepass"), key, parse_time("2026-11-22T06:00:00Z"))


@pytest.mark.parametrize(
    "run_id", ["jetway__nightly__neao5nwq7jut2lxa4mqj", "jetway__http__neao5nwq7jut2lxa4mqj", "jetway__x", "jetway__"]
)
def test_a_caller_may_not_choose_an_id_that_jetway_derives(queue: str, run_id: str) -> None:
    """The event whose id it is would find the run and take it for its own: it would never start."""
    answer = ask("POST", "/dags/etl/dagRuns", body={"dag_run_id": run_id})
    assert (answer["statusCode"], queued(queue)) == (422, [])
    assert "Choose another prefix" in json.loads(answer["body"])["detail"]


def test_the_id_that_a_call_derives_itself_may_be_said_again() -> None:
    call = HttpCall(
        "arn:aws:iam::111122223333:role/etl", "r1", b"{}", "invoice-4711", datetime(2026, 11, 22, tzinfo=UTC)
    )
    derived = read_request("etl", call).dag_run_id
    assert read_request("etl", replace(call, body=json.dumps({"dag_run_id": derived}).encode())).dag_run_id == derived
    with pytest.raises(ProblemError):
        read_request("orders", replace(call, body=json.dumps({"dag_run_id": derived}).encode()))


def test_a_key_names_one_run_of_one_dag_for_one_caller() -> None:
    ids = {
        read_request(dag_id, call("", key, caller, request_id)).dag_run_id
        for dag_id, key, caller, request_id in [
            ("a", "k", "c", "1"),
            ("a", "k", "c", "2"),
            ("b", "k", "c", "3"),
            ("a", "l", "c", "4"),
            ("a", "k", "d", "5"),
        ]
    }
    assert len(ids) == 4


def test_without_a_key_every_call_is_a_run_of_its_own() -> None:
    assert read_request("a", call("", request_id="1")) != read_request("a", call("", request_id="2"))


def test_a_body_at_the_bound_is_taken_and_one_byte_more_is_not(queue: str) -> None:
    body = b'{"conf": {"a": 1}}'
    assert post(body + b" " * (LONGEST_BODY - len(body)))["statusCode"] == 202
    answer = post(body + b" " * (LONGEST_BODY - len(body) + 1))
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (413, "urn:jetway:problem:body-too-large")
    # Bytes count, not characters.
    assert post('{"conf": {"a": "' + "\u00e4" * (LONGEST_BODY // 2) + '"}}')["statusCode"] == 413


def test_conf_at_the_bound_is_taken_and_one_byte_more_is_not(queue: str) -> None:
    room = MAX_CONF_BYTES - len('{"a":""}')
    assert post({"conf": {"a": "x" * room}})["statusCode"] == 202
    answer = post({"conf": {"a": "x" * (room + 1)}})
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (422, "urn:jetway:problem:invalid-conf")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"config": {}}, "Unknown field 'config'; did you mean 'conf'? Valid fields: conf, dag_run_id"),
        ({"data_interval_start": None}, "Unknown field 'data_interval_start'"),
        ({"conf": {}, "x" * 500: 1}, "x" * 90),
        ({"note": 1}, "note must be a string or null, not an integer"),
        ({"note": "x" * 1001}, "1001 characters"),
        ({"logical_date": "monday"}, "'monday'"),
    ],
)
def test_fields_are_refused_by_name(queue: str, body: dict[str, Any], said: str) -> None:
    answer = post(body)
    assert (answer["statusCode"], queued(queue)) == (422, [])
    assert said in json.loads(answer["body"])["detail"]


@given(
    st.text()
    | st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        json.dumps
    )
)
def test_no_body_raises_anything_but_a_problem(body: str) -> None:
    with suppress(ProblemError, JetwayError):
        read_request("a", call(body))


def nested(levels: int) -> str:
    return '{"conf": ' + '{"a": ' * (levels - 2) + "{}" + "}" * (levels - 2) + "}"


def test_a_body_that_is_nested_too_deep_is_refused_and_one_at_the_bound_is_not() -> None:
    read_request("a", call(nested(DEEPEST)))
    for levels in (DEEPEST + 1, 10_000):
        with pytest.raises(ProblemError, match="nested too deep") as caught:
            read_request("a", call(nested(levels)))
        assert caught.value.problem.status == 422


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_has_not_is_refused(constant: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_request("a", call('{"conf": {"a": ' + constant + "}}"))
    assert caught.value.problem.status == 400


RUN = {"dag_id": "ingest_orders", "dag_run_id": "r1", "state": "running", "logical_date": None}


def test_a_run_is_shown_as_airflow_has_it(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: (200, RUN)
    answer = ask("GET", "/dags/ingest_orders/dagRuns/r1")
    assert (answer["statusCode"], json.loads(answer["body"])["state"]) == (200, "running")
    assert mwaa.asked == [("GET", "/dags/ingest_orders/dagRuns/r1")]


def test_runs_are_listed_as_airflow_lists_them(queue: str, mwaa: MwaaServer) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, object]:
        assert asked["QueryParameters"] == {"limit": 3, "order_by": "-id", "state": "running"}
        return 200, {"dag_runs": [RUN], "total_entries": 12}

    mwaa.answer = answer
    got = json.loads(ask("GET", "/dags/ingest_orders/dagRuns", query={"limit": "3", "state": "running"})["body"])
    assert (got["total_entries"], [run["dag_run_id"] for run in got["dag_runs"]]) == (12, ["r1"])


def test_dags_are_listed_as_airflow_lists_them(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: (200, {"dags": [{"dag_id": "a", "is_paused": False, "owners": ["x"]}], "total_entries": 1})
    got = json.loads(ask("GET", "/dags")["body"])
    assert got == {
        "dags": [{"dag_id": "a", "is_paused": False, "owners": ["x"], "fileloc": None, "last_parsed_time": None}],
        "total_entries": 1,
    }


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/dags", {"limt": "1"}, "'limt'; did you mean 'limit'?"),
        ("/dags", {"limit": "0"}, "from 1 to 100"),
        ("/dags", {"limit": "1e2"}, "'1e2'"),
        ("/dags", {"limit": "9" * 5000}, "from 1 to 100"),
        ("/dags", {"limit": "\u0663"}, "from 1 to 100"),
        ("/dags/a/dagRuns", {"state": "queued,running"}, "one of queued, running, success, failed"),
        ("/dags/a/dagRuns/b", {"x": "1"}, "'x'; this call has no query parameters"),
        ("/health", {"verbose": "true"}, "'verbose'"),
    ],
)
def test_query_parameters_are_refused_by_name(
    queue: str, mwaa: MwaaServer, path: str, query: dict[str, str], said: str
) -> None:
    answer = ask("GET", path, query=query)
    assert (answer["statusCode"], mwaa.asked) == (422, [])
    assert said in json.loads(answer["body"])["detail"]


def test_a_dry_run_checks_with_airflow_and_starts_nothing(queue: str, mwaa: MwaaServer) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, object]:
        return (200, {"dag_id": "ingest_orders"}) if asked["Path"] == "/dags/ingest_orders" else (404, {})

    mwaa.answer = answer
    path = "/dags/ingest_orders/dagRuns"
    got = ask("POST", path, query={"dry_run": "true"}, body={"dag_run_id": "r1", "conf": {"a": 1}})
    assert got["statusCode"] == 200
    assert json.loads(got["body"])["conf"] == {"a": 1}
    assert ask("POST", "/dags/nope/dagRuns", query={"dry_run": "true"})["statusCode"] == 404
    mwaa.answer = lambda _: (200, RUN)
    assert ask("POST", path, query={"dry_run": "true"}, body={"dag_run_id": "r1"})["statusCode"] == 409
    assert ask("POST", path, query={"dry_run": "yes"})["statusCode"] == 422
    assert queued(queue) == []


def test_a_caller_may_wait_until_airflow_has_the_run(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: (200, RUN)
    answer = post({"dag_run_id": "r1"}, prefer="wait=25")
    assert (answer["statusCode"], json.loads(answer["body"])["state"]) == (200, "running")
    assert answer["headers"]["Preference-Applied"] == "wait=25"
    assert len(queued(queue)) == 1


def test_a_caller_may_wait_for_the_end(queue: str, mwaa: MwaaServer) -> None:
    states = iter(["queued", "success"])
    mwaa.answer = lambda _: (200, {**RUN, "state": next(states)})
    answer = post({"dag_run_id": "r1"}, prefer="wait=25, state=final")
    assert (answer["statusCode"], json.loads(answer["body"])["state"]) == (200, "success")


def test_a_wait_in_vain_is_accepted_and_says_how_far_it_came(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: (200, RUN)
    answer = post({"dag_run_id": "r1"}, prefer="wait=1, state=final")
    assert (answer["statusCode"], json.loads(answer["body"])["state"]) == (202, "running")
    assert answer["headers"]["Retry-After"]
    assert "Preference-Applied" not in answer["headers"]


@pytest.mark.parametrize(
    ("because", "status"),
    [
        ("dag-not-found: Airflow has no DAG 'ingest_orders'.", 404),
        ("invalid-conf: 'day' is required.", 422),
        ("command-rejected: Airflow says no.", 502),
    ],
)
def test_a_wait_ends_with_the_dead_letter_and_says_why(queue: str, mwaa: MwaaServer, because: str, status: int) -> None:
    mwaa.answer = lambda asked: (200, {"dag_id": "ingest_orders"}) if "dagRuns" not in asked["Path"] else (404, {})
    ledger = Ledger(make_ledger_table())
    entry = Entry(
        id=event_id("ingest_orders", "r1"),
        trigger="http",
        kind="http",
        identity=(),
        decision="dead-lettered",
        because=because,
        decided_at=datetime.now(UTC) + timedelta(minutes=1),
    )

    def decide(parsed: dict[str, Any], **_more: object) -> None:
        ledger.record(replace(entry, message_id=parsed["MessageId"]))

    hooks = wired().sqs.meta.events
    hooks.register("after-call.sqs.SendMessage", decide)
    answer = post({"dag_run_id": "r1"}, prefer="wait=25")
    hooks.unregister("after-call.sqs.SendMessage", decide)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["type"]) == (status, f"urn:jetway:problem:{because.partition(':')[0]}")
    assert because in problem["detail"]
    assert "jetway redrive" in problem["detail"]
    # What became of an earlier call for the same run says nothing of this one.
    ledger.record(replace(entry, message_id="of that call"))
    assert post({"dag_run_id": "r1"}, prefer="wait=1")["statusCode"] == 202


def test_the_ledgers_id_of_a_call_is_the_dispatchers(queue: str) -> None:
    post({"dag_run_id": "r1"})
    (message,) = queued(queue)
    parsed = parse_message(message["Body"], sent_at=parse_time("2026-11-22T06:00:00Z"))
    assert event_id("ingest_orders", "r1") == entry_id(parsed.trigger.name, parsed.digest)


@IGNORED_ONCE
def test_a_wait_for_an_airflow_that_hangs_ends_in_time(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: hang(mwaa)
    answer = ask("POST", "/dags/a/dagRuns", headers={"prefer": "wait=25"})
    assert (answer["statusCode"], json.loads(answer["body"])["state"]) == (202, "accepted")
    assert len(queued(queue)) == 1


@IGNORED_ONCE
def test_a_question_to_an_airflow_that_hangs_is_answered_in_time(queue: str, mwaa: MwaaServer) -> None:
    mwaa.answer = lambda _: hang(mwaa)
    answer = ask("GET", "/dags")
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (503, "urn:jetway:problem:timeout")


@pytest.mark.parametrize(
    ("remaining", "waited", "left"),
    [
        (29.0, 0.1, 28.0),
        (29.0, 5.0, 24.0),  # a cold start of five seconds
        (4.0, 0.1, 3.0),
        (29.0, 29.5, 0.1),
        (29.0, -3.0, 28.0),  # clocks that differ
        (29.0, 90_000.0, 28.0),
    ],
)
def test_an_answer_is_given_before_api_gateway_gives_up(remaining: float, waited: float, left: float) -> None:
    assert seconds_left(remaining, 1000.0, 1000.0 + waited) == pytest.approx(left)


def test_a_queue_that_cannot_be_reached_is_a_problem_and_not_a_crash(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_queue(monkeypatch, "https://sqs.eu-central-1.amazonaws.com/123456789012/none.fifo")
    answer = post({})
    assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (503, "urn:jetway:problem:aws-unavailable")


@pytest.mark.parametrize(
    ("header", "preference"),
    [
        (None, Preference()),
        ("", Preference()),
        ("wait=25", Preference(25.0)),
        ("respond-async, wait=10", Preference(10.0)),
        ('WAIT="7" ; x=y , State=Final', Preference(7.0, final=True)),
        ("wait=100000000000", Preference(25.0)),
        ("wait=-1", Preference()),
        ("wait=soon, state=final", Preference(final=True)),
        ("wait=3, wait=9", Preference(3.0)),
    ],
)
def test_preferences_are_read_as_rfc_7240_has_them(header: str | None, preference: Preference) -> None:
    assert read_preference(header) == preference


@pytest.mark.parametrize("path", ["/dags", "/dags/a/dagRuns", "/dags/a/dagRuns/b", "/health"])
def test_nobody_is_refused_even_where_the_gateway_lets_them_in(queue: str, mwaa: MwaaServer, path: str) -> None:
    answer = ask("GET", path, nobody=True)
    assert (answer["statusCode"], mwaa.asked) == (401, [])
    assert answer["headers"]["WWW-Authenticate"]
