"""Every place between two calls of sync_triggers, and what can happen there: in the end AWS is what the files say.

One run is walked: at each of its calls, one after the other, it is killed, its answer is lost, it is throttled or
refused, or somebody else acts: another run beside it, an upload, a deletion, a hand in the console. Then all messages
that are left are served, as SQS does it. What is there at rest is compared with what one undisturbed run makes of the
files. The shortest schedule is what a failure prints: one place and one disturbance.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.sync.memory import Call
from tests.unit.sync.walking import (
    HAPPENS,
    MORE_SCENES,
    ORDERS,
    SCENES,
    Happens,
    KilledError,
    Scene,
    Stage,
    begun,
    fault,
    invalid,
    made_of,
    walked,
)


def check(scene: Scene, all_happens: list[Happens]) -> None:
    count = 0
    for place, happens, stage in walked(scene, all_happens):
        count += 1
        wrong = fault(scene, stage)
        assert wrong is None, f"{scene}: {happens.__name__} at {place}: {wrong}"
    assert count > 100


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_at_rest_aws_is_what_the_files_say_whatever_happens_at_one_call(scene: Scene) -> None:
    check(scene, HAPPENS)


@pytest.mark.slow
@pytest.mark.parametrize("scene", MORE_SCENES, ids=str)
def test_the_same_in_more_scenes(scene: Scene) -> None:
    check(scene, HAPPENS)


MOST = 4  # disturbances of one schedule
ONCE_IN = 20  # calls


@pytest.mark.slow
@pytest.mark.parametrize("scene", [scene for scene in (*SCENES, *MORE_SCENES) if scene.name != "broken"], ids=str)
def test_the_same_after_several_things_have_happened(scene: Scene) -> None:
    """Up to four, anywhere, also in runs that come back and in those beside them."""
    begins = begun(scene)
    others = [happens for happens in HAPPENS if happens is not invalid]
    for seed in range(300):
        chance, stage = random.Random(seed), copy.deepcopy(begins)
        happened: list[tuple[Call, str]] = []

        def at(
            call: Call,
            do: Callable[[], Any],
            *,
            chance: random.Random = chance,
            stage: Stage = stage,
            happened: list[tuple[Call, str]] = happened,
        ) -> Any:
            if len(happened) == MOST or chance.randrange(ONCE_IN):
                return do()
            happens = chance.choice(others)
            happened.append((call, happens.__name__))
            return happens(stage, call, do)

        for _ in range(3 * MOST):
            if not stage.waiting:
                break
            stage.run(list(stage.waiting), at=at)
        stage.rest()
        if stage.by_hand:
            stage.message()
            stage.rest()
        wrong = fault(scene, stage)
        assert wrong is None, f"{scene}, seed {seed}: {happened}: {wrong}"


ACCESS = "allow:\n- iam: arn:aws:iam::111122223333:role/billing\n  dags: [invoice_*]\n"


@pytest.mark.parametrize("place", ["get_object", "put_object"])
def test_an_access_list_that_is_deleted_while_it_comes_into_force_is_not_in_force_at_rest(place: str) -> None:
    stage = Stage(made_of(()))
    stage.drop("access.yaml", ACCESS)
    met: list[Call] = []

    def at(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == f"s3.{place}" and call.what.endswith(("access.yaml", "access.json")) and not met:
            met.append(call)
            stage.drop("access.yaml", None)
            stage.run_beside()
        return do()

    stage.run(list(stage.waiting), at=at)
    stage.rest()
    assert met
    assert (stage.aws.read("accepted/access.json") or {"document": None})["document"] is None


@pytest.mark.thorough
def test_three_hundred_files_come_into_force_in_several_runs_each_of_which_lasts() -> None:
    """A call takes 50 ms, a run is ended from outside after two minutes: it must not come to that."""
    stage, left, reports = Stage(made_of(())), [0.0], Counter[str]()
    for number in range(300):
        stage.drop(f"triggers/t{number:03}.yaml", ORDERS)

    def call(call: Call, do: Callable[[], Any]) -> Any:
        left[0] -= 0.05
        if left[0] < 0:
            raise KilledError
        if call.name == "s3.put_object" and call.what.endswith("/latest.json"):
            reports[call.what] += 1
        return do()

    settled = []
    while stage.waiting:
        left[0] = 120.0
        stage.run(list(stage.waiting), at=call, seconds_left=lambda: left[0])
        settled.append(len(stage.aws.in_force()["accepted"]))
        assert len(settled) < 9
    assert settled == sorted(set(settled)), "each run adds to what the one before it has saved"
    assert len(settled) > 2
    assert settled[-1] == len(stage.aws.rules) == len(stage.aws.alarms) == 300
    assert set(reports.values()) == {1}, "nothing is done again"
