"""A function at its edge: deployed as template.yaml says, invoked as Lambda does, with what it asks of AWS in sight.

Nothing of ours is patched: AWS is moto and MWAA a server on loopback; what goes wrong goes wrong there. How a handler
comes by its clients is known in one place, `cold`.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from botocore import handlers
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from jetway.observability import metrics
from tests.unit.moto_clients import client
from tests.unit.mwaa_server import MwaaServer
from tests.unit.template.source import RESOURCES, TEMPLATE

REGION, ACCOUNT = "us-east-1", "123456789012"
NAMES = {"DropBucket": "acme-drop", "EnvironmentBucket": "acme-airflow"}
PARAMETERS = {"EnvironmentName": "acme", "EnvironmentBucketName": NAMES["EnvironmentBucket"]}
PSEUDO = {"AWS::StackName": "jetway", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
DIMENSIONS = {"Environment", "Trigger", "Kind"}

# Records have receipt handles that no queue has given; what is asked for them is looked at by the tests.
ANSWERS: Mapping[str, Mapping[str, Any]] = {"sqs.ChangeMessageVisibilityBatch": {"Successful": []}}


def alarmed() -> set[str]:
    """Return the metrics of ours that alarms of template.yaml stand on; all have the dimension Environment alone."""
    found = [each["Properties"] for each in RESOURCES.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    ours = [each for each in found if each["Namespace"] == "Jetway"]
    assert {dimension["Name"] for each in ours for dimension in each["Dimensions"]} == {"Environment"}
    return {each["MetricName"] for each in ours}


def cold(app: ModuleType) -> None:
    """Let a function start cold: forget what it, the wiring and Powertools keep while it is warm."""
    for module in (app, *(module for name, module in sys.modules.items() if name.startswith("jetway.wiring"))):
        for kept in list(vars(module).values()):
            clear = getattr(kept, "cache_clear", None)
            if callable(clear):
                clear()
    for kept in (Metrics._metrics, Metrics._dimensions, Metrics._metadata, Metrics._default_dimensions):
        kept.clear()


@dataclass
class Context:
    """What Lambda tells of an invocation, with a clock that a test moves."""

    seconds_left: float = 300.0
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1000)

    def passes(self, seconds: float) -> None:
        """Let time go by."""
        self.seconds_left -= seconds


@dataclass
class Aws:
    """What functions ask of AWS while they are invoked; calls have botocore's names, as "eventbridge.PutEvents".

    Attributes:
        made: services that clients were made for.
        calls: name and parameters of every call.
        mwaa: the control plane.
    """

    mwaa: MwaaServer
    made: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    noting: bool = False
    _reactions: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def fails(
        self,
        call: str,
        code: str = "ThrottlingException",
        *,
        times: int = 1_000_000,
        message: str = "as the test has it",
    ) -> None:
        """Let a call be refused, so many times."""
        refusal = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
        left = iter(range(times))
        self._reactions[call] = lambda: (
            None if next(left, None) is None else (SimpleNamespace(status_code=400), refusal)
        )

    def answers(self, call: str, answer: Mapping[str, Any]) -> None:
        """Let a call be answered with this."""
        self._reactions[call] = lambda: (SimpleNamespace(status_code=200), dict(answer))

    def unreachable(self, call: str) -> None:
        """Let a call not reach AWS."""

        def react() -> None:
            raise EndpointConnectionError(endpoint_url=call)

        self._reactions[call] = react

    def on(self, call: str, do: Callable[[], object]) -> None:
        """Do something whenever a call is made; the call goes on."""

        def react() -> None:
            do()

        self._reactions[call] = react

    def works(self) -> None:
        """Let everything work again, and forget the calls."""
        self._reactions.clear()
        self.calls.clear()

    def asked(self, call: str) -> list[Any]:
        """Return the parameters of every such call."""
        return [params for name, params in self.calls if name == call]

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """Have botocore's sessions that are made from now on tell of their clients and calls, as moto does it."""

        def make(event_name: str, **_: Any) -> None:
            if self.noting:
                self.made.append(event_name.partition(".")[2])

        def call(params: Any, event_name: str, **_: Any) -> None:
            if self.noting:
                self.calls.append((event_name.partition(".")[2], params))

        def answer(event_name: str, **_: Any) -> Any:
            name = event_name.partition(".")[2]
            if not self.noting:
                return None
            if name in self._reactions:
                return self._reactions[name]()
            return (SimpleNamespace(status_code=200), dict(ANSWERS[name])) if name in ANSWERS else None

        ours: list[Any] = [("creating-client-class", make), ("provide-client-params", call), ("before-call", answer)]
        handlers.BUILTIN_HANDLERS.extend(ours)
        try:
            yield
        finally:
            for each in ours:
                handlers.BUILTIN_HANDLERS.remove(each)


