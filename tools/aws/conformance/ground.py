"""What the questions are asked with: resources that begin with one prefix, and are taken away in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PREFIX = "jetway-conformance"
IAM_SECONDS = 15.0  # until a new role is known everywhere
_PAUSE = 2.0


@dataclass
class Ground:
    """Resources, and what takes them away.

    Attributes:
        run: digits that tell this run's resources from another's.
        endpoint: of a stand-in for AWS; None for AWS.
        environment: name of an MWAA environment to ask about; None for none.
        may_update: whether to ask what may begin an update of it.
        sleep: waits.
        left: names of what could not be taken away.
    """

    session: boto3.Session
    run: str
    endpoint: str | None = None
    environment: str | None = None
    may_update: bool = False
    sleep: Callable[[float], None] = time.sleep
    left: list[str] = field(default_factory=list)
    _undo: ExitStack = field(default_factory=ExitStack)

    def client(self, service: str, session: boto3.Session | None = None) -> Any:
        """Return a client; one try, so that what AWS answers is what is seen."""
        make: Any = (session or self.session).client
        once: Any = {"mode": "standard", "total_max_attempts": 1}
        config = Config(connect_timeout=5, read_timeout=30, max_pool_connections=50, retries=once)
        return make(service, endpoint_url=self.endpoint, config=config)

    @property
    def name(self) -> str:
        """What the names of this run's resources begin with."""
        return f"{PREFIX}-{self.run}"

    def later(self, what: str, take_away: Callable[[], Any]) -> None:
        """Have something taken away in the end, before all that was made before it."""

        def undo() -> None:
            try:
                take_away()
            except (ClientError, BotoCoreError) as exc:
                self.left.append(f"{what}: {exc}")

        self._undo.callback(undo)

    def close(self) -> None:
        """Take everything away."""
        self._undo.close()

    def bucket(self, kind: str) -> str:
        """Make a bucket that keeps versions."""
        s3, name = self.client("s3"), f"{self.name}-{kind}"
        region = self.session.region_name
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **where)
        self.later(f"bucket {name}", lambda: self._delete_bucket(name))
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def _delete_bucket(self, name: str) -> None:
        s3 = self.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=name)

    def queue(self, kind: str) -> tuple[str, str]:
        """Make a queue that EventBridge may send to; return its URL and ARN."""
        sqs, name = self.client("sqs"), f"{self.name}-{kind}"
        url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
        self.later(f"queue {name}", lambda: sqs.delete_queue(QueueUrl=url))
        arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        return url, arn

    def rule(self, kind: str, pattern: dict[str, Any], queue_arn: str) -> str:
        """Make a rule that sends to a queue."""
        events, name = self.client("events"), f"{self.name}.{kind}"
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))

        def delete() -> None:
            events.remove_targets(Rule=name, Ids=["queue"])
            events.delete_rule(Name=name)

        self.later(f"rule {name}", delete)
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue_arn}])
        return name

    def acting_as(self, kind: str, *statements: dict[str, Any]) -> boto3.Session:
        """Make a role with these permissions alone, and return a session of it."""
        iam, sts, name = self.client("iam"), self.client("sts"), f"{self.name}-{kind}"[:64]
        account = sts.get_caller_identity()["Account"]
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        self.later(f"role {name}", lambda: iam.delete_role(RoleName=name))
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        self.later(f"policy of {name}", lambda: iam.delete_role_policy(RoleName=name, PolicyName="own"))
        self.sleep(0 if self.endpoint else IAM_SECONDS)
        given = sts.assume_role(RoleArn=arn, RoleSessionName="conformance")["Credentials"]
        return boto3.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], self.session.region_name
        )

    def received(self, url: str, seconds: float) -> tuple[dict[str, Any] | None, float]:
        """Wait for a message; return its body, and how long it took."""
        sqs, began = self.client("sqs"), time.monotonic()
        while True:
            wait = 0 if self.endpoint else 10
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait).get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                body: dict[str, Any] = json.loads(message["Body"])
                return body, time.monotonic() - began
            if time.monotonic() - began >= seconds:
                return None, time.monotonic() - began
            self.sleep(0 if self.endpoint else _PAUSE)


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """Do something; return "done", or AWS's error code with the HTTP status."""
    try:
        call(**arguments)
    except ClientError as exc:
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        return f"{exc.response['Error']['Code']} ({status})"
    except BotoCoreError as exc:
        return f"no answer ({type(exc).__name__})"
    return "done"
