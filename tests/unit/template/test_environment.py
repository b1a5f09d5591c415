"""environment.yaml against what MWAA demands, and against template.yaml, which takes its outputs.

Key policy: https://docs.aws.amazon.com/mwaa/latest/userguide/custom-keys-certs.html
Execution role: https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-create-role.html
Network: https://docs.aws.amazon.com/mwaa/latest/userguide/vpc-vpe-create-access.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.unit.sample_events import ROOT
from tests.unit.template.source import FUNCTIONS, THE_KEY, Loader, assert_plain_http_is_denied, statements
from tests.unit.template.source import TEMPLATE as JETWAY
from tools.aws.aws_deploy import ENVIRONMENTS, HANDED_ON, read_profile

TEMPLATE: dict[str, Any] = yaml.load((ROOT / "environment.yaml").read_text(), Loader)
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]
ENVIRONMENT = RESOURCES["Environment"]["Properties"]
PLAIN = [found for name, found in RESOURCES.items() if not name.startswith("Fn::ForEach")]
ENVIRONMENT_ARN = "arn:${AWS::Partition}:airflow:${AWS::Region}:${AWS::AccountId}:environment/${EnvironmentName}"


def role_statements() -> dict[str, dict[str, Any]]:
    found = RESOURCES["ExecutionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    flat = [statement["If"][1] if "If" in statement else statement for statement in found]
    return {statement["Sid"]: statement for statement in flat}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_described_and_bounded(name: str) -> None:
    parameter = PARAMETERS[name]
    assert len(parameter["Description"]) > 20
    assert {"AllowedValues", "AllowedPattern", "MaxLength", "MaxValue"} & parameter.keys()


def test_the_console_shows_every_parameter_in_one_group() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PARAMETERS)
    assert all("Default" in found for found in PARAMETERS.values())  # nothing must be filled in


CLASS_OF_ONE = ("MinWorkers", "MaxWorkers", "MinWebservers", "MaxWebservers", "Schedulers")


def refusals(**changes: object) -> list[str]:
    """What CloudFormation would say of these parameters, by the template's rules."""
    values = {name: str(found["Default"]) for name, found in PARAMETERS.items()}
    values |= {name: str(value) for name, value in changes.items()}

    def holds(condition: Any) -> bool:
        ((name, operands),) = condition.items()
        if name == "Equals":
            left, right = (values[side["Ref"]] if isinstance(side, dict) else str(side) for side in operands)
            return left == right
        if name == "Fn::Contains":
            return values[operands[1]["Ref"]] in map(str, operands[0])
        return {
            "Not": lambda: not holds(operands[0]),
            "And": lambda: all(map(holds, operands)),
            "Or": lambda: any(map(holds, operands)),
        }[name]()

    return [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if holds(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"])
    ]


MICRO = {"EnvironmentClass": "mw1.micro", **dict.fromkeys(CLASS_OF_ONE, 1)}
OWN = {"VpcId": "vpc-1", "PrivateSubnetId1": "subnet-1", "PrivateSubnetId2": "subnet-2"}
INSIDE = {"Egress": "endpoints", "WebserverAccessMode": "PRIVATE_ONLY"}


@pytest.mark.parametrize(
    "accepted",
    [
        {},
        MICRO,
        OWN,
        INSIDE,
        {"WebserverAccessMode": "PUBLIC_AND_PRIVATE"},
        {"Egress": "endpoints", "WebserverAccessMode": "PUBLIC_AND_PRIVATE"},
        {"Egress": "endpoints", "AirflowVersion": "2.11.2"},
        {"Schedulers": 5, "MaxWebservers": 5},
        *(read_profile(ENVIRONMENTS, name).overrides for name in ("staging", "prod")),
    ],
)
def test_what_mwaa_takes_is_deployed(accepted: dict[str, object]) -> None:
    assert refusals(**accepted) == []


REFUSED: list[tuple[Mapping[str, object], str]] = [
    *(({**MICRO, name: 2}, "mw1.micro has one") for name in CLASS_OF_ONE),
    *(({name: 1}, "two web servers and two schedulers") for name in CLASS_OF_ONE[2:]),
    ({"VpcId": "vpc-1", "PrivateSubnetId1": "subnet-1"}, "two private subnets of that VPC"),
    ({**OWN, "PrivateSubnetId2": "subnet-1"}, "must be two subnets"),
    ({**OWN, "VpcId": ""}, "set VpcId"),
    ({"WebserverAccessMode": "PUBLIC_AND_PRIVATE", "AirflowVersion": "3.0.6"}, "requires Airflow 3.2.1"),
    ({"Egress": "endpoints"}, "call the web server, which is on the internet"),
]


@pytest.mark.parametrize(("refused", "told"), REFUSED)
def test_what_mwaa_refuses_after_minutes_is_refused_at_once(refused: Mapping[str, object], told: str) -> None:
    (said,) = refusals(**refused)
    assert told in said


def test_maintenance_and_updates_are_parameters() -> None:
    assert re.fullmatch(PARAMETERS["WeeklyMaintenanceWindowStart"]["AllowedPattern"], "SUN:03:30")
    assert not re.fullmatch(PARAMETERS["WeeklyMaintenanceWindowStart"]["AllowedPattern"], "SUN:03:15")
    assert ENVIRONMENT["WeeklyMaintenanceWindowStart"]["If"][0] == "UseMaintenanceWindow"
    assert ENVIRONMENT["WorkerReplacementStrategy"] == {"Ref": "WorkerReplacementStrategy"}
    assert PARAMETERS["WorkerReplacementStrategy"]["Default"] == "GRACEFUL"  # what apply_updates asks for, too


def test_every_version_that_mwaa_offers_can_be_chosen() -> None:
    offered = ["3.3.1", "3.2.1", "3.0.6", "2.11.2", "2.11.0", "2.10.3", "2.10.1", "2.9.2", "2.8.1", "2.7.2"]
    assert PARAMETERS["AirflowVersion"]["AllowedValues"] == offered
    assert PARAMETERS["EnvironmentClass"]["AllowedValues"] == [
        f"mw1.{size}" for size in ("micro", "small", "medium", "large", "xlarge", "2xlarge")
    ]


def test_the_key_policy_lets_the_account_delegate_and_cloudwatch_logs_encrypt_and_nobody_else() -> None:
    account, logs = RESOURCES["Key"]["Properties"]["KeyPolicy"]["Statement"]
    assert account["Principal"] == {"AWS": {"Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    assert account["Action"] == "kms:*"  # so that whoever creates the environment may let MWAA make its grants
    assert logs["Principal"] == {"Service": {"Sub": "logs.${AWS::Region}.amazonaws.com"}}
    assert set(logs["Action"]) == {
        "kms:Encrypt*",
        "kms:Decrypt*",
        "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
        "kms:Describe*",
    }
    (condition,) = logs["Condition"]["ArnLike"].items()
    arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:*"
    assert condition == ("kms:EncryptionContext:aws:logs:arn", {"Sub": arn})
    assert RESOURCES["Key"]["Properties"]["EnableKeyRotation"] is True


def test_the_bucket_is_versioned_closed_and_encrypted_with_the_environments_key() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(closed, True)
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    key = rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert key == ENVIRONMENT["KmsKey"] == THE_KEY
    assert ENVIRONMENT["SourceBucketArn"] == {"GetAtt": "Bucket.Arn"}
    assert_plain_http_is_denied(RESOURCES["BucketPolicy"]["Properties"], "s3:*", "Bucket")


def test_mwaa_alone_may_take_the_execution_role() -> None:
    (trust,) = RESOURCES["ExecutionRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert trust["Condition"]["ArnLike"] == {"aws:SourceArn": {"Sub": ENVIRONMENT_ARN}}


def test_the_execution_role_may_do_what_mwaa_lists_and_no_more() -> None:
    allowed = {
        sid: {*statement["Action"]} if isinstance(statement["Action"], list) else {statement["Action"]}
        for sid, statement in role_statements().items()
    }
    assert allowed == {
        "OwnMetrics": {"airflow:PublishMetrics"},
        "ReadTheBucket": {"s3:GetObject*", "s3:GetBucket*", "s3:List*"},
        "CheckThatNothingIsPublic": {"s3:GetAccountPublicAccessBlock"},
        "WriteLogs": {
            "logs:CreateLogStream",
            "logs:CreateLogGroup",
            "logs:PutLogEvents",
            "logs:GetLogEvents",
            "logs:GetLogRecord",
            "logs:GetLogGroupFields",
            "logs:GetQueryResults",
        },
        "FindLogGroups": {"logs:DescribeLogGroups"},
        "PutMetrics": {"cloudwatch:PutMetricData"},
        "TaskQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        "OurKey": {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:Encrypt"},
        "ReadConnections": {"secretsmanager:GetSecretValue"},
        "KeyOfTheConnections": {"kms:Decrypt"},  # where it is a customer's
    }
    everywhere = {sid for sid, statement in role_statements().items() if statement["Resource"] == "*"}
    assert everywhere == {"CheckThatNothingIsPublic", "FindLogGroups", "PutMetrics"}  # they know no resource
    found = role_statements()
    logs = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:airflow-${EnvironmentName}-*"
    assert found["WriteLogs"]["Resource"] == {"Sub": logs}
    queue = "arn:${AWS::Partition}:sqs:${AWS::Region}:*:airflow-celery-*"
    assert found["TaskQueue"]["Resource"] == {"Sub": queue}
    via = [{"Sub": f"{service}.${{AWS::Region}}.amazonaws.com"} for service in ("sqs", "s3")]
    assert found["OurKey"]["Condition"] == {"StringEquals": {"kms:ViaService": via}}


def test_the_environment_has_two_private_subnets_all_logs_and_waits_for_what_it_checks() -> None:
    network = ENVIRONMENT["NetworkConfiguration"]
    assert [subnet["If"][1]["Ref"] for subnet in network["SubnetIds"]] == ["PrivateSubnet1", "PrivateSubnet2"]
    for kind in ("Private", "Public"):  # MWAA is not in every zone, so that they can be chosen
        zones = [RESOURCES[f"{kind}Subnet{n}"]["Properties"]["AvailabilityZone"]["If"] for n in (1, 2)]
        assert [condition for condition, _, _ in zones] == ["UseZones"] * 2
        assert [chosen["Select"][0] for _, chosen, _ in zones] == [0, 1]
        assert all("AvailabilityZones" in str(chosen) for _, chosen, _ in zones)
        assert [first["Select"] for _, _, first in zones] == [[n, {"GetAZs": ""}] for n in (0, 1)]
    assert set(ENVIRONMENT["LoggingConfiguration"]) == {
        f"{kind}Logs" for kind in ("DagProcessing", "Scheduler", "Task", "Webserver", "Worker")
    }
    assert all(logs["Enabled"] is True for logs in ENVIRONMENT["LoggingConfiguration"].values())
    kinds = RESOURCES["Fn::ForEach::Logs"][1]
    assert set(RESOURCES["Environment"]["DependsOn"]) == {
        *("BucketPolicy", "SecurityGroupItself"),
        *(f"Logs{kind}" for kind in kinds),
    }
    (group,) = RESOURCES["Fn::ForEach::Logs"][2].values()
    assert group["Properties"]["KmsKeyId"] == THE_KEY
    assert sorted(kind.lower() for kind in kinds) == sorted(
        name.removesuffix("Logs").lower() for name in ENVIRONMENT["LoggingConfiguration"]
    )
    ways = RESOURCES["Environment"]["Metadata"].values()
    waits = {reference.get("If", [None, reference])[1]["Ref"] for way in ways for reference in way["If"][1]}
    ways_out = ("AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation")
    assert waits >= {"S3Endpoint"} | {
        name for name, found in RESOURCES.items() if found in PLAIN and found["Type"] in ways_out
    }
    assert waits >= {"Endpoint" + name.replace(".", "") for name in RESOURCES["Fn::ForEach::Endpoints"][1]}


def test_the_security_group_lets_in_itself_alone() -> None:
    ingress = [found["Properties"] for found in PLAIN if found["Type"].endswith("Ingress")]
    assert [rule["SourceSecurityGroupId"] for rule in ingress] == [{"GetAtt": "SecurityGroup.GroupId"}]
    assert "SecurityGroupIngress" not in RESOURCES["SecurityGroup"]["Properties"]


def own_endpoints() -> Iterator[tuple[str, dict[str, Any]]]:
    """The endpoints beside MWAA's list: service, resource."""
    for found in PLAIN:
        if found["Type"] == "AWS::EC2::VPCEndpoint":
            yield found["Properties"]["ServiceName"]["Sub"].removeprefix("com.amazonaws.${AWS::Region}."), found


def test_without_a_nat_the_vpc_has_every_endpoint_that_mwaa_and_jetway_need() -> None:
    mwaa = {"airflow.api", "airflow.env", "ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "sqs"}
    assert set(RESOURCES["Fn::ForEach::Endpoints"][1]) == mwaa
    assert {
        service: (found["Properties"]["VpcEndpointType"], found["Condition"]) for service, found in own_endpoints()
    } == {
        "airflow.ops": ("Interface", "UseOps"),  # partition aws alone has it
        "s3": ("Gateway", "NewVpc"),
        "dynamodb": ("Gateway", "UseJetwayEndpoints"),
        "sns": ("Interface", "UseJetwayEndpoints"),
        # Tasks call these two as well: the plugin's listener, and Airflow's secrets backend.
        "events": ("Interface", "UseEndpoints"),
        "secretsmanager": ("Interface", "UseSecretsManagerEndpoint"),
    }
    assert TEMPLATE["Conditions"]["UseSecretsManagerEndpoint"] == {
        "And": [
            {"Condition": "UseEndpoints"},
            {"Or": [{"Condition": "UsePrivateWebserver"}, {"Condition": "UseSecretsManager"}]},
        ]
    }


def test_outputs_that_are_handed_on_are_parameters_of_template_yaml() -> None:
    assert set(HANDED_ON) <= TEMPLATE["Outputs"].keys()
    assert set(HANDED_ON) <= JETWAY["Parameters"].keys()
    for name in ("SubnetIds", "SecurityGroupIds"):  # functions join the VPC only when they must
        assert TEMPLATE["Outputs"][name]["Condition"] == "UsePrivateWebserver"


def actions(statement: dict[str, Any]) -> list[str]:
    found = statement["Action"]
    return found if isinstance(found, list) else [found]


def test_functions_that_call_the_web_server_join_the_vpc_and_their_code_makes_no_interfaces() -> None:
    """A PRIVATE_ONLY web server is reached from its VPC only; whatever asks AWS's APIs alone stays outside."""
    for name, function in FUNCTIONS.items():
        allowed = {action for found in statements(function) for action in actions(found) if found["Effect"] == "Allow"}
        denied = {action for found in statements(function) for action in actions(found) if found["Effect"] == "Deny"}
        calls = bool(allowed & {"airflow:CreateCliToken", "airflow:InvokeRestApi"})
        assert ("VpcConfig" in function["Properties"]) == calls, name
        assert ("ec2:CreateNetworkInterface" in denied) == calls, name
        if calls:
            condition, inside, outside = function["Properties"]["VpcConfig"]["If"]
            assert (condition, outside) == ("UseVpc", {"Ref": "AWS::NoValue"})
            assert inside == {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}


def test_functions_in_the_vpc_reach_every_service_that_they_may_call() -> None:
    reachable = {*RESOURCES["Fn::ForEach::Endpoints"][1]} | {service for service, _ in own_endpoints()}
    reachable |= {"cloudwatch"} if "monitoring" in reachable else set()
    reachable |= {"airflow"} if {"airflow.api", "airflow.env"} <= reachable else set()
    for name, function in FUNCTIONS.items():
        if "VpcConfig" not in function["Properties"]:
            continue
        allowed = [statement for statement in statements(function) if statement["Effect"] == "Allow"]
        called = {action.partition(":")[0] for statement in allowed for action in actions(statement)}
        called -= {"ec2", "iam"}  # Lambda and MWAA ask for these, in the role's name
        assert called <= reachable, f"{name}: name the endpoint in environment.yaml and docs/environments.md"
