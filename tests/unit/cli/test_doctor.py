"""`jetway doctor` on a stack of moto's: what it asks, what it finds, how it ends."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jetway_cli.app import cli
from jetway_cli.doctor.checks import CHECKS, judge
from jetway_cli.doctor.collect.all import collect
from jetway_cli.doctor.command import addressed
from jetway_cli.stack import Target
from tests.unit.cli.conftest import REGION, STACK, Cloud, enforce_no_bucket_policy, tell_of_event_bridge
from tests.unit.cli.deployed_stack import client, deployed, put_triggers
from tests.unit.cli.lambda_server import LambdaServer
from tests.unit.cli.stack_faults import PLANTED, letting_in, physical
from tests.unit.mwaa_server import MwaaServer

READS = re.compile(r"(Get|List|Describe|Head|Simulate)[A-Z]\w+")
# They have names of doing, and do nothing: a load without any permission, a token, a question to Airflow.
HARMLESS = {"Invoke", "CreateCliToken", "InvokeRestApi"}
HEALTHY = {"status": "healthy", "environment": {}, "airflow": {}}


@pytest.fixture
def mwaa(monkeypatch: pytest.MonkeyPatch) -> Iterator[MwaaServer]:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    with MwaaServer(lambda _asked: (200, {"dags": []})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", server.url)
        yield server


@pytest.fixture
def functions(cloud: Cloud, mwaa: MwaaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaServer]:
    tell_of_event_bridge(monkeypatch)
    enforce_no_bucket_policy(monkeypatch)
    with deployed(cloud) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYV2", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", cloud.url)
        cloud.answers.append((200, HEALTHY))
        yield server


def found(jetway: Callable[..., Result], *args: str) -> dict[str, dict[str, str]]:
    document = json.loads(jetway("doctor", "--json", *args).stdout)
    return {one["id"]: one for one in document["checks"]}


def states(results: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is not ok. The CLI endpoint has no TLS here."""
    here = {"cli-round-trip"}
    return {name: one["state"] for name, one in results.items() if one["state"] != "ok" and name not in here}


