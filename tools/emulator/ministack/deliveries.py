"""What AWS's services do by themselves, in MiniStack: only what a policy lets them, as on AWS.

EventBridge sends to a queue if the queue's policy, and its key's, let it, and invokes a function if its policy does;
else it sends to the target's dead-letter queue, if that one's do. MiniStack 1.5.33 asks none of them, and knows no
dead-letter queue of a target.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions

EventBridge Scheduler sends by the role that the schedule names, and replaces context attributes in a target's input
(<aws.scheduler.scheduled-time> and its like); MiniStack 1.5.33 leaves them as text.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html

An alarm publishes to a topic if the topic's policy, and its key's, let CloudWatch.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html

An HTTP API invokes a function if the function's policy lets it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

Lambda polls a queue, and writes a function's log, by the function's role.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.core import arn as arns  # type: ignore[import-not-found]
from ministack.core import responses
from ministack.services import (  # type: ignore[import-not-found]
    apigateway,
    cloudwatch,
    eventbridge,
    lambda_svc,
    sns,
    sqs,
)

from tools.emulator.ministack import iam as ministack_iam

_invoke_target, _dispatch_alarm_actions = eventbridge._invoke_target, cloudwatch._dispatch_alarm_actions
_invoke_lambda_proxy = apigateway._invoke_lambda_proxy
_run_sqs_batch, _emit_lambda_logs = lambda_svc._run_sqs_batch, lambda_svc._emit_lambda_logs
Members = dict[str, Any]
_EVENTS, _ALARMS = "events.amazonaws.com", "cloudwatch.amazonaws.com"
_SCHEDULER, _LAMBDA, _API_GATEWAY = "scheduler.amazonaws.com", "lambda.amazonaws.com", "apigateway.amazonaws.com"


def _invoke_if_allowed(target: Members, event: Members, rule: Members, *rest: Any) -> Any:
    def may(on: str) -> bool:
        if event.get("Source") == "aws.scheduler":
            return _schedule_may(target, on, rule)
        asked = {"sqs": _rule_may_send, "lambda": _rule_may_invoke}.get(arns.parse_arn(on).service)
        return asked is None or asked(on, str(rule.get("Arn", "")))

    letters = (target.get("DeadLetterConfig") or {}).get("Arn", "")
    if may(str(target.get("Arn", ""))):
        return _with_context_attributes(target, event, rule, *rest)
    if letters and may(letters):
        return _with_context_attributes({**target, "Arn": letters, "SqsParameters": None}, event, rule, *rest)
    return None


def _with_context_attributes(target: Members, event: Members, rule: Members, *rest: Any) -> Any:
    if event.get("Source") == "aws.scheduler" and "Input" in target:
        scheduled = datetime.fromtimestamp(int(event["Time"]), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = target["Input"]
        for name, value in {
            "schedule-arn": rule.get("Arn", ""),
            "scheduled-time": scheduled,
            "execution-id": uuid.uuid4().hex[:16],
            "attempt-number": "1",
        }.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        target = {**target, "Input": text}
    return _invoke_target(target, event, rule, *rest)


def _rule_may_send(queue: str, rule: str) -> bool:
    policy = (sqs._queue_by_arn(queue) or {"attributes": {}})["attributes"].get("Policy")
    context = {"aws:sourcearn": rule, "aws:sourceaccount": responses.get_account_id()}
    # EventBridge gives KMS no source to test.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    return ministack_iam.service_may(
        _EVENTS, "sqs:SendMessage", queue, policy, context
    ) and ministack_iam.service_may_use_the_key(_EVENTS, "sqs:SendMessage", queue, {})


def _rule_may_invoke(function: str, rule: str) -> bool:
    policy = (lambda_svc.function_policy_for_arn(function) or [None])[0]
    context = {"aws:sourcearn": rule, "aws:sourceaccount": responses.get_account_id()}
    return ministack_iam.service_may(_EVENTS, "lambda:InvokeFunction", function, policy, context)


_BY_ROLE = {"sqs": "sqs:SendMessage", "lambda": "lambda:InvokeFunction"}


def _schedule_may(target: Members, on: str, schedule: Members) -> bool:
    # The trust policy is asked with the group's ARN, not the schedule's.
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    spec = arns.parse_arn(str(schedule["Arn"]))
    group = f"arn:aws:scheduler:{spec.region}:{spec.account_id}:schedule-group/{spec.resource.split('/')[1]}"
    context = {"aws:sourcearn": group, "aws:sourceaccount": spec.account_id}
    role = ministack_iam.Given(target["RoleArn"], _SCHEDULER, "scheduler", context)
    return role.may(_BY_ROLE[arns.parse_arn(on).service], on)


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


async def _proxy_if_allowed(integration: Members, api: str, stage: str, *args: Any, **more: Any) -> Any:
    function = apigateway._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
    route = str(more.get("route_key") or (args[5] if len(args) > 5 else "$default"))
    method, _, path = route.partition(" ")
    where = f"{api}/{stage}/{method}{path}"
    source = f"arn:aws:execute-api:{responses.get_region()}:{responses.get_account_id()}:{where}"
    policy = (lambda_svc.function_policy_for_arn(function) or [None])[0]
    context = {"aws:sourcearn": source, "aws:sourceaccount": responses.get_account_id()}
    if ministack_iam.service_may(_API_GATEWAY, "lambda:InvokeFunction", function, policy, context):
        return await _invoke_lambda_proxy(integration, api, stage, *args, **more)
    return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'


def install() -> None:
    """Put all this in force."""
    eventbridge._invoke_target = _invoke_if_allowed
    cloudwatch._dispatch_alarm_actions = _publish_if_allowed
    apigateway._invoke_lambda_proxy = _proxy_if_allowed
    lambda_svc._run_sqs_batch = _run_if_the_role_may
    lambda_svc._emit_lambda_logs = _log_if_the_role_may