class Function:
    """One function as deployed; calling it invokes it. Within one environment of a fixture `edge`."""

    def __init__(self, edge: Edge, app: ModuleType) -> None:
        self._edge, self._app = edge, app
        self._printed: list[dict[str, Any]] = []

    def __call__(self, event: Mapping[str, Any], context: Context | None = None) -> Any:
        aws, out = self._edge.aws, io.StringIO()
        aws.noting = True
        try:
            with contextlib.redirect_stdout(out), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "No application metrics")  # there may be nothing to count
                return self._app.handler(dict(event), context or Context())
        finally:
            aws.noting = False
            self._printed = [json.loads(line) for line in out.getvalue().splitlines() if '"_aws"' in line]

    def failed(self, event: Mapping[str, Any], context: Context | None = None) -> list[str]:
        """Invoke it with records; return the ids of those that come back."""
        answer = self(event, context)
        assert answer.keys() == {"batchItemFailures"}
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def metrics(self, **dimensions: str) -> dict[str, float]:
        """Return the sums of what the last invocation has printed with Environment and these dimensions, no others."""
        found: dict[str, float] = {}
        for printed in self._printed:
            for directive in printed["_aws"]["CloudWatchMetrics"]:
                assert directive["Namespace"] == "Jetway"
                for names in directive["Dimensions"]:
                    assert set(names) <= DIMENSIONS, "an alarm finds a metric by all of its dimensions"
                    if {name: printed[name] for name in names} != {"Environment": "acme", **dimensions}:
                        continue
                    for name in (metric["Name"] for metric in directive["Metrics"]):
                        found[name] = found.get(name, 0.0) + sum(printed[name])
        return found

    def cold(self) -> None:
        """Let its next invocation be a cold start."""
        cold(self._app)

    def clients_made(self) -> list[str]:
        """Return the clients made since this was asked last."""
        made = list(self._edge.aws.made)
        self._edge.aws.made.clear()
        return made


