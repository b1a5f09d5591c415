"""What Jetway makes outside of its CloudFormation stack, and what stays when that is deleted: found, and taken out.

Trigger files become rules, schedules and alarms whose names begin with the stack's name and a dot; so they are found
without the stack too. What stays has a name that CloudFormation made of the stack's.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway_cli.errors import error_code
from jetway_cli.stack import DOES_NOT_EXIST, Target

if TYPE_CHECKING:
    from jetway.sync.rules import RuleSet

# Outputs with the URLs of queues whose messages are events that have no outcome yet.
WAITING = ("DispatchQueueUrl", "WaitingQueueUrl", "CollectQueueUrl")
_COUNTS: Any = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
# Outputs of what stays, and how CloudFormation's names of it begin behind the stack's name.
_TABLES = {"ArtifactTableName": "-ArtifactTable-", "BatchTableName": "-BatchTable-", "LedgerTableName": "-LedgerTable-"}
_BUCKET = "-dropbucket-"
_ONLY_JETWAY = "OnlyJetwayWritesItsPrefixes"  # a statement of the drop bucket's policy
_POLICIES = ("ReadManifestsPolicyArn", "TellOfRunsPolicyArn")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What there is.

    Attributes:
        deployed: whether the stack is there.
        rules: (bus, name).
        attached: (role, ARN of the policy): policies of the stack on roles of others.
        waiting: events that are in a queue and have no outcome yet.
        buckets, tables, keys: what stays.
    """

    stack: str
    deployed: bool
    alarms: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    attached: tuple[tuple[str, str], ...] = ()
    waiting: int = 0
    buckets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether there is no such stack, nor anything that one of this name has left."""
        return not (self.deployed or self.outside or self.waiting or self.buckets or self.tables or self.keys)

    @property
    def outside(self) -> int:
        """How many things are outside of the stack."""
        return sum(map(len, (self.alarms, self.schedules, self.rules, self.attached)))


@dataclass(slots=True)
class Account:
    """The account and Region of one stack, and what was found in it."""

    target: Target
    _rules: RuleSet | None = field(default=None, init=False)

    @property
    def prefix(self) -> str:
        """How names of rules, schedules and alarms of triggers begin."""
        return f"{self.target.stack}."

    def look(self) -> Leftovers:
        """Look for everything; nothing is changed.

        Raises:
            ClientError, BotoCoreError: AWS is in trouble, or does not let the caller look.
        """
        from jetway.sync.rules import RuleSet

        outputs = self._outputs()
        self._rules = RuleSet.load(self.target.client("events"), self.prefix)
        buckets, tables = self._buckets(outputs), self._tables(outputs)
        return Leftovers(
            self.target.stack,
            deployed=outputs is not None,
            alarms=tuple(self._alarms()),
            schedules=tuple(self._schedules((outputs or {}).get("ScheduleGroupName", self.target.stack))),
            rules=tuple(sorted(self._rules.found)),
            attached=tuple(self._attached(outputs or {})),
            waiting=self._waiting(outputs or {}),
            buckets=buckets,
            tables=tables,
            keys=tuple(dict.fromkeys(filter(None, map(self._key_of, buckets)))),
        )

    def take_out(self, found: Leftovers, done: Callable[[str], None]) -> None:
        """Take out what starts runs and tells of them, in an order in which nothing rings or is lost.

        Alarms first: an absence alarm would ring when its trigger is gone. What was sent already stays in the queues,
        and is started.

        Args:
            done: is told of each thing as soon as it is gone.

        Raises:
            ClientError, BotoCoreError, TransientError: AWS is in trouble; what is left is found again.
        """
        if self._rules is None:
            raise ValueError("check first")
        for bucket in found.buckets:
            if self._lift(bucket):
                done(f"policy of bucket {bucket} that prevents others from deleting what Jetway wrote")
        if found.alarms:
            for first in range(0, len(found.alarms), 100):
                self.target.client("cloudwatch").delete_alarms(AlarmNames=list(found.alarms[first : first + 100]))
            done(f"{len(found.alarms)} alarms")
        scheduler = self.target.client("scheduler")
        for group, name in (schedule.split("/", 1) for schedule in found.schedules):
            scheduler.delete_schedule(GroupName=group, Name=name)
            done(f"schedule {name}")
        for place in found.rules:
            self._rules.delete(place)
            done(f"rule {place[1]} on bus {place[0]}")

    def _lift(self, bucket: str) -> bool:
        """Take out of a bucket's policy what lets only the stack's roles write below Jetway's prefixes; tell if so."""
        s3 = self.target.client("s3")
        try:
            policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        except ClientError as exc:
            if error_code(exc) in {"NoSuchBucketPolicy", "NoSuchBucket"}:
                return False
            raise
        left = [one for one in policy["Statement"] if one.get("Sid") != _ONLY_JETWAY]
        if len(left) == len(policy["Statement"]):
            return False
        if left:
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": left}))
        else:
            s3.delete_bucket_policy(Bucket=bucket)
        return True

    def detach(self, found: Leftovers, done: Callable[[str], None]) -> None:
        """Detach the stack's policies from roles of others; with one attached, CloudFormation cannot delete the stack.

        Raises:
            ClientError, BotoCoreError: IAM is in trouble.
        """
        for role, policy in found.attached:
            self.target.client("iam").detach_role_policy(RoleName=role, PolicyArn=policy)
            done(f"policy {policy.rpartition('/')[2]} of role {role}")

    def _outputs(self) -> Mapping[str, str] | None:
        try:
            (stack,) = self.target.client("cloudformation").describe_stacks(StackName=self.target.stack)["Stacks"]
        except ClientError as exc:
            if error_code(exc) == DOES_NOT_EXIST:
                return None
            raise
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def _alarms(self) -> Iterator[str]:
        pages = self.target.client("cloudwatch").get_paginator("describe_alarms")
        for page in pages.paginate(AlarmNamePrefix=self.prefix, AlarmTypes=["MetricAlarm"]):
            yield from (alarm["AlarmName"] for alarm in page["MetricAlarms"])

    def _schedules(self, group: str) -> Iterator[str]:
        pages = self.target.client("scheduler").get_paginator("list_schedules")
        try:
            for page in pages.paginate(GroupName=group, NamePrefix=self.prefix):
                yield from (f"{group}/{schedule['Name']}" for schedule in page["Schedules"])
        except ClientError as exc:
            if error_code(exc) != "ResourceNotFoundException":
                raise

    def _attached(self, outputs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        iam = self.target.client("iam")
        for policy in filter(None, map(outputs.get, _POLICIES)):
            for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=policy, EntityFilter="Role"):
                yield from ((role["RoleName"], policy) for role in page["PolicyRoles"])

    def _waiting(self, outputs: Mapping[str, str]) -> int:
        sqs, total = self.target.client("sqs"), 0
        for url in filter(None, map(outputs.get, WAITING)):
            counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)["Attributes"]
            total += sum(int(counts[name]) for name in _COUNTS)
        return total

    def _buckets(self, outputs: Mapping[str, str] | None) -> tuple[str, ...]:
        if outputs is not None:
            return tuple(filter(None, [outputs.get("DropBucketName")]))
        begins = self.target.stack.lower() + _BUCKET
        return _beginning(begins, (one["Name"] for one in self.target.client("s3").list_buckets()["Buckets"]))

    def _tables(self, outputs: Mapping[str, str] | None) -> tuple[str, ...]:
        if outputs is not None:
            return tuple(filter(None, map(outputs.get, _TABLES)))
        pages = self.target.client("dynamodb").get_paginator("list_tables").paginate()
        names = [name for page in pages for name in page["TableNames"]]
        return tuple(name for kind in _TABLES.values() for name in _beginning(self.target.stack + kind, names))

    def _key_of(self, bucket: str) -> str | None:
        """The key that a bucket is encrypted with, when it is none of AWS's own."""
        try:
            rules = self.target.client("s3").get_bucket_encryption(Bucket=bucket)
        except ClientError:
            return None  # gone, or not ours to look at: then the key is not named
        (rule, *_) = rules["ServerSideEncryptionConfiguration"]["Rules"]
        key: str = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID", "")
        return key.rpartition("/")[2] or None


def commands(found: Leftovers) -> list[str]:
    """Return the commands that delete the stack and what stays after it, in their order. Pure."""
    lines = []
    if found.deployed:
        stack = shlex.quote(found.stack)
        lines += [
            f"aws cloudformation delete-stack --stack-name {stack}",
            f"aws cloudformation wait stack-delete-complete --stack-name {stack}",
        ]
    for bucket in found.buckets:
        empty = f"import boto3; boto3.resource('s3').Bucket('{bucket}').object_versions.delete()"
        lines += [f'python3 -c "{empty}"', f"aws s3api delete-bucket --bucket {bucket}"]
    lines += [f"aws dynamodb delete-table --table-name {table}" for table in found.tables]
    lines += [f"aws kms schedule-key-deletion --key-id {key} --pending-window-in-days 30" for key in found.keys]
    return lines


def _beginning(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith(prefix))
