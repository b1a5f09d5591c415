"""Saturation end to end: a real Airflow with more tasks than workers, measured, alarmed, told, and acted on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.conftest import drop
from tests.integration.test_cli import jetway
from tools.stack.calls import airflow_api, call_api, let_send, read_report, wait_for
from tools.stack.stack import ENVIRONMENT_NAME, Stack

DAG_ID = "saturating"
TASKS = 24
# Airflow 2 has no airflow.sdk. The tasks outlast the test; it ends them.
DAG_FILE = f"""
import time

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG

with DAG("{DAG_ID}", schedule=None, max_active_tasks=100):

    @task
    def nap(number):
        time.sleep(600)

    nap.expand(number=list(range({TASKS})))
"""
LONGEST = 150.0  # an alarm looks at whole minutes

Wanted = Callable[[dict[str, Any]], bool]


def physical_name(stack: Stack, logical: str) -> str:
    resources = stack.client("cloudformation").describe_stack_resources(StackName="jetway")["StackResources"]
    (name,) = [found["PhysicalResourceId"] for found in resources if found["LogicalResourceId"] == logical]
    return str(name)


def invoke(stack: Stack, logical: str) -> dict[str, Any]:
    """Invoke a function as its schedule does, and return its answer."""
    answer = stack.client("lambda", read_timeout=90).invoke(FunctionName=physical_name(stack, logical), Payload=b"{}")
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    return found


def environment(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.client("mwaa").get_environment(Name=ENVIRONMENT_NAME)["Environment"]
    return found


def set_bounds(stack: Stack, low: int, high: int) -> None:
    wait_for("AVAILABLE", lambda: environment(stack)["Status"] == "AVAILABLE" or None, seconds=60)
    stack.client("mwaa").update_environment(Name=ENVIRONMENT_NAME, MinWorkers=low, MaxWorkers=high)

    def done() -> bool | None:
        found = environment(stack)
        return (found["Status"], found["MinWorkers"], found["MaxWorkers"]) == ("AVAILABLE", low, high) or None

    wait_for("new bounds", done, seconds=60)


def set_mode(stack: Stack, mode: str) -> None:
    """Deploy another ScalingMode, the quick way."""
    functions, name = stack.client("lambda"), physical_name(stack, "ScaleWorkers")
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    variables["SCALING_MODE"] = mode
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.fixture
def told(stack: Stack) -> Iterator[Callable[..., dict[str, Any]]]:
    """What came to a queue that subscribes to the alarms, and to Jetway's events."""
    sqs, name = stack.client("sqs"), f"told-{uuid.uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = let_send(sqs, url, "events", "sns")
    sns, events = stack.client("sns"), stack.client("events")
    subscription = sns.subscribe(TopicArn=stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
    pattern = {"source": ["jetway"], "detail-type": [{"prefix": "Worker"}]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    messages: list[dict[str, Any]] = []

    def wait(wanted: Wanted, meanwhile: Callable[[], object] = bool) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            meanwhile()
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                body = json.loads(message["Body"])
                messages.append(json.loads(body["Message"]) if "Message" in body else body)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return next((message for message in messages if wanted(message)), None)

        return wait_for("a message", look, seconds=LONGEST, pause=1)

    yield wait
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


def alarm_says(state: str, before: str | None = None) -> Wanted:
    wanted = {"AlarmName": "jetway-worker-shortfall", "NewStateValue": state}
    return lambda message: wanted.items() <= message.items() and before in {None, message.get("OldStateValue")}


@pytest.fixture
def saturated(stack: Stack) -> Iterator[str]:
    """An environment of one worker with more tasks than it takes; given is the id of the run."""
    set_bounds(stack, 1, 1)
    drop(stack, f"dags/{DAG_ID}.py", DAG_FILE.encode())
    wait_for("the DAG", lambda: airflow_api(stack, "GET", f"/dags/{DAG_ID}"), seconds=90)
    once = {"Idempotency-Key": uuid.uuid4().hex}

    def start() -> str | None:
        """A function's cold start on a busy machine takes longer than a call may: then it is called again."""
        answer = call_api(stack, "POST", f"/dags/{DAG_ID}/dagRuns", body={}, headers=once)
        return answer.json()["dag_run_id"] if answer.status_code == 202 else None

    run_id = wait_for("the run", start, seconds=90)
    yield run_id
    set_mode(stack, "advise")
    end(stack, run_id)
    set_bounds(stack, 1, 10)


def end(stack: Stack, run_id: str) -> None:
    airflow_api(stack, "PATCH", f"/dags/{DAG_ID}/dagRuns/{run_id}", Body={"state": "failed"})


@pytest.mark.slow  # two boundaries of whole minutes
def test_saturation_is_measured_alarmed_and_acted_on(
    stack: Stack, told: Callable[..., dict[str, Any]], saturated: str
) -> None:
    def bounded() -> dict[str, Any] | None:
        measured = invoke(stack, "MeasureWorkers")
        return measured if measured["verdict"] == "bounded-by-max-workers" else None

    measured = wait_for("the verdict", bounded, seconds=LONGEST, pause=2)
    assert measured["required"] == 5  # 24 tasks, five on a worker
    assert (measured["running"], measured["shortfall"], measured["headroom"]) == (1, 4, -4)
    assert measured["more_workers_help"] is True
    assert measured["queue_wait"] > 0

    # The schedule measures every minute; more often makes the test shorter.
    alarm = told(alarm_says("ALARM"), meanwhile=lambda: invoke(stack, "MeasureWorkers"))
    assert "raise MaxWorkers" in alarm["AlarmDescription"]

    seen = json.loads(jetway(stack, "workers", "--json"))
    values = {row["metric"]: row["value"] for row in seen["rows"]}
    assert (seen["environment"], seen["verdict"], seen["bounds"]) == (ENVIRONMENT_NAME, measured["verdict"], [1, 1])
    assert (values["RequiredWorkers"], values["RunningWorkers"], values["WorkerShortfall"]) == (5, 1, 4)
    assert (values["QueuedTasks"], values["RunningTasks"]) == (TASKS - values["RunningTasks"], values["RunningTasks"])

    advice = invoke(stack, "ScaleWorkers")
    assert (advice["decision"]["action"], advice["applied"]) == ("raise", False)
    assert advice["decision"]["max_workers"] == 7  # five, and the margin
    event = told(lambda message: message.get("detail-type") == "WorkerScalingAdvised")
    assert "workers were needed" in event["detail"]["decision"]["because"]
    assert environment(stack)["MaxWorkers"] == 1

    set_mode(stack, "act")
    acted = invoke(stack, "ScaleWorkers")
    assert acted["applied"] is True, acted
    assert told(lambda message: message.get("detail-type") == "WorkersScaled")["detail"]["applied"] is True
    assert environment(stack)["Status"] == "UPDATING"
    assert invoke(stack, "ScaleWorkers")["decision"]["action"] in {"none", "wait"}
    wait_for("seven workers at most", lambda: environment(stack)["MaxWorkers"] == 7 or None, seconds=60)
    assert environment(stack)["LastUpdate"]["WorkerReplacementStrategy"] == "GRACEFUL"

    end(stack, saturated)
    told(alarm_says("OK", before="ALARM"), meanwhile=lambda: invoke(stack, "MeasureWorkers"))


def test_who_drops_floors_learns_at_once_whether_they_are_good(stack: Stack) -> None:
    for body, verdict in (
        (b'floors:\n- {from: "05:00", to: "06:00", min: 1}', "accepted"),
        (b"floors:\n- {from: 5, to: 6, min: 1}", "rejected"),
    ):
        version = drop(stack, "floors.yaml", body)

        def look(version: str = version) -> dict[str, Any] | None:
            report = read_report(stack, "floors.yaml")
            return report if report and report["source"]["version"] == version else None

        report = wait_for("the report", look, seconds=60)
        assert report["verdict"] == verdict
    (finding,) = report["findings"]
    assert (finding["line"], finding["message"]) == (2, "from is 5.")
    assert "floors.yaml:2" in invoke(stack, "ScaleWorkers")["floors_error"]
    stack.client("s3").delete_object(Bucket=stack.outputs["DropBucketName"], Key="floors.yaml")
    assert invoke(stack, "ScaleWorkers")["floors_error"] is None


def test_what_is_measured_reaches_cloudwatch_with_the_environment_as_its_only_dimension(stack: Stack) -> None:
    cloudwatch = stack.client("cloudwatch")

    def look() -> set[str] | None:
        found = cloudwatch.list_metrics(Namespace="Jetway")["Metrics"]
        only = [{"Name": "Environment", "Value": ENVIRONMENT_NAME}]
        names = {metric["MetricName"] for metric in found if metric["Dimensions"] == only}
        return names if {"RequiredWorkers", "RunningWorkers", "Verdict"} <= names else None

    invoke(stack, "MeasureWorkers")
    wait_for("the metrics", look, seconds=LONGEST, pause=1)


def test_every_alarm_is_there_and_the_dashboard_names_the_environment(stack: Stack) -> None:
    alarms = stack.client("cloudwatch").describe_alarms(AlarmNamePrefix="jetway-")["MetricAlarms"]
    assert len(alarms) >= 16
    for alarm in alarms:
        names = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        assert alarm["Namespace"] == "AWS/SQS" or names["Environment"] == ENVIRONMENT_NAME
    body = stack.client("cloudwatch").get_dashboard(DashboardName=f"jetway-{ENVIRONMENT_NAME}")["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    assert ["Jetway", "RunningWorkers", "Environment", ENVIRONMENT_NAME, {"color": "#1f77b4"}] in widgets[1][
        "properties"
    ]["metrics"]
