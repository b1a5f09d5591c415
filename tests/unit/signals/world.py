"""The world that the signals speak of: the real functions and the real command line, around them AWS and MWAA.

AWS is moto, MWAA's control plane and the environment's web server are servers on loopback. Messages move when the world
is told to move them; the command line reaches the HTTP API's function over HTTP.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from functions.collect_batch import app as collect_batch
from functions.follow_runs import app as follow_runs
from functions.measure_workers import app as measure_workers
from functions.start_dag_run import app as start_dag_run
from functions.sync_triggers import app as sync_triggers
from jetway_cli.app import cli
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.cold import forget_wired
from tests.unit.http.function import ask
from tests.unit.ledger_table import make_ledger_table, make_table, read_template
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import ROOT
from tests.unit.signals.airflow import Environment, KnownDag
from tests.unit.signals.gateway import Gateway

REGION, DROP = "eu-central-1", "acme-drop"
ACCOUNT = "123456789012"
MINUTE = timedelta(minutes=1)
CONTEXT: Any = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 240_000,
)
QUEUES = {
    "dispatch.fifo": True,
    "dead.fifo": True,
    "waiting": False,
    "collect": False,
    "uncollected": False,
    "sync": False,
}
QUEUES |= {"undelivered": False, "told": False}


class World:
    """One deployed stack and its environment, where `hello` is a DAG that works. moto must be active."""

    def __init__(
        self,
        mwaa: MwaaServer,
        environment: Environment,
        monkeypatch: pytest.MonkeyPatch,
        *,
        drop_bucket: bool = True,
    ) -> None:
        self.mwaa, self.environment, self._monkeypatch = mwaa, environment, monkeypatch
        self.airflow = environment.airflow
        self.airflow.dags["hello"] = KnownDag()
        self.metrics: Counter[str] = Counter()
        self.parameters = {"Webhooks": "disabled"}  # of the stack, those that commands ask for
        self.printed: list[dict[str, Any]] = []  # metrics as functions print them
        self.after_each_call: Callable[[], object] = self.dispatch  # what goes on while the command line runs
        self._sqs: Any = boto3.client("sqs", region_name=REGION)
        self.urls = {
            name: self._sqs.create_queue(
                QueueName=name,
                Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {},
            )["QueueUrl"]
            for name, fifo in QUEUES.items()
        }
        self.s3: Any = boto3.client("s3", region_name=REGION)
        self._gateway = Gateway(self)
        self.set(**self._variables())
        self._make_tables()
        if drop_bucket:
            self._make_drop_bucket()
        self._listen()

    # ------------------------------------------------------------------------------------------ the stack
    def set(self, **variables: str) -> None:
        """Deploy the functions with other parameters."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        self.forget()

    def forget(self) -> None:
        """Let every function start cold: with no memory of what it has seen."""
        forget_wired()

    def close(self) -> None:
        """Close the API's door."""
        self.forget()
        self._gateway.server_close()

    def _variables(self) -> dict[str, str]:
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}"
        return {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_ENDPOINT_URL_MWAA": self.mwaa.url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": self._gateway.url,
            "AWS_LAMBDA_FUNCTION_NAME": "measure_workers",
            "REQUESTS_CA_BUNDLE": str(self.environment.web.certificate),
            "COLUMNS": "250",
            "ENVIRONMENT_NAME": "acme",
            "POWERTOOLS_METRICS_NAMESPACE": "Jetway",
            "TRANSPORT": "cli",
            "BUDGET_TABLE": "ledger",
            "REST_CALLS_PER_SECOND": "10",
            "DISPATCH_QUEUE_URL": self.urls["dispatch.fifo"],
            "DEAD_LETTERS_URL": self.urls["dead.fifo"],
            "WAITING_QUEUE_URL": self.urls["waiting"],
            "COLLECT_QUEUE_URL": self.urls["collect"],
            "SYNC_QUEUE_URL": self.urls["sync"],
            "MAX_EVENT_AGE_HOURS": "24",
            "GRACE_MINUTES": "10",
            "MAX_CHAINED_RUNS": "16",
            "MAX_STARTS_AFTER_ONE_DAG_PER_HOUR": "30",
            "FOLLOW_ALL_RUNS": "enabled",
            "ENVIRONMENT_BUCKET": "acme-environment",
            "LEDGER_TABLE": "ledger",
            "LEDGER_RETENTION_DAYS": "30",
            "BATCH_TABLE": "batches",
            "REPLAY_TABLE": "replays",
            "IDEMPOTENCY_TABLE": "idempotency",
            "WEBHOOK_SECRET_PREFIX": "acme/webhooks/",
            "ARTIFACT_TABLE": TABLE,
            "WEBHOOKS": "disabled",
            "EVENT_BUS_NAME": "default",
            "METRICS_BY_TRIGGER": "false",
            "DROP_BUCKET": DROP,
            "STACK_NAME": "jetway",
            "SCHEDULE_GROUP": "jetway",
            "SCHEDULER_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/scheduler",
            "DISPATCH_QUEUE_ARN": f"{arn}:dispatch.fifo",
            "COLLECT_QUEUE_ARN": f"{arn}:collect",
            "UNDELIVERED_EVENTS_ARN": f"{arn}:undelivered",
            "ALARM_TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
            "MAX_RULES_PER_BUS": "300",
            "POOLS": "default_pool",
            "QUEUES": "dispatch.fifo",
            "WORK_QUEUES": "collect",
            "DEAD_LETTER_QUEUES": "dead.fifo",
            "FUNCTIONS": "start_dag_run",
        }

    def _make_tables(self) -> None:
        self.table = make_ledger_table()
        for name, resource in (("replays", "WebhookReplays"), ("idempotency", "IdempotencyKeys")):
            make_table(resource, name)
        make_table("BatchTable", "batches")
        make_artifact_table(boto3.client("dynamodb", region_name=REGION))

    def _make_drop_bucket(self) -> None:
        self.s3.create_bucket(Bucket=DROP, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket=DROP, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("scheduler", region_name=REGION).create_schedule_group(Name="jetway")

    def _listen(self) -> None:
        events = boto3.client("events", region_name=REGION)
        events.put_rule(Name="told", EventPattern=json.dumps({"source": ["jetway"]}))
        events.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"}])

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        return {
            "HttpApiUrl": self._gateway.url,
            "EnvironmentName": "acme",
            "DropBucketName": DROP,
            "LedgerTableName": "ledger",
            "ScheduleGroupName": "jetway",
            "BatchTableName": "batches",
            "DispatchQueueUrl": self.urls["dispatch.fifo"],
            "DispatchDeadLettersUrl": self.urls["dead.fifo"],
            "CollectQueueUrl": self.urls["collect"],
            "CollectDeadLettersUrl": self.urls["uncollected"],
            "UndeliveredEventsUrl": self.urls["undelivered"],
        }

    # ------------------------------------------------------------------------------------------ what goes on
    def invoke(self, handler: Any, event: Mapping[str, Any]) -> Any:
        """Invoke a function, and count its metrics."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            done = handler(event, CONTEXT)
        for line in printed.getvalue().splitlines():
            if '"_aws"' in line:
                content = json.loads(line)
                self.printed.append(content)
                for directive in content["_aws"]["CloudWatchMetrics"]:
                    for metric in directive["Metrics"]:
                        self.metrics[metric["Name"]] += sum(content[metric["Name"]])
        return done

    def dispatch(self) -> None:
        """Hand what is on the dispatch queue to start_dag_run, as Lambda does."""
        self._deliver("dispatch.fifo", start_dag_run.handler)

    def collect(self) -> None:
        """Hand what is on the collect queue to collect_batch."""
        self._deliver("collect", collect_batch.handler)

    def let_a_minute_pass(self) -> None:
        """Let everything that the ledger says have been said a minute earlier, and be due for a look again."""
        for row in self.table.scan()["Items"]:
            moved = {name: row[name] for name in ("decided_at", "look_at") if name in row}
            if not moved:
                continue
            for name, text in moved.items():
                moved[name] = (datetime.fromisoformat(str(text)) - MINUTE).isoformat(timespec="microseconds")
            self.table.update_item(
                Key={"id": row["id"]},
                UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in moved),
                ExpressionAttributeValues={f":{name}": text for name, text in moved.items()},
            )

    def follow(self) -> None:
        """Let follow_runs look, as every minute."""
        self.let_a_minute_pass()
        self.invoke(follow_runs.handler, {})

    def sync(self) -> None:
        """Let sync_triggers run, as an upload or the daily rule has it."""
        sent = self._sqs.send_message(QueueUrl=self.urls["sync"], MessageBody="{}")
        (message,) = self._sqs.receive_message(QueueUrl=self.urls["sync"], AttributeNames=["ApproximateReceiveCount"])[
            "Messages"
        ]
        record = {"messageId": sent["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": "{}"}
        self.invoke(sync_triggers.handler, {"Records": [record | {"attributes": message["Attributes"]}]})
        self._sqs.delete_message(QueueUrl=self.urls["sync"], ReceiptHandle=message["ReceiptHandle"])

    def measure(self) -> None:
        """Measure once, as every minute: of the queues what SQS tells CloudWatch, and what the function makes of it."""
        cloudwatch: Any = boto3.client("cloudwatch", region_name=REGION)
        for name, url in self.urls.items():
            told = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            visible = int(told["Attributes"]["ApproximateNumberOfMessages"])
            metric = {"MetricName": "ApproximateNumberOfMessagesVisible", "Value": visible}
            dimensions = [{"Name": "QueueName", "Value": name}]
            cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[{**metric, "Dimensions": dimensions}])
        self.printed.clear()
        self.invoke(measure_workers.handler, {})
        dimensions = [{"Name": "Environment", "Value": "acme"}]
        data = [
            {"MetricName": metric["Name"], "Dimensions": dimensions, "Value": content[metric["Name"]][0]}
            for content in self.printed
            for directive in content["_aws"]["CloudWatchMetrics"]
            for metric in directive["Metrics"]
        ]
        cloudwatch.put_metric_data(Namespace="Jetway", MetricData=data)

    def send(self, event: Mapping[str, Any], *, queue: str = "dispatch.fifo", copies: int = 1, **trigger: Any) -> None:
        """Put an event on a queue as a trigger's rule does, once or with copies."""
        body = json.dumps({"trigger": {"name": "orders", "kind": "s3", "dag": "hello", **trigger}, "event": event})
        for number in range(copies):
            fifo = {"MessageGroupId": "bulk", "MessageDeduplicationId": f"{number}"} if queue.endswith("fifo") else {}
            self._sqs.send_message(QueueUrl=self.urls[queue], MessageBody=body, **fifo)

    def told(self) -> list[dict[str, Any]]:
        """Take the events that came out."""
        return [json.loads(message["Body"]) for message in self._take("told")]

    def _deliver(self, queue: str, handler: Any) -> None:
        while messages := self._take(queue, delete=False):
            answer = self.invoke(handler, {"Records": [_record(message) for message in messages]})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            for message in messages:
                if message["MessageId"] not in failed:
                    self._sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"])

    def _take(self, queue: str, *, delete: bool = True) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self._sqs.receive_message(
            QueueUrl=self.urls[queue],
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        for message in messages if delete else []:
            self._sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"])
        return messages

    # ------------------------------------------------------------------------------------------ the places
    def jetway(self, *args: str) -> str:
        """Run the command line; return all that it says, and how it ends."""
        results: list[Any] = []

        def run() -> None:
            results.append(CliRunner().invoke(cli, args, prog_name="jetway"))

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self._gateway.handle_request()  # here, for the function's deadlines need the main thread
        (result,) = results
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return f"{result.output}\nexit {result.exit_code}"

    def ask(self, method: str, path: str, *, body: object = "", **query: str) -> str:
        """Call the HTTP API; return status and body."""
        answer = ask(method, path, query=query, body=body)
        return f"{answer['statusCode']} {answer['body']}"

    def post(self, dag_id: str = "hello", **query: str) -> str:
        """Ask for a run."""
        return self.ask("POST", f"/dags/{dag_id}/dagRuns", body={"dag_run_id": "r_1"}, **query)

    def get(self, dag_id: str = "hello", run_id: str = "r_1") -> str:
        """Ask for the run that `post` has asked for."""
        return self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}")

    def dags(self, dag_id: str) -> str:
        """Ask for the DAGs; return the answer, or that the DAG is not in it."""
        answer = self.ask("GET", "/dags")
        listed = f'"dag_id": "{dag_id}"' in answer
        return answer if listed or not answer.startswith("200") else "not listed"

    def events(self, trigger: str | None = None) -> str:
        """Ask for the ledger's rows."""
        return self.ask("GET", "/events", **({"trigger": trigger} if trigger else {}))

    def page(self, **reads: str) -> str:
        """Return what the status page's script reads of the API's answers, as far as it does.

        Args:
            reads: by the path that it asks for, the members, with the names that its script has for them.
        """
        html = (ROOT / "functions/http_api/pages/status.html").read_text()
        seen = []
        for path, expressions in reads.items():
            answer = json.loads(self.ask("GET", f"/{path}").partition(" ")[2])
            answer = answer.get(path, answer)  # a list, which the script goes through
            for expression in expressions.split(","):
                if expression not in html:
                    seen.append(f"(the page does not read {expression})")
                    continue
                seen.append(_member(answer, expression.split(".")[1:]))
        return ", ".join(seen)

    def fates(self) -> str:
        """Return what the status page says of every file, by the tables that its script has for that."""
        html = (ROOT / "functions/http_api/pages/status.html").read_text()
        script = html.partition("const FATE")[2].partition("function fate")[0]
        words = {(key or name): word for key, name, word in re.findall(r'(?:"([^"]+)"|(\w+)): "([^"]+)"', script)}
        reports = json.loads(self.ask("GET", "/artifacts").partition(" ")[2])["artifacts"]
        said = []
        for report in reports:
            outcome, step = str(report.get("outcome")), report.get("in_force") or {}
            word = words.get(f"{outcome} {step.get('state')}") or words.get(outcome, outcome)
            found = [finding["rule"] for finding in report["findings"]]
            said += [word, f"checked: {report['verdict']}", *filter(None, [step.get("because")]), *found]
        return "; ".join(said)

    def counted(self) -> str:
        """Return the metrics that have counted something, and the alarms that look at them."""
        counted = {name for name, value in self.metrics.items() if value}
        alarms = [
            "alarm " + found["Properties"]["AlarmName"].rpartition("}-")[2]
            for found in read_template()["Resources"].values()
            if found["Type"] == "AWS::CloudWatch::Alarm" and found["Properties"].get("MetricName") in counted
        ]
        return ", ".join([*sorted(counted), *alarms])

    def outcoming(self) -> str:
        """Return the events that came out."""
        return json.dumps(self.told())


def _member(value: Any, path: list[str]) -> str:
    """Return a member of a document as text; of a list its items'."""
    if isinstance(value, list):
        return ", ".join(_member(item, path) for item in value)
    return _member(value.get(path[0]), path[1:]) if path and isinstance(value, dict) else str(value)


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "awsRegion": REGION,
    }


def file_event(key: str = "in/orders.csv", size: int = 5) -> dict[str, Any]:
    """Return what S3 tells of an upload."""
    obj = {"key": key, "size": size, "etag": "e", "version-id": key}
    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"id": "1", "time": time, "detail": {"bucket": {"name": "acme-landing"}, "object": obj}}
