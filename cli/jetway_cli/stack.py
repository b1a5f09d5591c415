"""The deployed stack as the command line finds it: its outputs, and clients with the caller's credentials."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jetway_cli.arguments import Text, Url, did_you_mean
from jetway_cli.errors import StackTroubleError, WrongUseError, error_code, sentence

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_STACK = "jetway"
# A stack in one of these has all of its resources, as they are or as they were before an update.
WHOLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"}
    | {"IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
)
DOES_NOT_EXIST = (
    "ValidationError"  # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
)


@dataclass(frozen=True)
class Target:
    """Which stack is meant, and where AWS is.

    Attributes:
        endpoint_url: of every AWS service; None for boto3's own choice, which honours AWS_ENDPOINT_URL.
        api_url: base address of the HTTP API when it is not the one in the stack's outputs.
    """

    stack: str
    region: str | None
    profile: str | None
    endpoint_url: str | None
    api_url: str | None = None

    @cached_property
    def session(self) -> boto3.Session:
        """The caller's credentials and Region."""
        import boto3

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    @property
    def described(self) -> Mapping[str, Any]:
        """The stack as DescribeStacks has it.

        Raises:
            StackTroubleError: there is no such stack.
        """
        found: Mapping[str, Any] = self._answer["Stacks"][0]
        return found

    @property
    def heard(self) -> Mapping[str, str]:
        """The head of that answer, names in small letters.

        Raises:
            StackTroubleError: there is no such stack.
        """
        head: Mapping[str, str] = self._answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return head

    @cached_property
    def _answer(self) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError, EndpointConnectionError

        client = self.client("cloudformation")
        try:
            found: Mapping[str, Any] = client.describe_stacks(StackName=self.stack)
        except ClientError as exc:
            if error_code(exc) != DOES_NOT_EXIST:
                raise
            where = self.session.region_name or "this Region"
            raise StackTroubleError(
                f"Stack {self.stack!r} does not exist in {where}.{self._other_stacks(client)} Name it with "
                "--stack or JETWAY_STACK, check --region (AWS_REGION), or deploy it."
            ) from exc
        except EndpointConnectionError as exc:
            region, regions = self.session.region_name or "", self._regions()
            if region in regions or region not in str(exc):
                raise
            raise StackTroubleError(
                f"{sentence(exc)} {region!r} is not an AWS Region that this command "
                f"knows.{did_you_mean(region, regions)} Check --region (AWS_REGION)."
            ) from exc
        return found

    def other_stacks(self) -> str:
        """Say which stacks of Jetway's there are, for somebody who has named none of them."""
        return self._other_stacks(self.client("cloudformation"))

    def _other_stacks(self, client: Any) -> str:
        """Say which stacks of Jetway's there are, for somebody who has named none of them."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            stacks = [
                stack["StackName"]
                for page in client.get_paginator("describe_stacks").paginate()
                for stack in page["Stacks"]
                if any(output["OutputKey"] == "DropBucketName" for output in stack.get("Outputs", []))
            ]
        except (BotoCoreError, ClientError):
            return ""  # one may be allowed to look at one stack and not at all
        near = did_you_mean(self.stack, stacks)
        some = ", ".join(sorted(stacks)[:10])
        return near or (f" Jetway stacks there: {some}." if stacks else (" There are no other Jetway stacks."))

    def _regions(self) -> list[str]:
        session = self.session
        partitions = session.get_available_partitions()
        return [name for one in partitions for name in session.get_available_regions("cloudformation", one)]

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name.

        Raises:
            StackTroubleError: there is no such stack.
        """
        return {output["OutputKey"]: output["OutputValue"] for output in self.described.get("Outputs", [])}

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The stack's parameters by name.

        Raises:
            StackTroubleError: there is no such stack.
        """
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in self.described.get("Parameters", [])}

    def output(self, name: str) -> str:
        """Return one output of the stack.

        Raises:
            StackTroubleError: the stack has none of that name.
        """
        value = self.outputs.get(name)
        if not value and (status := self.described.get("StackStatus", "")) not in WHOLE:
            raise StackTroubleError(
                f"Stack {self.stack!r} is {status}, so it has no output {name}. `jetway doctor` shows what is "
                "wrong and how to fix it."
            )
        if not value:
            raise StackTroubleError(
                f"Stack {self.stack!r} has no output {name}. It is not a Jetway stack, or it is older than "
                "this command. Deploy it again, or name another with --stack."
            )
        return value

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a boto3 client of that service.

        Args:
            config: how long it is waited for, and how often it is tried; patiently when not given.

        Raises:
            WrongUseError: AWS is said to be at what is not an address.
        """
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = config or Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
        make: Any = self.session.client  # its stubs know service names as literals only
        try:
            return make(service, endpoint_url=self.endpoint_url, config=config)
        except BotoCoreError:
            raise
        except ValueError as exc:
            raise WrongUseError(
                f"{sentence(exc)} An AWS endpoint URL begins with http:// or https://. Check AWS_ENDPOINT_URL "
                "and your AWS configuration."
            ) from exc

    def table(self, name: str) -> Any:
        """Return boto3's Table of that name."""
        make: Any = self.session.resource
        return make("dynamodb", endpoint_url=self.endpoint_url).Table(name)


def stack_options(command: F) -> F:
    """Add the options that say which stack is meant; a command takes them as `**where` for Target(**where)."""
    options = [
        click.option(
            "--stack",
            type=Text(),
            envvar="JETWAY_STACK",
            default=DEFAULT_STACK,
            show_default=True,
            help="Name of the stack.",
        ),
        click.option(
            "--region", type=Text(), envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="AWS Region of the stack."
        ),
        click.option("--profile", type=Text(), help="Profile of your AWS configuration."),
        click.option("--endpoint-url", type=Url(), help="Endpoint URL of AWS. AWS_ENDPOINT_URL does the same."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def api_option(command: F) -> F:
    """Add the option that says where the HTTP API is."""
    return click.option(
        "--api-url",
        type=Url(),
        envvar="JETWAY_API_URL",
        help="Address of the HTTP API, if it is not the one in the stack's outputs.",
    )(command)


def typed_options(context: click.Context) -> str:
    """Return the options that say which stack is meant as they were typed, for another command on the same stack."""
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(str(context.params[name]))}"
        for name in ("stack", "region", "profile", "endpoint_url", "api_url")
        if is_typed(context, name)
    )


def is_typed(context: click.Context, name: str) -> bool:
    """Whether an option was given on the command line, and not by the environment."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
