"""What the roles of a stack may do, as IAM gets them: enough, and no more."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.unit.sample_events import ROOT
from tests.unit.template.stacks import BOUNDARY, FULL, KEY, STACKS, environment, full, least, listed, roles
from tools.checks.rendered import ACCOUNT, REGION, WHOLE, Rendered

FUNCTIONS_OF_ROLES_THAT_ALLOW_NOTHING = {"ImportDagRole", "ResolveRequirementsRole"}


def test_every_function_has_a_role_of_its_own_that_the_template_wrote() -> None:
    """SAM's own roles get AWS's managed policies: every queue's messages, and every log, of the account."""
    for rendered in (least(), full()):
        found = [properties["Role"] for properties in rendered.of_type("AWS::Lambda::Function").values()]
        shared = [role for role in set(found) if found.count(role) > 1]
        assert shared in ([], [rendered.reference("ImportDagRole", "Arn")])
        for name, role in rendered.of_type("AWS::IAM::Role").items():
            assert not [arn for arn in role.get("ManagedPolicyArns", []) if ":aws:policy/" in arn], name


def test_functions_read_their_own_queue_and_write_their_own_log() -> None:
    rendered = full()
    functions = rendered.of_type("AWS::Lambda::Function")
    by_name = {rendered.reference(name): name for name in functions}
    queues = {
        by_name[mapping["FunctionName"]]: mapping["EventSourceArn"]
        for mapping in rendered.of_type("AWS::Lambda::EventSourceMapping").values()
    }
    assert len(queues) >= 5
    for name, function in functions.items():
        role = next(
            role for role in rendered.of_type("AWS::IAM::Role") if rendered.reference(role, "Arn") == function["Role"]
        )
        allowed = [found for found in rendered.statements(role) if found["Effect"] == "Allow"]
        take = [found for found in allowed if "sqs:ReceiveMessage" in listed(found["Action"])]
        assert [found["Resource"] for found in take] == ([queues[name]] if name in queues else []), name
        write = [found for found in allowed if "logs:PutLogEvents" in listed(found["Action"])]
        if role in FUNCTIONS_OF_ROLES_THAT_ALLOW_NOTHING:
            assert allowed == []
            continue
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{function['LoggingConfig']['LogGroup']}:*"
        assert [found["Resource"] for found in write] == [group], name
        assert "logs:CreateLogGroup" not in str(allowed)


def test_network_interfaces_are_made_only_by_functions_that_join_a_vpc() -> None:
    for rendered, in_vpc in ((least(), False), (full(), True)):
        functions = rendered.of_type("AWS::Lambda::Function")
        for role, statements in roles(rendered):
            makes = any(
                found["Effect"] == "Allow" and "ec2:CreateNetworkInterface" in listed(found["Action"])
                for found in statements
            )
            joins = any(
                "VpcConfig" in function
                for function in functions.values()
                if function["Role"] == rendered.reference(role, "Arn")
            )
            assert makes == joins, role
            assert not joins or in_vpc


@pytest.mark.parametrize("stack", STACKS)
def test_roles_are_bounded_and_have_the_path_that_the_account_wants(stack: Any) -> None:
    rendered: Rendered = stack()
    wanted = stack in (full, STACKS[3].values[0])
    made = {**rendered.of_type("AWS::IAM::Role"), **rendered.of_type("AWS::IAM::ManagedPolicy")}
    assert rendered.of_type("AWS::IAM::Role")
    for name, found in made.items():
        assert found["Path"] == ("/team/" if wanted else "/"), name
    for name, role in rendered.of_type("AWS::IAM::Role").items():
        assert role.get("PermissionsBoundary") == (BOUNDARY if wanted else None), name


def test_the_key_is_used_by_two_actions_through_the_services_that_keep_data() -> None:
    """What makes tables needs more; who reads and writes items, objects, messages does not."""
    for role, statements in roles(full()):
        for found in statements:
            ours = [action for action in listed(found["Action"]) if action.startswith("kms:")]
            if ours and found["Resource"] != KEY and role != "SchedulerRole":
                assert set(ours) <= {"kms:Decrypt", "kms:GenerateDataKey"}, role
                services = found["Condition"]["StringLike"]["kms:ViaService"]
                assert all(re.fullmatch(rf"(s3|sqs|sns|dynamodb)\.{REGION}\.amazonaws\.com\*", via) for via in services)


