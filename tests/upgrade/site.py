"""A local stack between two versions: what is left in it before an update, and what has become of it after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from tools.progress import Progress
from tools.release import upgrade
from tools.stack import stack as local_stack
from tools.stack.calls import airflow_api, call_api, list_runs, put_live, wait_for
from tools.stack.deploy import STACK_NAME
from tools.stack.stack import Stack
from tools.venvs import ROOT

LANDING = "jetway-upgrade-landing"
HELLO = ROOT / "dags" / "hello_jetway.py"
BATCH = ROOT / "dags" / "batch_manifest.py"
LONGEST = 600.0  # seconds; what waits aside is tried each two minutes, and the machine may be busy

# Messages that functions take, and those that nobody takes but `jetway redrive` and people.
WORK = ("ArtifactQueue", "DispatchQueue", "WaitingQueue", "CollectQueue", "TriggerSyncQueue")
LETTERS = (
    "DispatchDeadLetters",
    "UndeliveredEvents",
    "ArtifactDeadLetters",
    "CollectDeadLetters",
    "TriggerSyncDeadLetters",
)

TRIGGERS = {
    "landed": f"dag: hello_jetway\non: {{s3: {{bucket: {LANDING}, key: {{prefix: in/}}}}}}\n"
    "conf: {way: landed, what: '{{ key }}'}\n",
    "told": "dag: hello_jetway\non: {event: {source: [acme.upgrade], detail-type: [Told]}}\n"
    "conf: {way: told, what: '{{ detail.what }}'}\n",
    "gathered": f"dag: batch_manifest\non: {{s3: {{bucket: {LANDING}, key: {{prefix: bulk/}}}}}}\n"
    "batch: {max_events: 3, within: 12h}\n",
    "strict": "dag: resting\non: {event: {source: [acme.upgrade], detail-type: [Strict]}}\n"
    "conf: {way: strict, what: '{{ detail.what }}'}\nwhen_paused: dead-letter\n",
    "ticking": "dag: clock\non: {schedule: {cron: '* * * * ? *', timezone: UTC}}\n"
    "conf: {way: ticking, what: '{{ scheduled_time }}'}\n",
}

PARAMETERS = {"Transport": "rest", "ApplyUpdates": "manual", "GraceMinutes": "60", "VerifyAfterSeconds": "5"}


def dag_file(dag_id: str) -> bytes:
    """hello_jetway under another name."""
    return HELLO.read_bytes().replace(b"hello_jetway", dag_id.encode())


@dataclass
class Site:
    """A stack of one version, to be updated to another.

    Attributes:
        tree: the checkout that is deployed now.
        work: folder for DAG files that are made here.
    """

    tree: Path
    work: Path
    stack: Stack = field(init=False)

    def __post_init__(self) -> None:
        self.stack = self._deploy()

    def _deploy(self) -> Stack:
        return local_stack.up(Progress(Console(stderr=True)), parameters=lambda: PARAMETERS, tree=self.tree)

    # ------------------------------------------------------------------------------------------ what AWS holds
    def client(self, service: str) -> Any:
        return self.stack.client(service)

    def id_of(self, logical: str) -> str:
        found = self.client("cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def counts(self, *queues: str, delayed: bool = True) -> dict[str, int]:
        """Messages in each queue, those in flight and those that are delayed too."""
        sqs = self.client("sqs")
        found = {}
        for queue in queues:
            names = ["", "NotVisible", *(["Delayed"] if delayed else [])]
            attributes = [f"ApproximateNumberOfMessages{name}" for name in names]
            answer = sqs.get_queue_attributes(QueueUrl=self.id_of(queue), AttributeNames=attributes)["Attributes"]
            found[queue] = sum(int(answer[name]) for name in attributes)
        return found

    def rows(self) -> dict[str, set[str]]:
        """Keys of the items of each table, by the table's logical id."""
        client, found = self.client("dynamodb"), {}
        for logical, name in upgrade.kept(self.client("cloudformation"), STACK_NAME).items():
            if not logical.endswith(("Table", "Keys", "Replays")):
                continue
            keys = [key["AttributeName"] for key in client.describe_table(TableName=name)["Table"]["KeySchema"]]
            pages = client.get_paginator("scan").paginate(TableName=name)
            items = [item for page in pages for item in page["Items"]]
            found[logical] = {json.dumps([item[key] for key in keys], sort_keys=True) for item in items}
        return found

    def open_batch(self) -> int:
        """How many events the open batch has; 0 when there is none."""
        name = self.id_of("BatchTable")
        values = {":open": {"S": "open"}}
        found = self.client("dynamodb").query(
            TableName=name, KeyConditionExpression="pk = :open", ExpressionAttributeValues=values
        )
        return sum(int(item["members"]["N"]) for item in found["Items"])

    def peek(self, queue: str) -> list[Any]:
        """Return messages of a queue without taking them, but for the collector's calls back to itself."""
        sqs, url = self.client("sqs"), self.id_of(queue)
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [message for message in answer.get("Messages", []) if "look_at" not in message["Body"]]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No function takes a message meanwhile."""
        functions = self.client("lambda")
        mappings = functions.list_event_source_mappings()["EventSourceMappings"]
        for mapping in mappings:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
                functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    # ------------------------------------------------------------------------------------------ what a user does
    def drop(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket=self.stack.outputs["DropBucketName"], Key=key, Body=body)

    def land(self, key: str) -> None:
        self.client("s3").put_object(Bucket=LANDING, Key=key, Body=b"12345")

    def tell(self, kind: str, what: str, source: str = "acme.upgrade") -> None:
        entry = {"Source": source, "DetailType": kind, "Detail": json.dumps({"what": what})}
        assert not self.client("events").put_events(Entries=[entry])["FailedEntryCount"]

    def call(self, dag_id: str, *, key: str, **body: Any) -> str:
        """Ask the HTTP API for a run; return its id."""
        headers = {"Idempotency-Key": key}
        answer = call_api(self.stack, "POST", f"/dags/{dag_id}/dagRuns", body=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["dag_run_id"])

    def put_dag(self, dag_id: str) -> None:
        file = self.work / f"{dag_id}.py"
        file.write_bytes(dag_file(dag_id))
        put_live(self.stack, file, dag_id)

    def is_listed(self, dag_id: str) -> bool:
        return airflow_api(self.stack, "GET", f"/dags/{dag_id}") is not None

    def pause_dag(self, dag_id: str, *, paused: bool) -> None:
        assert airflow_api(self.stack, "PATCH", f"/dags/{dag_id}", Body={"is_paused": paused}) is not None

    def jetway(self, *arguments: str) -> str:
        """Run the command line of the version that is deployed."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        path = os.pathsep.join(str(self.tree / part) for part in ("layers/jetway", "cli"))
        code = "import sys; from jetway_cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**own, **self.stack.env, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set_up(self) -> None:
        """DAGs live, triggers in force, a bucket whose events they see."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=LANDING, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_notification_configuration(
            Bucket=LANDING, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        for file in (HELLO, BATCH):
            put_live(self.stack, file, file.stem)
        self.put_dag("clock")
        self.put_dag("resting")
        for name, text in TRIGGERS.items():
            self.put_trigger(name, text)

    def put_trigger(self, name: str, text: str) -> None:
        self.drop(f"triggers/{name}.yaml", text.encode())
        wait_for(f"trigger {name} in force", lambda: self.has_trigger(name) or None, seconds=LONGEST)

    def has_trigger(self, name: str) -> bool:
        """Whether AWS has the trigger's rule or schedule."""
        rules = self.client("events").list_rules(NamePrefix=f"{STACK_NAME}.{name}")["Rules"]
        schedules = self.client("scheduler").list_schedules(NamePrefix=f"{STACK_NAME}.{name}")["Schedules"]
        return bool(rules or schedules)

    # ------------------------------------------------------------------------------------------ what came of it
    def starts(self, dag_id: str) -> Counter[tuple[str, str]]:
        """How many runs each event has in Airflow, by the way it came and what it said."""
        confs = [run["conf"] for run in list_runs(self.stack, dag_id).values()]
        return Counter((str(conf.get("way")), str(conf.get("what") or conf.get("key"))) for conf in confs)

    def batches(self) -> list[list[str]]:
        """Keys of the events of each run of a batch."""
        confs = [run["conf"] for run in list_runs(self.stack, "batch_manifest").values()]
        return [sorted(event["key"] for event in conf["events"]) for conf in confs]

    def wait_for_runs(self, dag_id: str, wanted: set[tuple[str, str]]) -> None:
        wait_for(
            f"{wanted} of {dag_id}", lambda: wanted <= self.starts(dag_id).keys() or None, seconds=LONGEST, pause=1
        )

    def wait_until_empty(self, *queues: str) -> None:
        """What is delayed does not count: the collector's calls back, and in the waiting queue nothing is left."""
        wait_for(
            f"{queues} empty",
            lambda: not any(self.counts(*queues, delayed=False).values()) or None,
            seconds=LONGEST,
            pause=1,
        )

    def cross(self, tree: Path) -> list[dict[str, Any]]:
        """Deploy another version over this one; return what the change set did to what holds data."""
        self.tree = tree
        self.stack = self._deploy()
        found = upgrade.changes(self.client("cloudformation"), STACK_NAME)
        assert found, "the change set says nothing"
        return [change for change in found if change["ResourceType"] in upgrade.KEEPERS]


def until(look: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    wait_for(what, lambda: look() or None, seconds=LONGEST, pause=0.5)