class Edge:
    """Deploys functions; moto must be active. What their variables refer to is made when it is first referred to."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws, self._monkeypatch = aws, monkeypatch
        self._made: dict[str, str] = {}
        for name, value in {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_MWAA": aws.mwaa.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(metrics.provider, "namespace", "Jetway")  # read at import, before this
        monkeypatch.setattr("jetway.dispatch.lanes.PAUSES", (0.05, 0.15))

    def deploy(self, app: ModuleType, resource: str, **parameters: str) -> Function:
        """Set a function's environment variables as template.yaml does, and let it start cold.

        Args:
            resource: its name in template.yaml.
            parameters: of the stack, those that are not the defaults.
        """
        shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        own = RESOURCES[resource]["Properties"]["Environment"]["Variables"]
        for name, value in {**shared, **own}.items():
            self._monkeypatch.setenv(name, self._resolve(value, PARAMETERS | parameters) or "")
        self._monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", resource)
        cold(app)
        return Function(self, app)

    def there(self, **resources: str) -> None:
        """Say what resources are there already: their names, by their names in template.yaml."""
        self._made.update(resources)

    def url(self, queue: str) -> str:
        """Return a queue's URL."""
        return self.ref(queue)

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take the messages that are visible on a queue."""
        sqs: Any = client("sqs", REGION)
        found = sqs.receive_message(QueueUrl=self.url(queue), MaxNumberOfMessages=10, AttributeNames=["All"])
        taken: list[dict[str, Any]] = found.get("Messages", [])
        for message in taken:
            sqs.delete_message(QueueUrl=self.url(queue), ReceiptHandle=message["ReceiptHandle"])
        return taken

    def told(self) -> list[str]:
        """Return the types of the events that functions sent, by the calls noted."""
        return [entry["DetailType"] for put in self.aws.asked("eventbridge.PutEvents") for entry in put["Entries"]]

    def ref(self, resource: str) -> str:
        """Return what Ref gives of a resource, which is made unless it is there."""
        if resource not in self._made:
            found = RESOURCES[resource]
            makers: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
                "AWS::SQS::Queue": self._make_queue,
                "AWS::DynamoDB::Table": self._make_table,
                "AWS::S3::Bucket": self._make_bucket,
                "AWS::SNS::Topic": self._make_topic,
                "AWS::Scheduler::ScheduleGroup": self._make_group,
            }
            make = makers.get(found["Type"])
            self._made[resource] = make(resource, found.get("Properties", {})) if make else resource
        return self._made[resource]

    def _make_queue(self, name: str, properties: Mapping[str, Any]) -> str:
        fifo: Any = {"FifoQueue": "true"} if properties.get("FifoQueue") else {}
        made = client("sqs", REGION).create_queue(QueueName=f"{name}.fifo" if fifo else name, Attributes=fifo)
        return str(made["QueueUrl"])

    def _make_table(self, name: str, properties: Mapping[str, Any]) -> str:
        kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        dynamodb: Any = client("dynamodb", REGION)
        dynamodb.create_table(TableName=name, **{each: properties[each] for each in kept if each in properties})
        return name

    def _make_bucket(self, name: str, _properties: Mapping[str, Any]) -> str:
        return self.bucket(NAMES[name])

    def bucket(self, name: str) -> str:
        """Make a bucket with versions."""
        s3 = client("s3", REGION)
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def _make_topic(self, name: str, _properties: Mapping[str, Any]) -> str:
        return str(client("sns", REGION).create_topic(Name=name)["TopicArn"])

    def _make_group(self, name: str, _properties: Mapping[str, Any]) -> str:
        client("scheduler", REGION).create_schedule_group(Name=name)
        return name

    def _resolve(self, value: Any, parameters: Mapping[str, str]) -> str | None:
        if not isinstance(value, dict):
            return str(value)
        given: Any
        ((function, given),) = value.items()
        if function == "Ref":
            return self._reference(given, parameters)
        if function == "GetAtt":
            resource, _, attribute = given.partition(".")
            name = self.ref(resource).rpartition("/")[2]
            return f"arn:aws:x:{REGION}:{ACCOUNT}:{name}" if attribute == "Arn" else name
        if function == "Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(self._reference(found[1], parameters)), given)
        if function == "Join":
            separator: str = given[0]
            parts = (self._resolve(part, parameters) for part in given[1])
            return separator.join(part for part in parts if part is not None)
        assert function == "If", function  # no condition holds: no Airflow is there to load files, no index
        return self._resolve(given[2], parameters)

    def _reference(self, name: str, parameters: Mapping[str, str]) -> str | None:
        if name == "AWS::NoValue":
            return None
        if name in TEMPLATE["Parameters"]:
            return str(parameters.get(name, TEMPLATE["Parameters"][name].get("Default")))
        return PSEUDO.get(name) or self.ref(name)


@contextlib.contextmanager
def edges(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """AWS and MWAA of one test."""
    with MwaaServer() as mwaa:
        aws = Aws(mwaa)
        with aws.hooked(), mock_aws():
            yield Edge(aws, monkeypatch)
