"""`make deploy-environment` and `make deploy`: the two templates to an AWS account, with nothing but credentials.

    python -m tools.aws.aws_deploy environment prod    # environment.yaml, profile `prod` of environments.toml
    python -m tools.aws.aws_deploy jetway prod         # template.yaml, profile `prod` of samconfig.toml
    python -m tools.aws.aws_deploy jetway default mine # the same, to the environment `mine`, whoever made it

What names the environment is read from the outputs of its stack, which have the names of Jetway's parameters, or, for
an environment of another making, from MWAA. What the profile in samconfig.toml says of a parameter wins, and a later
deployment keeps what it is not told. sam is the pinned one of requirements/sam.txt, or the command that SAM names.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools import venvs
from tools.aws.aws_checks import (
    WHOLE,
    AwsDeployError,
    check_architecture,
    check_network,
    check_sam,
    check_services,
    check_stack,
    denied,
    environments_of,
    no_environment,
)
from tools.venvs import ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_s3 import S3Client

SAMCONFIG, ENVIRONMENTS = ROOT / "samconfig.toml", ROOT / "environments.toml"
# Outputs of environment.yaml that are parameters of template.yaml.
HANDED_ON = ("EnvironmentName", "EnvironmentBucketName", "EnvironmentKmsKeyArn", "SubnetIds", "SecurityGroupIds")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html
AT_FIRST = """
S3 sends no events for about the first five minutes. Jetway finds files that you drop in this time within half an
hour, or immediately when you run `jetway sync --now`. A file in data/ that you drop too early starts no run: drop it
again."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile of a samconfig file says.

    Attributes:
        region: None for the one of the caller's AWS configuration.
        overrides: parameters of the template.
        tags: of the stack.
    """

    name: str
    stack_name: str
    region: str | None
    overrides: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def profiles(file: Path) -> dict[str, Any]:
    """All profiles of a samconfig file, by their names."""
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    return {key: value for key, value in document.items() if isinstance(value, dict)}


def read_profile(file: Path, name: str) -> Profile:
    """Read a profile.

    Raises:
        AwsDeployError: the file has no such profile, or it names no stack.
    """
    there = profiles(file)
    if name not in there:
        raise AwsDeployError(f"{file.name} has no profile {name!r}; it has {', '.join(there)}.")
    said: dict[str, Any] = {}
    for section in ("global", "deploy"):
        said |= there[name].get(section, {}).get("parameters", {})
    if "stack_name" not in said:
        raise AwsDeployError(f"profile {name!r} of {file.name} names no stack_name.")
    overrides, tags = (_pairs(said.get(option, [])) for option in ("parameter_overrides", "tags"))
    return Profile(name, said["stack_name"], said.get("region"), overrides, tags)


def _pairs(said: str | list[str]) -> dict[str, str]:
    pairs = shlex.split(said) if isinstance(said, str) else said
    return dict(pair.split("=", 1) for pair in pairs)


def region_of(jetway: Profile, environment: Profile | None, session: boto3.Session) -> str:
    """The Region that both stacks are in, once it is known that somebody may be asked there.

    Args:
        environment: None when environments.toml has no such profile: then the environment was there before.

    Raises:
        AwsDeployError: the profiles contradict each other, or no Region or no credentials are known.
    """
    said = {profile.region for profile in (jetway, environment) if profile is not None and profile.region}
    if len(said) > 1:
        raise AwsDeployError(
            f"profile {jetway.name!r} is {jetway.region} in samconfig.toml and {environment and environment.region} in "
            "environments.toml: Jetway and its environment must be in one Region."
        )
    # boto3 does not read AWS_REGION, which the AWS CLI and many shells set.
    region = next(iter(said), os.environ.get("AWS_REGION") or session.region_name)
    if region is None:
        raise AwsDeployError(
            "no AWS Region is known: set AWS_REGION, run `aws configure`, or write region in profile "
            f"{jetway.name!r} of samconfig.toml and environments.toml."
        )
    if session.get_credentials() is None:
        raise AwsDeployError(
            "no AWS credentials were found: run `aws configure` or `aws sso login`, or set AWS_PROFILE to a profile "
            "that has some. https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-authentication.html"
        )
    return region


def handed_on(client: CloudFormationClient, stack_name: str) -> dict[str, str]:
    """What the environment's stack has for Jetway's; nothing when there is no such stack.

    Raises:
        AwsDeployError: the stack is not whole.
        ClientError: CloudFormation refused.
    """
    stack = _describe(client, stack_name)
    if stack is None:
        return {}
    if stack["StackStatus"] not in WHOLE:
        raise AwsDeployError(f"stack {stack_name} is {stack['StackStatus']}: wait for its end, or repair it, first.")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return {name: outputs[name] for name in HANDED_ON if outputs.get(name)}


def _describe(client: CloudFormationClient, stack_name: str) -> StackTypeDef | None:
    try:
        (stack,) = client.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ValidationError":  # CloudFormation's word for: there is none
            return None
        raise
    return stack


# What GetEnvironment and template.yaml call by one name, and leave out where the environment has none.
_PATHS = ("PluginsS3Path", "RequirementsS3Path", "StartupScriptS3Path")


def read_environment(client: MWAAClient, name: str, bucket_key: Callable[[str], str]) -> dict[str, str]:
    """What MWAA tells of an environment, as parameters of Jetway.

    Args:
        client: of MWAA.
        name: of the environment.
        bucket_key: ARN of the key that a bucket is encrypted with; the environment's own may be another one.

    Raises:
        AwsDeployError: there is no such environment; the text names those that there are.
        ClientError: MWAA refused.
    """
    try:
        facts = client.get_environment(Name=name)["Environment"]
    except client.exceptions.ResourceNotFoundException as exc:
        raise no_environment(client, name) from exc
    except ClientError as exc:
        raise denied(exc, "airflow:GetEnvironment", "EnvironmentName, EnvironmentBucketName and its paths") from exc
    bucket = facts["SourceBucketArn"].rpartition(":")[2]
    found = {"EnvironmentName": name, "EnvironmentBucketName": bucket, "EnvironmentKmsKeyArn": bucket_key(bucket)}
    found |= {path: str(facts.get(path) or "").strip("/") for path in _PATHS}
    folder = facts["DagS3Path"].strip("/")
    if facts.get("WebserverAccessMode") == "PRIVATE_ONLY":  # a public web server is reached without joining the VPC
        network = facts["NetworkConfiguration"]
        found["SubnetIds"] = ",".join(network["SubnetIds"])
        found["SecurityGroupIds"] = ",".join(network["SecurityGroupIds"])
    return {**{key: value for key, value in found.items() if value}, "DagS3Path": f"{folder}/" if folder else ""}


def key_of_bucket(s3: S3Client, kms: KMSClient, bucket: str) -> str:
    """ARN of the KMS key of one's own that a bucket encrypts with by default; empty for none, or one of AWS's.

    Raises:
        ClientError: S3 or KMS refused.
    """
    try:
        (rule, *_) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ServerSideEncryptionConfigurationNotFoundError":
            return ""
        raise denied(exc, "s3:GetEncryptionConfiguration", "EnvironmentKmsKeyArn") from exc
    key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "")
    if not key or ":key/" in key:
        return key
    try:
        facts = kms.describe_key(KeyId=key)["KeyMetadata"]  # an id or an alias
    except ClientError as exc:
        raise denied(exc, "kms:DescribeKey", "EnvironmentKmsKeyArn") from exc
    return "" if facts.get("KeyManager") == "AWS" else facts["Arn"]


def jetway_overrides(
    profile: Profile, from_environment: Mapping[str, str], looked_for: str, mwaa: MWAAClient
) -> dict[str, str]:
    """All parameters that Jetway is deployed with for the first time.

    Args:
        looked_for: where the environment's outputs would have been, in words.

    Raises:
        AwsDeployError: neither says which environment; the text names those that MWAA has.
        ClientError: MWAA refused.
    """
    overrides = {**from_environment, **profile.overrides}
    missing = [name for name in ("EnvironmentName", "EnvironmentBucketName") if name not in overrides]
    if missing:
        there = environments_of(mwaa) or "none"
        raise AwsDeployError(
            f"{' and '.join(missing)}: unknown. There is no {looked_for} to read it from: "
            f"`make deploy-environment PROFILE={profile.name}` makes one. For an environment that exists already, "
            f"`make deploy PROFILE={profile.name} ENVIRONMENT=…`; {mwaa.meta.region_name} has {there}."
        )
    return overrides


def main() -> int:
    """Deploy one of the two; return the exit code."""
    what, name, environment = [*sys.argv[1:], "", "", ""][:3]
    try:
        if own := os.environ.get("SAM"):
            check_sam(_version_of(own))
        return _environment(name or "default") if what == "environment" else _jetway(name or "default", environment)
    except (AwsDeployError, BotoCoreError, ClientError, venvs.SetupError) as exc:
        print(exc, file=sys.stderr)
        return 1


def _environment(name: str) -> int:
    profile = read_profile(ENVIRONMENTS, name)
    region = region_of(profile, None, boto3.Session())
    print(f"Stack {profile.stack_name} in {region}: an MWAA environment takes 20 to 40 minutes.")
    return _sam("deploy", "--config-file", ENVIRONMENTS, "--config-env", name, "--region", region)


def _jetway(name: str, environment: str) -> int:
    profile = read_profile(SAMCONFIG, name)
    # An environment that was there before needs no profile in environments.toml.
    made = read_profile(ENVIRONMENTS, name) if name in profiles(ENVIRONMENTS) else None
    region = region_of(profile, made, boto3.Session())
    session = boto3.Session(region_name=region)
    check_services(session)
    mwaa = session.client("mwaa")
    cloudformation = session.client("cloudformation")
    if environment:
        of_bucket = partial(key_of_bucket, session.client("s3"), session.client("kms"))
        told = read_environment(mwaa, environment, of_bucket)
    else:
        told = handed_on(cloudformation, made.stack_name) if made else {}
    if profile.tags:  # what the stack makes has the stack's; what trigger files make, these
        tags = ",".join(f"{key}={value}" for key, value in profile.tags.items())
        profile = replace(profile, overrides={"Tags": tags, **profile.overrides})
    overrides = dict(profile.overrides)
    deployed = _describe(cloudformation, profile.stack_name)
    if deployed is not None:
        check_stack(profile.stack_name, deployed["StackStatus"])
    if told or deployed is None or deployed["StackStatus"] not in WHOLE:  # else sam keeps the values of last time
        looked_for = f"stack {made.stack_name} in {region}" if made else f"profile {name!r} in environments.toml"
        overrides = jetway_overrides(profile, told, looked_for, mwaa)
    given: Sequence[Any] = deployed.get("Parameters", []) if deployed else []
    before = {one["ParameterKey"]: one.get("ParameterValue", "") for one in given}
    check_network(mwaa, {**before, **overrides})
    check_architecture(session, overrides.get("Architecture") or before.get("Architecture"))
    # sam's cache goes by the sources alone, and would give the layers of the architecture before.
    built = _sam("build", *(["--no-cached"] if "ARCHITECTURE" in os.environ else []))
    if built:
        return built
    told_to_sam = [f'{key}="{value}"' for key, value in sorted(overrides.items())]
    options = ["--parameter-overrides", *told_to_sam] if told_to_sam else []
    failed = _sam("deploy", "--config-env", name, "--region", region, *options)
    if failed:
        return failed
    if deployed is None:
        print(AT_FIRST)
    return examine(profile.stack_name, region)


def examine(stack: str, region: str) -> int:
    """Have `jetway doctor` look at what was deployed; return 1 when something is broken, else 0.

    What cannot be learnt makes no deployment fail: who deploys need not be allowed to look.
    """
    command = [sys.executable, "-m", "jetway_cli", "doctor", "--stack", stack, "--region", region]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return 1 if code == 1 else 0


def _version_of(sam: str) -> str:
    """What a sam says of itself."""
    try:
        return subprocess.run([sam, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise AwsDeployError(f"SAM={sam} cannot be run: {exc}") from exc


def _sam(*arguments: str | Path) -> int:
    sam = os.environ.get("SAM") or venvs.ensure("sam").with_name("sam")
    env = {**os.environ, "SAM_CLI_TELEMETRY": "0", "PYTHON": str(venvs.python_with_pip())}
    return subprocess.run([str(sam), *map(str, arguments)], cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