def test_a_stack_that_is_well_has_nothing_broken(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    result = jetway("doctor", "--json")
    assert result.exit_code == 0, result.stdout
    document = json.loads(result.stdout)
    assert [one["id"] for one in document["checks"]] == list(CHECKS)
    assert states({one["id"]: one for one in document["checks"]}) == {}
    assert document["stack"] == "jetway"
    assert document["worst"] == "ok"


def test_it_only_reads(cloud: Cloud, functions: LambdaServer, mwaa: MwaaServer) -> None:
    """Every call of every client, and every request that goes past the clients."""
    target = Target(STACK, REGION, None, None)
    called: list[tuple[str, dict[str, Any]]] = []
    target.session.events.register(
        "before-parameter-build", lambda params, model, **_: called.append((model.name, dict(params)))
    )
    facts = collect(target)
    assert len(judge(facts)) == len(CHECKS)
    names = {name for name, _ in called}
    assert {name for name in names if not READS.fullmatch(name)} <= HARMLESS
    assert {params["Method"] for name, params in called if name == "InvokeRestApi"} == {"GET"}
    assert {params["FunctionName"] for name, params in called if name == "Invoke"} == {
        "jetway-ImportDagAirflow2",
        "jetway-ImportDagAirflow3",
    }
    assert [(call.method, call.path) for call in cloud.calls] == [("GET", "/api/health")]
    assert len(names) > 25  # so that the recording is known to record


# A stack takes its time to make, so that faults that have nothing to do with each other are planted together. What the
# environment is like decides what it means that Airflow does not answer.
APART = {
    "an Airflow that answers no REST call of the caller's",
    "an HTTP API that is ill",
    "an environment that updates",
    "an environment without SubnetIds",
}


def _together() -> list[list[str]]:
    groups: list[list[str]] = []
    for name, (_, expected) in PLANTED.items():
        for group in groups:
            taken = {check for other in group for check in PLANTED[other][1]}
            if not taken & expected.keys() and not (name in APART and APART & set(group)):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _marks(names: list[str]) -> Any:
    """One that nothing goes with is seen by the slow tests; of its check others are left, and test_doctor_checks.py."""
    return pytest.mark.slow if len(names) == 1 else ()


@pytest.mark.parametrize(
    "names",
    [pytest.param(names, marks=_marks(names), id=f"{names[0]} and {len(names) - 1} more") for names in _together()],
)
def test_planted_faults_are_found_and_nothing_else(
    names: list[str], cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer, mwaa: MwaaServer
) -> None:
    expected: dict[str, str] = {}
    for name in names:
        plant, of_it = PLANTED[name]
        plant(cloud, functions, mwaa)
        expected |= of_it
    results = found(jetway)
    assert states(results) == expected, [results[one]["seen"] for one in states(results)]


def test_a_triggers_lane_is_that_of_the_stacks_transport(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    cloud.parameters["Transport"] = "cli"
    assert "Rule jetway.orders was changed manually." in found(jetway)["triggers"]["seen"]
    put_triggers(cloud.outputs["AlarmTopicArn"], one_bulk_lane=True)
    cloud.answers.append((200, HEALTHY))
    assert found(jetway)["triggers"]["state"] == "ok"


def test_the_exit_code_is_1_when_something_is_broken_and_the_table_says_what_to_do(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    client("events").disable_rule(Name="jetway-DataDroppedRule")
    result = jetway("doctor")
    assert result.exit_code == 1
    assert "aws events enable-rule --name jetway-DataDroppedRule" in result.stdout
    assert result.stderr.endswith("Error: Broken: rules.\n")
    assert f"{len(CHECKS)} checks in" in result.stderr


def test_remedies_go_where_the_command_went(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("events").disable_rule(Name="jetway-DataDroppedRule")
    remedy = found(jetway, "--region", REGION)["rules"]["remedy"]
    assert remedy == f"aws --region {REGION} events enable-rule --name jetway-DataDroppedRule"
    assert addressed("aws s3 ls; see `jetway events`", " --endpoint-url u", " --stack b") == (
        "aws --endpoint-url u s3 ls; see `jetway events --stack b`"
    )


def test_another_stack_whose_name_begins_alike_is_not_looked_at(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    client("cloudwatch").put_metric_alarm(
        AlarmName="jetway-2-dead-letters",
        MetricName="DeadLetters",
        Namespace="Jetway",
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0.0,
        Period=60,
        EvaluationPeriods=1,
        ActionsEnabled=False,
    )
    client("cloudwatch").set_alarm_state(AlarmName="jetway-2-dead-letters", StateValue="ALARM", StateReason="so")
    assert states(found(jetway)) == {}


def test_what_a_service_cannot_answer_is_not_known_and_hides_no_fault(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    functions.lacks.add("recursion-config")
    results = found(jetway)
    assert states(results) == {"functions": "not known"}
    assert "GetFunctionRecursionConfig failed" in results["functions"]["seen"]
    next(iter(functions.functions.values()))["Timeout"] = 1
    cloud.answers.append((200, HEALTHY))
    assert states(found(jetway)) == {"functions": "broken"}


def test_an_environment_that_was_deleted_is_said_once(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MwaaServer() as gone:
        gone.gone = True
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", gone.url)
        results = found(jetway)
    assert results["environment-status"]["state"] == "broken"
    assert (
        "Environment 'acme' does not exist in eu-central-1 of account 123456789012."
        in results["environment-status"]["seen"]
    )
    assert results["environment-files"]["state"] == "not known"
    assert [name for name, one in results.items() if one["state"] == "broken"] == ["environment-status"]


def test_a_stack_that_is_not_jetways_is_not_judged(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    cloud.outputs.clear()
    cloud.outputs["EnvironmentName"] = "acme"
    result = jetway("doctor")
    assert result.exit_code == 3
    assert "Stack 'jetway' is not Jetway's: it has no output DropBucketName." in result.stderr


def test_the_policy_of_a_queue_that_has_one_is_judged_whole_and_put_back(
    cloud: Cloud, jetway: Callable[..., Result], functions: LambdaServer
) -> None:
    """To take it off, as what a queue without one is told, would keep EventBridge out."""
    policy = letting_in({"Service": "events.amazonaws.com"}, "Deny")
    client("sqs").set_queue_attributes(QueueUrl=physical(cloud, "TriggerSyncQueue"), Attributes={"Policy": policy})
    said = found(jetway)["queues"]
    assert (said["state"], "(TriggerSyncQueuePolicy) was changed manually" in said["seen"]) == ("broken", True)
    assert "aws:SourceArn" in said["remedy"]


def test_without_a_stack_it_ends_in_a_sentence(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    result = jetway("doctor", "--stack", "nope")
    assert result.exit_code == 3
    assert "Stack 'nope' does not exist in eu-central-1." in result.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_REGION": REGION}, "No AWS credentials found"),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}, "No AWS Region is set"),
        (
            {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-centrall-1"},
            "is not an AWS Region that this command knows. Did you mean 'eu-central-1'?",
        ),
    ],
)
def test_without_credentials_or_a_region_it_ends_in_a_sentence(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "JETWAY_")):
            monkeypatch.delenv(name)
    nothing = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), os.devnull)
    for name, value in {**nothing, "AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 3, result.exception
    assert said in result.stderr


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_FAILED", "REVIEW_IN_PROGRESS"])
def test_of_a_stack_that_never_was_whole_the_state_is_said_with_what_to_do(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """No output, and a role that AWS refused: other commands point to doctor, doctor says what to do."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", cloud.url)
    cloud.outputs.clear()
    cloud.status, cloud.resources = status, [("ValidateArtifactRole", "", "AWS::IAM::Role", "CREATE_FAILED")]
    other = jetway("triggers")
    assert other.exit_code == 3
    assert f"Stack 'jetway' is {status}, so it has no output DropBucketName. `jetway doctor` shows" in other.stderr
    result = jetway("doctor", "--json")
    assert result.exit_code == 1
    first, *rest = json.loads(result.stdout)["checks"]
    assert (first["id"], first["state"]) == ("stack-state", "broken")
    assert "ValidateArtifactRole" in first["seen"]
    assert first["remedy"]
    assert {one["state"] for one in rest} == {"not known"}
