"""Messages in hand are invisible for half a minute at a time: whoever dies gives them back without a word."""

# ruff: noqa: N803 - arguments have AWS's names

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jetway.aws.visibility import SPAN, Holding

URL = "https://sqs.eu-central-1.amazonaws.com/111122223333/dispatch.fifo"


@dataclass
class Sqs:
    """The visibility of messages, as it was set last."""

    calls: list[dict[str, int]] = field(default_factory=list)
    now: dict[str, int] = field(default_factory=dict)
    on_call: Callable[[], dict[str, Any] | None] = lambda: None

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:
        assert QueueUrl == URL
        assert 1 <= len(Entries) <= 10
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        answer = self.on_call()
        changed = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries}
        self.calls.append(changed)
        self.now |= changed
        return answer or {"Successful": []}


def holding(sqs: Sqs, *handles: str, left: float = 240.0, every: float = 60.0) -> Holding:
    client: Any = sqs
    return Holding(client, URL, handles, seconds_left=lambda: left, every=every)


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_messages_are_kept_for_half_a_minute_before_anything_is_done_ten_a_call() -> None:
    sqs = Sqs()
    names = [f"m{number}" for number in range(23)]
    with holding(sqs, *names):
        assert [len(call) for call in sqs.calls] == [10, 10, 3]
        assert sqs.now == dict.fromkeys(names, SPAN) == dict.fromkeys(names, 30)


def test_they_are_kept_on_as_long_as_the_function_lives_and_no_longer() -> None:
    sqs = Sqs()
    with holding(sqs, "m", every=0.005):
        wait_for(lambda: len(sqs.calls) > 3)
    count = len(sqs.calls)
    assert not any(thread.name == "holding" for thread in threading.enumerate())
    time.sleep(0.03)
    assert len(sqs.calls) == count


def test_also_an_error_ends_it() -> None:
    sqs = Sqs()
    with pytest.raises(RuntimeError), holding(sqs, "m", every=0.005):
        raise RuntimeError
    assert not any(thread.name == "holding" for thread in threading.enumerate())


@pytest.mark.parametrize(("left", "seconds"), [(240.0, 30), (30.0, 30), (12.3, 13), (0.4, 1), (-1.0, 1)])
def test_nothing_is_kept_beyond_the_end_of_the_invocation(left: float, seconds: int) -> None:
    sqs = Sqs()
    with holding(sqs, "m", left=left):
        assert sqs.now == {"m": seconds}


def test_what_is_done_or_given_back_is_left_alone() -> None:
    sqs = Sqs()
    with holding(sqs, "done", "back", "kept") as held:
        held.release(["done"])
        held.give_back({"back": 900})
        sqs.now["done"] = -1
        held.extend()
        assert sqs.now == {"done": -1, "back": 900, "kept": 30}
        held.release(["kept"])
        count = len(sqs.calls)
        held.extend()
        assert len(sqs.calls) == count, "there is nothing to say"


def test_a_message_is_not_taken_back_by_a_sign_of_life_that_is_on_its_way() -> None:
    sqs, on_its_way, arrived = Sqs(), threading.Event(), threading.Event()
    with holding(sqs, "m") as held:

        def slow() -> None:
            on_its_way.set()
            assert arrived.wait(5)
            sqs.on_call = lambda: None

        sqs.on_call = slow
        sign = threading.Thread(target=held.extend)
        sign.start()
        assert on_its_way.wait(5)
        back = threading.Thread(target=held.give_back, args=({"m": 900},))
        back.start()
        time.sleep(0.02)
        arrived.set()
        sign.join(5)
        back.join(5)
        assert sqs.now == {"m": 900}


@pytest.mark.parametrize("answer", ["denied", "failed"])
def test_that_it_fails_is_logged_and_nothing_more(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> dict[str, Any]:
        if answer == "failed":
            return {"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}]}
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ChangeMessageVisibilityBatch")

    sqs = Sqs(on_call=fail)
    with holding(sqs, "m") as held:
        held.give_back({"m": 5})
    assert [line.levelname for line in caplog.records] == ["WARNING", "WARNING"]
    assert ("ReceiptHandleIsInvalid" if answer == "failed" else "AccessDenied") in vars(caplog.records[0])["error"]


def test_without_messages_nothing_is_asked() -> None:
    sqs = Sqs()
    with holding(sqs):
        pass
    assert sqs.calls == []
