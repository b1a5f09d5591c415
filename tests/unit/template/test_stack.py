"""The stacks of both templates as AWS would make them: what IAM, Lambda, API Gateway and CloudFormation ask of them.

`tools.checks.rendered` transforms and resolves; what stands in the templates themselves is for test_template.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.unit.sample_events import ROOT
from tests.unit.template.stacks import STACKS, environment, full, least, listed, roles
from tools.checks.rendered import ACCOUNT, REGION, WHOLE, Rendered, parse


# ------------------------------------------------------------------------------------------------ documents
@pytest.mark.parametrize("stack", STACKS)
def test_iam_takes_every_policy_document(stack: Any) -> None:
    """Unique Sids of letters and digits, and sizes.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    sizes: dict[str, int] = {}
    rendered: Rendered = stack()
    for name, where, document in rendered.documents():
        sids = [statement["Sid"] for statement in document["Statement"] if "Sid" in statement]
        assert len(sids) == len(set(sids)), (name, where)
        assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids), (name, where)
        if where != "AssumeRolePolicyDocument":
            sizes[name] = sizes.get(name, 0) + len(re.sub(r"\s", "", json.dumps(document)))
    assert sizes
    most = {"AWS::IAM::Role": 10_240, "AWS::IAM::ManagedPolicy": 6_144, "AWS::KMS::Key": 32_768}
    for name, size in sizes.items():
        assert size <= most.get(rendered.resources[name]["Type"], 20_480), name


def test_the_template_is_within_cloudformations_limits() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    rendered = full()
    assert len(rendered.resources) < 500
    assert len(json.dumps(rendered.resources)) < 1_000_000
    assert len(parse(ROOT / "template.yaml")["Parameters"]) <= 200


# ------------------------------------------------------------------------------------------------ loops
def sends(rendered: Rendered) -> dict[str, set[str]]:
    """Where messages go: function → queues that its role may send to, queue → functions that read it."""
    queues = {rendered.reference(name, "Arn"): name for name in rendered.of_type("AWS::SQS::Queue")}
    names = {rendered.reference(name): name for name in rendered.of_type("AWS::Lambda::Function")}
    role_of = {rendered.reference(role, "Arn"): role for role in rendered.of_type("AWS::IAM::Role")}
    found: dict[str, set[str]] = {}
    for name, function in rendered.of_type("AWS::Lambda::Function").items():
        for statement in rendered.statements(role_of[function["Role"]]):
            if statement["Effect"] == "Allow" and {"sqs:SendMessage", "sqs:*"} & set(listed(statement["Action"])):
                found.setdefault(name, set()).update(
                    queue
                    for arn, queue in queues.items()
                    if any(fnmatchcase(arn, one) for one in listed(statement["Resource"]))
                )
    for mapping in rendered.of_type("AWS::Lambda::EventSourceMapping").values():
        found.setdefault(queues[mapping["EventSourceArn"]], set()).add(names[mapping["FunctionName"]])
    return found


def on_a_loop(edges: Mapping[str, set[str]]) -> set[str]:
    """Those from which messages can come back to where they were."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [*edges.get(start, ())]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += edges.get(one, ())
        return seen

    return {name for name in edges if name in reached(name)}


def test_functions_whose_messages_go_round_on_purpose_say_so_and_no_other() -> None:
    """Lambda ends a chain of function and queue after about 16 rounds, and refuses the message until its last try.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    for rendered in (least(), full()):
        functions = rendered.of_type("AWS::Lambda::Function")
        looping = on_a_loop(sends(rendered)) & functions.keys()
        assert looping >= {"StartDagRun", "ResumeWaiting", "CollectBatch"}
        assert {name for name, found in functions.items() if found.get("RecursiveLoop") == "Allow"} == looping


# ------------------------------------------------------------------------------------------------ routes
def test_no_route_ever_goes_so_that_no_setting_of_one_outlives_it() -> None:
    """API Gateway keeps the settings of a route that is gone, and refuses every change of the stage from then on."""
    (off,), (on,) = (rendered.of_type("AWS::ApiGatewayV2::Stage").values() for rendered in (least(), full()))
    assert off["RouteSettings"].keys() == on["RouteSettings"].keys()
    for rendered, stage in ((least(), off), (full(), on)):
        routes = {route["RouteKey"] for route in rendered.of_type("AWS::ApiGatewayV2::Route").values()}
        assert stage["RouteSettings"].keys() <= routes
    waits = parse(ROOT / "template.yaml")["Resources"]["HttpApiStage"]["DependsOn"]
    named = {least().resources[name]["Properties"]["RouteKey"] for name in waits}
    assert named == set(off["RouteSettings"])


def test_throttles_are_numbers_unless_somebody_changes_them() -> None:
    """What is untyped in the schema gets a parameter as text; the defaults must not hang on how that is taken."""
    parameters = parse(ROOT / "template.yaml")["Parameters"]
    (stage,) = least().of_type("AWS::ApiGatewayV2::Stage").values()
    own = Rendered(parameters={"HttpStartThrottleRate": 7, "WebhookThrottleBurst": 8})
    (changed,) = own.of_type("AWS::ApiGatewayV2::Stage").values()
    for route, settings in stage["RouteSettings"].items():
        kind = "Webhook" if "webhooks" in route else "HttpStart"
        for name, value in settings.items():
            parameter = f"{kind}Throttle{name.removeprefix('Throttling').removesuffix('Limit')}"
            assert type(value) is int
            assert value == parameters[parameter]["Default"], parameter
            wanted = {"HttpStartThrottleRate": 7, "WebhookThrottleBurst": 8}.get(parameter, value)
            assert int(changed["RouteSettings"][route][name]) == wanted, parameter


