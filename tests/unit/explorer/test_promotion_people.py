"""What people and lifecycle rules do to the buckets, and files that need each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from jetway.aws.expiry import Expiry
from jetway.gate.s3_notification import Arrival
from jetway.promotion.reports import read_report
from jetway.promotion.state_table import SWEEP

from .promotion_world import DROP, LIVE, SECOND, TABLE, Message, content
from .scenes import HELPER, KEY, Scene, arrive, scene
from .test_promotion_scenes import AT_WORK, in_every_place
from .walker import walk

Make = Callable[[], Scene]


def delete_newest(world: Scene) -> None:
    """Delete the newest version by its id: the one below it is the newest then."""
    world.now += SECOND
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=world.s3.buckets[DROP].keys[KEY][-1].id)


def bring_back_an_older_copy(world: Scene) -> None:
    """Copy an older version of the environment's bucket onto itself: its metadata goes along."""
    copies = [version for version in world.s3.buckets[LIVE].keys.get(KEY, []) if version.body is not None]
    if len(copies) > 1:
        world.now += SECOND
        world.s3.copy_object(
            Bucket=LIVE,
            Key=KEY,
            CopySource={"Bucket": LIVE, "Key": KEY, "VersionId": copies[-2].id},
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            Metadata=copies[-2].metadata,
        )


def take_the_top_away(world: Scene) -> None:
    """Delete the newest version, or the delete marker, of the environment's bucket by its id."""
    there = world.s3.buckets[LIVE].keys.get(KEY)
    if there:
        world.now += SECOND
        world.s3.delete_object(Bucket=LIVE, Key=KEY, VersionId=there[-1].id)


def delete_what_is_live(world: Scene) -> None:
    world.now += SECOND
    world.s3.delete_object(Bucket=LIVE, Key=KEY)


def deliver_all_again(world: Scene) -> None:
    for version in world.s3.buckets[DROP].keys.get(KEY, []):
        world.queue.append(Message(Arrival(DROP, KEY, version.id, version.body is None)))


def upload(truth: str, world: Scene) -> None:
    world.upload(KEY, content(truth, note=f"at once {world.s3._ids}"))


PEOPLE: tuple[tuple[Callable[[Scene], None], ...], ...] = (
    (delete_newest,),
    (partial(upload, "breaks"), delete_newest),
    (bring_back_an_older_copy,),
    (bring_back_an_older_copy, partial(upload, "works")),
    (take_the_top_away,),
    (take_the_top_away, partial(upload, "works")),
    (delete_what_is_live,),
    (deliver_all_again,),
    (partial(upload, "refused"), deliver_all_again),
    (lambda world: world.delete(KEY), deliver_all_again),
)


@pytest.mark.slow
@pytest.mark.parametrize("acts", PEOPLE)
def test_what_people_do_meanwhile_ends_well(acts: tuple[Callable[[Scene], None], ...]) -> None:
    for there, uploads, outer in AT_WORK:
        plain = scene(*uploads, **there)

        def make(plain: Make = plain) -> Scene:
            world = plain()

            def people() -> None:
                waiting = list(world.queue)
                for act in acts:
                    act(world)
                for message in [each for each in world.queue if each not in waiting]:
                    world.deliver(message)

            world.actors = {**world.actors, "people": people}
            return world

        assert in_every_place(make, outer, "people") == []


def test_a_bad_version_that_somebody_makes_live_again_goes_while_it_is_looked_at() -> None:
    """Its delete marker is taken away before the roll-back is put away."""
    world = scene(live="breaks")()
    world.look()
    assert world.s3.buckets[LIVE].newest(KEY) is None
    take_the_top_away(world)
    assert world.judge() == []
    assert world.s3.buckets[LIVE].newest(KEY) is None


# -------------------------------------------------------------------------------- files that need each other


