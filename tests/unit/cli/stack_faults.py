"""Faults for a deployed stack: what somebody does to it by hand, and which checks of doctor must say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.unit.cli.conftest import REGION, Cloud
from tests.unit.cli.deployed_stack import DROP, ENVIRONMENT, ORDERS, client
from tests.unit.cli.lambda_server import LambdaServer
from tests.unit.mwaa_server import MwaaServer

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Plant = Callable[[Cloud, LambdaServer, MwaaServer], Any]


def _no_events(bucket: str) -> Plant:
    return lambda *_: client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})


def _foreign_key(*_: Any) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client("s3").put_bucket_encryption(Bucket=ENVIRONMENT, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _suspended(*_: Any) -> None:
    client("s3").put_bucket_versioning(Bucket=ENVIRONMENT, VersioningConfiguration={"Status": "Suspended"})


def _disabled_key(cloud: Cloud, *_: Any) -> None:
    client("kms").disable_key(KeyId=next(one[1] for one in cloud.resources if one[0] == "Key"))


def _target_of_another(*_: Any) -> None:
    target = {"Id": "jetway", "Arn": "arn:aws:sqs:eu-central-1:123456789012:elsewhere"}
    client("events").put_targets(Rule="jetway.orders", Targets=[target])


def _schedule_by_hand(*_: Any) -> None:
    there = client("scheduler").get_schedule(GroupName="jetway", Name="jetway.daily")
    kept = {name: there[name] for name in ("GroupName", "Name", "FlexibleTimeWindow", "Target")}
    client("scheduler").update_schedule(**kept, ScheduleExpression="rate(2 days)")


def _leftover(*_: Any) -> None:
    client("events").put_rule(
        Name="gone.orders", EventPattern='{"source": ["x"]}', Description="Jetway: triggers/orders.yaml starts DAG x"
    )


def url_of(cloud: Cloud, queue: str) -> str:
    return next(one[1] for one in cloud.resources if one[0] == queue)


def _dead_letter(cloud: Cloud, *_: Any) -> None:
    client("sqs").send_message(QueueUrl=url_of(cloud, "UndeliveredEvents"), MessageBody="x")


def _in_the_ledger_of_alarms(*_: Any) -> None:
    client("cloudwatch").set_alarm_state(AlarmName="jetway-DeadLettersAlarm", StateValue="ALARM", StateReason="so")


def _set(server: str, **values: Any) -> Plant:
    def plant(cloud: Cloud, functions: LambdaServer, mwaa: MwaaServer) -> None:
        for name, value in values.items():
            setattr({"cloud": cloud, "functions": functions, "mwaa": mwaa}[server], name, value)

    return plant


def _first_function(**changes: Any) -> Plant:
    return lambda _c, functions, _m: next(iter(functions.functions.values())).update(changes)


def _first_mapping(**changes: Any) -> Plant:
    return lambda _c, functions, _m: next(iter(functions.mappings.values())).update(changes)


def physical(cloud: Cloud, logical: str) -> str:
    """A resource's name."""
    return next(one[1] for one in cloud.resources if one[0] == logical)


def _queue_setting(queue: str, **attributes: str) -> Plant:
    return lambda cloud, *_: client("sqs").set_queue_attributes(QueueUrl=physical(cloud, queue), Attributes=attributes)


def _trust_of_another(cloud: Cloud, *_: Any) -> None:
    cloud.trusts["jetway-StartDagRunRole"]["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}


def _no_more_backups(cloud: Cloud, *_: Any) -> None:
    client("dynamodb").update_continuous_backups(
        TableName=physical(cloud, "ArtifactTable"),
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )


def _no_time_to_live(cloud: Cloud, *_: Any) -> None:
    client("dynamodb").update_time_to_live(
        TableName=physical(cloud, "BatchTable"),
        TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": False},
    )


def _nobody_publishes(cloud: Cloud, *_: Any) -> None:
    client("sns").set_topic_attributes(
        TopicArn=physical(cloud, "AlarmTopic"),
        AttributeName="Policy",
        AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )


def _route_gone(cloud: Cloud, functions: LambdaServer, _: MwaaServer) -> None:
    del functions.api[f"/v2/apis/{physical(cloud, 'HttpApi')}/routes/{physical(cloud, 'WebhookRoute')}"]


def _integration_of_another(_: Cloud, functions: LambdaServer, __: MwaaServer) -> None:
    next(one for path, one in functions.api.items() if "/integrations/" in path)["integrationUri"] = "arn:x"


def _stage_gone(_: Cloud, functions: LambdaServer, __: MwaaServer) -> None:
    del functions.api[next(path for path in functions.api if "/stages/" in path)]


def _denied(bucket: str, add_to: bool = False) -> Plant:
    def plant(*_: Any) -> None:
        policy = json.loads(client("s3").get_bucket_policy(Bucket=bucket)["Policy"]) if add_to else {"Statement": []}
        things = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        policy["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": things})
        client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", **policy}))

    return plant


