"""What `make deploy` looks at before it builds anything: what AWS would refuse, or nobody could use, after minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_mwaa import MWAAClient

WHOLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"}
)
# A stack that was never created whole takes no update.
_TO_BE_DELETED = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
_TO_BE_CONTINUED = "UPDATE_ROLLBACK_FAILED"

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})


class AwsDeployError(RuntimeError):
    """Something to deploy with is missing; the text says what to do."""


def check_stack(name: str, status: str) -> None:
    """Refuse to deploy over a stack that takes no deployment.

    Raises:
        AwsDeployError: it does not; the text says what it takes first.
    """
    if status in _TO_BE_DELETED:
        raise AwsDeployError(
            f"stack {name} is {status}: it was never whole and takes no update. Mend what its events complain of "
            f"(`jetway doctor --stack {name}` shows the first), then `aws cloudformation delete-stack --stack-name "
            f"{name}`, and deploy again."
        )
    if status == _TO_BE_CONTINUED:
        raise AwsDeployError(
            f"stack {name} is {status}: `jetway doctor --stack {name}` shows what failed; mend it, then `aws "
            f"cloudformation continue-update-rollback --stack-name {name}`, and deploy again."
        )
    if status.endswith("_IN_PROGRESS") and status not in WHOLE | {"REVIEW_IN_PROGRESS"}:
        raise AwsDeployError(f"stack {name} is {status}: wait for the end of that, and deploy again.")


def check_network(client: MWAAClient, parameters: Mapping[str, str]) -> None:
    """Refuse to deploy to an environment that is gone, or that no function could reach.

    Args:
        client: of MWAA.
        parameters: all that the stack will have, those of last time included.

    Raises:
        AwsDeployError: there is no such environment, or it is private and the stack would join no subnet.
        ClientError: MWAA refused.
    """
    name = parameters.get("EnvironmentName", "")
    try:
        facts = client.get_environment(Name=name)["Environment"]
    except client.exceptions.ResourceNotFoundException as exc:
        raise no_environment(client, name) from exc
    except ClientError as exc:
        if exc.response["Error"]["Code"] in DENIED:
            return  # who deploys need not be allowed to look; `jetway doctor` says what it could not see
        raise
    if facts.get("WebserverAccessMode") == "PRIVATE_ONLY" and not parameters.get("SubnetIds"):
        network: Mapping[str, Any] = facts.get("NetworkConfiguration") or {}
        subnets, groups = (",".join(network.get(kind, [])) for kind in ("SubnetIds", "SecurityGroupIds"))
        raise AwsDeployError(
            f"environment {name} has a private web server (PRIVATE_ONLY), and the stack has no SubnetIds: no function "
            f"could reach it. `make deploy ENVIRONMENT={name}` reads both from MWAA; or write into the profile "
            f"SubnetIds={subnets} SecurityGroupIds={groups}"
        )


def check_services(session: boto3.Session) -> None:
    """Refuse a Region that lacks a service which Jetway is made of.

    Raises:
        AwsDeployError: it lacks one.
    """
    asks: dict[str, Callable[[Any], object]] = {
        "mwaa": lambda client: client.list_environments(MaxResults=1),
        "scheduler": lambda client: client.list_schedule_groups(MaxResults=1),
        "apigatewayv2": lambda client: client.get_apis(MaxResults="1"),
        "lambda": lambda client: client.get_account_settings(),
    }
    make: Any = session.client

    def lacks(service: str) -> bool:
        client = make(service, config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}))
        try:
            asks[service](client)
        except EndpointConnectionError:
            return True
        except (BotoCoreError, ClientError):
            return False  # it is there, and says no for a reason of its own
        return False

    with ThreadPoolExecutor(len(asks)) as pool:
        missing = [service for service, gone in zip(asks, pool.map(lacks, asks), strict=True) if gone]
    if missing:
        raise AwsDeployError(
            f"{session.region_name}: no answer from {', '.join(missing)}. Is that the right Region (AWS_REGION)? If "
            "so, it does not offer them, or this machine does not reach them; Jetway needs Amazon MWAA, EventBridge "
            "Scheduler, API Gateway (HTTP APIs) and Lambda there."
        )


def no_environment(client: MWAAClient, name: str) -> AwsDeployError:
    """Return the error that there is no such environment; the text names those that there are."""
    region = client.meta.region_name
    return AwsDeployError(f"{region} has no environment {name!r}; it has {environments_of(client) or 'none'}.")


def denied(exc: ClientError, action: str, parameters: str) -> Exception:
    """Say which permission somebody lacks, and what can be said by hand instead; other errors as they are.

    Args:
        exc: what AWS said.
        action: of IAM.
        parameters: that would have been learnt.
    """
    if exc.response["Error"]["Code"] not in DENIED:
        return exc
    return AwsDeployError(
        f"you may not do {action} ({exc.response['Error'].get('Message', 'Access Denied')}), which tells {parameters}. "
        f"Ask for {action}, or write them into the profile of samconfig.toml (parameter_overrides)."
    )


def environments_of(client: MWAAClient) -> str:
    """Return the names of all environments, for people."""
    pages = client.get_paginator("list_environments").paginate()
    return ", ".join(name for page in pages for name in page["Environments"])