# ------------------------------------------------------------------------------------------------ deletion
@pytest.mark.parametrize("file", ["template.yaml", "environment.yaml"])
def test_what_a_deleted_stack_leaves_behind_goes_when_its_creation_fails(file: str) -> None:
    resources = {name: found for name, found in parse(ROOT / file)["Resources"].items() if "::" not in name}
    kept = {name for name, found in resources.items() if found.get("UpdateReplacePolicy") == "Retain"}
    assert kept
    assert {resources[name]["DeletionPolicy"] for name in kept} == {"RetainExceptOnCreate"}
    assert "Retain" not in {found.get("DeletionPolicy") for found in resources.values()}


# ------------------------------------------------------------------------------------------------ accounts
@pytest.mark.parametrize("file", ["template.yaml", "environment.yaml", "dashboard.yaml"])
def test_no_partition_is_taken_for_granted(file: str) -> None:
    assert not re.findall(r"arn:aws[:-]", (ROOT / file).read_text())


NAMES = re.compile("(?:Name|Id)$")  # of a property that is the resource's own name
# Properties that name something else, and may be equal in two stacks.
OTHERS = {
    *("EnvironmentName", "FunctionName", "StageName", "TableName", "IndexName", "AttributeName", "MetricName", "ApiId"),
    *("PolicyName", "GroupName", "KeyId", "SlackWorkspaceId", "SlackChannelId", "AuthorizerId", "VpcId", "SubnetId"),
    *("RouteTableId", "InternetGatewayId", "AllocationId", "NatGatewayId", "GroupId", "SourceSecurityGroupId"),
    *("ServiceName", "KmsMasterKeyId", "KmsKeyId", "DisplayName"),
}


def names(rendered: Rendered) -> set[str]:
    """Every name that the stack gives: of resources, of exports."""
    given = {
        f"{found['Type']} {value}"
        for found in rendered.resources.values()
        for key, value in found["Properties"].items()
        if NAMES.search(key) and key not in OTHERS and isinstance(value, str)
    }
    given |= {
        f"{found['Type']} {found['Properties']['Name']}"
        for found in rendered.resources.values()
        if "Name" in found["Properties"]
    }
    return given | {output["Export"]["Name"] for output in rendered.outputs.values() if "Export" in output}


def test_two_stacks_in_one_account_and_region_share_no_name() -> None:
    one, other = full("jetway"), full("jetway-prod")  # for the same environment, even
    assert len(names(one)) > 40
    shared = names(one) & names(other)
    assert {name for name in shared if not name.startswith("AWS::ApiGatewayV2::Authorizer")} == set()
    layers = one.of_type("AWS::Lambda::LayerVersion").values()
    assert len({layer["LayerName"] for layer in layers}) == len(layers)


def test_two_environments_in_one_account_and_region_share_no_name() -> None:
    one = environment(stack="one", name="one")
    other = environment(stack="two", name="two")
    assert names(one)
    assert names(one) & names(other) == set()


def test_two_environments_on_one_bucket_touch_their_own_files_alone() -> None:
    paths = ("DagS3Path", "PluginsS3Path", "RequirementsS3Path", "StartupScriptS3Path")
    places = [
        {name: f"{team}/{name}" + ("/" if name == "DagS3Path" else "") for name in paths} for team in ("one", "two")
    ]
    one, other = (
        Rendered(parameters={**WHOLE["template.yaml"], **place}, stack=place["DagS3Path"][:3]) for place in places
    )
    theirs = [f"arn:aws:s3:::airflow-bucket/{place}" for place in (*places[1].values(), "two/DagS3Path/orders.py")]
    own = [f"arn:aws:s3:::airflow-bucket/{place}" for place in (*places[0].values(), "one/DagS3Path/orders.py")]
    for stack, mine, others in ((one, own, theirs), (other, theirs, own)):
        touched = {
            (arn, pattern)
            for _, statements in roles(stack)
            for found in statements
            if found["Effect"] == "Allow" and "Object" in str(found["Action"])
            for pattern in listed(found["Resource"])
            for arn in (*mine, *others)
            if fnmatchcase(arn, pattern)
        }
        assert {arn for arn, _ in touched} == set(mine)


def test_what_one_stack_may_change_is_not_another_stacks() -> None:
    """A stack's name may begin with another's: `jetway` and `jetway-prod`."""
    one, other = full("jetway"), full("jetway-prod")
    theirs = {
        f"arn:aws:events:{REGION}:{ACCOUNT}:rule/jetway-prod.daily",
        f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:jetway-prod.daily",
    }
    theirs |= {f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/jetway-prod/jetway-prod.daily"}
    theirs |= {f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:jetway-prod/webhooks/push"}
    theirs |= {other.reference(name, "Arn") for name in other.of_type("AWS::SQS::Queue")}
    theirs |= {other.reference(name, "Arn") for name in other.of_type("AWS::DynamoDB::Table")}
    for role, statements in roles(one):
        for found in statements:
            for pattern in listed(found["Resource"]):
                if pattern != "*" and found["Effect"] == "Allow":
                    assert not [arn for arn in theirs if fnmatchcase(arn, pattern)], (role, found["Sid"])
