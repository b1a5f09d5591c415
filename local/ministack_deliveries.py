"""What AWS's services do by themselves, in MiniStack: only what a policy lets them, as on AWS.

EventBridge sends to a queue if the queue's policy, and its key's, let it; else to the target's dead-letter queue, if
that one's do. MiniStack 1.5.33 asks neither, and knows no dead-letter queue of a target.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions

EventBridge Scheduler sends by the role that the schedule names.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html

An alarm publishes to a topic if the topic's policy, and its key's, let CloudWatch.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html

Lambda polls a queue, and writes a function's log, by the function's role.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ministack.core import arn as arns  # type: ignore[import-not-found]
from ministack.core import responses
from ministack.services import cloudwatch, eventbridge, lambda_svc, sns, sqs  # type: ignore[import-not-found]

from local import ministack_iam

_invoke_target, _dispatch_alarm_actions = eventbridge._invoke_target, cloudwatch._dispatch_alarm_actions
_run_sqs_batch, _emit_lambda_logs = lambda_svc._run_sqs_batch, lambda_svc._emit_lambda_logs
_EVENTS, _ALARMS, _SCHEDULER, _LAMBDA = (
    f"{name}.amazonaws.com" for name in ("events", "cloudwatch", "scheduler", "lambda")
)


def _invoke_if_allowed(target: Mapping[str, Any], event: dict[str, Any], rule: Mapping[str, Any], *rest: Any) -> Any:
    queue, letters = str(target.get("Arn", "")), (target.get("DeadLetterConfig") or {}).get("Arn", "")
    if ":sqs:" not in queue:
        return _invoke_target(target, event, rule, *rest)
    if event.get("Source") == "aws.scheduler" and "RoleArn" in target:

        def may(on: str) -> bool:
            return _schedule_may_send(target["RoleArn"], on, rule)
    else:

        def may(on: str) -> bool:
            return rule_may_send(on, str(rule.get("Arn", "")))

    if may(queue):
        return _invoke_target(target, event, rule, *rest)
    if letters and may(letters):
        return _invoke_target({**target, "Arn": letters, "SqsParameters": None}, event, rule, *rest)
    return None


def rule_may_send(queue: str, rule: str) -> bool:
    """Whether EventBridge may send to a queue for a rule; both by ARN."""
    policy = (sqs._queue_by_arn(queue) or {"attributes": {}})["attributes"].get("Policy")
    context = {"aws:sourcearn": rule, "aws:sourceaccount": responses.get_account_id()}
    # EventBridge gives KMS no source to test.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    return ministack_iam.service_may(
        _EVENTS, "sqs:SendMessage", queue, policy, context
    ) and ministack_iam.service_may_use_the_key(_EVENTS, "sqs:SendMessage", queue, {})


def _schedule_may_send(role: str, queue: str, schedule: Mapping[str, Any]) -> bool:
    # The trust policy is asked with the group's ARN, not the schedule's.
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    spec = arns.parse_arn(str(schedule["Arn"]))
    group = f"arn:aws:scheduler:{spec.region}:{spec.account_id}:schedule-group/{spec.resource.split('/')[1]}"
    context = {"aws:sourcearn": group, "aws:sourceaccount": spec.account_id}
    return ministack_iam.Given(role, _SCHEDULER, "scheduler", context).may("sqs:SendMessage", queue)


def _publish_if_allowed(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    name = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(state, "InsufficientDataActions")
    actions = [action for action in alarm.get(name) or [] if _alarm_may_publish(str(action), alarm)]
    _dispatch_alarm_actions({**alarm, name: actions}, before, state, reason)


def _alarm_may_publish(topic: str, alarm: Mapping[str, Any]) -> bool:
    if ":sns:" not in topic:
        return True
    policy = (sns._topic_by_arn_any_scope(topic) or {}).get("attributes", {}).get("Policy")
    account = responses.get_account_id()
    context = {"aws:sourcearn": alarm.get("AlarmArn", ""), "aws:sourceaccount": account, "aws:sourceowner": account}
    return ministack_iam.service_may(
        _ALARMS, "sns:Publish", topic, policy, context
    ) and ministack_iam.service_may_use_the_key(_ALARMS, "sns:Publish", topic, context)


def _run_if_the_role_may(esm: dict[str, Any], function: dict[str, Any], event: Any, batch: Any, *rest: Any) -> None:
    config = function.get("config") or function
    role = ministack_iam.Given(config.get("Role", ""), _LAMBDA, config["FunctionName"])
    needed = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    if all(role.may(action, esm["EventSourceArn"]) for action in needed):
        _run_sqs_batch(esm, function, event, batch, *rest)
        return
    esm["LastProcessingResult"] = "PROBLEM: Lambda is not authorized to perform these actions on the SQS queue."
    for message in batch:  # on AWS they would not have been received at all
        message["receive_count"] -= 1
        message["visible_at"] = time.time() + 2


def _log_if_the_role_may(function: dict[str, Any], *args: Any, **more: Any) -> None:
    config = function.get("config") or function
    group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
    where = f"arn:aws:logs:{responses.get_region()}:{responses.get_account_id()}:log-group:{group}:log-stream:"
    role = ministack_iam.Given(config.get("Role", ""), _LAMBDA, config.get("FunctionName", ""))
    if all(role.may(action, where) for action in ("logs:CreateLogStream", "logs:PutLogEvents")):
        _emit_lambda_logs(function, *args, **more)


def install() -> None:
    """Put all this in force."""
    eventbridge._invoke_target = _invoke_if_allowed
    cloudwatch._dispatch_alarm_actions = _publish_if_allowed
    lambda_svc._run_sqs_batch = _run_if_the_role_may
    lambda_svc._emit_lambda_logs = _log_if_the_role_may
