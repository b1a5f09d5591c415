"""IAM in MiniStack: every call of a function is decided by its role's policies, and what AWS asks beyond MiniStack.

`AUTH=true` makes MiniStack decide; it is right about policies, boundaries, conditions, tables, keys and versions. Here
is what it does not ask (1.5.33), each as AWS documents it, and the record of every decision:

A function's session has lambda:SourceFunctionArn.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html

S3, SQS, SNS, DynamoDB and Secrets Manager use a customer's key in the caller's name: the key's policy and the caller's
policies are asked, with kms:ViaService.
https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service

Whoever makes a schedule hands on its role: iam:PassRole.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html

aws:PrincipalArn of a role's session is the role's ARN, not the session's.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn

A role that a service uses by itself (polling a queue, writing a log, sending for a schedule) is asked, too, and its
trust policy must name the service.

What a request is taken for, is in tools/emulator/ministack/requests.py; how the MWAA gateway asks, in
tools/emulator/ministack/authorizer.py.
"""

from __future__ import annotations

import contextvars
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator, responses  # type: ignore[import-not-found]
from ministack.services import dynamodb, iam, kms, s3, secretsmanager, sns, sqs, sts  # type: ignore[import-not-found]

from tools.emulator.ministack.record import RECORD

Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """Something that is to be allowed.

    Attributes:
        key: the caller's access key.
        service: as MiniStack names it.
        on: ARN of the resource, or "*".
        context: condition keys of the request, in lower case.
    """

    key: str
    action: str
    service: str
    region: str
    on: str
    context: Context = field(default_factory=dict)


_evaluate, _enforce = iam_evaluator.evaluate, iam_evaluator.enforce
# What an identity's policies say is lost on the way to enforce's answer.
_heard: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("jetway_heard", default=None)
# What a denial is to name where it is not the call itself: action and resource.
missing: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("jetway_missing", default=None)
# What a request names beside its first resource.
other_resources: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("jetway_others", default=())
# What else a request needs on its resource.
also_needed: contextvars.ContextVar[str] = contextvars.ContextVar("jetway_also", default="")
# The role that the request hands on to EventBridge Scheduler.
passed_role: contextvars.ContextVar[str] = contextvars.ContextVar("jetway_passed_role", default="")


def _evaluate_and_tell(*args: Any) -> Any:
    result = _evaluate(*args)
    heard = _heard.get()
    if heard is not None:
        heard.append(result)
    return result


def ask(call: Call, *, tell_denial: bool = True) -> Any:
    """Ask MiniStack's own IAM, and record what it says; None is Allow.

    Args:
        tell_denial: record a denial, too.
    """
    heard: list[Any] = []
    token = _heard.set(heard)
    try:
        refused = _enforce(
            call.key, call.action, call.service, call.region, resource_arn=call.on, service_context=call.context
        )
    finally:
        _heard.reset(token)
    if heard if refused is None else tell_denial:
        # The first that was heard is the identity's policies; the resource's come after.
        caller = (iam_evaluator.resolve_caller_identity(call.key) or {}).get("userArn", "")
        RECORD.write(caller, call.action, call.on, heard[0] if refused is None else refused, call.context)
    return refused


def enforce(  # noqa: PLR0917 - MiniStack's own signature
    key: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: Context | None = None,
) -> Any:
    """Decide a call as AWS does; None is Allow. The root user's calls are not looked at."""
    missing.set(None)
    if iam_evaluator.is_root_access_key(key):
        return _enforce(key, action, service, region, resource_arn=resource_arn, service_context=service_context)
    session = session_keys(key, region)
    # A batch of SQS needs what its single calls need.
    action = action.removesuffix("Batch") if service == "sqs" else action
    context = {**(service_context or {}), **session, "aws:viaawsservice": "false"}
    call = Call(key, action, service, region, resource_arn, context)
    refused = ask(call)
    for other in other_resources.get():
        refused = refused if refused is not None else _also(replace(call, on=other))
    if refused is None and also_needed.get():
        refused = _also(replace(call, action=also_needed.get()))
    if refused is None and action in {"scheduler:CreateSchedule", "scheduler:UpdateSchedule"} and passed_role.get():
        passing = {**session, "iam:passedtoservice": "scheduler.amazonaws.com"}
        refused = _also(Call(key, "iam:PassRole", "iam", region, passed_role.get(), passing))
    if refused is None and not action.startswith("kms:"):
        refused = _ask_for_the_key(replace(call, context=session))
    return refused


