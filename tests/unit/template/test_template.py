"""What template.yaml and the code must agree on, and what every resource of a kind must have."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import yaml

from jetway.aws.visibility import SPAN
from tests.unit.sample_events import ROOT
from tests.unit.template.source import (
    FUNCTIONS,
    RESOURCES,
    TEMPLATE,
    THE_KEY,
    Loader,
    assert_plain_http_is_denied,
    of_type,
    statements,
)


def test_the_console_shows_every_parameter_in_one_group() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(TEMPLATE["Parameters"])
    assert {name for name, found in TEMPLATE["Parameters"].items() if "Default" not in found} == set(shown[:2])


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_every_parameter_is_described_and_bounded(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert len(parameter["Description"]) > 20
    assert {"AllowedValues", "AllowedPattern", "MaxLength", "MaxValue"} & parameter.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_its_own_policy_logs_and_build_target(name: str) -> None:
    function = FUNCTIONS[name]["Properties"]
    assert {"LoggingConfig", "Timeout", "Description"} <= function.keys()
    assert function["Role"] == {"GetAtt": f"{name}Role.Arn"}
    assert RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]["Type"] == "AWS::Logs::LogGroup"
    assert f"build-{name}:" in (ROOT / "functions" / "Makefile").read_text()


@pytest.mark.parametrize("file", ["template.yaml", "environment.yaml"])
def test_no_sid_stands_twice_in_a_policy(file: str) -> None:
    """IAM refuses such a policy, and with it the role and the whole deployment.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
    """
    template = yaml.load((ROOT / file).read_text(), Loader)
    policies = list(_policies(template["Resources"]))
    assert policies
    for statements_of_policy in policies:
        sids = [found["Sid"] for found in _branches(statements_of_policy) if "Sid" in found]
        assert not [sid for sid, times in Counter(sids).items() if times > 1]


def _policies(node: Any) -> Iterator[list[Any]]:
    """Every list of statements below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("Statement"), list):
            yield node["Statement"]
        for value in node.values():
            yield from _policies(value)
    elif isinstance(node, list):
        for value in node:
            yield from _policies(value)


def _branches(statements_of_policy: list[Any]) -> Iterator[dict[str, Any]]:
    """The statements, of conditional ones those of the branch that exists: all of them can stand at once."""
    for found in statements_of_policy:
        if "If" in found:
            yield from (branch for branch in found["If"][1:] if isinstance(branch, dict) and "Effect" in branch)
        else:
            yield found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_may_do_everything_or_touch_everything(name: str) -> None:
    for statement in statements(FUNCTIONS[name]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert statement["Sid"]
        assert not [action for action in actions if action.endswith("*")]
        # Some actions know no resource; the condition or the Sid then says why.
        everywhere = statement["Resource"] == "*" and statement["Sid"] not in {
            "NetworkInterfaces",  # Lambda's, when it joins a VPC
            "MwaaLooksAtTheNetwork",
        }
        assert not everywhere or "Condition" in statement, statement["Sid"]


def test_whoever_reads_or_writes_the_environments_objects_may_use_its_key() -> None:
    """Only these: the key's own policy delegates to IAM, and the bucket gives everything to be encrypted with it."""
    users = {}
    for name, function in FUNCTIONS.items():
        found = {statement["Sid"]: statement for statement in statements(function)}
        objects = [
            statement
            for statement in found.values()
            if "${EnvironmentBucketName}/" in str(statement["Resource"]) and "s3:PutObject" in statement["Action"]
        ]
        key = found.get("KeyOfTheEnvironmentsBucket")
        assert bool(objects) == bool(key) == ("${EnvironmentBucketName}/" in str(found)), name
        if key:
            users[name] = key
    assert users.keys() == {"ValidateArtifact", "VerifyPromotion", "ApplyUpdatesFunction"}
    for key in users.values():
        assert key["Resource"] == {"Ref": "EnvironmentKmsKeyArn"}
        assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_every_queue_is_encrypted_and_dead_letters_are_kept_longest() -> None:
    for name, queue in of_type("AWS::SQS::Queue").items():
        assert "KmsMasterKeyId" in queue, name
        assert queue["MessageRetentionPeriod"] == 14 * 86400, name
        if "FifoQueue" in queue and "RedrivePolicy" in queue:
            dead_letters = queue["RedrivePolicy"]["deadLetterTargetArn"]["GetAtt"].partition(".")[0]
            assert RESOURCES[dead_letters]["Properties"].get("FifoQueue"), name


def test_queues_stay_invisible_longer_than_their_function_may_run() -> None:
    for name, function in FUNCTIONS.items():
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] != "SQS":
                continue
            queue = RESOURCES[event["Properties"]["Queue"]["GetAtt"].partition(".")[0]]["Properties"]
            assert queue["VisibilityTimeout"] >= function["Properties"]["Timeout"], f"{name}: AWS refuses the mapping"
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_crash_holds_the_messages_of_no_queue_for_more_than_half_a_minute() -> None:
    """A function holds its messages by signs of life, which its role allows, or its queue's timeout is no longer."""
    for name, function in FUNCTIONS.items():
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] != "SQS":
                continue
            queue = event["Properties"]["Queue"]["GetAtt"].partition(".")[0]
            app = ROOT / "functions" / function["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            if "with Holding(" not in (app / "app.py").read_text():
                assert RESOURCES[queue]["Properties"]["VisibilityTimeout"] <= SPAN, name
                continue
            allowed = [
                statement["Resource"]
                for statement in statements(function)
                if "sqs:ChangeMessageVisibility" in statement.get("Action", ())
            ]
            assert allowed == [{"GetAtt": f"{queue}.Arn"}], f"{name} may change its own queue's messages, no others"


def test_a_file_that_ends_the_gate_keeps_no_other_waiting() -> None:
    (source,) = FUNCTIONS["ValidateArtifact"]["Properties"]["Events"].values()
    assert source["Properties"]["BatchSize"] == 1


def test_every_rule_retries_and_has_dead_letters() -> None:
    for name, rule in of_type("AWS::Events::Rule").items():
        for target in rule.get("Targets", []):
            assert {"RetryPolicy", "DeadLetterConfig"} <= target.keys(), name


def test_every_bucket_is_private_versioned_and_encrypted() -> None:
    for bucket in of_type("AWS::S3::Bucket").values():
        assert {"BucketEncryption", "VersioningConfiguration", "LifecycleConfiguration"} <= bucket.keys()
        assert all(bucket["PublicAccessBlockConfiguration"].values())


def test_every_table_and_topic_is_encrypted_with_the_stacks_key() -> None:
    key = THE_KEY
    for name, table in of_type("AWS::DynamoDB::Table").items():
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}, name
    for name, topic in of_type("AWS::SNS::Topic").items():
        assert topic["KmsMasterKeyId"] == key, name


def test_buckets_are_reached_by_tls_only() -> None:
    buckets = {policy["Bucket"]["Ref"]: policy for policy in of_type("AWS::S3::BucketPolicy").values()}
    assert buckets.keys() == of_type("AWS::S3::Bucket").keys()
    for name, policy in buckets.items():
        assert_plain_http_is_denied(policy, "s3:*", name)


def test_every_log_group_is_encrypted_and_ends() -> None:
    for name, group in of_type("AWS::Logs::LogGroup").items():
        assert {"KmsKeyId", "RetentionInDays"} <= group.keys(), name


# Those that have no client and nothing to configure have no module either.
BARE = {"ImportDagAirflow2", "ImportDagAirflow3", "ResolveRequirements"}
WIRED = {
    name: re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
    for name in FUNCTIONS
    if name not in BARE
}


@pytest.mark.parametrize("function", WIRED)
def test_every_variable_that_a_function_reads_is_set(function: str) -> None:
    names = {**TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]}
    names |= FUNCTIONS[function]["Properties"]["Environment"]["Variables"]
    words = {"TRANSPORT": "cli", "SCALING_MODE": "advise", "APPLY_UPDATES": "manual", "WORKER_PRICES": "mw1.small=1"}
    words |= {"IMPORT_DAG": "3=arn", "WORKER_REPLACEMENT_STRATEGY": "FORCED", "WEBHOOKS": "disabled"}
    words |= {"FOLLOW_ALL_RUNS": "enabled"}
    given = {name: words.get(name, "1") for name in names} | {"AWS_LAMBDA_FUNCTION_NAME": "x"}
    assert import_module(f"jetway.wiring.{WIRED[function]}").Config.from_env(given)


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*/app.py")), ids=lambda path: path.parent.name)
def test_handlers_are_short_and_call_nothing_at_import(path: Any) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert calls == []
    handlers = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert max((node.end_lineno or 0) - node.lineno for node in handlers) < 60


