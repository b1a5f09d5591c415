"""`jetway audit`: who did what, from the ledger, the reports and the environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from click.testing import Result

from jetway.ledger import Entry, Ledger
from tests.unit.mwaa_server import MwaaServer

from .conftest import REGION, Cloud
from .test_updates import UPDATING, mwaa, put

__all__ = ["mwaa"]  # the fixture

NOW = datetime.now(UTC)
BUCKET = "audited-drop-bucket"
BY = {"principal": "arn:aws:iam::111122223333:user/ann", "request_id": "q1"}


def put_report(key: str, **members: object) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    source = {"version": "v1", "etag": "e", "last_modified": NOW.isoformat()}
    document = {"path": key, "kind": "dag-file", "verdict": "accepted", "source": source, **members}
    for name in ("v1", "latest"):
        s3.put_object(Bucket=BUCKET, Key=f"reports/{key}/{name}.json", Body=json.dumps(document).encode())


def test_runs_files_and_updates_are_told_with_who_it_was(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer
) -> None:
    put(cloud, UPDATING)
    location: Any = {"LocationConstraint": REGION}
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    cloud.outputs["DropBucketName"] = BUCKET
    Ledger(cloud.ledger)
    empty = jetway("audit", "--since", "1s", "--json")
    assert (empty.exit_code, empty.stdout) == (0, "")
    put_report("dags/a.py", outcome="promoted", by={"account": "111122223333", "source_ip": "192.0.2.1"})
    entry = Entry("http#1", "http", "http", ("x",), "started", NOW, dag_id="orders", dag_run_id="r1", by=BY)
    Ledger(cloud.ledger).record(entry)
    result = jetway("audit", "--since", "1h", "--json")
    assert result.exit_code == 0
    acts = [json.loads(line) for line in result.stdout.splitlines()]
    found = {act["what"]: (act["of"], act["by"]) for act in acts}
    assert found["run started"] == ("orders r1", BY)
    assert found["uploaded: promoted"] == ("dags/a.py@v1", {"account": "111122223333", "source_ip": "192.0.2.1"})
    assert len(acts) == len(found), "each once, though the newest report is there twice"
    shown = jetway("audit", "--since", "1h").output
    assert "by arn:aws:iam::111122223333:user/ann, request q1" in shown
    assert "account 111122223333, from 192.0.2.1" in shown
    mwaa.more["LastUpdate"] = {"Status": "SUCCESS", "CreatedAt": NOW, "Source": "maintenance"}
    updated = [json.loads(line) for line in jetway("audit", "--since", "1h", "--json").stdout.splitlines()]
    assert [act["by"] for act in updated if act["what"] == "environment updated"] == [{"principal": "maintenance"}]
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert "No one did anything" in jetway("audit", "--since", later).output
