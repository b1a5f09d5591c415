"""A trigger file that ends sync_triggers each time: rejected after four times, and no other file waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jetway.sync.reconcile import Synced, sync
from tests.unit.sync.memory import Call
from tests.unit.sync.walking import CHANGED, EDITED, KEY, NIGHTLY, ORDERS, SETTINGS, KilledError, Tries, made_of
from tests.unit.sync.world import NOW

FILES = (("triggers/a.yaml", NIGHTLY), (KEY, ORDERS), ("triggers/z.yaml", NIGHTLY))


def reading(call: Call) -> bool:
    return call.name == "s3.get_object" and call.what == KEY


def putting(call: Call) -> bool:
    return call.name == "events.put_rule" and call.what == "jetway.orders"


class Stage:
    """One schedule's files, and the function that is ended at some of its calls."""

    def __init__(self, deadly: Callable[[Call], bool]) -> None:
        self.aws = made_of(FILES)
        self.aws.stage = self._at
        self.deadly = deadly
        self.calls: list[Call] = []
        self._tries = Tries()

    def _at(self, call: Call, do: Callable[[], Any]) -> Any:
        self.calls.append(call)
        if self.deadly(call):
            raise KilledError
        return do()

    def run(self, receives: int = 1) -> Synced:
        self.calls = []
        return sync(self.aws.clients(), SETTINGS, now=lambda: NOW, watch=self._tries.watch(receives))

    def die(self, times: int = 4) -> None:
        for number in range(1, times + 1):
            with pytest.raises(KilledError):
                self.run(number)

    def said(self, key: str = KEY) -> list[str]:
        return [finding["rule"] for finding in self.aws.read(f"reports/{key}/latest.json")["findings"]]

    def dags(self) -> dict[str, str]:
        return {key: document["dag"] for key, document in self.aws.in_force()["accepted"].items()}


@pytest.fixture(params=[reading, putting], ids=["reading", "putting"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(request.param)


def changed(stage: Stage) -> Stage:
    """Let the deadly file come, and others with it."""
    stage.aws.put(KEY, CHANGED)
    stage.aws.put("triggers/a.yaml", NIGHTLY.replace("nightly", "daily"))
    stage.aws.put("triggers/z.yaml", NIGHTLY.replace("nightly", "weekly"))
    return stage


def test_after_four_times_it_is_rejected_the_last_good_one_stays_and_all_others_are_dealt_with(stage: Stage) -> None:
    changed(stage).die()
    done = stage.run(5)
    assert (done.rejected, done.troubles, done.in_force) == ([KEY], [], 3)
    assert stage.said() == ["crashed", "last-good-in-force"]
    assert stage.dags() == {"triggers/a.yaml": "daily", KEY: "ingest", "triggers/z.yaml": "weekly"}
    assert stage.said("triggers/a.yaml") == stage.said("triggers/z.yaml") == []
    assert ("default", "jetway.orders") in stage.aws.rules


def test_it_is_passed_over_from_then_on_until_it_comes_anew(stage: Stage) -> None:
    changed(stage).die()
    stage.run(5)
    done = stage.run()
    assert (done.rejected, done.changes, done.troubles) == ([KEY], [], [])
    assert not any(reading(call) for call in stage.calls)
    stage.deadly = lambda _call: False
    stage.aws.put(KEY, EDITED)
    assert stage.run().rejected == []
    assert stage.dags()[KEY] == "ingest3"
    assert stage.said() == []


def test_a_file_that_was_never_good_has_nothing_in_force() -> None:
    stage = Stage(lambda call: call.what == "triggers/new.yaml" and call.name == "s3.get_object")
    stage.aws.put("triggers/new.yaml", ORDERS)
    stage.die()
    assert stage.run(5).rejected == ["triggers/new.yaml"]
    assert stage.said("triggers/new.yaml") == ["crashed"]
    assert stage.run().in_force == 3


def test_when_what_was_good_is_deadly_as_well_the_others_are_dealt_with_all_the_same() -> None:
    stage = changed(Stage(putting))
    stage.aws.rules.clear()
    stage.aws.targets.clear()
    stage.die()
    for receives in (5, 6, 7):  # now of putting back what was good
        with pytest.raises(KilledError):
            stage.run(receives)
    done = stage.run(8)
    assert (done.rejected, done.troubles) == ([KEY], [])
    assert stage.dags() == {"triggers/a.yaml": "daily", KEY: "ingest", "triggers/z.yaml": "weekly"}


def test_trouble_is_no_crash_however_often(stage: Stage) -> None:
    deadly, stage.deadly = stage.deadly, lambda _call: False
    changed(stage)
    for receives in range(1, 9):
        stage.run(receives)
    stage.deadly = deadly
    stage.aws.rules.clear()
    stage.aws.targets.clear()
    for receives in (9, 10):
        with pytest.raises(KilledError):
            stage.run(receives)
    stage.deadly = lambda _call: False
    assert stage.run(11).rejected == []
    assert stage.dags()[KEY] == "ingest2"


def test_a_first_run_that_met_trouble_is_no_crash_of_a_file(stage: Stage) -> None:
    changed(stage)
    for receives in (2, 3):  # the first one was throttled before it came to the file
        with pytest.raises(KilledError):
            stage.run(receives)
    stage.deadly = lambda _call: False
    assert stage.run(4).rejected == []
    assert stage.dags()[KEY] == "ingest2"


class OfOursError(Exception):
    """What no code expects."""


def test_a_fault_of_ours_with_one_file_is_that_files_and_the_others_are_put_in_force() -> None:
    stage = Stage(lambda _call: False)
    plain = stage.aws.stage

    def at(call: Call, do: Callable[[], Any]) -> Any:
        if putting(call):
            raise OfOursError("the fault's own words")
        return plain(call, do)

    stage.aws.stage = at
    done = changed(stage).run()
    assert (done.rejected, done.troubles) == ([KEY], [])
    assert stage.said() == ["internal-error"]
    assert stage.dags() == {"triggers/a.yaml": "daily", KEY: "ingest", "triggers/z.yaml": "weekly"}


@pytest.mark.parametrize("digits", ["0x" + "f" * 4000, "0o" + "7" * 9000, "0b" + "1" * 20000, "9" * 5000])
def test_a_number_without_end_is_a_finding_and_stops_nobody(digits: str) -> None:
    stage = Stage(lambda _call: False)
    stage.aws.put("triggers/new.yaml", f"dag: {digits}\non: {{schedule: daily}}\n")
    changed(stage)
    assert stage.run().rejected == ["triggers/new.yaml"]
    assert stage.said("triggers/new.yaml")
    assert stage.dags()[KEY] == "ingest2"