def test_no_machine_path_or_registry_host_is_in_the_lists() -> None:
    for path in (*(ROOT / "requirements").glob("*.txt"), ROOT / "layers/jetway/requirements.txt"):
        assert not re.search(r"https?://|--index-url|--find-links", path.read_text()), path


def test_no_queue_can_take_all_the_concurrency_that_the_account_has() -> None:
    """Ten thousand files at once must not throttle the calls, nor other people's functions."""
    queues = of_type("AWS::SQS::Queue")
    sources = {
        (name, event["Properties"]["Queue"]["GetAtt"].partition(".")[0]): event["Properties"]
        for name, function in FUNCTIONS.items()
        for event in (function["Properties"].get("Events") or {}).values()
        if event["Type"] == "SQS"
    }
    assert len(sources) >= 5
    for (name, queue), source in sources.items():
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
        if not queues[queue].get("FifoQueue") or name == "StartDagRun":  # one batch of each group is in flight
            assert 2 <= source["ScalingConfig"]["MaximumConcurrency"] <= 20, name


def test_drift_of_triggers_is_looked_for_every_day() -> None:
    rule = RESOURCES["TriggerDriftRule"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 day)"
    (target,) = rule["Targets"]
    assert target["Arn"] == {"GetAtt": "TriggerSyncQueue.Arn"}
    assert target["DeadLetterConfig"] == {"Arn": {"GetAtt": "UndeliveredEvents.Arn"}}


def test_what_loads_dag_files_is_started_without_the_credentials_of_its_role() -> None:
    """Not in its variables, not in /proc: the program that Lambda starts it through passes all others on."""
    wrapper = ROOT / "layers/loader/without-credentials"
    for function in ("ImportDagAirflow2", "ImportDagAirflow3"):
        properties = TEMPLATE["Resources"][function]["Properties"]
        assert properties["Environment"]["Variables"] == {"AWS_LAMBDA_EXEC_WRAPPER": f"/opt/{wrapper.name}"}
        assert {"Ref": "LoaderLayer"} in properties["Layers"]
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    given = dict.fromkeys(secrets, "secret") | {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "PATH": os.environ["PATH"]}
    shown = [str(wrapper), "cat", "/proc/self/environ"] if sys.platform.startswith("linux") else [str(wrapper), "env"]
    done = subprocess.run(shown, env=given, capture_output=True, text=True, check=True)
    assert "secret" not in done.stdout
    assert "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001" in done.stdout
