"""Profiles, and what the environment's stack hands on to Jetway's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.aws_deploy import (
    ENVIRONMENTS,
    SAMCONFIG,
    AwsDeployError,
    Profile,
    handed_on,
    jetway_overrides,
    read_environment,
    read_profile,
)
from tests.unit.test_environment import PARAMETERS
from tests.unit.test_template import TEMPLATE

JETWAY_PARAMETERS = TEMPLATE["Parameters"]


def stub(**answer: Any) -> Any:
    client = boto3.client(
        "cloudformation", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stubber = Stubber(client)
    if "code" in answer:
        stubber.add_client_error("describe_stacks", answer["code"], "Stack with id x does not exist")
    else:
        stack = {"StackName": "env", "CreationTime": "2026-01-01T00:00:00Z", **answer}
        stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "env"})
    stubber.activate()
    return client


def mwaa(*names: str, facts: dict[str, Any] | None = None, lists: bool = True) -> Any:
    """MWAA that is asked for an environment, and then, unless it has `facts` to tell, for all names."""
    client = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(client)
    if facts:
        stubber.add_response("get_environment", {"Environment": facts}, {"Name": facts["Name"]})
    elif not lists:
        stubber.add_client_error("get_environment", "ResourceNotFoundException")
    if not facts:
        stubber.add_response("list_environments", {"Environments": list(names)})
    stubber.activate()
    return client


def test_profiles_of_both_files_belong_together_and_ask_for_what_there_is() -> None:
    for name in ("default", "staging", "prod"):
        jetway, environment = read_profile(SAMCONFIG, name), read_profile(ENVIRONMENTS, name)
        assert jetway.region == environment.region
        assert jetway.stack_name != environment.stack_name
        assert environment.overrides.keys() <= PARAMETERS.keys()


def test_a_profile_is_read_with_overrides_as_text_or_list(tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    text = '[a.global.parameters]\nstack_name = "s"\nregion = "eu-west-1"\n'
    text += "[a.deploy.parameters]\nparameter_overrides = {}\n"
    wanted = Profile("a", "s", "eu-west-1", {"A": "1", "B": "x y=z"})
    for overrides in ("'A=1 B=\"x y=z\"'", '["A=1", "B=x y=z"]'):
        file.write_text(text.format(overrides))
        assert read_profile(file, "a") == wanted
    with pytest.raises(AwsDeployError, match=r"samconfig.toml has no profile 'b'; it has a\."):
        read_profile(file, "b")


def test_outputs_become_parameters_and_the_profiles_word_wins() -> None:
    outputs = {
        "EnvironmentName": "prod",
        "EnvironmentBucketName": "b",
        "WebserverUrl": "https://x",
        "SubnetIds": "s-1,s-2",
    }
    listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    found = handed_on(stub(StackStatus="CREATE_COMPLETE", Outputs=listed), "env")
    assert found == {"EnvironmentName": "prod", "EnvironmentBucketName": "b", "SubnetIds": "s-1,s-2"}
    profile = Profile("p", "jetway", None, {"SubnetIds": "s-9", "Transport": "rest"})
    assert jetway_overrides(profile, found, "env", mwaa()) == {
        "EnvironmentName": "prod",
        "EnvironmentBucketName": "b",
        "SubnetIds": "s-9",
        "Transport": "rest",
    }


def test_without_an_environment_one_is_told_how_to_get_or_name_one() -> None:
    found = handed_on(stub(code="ValidationError"), "env")
    assert found == {}
    with pytest.raises(AwsDeployError, match="make deploy-environment PROFILE=prod") as refused:
        jetway_overrides(Profile("prod", "jetway", None), found, "env", mwaa("analytics", "billing"))
    assert "EnvironmentName and EnvironmentBucketName" in str(refused.value)
    assert "`make deploy PROFILE=prod ENVIRONMENT=…`; eu-central-1 has analytics, billing." in str(refused.value)


def test_an_environment_of_another_making_is_read_from_mwaa() -> None:
    facts = {
        "Name": "analytics",
        "SourceBucketArn": "arn:aws:s3:::acme-airflow",
        "KmsKey": "arn:aws:kms:eu-central-1:123456789012:key/1",
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
        "WebserverAccessMode": "PRIVATE_ONLY",
    }
    private = {
        "EnvironmentName": "analytics",
        "EnvironmentBucketName": "acme-airflow",
        "EnvironmentKmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
    }
    assert read_environment(mwaa(facts=facts), "analytics") == private
    public = {key: value for key, value in facts.items() if key != "KmsKey"} | {"WebserverAccessMode": "PUBLIC_ONLY"}
    assert read_environment(mwaa(facts=public), "analytics") == {
        "EnvironmentName": "analytics",
        "EnvironmentBucketName": "acme-airflow",
    }
    assert private.keys() <= JETWAY_PARAMETERS.keys()


@pytest.mark.parametrize(("names", "told"), [(("a", "b"), "it has a, b."), ((), "it has none.")])
def test_a_name_that_mwaa_does_not_know_is_told_with_those_it_knows(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(AwsDeployError, match=f"eu-central-1 has no environment 'x'; {told}"):
        read_environment(mwaa(*names, lists=False), "x")


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_FAILED"])
def test_a_stack_that_is_not_whole_is_not_built_upon(status: str) -> None:
    with pytest.raises(AwsDeployError, match=f"stack env is {status}"):
        handed_on(stub(StackStatus=status), "env")
