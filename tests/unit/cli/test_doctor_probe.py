"""`jetway doctor --probe DAG`: one file through the whole path; the ledger and the HTTP API tell what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest

from jetway.ledger import Entry, Ledger
from jetway_cli.doctor.probe import probe
from jetway_cli.doctor.results import Result
from jetway_cli.stack import Target
from tests.unit.cli.conftest import LEDGER, REGION, STACK, Cloud

BUCKET, RUN = "drop", "jetway__data__neao5nwq7jut2lxa4mqj"


@pytest.fixture
def s3(cloud: Cloud) -> Iterator[Any]:
    assert cloud.ledger
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    cloud.outputs |= {"DropBucketName": BUCKET, "LedgerTableName": LEDGER}
    yield client
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET), "the file is deleted at the end"


def run(cloud: Cloud, s3: Any, *decisions: dict[str, Any]) -> Result:
    """Probe; each time that it pauses, the next decision on its event is made."""
    ledger, waiting, ticks = Ledger(cloud.ledger), iter(decisions), count()

    def decide(_: float) -> None:
        (key,) = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert key.startswith("data/orders/jetway-doctor-")
        if (told := next(waiting, None)) is not None:
            at = datetime.now(UTC)
            entry = Entry("data#1", "data", "s3", (BUCKET, key, "v1"), decided_at=at, dag_id="orders", **told)
            ledger.record(entry)

    target = Target(STACK, REGION, None, None)
    return probe(target, "orders", timedelta(seconds=20), sleep=decide, clock=lambda: float(next(ticks)))


def test_a_run_that_succeeds_is_well(cloud: Cloud, s3: Any) -> None:
    cloud.answers.append((200, {"dag_id": "orders", "dag_run_id": RUN, "state": "success"}))
    found = run(
        cloud, s3, {"decision": "held", "because": "environment-busy: x"}, {"decision": "started", "dag_run_id": RUN}
    )
    assert (found.id, found.state) == ("probe", "ok")
    assert "became a run that succeeded" in found.seen
    assert cloud.calls[0].path == f"/api/dags/orders/dagRuns/{RUN}"


def test_a_run_that_fails_is_broken(cloud: Cloud, s3: Any) -> None:
    cloud.answers.append((200, {"dag_id": "orders", "dag_run_id": RUN, "state": "failed"}))
    found = run(cloud, s3, {"decision": "started", "dag_run_id": RUN})
    assert (found.state, found.seen) == ("broken", f"Run {RUN} of orders ended failed.")


def test_an_event_that_is_given_up_is_broken_with_its_reason(cloud: Cloud, s3: Any) -> None:
    found = run(cloud, s3, {"decision": "dead-lettered", "because": "dag-not-found: Airflow has no DAG 'orders'."})
    assert found.state == "broken"
    assert "dead-lettered: dag-not-found" in found.seen


def test_a_file_that_nobody_hears_of_is_broken(cloud: Cloud, s3: Any) -> None:
    found = run(cloud, s3)
    assert found.state == "broken"
    assert "did not decide on it" in found.seen
    assert "bucket-events" in found.remedy


def test_an_event_that_still_waits_says_why(cloud: Cloud, s3: Any) -> None:
    found = run(cloud, s3, {"decision": "held", "because": "environment-unavailable: UPDATING"})
    assert (found.state, found.seen) == ("broken", "The event was held: environment-unavailable: UPDATING")
