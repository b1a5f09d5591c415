"""environment.yaml on the local stack, as far as that knows the types; docs/environments.md names the others."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from tests.unit.template.test_environment import REFUSED
from tools import venvs
from tools.aws.aws_deploy import ENVIRONMENTS, SAMCONFIG, handed_on, key_of_bucket, read_environment, read_profile
from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.examples.fixture import unique
from tools.stack.calls import wait_for
from tools.stack.stack import Stack

SOURCE = (venvs.ROOT / "environment.yaml").read_text(encoding="utf-8")
PAGE = (venvs.ROOT / "docs" / "environments.md").read_text(encoding="utf-8")


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, as the long ones."""


def _long(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", _long)


def refused_types(stack: Stack) -> set[str]:
    """What this CloudFormation does not know, in its own words."""
    try:
        stack.client("cloudformation").create_stack(
            StackName=f"refused-{unique()}",
            TemplateBody=SOURCE,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as exc:
        (listed,) = re.findall(r"Unrecognized resource types: \[(.*)\]", str(exc))
        return set(listed.split(", "))
    raise AssertionError("every type is known: deploy the template itself")


def without(types: set[str]) -> dict[str, Any]:
    """The template without resources of these types, and without what needs them."""
    template: dict[str, Any] = yaml.load(SOURCE, Loader)
    resources = template["Resources"]
    template["Outputs"]["EnvironmentName"]["Value"] = {"Ref": "EnvironmentName"}  # what a Ref of the environment gives
    gone: set[str] = set()
    while True:
        more = {
            name
            for name, found in resources.items()
            if name not in gone
            and not name.startswith("Fn::ForEach")
            and (found["Type"] in types or names_any(found.get("Properties", {}), gone))
        }
        if not more:
            break
        gone |= more
    for name in gone:
        del resources[name]
    for name in [name for name, found in template["Outputs"].items() if names_any(found, gone)]:
        del template["Outputs"][name]
    return template


def names_any(part: Any, names: set[str]) -> bool:
    """Whether a part of the template refers to one of these resources."""
    if isinstance(part, list):
        return any(names_any(item, names) for item in part)
    if not isinstance(part, dict):
        return False
    target = part.get("Ref") or (part.get("Fn::GetAtt") or [None])[0]
    text = part.get("Fn::Sub")
    return (
        target in names
        or (isinstance(text, str) and any(name.split(".")[0] in names for name in re.findall(r"\$\{([^}]+)\}", text)))
        or any(names_any(item, names) for item in part.values())
    )


@pytest.fixture(scope="module")
def known(stack: Stack) -> str:
    return json.dumps(without(refused_types(stack)))


def in_region(stack: Stack, service: str, region: str) -> Any:
    """Return a client of that Region of the local stack."""
    make: Any = boto3.client  # its stubs know service names as literals only
    return make(
        service,
        endpoint_url=stack.endpoint,
        region_name=region,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def deploy(
    stack: Stack, template: str, parameters: Mapping[str, str], *, name: str = "", region: str = REGION
) -> tuple[str, dict[str, str]]:
    """Create a stack; return its name and its resources, logical id → physical id."""
    client, name = in_region(stack, "cloudformation", region), name or f"environment-{unique()}"
    client.create_stack(
        StackName=name,
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    def look() -> str | None:
        status = client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return None if status.endswith("IN_PROGRESS") else status

    assert wait_for("the stack", look, seconds=60) == "CREATE_COMPLETE"
    listed = client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return name, {found["LogicalResourceId"]: found["PhysicalResourceId"] for found in listed}


@pytest.mark.slow
@pytest.mark.parametrize("template", ["template.yaml", "environment.yaml"])
def test_sam_validate_finds_nothing(template: str) -> None:
    done = subprocess.run(
        [venvs.ensure("sam").with_name("sam"), "validate", "--lint", "--template", template, "--region", REGION],
        cwd=venvs.ROOT,
        env={**os.environ, **CREDENTIALS, "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_the_page_names_what_could_not_be_tried(stack: Stack) -> None:
    (listed,) = re.findall(r"<!-- not tried -->\n(.*?)\n\n", PAGE, re.DOTALL)
    assert refused_types(stack) == set(re.findall(r"`(AWS::\w+::\w+)`", listed))


def test_a_new_environments_parts_are_closed_versioned_encrypted_and_in_two_zones(stack: Stack, known: str) -> None:
    name, found = deploy(stack, known, {"EnvironmentName": "acme"})
    subnets = stack.client("ec2").describe_subnets(SubnetIds=[found["PrivateSubnet1"], found["PrivateSubnet2"]])
    assert len({subnet["AvailabilityZone"] for subnet in subnets["Subnets"]}) == 2
    s3, bucket = stack.client("s3"), found["Bucket"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    policy = json.loads(stack.client("kms").get_key_policy(KeyId=found["Key"], PolicyName="default")["Policy"])
    assert {statement["Sid"] for statement in policy["Statement"]} == {
        "AccountAdministersAndDelegatesByIam",
        "CloudWatchLogsEncryptsTheLogGroups",
    }
    assert "InternetGateway" in found
    assert [logical for logical in found if "Endpoint" in logical] == ["S3Endpoint"]
    told = handed_on(stack.client("cloudformation"), name)
    assert (told["EnvironmentName"], told["EnvironmentBucketName"]) == ("acme", bucket)
    assert told["EnvironmentKmsKeyArn"].endswith(found["Key"])
    assert "SubnetIds" not in told  # a public web server is reached from outside


def test_without_a_nat_there_are_endpoints_and_a_private_web_server_takes_jetway_into_the_vpc(
    stack: Stack, known: str
) -> None:
    parameters = {"EnvironmentName": "inside", "Egress": "endpoints", "WebserverAccessMode": "PRIVATE_ONLY"}
    name, found = deploy(stack, known, parameters)
    endpoints = stack.client("ec2").describe_vpc_endpoints(
        VpcEndpointIds=[physical for logical, physical in found.items() if "Endpoint" in logical]
    )["VpcEndpoints"]
    assert {endpoint["ServiceName"].split(".", 3)[3] for endpoint in endpoints} == {
        *("airflow.api", "airflow.env", "airflow.ops", "ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "sqs"),
        *("s3", "dynamodb", "events", "secretsmanager", "sns"),
    }
    assert "InternetGateway" not in found
    told = handed_on(stack.client("cloudformation"), name)
    assert told["SubnetIds"] == f"{found['PrivateSubnet1']},{found['PrivateSubnet2']}"
    assert told["SecurityGroupIds"] == found["SecurityGroup"]


def test_tasks_without_a_way_to_the_internet_reach_secrets_and_the_bus_also_of_a_public_environment(
    stack: Stack, known: str
) -> None:
    parameters = {"Egress": "endpoints", "WebserverAccessMode": "PUBLIC_AND_PRIVATE"}
    for backend, wanted in (
        ("none", {"EventsEndpoint"}),
        ("secretsmanager", {"EventsEndpoint", "SecretsManagerEndpoint"}),
    ):
        named = {**parameters, "EnvironmentName": f"tasks-{backend}", "SecretsBackend": backend}
        _, found = deploy(stack, known, named)
        own = {logical for logical in found if logical.endswith("Endpoint")}
        assert own == {"S3Endpoint", "OpsEndpoint", *wanted}


def test_an_existing_vpc_is_used_and_nothing_of_a_network_is_made(stack: Stack, known: str) -> None:
    ec2 = stack.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)
    ]  # fmt: skip
    existing = {"VpcId": vpc, "PrivateSubnetId1": subnets[0], "PrivateSubnetId2": subnets[1]}
    name, found = deploy(stack, known, {**existing, "WebserverAccessMode": "PRIVATE_ONLY", "EnvironmentName": "there"})
    logs = {logical for logical in found if logical.startswith("Logs")}
    assert len(logs) == 5
    assert set(found) - logs == {"Bucket", "BucketPolicy", "ExecutionRole", "Key", "SecurityGroup"}
    (group,) = ec2.describe_security_groups(GroupIds=[found["SecurityGroup"]])["SecurityGroups"]
    assert group["VpcId"] == vpc
    assert handed_on(stack.client("cloudformation"), name)["SubnetIds"] == ",".join(subnets)


@pytest.mark.parametrize(("refused", "told"), REFUSED)
def test_what_mwaa_refuses_after_minutes_cloudformation_refuses_at_once(
    stack: Stack, known: str, refused: Mapping[str, object], told: str
) -> None:
    with pytest.raises(ClientError, match=f"rule .* failed: .*{told}"):
        deploy(stack, known, {"EnvironmentName": "refused"} | {name: str(value) for name, value in refused.items()})


def test_an_environment_of_another_making_is_read_from_mwaa_and_a_wrong_name_is_told(stack: Stack) -> None:
    mwaa, config = stack.client("mwaa"), stack.gateway_config
    of_bucket = partial(key_of_bucket, stack.client("s3"), stack.client("kms"))
    found = read_environment(mwaa, config.environment, of_bucket)
    assert {key: value for key, value in found.items() if not key.endswith("S3Path")} == {
        "EnvironmentName": config.environment,
        "EnvironmentBucketName": config.bucket,
        "EnvironmentKmsKeyArn": config.kms_key,
    }
    assert found["DagS3Path"] == "dags/"
    with pytest.raises(match=f"has no environment 'nowhere'; it has {config.environment}"):
        read_environment(mwaa, "nowhere", of_bucket)


@pytest.mark.slow
def test_make_deploy_puts_jetway_beside_the_environment_of_a_profile_in_its_region(stack: Stack, known: str) -> None:
    """The profile `staging`: its own Region, its own stacks, parameters from the outputs of the environment's stack."""
    environment, jetway = read_profile(ENVIRONMENTS, "staging"), read_profile(SAMCONFIG, "staging")
    assert environment.region == jetway.region == "eu-west-1"
    client = in_region(stack, "cloudformation", "eu-west-1")
    parameters = {**environment.overrides, "WebserverAccessMode": "PRIVATE_ONLY"}
    _, found = deploy(stack, known, parameters, name=environment.stack_name, region="eu-west-1")
    env = {**os.environ, **stack.env}
    done = subprocess.run(
        ["make", "-s", "deploy", "PROFILE=staging"],
        cwd=venvs.ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    try:
        (deployed,) = client.describe_stacks(StackName=jetway.stack_name)["Stacks"]
        told = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in deployed["Parameters"]}
        assert told["EnvironmentName"] == "staging"
        assert told["EnvironmentBucketName"] == found["Bucket"]
        assert told["SubnetIds"] == f"{found['PrivateSubnet1']},{found['PrivateSubnet2']}"
        outputs = {output["OutputKey"]: output["OutputValue"] for output in deployed["Outputs"]}
        assert "eu-west-1" in outputs["DispatchQueueUrl"] + outputs["AlarmTopicArn"]
    finally:
        client.delete_stack(StackName=jetway.stack_name)
