"""`jetway sync`: everything is looked at, in as many rounds as it takes, and rules are compared."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from click.testing import Result

from jetway_cli.errors import StackTroubleError
from jetway_cli.sync import sweep

from .conftest import REGION, Cloud


def part(*, finished: bool, queued: int = 0, deleted: int = 0, still_live: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"listed": 1000, "queued": queued, "deleted": deleted, "still_live": list(still_live), "finished": finished}


@pytest.fixture
def synced(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the queue that has rules compared."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", cloud.url)
    attributes: Any = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = cloud.sqs.create_queue(QueueName="sync.fifo", Attributes=attributes)["QueueUrl"]
    cloud.outputs |= {"SweepFunctionName": "sweep", "TriggerSyncQueueUrl": url}
    return url


def test_a_pass_that_is_cut_short_is_gone_on_with(cloud: Cloud, synced: str, jetway: Callable[..., Result]) -> None:
    cloud.answers.extend([(200, part(finished=False, queued=4, deleted=2)), (200, part(finished=True, queued=1))])
    result = jetway("sync")
    assert result.exit_code == 0
    assert "2000 versions listed. 3 files have no report" in result.output
    assert "2 files were deleted but are live; they are removed now." in result.output
    assert [call.body for call in cloud.calls] == [
        {"whole": True, "at_once": False},
        {"whole": False, "at_once": False},
    ]
    assert {call.path for call in cloud.calls} == {"/2015-03-31/functions/sweep/invocations"}
    assert len(cloud.drain(synced)) == 1


def test_what_is_live_although_it_was_deleted_is_a_no(cloud: Cloud, synced: str, jetway: Callable[..., Result]) -> None:
    cloud.answers.append((200, part(finished=True, still_live=("dags/old.py",))))
    result = jetway("sync", "--json")
    assert result.exit_code == 1
    assert "dags/old.py" in result.stderr
    assert json.loads(result.stdout)["still_live"] == ["dags/old.py"]


def test_a_stack_that_is_older_than_the_command_says_so(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    result = jetway("sync")
    assert result.exit_code == 3
    assert "no output SweepFunctionName" in result.output


def test_a_function_that_fails_is_no_answer() -> None:
    client = boto3.client("lambda", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    said = json.dumps({"errorMessage": "AccessDenied"}).encode()
    answer = {"FunctionError": "Unhandled", "Payload": StreamingBody(io.BytesIO(said), len(said))}
    with Stubber(client) as stub:
        stub.add_response("invoke", answer, {"FunctionName": "sweep", "Payload": ANY})
        with pytest.raises(StackTroubleError, match="AccessDenied"):
            sweep(client, "sweep")
