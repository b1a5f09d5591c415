"""The alarms of template.yaml, one by one: what each looks at, when it rises with the defaults, and whom it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from jetway.workers.assessment import VERDICT_CODES
from tests.unit.sample_events import ROOT
from tests.unit.template.source import RESOURCES, TEMPLATE, of_type

PARAMETERS = TEMPLATE["Parameters"]
ALARMS = {
    found["AlarmName"]["Sub"].removeprefix("${AWS::StackName}-"): found
    for found in of_type("AWS::CloudWatch::Alarm").values()
}
OURS, MWAA, AIRFLOW = "Jetway", "AWS/MWAA", "AmazonMWAA"
SIGNS = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<"}


@dataclass(frozen=True)
class Expected:
    """An alarm with the defaults of the parameters.

    Attributes:
        rises: statistic, sign and threshold.
        seconds: so long it must last.
        missing: treatment of missing data.
        parameter: which one changes it.
        more: dimension beside Environment.
        queue: whose metric of SQS it is; those have no dimension Environment.
        remedy: words of the description that tell what to do.
    """

    metric: tuple[str, str]
    rises: str
    seconds: int
    missing: str
    remedy: str
    parameter: str | None = None
    more: tuple[str, str] | None = None
    queue: str | None = None


def load(cluster: str, metric: str) -> Expected:
    rises = "Average > 95"
    more = ("Cluster", cluster)
    return Expected((MWAA, metric), rises, 1800, "notBreaching", "celery.worker_autoscale", "WorkerLoadPercent", more)


STALLED = f"Minimum >= {VERDICT_CODES['stalled']}"
TABLE = {
    "worker-shortfall": Expected(
        (OURS, "WorkerShortfall"), "Minimum >= 1", 900, "missing", "raise MaxWorkers", "WorkerShortfallMinutes"
    ),
    "oldest-task": Expected(
        (MWAA, "ApproximateAgeOfOldestTask"),
        "Maximum > 1800",
        300,
        "notBreaching",
        "Raise MaxWorkers",
        "OldestTaskSeconds",
    ),
    "base-worker-cpu": load("BaseWorker", "CPUUtilization"),
    "base-worker-memory": load("BaseWorker", "MemoryUtilization"),
    "additional-worker-cpu": load("AdditionalWorker", "CPUUtilization"),
    "additional-worker-memory": load("AdditionalWorker", "MemoryUtilization"),
    # A scheduler that is dead says nothing.
    "scheduler-heartbeat": Expected(
        (AIRFLOW, "SchedulerHeartbeat"),
        "Sum < 1",
        600,
        "breaching",
        "scheduler log",
        "SchedulerHeartbeatMinutes",
        ("Function", "Scheduler"),
    ),
    "stalled": Expected((OURS, "Verdict"), STALLED, 300, "missing", "worker logs", "StalledMinutes"),
    "over-provisioned": Expected(
        (OURS, "IdleWorkers"), "Minimum >= 1", 3 * 3600, "notBreaching", "Lower MinWorkers", "OverProvisionedHours"
    ),
    "import-errors": Expected(
        (AIRFLOW, "ImportErrors"),
        "Maximum > 0",
        600,
        "notBreaching",
        "list-import-errors",
        more=("Function", "DAG Processing"),
    ),
    "dead-letters": Expected((OURS, "DeadLetters"), "Maximum > 0", 60, "notBreaching", "redrive"),
    "dispatch-queue-age": Expected(
        (OURS, "DispatchQueueAge"), "Maximum > 900", 180, "notBreaching", "start_dag_run", "DispatchQueueAgeSeconds"
    ),
    # SQS finds the groups of a FIFO queue among the first 120,000 messages.
    "dispatch-queue-depth": Expected(
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        "Maximum > 100000",
        300,
        "notBreaching",
        "batch",
        queue="DispatchQueue",
    ),
    "runs-behind-stale-dag": Expected(
        (OURS, "RunsBehindStaleDag"), "Sum > 0", 300, "notBreaching", "put its file back"
    ),
    "chains-stopped": Expected((OURS, "ChainsStopped"), "Sum > 0", 300, "notBreaching", "correct the event pattern"),
    "work-queue-age": Expected((OURS, "WorkQueueAge"), "Maximum > 3600", 180, "notBreaching", "collect_batch"),
    "function-errors": Expected((OURS, "FunctionErrors"), "Maximum > 0", 60, "notBreaching", "log groups"),
    "permission-missing": Expected(
        (OURS, "PermissionMissing"), "Sum > 0", 1800, "notBreaching", "names action and resource"
    ),
    "function-throttles": Expected((OURS, "FunctionThrottles"), "Maximum > 0", 180, "notBreaching", "quota"),
    "update-failed": Expected((OURS, "UpdateFailed"), "Maximum >= 1", 60, "missing", "get-environment"),
    "floors-invalid": Expected((OURS, "FloorsInvalid"), "Maximum >= 1", 300, "missing", "floors.yaml"),
    "no-measurement": Expected((OURS, "UpdateFailed"), "SampleCount < 1", 600, "breaching", "measure_workers"),
}


def with_defaults(value: Any) -> Any:
    """A property as it is when no parameter is given."""
    return PARAMETERS[value["Ref"]]["Default"] if isinstance(value, dict) else value


@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_alarm_rises_when_it_should(name: str) -> None:
    alarm, expected = ALARMS[name], TABLE[name]
    assert (alarm["Namespace"], alarm["MetricName"]) == expected.metric
    sign, threshold = SIGNS[alarm["ComparisonOperator"]], with_defaults(alarm["Threshold"])
    assert f"{alarm['Statistic']} {sign} {threshold}" == expected.rises
    assert with_defaults(alarm["EvaluationPeriods"]) * alarm["Period"] == expected.seconds
    assert alarm["TreatMissingData"] == expected.missing
    assert expected.remedy in alarm["AlarmDescription"]
    more = [{"Name": expected.more[0], "Value": expected.more[1]}] if expected.more else []
    queue = [{"Name": "QueueName", "Value": {"GetAtt": f"{expected.queue}.QueueName"}}]
    environment = [*more, {"Name": "Environment", "Value": {"Ref": "EnvironmentName"}}]
    assert alarm["Dimensions"] == (queue if expected.queue else environment)
    refs = {value["Ref"] for value in (alarm["Threshold"], alarm["EvaluationPeriods"]) if isinstance(value, dict)}
    assert refs == ({expected.parameter} if expected.parameter else set())


def test_each_alarm_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
    for name in TABLE:
        assert f"`{name}`" in manual, name


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_cloudwatch_takes_every_value_that_the_parameters_allow(name: str) -> None:
    """Period times EvaluationPeriods is at most a day, or a week for periods of an hour and more.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    alarm = ALARMS[name]
    periods = alarm["EvaluationPeriods"]
    most = PARAMETERS[periods["Ref"]]["MaxValue"] if isinstance(periods, dict) else periods
    assert most * alarm["Period"] <= (7 * 86400 if alarm["Period"] >= 3600 else 86400)
    assert len(alarm["AlarmDescription"]) <= 1024


