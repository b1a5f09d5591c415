"""Who calls the control plane, and whether IAM lets them: asked of the local AWS, which has their keys and policies.

MWAA also asks, in its caller's name, for what an update touches, though neither network nor bucket nor key change.
https://docs.aws.amazon.com/mwaa/latest/userguide/access-policies.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmanagedworkflowsforapacheairflow.html

How MWAA asks for those is not documented: as a service in its caller's name (aws:ViaAWSService), or by looking at the
caller's policies. Both must be allowed here.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tools.emulator.gateway.server import Request

_ASK = "/_jetway/authorize"  # of tools/emulator/ministack/authorizer.py
# The first that the caller may have is the one that MWAA logs it in with.
AIRFLOW_ROLES = ("Admin", "Op", "User", "Viewer", "Public")
_IN_THE_CALLERS_NAME: Sequence[Mapping[str, Any]] = (
    {"aws:viaawsservice": "true", "aws:calledvia": ["airflow.amazonaws.com"]},
    {"aws:viaawsservice": "false"},
)


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that the caller must be allowed.

    Attributes:
        action: "airflow:GetEnvironment".
        on: ARN of the resource, or "*".
        context: condition keys of the request, in lower case.
    """

    action: str
    on: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call is refused: HTTP status, AWS's code and message."""

    status: int
    code: str
    message: str


# Asks for needs, each a list of alternatives, in the name of whoever signed the request.
Ask = Callable[[Request, Sequence[Sequence[Need]]], Refusal | None]


def nobody_asks(_request: Request, _needs: Sequence[Sequence[Need]]) -> Refusal | None:
    """Every caller may do everything: a gateway without a local AWS that has callers."""
    return None


def needs_of(operation: str, arn: str, description: Mapping[str, Any], changes: Mapping[str, Any]) -> list[list[Need]]:
    """Return what a call of an operation needs: each of the list, by one of its alternatives.

    Args:
        arn: of the environment that the call names, which need not exist.
        description: of the environment.
        changes: the body of the request.
    """
    if operation in {"InvokeRestApi", "CreateWebLoginToken"}:
        of_roles = arn.replace(":environment/", ":role/")
        return [[Need(f"airflow:{operation}", f"{of_roles}/{role}") for role in AIRFLOW_ROLES]]
    needs = [[Need(f"airflow:{operation}", "*" if operation == "ListEnvironments" else arn)]]
    if operation == "UpdateEnvironment":
        needs += [[need] for need in _of_an_update(description, changes)]
    return needs


def _of_an_update(description: Mapping[str, Any], changes: Mapping[str, Any]) -> list[Need]:
    # Tried on AWS by DataDog's pathfinding-labs (mwaa-002): asked for even when only the DAG folder changes.
    wanted: list[tuple[str, str, dict[str, str]]] = [
        ("ec2:DescribeSubnets", "*", {}),
        ("ec2:DescribeVpcs", "*", {}),
        ("ec2:DescribeSecurityGroups", "*", {}),
        ("s3:GetEncryptionConfiguration", description["SourceBucketArn"], {}),
    ]
    key = description.get("KmsKey")
    if key:
        wanted += [("kms:DescribeKey", key, {}), ("kms:ListGrants", key, {})]
        wanted += [("kms:CreateGrant", key, {"kms:grantisforawsresource": "true"})]
    if "ExecutionRoleArn" in changes:
        wanted += [("iam:PassRole", changes["ExecutionRoleArn"], {"iam:passedtoservice": "airflow.amazonaws.com"})]
    return [Need(action, on, {**keys, **how}) for action, on, keys in wanted for how in _IN_THE_CALLERS_NAME]


def ask_local_aws(endpoint: str, region: str) -> Ask:
    """Return a function that asks the local AWS, where the caller's signature is checked, too.

    Args:
        endpoint: its URL.
    """
    address = urlsplit(endpoint)

    def ask(request: Request, needs: Sequence[Sequence[Need]]) -> Refusal | None:
        body = {
            "request": {
                "method": request.method,
                "path": request.path,
                "query": urlencode(request.query),
                "headers": dict(request.headers),
                "body": base64.b64encode(request.body).decode(),
            },
            "region": region,
            "needs": [[asdict(each) for each in alternatives] for alternatives in needs],
        }
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
        try:
            connection.request("POST", _ASK, json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as exc:
            return Refusal(500, "InternalServerException", f"The local AWS does not answer: {exc}")
        finally:
            connection.close()
        return Refusal(answer["status"], answer["code"], answer["message"]) if answer else None

    return ask