def test_tagging_a_verdict_takes_the_actions_on_versions_alone() -> None:
    asked = {action for _, statements in roles(full()) for found in statements for action in listed(found["Action"])}
    assert {action for action in asked if "Tagging" in action} == {
        "s3:GetObjectVersionTagging",
        "s3:PutObjectVersionTagging",
    }


def test_of_the_environments_bucket_only_what_mwaa_reads_is_touched() -> None:
    """Other teams may keep their things in it."""
    touched: dict[str, set[str]] = {}
    for role, statements in roles(
        Rendered(parameters={"DagS3Path": "team/dags/", "PluginsS3Path": "team/plugins.zip"})
    ):
        for found in statements:
            for arn in listed(found["Resource"]):
                if arn.startswith("arn:aws:s3:::airflow-bucket/"):
                    touched.setdefault(role, set()).add(arn.removeprefix("arn:aws:s3:::airflow-bucket/"))
    files = {"team/plugins.zip", "requirements.txt", "startup.sh"}
    assert touched == {
        "ValidateArtifactRole": {"team/dags/*", *files},
        "VerifyPromotionRole": {"team/dags/*", *files},
        "ApplyUpdatesFunctionRole": files,
    }


def test_whoever_looks_for_versions_may_list_them_so_that_one_that_is_gone_is_told_from_one_that_is_denied() -> None:
    for role, statements in roles(full()):
        read = {
            arn.partition("/")[0]
            for found in statements
            if found["Effect"] == "Allow" and "s3:GetObjectVersionTagging" in listed(found["Action"])
            for arn in listed(found["Resource"])
        }
        listed_buckets = {
            arn
            for found in statements
            if "s3:ListBucketVersions" in listed(found["Action"])
            for arn in listed(found["Resource"])
        }
        assert read <= listed_buckets, role


def test_events_are_put_under_our_own_source_whether_the_key_has_one_value_or_many() -> None:
    """`events:source` is an array of strings for PutEvents, and a set operator alone is true of an empty one."""
    for rendered in (full(), least()):
        documents = [document for _, where, document in rendered.documents() if where != "AssumeRolePolicyDocument"]
        puts = [
            statement
            for document in documents
            for statement in document["Statement"]
            if "events:PutEvents" in listed(statement.get("Action", []))
        ]
        assert len(puts) >= 7
        for statement in puts:
            ((operator, source),) = [(o, v) for o, v in statement["Condition"].items() if o != "Null"]
            assert operator == "ForAllValues:StringEquals"
            assert source["events:source"] in {"jetway", "airflow"}
            assert statement["Condition"]["Null"] == {"events:source": "false"}


def test_airflows_listener_has_a_policy_to_tell_of_runs() -> None:
    policy = least().resources["TellOfRuns"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]
    listener = (ROOT / "plugins/jetway_airflow/listener.py").read_text()
    source = statement["Condition"]["ForAllValues:StringEquals"]["events:source"]
    assert f'"Source": "{source}"' in listener
    assert least().outputs["TellOfRunsPolicyArn"]["Value"] == least().reference("TellOfRuns")


