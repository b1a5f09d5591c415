"""What template.yaml and the code must agree on, and what every resource of a kind must have."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import yaml

from jetway.workers.assessment import VERDICT_CODES
from jetway.workers.metrics import Watched, metric_queries
from tests.unit.sample_events import ROOT


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short intrinsic functions, each as {name: value}."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _intrinsic)
TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: found for name, found in RESOURCES.items() if found["Type"] == "AWS::Serverless::Function"}


def test_the_console_shows_every_parameter_in_one_group() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(TEMPLATE["Parameters"])
    assert {name for name, found in TEMPLATE["Parameters"].items() if "Default" not in found} == set(shown[:2])


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: found["Properties"] for name, found in RESOURCES.items() if found["Type"] == kind}


def statements(function: dict[str, Any]) -> list[dict[str, Any]]:
    """The function's own policy statements; of a conditional one, the branch that exists."""
    found = function["Properties"]["Policies"][0]["Statement"]
    return [statement["If"][1] if "If" in statement else statement for statement in found]


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_every_parameter_is_described_and_bounded(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert len(parameter["Description"]) > 20
    assert {"AllowedValues", "AllowedPattern", "MaxLength", "MaxValue"} & parameter.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_its_own_policy_logs_and_build_target(name: str) -> None:
    function = FUNCTIONS[name]["Properties"]
    assert {"Policies", "LoggingConfig", "Timeout", "Description"} <= function.keys()
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
        assert statement["Resource"] != "*" or "Condition" in statement, statement["Sid"]


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
            assert queue["VisibilityTimeout"] >= 2 * function["Properties"]["Timeout"], name
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_every_rule_retries_and_has_dead_letters() -> None:
    for name, rule in of_type("AWS::Events::Rule").items():
        for target in rule.get("Targets", []):
            assert {"RetryPolicy", "DeadLetterConfig"} <= target.keys(), name


def test_every_bucket_is_private_versioned_and_encrypted() -> None:
    for bucket in of_type("AWS::S3::Bucket").values():
        assert {"BucketEncryption", "VersioningConfiguration", "LifecycleConfiguration"} <= bucket.keys()
        assert all(bucket["PublicAccessBlockConfiguration"].values())


def test_every_table_and_topic_is_encrypted_with_the_stacks_key() -> None:
    key = {"GetAtt": "Key.Arn"}
    for name, table in of_type("AWS::DynamoDB::Table").items():
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}, name
    for name, topic in of_type("AWS::SNS::Topic").items():
        assert topic["KmsMasterKeyId"] == key, name


def test_buckets_are_reached_by_tls_only() -> None:
    buckets = {policy["Bucket"]["Ref"]: policy for policy in of_type("AWS::S3::BucketPolicy").values()}
    assert buckets.keys() == of_type("AWS::S3::Bucket").keys()
    for name, policy in buckets.items():
        assert_plain_http_is_denied(policy, "s3:*", name)


