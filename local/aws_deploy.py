"""`make deploy-environment` and `make deploy`: the two templates to an AWS account, with nothing but credentials.

    python -m local.aws_deploy environment prod    # environment.yaml, profile `prod` of environments.toml
    python -m local.aws_deploy jetway prod         # template.yaml, profile `prod` of samconfig.toml

The outputs of the environment's stack become parameters of Jetway's: they have the same names. What the profile in
samconfig.toml says of a parameter wins. sam is the pinned one of requirements/sam.txt.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import venvs
from local.venvs import ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

SAMCONFIG, ENVIRONMENTS = ROOT / "samconfig.toml", ROOT / "environments.toml"
# Outputs of environment.yaml that are parameters of template.yaml.
HANDED_ON = ("EnvironmentName", "EnvironmentBucketName", "EnvironmentKmsKeyArn", "SubnetIds", "SecurityGroupIds")

WHOLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"}
)


class AwsDeployError(RuntimeError):
    """Something to deploy with is missing; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile of a samconfig file says.

    Attributes:
        region: None for the one of the caller's AWS configuration.
        overrides: parameters of the template.
    """

    name: str
    stack_name: str
    region: str | None
    overrides: Mapping[str, str] = field(default_factory=dict)


def read_profile(file: Path, name: str) -> Profile:
    """Read a profile.

    Raises:
        AwsDeployError: the file has no such profile, or it names no stack.
    """
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    profiles = [key for key, value in document.items() if isinstance(value, dict)]
    if name not in profiles:
        raise AwsDeployError(f"{file.name} has no profile {name!r}; it has {', '.join(profiles)}.")
    said: dict[str, Any] = {}
    for section in ("global", "deploy"):
        said |= document[name].get(section, {}).get("parameters", {})
    if "stack_name" not in said:
        raise AwsDeployError(f"profile {name!r} of {file.name} names no stack_name.")
    overrides = said.get("parameter_overrides", [])
    pairs = shlex.split(overrides) if isinstance(overrides, str) else overrides
    return Profile(name, said["stack_name"], said.get("region"), dict(pair.split("=", 1) for pair in pairs))


def handed_on(client: CloudFormationClient, stack_name: str) -> dict[str, str]:
    """What the environment's stack has for Jetway's; nothing when there is no such stack.

    Raises:
        AwsDeployError: the stack is not whole.
        ClientError: CloudFormation refused.
    """
    try:
        (stack,) = client.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ValidationError":  # CloudFormation's word for: there is none
            return {}
        raise
    if stack["StackStatus"] not in WHOLE:
        raise AwsDeployError(f"stack {stack_name} is {stack['StackStatus']}: wait for its end, or repair it, first.")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return {name: outputs[name] for name in HANDED_ON if outputs.get(name)}


def jetway_overrides(profile: Profile, from_environment: Mapping[str, str], environment_stack: str) -> dict[str, str]:
    """All parameters that Jetway is deployed with.

    Raises:
        AwsDeployError: neither says which environment.
    """
    overrides = {**from_environment, **profile.overrides}
    missing = [name for name in ("EnvironmentName", "EnvironmentBucketName") if name not in overrides]
    if missing:
        raise AwsDeployError(
            f"{' and '.join(missing)}: unknown. There is no stack {environment_stack} to read it from: "
            f"`make deploy-environment PROFILE={profile.name}` makes one. For an environment that exists already, put "
            f'parameter_overrides = ["EnvironmentName=…", "EnvironmentBucketName=…"] in profile {profile.name!r} of '
            f"samconfig.toml, or run `sam build && sam deploy --guided`."
        )
    return overrides


def main() -> int:
    """Deploy one of the two; return the exit code."""
    what, name = [*sys.argv[1:], "default", "default"][:2]
    try:
        return _environment(name) if what == "environment" else _jetway(name)
    except (AwsDeployError, BotoCoreError, ClientError, venvs.SetupError) as exc:
        print(exc, file=sys.stderr)
        return 1


def _environment(name: str) -> int:
    profile = read_profile(ENVIRONMENTS, name)
    print(f"Stack {profile.stack_name}: an MWAA environment takes 20 to 40 minutes.")
    return _sam("deploy", "--config-file", ENVIRONMENTS, "--config-env", name)


def _jetway(name: str) -> int:
    profile, environment = read_profile(SAMCONFIG, name), read_profile(ENVIRONMENTS, name)
    client = boto3.Session(region_name=environment.region or profile.region).client("cloudformation")
    overrides = jetway_overrides(profile, handed_on(client, environment.stack_name), environment.stack_name)
    built = _sam("build")
    if built:
        return built
    return _sam(
        *("deploy", "--config-env", name, "--parameter-overrides"),
        *(f'{key}="{value}"' for key, value in sorted(overrides.items())),
    )


def _sam(*arguments: str | Path) -> int:
    sam = venvs.ensure("sam").with_name("sam")
    env = {**os.environ, "SAM_CLI_TELEMETRY": "0", "PYTHON": str(venvs.python_with_pip())}
    return subprocess.run([str(sam), *map(str, arguments)], cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
