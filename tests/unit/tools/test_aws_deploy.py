"""Profiles, and what the environment's stack hands on to Jetway's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from tests.unit.sample_events import ROOT
from tests.unit.template.source import TEMPLATE
from tests.unit.template.test_environment import PARAMETERS
from tools.aws.aws_checks import AwsDeployError
from tools.aws.aws_deploy import (
    ENVIRONMENTS,
    SAMCONFIG,
    Profile,
    examine,
    handed_on,
    jetway_overrides,
    key_of_bucket,
    read_environment,
    read_profile,
    region_of,
)

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
    text += "[a.deploy.parameters]\nparameter_overrides = {0}\ntags = {0}\n"
    pairs = {"A": "1", "B": "x y=z"}
    wanted = Profile("a", "s", "eu-west-1", pairs, pairs)
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


OTHER_KEY = "arn:aws:kms:eu-central-1:123456789012:key/2"


def test_an_environment_of_another_making_is_read_from_mwaa_and_its_bucket() -> None:
    facts = {
        "Name": "analytics",
        "SourceBucketArn": "arn:aws:s3:::acme-airflow",
        "DagS3Path": "airflow/dags/",
        "RequirementsS3Path": "airflow/requirements.txt",
        "KmsKey": "arn:aws:kms:eu-central-1:123456789012:key/1",
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
        "WebserverAccessMode": "PRIVATE_ONLY",
    }
    keys = {"acme-airflow": OTHER_KEY}
    private = {
        "EnvironmentName": "analytics",
        "EnvironmentBucketName": "acme-airflow",
        "EnvironmentKmsKeyArn": OTHER_KEY,
        "DagS3Path": "airflow/dags/",
        "RequirementsS3Path": "airflow/requirements.txt",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
    }
    assert read_environment(mwaa(facts=facts), "analytics", keys.__getitem__) == private
    public = {"Name": "analytics", "SourceBucketArn": "arn:aws:s3:::acme-airflow", "DagS3Path": "dags"}
    public["KmsKey"] = "arn:aws:kms:eu-central-1:123456789012:key/1"  # the environment's; its bucket has none
    assert read_environment(mwaa(facts=public), "analytics", lambda _: "") == {
        "EnvironmentName": "analytics",
        "EnvironmentBucketName": "acme-airflow",
        "DagS3Path": "dags/",
    }
    root = {**public, "DagS3Path": "/"}
    assert read_environment(mwaa(facts=root), "analytics", lambda _: "")["DagS3Path"] == ""  # all of the bucket
    assert private.keys() | {"PluginsS3Path", "StartupScriptS3Path"} <= JETWAY_PARAMETERS.keys()


def keys_of(
    *, rule: dict[str, str] | None = None, code: str = "", key: dict[str, str] | None = None
) -> tuple[Any, Any]:
    """S3 that answers with a bucket's rule or an error, and KMS that knows one key by its alias."""
    found = [
        boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        for service in ("s3", "kms")
    ]
    s3, kms = map(Stubber, found)
    if code:
        s3.add_client_error("get_bucket_encryption", code)
    else:
        rules = [{"ApplyServerSideEncryptionByDefault": rule}] if rule else [{}]
        answer = {"ServerSideEncryptionConfiguration": {"Rules": rules}}
        s3.add_response("get_bucket_encryption", answer, {"Bucket": "b"})
    if key:
        kms.add_response("describe_key", {"KeyMetadata": {"KeyId": "2", **key}}, {"KeyId": "alias/bucket"})
    s3.activate()
    kms.activate()
    return found[0], found[1]


ALIAS = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/bucket"}


@pytest.mark.parametrize(
    ("clients", "arn"),
    [
        ({"rule": {"SSEAlgorithm": "AES256"}}, ""),
        ({"rule": {"SSEAlgorithm": "aws:kms"}}, ""),  # aws/s3
        ({"rule": {"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": OTHER_KEY}}, OTHER_KEY),
        ({"rule": ALIAS, "key": {"Arn": OTHER_KEY, "KeyManager": "CUSTOMER"}}, OTHER_KEY),
        ({"rule": ALIAS, "key": {"Arn": OTHER_KEY, "KeyManager": "AWS"}}, ""),
        ({"code": "ServerSideEncryptionConfigurationNotFoundError"}, ""),
        ({}, ""),
    ],
)
def test_a_buckets_key_is_the_one_that_it_encrypts_with(clients: dict[str, Any], arn: str) -> None:
    assert key_of_bucket(*keys_of(**clients), "b") == arn


def test_a_bucket_that_tells_nothing_is_an_error_and_not_a_bucket_without_a_key() -> None:
    with pytest.raises(ClientError, match="InternalError"):
        key_of_bucket(*keys_of(code="InternalError"), "b")


def test_who_may_not_look_is_told_the_permission_and_what_to_write_instead() -> None:
    with pytest.raises(AwsDeployError, match=r"s3:GetEncryptionConfiguration.*returns EnvironmentKmsKeyArn"):
        key_of_bucket(*keys_of(code="AccessDenied"), "b")
    client = boto3.client("mwaa", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(client)
    stubber.add_client_error("get_environment", "AccessDeniedException", "User x may not")
    stubber.activate()
    with pytest.raises(AwsDeployError, match=r"airflow:GetEnvironment \(User x may not\), which returns"):
        read_environment(client, "analytics", lambda _: "")


@pytest.mark.parametrize(("names", "told"), [(("a", "b"), "it has a, b."), ((), "it has none.")])
def test_a_name_that_mwaa_does_not_know_is_told_with_those_it_knows(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(AwsDeployError, match=f"eu-central-1 has no environment 'x'; {told}"):
        read_environment(mwaa(*names, lists=False), "x", lambda _: "")


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_FAILED"])
def test_a_stack_that_is_not_whole_is_not_built_upon(status: str) -> None:
    with pytest.raises(AwsDeployError, match=f"stack env is {status}"):
        handed_on(stub(StackStatus=status), "env")


def test_both_stacks_are_in_the_region_of_their_profile_or_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    session = boto3.Session("x", "y", region_name="eu-north-1")
    nowhere, ireland, ohio = (Profile("p", "s", region) for region in (None, "eu-west-1", "us-east-2"))
    assert region_of(ireland, None, session) == region_of(ireland, nowhere, session) == "eu-west-1"
    assert region_of(nowhere, ohio, session) == "us-east-2"
    assert region_of(nowhere, nowhere, session) == "eu-north-1"
    with pytest.raises(AwsDeployError, match=r"eu-west-1 in samconfig\.toml and us-east-2 in environments\.toml"):
        region_of(ireland, ohio, session)
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert region_of(nowhere, None, session) == "ap-south-1"


@pytest.mark.parametrize(
    ("what", "profile", "env", "told"),
    [
        ("environment", "default", {"AWS_REGION": "eu-west-1"}, "no AWS credentials were found"),
        ("jetway", "staging", {}, "no AWS credentials were found"),
        ("jetway", "default", {}, "no AWS Region is known"),
        ("environment", "stagin", {}, "environments.toml has no profile 'stagin'; it has default, staging, prod."),
        ("jetway", "stagin", {}, "samconfig.toml has no profile 'stagin'; it has default, staging, prod."),
        ("jetway", "default", {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_built(
    tmp_path: Path, what: str, profile: str, env: Mapping[str, str], told: str
) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tools.aws.aws_deploy", what, profile],
        cwd=ROOT,
        env={**plain, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_deployment_does_not_fail_because_nobody_may_look(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert examine("jetway", "eu-central-1") == 0
    assert "No AWS credentials found" in capfd.readouterr().err