def _lifecycle_edited(*_: Any) -> None:
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    client("s3").put_bucket_lifecycle_configuration(Bucket=DROP, LifecycleConfiguration={"Rules": [rule]})


def _input_lost(cloud: Cloud, *_: Any) -> None:
    rule = physical(cloud, "DataDroppedRule")
    (target,) = client("events").list_targets_by_rule(Rule=rule)["Targets"]
    client("events").put_targets(Rule=rule, Targets=[{k: v for k, v in target.items() if k != "InputTransformer"}])


def _uploaded(*_: Any) -> None:
    """What the template names as the functions' code is still there."""
    client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_object(Bucket="bucket", Key="key", Body=b"zip")


def edit_alarm(name: str, **changes: Any) -> None:
    """What somebody does in the console."""
    (there,) = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    names = (
        *("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "ComparisonOperator", "Threshold"),
        *("Period", "EvaluationPeriods", "TreatMissingData", "AlarmActions", "OKActions"),
    )
    client("cloudwatch").put_metric_alarm(**{**{one: there[one] for one in names}, **changes})
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="so")


def _open_route(cloud: Cloud, functions: LambdaServer, _: MwaaServer) -> None:
    route = {"routeKey": "ANY /{proxy+}", "authorizationType": "NONE", "target": "integrations/x"}
    functions.api[f"/v2/apis/{physical(cloud, 'HttpApi')}/routes/byhand"] = route


def _address_of_its_own(_: Cloud, functions: LambdaServer, __: MwaaServer) -> None:
    address = {"FunctionUrl": "https://x.lambda-url.eu-central-1.on.aws/", "AuthType": "AWS_IAM"}
    functions.urls["jetway-StartDagRun"] = [address]