def _also(call: Call) -> Any:
    """Ask for what a call needs beside itself; a denial names that."""
    refused = ask(call)
    if refused is not None:
        missing.set((call.action, call.on))
    return refused


def session_keys(key: str, region: str) -> Context:
    """Return what is in the session of a function's role."""
    # https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
    found = re.fullmatch(r"arn:aws:sts::(\d+):assumed-role/[^/]+/(.+)", (sts._sessions.get(key) or {}).get("Arn", ""))
    if found is None:
        return {}
    return {"lambda:sourcefunctionarn": f"arn:aws:lambda:{region}:{found[1]}:function:{found[2]}"}


# ---------------------------------------------------------------------------------------------- keys

_DATA_KEY, _DECRYPT = "kms:GenerateDataKey", "kms:Decrypt"
_ON_SQS = {"sqs:SendMessage": (_DATA_KEY, _DECRYPT), "sqs:ReceiveMessage": (_DECRYPT,)}
_ON_S3 = {"s3:GetObject": (_DECRYPT,), "s3:GetObjectVersion": (_DECRYPT,), "s3:PutObject": (_DATA_KEY,)}
_ITEMS = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "ConditionCheckItem", "BatchGetItem")


def key_needed(action: str, on: str) -> tuple[str, tuple[str, ...]]:
    """Return the ARN of the customer's key that a call uses, "" for none, and what it does with it."""
    name = on.rsplit(":", 1)[-1]
    if action in _ON_S3:
        found = s3._bucket_default_sse_headers(name.split("/")[0])
        return _arn_of_key(found.get("x-amz-server-side-encryption-aws-kms-key-id", "")), _ON_S3[action]
    if action in _ON_SQS:
        queue = sqs._queue_by_arn(on) or {"attributes": {}}
        return _arn_of_key(queue["attributes"].get("KmsMasterKeyId", "")), _ON_SQS[action]
    if action == "sns:Publish":
        topic = sns._topic_by_arn_any_scope(on) or {}
        return _arn_of_key(topic.get("attributes", {}).get("KmsMasterKeyId", "")), (_DATA_KEY, _DECRYPT)
    if action.startswith("dynamodb:") and action.partition(":")[2] in _ITEMS and "/" in name:
        table = dynamodb._tables.get(name.split("/")[1]) or {}
        return _arn_of_key((table.get("SSEDescription") or {}).get("KMSMasterKeyArn", "")), (_DECRYPT,)
    if action == "secretsmanager:GetSecretValue":
        secret: Context = next((one for one in secretsmanager._secrets.values() if one.get("ARN") == on), {})
        return _arn_of_key(secret.get("KmsKeyId") or ""), (_DECRYPT,)
    return "", ()


def _arn_of_key(key: str) -> str:
    """The ARN of a customer's key; nothing for one of AWS's own, which its service uses by itself."""
    if not key or "alias/aws/" in key:
        return ""
    return str((kms._resolve_key(key) or {}).get("Arn") or key)


def _ask_for_the_key(call: Call) -> Any:
    key, needed = key_needed(call.action, call.on)
    context = {**call.context, **via(call.action.partition(":")[0], call.region)}
    for action in needed if key else ():
        refused = _also(Call(call.key, action, "kms", call.region, key, context))
        if refused is not None:
            return refused
    return None


def via(service: str, region: str) -> Context:
    """Return what a request has in it that a service makes in its caller's name."""
    return {
        "kms:viaservice": f"{service}.{region}.amazonaws.com",
        "kms:calleraccount": responses.get_account_id(),
        "aws:viaawsservice": "true",
        "aws:calledvia": [f"{service}.amazonaws.com"],
    }


# ---------------------------------------------------------------------------------------------- what AWS itself does


