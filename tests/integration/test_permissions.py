"""The local stack refuses what IAM refuses: in AWS's own words, and a run of the tests ends red for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.integration.conftest import Denials, drop
from tests.integration.http_callers import call_as, make_user
from tools.checks import decisions
from tools.emulator.ministack.service import ACCOUNT, REGION
from tools.stack.calls import call_api, let_send, wait_for
from tools.stack.stack import ENVIRONMENT_NAME, Stack

TRUSTED = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


def trust(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements or [TRUSTED]})


@contextmanager
def session(stack: Stack, *statements: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A session of a role with these statements: its ARN, and a function that makes clients."""
    iam: Any = stack.client("iam")
    name = f"caller-{uuid.uuid4().hex[:8]}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document)
    keys = stack.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]

    def client(service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=stack.gateway_url if service == "mwaa" else stack.endpoint,
            region_name=REGION,
            verify=stack.ca_bundle,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    try:
        yield f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/test", client
    finally:
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)


def allow(*actions: str, on: str = "*", **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **condition}


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"


def key_of(stack: Stack) -> str:
    found = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["DispatchQueueUrl"], AttributeNames=["KmsMasterKeyId"]
    )
    return str(found["Attributes"]["KmsMasterKeyId"])


# What MWAA asks of whoever updates an environment, whatever changes.
UPDATE = ["airflow:UpdateEnvironment", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeSecurityGroups"]
UPDATE += ["s3:GetEncryptionConfiguration", "kms:DescribeKey", "kms:ListGrants", "kms:CreateGrant"]


@pytest.mark.parametrize("missing", UPDATE)
def test_an_update_needs_what_mwaa_asks_of_its_caller(stack: Stack, denials: Denials, missing: str) -> None:
    others = [action for action in UPDATE if action != missing]
    with session(stack, allow(*others)) as (who, client), denials.wanted(stack, who, missing):
        said = refusal(client("mwaa").update_environment, Name=ENVIRONMENT_NAME, MaxWorkers=10)
    assert said.startswith("AccessDeniedException: User: ")
    assert f"is not authorized to perform: {missing} on resource: " in said


def test_a_deny_by_the_functions_arn_beats_an_allow(stack: Stack, denials: Denials) -> None:
    """The Deny that the template once had, which would have hit what MWAA asks in the caller's name."""
    function = stack.client("cloudformation").describe_stack_resource(
        StackName="jetway", LogicalResourceId="ApplyUpdatesFunction"
    )["StackResourceDetail"]["PhysicalResourceId"]
    config = stack.client("lambda").get_function_configuration(FunctionName=function)
    iam, role = stack.client("iam"), config["Role"].rsplit("/", 1)[-1]
    deny = {
        "Effect": "Deny",
        "Action": "airflow:GetEnvironment",
        "Resource": "*",
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": f"arn:aws:lambda:*:*:function:{function}"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=document)
    try:
        with denials.wanted(stack, "ApplyUpdatesFunctionRole", "airflow:GetEnvironment"):
            stack.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")


def test_the_key_of_a_queue_and_of_a_bucket_is_asked_for_too(stack: Stack, denials: Denials) -> None:
    queue, bucket, key = stack.outputs["DispatchQueueUrl"], stack.outputs["DropBucketName"], key_of(stack)
    with session(stack, allow("sqs:SendMessage", "s3:PutObject")) as (who, client):
        with denials.wanted(stack, who, "kms:GenerateDataKey"):
            said = refusal(client("s3").put_object, Bucket=bucket, Key="data/none/x.csv", Body=b"x")
        assert f"kms:GenerateDataKey on resource: {key}" in said
        with denials.wanted(stack, who, "kms:GenerateDataKey"):
            said = refusal(client("sqs").send_message, QueueUrl=queue, MessageBody="{}", MessageGroupId="x")
        assert f"kms:GenerateDataKey on resource: {key}" in said
    elsewhere = {"Condition": {"StringEquals": {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}}}
    may = (allow("s3:PutObject"), allow("kms:*", on=key, **elsewhere))
    with session(stack, *may) as (who, client), denials.wanted(stack, who, "kms:GenerateDataKey"):
        refusal(client("s3").put_object, Bucket=bucket, Key="data/none/x.csv", Body=b"x")


def test_what_is_not_there_is_told_only_to_who_may_list_the_bucket(stack: Stack, denials: Denials) -> None:
    nowhere = {"Bucket": stack.outputs["DropBucketName"], "Key": "data/none/none.csv"}
    with session(stack, allow("s3:GetObject", "kms:*")) as (who, client), denials.wanted(stack, who, "s3:ListBucket"):
        assert refusal(client("s3").get_object, **nowhere).startswith("AccessDenied")
        assert refusal(client("s3").head_object, **nowhere).startswith("403")
    with session(stack, allow("s3:GetObject", "s3:ListBucket", "kms:*")) as (_, client):
        assert refusal(client("s3").get_object, **nowhere).startswith("NoSuchKey")


def test_a_log_groups_arn_ends_with_a_star_in_policies(stack: Stack, denials: Denials) -> None:
    group = "/jetway/jetway/validate_artifact"
    on = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    with session(stack, allow("logs:FilterLogEvents", on=f"{on}:*")) as (_, client):
        client("logs").filter_log_events(logGroupName=group, limit=1)
    missing = "logs:FilterLogEvents"
    with session(stack, allow(missing, on=on)) as (who, client), denials.wanted(stack, who, missing):
        refusal(client("logs").filter_log_events, logGroupName=group, limit=1)


@pytest.mark.parametrize("path", ["/", "/artifacts", "/dags", "/events", "/health", "/workers"])
def test_each_page_may_ask_for_what_it_shows(stack: Stack, path: str) -> None:
    """A page that is denied something shows less, and the run of the tests ends red for it."""
    assert call_api(stack, "GET", path).status_code == 200


def test_a_rule_sends_only_where_the_queues_policy_lets_it(stack: Stack, denials: Denials) -> None:
    sqs, events = stack.client("sqs"), stack.client("events")
    name = f"refused-{uuid.uuid4().hex[:8]}"
    closed, letters = (sqs.create_queue(QueueName=f"{name}-{each}")["QueueUrl"] for each in ("closed", "letters"))
    arn = sqs.get_queue_attributes(QueueUrl=closed, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    target = {"Id": "queue", "Arn": arn, "DeadLetterConfig": {"Arn": let_send(sqs, letters, "events")}}
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[target])
    try:
        with denials.wanted(stack, "events.amazonaws.com", "sqs:SendMessage"):
            events.put_events(Entries=[{"Source": name, "DetailType": "x", "Detail": "{}"}])
        letter = wait_for(
            "the dead letter", lambda: sqs.receive_message(QueueUrl=letters).get("Messages") or None, seconds=20
        )
        assert json.loads(letter[0]["Body"])["source"] == name
        assert not sqs.receive_message(QueueUrl=closed).get("Messages")
    finally:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)


def test_an_alarm_publishes_only_where_the_topics_policy_lets_it(stack: Stack, denials: Denials) -> None:
    sns, cloudwatch = stack.client("sns"), stack.client("cloudwatch")
    name = f"refused-{uuid.uuid4().hex[:8]}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    nobody = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**nobody, "Resource": topic}]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)
    try:
        with denials.wanted(stack, "cloudwatch.amazonaws.com", "sns:Publish"):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                Namespace="Refused",
                MetricName="m",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=0,
                ComparisonOperator="GreaterThanThreshold",
                AlarmActions=[topic],
            )
            cloudwatch.put_metric_data(Namespace="Refused", MetricData=[{"MetricName": "m", "Value": 1}])
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name])


