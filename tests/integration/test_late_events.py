"""Events of a bucket that was only just told to send them are lost, as on AWS, where a switch asks for that."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration import ministack_alone
from tools.emulator.ministack.service import REGION
from tools.stack.calls import let_send, wait_for

SECONDS = 3


def test_events_of_the_first_minutes_are_lost(tmp_path: Path) -> None:
    with ministack_alone.running(tmp_path, EVENTS_BEGIN_AFTER=str(SECONDS)) as clients:
        s3, sqs, events = (ministack_alone.client(clients, name) for name in ("s3", "sqs", "events"))
        s3.create_bucket(Bucket="new", CreateBucketConfiguration={"LocationConstraint": REGION})
        url = sqs.create_queue(QueueName="told")["QueueUrl"]
        events.put_rule(Name="told", EventPattern=json.dumps({"source": ["aws.s3"]}))
        events.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": let_send(sqs, url, "events")}])
        s3.put_bucket_notification_configuration(
            Bucket="new", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        s3.put_object(Bucket="new", Key="lost", Body=b"")
        told: list[str] = []

        def until_one_comes() -> bool | None:
            s3.put_object(Bucket="new", Key="later", Body=b"")
            came = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            told.extend(json.loads(message["Body"])["detail"]["object"]["key"] for message in came)
            return bool(told) or None

        wait_for("an event", until_one_comes, seconds=SECONDS + 15)
        assert set(told) == {"later"}
