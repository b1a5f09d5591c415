"""What collect_batch counts and logs when something goes wrong in the middle: all that was done before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import handlers
from botocore.exceptions import ClientError

from functions.collect_batch import app
from jetway import wiring
from jetway.observability import metrics
from tests.unit.cold import forget_wired

from .world import REGION, World, event, records

TRANSACTION = "TransactWriteItems"
CONTEXT: Any = SimpleNamespace(
    function_name="collect_batch",
    memory_limit_in_mb=512,
    invoked_function_arn=f"arn:aws:lambda:{REGION}:111122223333:function:collect_batch",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    get_remaining_time_in_millis=lambda: 60_000,
)


@dataclass
class Function:
    """The function, and what AWS refuses it."""

    capsys: pytest.CaptureFixture[str]
    caplog: pytest.LogCaptureFixture
    refused: Callable[[str], bool] = field(default=lambda _call: False)
    calls: list[str] = field(default_factory=list)

    def invoke(self, event: dict[str, Any]) -> list[str]:
        """Return the ids of the messages that come back."""
        answer = app.handler(event, CONTEXT)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def counted(self) -> dict[str, float]:
        """The metrics of the invocation."""
        (written,) = (json.loads(line) for line in self.capsys.readouterr().out.splitlines() if "_aws" in line)
        return {name: sum(value) for name, value in written.items() if isinstance(value, list)}

    def logged(self) -> list[str]:
        return [line.getMessage() for line in self.caplog.records]


@pytest.fixture
def function(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Function]:
    found = Function(capsys, caplog)
    for name, value in {
        "ENVIRONMENT_NAME": "acme",
        "BATCH_TABLE": "batches",
        "DROP_BUCKET": "drop",
        "COLLECT_QUEUE_URL": world.collect,
        "DISPATCH_QUEUE_URL": world.dispatch,
        "TRANSPORT": "auto",
        "DEAD_LETTERS_URL": world.dead,
        "LEDGER_TABLE": world.ledger.table.name,
        "LEDGER_RETENTION_DAYS": "30",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(metrics, "namespace", "Jetway")  # read at import, before this

    def refuse(model: Any, **_: Any) -> Any:
        found.calls.append(model.name)
        if found.refused(model.name):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Too many."}}, model.name)
        if model.name == "ChangeMessageVisibilityBatch":  # no queue has given these receipt handles
            return SimpleNamespace(status_code=200), {"Successful": []}
        return None

    hook: Any = ("before-call", refuse)
    handlers.BUILTIN_HANDLERS.append(hook)  # of every session that is made from now on
    wiring.clients._session.cache_clear()
    forget_wired()
    yield found
    handlers.BUILTIN_HANDLERS.remove(hook)
    wiring.clients._session.cache_clear()
    forget_wired()


def delivery(world: World, *numbers: int) -> dict[str, Any]:
    """Files of these numbers, two a batch, as SQS hands them over; message ids are the positions."""
    bodies = [event(number, max_events=2) for number in numbers]
    return {"Records": [record.raw_event for record in records(bodies, world.now)]}


def test_what_was_batched_and_sent_out_before_dynamodb_refused_is_counted(world: World, function: Function) -> None:
    transactions = 3  # that put two events into a batch, close it, and note that it went out
    function.refused = lambda call: call == TRANSACTION and function.calls.count(call) > transactions
    assert function.invoke(delivery(world, 0, 1, 2, 3)) == ["2", "3"]
    assert function.counted() == {"EventsBatched": 2.0, "BatchesDispatched": 1.0}
    assert function.logged() == ["events return to the queue", "batched", "batched", "batch dispatched"]
    function.refused = lambda _call: False
    assert function.invoke(delivery(world, 2, 3)) == []
    assert function.counted() == {"EventsBatched": 2.0, "BatchesDispatched": 1.0}, "this invocation's, and once"
    world.judge(range(4), largest=2)


def test_what_was_sent_out_before_a_sweep_failed_is_counted(world: World, function: Function) -> None:
    world.take([event(1, name="first"), event(2, name="second")])  # by its clock: their time is long over
    transactions = 2  # that close a batch, and note that it went out
    function.refused = lambda call: call == TRANSACTION and function.calls.count(call) > transactions
    with pytest.raises(ClientError, match="Too many"):
        function.invoke({})
    assert function.counted() == {"BatchesDispatched": 1.0}
    assert function.logged() == ["batch dispatched"]
    function.refused = lambda _call: False
    function.invoke({})
    assert function.counted() == {"BatchesDispatched": 1.0}
    world.judge([1, 2], largest=5)
