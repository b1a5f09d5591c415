"""What `make deploy` looks at before it builds anything: what AWS would refuse, or nobody could use, after minutes."""

from __future__ import annotations

import json
import re
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


# The oldest that was tried and builds template.yaml. 1.125.0 does not know python3.13, older ones not RecursiveLoop:
# these end with a list of such errors and a traceback.
LEAST_SAM = (1, 130, 0)


def check_sam(said: str) -> None:
    """Refuse a sam that is too old for template.yaml.

    Args:
        said: what `sam --version` prints.

    Raises:
        AwsDeployError: it is too old, or no sam.
    """
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < LEAST_SAM:
        raise AwsDeployError(
            f"template.yaml needs sam {'.'.join(map(str, LEAST_SAM))} or newer; yours says "
            f"{said.strip() or 'nothing'!r}. Update it (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/"
            "manage-sam-cli-versions.html), or leave SAM out: then the pinned one is used."
        )


def check_stack(name: str, status: str) -> None:
    """Refuse to deploy over a stack that takes no deployment.

    Raises:
        AwsDeployError: it does not; the text says what it takes first.
    """
    if status in _TO_BE_DELETED:
        raise AwsDeployError(
            f"stack {name} is {status}: its creation failed, so it accepts no update. Fix the errors in its events "
            f"(`jetway doctor --stack {name}` shows the first), then `aws cloudformation delete-stack --stack-name "
            f"{name}`, and deploy again."
        )
    if status == _TO_BE_CONTINUED:
        raise AwsDeployError(
            f"stack {name} is {status}: `jetway doctor --stack {name}` shows what failed. Fix it, then run `aws "
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


# The price list is asked here for every Region. https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-query-api.html
_PRICES_IN = "us-east-1"
_DURATION, _DURATION_ON_ARM = "AWS-Lambda-Duration", "AWS-Lambda-Duration-ARM"


def check_architecture(session: boto3.Session, architecture: str | None) -> None:
    """Refuse a Region where Lambda has a price for x86_64 and none for arm64, which is the template's default.

    No read of Lambda's tells what a Region has. The price list of AWS does, and where that cannot be asked, or says
    nothing, CreateFunction is left to say it.

    Args:
        session: of the Region.
        architecture: what somebody has said it is to be; then nothing is asked.

    Raises:
        AwsDeployError: it lacks arm64.
    """
    if architecture is not None:
        return
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    client = session.client("pricing", region_name=_PRICES_IN, config=config)
    only = {"Type": "TERM_MATCH", "Field": "regionCode", "Value": session.region_name}
    pages: Any = client.get_paginator("get_products").paginate(ServiceCode="AWSLambda", Filters=[only])
    try:
        groups = {
            json.loads(product)["product"]["attributes"].get("group") for page in pages for product in page["PriceList"]
        }
    except (BotoCoreError, ClientError):
        return
    if _DURATION in groups and _DURATION_ON_ARM not in groups:
        raise AwsDeployError(
            f"{session.region_name}: AWS's price list has no Lambda on arm64 there. Write Architecture=x86_64 into the "
            "profile of samconfig.toml (parameter_overrides), and deploy with `ARCHITECTURE=x86_64 make deploy`. If "
            "the price list is wrong, Architecture=arm64 in the profile deploys as it is."
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
        f"you do not have permission for {action} ({exc.response['Error'].get('Message') or 'Access Denied'}), which "
        f"returns {parameters}. Request {action}, or write them into the profile of samconfig.toml "
        "(parameter_overrides)."
    )


def environments_of(client: MWAAClient) -> str:
    """Return the names of all environments, for people."""
    pages = client.get_paginator("list_environments").paginate()
    return ", ".join(name for page in pages for name in page["Environments"])