def _open_function(_: Cloud, functions: LambdaServer, __: MwaaServer) -> None:
    statement = {"Sid": "debug", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction"}
    functions.policies["jetway-HttpApiFunction"]["debug"] = statement


def letting_in(who: Any, effect: str = "Allow") -> str:
    """A queue's policy."""
    statement = {"Effect": effect, "Principal": who, "Action": "sqs:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


PLANTED: dict[str, tuple[Plant, dict[str, str]]] = {
    "a stack that is half deployed": (_set("cloud", status="UPDATE_ROLLBACK_FAILED"), {"stack-state": "broken"}),
    "a stack of another version": (
        lambda cloud, *_: cloud.outputs.update(JetwayVersion="9.9.9"),
        {"stack-version": "warning"},
    ),
    "an environment that updates": (_set("mwaa", status="UPDATING"), {"environment-status": "warning"}),
    "an environment without SubnetIds": (
        lambda _c, _f, mwaa: mwaa.more.update(WebserverAccessMode="PRIVATE_ONLY"),
        {"environment-network": "broken"},
    ),
    "an environment of another bucket": (
        lambda _c, _f, mwaa: mwaa.more.update(SourceBucketArn="arn:aws:s3:::theirs"),
        {"environment-files": "broken"},
    ),
    "an environment's bucket without versions": (_suspended, {"bucket-versioning": "broken"}),
    "an environment's bucket with a foreign key": (_foreign_key, {"bucket-encryption": "broken"}),
    "a key that is disabled": (_disabled_key, {"key-policy": "broken"}),
    "a drop bucket without events": (_no_events(DROP), {"bucket-events": "broken"}),
    "a trigger's bucket without events": (_no_events(ORDERS), {"bucket-events": "broken"}),
    "a role that may not write the ledger": (
        _set("cloud", denied={"dynamodb:UpdateItem"}),
        {"role-permissions": "broken"},
    ),
    "a function that is not ready": (_first_function(State="Failed"), {"functions": "broken"}),
    "a function with another role": (
        _first_function(Role="arn:aws:iam::123456789012:role/mine"),
        {"functions": "broken"},
    ),
    "a function that is switched off": (_set("functions", reserved=0), {"functions": "broken"}),
    "a queue that was deleted": (
        lambda cloud, *_: client("sqs").delete_queue(QueueUrl=url_of(cloud, "WaitingQueue")),
        {"queues": "broken"},
    ),
    "a queue that lets in nobody": (_queue_setting("DispatchQueue", Policy=""), {"queues": "broken"}),
    "a queue whose messages come back at once": (
        _queue_setting("DispatchQueue", VisibilityTimeout="1"),
        {"queues": "broken"},
    ),
    "a queue without dead letters": (_queue_setting("ArtifactQueue", RedrivePolicy=""), {"queues": "broken"}),
    "a queue with another key": (_queue_setting("CollectQueue", KmsMasterKeyId="other"), {"queues": "broken"}),
    "a table that was deleted": (
        lambda cloud, *_: client("dynamodb").delete_table(TableName=physical(cloud, "LedgerTable")),
        {"tables": "broken"},
    ),
    "a table without backups": (_no_more_backups, {"tables": "warning"}),
    "a table that forgets nothing": (_no_time_to_live, {"tables": "warning"}),
    "a role that Lambda may not take": (_trust_of_another, {"roles": "broken"}),
    "unseen code that may do everything": (
        lambda cloud, *_: cloud.inline["jetway-ImportDagRole"].update(debug=ALLOW_ALL),
        {"roles": "broken"},
    ),
    "a role with a policy more": (
        lambda cloud, *_: cloud.attached["jetway-HttpApiFunctionRole"].append(
            "arn:aws:iam::aws:policy/PowerUserAccess"
        ),
        {"roles": "warning"},
    ),
    "a role with a policy less": (
        lambda cloud, *_: cloud.attached["jetway-SyncTriggersRole"].clear(),
        {"roles": "warning"},
    ),
    "a role with a policy that was edited": (
        lambda cloud, *_: cloud.inline["jetway-StartDagRunRole"].update(start_dag_run=ALLOW_ALL),
        {"roles": "warning"},
    ),
    "an API with an open route more": (_open_route, {"http-routes": "broken"}),
    "a function with an address of its own": (_address_of_its_own, {"functions": "warning"}),
    "a function that everybody may call": (_open_function, {"functions": "broken"}),
    "a queue that lets in another account": (
        _queue_setting("WaitingQueue", Policy=letting_in({"AWS": "arn:aws:iam::666666666666:root"})),
        {"queues": "warning"},
    ),
    "a function that its rule may not call": (
        lambda _c, functions, _m: functions.policies.pop("jetway-FollowRuns"),
        {"function-callers": "broken"},
    ),
    "a function that fails once more": (
        lambda _c, functions, _m: functions.configs["jetway-FollowRuns"].update(MaximumRetryAttempts=2),
        {"function-callers": "warning"},
    ),
    "functions with other code than was uploaded": (_uploaded, {"functions": "broken"}),
    "a function without its layer": (_first_function(Layers=[]), {"functions": "broken"}),
    "a function of little memory": (_first_function(MemorySize=128), {"functions": "warning"}),
    "a function of another runtime": (_first_function(Runtime="python3.9"), {"functions": "broken"}),
    "a mapping that was deleted": (
        lambda _c, functions, _m: functions.mappings.popitem(),
        {"queue-readers": "broken"},
    ),
    "a mapping that filters": (
        _first_mapping(FilterCriteria={"Filters": [{"Pattern": "{}"}]}),
        {"queue-readers": "broken"},
    ),
    "a topic that alarms may not publish to": (_nobody_publishes, {"topics": "broken"}),
    "an API without a route": (_route_gone, {"http-routes": "broken"}),
    "an API that calls another function": (_integration_of_another, {"http-routes": "broken"}),
    "an API without its stage": (_stage_gone, {"http-routes": "broken"}),
    "a drop bucket that denies": (_denied(DROP, add_to=True), {"bucket-policies": "broken"}),
    "an environment's bucket that denies": (_denied(ENVIRONMENT), {"bucket-policies": "broken"}),
    "a bucket without a policy": (
        lambda *_: client("s3").delete_bucket_policy(Bucket=DROP),
        {"bucket-policies": "warning"},
    ),
    "a bucket that may be public": (
        lambda *_: client("s3").delete_public_access_block(Bucket=DROP),
        {"bucket-settings": "warning"},
    ),
    "a bucket that deletes everything": (_lifecycle_edited, {"bucket-settings": "warning"}),
    "a log group that was deleted": (
        lambda *_: client("logs").delete_log_group(logGroupName="/jetway/jetway/http_api"),
        {"logs": "warning"},
    ),
    "a dashboard that was deleted": (
        lambda cloud, *_: client("cloudwatch").delete_dashboards(DashboardNames=[physical(cloud, "Dashboard")]),
        {"logs": "warning"},
    ),
    "a rule whose target gets the bare event": (_input_lost, {"rules": "broken"}),
    "an alarm of another threshold": (
        lambda *_: edit_alarm("jetway-DeadLettersAlarm", Threshold=99.0),
        {"alarms": "warning"},
    ),
    "an alarm that tells nobody": (
        lambda *_: edit_alarm("jetway-DeadLettersAlarm", AlarmActions=[]),
        {"alarms": "warning"},
    ),
    "a log group of a stack that is gone": (
        lambda *_: client("logs").create_log_group(logGroupName="/jetway/gone/http_api"),
        {"leftovers": "warning"},
    ),
    "a group of schedules of a stack that is gone": (
        lambda *_: (
            client("scheduler").create_schedule_group(
                Name="gone", Tags=[{"Key": "aws:cloudformation:logical-id", "Value": "ScheduleGroup"}]
            ),
        ),
        {"leftovers": "warning"},
    ),
    "a role that was deleted": (_set("cloud", gone=True), {"role-permissions": "broken", "roles": "broken"}),
    "an alarm that was deleted": (
        lambda *_: client("cloudwatch").delete_alarms(AlarmNames=["jetway-DeadLettersAlarm"]),
        {"alarms": "warning"},
    ),
    "a rule of a stack that is gone, which says nothing": (
        lambda *_: (
            client("events").put_rule(Name="gone.orders", EventPattern='{"source": ["x"]}'),
            client("events").put_targets(
                Rule="gone.orders",
                Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:123456789012:gone-CollectQueue-1"}],
            ),
        ),
        {"leftovers": "warning"},
    ),
    "a queue that is not read": (_first_mapping(State="Disabled"), {"queue-readers": "broken"}),
    "a dead letter": (_dead_letter, {"dead-letters": "warning"}),
    "a rule that is disabled": (
        lambda *_: client("events").disable_rule(Name="jetway-DataDroppedRule"),
        {"rules": "broken"},
    ),
    "a rule with another pattern": (
        lambda *_: client("events").put_rule(Name="jetway-DataDroppedRule", EventPattern='{"source": ["aws.s3"]}'),
        {"rules": "broken"},
    ),
    "a rule with another schedule": (
        lambda *_: client("events").put_rule(Name="jetway-TriggerDriftRule", ScheduleExpression="rate(7 days)"),
        {"rules": "broken"},
    ),
    "a rule that was deleted": (
        lambda *_: (
            client("events").remove_targets(Rule="jetway-DataDroppedRule", Ids=["dispatch"]),
            client("events").delete_rule(Name="jetway-DataDroppedRule"),
        ),
        {"rules": "broken"},
    ),
    "a schedule that was deleted": (
        lambda *_: client("scheduler").delete_schedule(GroupName="jetway", Name="jetway-SweepBatches"),
        {"schedules": "broken"},
    ),
    "a trigger's rule that is disabled": (
        lambda *_: client("events").disable_rule(Name="jetway.orders"),
        {"triggers": "broken"},
    ),
    "a trigger's rule that sends elsewhere": (_target_of_another, {"triggers": "broken"}),
    "a trigger's schedule of another time": (_schedule_by_hand, {"triggers": "broken"}),
    "a trigger's alarm that was deleted": (
        lambda *_: client("cloudwatch").delete_alarms(AlarmNames=["jetway.orders"]),
        {"triggers": "broken"},
    ),
    "an alarm that is in ALARM": (_in_the_ledger_of_alarms, {"alarms": "warning"}),
    "an alarm without actions": (
        lambda *_: edit_alarm("jetway-DeadLettersAlarm", ActionsEnabled=False),
        {"alarms": "warning"},
    ),
    "a layer that loads nothing": (
        lambda _c, functions, _m: functions.loaded.update(unavailable="no airflow"),
        {"layers": "broken"},
    ),
    "an Airflow that answers no REST call of the caller's": (
        lambda _c, _f, mwaa: setattr(mwaa, "answer", lambda _asked: (403, {"detail": "Forbidden"})),
        {"rest-round-trip": "warning"},
    ),
    "an HTTP API that is ill": (
        lambda cloud, *_: cloud.answers.__setitem__(0, (500, {"message": "Internal Server Error"})),
        {"http-api": "broken"},
    ),
    "an account of ten executions": (_set("functions", concurrency=10), {"concurrency": "warning"}),
    "a rule of a stack that is gone": (_leftover, {"leftovers": "warning"}),
}
