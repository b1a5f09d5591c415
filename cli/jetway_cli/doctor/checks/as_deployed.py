"""The stack's resources against the template of its deployment, by theme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.checks.put_back import make_anew, put_back
from jetway_cli.doctor.checks.role_policies import allows_nothing, described, is_of_policies
from jetway_cli.doctor.facts import Asked
from jetway_cli.doctor.results import CheckProblem, CheckState, Findings, Result, listed
from jetway_cli.doctor.settings import SETTINGS, Setting
from jetway_cli.doctor.wanted import same, unlike

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts, PartSeen

_NOT_SHOWN = frozenset({"AssumeRolePolicyDocument", "Code", "EventPattern", "KeyPolicy", "PolicyDocument"})
# What the template never has, in words.
_MORE: Mapping[str, str] = {
    "OtherRoutes": "it has route {}, which is not in the template",
    "Strangers": "its policy allows {}",
    "Urls": "it has an additional address, {}",
}
_LONGEST = 60  # characters of a value that are shown
_WORDS: Mapping[str, str] = {
    "AWS::ApiGatewayV2::Api": "The HTTP API",
    "AWS::ApiGatewayV2::Authorizer": "Authorizer",
    "AWS::ApiGatewayV2::Integration": "The HTTP API's integration",
    "AWS::ApiGatewayV2::Route": "Route",
    "AWS::ApiGatewayV2::Stage": "The HTTP API's stage",
    "AWS::CloudWatch::Alarm": "Alarm",
    "AWS::CloudWatch::Dashboard": "Dashboard",
    "AWS::DynamoDB::Table": "Table",
    "AWS::Events::Rule": "Rule",
    "AWS::IAM::ManagedPolicy": "Policy",
    "AWS::IAM::Role": "Role",
    "AWS::KMS::Key": "Key",
    "AWS::Lambda::EventInvokeConfig": "Failed-call handling of function",
    "AWS::Lambda::EventSourceMapping": "Event source mapping",
    "AWS::Lambda::Function": "Function",
    "AWS::Lambda::Permission": "Permission",
    "AWS::Logs::LogGroup": "Log group",
    "AWS::S3::Bucket": "Bucket",
    "AWS::S3::BucketPolicy": "The policy of bucket",
    "AWS::SNS::Subscription": "Subscription",
    "AWS::SNS::Topic": "Topic",
    "AWS::SNS::TopicPolicy": "The policy of topic",
    "AWS::SQS::Queue": "Queue",
    "AWS::SQS::QueuePolicy": "The policy of queue",
    "AWS::Scheduler::Schedule": "Schedule",
    "AWS::Scheduler::ScheduleGroup": "Schedule group",
}
# Jetway works on without these; all else that is gone keeps it from working.
_DISPENSABLE = frozenset(
    {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Logs::LogGroup",
        "AWS::SNS::Subscription",
    }
)


def parts(facts: Facts, *kinds: str) -> list[PartSeen]:
    """Return the resources of some types, in the order of these."""
    return sorted((one for one in facts.parts.value or () if one.kind in kinds), key=lambda one: kinds.index(one.kind))


def compare(facts: Facts, found: Findings, *kinds: str) -> None:
    """Note what is gone or not as the template says, of all resources of some types."""
    if found.needs(facts.parts):
        for part in parts(facts, *kinds):
            if found.needs(part.seen):
                judge(part, found)


def judge(part: PartSeen, found: Findings) -> None:
    """Note that a resource is gone, or what of it is not as the template says."""
    seen = part.seen.value
    if seen is None:
        state: CheckState = "warning" if part.kind in _DISPENSABLE else "broken"
        found.problems.append(CheckProblem(state, f"{named(part)} {_gone(part)}.", make_anew(part)))
        return
    changed = dict(_changed(part, seen, found))
    if changed:
        how = listed((text for name in changed for text in _how(part, seen, name)), "; ")
        state = "broken" if "broken" in changed.values() else "warning"
        found.problems.append(
            CheckProblem(state, f"{named(part)} was changed manually: {how}.", put_back(part, list(changed)))
        )


def named(part: PartSeen) -> str:
    """Return a resource as people call it."""
    if part.kind == "AWS::Lambda::Permission":
        return f"Permission {part.logical}"
    name = str(part.wanted.get("Bucket", part.name)) if part.kind == "AWS::S3::BucketPolicy" else part.name
    return f"{_WORDS[part.kind]} {name} ({part.logical})"


def _gone(part: PartSeen) -> str:
    if part.kind == "AWS::Lambda::Permission":
        return f"is missing: {part.wanted['Principal']} cannot call function {part.wanted['FunctionName']}"
    return "was deleted"


def _changed(part: PartSeen, seen: Mapping[str, Any], found: Findings) -> Iterator[tuple[str, CheckState]]:
    for name, setting in SETTINGS[part.kind].items():
        if name not in seen or not (name in part.wanted or setting.has_default):
            continue
        there = seen[name]
        if isinstance(there, Asked):
            if not found.needs(there):
                continue
            there = there.value
        if not same(setting.form(_wanted(part, name)), setting.form(_or_default(there, setting)), whole=setting.whole):
            yield name, "broken" if _is_open(part, name, there) else setting.state


def _is_open(part: PartSeen, name: str, there: Any) -> bool:
    """Whether somebody may do what nobody is to do: call without a signature, or give unseen code a right."""
    if name in {"OtherRoutes", "Urls"}:
        return any(one.endswith("(NONE)") for one in there)
    return (name == "Strangers" and "*" in there) or (is_of_policies(part, name) and allows_nothing(part))


def _or_default(value: Any, setting: Setting) -> Any:
    """Some services do not say what is as it is by default."""
    return setting.default if value is None and setting.has_default else value


def _wanted(part: PartSeen, name: str) -> Any:
    return part.wanted.get(name, SETTINGS[part.kind][name].default)


def _how(part: PartSeen, seen: Mapping[str, Any], name: str) -> Iterator[str]:
    """Say how a setting differs, in the parts of it that do."""
    if is_of_policies(part, name):
        yield from described(part, name)
        return
    setting, there = SETTINGS[part.kind][name], seen[name]
    there = there.value if isinstance(there, Asked) else there
    if name in _MORE:
        yield from (_MORE[name].format(one) for one in there or ())
        return
    for path, wanted, value in unlike(
        setting.form(_wanted(part, name)), setting.form(there), name, whole=setting.whole
    ):
        if name == "Denials":
            yield "its policy has a Deny, and the template has no policy for it"
        elif setting.secret or name in _NOT_SHOWN:
            yield f"{path} differs from the template"
        else:
            yield f"{path} is {_shown(value)} instead of {_shown(wanted)}"


def _shown(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "nothing"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def tables(facts: Facts) -> Result:
    """Judge whether the tables are there, and kept as the template says."""
    return _theme(facts, "tables", "AWS::DynamoDB::Table", fine="tables match the template.")


def queues(facts: Facts) -> Result:
    """Judge whether the queues are there, and whether who sends to them may."""
    kinds = ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy")
    return _theme(facts, "queues", *kinds, fine="queues and their policies match the template.")


def roles(facts: Facts) -> Result:
    """Judge whether the roles can be taken by whom they are for, and the stack's policies are as deployed."""
    kinds = ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
    return _theme(facts, "roles", *kinds, fine="roles and policies match the template.")


