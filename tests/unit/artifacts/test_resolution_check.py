"""The gate resolves requirements.txt by a function of its own, and keeps which modules it brings."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.resolve_requirements import app
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.requirements.contents import Contents
from jetway.artifacts.requirements.requirements_file import check_requirements
from jetway.artifacts.requirements.resolver_client import ResolverResponse, ask_function
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest
from jetway.artifacts.resolution_check import KEPT, Resolver

from .buckets import DROP, LIVE, Buckets
from .judging import AIRFLOW_3, rules
from .zips import wheel, zip_of

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONTENT = (
    b'--constraint "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.1/constraints-3.12.txt"\nmine==1\n'
)
QUESTION = ResolutionRequest(("mine==1",), ("celery==5.6.3",), "3.12.13")
TOLD = ResolverResponse(
    Resolution("resolved", "", {"mine": "1", "below": "2"}, {"mine": "https://x/mine.whl"}),
    {"mine": Contents({"my_module": "clean load", "my_module.io": None}, {"mine": "my_module.decorators.mine_task"})},
)


def static(content: bytes) -> Judgement:
    return check_requirements(Candidate("requirements.txt", len(content), content), AIRFLOW_3)


def resolver(world: Buckets, told: ResolverResponse | None, asked: list[Any] | None = None) -> Resolver:
    def ask(question: ResolutionRequest, known: frozenset[str]) -> ResolverResponse:
        if asked is not None:
            asked.append((question, known))
        assert told is not None
        return told

    return Resolver(world.s3, DROP, ask if told else None, index_url="https://index.example")


def test_what_it_brings_is_provided_from_then_on(world: Buckets) -> None:
    asked: list[Any] = []
    found = resolver(world, TOLD, asked)
    before = found.provided(AIRFLOW_3)
    assert ("my_module" in before["inventory"]["contents"], "below" in before["unlisted"]) == (False, False)
    assert found.judge(CONTENT, AIRFLOW_3, static(CONTENT)).verdict == "accepted"
    ((question, known),) = asked
    assert (question.requirements, question.index_url) == (("mine==1",), "https://index.example")
    assert any(one.startswith("boto3==1.") for one in known)
    after = found.provided(AIRFLOW_3)
    assert after["inventory"]["contents"]["my_module"] == "clean load"
    assert after["inventory"]["decorators"]["mine"] == "my_module.decorators.mine_task"
    assert "below" in after["unlisted"], "its wheel was not read"
    assert "what mine needs" not in after["unlisted"], "all that is needed is known by name"


def test_a_conflict_rejects_and_is_not_kept(world: Buckets) -> None:
    told = ResolverResponse(Resolution("conflict", "Because you require mine==1 and mine==2, …"))
    judged = resolver(world, told).judge(CONTENT, AIRFLOW_3, static(CONTENT))
    assert (judged.verdict, rules(judged)) == ("rejected", [("unresolvable", 2)])
    assert KEPT not in world.keys(DROP)


def test_without_a_function_the_names_are_kept_and_the_verdict_is_open(world: Buckets) -> None:
    found = resolver(world, None)
    judged = found.judge(CONTENT, AIRFLOW_3, static(CONTENT))
    assert (judged.verdict, rules(judged)) == ("unknown", [("not-resolved", None)])
    assert {"mine", "what mine needs"} <= set(found.provided(AIRFLOW_3)["unlisted"])


def test_a_requirements_file_that_never_came_by_the_gate_counts_too(world: Buckets) -> None:
    version = world.s3.put_object(Bucket=LIVE, Key="r.txt", Body=b"scikit-learn==1\nmine==2\n")["VersionId"]
    facts = replace(AIRFLOW_3, requirements_path="r.txt", requirements_version=version, source_bucket=LIVE)
    found = resolver(world, None).provided(facts)
    assert ("sklearn" in found["modules"], "mine" in found["unlisted"]) == (True, True)
    assert {"what mine needs", "what scikit-learn needs"} <= set(found["unlisted"])


def test_it_is_remembered_for_a_minute(world: Buckets) -> None:
    now = [0.0]
    found = Resolver(world.s3, DROP, None, clock=lambda: now[0])
    found.provided(AIRFLOW_3)
    # As versions before this one wrote it.
    world.s3.put_object(Bucket=DROP, Key=KEPT, Body=json.dumps({"required": ["mine"], "modules": {}}).encode())
    assert "mine" not in found.provided(AIRFLOW_3)["unlisted"]
    now[0] = 61.0
    assert "mine" in found.provided(AIRFLOW_3)["unlisted"]


OFFLINE = b"--no-index\n--find-links /usr/local/airflow/plugins\n-c /usr/local/airflow/plugins/c.txt\nmine==1\n"


@pytest.mark.parametrize("bucket", [DROP, LIVE])
def test_wheels_are_looked_for_in_the_plugins_zip_of_the_buckets(world: Buckets, bucket: str) -> None:
    facts = replace(AIRFLOW_3, source_bucket=LIVE)
    before = resolver(world, None).judge(OFFLINE, facts, static(OFFLINE))
    assert (before.verdict, rules(before)) == ("unknown", [("wheels-not-seen", 4)])
    put_plugins(world, bucket, wheel("mine", "2"), ("c.txt", b"# none"))
    missing = resolver(world, None).judge(OFFLINE, facts, static(OFFLINE))
    assert (missing.verdict, rules(missing)) == ("unknown", [("wheel-missing", 4), ("not-resolved", None)])
    put_plugins(world, bucket, wheel("mine", "1"))
    missing = resolver(world, None).judge(OFFLINE, facts, static(OFFLINE))
    assert ("constraint-missing", 3) in rules(missing)
    world.s3.put_object(Bucket=bucket, Key="plugins.zip", Body=b"broken")
    assert resolver(world, None).judge(OFFLINE, facts, static(OFFLINE)).verdict == "unknown"


def put_plugins(world: Buckets, bucket: str, *files: tuple[str, bytes]) -> None:
    world.s3.put_object(Bucket=bucket, Key="plugins.zip", Body=zip_of(list(files)))


def test_uv_is_asked_with_the_wheels_of_plugins_zip_and_what_is_installed(world: Buckets) -> None:
    put_plugins(world, DROP, wheel("mine", "1", "base", "other @ https://example.org/o.whl"), ("c.txt", b"base<2 # x"))
    asked: list[ResolutionRequest] = []

    def ask(question: ResolutionRequest, _known: frozenset[str]) -> ResolverResponse:
        asked.append(question)
        return ResolverResponse(Resolution("not-found", "mine==1 depends on base, and there is none"))

    judged = Resolver(world.s3, DROP, ask).judge(OFFLINE, AIRFLOW_3, static(OFFLINE))
    (question,) = asked
    assert (question.requirements, question.no_index, question.constraint_urls) == (("mine==1",), True, ())
    assert "base<2" in question.constraints
    assert question.wheels["mine-1-py3-none-any.whl"] == (
        "Metadata-Version: 2.1\nName: mine\nVersion: 1\nRequires-Dist: base\n"
    )
    assert "celery-5.6.3-py3-none-any.whl" in question.wheels
    # The plugins.zip that has it may be on its way.
    assert (judged.verdict, rules(judged)) == ("unknown", [("unresolvable", 4)])
    assert [finding.severity for finding in judged.findings] == ["warning"]


def test_a_wheel_by_its_path_is_resolved_with_what_it_depends_on(world: Buckets) -> None:
    put_plugins(world, DROP, wheel("mine", "1", "base"))
    content = b"# -c none\n/usr/local/airflow/plugins/mine-1-py3-none-any.whl\n"
    asked: list[ResolutionRequest] = []

    def ask(question: ResolutionRequest, _known: frozenset[str]) -> ResolverResponse:
        asked.append(question)
        return ResolverResponse(Resolution("resolved"))

    judged = Resolver(world.s3, DROP, ask).judge(content, AIRFLOW_3, static(content))
    assert judged.verdict == "accepted"
    assert [(question.requirements, list(question.wheels), question.no_index) for question in asked] == [
        (("mine==1",), ["psycopg2-2.9.12-py3-none-any.whl", "mine-1-py3-none-any.whl"], False)
    ]


@pytest.fixture
def client() -> LambdaClient:
    return boto3.client("lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def reply(body: object) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(content), len(content))}


def ask(client: LambdaClient, response: dict[str, Any]) -> ResolverResponse:
    with Stubber(client) as stubber:
        expected = {
            "FunctionName": "resolve",
            "Payload": json.dumps(
                {
                    "requirements": ["mine==1"],
                    "constraints": ["celery==5.6.3"],
                    "python": "3.12.13",
                    "constraint_urls": [],
                    "index_url": None,
                    "extra_index_urls": [],
                    "prerelease": False,
                    "wheels": {},
                    "no_index": False,
                    "allowed": [],
                    "known": ["boto3"],
                }
            ).encode(),
        }
        stubber.add_response("invoke", response, expected)
        told = ask_function(client, "resolve", QUESTION, frozenset({"boto3"}))
        stubber.assert_no_pending_responses()
        return told


def test_the_function_is_asked_and_its_answer_read(client: LambdaClient) -> None:
    answer = {"status": "resolved", "said": "", "versions": {"mine": "1"}, "wheels": {}}
    contents = {"mine": {"modules": {"m": "a b", "m.c": None}}}
    expected = ResolverResponse(
        Resolution("resolved", "", {"mine": "1"}), {"mine": Contents({"m": "a b", "m.c": None})}
    )
    assert ask(client, reply(answer | {"contents": contents})) == expected


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (reply({"errorMessage": "Task timed out after 60.00 seconds"}) | {"FunctionError": "Unhandled"}, "timed out"),
        (reply(b"<html>") | {"FunctionError": "Unhandled"}, "without a reason"),
        (reply(b"no json"), "cannot be read"),
        (reply({"status": "maybe"}), "cannot be read"),
        (reply([]), "cannot be read"),
    ],
)
def test_a_function_that_fails_is_no_fault_of_the_file(
    client: LambdaClient, response: dict[str, Any], words: str
) -> None:
    told = ask(client, response)
    assert told.answer.status == "not-resolved"
    assert words in told.answer.said


def test_lambda_in_trouble_is_worth_another_try(client: LambdaClient) -> None:
    with Stubber(client) as stubber:
        stubber.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
        with pytest.raises(ClientError):
            ask_function(client, "resolve", QUESTION, frozenset())
        stubber.add_client_error("invoke", "ResourceNotFoundException", http_status_code=404)
        assert ask_function(client, "resolve", QUESTION, frozenset()).answer.status == "not-resolved"


def test_the_handler_answers_in_json_with_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at that index: what uv cannot tell is an answer as well."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    event = json.loads(json.dumps({"requirements": ["mine==1"], "constraints": [], "python": "3.12.13", "known": []}))
    context: Any = SimpleNamespace()
    answer = app.handler(event | {"index_url": "http://127.0.0.1:9/"}, context)
    assert (answer["status"], answer["contents"]) == ("not-resolved", {})
    assert json.loads(json.dumps(answer)) == answer