def each_other(helper: str = "needs orders") -> Callable[[], Scene]:
    """Two files come at once; "orders" and "helper" deliver them."""

    def make() -> Scene:
        world = Scene()
        world.ends = {}
        world.upload(KEY, content("needs helper"))
        world.upload(HELPER, content(helper, "helper"))
        orders, other = world.queue
        world.actors = {
            "orders": partial(world.deliver, orders),
            "helper": partial(world.deliver, other),
            "look": world.look,
            "delete": partial(world.delete, HELPER),
        }
        return world

    return make


@pytest.mark.parametrize(("first", "second"), [("orders", "helper"), ("helper", "orders"), ("orders", "delete")])
def test_two_files_that_need_each_other_are_both_live(first: str, second: str) -> None:
    found = walk(each_other(), first, second, kills=False)
    assert not found.broken, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("helper", ["needs orders", "refused", "breaks", "works"])
@pytest.mark.parametrize(("first", "second"), [("orders", "helper"), ("helper", "orders"), ("orders", "look")])
def test_two_files_that_need_each_other_and_every_kill(helper: str, first: str, second: str) -> None:
    found = walk(each_other(helper), first, second)
    assert not found.broken, str(found)


# -------------------------------------------------------------------------------- lifecycle rules


class Expiring(Scene):
    """A scene in which a lifecycle rule deletes the file: nobody has asked for that."""

    def judge(self) -> list[str]:
        uploads = [version for version in self.s3.buckets[DROP].keys[KEY] if version.body is not None]
        if not self.rest():
            return ["something is never done"]
        live, standing = self.s3.buckets[LIVE].newest(KEY), self.standing(KEY)
        if live is None or standing is None or standing.live is None or live.body != uploads[-1].body:
            return [f"what was live is gone: {standing}"]
        report = read_report(self.s3, DROP, KEY, uploads[-1].id) or {}  # type: ignore[arg-type]
        told = (standing.stage, standing.live.source, report.get("outcome"))
        return [] if told == ("good", uploads[-1].id, "promoted") else [f"it is told otherwise: {told}"]

    def expire(self) -> None:
        """Have the rule delete the file; its event comes, and another one of the upload."""
        rule = Expiry(self.now - timedelta(days=9), {"dags/": self.now})
        item = {"pk": {"S": SWEEP}, "expiry": {"S": json.dumps(rule.as_dict())}}
        self.dynamodb.put_item(TableName=TABLE, Item=item)
        waiting = list(self.queue)
        self.delete(KEY)
        arrived = next(message for message in self.queue if message not in waiting)
        arrived.arrival = replace(arrived.arrival, expired=True)
        self.deliver(arrived)


def expiring(live: str = "works", **there: Any) -> Callable[[], Expiring]:
    prepared = scene(live=live, **there)

    def make() -> Expiring:
        world = Expiring()
        world.as_in(prepared())
        world.upload_event_again(KEY)
        message = world.queue[-1]
        world.actors = {
            "expire": world.expire,
            "look": world.look,
            "again": partial(world.deliver, message),
            "v2": partial(arrive, world, partial(world.upload, KEY, content("works", note="v2"))),
        }
        return world

    return make


@pytest.mark.parametrize(
    ("first", "second"), [("expire", "look"), ("look", "expire"), ("again", "expire"), ("expire", "again")]
)
def test_what_a_lifecycle_rule_deletes_stays_live_and_is_verified(first: str, second: str) -> None:
    found = walk(expiring(before="works"), first, second)
    assert not found.broken, str(found)


def test_a_roll_back_of_what_a_lifecycle_rule_has_deleted_goes_on() -> None:
    world = scene(before="works", live="breaks")()
    expired = Expiring()
    expired.as_in(world)
    expired.expire()
    assert expired.rest()
    live, standing = expired.s3.buckets[LIVE].newest(KEY), expired.standing(KEY)
    assert live is not None
    assert standing is not None
    assert live.body == content("works", note="v0")
    assert standing.stage == "rolled-back"
