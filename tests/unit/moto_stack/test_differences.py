"""Where moto and MiniStack differ, as docs/emulators.md lists it: a row that is no longer true is taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.moto_stack.deployed import client, make_bucket
from tools.checks.rendered import ACCOUNT, REGION
from tools.emulator import iam_documents

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        yield


def told(pattern: dict[str, Any], **target: Any) -> str:
    """A queue that a rule sends to; its URL."""
    url: str = client("sqs").create_queue(QueueName="told")["QueueUrl"]
    client("events").put_rule(Name="told", EventPattern=json.dumps(pattern))
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"
    client("events").put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": arn, **target}])
    return url


def bodies(url: str) -> list[dict[str, Any]]:
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def test_events_of_a_bucket_are_not_transformed_have_one_sequencer_and_miss_deletions() -> None:
    make_bucket("bucket")
    url = told({"source": ["aws.s3"]}, InputTransformer={"InputTemplate": '{"event": <aws.events.event.json>}'})
    for key in ("a", "b"):
        client("s3").put_object(Bucket="bucket", Key=key, Body=b"1")
    client("s3").delete_object(Bucket="bucket", Key="a")
    found = bodies(url)
    assert not any("event" in each for each in found)
    assert len({each["detail"]["object"]["sequencer"] for each in found}) == 1
    assert {each["detail-type"] for each in found} == {"Object Created", "Object Tags Added"}


def test_a_rule_sends_to_a_queue_whose_policy_does_not_let_it_and_times_it_transforms_are_numbers() -> None:
    url = told({"source": ["x"]}, InputTransformer={"InputTemplate": '{"event": <aws.events.event.json>}'})
    client("events").put_events(Entries=[{"Source": "x", "DetailType": "y", "Detail": "{}"}])
    (body,) = bodies(url)
    assert isinstance(body["event"]["time"], float)


def test_a_copy_goes_ahead_whatever_its_condition_says() -> None:
    make_bucket("bucket")
    for key in ("source", "there"):
        client("s3").put_object(Bucket="bucket", Key=key, Body=key.encode())
    source = {"Bucket": "bucket", "Key": "source"}
    client("s3").copy_object(Bucket="bucket", Key="there", CopySource=source, IfNoneMatch="*")
    assert client("s3").get_object(Bucket="bucket", Key="there")["Body"].read() == b"source"


def test_a_bucket_policys_deny_counts_whatever_its_condition_says() -> None:
    make_bucket("bucket")
    never: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}
    never["Condition"] = {"StringEquals": {"aws:PrincipalAccount": "nobody"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [never]})
    client("s3").put_bucket_policy(Bucket="bucket", Policy=policy)
    with pytest.raises(ClientError, match="403"):
        client("s3").put_object(Bucket="bucket", Key="a", Body=b"1")


def test_iam_takes_a_trust_policy_without_a_principal_and_an_inline_policy_above_the_quota() -> None:
    untrusting = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
    assert iam_documents.malformed(untrusting, "trust")
    client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=json.dumps(untrusting))
    large = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "x" * 11_000}
    document = {"Version": "2012-10-17", "Statement": [large]}
    assert iam_documents.too_large([document], iam_documents.INLINE, "role")
    client("iam").put_role_policy(RoleName="role", PolicyName="large", PolicyDocument=json.dumps(document))


def test_no_pattern_is_tried() -> None:
    event: dict[str, Any] = {
        "id": "1",
        "account": ACCOUNT,
        "source": "x",
        "time": "2026-11-29T00:00:00Z",
        "region": REGION,
    }
    event |= {"resources": [], "detail-type": "y", "detail": {}}
    answer = client("events").test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(event))
    assert "Result" not in answer
