"""One run of sync_triggers, walked: scenes, what may happen at a call, and what must be there at rest."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from math import inf
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from jetway.aws.crashes import Crashes
from jetway.errors import TransientError
from jetway.sync.reconcile import SyncSettings, sync
from jetway.sync.trigger_files import WatchBucket
from tests.unit.sync.memory import DROP, Aws, Call, refused
from tests.unit.sync.world import NOW, PLACES

ORDERS = "dag: ingest\non: {s3: {bucket: acme-landing, key: {prefix: in/}}}\nexpect: {within: 1h}\n"
CHANGED = ORDERS.replace("ingest", "ingest2").replace("in/", "new/")
EDITED = ORDERS.replace("ingest", "ingest3").replace("in/", "other/")
ON_A_BUS = "dag: close\non: {event: {source: [acme.billing], bus: acme}}\n"
NIGHTLY = "dag: nightly\non: {schedule: {rate: 1h}}\n"
BROKEN = "dag: ingest\non: {s4: {}}\n"

Files = tuple[tuple[str, str], ...]  # key and text


class KilledError(BaseException):
    """The function is gone."""


@dataclass(frozen=True)
class Scene:
    """What was in force, and what the event is of; None for a deletion."""

    name: str
    before: Files
    event: tuple[str, str | None] | None

    @property
    def verdict(self) -> str:
        """Of the file that comes."""
        return "rejected" if self.event and self.event[1] == BROKEN else "accepted"

    def __str__(self) -> str:
        return self.name


def files(**texts: str) -> Files:
    return tuple((f"triggers/{name}.yaml", text) for name, text in texts.items())


KEY = "triggers/orders.yaml"
SCENES = [
    Scene("new", files(), (KEY, ORDERS)),
    Scene("changed", files(orders=ORDERS), (KEY, CHANGED)),
    Scene("deleted", files(orders=ORDERS), (KEY, None)),
    Scene("daily", files(orders=ORDERS), None),
    Scene("another kind", files(orders=ORDERS), (KEY, NIGHTLY)),
]
MORE_SCENES = [
    Scene("another bus", files(orders=ORDERS, other=NIGHTLY), (KEY, ON_A_BUS)),
    Scene("broken", files(orders=ORDERS, other=NIGHTLY), (KEY, BROKEN)),
    Scene("schedule changed", files(orders=NIGHTLY), (KEY, NIGHTLY.replace("1h", "2h"))),
    Scene("schedule deleted", files(orders=NIGHTLY, other=ON_A_BUS), (KEY, None)),
    Scene("alarm less", files(orders=ORDERS), (KEY, ORDERS.partition("expect")[0])),
    Scene("first of all", files(), None),
    Scene("two of many", files(a=ORDERS, orders=ORDERS, z=ON_A_BUS), (KEY, CHANGED)),
]


class Tries:
    """The items that count the crashes of files, as DynamoDB keeps them."""

    def __init__(self) -> None:
        self.tries: dict[str, int] = {}

    def update_item(self, **request: Any) -> Any:
        key, number = request["Key"]["pk"]["S"], int(request["ExpressionAttributeValues"][":n"]["N"])
        adds = request["UpdateExpression"].startswith("ADD")
        self.tries[key] = number + (self.tries.get(key, 0) if adds else 0)
        return {"Attributes": {"tries": {"N": str(self.tries[key])}}}

    def watch(self, receives: int) -> WatchBucket | None:
        """Return what tries files in a run whose messages were received so often."""
        client: Any = self
        crashes = Crashes(client, "t", key="pk", ttl="expires_at")
        return partial(crashes.trying, receives=receives, conclude=False) if receives > 1 else None


@dataclass
class Stage:
    """The drop bucket, AWS and the queue of one schedule.

    Attributes:
        waiting: messages on the queue.
        by_hand: somebody deleted what was in force.
        rejected: AWS called something invalid, once.
        between: what was wrong when the run that is walked had ended by itself.
    """

    aws: Aws
    waiting: list[int] = field(default_factory=list)
    sent: int = 0
    by_hand: bool = False
    rejected: bool = False
    between: str | None = None
    received: Counter[int] = field(default_factory=Counter)
    tries: Tries = field(default_factory=Tries)

    def message(self) -> None:
        self.sent += 1
        self.waiting.append(self.sent)

    def drop(self, key: str, text: str | None) -> None:
        """Upload or delete a file; EventBridge tells of it."""
        self.aws.put(key, text)
        self.message()

    def run(
        self,
        messages: list[int],
        *,
        at: Callable[[Call, Callable[[], Any]], Any] = lambda _call, do: do(),
        seconds_left: Callable[[], float] = lambda: inf,
    ) -> None:
        """Let the function serve messages: they leave the queue when it ends without trouble."""
        dead: list[bool] = []

        def stage(call: Call, do: Callable[[], Any]) -> Any:
            if dead:
                raise KilledError
            try:
                return at(call, do)
            except KilledError:
                dead.append(True)
                raise

        self.received.update(messages)
        watch = self.tries.watch(max((self.received[message] for message in messages), default=1))
        outer, self.aws.stage = self.aws.stage, stage
        try:
            done = sync(self.aws.clients(), SETTINGS, now=lambda: NOW, seconds_left=seconds_left, watch=watch)
        except (KilledError, TransientError, ClientError, BotoCoreError):
            return
        finally:
            self.aws.stage = outer
        if not done.troubles:
            self.waiting = [message for message in self.waiting if message not in messages]

    def run_beside(self) -> None:
        """Let another run serve what is on the queue, beside the one that is walked."""
        self.run(self.waiting[1:])

    def rest(self) -> None:
        """Serve what is left."""
        for _ in range(6):
            if not self.waiting:
                return
            self.run(list(self.waiting))
        raise AssertionError("messages are left")

    def texts(self) -> Files:
        """Return the files that are there."""
        found = [
            (key, versions[-1]) for key, versions in sorted(self.aws.objects.items()) if key.startswith("triggers/")
        ]
        return tuple((key, newest[1].decode()) for key, newest in found if not newest[2])


SETTINGS = SyncSettings(DROP, "prod", "Jetway", PLACES)


@cache
def reference(texts: Files) -> dict[str, Any]:
    """What one undisturbed run makes of files."""
    return made_of(texts).in_force()


def made_of(texts: Files) -> Aws:
    aws = Aws()
    for key, text in texts:
        aws.put(key, text)
    sync(aws.clients(), SETTINGS, now=lambda: NOW)
    return aws


# ------------------------------------------------------------------------------------------- what may happen at a call
Happens = Callable[[Stage, Call, Callable[[], Any]], Any]


def killed_before(_stage: Stage, _call: Call, _do: Callable[[], Any]) -> Any:
    raise KilledError


def killed_after(_stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    do()
    raise KilledError


def lost(_stage: Stage, call: Call, do: Callable[[], Any]) -> Any:
    do()
    raise ReadTimeoutError(endpoint_url=call.name)


def throttled(_stage: Stage, call: Call, _do: Callable[[], Any]) -> Any:
    raise refused("ThrottlingException", call.name)


def failed(_stage: Stage, call: Call, do: Callable[[], Any]) -> Any:
    do()
    raise refused("InternalException", call.name, 500)


def invalid(stage: Stage, call: Call, _do: Callable[[], Any]) -> Any:
    stage.rejected = True
    raise refused("ValidationException", call.name)


def other_run(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.message()
    stage.run_beside()
    return do()


def edited(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.drop(KEY, EDITED)
    return do()


def edited_and_synced(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.drop(KEY, EDITED)
    stage.run_beside()
    return do()


def deleted(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.drop(KEY, None)
    return do()


def deleted_and_synced(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.drop(KEY, None)
    stage.run_beside()
    return do()


def back_and_synced(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    """The file is as it was before; then a run."""
    stage.drop(KEY, ORDERS)
    stage.run_beside()
    return do()


def all_deleted_by_hand(stage: Stage, _call: Call, do: Callable[[], Any]) -> Any:
    stage.by_hand = True
    for there in (stage.aws.rules, stage.aws.targets, stage.aws.schedules, stage.aws.alarms):
        there.clear()
    return do()


HAPPENS: list[Happens] = [
    killed_before,
    killed_after,
    lost,
    throttled,
    failed,
    invalid,
    other_run,
    edited,
    edited_and_synced,
    deleted,
    deleted_and_synced,
    back_and_synced,
    all_deleted_by_hand,
]


def may_happen(happens: Happens, call: Call) -> bool:
    """AWS calls only what is put there invalid, and S3 takes any text."""
    return happens is not invalid or (call.writes and not call.name.startswith("s3."))


def begun(scene: Scene) -> Stage:
    stage = Stage(made_of(scene.before))
    if scene.event:
        stage.drop(*scene.event)
    else:
        stage.message()
    return stage


def places(scene: Scene) -> list[Call]:
    """Return all calls of an undisturbed run."""
    found: list[Call] = []

    def note(call: Call, do: Callable[[], Any]) -> Any:
        found.append(call)
        return do()

    stage = begun(scene)
    stage.run(list(stage.waiting), at=note)
    return found


def walked(scene: Scene, all_happens: list[Happens]) -> Iterator[tuple[Call, Happens, Stage]]:
    """Yield the outcome of each schedule with one disturbance."""
    begins = begun(scene)
    for place in places(scene):
        for happens in all_happens:
            if not may_happen(happens, place):
                continue
            stage = copy.deepcopy(begins)
            met: list[Call] = []

            def at(
                call: Call,
                do: Callable[[], Any],
                *,
                place: Call = place,
                stage: Stage = stage,
                happens: Happens = happens,
                met: list[Call] = met,
            ) -> Any:
                if call != place:
                    return do()
                met.append(call)
                return happens(stage, call, do)

            stage.run(list(stage.waiting), at=at)
            assert met, f"{place} is not reached"
            if happens in {throttled, invalid}:
                stage.between = wrong_between(scene, stage)
            stage.rest()
            if stage.by_hand:
                report = stage.aws.read(f"reports/{KEY}/latest.json")
                if report is not None and report["verdict"] != scene.verdict:
                    stage.between = "what a hand took away is called a fault of the file"
                stage.message()
                stage.rest()
            yield place, happens, stage


def wrong_between(scene: Scene, stage: Stage) -> str | None:
    """Return what is wrong after a run that was answered "no", though its messages may still come back."""
    for place, rule in stage.aws.rules.items():
        for target in stage.aws.targets.get(place, {}).values():
            dag = json.loads(target["InputTransformer"]["InputTemplate"].partition(',"event"')[0] + "}")["trigger"][
                "dag"
            ]
            if not rule["Description"].endswith(f" starts DAG {dag}"):
                return f"events of one version start the DAG of another one: {rule} {target}"
    is_there = any(key == KEY for key, _ in stage.texts())
    if not is_there or not any(key == KEY for key, _ in scene.before):
        return None
    if "jetway.orders" not in {*stage.aws.schedules, *(name for _, name in stage.aws.rules)}:
        return "a trigger is out of force though its file was there all the time"
    return None if KEY in stage.aws.in_force()["accepted"] else "it is forgotten what was good"


def fault(scene: Scene, stage: Stage) -> str | None:
    """Return what is wrong at rest."""
    if stage.between:
        return stage.between
    texts, there = dict(stage.texts()), stage.aws.in_force()
    report = stage.aws.read(f"reports/{KEY}/latest.json")
    wanted = reference(tuple(sorted(texts.items())))
    was_refused = stage.rejected and report is not None and report["verdict"] == "rejected"
    if (
        report is not None
        and report["verdict"] == "rejected"
        and not was_refused
        and texts.get(KEY) not in {None, BROKEN}
    ):
        return "a file is rejected for what is not its fault"
    if texts.get(KEY) == BROKEN or was_refused:
        # What was refused is told, and stays out until the file comes again; what was good stays.
        good = {key: text for key, text in {**texts, KEY: dict(scene.before).get(KEY)}.items() if text}
        wanted = reference(tuple(sorted(good.items())))
    if there != wanted:
        return f"there is {there}, not {wanted}"
    return "a run is counted that never was" if any(point["Value"] for point in stage.aws.points) else None