def function_callers(facts: Facts) -> Result:
    """Judge whether rules and the HTTP API may call their functions."""
    kinds = ("AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig")
    found, its = Findings(), parts(facts, *kinds)
    gone = {one.name for one in facts.functions.value or () if one.state == "gone"}  # `functions` says so
    if found.needs(facts.parts):
        for part in its:
            if part.wanted.get("FunctionName") not in gone and found.needs(part.seen):
                judge(part, found)
    return found.result("function-callers", f"{len(its)} permissions to call functions match the template.")


def topics(facts: Facts) -> Result:
    """Judge whether the topics let in who publishes to them."""
    kinds = ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription")
    return _theme(facts, "topics", *kinds, fine="topics, policies and subscriptions match the template.")


def http_routes(facts: Facts) -> Result:
    """Judge whether the HTTP API has its routes, and who may use them."""
    kinds = [f"AWS::ApiGatewayV2::{one}" for one in ("Api", "Authorizer", "Integration", "Route", "Stage")]
    return _theme(facts, "http-routes", *kinds, fine="parts of the HTTP API match the template.")


def logs(facts: Facts) -> Result:
    """Judge whether the log groups and the dashboard are there."""
    kinds = ("AWS::Logs::LogGroup", "AWS::CloudWatch::Dashboard")
    return _theme(facts, "logs", *kinds, fine="log groups and dashboards match the template.")


def bucket_settings(facts: Facts) -> Result:
    """Judge who may read the drop bucket, and how long it keeps what."""
    return _theme(facts, "bucket-settings", "AWS::S3::Bucket", fine="bucket matches the template.")


def _theme(facts: Facts, check: str, *kinds: str, fine: str) -> Result:
    found = Findings()
    compare(facts, found, *kinds)
    return found.result(check, f"{len(parts(facts, *kinds))} {fine}")
