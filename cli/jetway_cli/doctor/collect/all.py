"""All questions, side by side, and their answers put together. Only what reads is asked here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from jetway_cli.doctor import facts
from jetway_cli.doctor.asking import Desk, PendingCall
from jetway_cli.doctor.collect import account, compared, parts, roles, storage, triggers, ways
from jetway_cli.doctor.facts import Asked, Facts, StackFacts, StackResource
from jetway_cli.doctor.needs import needs
from jetway_cli.errors import StackTroubleError, error_code
from jetway_cli.stack import WHOLE

if TYPE_CHECKING:
    from jetway_cli.stack import Target

T = TypeVar("T")

LONGEST = 90.0  # seconds for all answers but the layers', which may have to import Airflow first; ten are the rule
LONGEST_LOAD = 110.0
REST_METRIC = "RestCallsThrottled"


def collect(target: Target, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Facts:
    """See all that doctor looks at.

    Raises:
        StackTroubleError: there is no such stack.
        ClientError, BotoCoreError: CloudFormation does not say how the stack is.
    """
    desk = Desk(target)
    try:
        return _collect(desk, clock)
    finally:
        desk.close()


def _collect(desk: Desk, clock: Callable[[], datetime]) -> Facts:
    before = clock()
    told = desk.target.heard.get("date")
    now = clock()
    stack = _stack(desk)
    if not stack.was_whole:
        desk.reason = f"The stack is {stack.status}."
    asked = _begin(desk, stack, now)
    until = time.monotonic() + LONGEST
    found = asked.template.answer(until)
    comparison = compared.begin(desk, stack, found.value) if found.value else None
    environment = asked.environment.answer(until)
    seen = asked.triggers.answer(until)
    buckets = _buckets(desk, stack, seen, until)
    keys = _keys(desk, stack, buckets, until)
    answered = partial(_together, until=until)
    kept = compared.Kept(answered(asked.functions), answered(asked.queues), asked.alarms.answer(until))
    return Facts(
        now=now,
        version=version("jetway"),
        stack=stack,
        environment=environment,
        buckets=buckets,
        keys=keys,
        roles=_roles(stack, asked.roles, until),
        functions=kept.functions,
        queues=kept.queues,
        parts=Asked(comparison.answers(kept, until)) if comparison else Asked(None, found.denied, found.trouble),
        triggers=seen,
        alarms=kept.alarms,
        subscriptions=asked.subscriptions.answer(until),
        quotas=_quotas(asked.quotas.answer(until)),
        skew=_skew(told, before, now),
        rest_throttled=asked.rest_throttled.answer(until),
        rest=asked.rest.answer(until),
        cli=asked.cli.answer(until),
        health=asked.health.answer(until),
        leftovers=asked.leftovers.answer(until),
        loads=_together(asked.loads, until=until - LONGEST + LONGEST_LOAD),
    )


def _stack(desk: Desk) -> StackFacts:
    found = desk.target.described
    # arn:<partition>:cloudformation:<Region>:<account>:stack/<name>/<id>
    _, partition, _, region, owner, *_ = (str(found.get("StackId") or "") + ":::::").split(":")
    if found.get("StackStatus") in WHOLE and "DropBucketName" not in desk.target.outputs:
        raise StackTroubleError(
            f"Stack {desk.target.stack!r} is not Jetway's: it has no output DropBucketName."
            f"{desk.target.other_stacks()} Name it with --stack or JETWAY_STACK."
        )
    pages = desk.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=desk.target.stack)
    return StackFacts(
        name=desk.target.stack,
        region=region or desk.target.session.region_name or "",
        account=owner,
        partition=partition or "aws",
        status=str(found.get("StackStatus", "")),
        reason=str(found.get("StackStatusReason", "")),
        outputs=desk.target.outputs,
        parameters=desk.target.parameters,
        resources=tuple(
            StackResource(
                one["LogicalResourceId"],
                one.get("PhysicalResourceId", ""),
                one["ResourceType"],
                one["ResourceStatus"],
                one.get("ResourceStatusReason", ""),
            )
            for page in pages
            for one in page["StackResourceSummaries"]
        ),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The questions that were begun together."""

    environment: PendingCall[Any]
    triggers: PendingCall[Any]
    loads: Sequence[PendingCall[Any]]
    roles: Sequence[tuple[str, PendingCall[Any]]]
    functions: Sequence[PendingCall[Any]]
    queues: Sequence[PendingCall[Any]]
    template: PendingCall[Any]
    alarms: PendingCall[Any]
    subscriptions: PendingCall[Any]
    quotas: PendingCall[Any]
    rest_throttled: PendingCall[Any]
    rest: PendingCall[Any]
    cli: PendingCall[Any]
    health: PendingCall[Any]
    leftovers: PendingCall[Any]


