"""What IAM takes a request for: resource, condition keys, the words of a denial; where MiniStack 1.5.33 is not right.

The call is encrypted, as AWS's endpoints are (aws:SecureTransport).
PutEvents has events:source, PutMetricData has cloudwatch:namespace; rules, schedules and each of several alarms have
ARNs of their own, and that of a log group ends with `:*` in policies.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_actions  # type: ignore[import-not-found]

from tools.emulator.ministack import iam as ministack_iam

_extract_resource_arn, _request_tag_context = iam_actions.extract_resource_arn, iam_actions.request_tag_context
_access_denied_response, _pin_request_origin = iam_actions.access_denied_response, app.pin_request_origin


_LOG_GROUP = re.compile(r"arn:aws:logs:[^:]*:[^:]*:log-group:[^:]+")


def _members(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _resource(  # noqa: PLR0917 - MiniStack's own signature
    service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str = "", account: str = ""
) -> Any:
    ministack_iam.passed_role.set("")
    ministack_iam.other_resources.set(())
    ministack_iam.also_needed.set(_for_tags(headers, body, params))
    if service == "monitoring" and (alarms := _alarms(body, params)):
        first, *others = (f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}" for name in alarms)
        ministack_iam.other_resources.set(tuple(others))
        return first
    if service == "events":
        asked, operation = _members(body), headers.get("x-amz-target", "").rpartition(".")[2]
        rule = asked.get("Rule") or (asked.get("Name") if operation.endswith("Rule") else None)
        if rule:
            bus = str(asked.get("EventBusName") or "default").rpartition("/")[2]
            return f"arn:aws:events:{region}:{account}:rule/" + ("" if bus == "default" else f"{bus}/") + str(rule)
    if service == "scheduler" and "/schedules/" in path:
        asked = _members(body)
        group = asked.get("GroupName") or params.get("groupName") or "default"
        group = group[0] if isinstance(group, list) else group
        ministack_iam.passed_role.set(str(asked.get("Target", {}).get("RoleArn", "")))
        return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{path.rpartition('/')[2]}"
    found = str(_extract_resource_arn(service, method, path, headers, body, params, region, account))
    # "Use the second version, with the :* at the end, […] for all other API actions" than those of tags.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    if service == "logs" and "Tag" not in headers.get("x-amz-target", "") and _LOG_GROUP.fullmatch(found):
        return f"{found}:log-stream:"
    return found


def _for_tags(headers: Any, body: bytes, params: Any) -> str:
    """What a call needs, too, that tags what it makes: the tags' own action.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    if not (_members(body).get("Tags") or "Tags.member.1.Key" in params):
        return ""
    operation = headers.get("x-amz-target", "").rpartition(".")[2] or params.get("Action", "")
    operation = operation[0] if isinstance(operation, list) else operation
    return {"PutRule": "events:TagResource", "PutMetricAlarm": "cloudwatch:TagResource"}.get(operation, "")


def _alarms(body: bytes, params: Any) -> list[str]:
    """The alarms that DeleteAlarms names, be it in JSON or as a form."""
    listed = _members(body).get("AlarmNames") or []
    form = [value for name, value in params.items() if name.startswith("AlarmNames.member.")]
    return [*listed, *(value[0] if isinstance(value, list) else value for value in form)]


def _context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
    context: dict[str, Any] = dict(_request_tag_context(service, action, body, params))
    if action == "events:PutEvents":
        entries = _members(body).get("Entries", [])
        context["events:source"] = sorted({str(entry.get("Source")) for entry in entries})
    if action == "cloudwatch:PutMetricData":
        namespace = params.get("Namespace") or _members(body).get("Namespace")
        context["cloudwatch:namespace"] = namespace[0] if isinstance(namespace, list) else namespace
    return context


def _denial(service: str, action: str, principal: str, request_id: str, **more: Any) -> Any:
    """As AWS does, name what is missing, though it is of a key or a role."""
    missing = ministack_iam.missing.get()
    if missing and not more.get("error_code"):
        action, on = missing
        explicit = bool(more.get("explicit_deny"))
        said = iam_actions.identity_denial_message(action, principal, on, explicit)
        more |= {"resource_arn": on, "message": said}
    return _access_denied_response(service, action, principal, request_id, **more)


def install() -> None:
    """Put all this in force."""
    iam_actions.extract_resource_arn, iam_actions.request_tag_context = _resource, _context
    iam_actions.access_denied_response = _denial
    app.pin_request_origin = lambda address, _encrypted: _pin_request_origin(address, True)
