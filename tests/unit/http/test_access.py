"""access.yaml: which callers may start and see which DAGs; the file, the list in force, and every route."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import jsonschema
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.documents.json_schema import problems
from jetway.http import access_file
from jetway.http.access import AccessList, Grant
from jetway.http.access_file import parse_access
from jetway.http.access_lists import ACCEPTED_ACCESS, LONGEST_AGE, MAX_AGE, AccessLists
from jetway.http.callers import Caller, caller_of
from jetway.http.webhooks import ACCEPTED_TRIGGERS
from jetway.wiring.http_api import wired
from tests.unit.http.function import DROP, ask, in_process, queued
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import ROOT

ROLE = "arn:aws:iam::111122223333:role/teams/finance/billing"
SESSION = "arn:aws:sts::111122223333:assumed-role/billing/i-0abc"
TEXT = f"""\
# who may what
allow:
  - iam: {ROLE}
    dags: [invoice_*, refunds]
  - jwt: {{groups: data-team}}
    dags: ["*"]
    only: read
"""


def iam(arn: str) -> Caller:
    return caller_of({"requestContext": {"authorizer": {"iam": {"userArn": arn}}}})


def jwt(**claims: str) -> Caller:
    claims = {"iss": "https://issuer", "sub": "ann", **claims}
    return caller_of({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}})


def grants(**entry: Any) -> AccessList:
    return AccessList.of({"allow": [{"dags": ["a*"], **entry}]})


@pytest.mark.parametrize(
    ("arn", "caller", "fits"),
    [
        (ROLE, SESSION, True),
        ("arn:aws:iam::111122223333:role/billing", SESSION, True),
        (SESSION, SESSION, True),
        ("arn:aws:sts::111122223333:assumed-role/billing", SESSION, True),
        (SESSION, SESSION.replace("i-0abc", "i-0abcd"), False),
        ("arn:aws:iam::111122223333:role/bill", SESSION, False),
        ("arn:aws:iam::444455556666:role/billing", SESSION, False),
        ("arn:aws-cn:iam::111122223333:role/billing", SESSION, False),
        ("arn:aws:iam::111122223333:user/billing", SESSION, False),
        ("arn:aws:iam::111122223333:user/a/ann", "arn:aws:iam::111122223333:user/a/ann", True),
        ("arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/a/ann", False),
        ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root", True),
        ("arn:aws:iam::111122223333:root", SESSION, False),
    ],
)
def test_a_role_is_meant_with_all_its_sessions_and_nobody_else(arn: str, caller: str, *, fits: bool) -> None:
    assert grants(iam=arn).reach_of(iam(caller)).allows("start", "abc") == fits


@pytest.mark.parametrize(
    ("wanted", "claims", "fits"),
    [
        ({"sub": "ann"}, {}, True),
        ({"sub": "an"}, {}, False),
        ({"groups": "data-team"}, {"groups": "[ops data-team]"}, True),
        ({"groups": "data"}, {"groups": "[ops data-team]"}, False),
        ({"groups": "data-team"}, {"groups": "data-team"}, True),
        ({"scope": "runs/start"}, {"scope": "openid runs/start"}, True),
        ({"sub": "ann", "groups": "ops"}, {"groups": "[data]"}, False),
        ({"sub": "ann", "groups": "ops"}, {"groups": "[ops]"}, True),
        ({"tenant": "x"}, {}, False),
        # What names one thing is no list, whatever it looks like.
        ({"sub": "ann"}, {"sub": "[mallory ann]"}, False),
        ({"preferred_username": "ann"}, {"preferred_username": "[mallory ann]"}, False),
        ({"email": "ann@example.com"}, {"email": "[m@example.com ann@example.com]"}, False),
        ({"client_id": "etl"}, {"client_id": "[etl]"}, False),
        # A comma is part of a name: API Gateway writes none between members.
        ({"groups": "data-team"}, {"groups": "[x,data-team]"}, False),
    ],
)
def test_a_token_needs_every_claim(wanted: dict[str, str], claims: dict[str, str], *, fits: bool) -> None:
    reach = grants(jwt=wanted).reach_of(jwt(**claims))
    assert reach.allows("start", "abc") == fits
    assert not grants(jwt=wanted).reach_of(iam(SESSION)).allows("start", "abc")


def test_a_role_whose_name_is_a_subject_is_not_that_subject() -> None:
    assert not grants(iam=ROLE).reach_of(jwt(sub=ROLE)).allows("read", "abc")


@pytest.mark.parametrize(
    ("pattern", "dag_id", "covers"),
    [
        ("*", "anything", True),
        ("invoice_*", "invoice_", True),
        ("invoice_*", "my_invoice_1", False),
        ("*_daily", "x_daily", True),
        ("A", "a", False),
        ("a.b", "aXb", False),
    ],
)
def test_patterns_know_one_special_character(pattern: str, dag_id: str, *, covers: bool) -> None:
    assert Grant(ROLE, {}, (pattern,)).covers(dag_id, "start") == covers


def test_entries_add_up_and_read_only_starts_nothing() -> None:
    both = AccessList.of(
        {"allow": [{"iam": ROLE, "dags": ["a"]}, {"iam": ROLE, "dags": ["*"], "only": "read"}]}
    ).reach_of(iam(SESSION))
    assert (both.allows("start", "a"), both.allows("start", "b"), both.allows("read", "b")) == (True, False, True)
    assert not both.is_limited
    assert both.allows("read", None)


def test_without_a_list_everybody_who_is_let_in_may_do_everything() -> None:
    reach = AccessList.of(None).reach_of(iam(SESSION))
    assert reach.allows("start", "a")
    assert not reach.is_limited


def test_the_file_becomes_a_list() -> None:
    parsed = parse_access(TEXT.encode())
    assert (parsed.judgement.verdict, parsed.judgement.findings) == ("accepted", ())
    found = AccessList.of(parsed.document)
    assert found.reach_of(iam(SESSION)).allows("start", "invoice_1")
    assert not found.reach_of(iam(SESSION)).allows("read", "orders")
    assert not found.reach_of(jwt(groups="[data-team]")).allows("start", "orders")


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("", "yaml", 1),
        ("allow: []", "wrong-value", 1),
        ("allow:\n- iam: billing\n  dags: [a]", "wrong-value", 2),
        (f"allow:\n- iam: {ROLE}\n  dag: [a]", "unknown-key", 3),
        (f"allow:\n- iam: {ROLE}\n  dags: a", "wrong-type", 3),
        (f"allow:\n- iam: {ROLE}\n  jwt: {{sub: a}}\n  dags: [a]", "wrong-keys", 2),
        (f"allow:\n- iam: {ROLE}\n  dags: ['a[bc]']", "wrong-value", 3),
        (f"allow:\n- iam: {ROLE}\n  dags: [a]\n  only: start", "wrong-value", 4),
        ("allow:\n- jwt: {groups: '[a b]'}\n  dags: [a]", "wrong-value", 2),
        ("allow:\n\t- x", "yaml", 2),
        ("#" + "x" * 70_000, "too-large", 1),
        ("allow: \udc80", "encoding", 1),
    ],
)
def test_a_broken_file_is_told_what_is_wrong_where(text: str, rule: str, line: int) -> None:
    parsed = parse_access(text.encode("utf-8", "surrogateescape"))
    assert (parsed.document, parsed.judgement.verdict) == (None, "rejected")
    assert (rule, line) in {(found.rule, found.line) for found in parsed.judgement.findings}
    assert all(found.remedy for found in parsed.judgement.findings)


def test_the_published_schema_is_the_one_that_is_used() -> None:
    published = json.loads((ROOT / "docs" / "schemas" / "access.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == access_file.schema()


ENTRIES = st.dictionaries(
    st.sampled_from(["iam", "jwt", "dags", "only", "dag"]),
    st.sampled_from([ROLE, SESSION, "x", "read", 1, None, {}, {"sub": "a"}, {"sub": ""}, [], ["a*"], ["a b"], [1]]),
)


@settings(deadline=None, max_examples=300)
@given(st.fixed_dictionaries({"allow": st.lists(ENTRIES) | st.none()}) | ENTRIES)
def test_the_schema_and_jetway_agree(document: Mapping[str, Any]) -> None:
    valid = jsonschema.Draft202012Validator(access_file.schema()).is_valid(document)
    assert (problems(document, access_file.schema()) == []) == valid


def test_a_list_counts_for_a_while_and_not_for_ever_when_s3_is_away() -> None:
    s3 = boto3.client("s3", region_name="eu-central-1")
    now = [1000.0]
    lists = AccessLists(s3, DROP, clock=lambda: now[0])
    with Stubber(s3) as stub:
        stub.add_client_error("get_object", "NoSuchKey")
        assert lists.current().grants is None
        assert lists.current().grants is None  # remembered
        for age in (MAX_AGE, LONGEST_AGE - 1):
            now[0] = 1000 + age
            stub.add_client_error("get_object", "SlowDown")
            assert lists.current().grants is None
        now[0] = 1000 + LONGEST_AGE
        stub.add_client_error("get_object", "SlowDown")
        with pytest.raises(ClientError):
            lists.current()
        stub.assert_no_pending_responses()


# ------------------------------------------------------------------------------------------------ every route
@pytest.fixture
def mwaa() -> Iterator[MwaaServer]:
    with MwaaServer() as server:
        yield server


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, mwaa: MwaaServer) -> Iterator[str]:
    with in_process(monkeypatch, AWS_ENDPOINT_URL_MWAA=mwaa.url) as queue:
        allow(TEXT)
        yield queue


def allow(text: str | None) -> None:
    document = parse_access(text.encode()).document if text else None
    content = json.dumps({"format": "jetway-access/1", "document": document})
    boto3.client("s3").put_object(Bucket=DROP, Key=ACCEPTED_ACCESS, Body=content.encode())
    wired().forget()


BILLING = {"iam": {"userArn": SESSION}}
READER = {"jwt": {"claims": {"iss": "https://issuer", "sub": "ann", "groups": "[data-team]"}}}
STRANGER = {"iam": {"userArn": "arn:aws:iam::111122223333:user/eve"}}
RUN = {"dag_id": "invoice_1", "dag_run_id": "r1", "state": "running", "logical_date": None}


def test_who_may_not_start_a_dag_is_told_what_to_do_and_nothing_is_asked_or_queued(
    queue: str, mwaa: MwaaServer
) -> None:
    path = "/dags/orders/dagRuns"
    for query in ({}, {"dry_run": "true"}):
        answer = ask("POST", path, query=query, authorizer=BILLING)
        problem = json.loads(answer["body"])
        assert (answer["statusCode"], problem["type"]) == (403, "urn:jetway:problem:dag-not-allowed")
        assert "{iam: arn:aws:iam::111122223333:role/billing, dags: [orders]}" in problem["detail"]
    for caller in (STRANGER, READER):
        assert ask("POST", "/dags/invoice_1/dagRuns", authorizer=caller)["statusCode"] == 403
    assert (queued(queue), mwaa.asked) == ([], [])
    assert ask("POST", "/dags/invoice_1/dagRuns", authorizer=BILLING)["statusCode"] == 202
    assert len(queued(queue)) == 1


@pytest.mark.parametrize("path", ["/dags/{}/dagRuns", "/dags/{}/dagRuns/r1"])
def test_runs_are_shown_to_who_may_see_the_dag(queue: str, mwaa: MwaaServer, path: str) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, object]:
        run = {**RUN, "dag_id": asked["Path"].split("/")[2]}
        return 200, {**run, "dag_runs": [run], "total_entries": 1}

    mwaa.answer = answer
    assert ask("GET", path.format("orders"), authorizer=BILLING)["statusCode"] == 403
    assert ask("GET", path.format("invoice_1"), authorizer=STRANGER)["statusCode"] == 403
    assert mwaa.asked == []
    for dag_id, caller in (("invoice_1", BILLING), ("orders", READER)):
        assert ask("GET", path.format(dag_id), authorizer=caller)["statusCode"] == 200


def test_an_encoded_dag_id_is_no_way_around(queue: str, mwaa: MwaaServer) -> None:
    for spelled in ("%6Frders", "orders%2F..%2Finvoice_1"):
        assert ask("GET", f"/dags/{spelled}/dagRuns", authorizer=BILLING)["statusCode"] == 403
    assert mwaa.asked == []


def test_a_trigger_is_started_by_who_may_start_its_dag(queue: str) -> None:
    documents = {"bill": "invoice_1", "sell": "orders"}
    on = {"http": {"auth": "iam"}}
    triggers = {name: {"name": name, "document": {"on": on, "dag": dag}} for name, dag in documents.items()}
    body = json.dumps({"format": "jetway-triggers/1", "triggers": triggers}).encode()
    boto3.client("s3").put_object(Bucket=DROP, Key=ACCEPTED_TRIGGERS, Body=body)
    assert ask("POST", "/triggers/bill", authorizer=BILLING)["statusCode"] == 202
    assert ask("POST", "/triggers/sell", authorizer=BILLING)["statusCode"] == 403
    assert len(queued(queue)) == 1


def test_lists_leave_out_what_the_caller_may_not_see(queue: str, mwaa: MwaaServer) -> None:
    names = [f"{kind}_{number:03}" for number in range(120) for kind in ("invoice", "orders")]

    def answer(asked: dict[str, Any]) -> tuple[int, object]:
        query = asked["QueryParameters"]
        page = names[query.get("offset", 0) :][: query["limit"]]
        return 200, {"dags": [{"dag_id": name, "is_paused": False} for name in page], "total_entries": len(names)}

    mwaa.answer = answer
    got = json.loads(ask("GET", "/dags", query={"limit": "2", "offset": "118"}, authorizer=BILLING)["body"])
    assert ([dag["dag_id"] for dag in got["dags"]], got["total_entries"]) == (["invoice_118", "invoice_119"], 120)
    assert json.loads(ask("GET", "/dags", authorizer=STRANGER)["body"]) == {"dags": [], "total_entries": 0}
    assert json.loads(ask("GET", "/dags", authorizer=READER)["body"])["total_entries"] == 240


def test_reports_leave_out_what_the_caller_may_not_see(queue: str) -> None:
    s3 = boto3.client("s3")
    for name in ("invoice_1", "orders", None):
        report = {
            "path": f"dags/{name}.py",
            "dags": [{"dag_id": name, "line": 1, "certainty": "exact"}] if name else [],
        }
        s3.put_object(Bucket=DROP, Key=f"reports/dags/{name}.py/latest.json", Body=json.dumps(report).encode())
    got = json.loads(ask("GET", "/artifacts", authorizer=BILLING)["body"])
    assert ([report["path"] for report in got["artifacts"]], got["total_entries"]) == (["dags/invoice_1.py"], 1)
    assert json.loads(ask("GET", "/artifacts", authorizer=STRANGER)["body"])["artifacts"] == []
    assert len(json.loads(ask("GET", "/artifacts", authorizer=READER)["body"])["artifacts"]) == 3


def test_without_a_list_in_force_all_is_as_iam_says(queue: str, mwaa: MwaaServer) -> None:
    allow(None)
    assert ask("POST", "/dags/orders/dagRuns", authorizer=STRANGER)["statusCode"] == 202


def test_a_list_that_cannot_be_read_lets_nobody_in(queue: str) -> None:
    s3 = boto3.client("s3")
    for key in s3.list_objects_v2(Bucket=DROP)["Contents"]:
        s3.delete_object(Bucket=DROP, Key=key["Key"])
    s3.delete_bucket(Bucket=DROP)
    wired().forget()
    answer = ask("POST", "/dags/invoice_1/dagRuns", authorizer=BILLING)
    assert (answer["statusCode"], queued(queue)) == (503, [])


def test_health_and_pages_belong_to_no_dag(queue: str) -> None:
    assert "environment" in json.loads(ask("GET", "/health", authorizer=STRANGER)["body"])
    assert ask("GET", "/", authorizer=STRANGER)["statusCode"] == 200