def test_secrets_with_a_key_of_ones_own_can_be_read() -> None:
    for rendered, role in ((full(), "HttpApiFunctionRole"), (environment(whole=True), "ExecutionRole")):
        statements = rendered.statements(role)
        assert any("secretsmanager:GetSecretValue" in listed(found["Action"]) for found in statements)
        (key,) = [found for found in statements if found["Resource"] == KEY and found["Action"] == "kms:Decrypt"]
        assert key["Condition"] == {"StringLike": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com*"}}
    assert "secretsmanager" not in str(least().statements("HttpApiFunctionRole"))


def test_without_webhooks_nothing_of_them_is_allowed() -> None:
    assert "RememberSignatures" in str(full().statements("HttpApiFunctionRole"))
    assert "RememberSignatures" not in str(least().statements("HttpApiFunctionRole"))


def test_roles_that_the_environments_key_must_know_are_told() -> None:
    rendered = full()
    users = {
        role
        for role, statements in roles(rendered)
        if any(found["Resource"] == KEY and "GenerateDataKey" in str(found) for found in statements)
    }
    users |= {
        role
        for role, statements in roles(rendered)
        if any("kms:CreateGrant" in str(found["Action"]) for found in statements)
    }
    assert len(users) == 4
    told = rendered.outputs["EnvironmentKeyRoleArns"]["Value"].split(",")
    assert sorted(told) == sorted(rendered.reference(role, "Arn") for role in users)


@pytest.mark.parametrize("file", ["template.yaml", "environment.yaml"])
def test_a_key_of_the_accounts_own_takes_the_place_of_the_stacks_everywhere(file: str) -> None:
    own = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/own"
    made, given = Rendered(ROOT / file, WHOLE[file]), Rendered(ROOT / file, {**WHOLE[file], "KmsKeyArn": own})
    key = made.reference("Key", "Arn")
    assert made.resources.keys() - given.resources.keys() == {"Key"}
    before, after = ({name: found for name, found in one.resources.items() if name != "Key"} for one in (made, given))
    assert json.dumps(before).replace(key, own) == json.dumps(after)
    assert own in json.dumps(after)


# ------------------------------------------------------------------------------------------------ UpdateEnvironment
ASKED_OF_THE_CALLER = {
    # Measured on AWS for an update of the code location alone (DataDog's pathfinding-labs, mwaa-002).
    "ec2:DescribeSubnets": "*",
    "ec2:DescribeVpcs": "*",
    "ec2:DescribeSecurityGroups": "*",
    "s3:GetEncryptionConfiguration": "arn:aws:s3:::airflow-bucket",
    # https://docs.aws.amazon.com/mwaa/latest/userguide/access-policies.html
    "kms:DescribeKey": KEY,
    "kms:ListGrants": KEY,
    "kms:CreateGrant": KEY,
    "iam:PassRole": FULL["EnvironmentExecutionRoleArn"],
}


def decide(statements: list[dict[str, Any]], action: str, resource: str) -> str:
    """What IAM answers, whatever the conditions of a Deny say, and if those of an Allow hold."""
    matching = {
        found["Effect"]
        for found in statements
        if any(fnmatchcase(action, pattern) for pattern in listed(found["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(found["Resource"]))
    }
    return "Deny" if "Deny" in matching else "Allow" if "Allow" in matching else "none"


def test_whoever_updates_the_environment_may_do_what_mwaa_asks_of_its_caller() -> None:
    """MWAA asks in the caller's name, so that a Deny of ours would count as well."""
    rendered = full()
    updaters = [
        role
        for role, statements in roles(rendered)
        if decide(statements, "airflow:UpdateEnvironment", f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/airflow")
        == "Allow"
    ]
    assert sorted(updaters) == ["ApplyUpdatesFunctionRole", "ScaleWorkersRole"]
    for role in updaters:
        for action, resource in ASKED_OF_THE_CALLER.items():
            assert decide(rendered.statements(role), action, resource) == "Allow", (role, action)
    grants = [found for found in rendered.statements("ScaleWorkersRole") if found["Action"] == "kms:CreateGrant"]
    assert [found["Condition"] for found in grants] == [{"Bool": {"kms:GrantIsForAWSResource": "true"}}]


def test_what_only_an_update_asks_is_allowed_to_nobody_else() -> None:
    assert "airflow:UpdateEnvironment" not in str(least().statements("ScaleWorkersRole"))  # it only advises
    assert "iam:PassRole" not in str(least().statements("ApplyUpdatesFunctionRole"))
    assert "kms:CreateGrant" not in str(least().statements("ApplyUpdatesFunctionRole"))


def test_the_deny_on_calls_of_the_code_does_not_stand_on_names_that_cloudformation_shortens() -> None:
    denies = [
        found
        for _, statements in roles(full())
        for found in statements
        if found["Effect"] == "Deny" and "ec2:CreateNetworkInterface" in found["Action"]
    ]
    assert len(denies) == 5
    for deny in denies:
        assert deny["Condition"]["ArnLike"]["lambda:SourceFunctionArn"].endswith(":function:*")


def test_pips_log_is_read_where_any_class_of_environment_writes_it() -> None:
    (statement,) = [
        found for found in least().statements("VerifyPromotionRole") if found["Action"] == "logs:FilterLogEvents"
    ]
    groups = [arn.rpartition(":log-group:")[2] for arn in statement["Resource"]]
    assert groups == ["airflow-airflow-Scheduler:*", "airflow-airflow-Worker:*"]
