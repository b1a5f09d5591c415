"""What MWAA asks of whoever calls its control plane, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.emulator.conftest import NAME, Launch, Running
from tools.emulator.gateway.callers import Need, Refusal, ask_local_aws, needs_of
from tools.emulator.gateway.server import Request

ARN = "arn:aws:airflow:eu-central-1:000000000000:environment/airflow"
BUCKET, KEY, ROLE = "arn:aws:s3:::bucket", "arn:aws:kms:eu-central-1:000000000000:key/k", "arn:aws:iam::1:role/r"


def asked(operation: str, *, key: str = "", **changes: Any) -> list[str]:
    """Actions and resources that are asked for, once each; of alternatives the first."""
    description = {"SourceBucketArn": BUCKET, **({"KmsKey": key} if key else {})}
    needs = needs_of(operation, ARN, description, changes)
    return list(dict.fromkeys(f"{need[0].action} {need[0].on}" for need in needs))


def test_an_operation_needs_itself_on_the_environment() -> None:
    assert asked("GetEnvironment") == [f"airflow:GetEnvironment {ARN}"]
    assert asked("CreateCliToken") == [f"airflow:CreateCliToken {ARN}"]
    assert asked("ListEnvironments") == ["airflow:ListEnvironments *"]


@pytest.mark.parametrize("operation", ["InvokeRestApi", "CreateWebLoginToken"])
def test_rest_needs_one_of_airflows_roles(operation: str) -> None:
    (alternatives,) = needs_of(operation, ARN, {}, {})
    roles = [need.on.rpartition(":role/")[2] for need in alternatives]
    assert roles == [f"airflow/{role}" for role in ("Admin", "Op", "User", "Viewer", "Public")]
    assert {need.action for need in alternatives} == {f"airflow:{operation}"}


def test_an_update_needs_what_it_touches_though_nothing_of_it_changes() -> None:
    network = [f"ec2:Describe{what} *" for what in ("Subnets", "Vpcs", "SecurityGroups")]
    always = [f"airflow:UpdateEnvironment {ARN}", *network, f"s3:GetEncryptionConfiguration {BUCKET}"]
    assert asked("UpdateEnvironment", MaxWorkers=3) == always
    keys = [f"kms:{action} {KEY}" for action in ("DescribeKey", "ListGrants", "CreateGrant")]
    assert asked("UpdateEnvironment", key=KEY) == [*always, *keys]
    assert asked("UpdateEnvironment", ExecutionRoleArn=ROLE) == [*always, f"iam:PassRole {ROLE}"]


def test_what_mwaa_asks_for_it_asks_in_either_way() -> None:
    needs = [need for (need,) in needs_of("UpdateEnvironment", ARN, {"SourceBucketArn": BUCKET}, {})]
    ways = [need.context["aws:viaawsservice"] for need in needs if need.action == "ec2:DescribeVpcs"]
    assert ways == ["true", "false"]


CALLS: list[Callable[[Running], object]] = [
    lambda gateway: gateway.mwaa.get_environment(Name=NAME),
    lambda gateway: gateway.mwaa.update_environment(Name=NAME, MaxWorkers=3),
    lambda gateway: gateway.mwaa.create_cli_token(Name=NAME),
    lambda gateway: gateway.mwaa.create_web_login_token(Name=NAME),
    lambda gateway: gateway.mwaa.invoke_rest_api(Name=NAME, Method="GET", Path="/dags"),
    lambda gateway: gateway.mwaa.get_environment(Name="of-nobody"),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_operation_asks_first_and_says_what_is_missing(launch: Launch, call: Callable[[Running], object]) -> None:
    heard: list[Sequence[Sequence[Need]]] = []

    def ask(_request: Request, needs: Sequence[Sequence[Need]]) -> Refusal | None:
        heard.append(needs)
        return Refusal(403, "AccessDeniedException", f"not authorized to perform: {needs[0][0].action}")

    gateway = launch(ask=ask)
    with pytest.raises(ClientError) as caught:
        call(gateway)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "not authorized to perform: airflow:" in caught.value.response["Error"]["Message"]
    assert len(heard) == 1


def test_a_local_aws_that_does_not_answer_lets_nobody_do_anything() -> None:
    refusal = ask_local_aws("http://127.0.0.1:1", "eu-central-1")(Request("GET", "/environments/airflow"), [])
    assert refusal is not None
    assert refusal.status == 500