@pytest.mark.parametrize(
    ("resource", "protocol", "parameter"),
    [("AlarmEmailSubscription", "email", "AlarmEmail"), ("AlarmHttpsSubscription", "https", "AlarmHttpsUrl")],
)
def test_subscriptions_are_there_when_their_parameter_is(resource: str, protocol: str, parameter: str) -> None:
    found = RESOURCES[resource]
    assert found["Properties"] == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": protocol,
        "Endpoint": {"Ref": parameter},
    }
    assert TEMPLATE["Conditions"][found["Condition"]] == {"Not": [{"Equals": [{"Ref": parameter}, ""]}]}
    assert PARAMETERS[parameter]["Default"] == ""


def test_the_chat_hears_of_the_alarms_and_can_do_nothing() -> None:
    channel, role = RESOURCES["SlackChannel"], RESOURCES["SlackRole"]["Properties"]
    assert channel["Properties"]["SnsTopicArns"] == [{"Ref": "AlarmTopic"}]
    assert channel["Condition"] == RESOURCES["SlackRole"]["Condition"] == "UseSlack"
    (policy,) = role["Policies"]
    actions = [action for one in policy["PolicyDocument"]["Statement"] for action in one["Action"]]
    assert actions
    assert all(re.fullmatch(r"cloudwatch:(Describe|Get)\w+", action) for action in actions)


def test_only_cloudwatch_may_publish_and_only_for_our_alarms() -> None:
    (statement,) = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_the_page_of_costs_counts_every_alarm() -> None:
    page = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
    assert f"| alarms | {len(ALARMS)} |" in page
