"""The deployed stack as the command line finds it: its outputs, and clients with the caller's credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jetway_cli.errors import StackTroubleError, error_code

if TYPE_CHECKING:
    import boto3

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_STACK = "jetway"
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

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name.

        Raises:
            StackTroubleError: there is no such stack.
        """
        from botocore.exceptions import ClientError

        try:
            (stack,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as exc:
            if error_code(exc) != DOES_NOT_EXIST:
                raise
            where = self.session.region_name or "this Region"
            raise StackTroubleError(
                f"There is no stack {self.stack!r} in {where}; name it with --stack or JETWAY_STACK, or deploy it."
            ) from exc
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def output(self, name: str) -> str:
        """Return one output of the stack.

        Raises:
            StackTroubleError: the stack has none of that name.
        """
        value = self.outputs.get(name)
        if not value:
            raise StackTroubleError(
                f"Stack {self.stack!r} has no output {name}: it is not Jetway's, or older than this command; deploy it "
                "anew or name another with --stack."
            )
        return value

    def client(self, service: str) -> Any:
        """Return a boto3 client of that service."""
        from botocore.config import Config

        config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
        make: Any = self.session.client  # its stubs know service names as literals only
        return make(service, endpoint_url=self.endpoint_url, config=config)

    def table(self, name: str) -> Any:
        """Return boto3's Table of that name."""
        make: Any = self.session.resource
        return make("dynamodb", endpoint_url=self.endpoint_url).Table(name)


def stack_options(command: F) -> F:
    """Add the options that say which stack is meant; a command takes them as `**where` for Target(**where)."""
    options = [
        click.option(
            "--stack", envvar="JETWAY_STACK", default=DEFAULT_STACK, show_default=True, help="Name of the stack."
        ),
        click.option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="AWS Region of the stack."),
        click.option("--profile", help="Profile of your AWS configuration."),
        click.option("--endpoint-url", help="Address of AWS; AWS_ENDPOINT_URL does the same."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