def _begin(desk: Desk, stack: StackFacts, now: datetime) -> _Asked:
    """Ask all that needs no other answer first; what takes longest is asked first."""
    name = stack.parameters.get("EnvironmentName") or stack.outputs.get("EnvironmentName", "")
    iam = desk.client("iam")

    def each(kind: str, action: str, look: Callable[[StackResource], Any]) -> list[PendingCall[Any]]:
        return [desk.begin(action, partial(look, found)) for found in stack.of_kind(kind)]

    loaders = [found for found in stack.of_kind("AWS::Lambda::Function") if found.logical.startswith("ImportDag")]
    return _Asked(
        template=desk.begin("cloudformation:GetTemplate", lambda: compared.template(desk, stack)),
        loads=[desk.begin("lambda:InvokeFunction", partial(ways.load, desk, found)) for found in loaders],
        rest=desk.begin("airflow:InvokeRestApi", lambda: ways.rest(desk, name)),
        cli=desk.begin("airflow:CreateCliToken", lambda: ways.cli(desk, name)),
        health=desk.begin("execute-api:Invoke", lambda: ways.health(desk)),
        environment=desk.begin("airflow:GetEnvironment", lambda: _environment(desk, name)),
        triggers=desk.begin("s3:GetObject", lambda: triggers.triggers(desk, stack, now)),
        roles=[
            (need.role, desk.begin(roles.SIMULATE, partial(roles.decide, iam, need, stack))) for need in needs(stack)
        ],
        functions=each("AWS::Lambda::Function", "lambda:GetFunctionConfiguration", partial(parts.function, desk)),
        queues=each("AWS::SQS::Queue", "sqs:GetQueueAttributes", lambda one: parts.queue(desk, one, now)),
        alarms=desk.begin("cloudwatch:DescribeAlarms", lambda: account.alarms(desk, stack)),
        subscriptions=desk.begin("sns:ListSubscriptionsByTopic", lambda: account.subscriptions(desk, stack)),
        quotas=desk.begin("lambda:GetAccountSettings", lambda: account.quotas(desk, now)),
        rest_throttled=desk.begin("cloudwatch:GetMetricData", lambda: _throttled(desk, name, now)),
        leftovers=desk.begin("cloudformation:DescribeStacks", lambda: account.leftovers(desk)),
    )


def _environment(desk: Desk, name: str) -> facts.EnvironmentSeen | None:
    """The environment; None when there is none of that name."""
    from botocore.exceptions import ClientError

    from jetway.airflow.environment import parse_environment

    try:
        found = desk.client("mwaa").get_environment(Name=name)["Environment"]
    except ClientError as exc:
        if error_code(exc) == "ResourceNotFoundException":
            return None
        raise
    network = found.get("NetworkConfiguration") or {}
    return facts.EnvironmentSeen(
        parse_environment(found),
        tuple(network.get("SubnetIds", ())),
        tuple(network.get("SecurityGroupIds", ())),
        found.get("KmsKey"),
    )


def _throttled(desk: Desk, environment: str, now: datetime) -> float | None:
    """How many calls were throttled in the last hour; None when no function has counted any, not even none."""
    of = {"Environment": environment}
    values = parts.history(desk, "Jetway", REST_METRIC, of, now, minutes=60, statistic="Sum")
    return sum(values) if values else None


def _buckets(desk: Desk, stack: StackFacts, seen: Asked[Any], until: float) -> Asked[tuple[facts.BucketSeen, ...]]:
    of_environment = stack.parameters.get("EnvironmentBucketName", "")
    wanted = [(stack.outputs.get("DropBucketName", ""), "the drop bucket", True)]
    wanted += [(of_environment, "the environment's bucket", True)]
    read = seen.value.buckets if seen.value else {}
    wanted += [(name, f"read by {', '.join(names)}", False) for name, names in read.items()]
    asked = [
        desk.begin("s3:ListBucket", partial(storage.bucket, desk, name, why, whole=whole))
        for name, why, whole in wanted
        if name
    ]
    return _together(asked, until=until)


def _keys(desk: Desk, stack: StackFacts, buckets: Asked[Any], until: float) -> Asked[tuple[facts.KeySeen, ...]]:
    own = stack.parameters.get("KmsKeyArn", "")
    made = stack.find("Key")
    wanted: dict[str, tuple[str, bool]] = {}
    if own or made:
        wanted[own or stack.arn("kms", f"key/{made.physical if made else ''}")] = ("what the stack keeps", True)
    for bucket in buckets.value or ():
        if bucket.why == "the environment's bucket" and bucket.key.value:
            wanted.setdefault(bucket.key.value, ("the environment's bucket", False))
    asked = [
        desk.begin("kms:DescribeKey", partial(storage.key, desk, arn, used_for, ours=ours))
        for arn, (used_for, ours) in wanted.items()
    ]
    return _together(asked, until=until)


def _roles(
    stack: StackFacts, asked: Sequence[tuple[str, PendingCall[Any]]], until: float
) -> tuple[facts.RoleSeen, ...]:
    by_role: dict[str, list[PendingCall[Any]]] = {}
    for role, question in asked:
        by_role.setdefault(role, []).append(question)
    found = []
    for role, questions in by_role.items():
        answers = _together(questions, until=until)
        gone = answers.known and any(some is None for some in answers.value or ())
        decisions = tuple(one for some in answers.value or () for one in some or ())
        resource = stack.find(role)
        found.append(
            facts.RoleSeen(
                role,
                resource.physical if resource else "",
                Asked(decisions) if answers.known else Asked(None, answers.denied, answers.trouble),
                gone,
            )
        )
    return tuple(found)


def _quotas(answer: Asked[facts.QuotaSeen]) -> facts.QuotaSeen:
    if answer.value is not None:
        return answer.value
    unknown: Asked[Any] = Asked(None, answer.denied, answer.trouble)
    return facts.QuotaSeen(unknown, unknown, unknown)


def _skew(told: str | None, before: datetime, after: datetime) -> Asked[float]:
    """How far this machine's clock is ahead of CloudFormation's, as the head of its answer has it, in whole seconds."""
    if told is None:
        return Asked(trouble="AWS's response had no date.")
    return Asked(float(round((before + (after - before) / 2 - parsedate_to_datetime(told)).total_seconds())))


def _together(questions: Sequence[PendingCall[T]], *, until: float) -> Asked[tuple[T, ...]]:
    """Put answers together; one that is missing is the answer of all."""
    return parts.known(*(question.answer(until) for question in questions))