@dataclass(frozen=True, slots=True)
class Given:
    """A role that was given to a service.

    Attributes:
        arn: of the role.
        service: whose name the role's trust policy must have: "lambda.amazonaws.com".
        session: the name of the session that the service makes.
        context: keys of the request for the session, and for what is done in it.
    """

    arn: str
    service: str
    session: str
    context: Context = field(default_factory=dict)

    def may(self, action: str, on: str) -> bool:
        """Whether the service may do this with the role; record it."""
        account, name = responses.get_account_id(), self.arn.rsplit("/", 1)[-1]
        who = f"arn:aws:sts::{account}:assumed-role/{name}/{self.session}"
        found = iam._roles.get_scoped(account, None, name) or {}
        trusts = iam_evaluator.evaluate_resource_policy(
            found.get("AssumeRolePolicyDocument"), _request("sts:AssumeRole", self.arn, self.context), self.service
        )
        if trusts.decision != "Allow":
            RECORD.write(who, "sts:AssumeRole", self.arn, trusts, {})
            return False
        if not self._policies_allow(who, action, on, self.context):
            return False
        key, needed = key_needed(action, on)
        keys = {**self.context, **via(action.partition(":")[0], responses.get_region())}
        return not key or all(self._policies_allow(who, each, key, keys) for each in needed)

    def _policies_allow(self, who: str, action: str, on: str, context: Context) -> bool:
        account, name = responses.get_account_id(), self.arn.rsplit("/", 1)[-1]
        limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
        request = _request(action, on, context, who)
        result = _evaluate(request, iam_evaluator._gather_role_policies(name, account), *limits)
        if action.startswith("kms:"):
            policy = kms.key_policy_for_arn(on) or (None, None)
            both = iam_evaluator.combine_resource_policy(result, request, *policy, required=True)
            result = result if both.decision == "Allow" else both
        RECORD.write(who, action, on, result, context)
        return bool(result.decision == "Allow")


def service_may(service: str, action: str, on: str, policy: Any, context: Context) -> bool:
    """Whether a resource's policy lets a service, by its own name, do this; record it.

    Args:
        service: "events.amazonaws.com".
        policy: the resource's, or None.
        context: aws:sourcearn and its like.
    """
    result = iam_evaluator.evaluate_resource_policy(policy, _request(action, on, context), service=service)
    RECORD.write(service, action, on, result, context)
    return bool(result.decision == "Allow")


def service_may_use_the_key(service: str, action: str, on: str, context: Context) -> bool:
    """Whether a key's policy lets a service, by its own name, use the key of what it writes to."""
    key, needed = key_needed(action, on)
    policy = kms.key_policy_for_arn(key) if key else None
    return not key or all(service_may(service, each, key, (policy or [None])[0], context) for each in needed)


def _request(action: str, on: str, keys: Context, who: str = "*") -> Any:
    """A request of a role's session, or of a service itself."""
    return iam_evaluator.EvalContext(
        principal_arn=who,
        principal_type="Service" if who == "*" else "AssumedRole",
        principal_account="" if who == "*" else responses.get_account_id(),
        action=action,
        resource_arn=on,
        region=responses.get_region(),
        secure_transport=True,
        service_context=keys,
    )


_resolve_condition_key = iam_evaluator._resolve_condition_key


def _with_the_roles_arn(key: str, request: Any) -> Any:
    """Return the value of a condition key of a request."""
    arn = request.principal_arn
    if key.lower() != "aws:principalarn" or ":assumed-role/" not in arn:
        return _resolve_condition_key(key, request)
    account, name = arn.split(":")[4], arn.split(":assumed-role/")[1].partition("/")[0]
    role = iam._roles.get_scoped(account, None, name) or {}
    return role.get("Arn") or f"arn:aws:iam::{account}:role/{name}"


def install(record: Path) -> None:
    """Put all this in force.

    Args:
        record: the file that decisions go to.
    """
    RECORD.open(record)
    iam_evaluator.evaluate, iam_evaluator.enforce = _evaluate_and_tell, enforce
    iam_evaluator._resolve_condition_key = _with_the_roles_arn