def test_a_function_reads_its_queue_and_writes_its_log_by_its_role(stack: Stack, denials: Denials) -> None:
    """Taken from the role, what Lambda itself needs is missed at once; given back, the file goes live."""
    iam = stack.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "ValidateArtifactRole" in each["RoleName"])
    deny = {"Effect": "Deny", "Action": ["sqs:ReceiveMessage", "logs:PutLogEvents"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=document)
    try:
        with denials.wanted(stack, "ValidateArtifactRole", "sqs:ReceiveMessage"):
            drop(stack, "dags/broken_by_permission.py", b"not python at all (")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")


def test_a_call_is_signed_by_whom_it_names_and_allowed_by_iam(stack: Stack, denials: Denials) -> None:
    name, url = f"signer-{uuid.uuid4().hex[:8]}", f"{stack.http_api_url}/dags"
    user = make_user(stack, name)
    assert call_as(user, url).status_code == 200
    with denials.wanted(stack, f"arn:aws:iam::{ACCOUNT}:user/{name}", "execute-api:Invoke"):
        assert call_as(Credentials(user.access_key, "of somebody else"), url).status_code == 403
    with session(stack) as (who, client), denials.wanted(stack, who, "execute-api:Invoke"):
        keys = client("sts")._request_signer._credentials
        assert call_as(Credentials(keys.access_key, keys.secret_key, keys.token), url).status_code == 403


def test_a_role_that_nobody_trusts_is_not_used(stack: Stack) -> None:
    with pytest.raises(ClientError, match=r"cannot be (found|assumed)"):
        stack.client("lambda").create_function(
            FunctionName="nobodys",
            Runtime="python3.12",
            Role=f"arn:aws:iam::{ACCOUNT}:role/nobodys",
            Handler="app.handler",
            Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        )


def policy(*sids: str, size: int = 0) -> str:
    bucket = "arn:aws:s3:::" + "x" * size
    statements = [{"Sid": sid, **allow("s3:GetObject", on=bucket)} for sid in sids]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_iam_refuses_a_document_that_it_would_refuse_in_an_account(stack: Stack) -> None:
    iam = stack.client("iam")
    twice, large = policy("EventsOut", "TellPeople", "EventsOut"), policy("Large", size=10_300)
    with session(stack) as (who, _):
        role = {"RoleName": who.split("/")[1], "PolicyName": "x"}
        assert "MalformedPolicyDocument: Statement IDs (SID) in a single policy must be unique" in refusal(
            iam.put_role_policy, PolicyDocument=twice, **role
        )
        assert refusal(iam.put_role_policy, PolicyDocument=large, **role).startswith("LimitExceeded")
    assert "must be unique" in refusal(iam.create_policy, PolicyName="x", PolicyDocument=twice)
    assert refusal(iam.create_policy, PolicyName="x", PolicyDocument=policy("L", size=6_200)).startswith("LimitExc")
    twice = trust(*[{**TRUSTED, "Sid": "Same"}] * 2)
    assert "must be unique" in refusal(iam.create_role, RoleName="x", AssumeRolePolicyDocument=twice)


def test_a_stack_whose_role_has_a_sid_twice_is_not_created(stack: Stack) -> None:
    """As Jetway's own template once was: every emulator took it, no account would have."""
    document = json.loads(policy("EventsOut", "TellPeople", "EventsOut", "TellPeople"))
    lambdas = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    properties = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [lambdas]},
        "Policies": [{"PolicyName": "all", "PolicyDocument": document}],
    }
    template = {"Resources": {"ValidateArtifactRole": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    client = stack.client("cloudformation")
    client.create_stack(
        StackName="sid-twice", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"], OnFailure="ROLLBACK"
    )

    def failed() -> str | None:
        (found,) = client.describe_stacks(StackName="sid-twice")["Stacks"]
        return found["StackStatus"] if found["StackStatus"].endswith(("FAILED", "ROLLBACK_COMPLETE")) else None

    wait_for("the failure", failed, seconds=30)
    events = client.describe_stack_events(StackName="sid-twice")["StackEvents"]
    assert any("Statement IDs (SID) in a single policy must be unique" in str(event) for event in events)
    client.delete_stack(StackName="sid-twice")


def test_every_decision_is_recorded_with_role_action_and_resource(stack: Stack, dag: str) -> None:
    found = decisions.asked(stack.decisions())
    assert decisions.Grant("ValidateArtifactRole", "PromoteAndRollBack", "s3:PutObject") in found
    assert decisions.Grant("ValidateArtifactRole", "OurKey", "kms:Decrypt") in found
    assert {grant for grant in found if grant.role.endswith("Role")} <= decisions.granted()
