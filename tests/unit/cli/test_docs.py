"""docs/cli.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from click.testing import Result

from jetway.ledger import Entry, Ledger
from jetway.promotion.artifact_state import ArtifactState
from tests.unit.cli.conftest import REGION, Cloud
from tests.unit.cli.test_triggers import BUCKET, ORDERS, accept, put_rule
from tests.unit.cli.test_updates import LIVE, UPDATING, put
from tests.unit.cli.test_workers import saturate
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import ROOT, sample_event

TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
EXAMPLES = {
    name: (command, output)
    for name, command, output in re.findall(r"<!-- ([a-z-]+) -->\n```console\n\$ jetway (.+)\n((?:.*\n)+?)```", TEXT)
}
RUN_ID = "jetway__http__fxqinjb6s37affpwab5s"


def _run(cloud: Cloud) -> None:
    run = {"dag_id": "orders", "dag_run_id": RUN_ID}
    cloud.answers.extend([(202, run | {"state": "accepted"}), (200, run | {"state": "success"})])


def _wait(cloud: Cloud) -> None:
    cloud.answers.append((200, {"dag_id": "orders", "dag_run_id": RUN_ID, "state": "success"}))


def _letter(cloud: Cloud) -> None:
    cloud.dead_letter(
        {"trigger": {"name": "data", "kind": "s3", "dag": "orders"}, "event": sample_event("s3_object_created")}
    )


def _events(cloud: Cloud) -> None:
    ledger = Ledger(cloud.ledger, retention=timedelta(days=36500))
    at = datetime(2026, 11, 22, 6, 5, tzinfo=UTC)
    run_id = "jetway__data__neao5nwq7jut2lxa4mqj"
    ledger.record(Entry("data#1", "data", "s3", ("1",), "started", at, dag_id="orders", dag_run_id=run_id, latency=1.2))
    because = "dag-not-found: Airflow has no DAG 'orders'."
    late = at + timedelta(minutes=5)
    ledger.record(Entry("data#2", "data", "s3", ("2",), "dead-lettered", late, dag_id="orders", because=because))


def _trigger(cloud: Cloud) -> None:
    cloud.outputs["DropBucketName"] = BUCKET
    accept(cloud, {"orders": ORDERS})
    put_rule({"source": ["acme"]})
    at = datetime(2026, 11, 22, 6, 2, tzinfo=UTC)
    Ledger(cloud.ledger).record(Entry("orders#1", "orders", "event", ("1",), "started", at))


def _workers(cloud: Cloud) -> None:
    cloud.outputs["EnvironmentName"] = "prod"
    saturate(boto3.client("cloudwatch", region_name=REGION), datetime(2026, 11, 22, 6, 30, tzinfo=UTC))


def _updates(cloud: Cloud) -> None:
    put(cloud, UPDATING, ArtifactState("requirements.txt", "updating", LIVE))
    cloud.outputs["EnvironmentName"] = "prod"


def _nothing(_cloud: Cloud) -> None:
    """The command is offline."""


DESCRIBED = {
    "Name": "prod",
    "LastUpdate": {"Status": "PENDING", "CreatedAt": UPDATING.ours_at},
    "RequirementsS3Path": "requirements.txt",
    "RequirementsS3ObjectVersion": "3HL4kqtJlcpXroDTDmJr",
}
SCENES: dict[str, Callable[[Cloud], None]] = {
    "run": _run,
    "run-wait": _run,
    "wait": _wait,
    "redrive-dry-run": _letter,
    "events": _events,
    "triggers": _trigger,
    "workers": _workers,
    "updates": _updates,
    "dry-run": _nothing,
}


def test_every_example_has_its_scene() -> None:
    assert EXAMPLES.keys() == SCENES.keys()


@pytest.mark.parametrize("name", sorted(SCENES))
def test_an_example_prints_what_the_page_shows(
    cloud: Cloud, jetway: Callable[..., Result], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    command, output = EXAMPLES[name]
    SCENES[name](cloud)
    with MwaaServer(status="UPDATING", more=DESCRIBED) as mwaa:
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", mwaa.url)
        result = jetway(*shlex.split(command))
    assert (result.exit_code, result.stdout) == (0, output)