def assert_plain_http_is_denied(policy: dict[str, Any], action: str, name: str) -> None:
    """Assert that whoever comes without TLS may do nothing."""
    assert [
        found
        for found in policy["PolicyDocument"]["Statement"]
        if (found["Effect"], found["Principal"], found["Action"]) == ("Deny", "*", action)
        and found["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    ], name


def authorization_of_routes(*conditions: str) -> dict[str, str]:
    """How each route asks who calls, in a stack where these conditions hold and no others."""

    def resolved(value: Any) -> str:
        while isinstance(value, dict):
            condition, yes, no = value["If"]
            value = yes if condition in conditions else no
        return str(value)

    return {
        route["Properties"]["RouteKey"]: resolved(route["Properties"]["AuthorizationType"])
        for route in RESOURCES.values()
        if route["Type"] == "AWS::ApiGatewayV2::Route" and route.get("Condition") in {*conditions, None}
    }


@pytest.mark.parametrize(
    ("conditions", "kinds", "opened"),
    [
        ((), {"AWS_IAM"}, set()),
        (("UseWebhooks",), {"AWS_IAM", "NONE"}, {"POST /webhooks/{name}"}),
        (("UseJwt", "UseJwtToStart"), {"AWS_IAM", "JWT"}, set()),
        # A browser sends no token with the address of a page; pages hold no data.
        (
            ("UseJwt", "UseJwtToRead"),
            {"AWS_IAM", "JWT", "NONE"},
            {"GET /", "GET /docs", "GET /docs/{file}", "GET /openapi.json"},
        ),
    ],
)
def test_no_route_is_open_by_default(conditions: tuple[str, ...], kinds: set[str], opened: set[str]) -> None:
    found = authorization_of_routes(*conditions)
    assert set(found.values()) == kinds
    assert {route for route, kind in found.items() if kind == "NONE"} == opened


def test_every_route_that_starts_runs_has_a_throttle_of_its_own_by_parameters() -> None:
    (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
    settings = {route: found.get("If", [None, found])[1] for route, found in stage["RouteSettings"].items()}
    assert set(settings) == {route for route in authorization_of_routes("UseWebhooks") if route.startswith("POST ")}
    for found in (*settings.values(), stage["DefaultRouteSettings"]):
        for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            parameter = TEMPLATE["Parameters"][found[name]["Ref"]]
            assert parameter["MinValue"] >= 1
            assert parameter["Default"] <= parameter["MaxValue"]


def test_pages_of_others_may_not_call_unless_they_are_named() -> None:
    (api,) = of_type("AWS::ApiGatewayV2::Api").values()
    condition, named, nothing = api["CorsConfiguration"]["If"]
    assert (condition, nothing) == ("UseCors", {"Ref": "AWS::NoValue"})
    assert named["AllowOrigins"] == {"Ref": "HttpCorsOrigins"}
    assert "AllowCredentials" not in named
    assert TEMPLATE["Parameters"]["HttpCorsOrigins"]["Default"] == ""


def test_every_condition_that_opens_a_route_is_off_by_default() -> None:
    defaults = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
    assert (defaults["Webhooks"], defaults["JwtIssuer"]) == ("disabled", "")
    assert defaults["ReadAuthorization"] == defaults["StartAuthorization"] == "AWS_IAM"


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


def test_the_dashboard_draws_only_what_is_published() -> None:
    """An included file knows long forms only, and every metric of ours in it must exist under that name."""
    body = yaml.safe_load((ROOT / "dashboard.yaml").read_text())["Fn::Sub"]
    assert set(re.findall(r"\$\{([^!}]+)\}", body)) == {"EnvironmentName", "AWS::Region", "AWS::StackName"}
    widgets = json.loads(body)["widgets"]
    drawn = {
        metric[1] for widget in widgets for metric in widget["properties"].get("metrics", []) if metric[0] == "Jetway"
    }
    sources = [*(ROOT / "functions").glob("*/app.py"), *(ROOT / "layers/jetway/jetway").rglob("*.py")]
    code = "".join(path.read_text() for path in sources)
    assert {name for name in drawn if f'"{name}"' not in code} == set()
    boxes = [(widget["x"], widget["y"], widget["width"], widget["height"]) for widget in widgets]
    assert all(x + width <= 24 for x, _, width, _ in boxes)
    cells = [(x + i, y + j) for x, y, width, height in boxes for i in range(width) for j in range(height)]
    assert len(cells) == len(set(cells))


def test_the_dashboard_shows_workers_verdict_latency_runs_artifacts_and_costs() -> None:
    widgets = json.loads(yaml.safe_load((ROOT / "dashboard.yaml").read_text())["Fn::Sub"])["widgets"]
    drawn: set[tuple[str, str]] = set()
    by_trigger: set[str] = set()
    for properties in (widget["properties"] for widget in widgets):
        for namespace, *rest in properties.get("metrics", []):
            if isinstance(namespace, dict):
                by_trigger |= set(re.findall(r'Environment,Trigger}.*MetricName="(\w+)"', namespace["expression"]))
            elif namespace == "Jetway":
                options = rest[-1] if isinstance(rest[-1], dict) else {}
                drawn.add((rest[0], options.get("stat", properties["stat"])))
    most = {"RequiredWorkers", "RunningWorkers", "WorkerUtilization", "EstimatedDrainTime", "Verdict"}
    assert {(name, "Maximum") for name in most} <= drawn
    assert {("DispatchLatency", stat) for stat in ("p50", "p95", "p99")} <= drawn
    assert by_trigger == {"DagRunsStarted", "DagRunsDuplicate", "EventsDeadLettered"}
    verdicts = {
        "ArtifactsPromoted",
        "ArtifactsRejected",
        "ArtifactsVerified",
        "ArtifactsRolledBack",
        "ArtifactsNeverAppeared",
    }
    assert {(name, "Sum") for name in verdicts} <= drawn
    assert {("WorkerCostPerHour", "Maximum"), ("AdvisedCostPerMonth", "Maximum")} <= drawn
    (timeline,) = [
        widget["properties"] for widget in widgets if widget["properties"].get("title", "").startswith("Verdict:")
    ]
    words = {line["label"]: line["value"] for line in timeline["annotations"]["horizontal"]}
    assert words == VERDICT_CODES


def test_every_function_and_every_dead_letter_queue_is_watched() -> None:
    variables = FUNCTIONS["MeasureWorkers"]["Properties"]["Environment"]["Variables"]
    watched = {entry["Ref"] for entry in variables["FUNCTIONS"]["Join"][1]}
    assert watched == FUNCTIONS.keys() - {"MeasureWorkers"}, "name it in FUNCTIONS of MeasureWorkers"
    letters = {entry["GetAtt"].partition(".")[0] for entry in variables["DEAD_LETTER_QUEUES"]["Join"][1]}
    targets = re.findall(r"deadLetterTargetArn: !GetAtt (\w+)\.Arn", (ROOT / "template.yaml").read_text())
    assert set(targets) <= letters, "name it in DEAD_LETTER_QUEUES of MeasureWorkers"
    work = {entry["GetAtt"].partition(".")[0] for entry in variables["WORK_QUEUES"]["Join"][1]}
    work |= {variables["QUEUES"]["GetAtt"].partition(".")[0]}
    assert work == of_type("AWS::SQS::Queue").keys() - letters, "name it in WORK_QUEUES of MeasureWorkers"


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
        if not queues[queue].get("FifoQueue"):  # of a FIFO queue's groups one batch each is in flight
            assert 2 <= source["ScalingConfig"]["MaximumConcurrency"] <= 20, name
        assert queues[queue]["VisibilityTimeout"] >= 2 * FUNCTIONS[name]["Properties"]["Timeout"], name


def test_every_alarm_says_what_to_do_and_tells_somebody_when_it_is_over() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert len(alarms) >= 16
    for name, alarm in alarms.items():
        assert len(alarm["AlarmDescription"]) > 60, name
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
        assert {"Name": "Environment", "Value": {"Ref": "EnvironmentName"}} in alarm["Dimensions"], name
        assert alarm["TreatMissingData"] in {"missing", "breaching", "notBreaching"}, name
        assert "Metrics" not in alarm, name  # metric math is not everywhere


def test_the_manual_tells_what_measuring_costs() -> None:
    """The table in docs/workers.md, counted anew; what grows with every function is told within a sixth."""
    variables = FUNCTIONS["MeasureWorkers"]["Properties"]["Environment"]["Variables"]
    names = ("DEAD_LETTER_QUEUES", "FUNCTIONS", "WORK_QUEUES")
    letters, functions, work = (variables[name]["Join"][1] for name in names)
    pool = TEMPLATE["Parameters"]["WatchedPools"]["Default"]
    asked = len(
        metric_queries(
            Watched("e", [pool], ["q"], ["d"] * len(letters), ["f"] * (len(functions) + 1), ["w"] * len(work))
        )
    )
    handler = (ROOT / "functions/scale_workers/app.py").read_text()
    reports = (ROOT / "layers/jetway/jetway/workers/reports.py").read_text()
    published = len(re.findall(r'add_metric\("', handler)) + len(
        re.findall(r'^        \("\w+", ', reports, re.MULTILINE)
    )
    alarms = len(of_type("AWS::CloudWatch::Alarm"))
    manual = (ROOT / "docs/workers.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+?)(?: by .*)? \| (?:about )?(\d+) \| (\d+) \|$", manual, re.MULTILINE)
    told = [(int(count), int(dollars)) for _, count, dollars in rows]
    minutes = 365 / 12 * 1440
    prices = [minutes * 1e-5, minutes / 5 * 1e-5, 0.3, 0.1, 3]
    counts = [asked, len(metric_queries(Watched("e"))), published, alarms, 1]
    assert len(told) == len(counts)
    for (count, dollars), price, counted in zip(told, prices, counts, strict=True):
        assert abs(count - counted) <= (counted / 6 if counted > 14 else 0), (count, counted)
        assert dollars == round(count * price), (count, dollars)


def test_drift_of_triggers_is_looked_for_every_day() -> None:
    rule = RESOURCES["TriggerDriftRule"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 day)"
    (target,) = rule["Targets"]
    assert target["Arn"] == {"GetAtt": "TriggerSyncQueue.Arn"}
    assert target["DeadLetterConfig"] == {"Arn": {"GetAtt": "UndeliveredEvents.Arn"}}
