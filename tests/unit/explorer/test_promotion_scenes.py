"""What happens to a key in a row, or all at once, that the walk of two actors has not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from jetway.errors import TransientError
from jetway.promotion.reports import amend_report, outcome_of

from .invariants import judge
from .promotion_world import DROP, LIVE, MINUTE, PromotionWorld, content
from .scenes import KEY, OTHER, Scene, scene
from .walker import KilledError, Play, play_it


def act(world: Scene, name: str) -> None:
    """Do what a person does: "up works", "up same" (the bytes of the newest again), "delete", "undelete", "by hand"."""
    dropped = world.s3.buckets[DROP].keys.get(KEY, [])
    uploads = [version for version in dropped if version.body is not None]
    if name == "up same":
        world.upload(KEY, (uploads[-1].body if uploads else None) or content("works"))
    elif name.startswith("up "):
        world.upload(KEY, content(name.removeprefix("up "), note=f"at once {len(dropped)}"))
    elif name == "delete" and world.s3.buckets[DROP].newest(KEY):
        world.delete(KEY)
    elif name == "undelete" and dropped[-1].body is None:
        world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=dropped[-1].id)
    elif name == "by hand":
        world.put_by_hand(KEY, content("works", note="by hand"))


def with_people(make: Callable[[], Scene], acts: Sequence[str], *, in_order: bool = True) -> Callable[[], Scene]:
    """The scene with one more actor: people do several things, and then all events are delivered."""

    def made() -> Scene:
        world = make()

        def people() -> None:
            waiting = list(world.queue)
            for name in acts:
                act(world, name)
            come = [each for each in world.queue if each not in waiting]
            for message in come if in_order else reversed(come):
                world.deliver(message)

        world.actors = {**world.actors, "people": people}
        return world

    return made


def in_every_place(make: Callable[[], Scene], outer: str, inner: str) -> list[str]:
    """Run one actor in every place of another; return what is broken, and where."""
    broken: list[str] = []
    done, calls = 0, 1
    while done <= calls:
        frames, found = play_it(make, Play(outer, ((done, Play(inner)),)))
        calls = len(frames[0].calls)
        broken += [str(found)] if found is not None else []
        done += 1
    return broken


@pytest.mark.parametrize(
    ("passed_over", "before", "world"),
    [
        ("works", "works", {}),
        ("breaks", "works", {}),
        ("works", "", {}),
        ("works", "works", {"versions_in_events": False}),
    ],
    ids=["over a good one", "a bad one", "the first", "events without a version"],
)
def test_one_that_is_passed_over_for_a_refused_one_during_a_roll_back_has_its_turn(
    passed_over: str, before: str, world: dict[str, Any]
) -> None:
    make = scene(before=before, live="breaks", **world)
    acts = (f"up {passed_over}", "up refused")
    assert in_every_place(with_people(make, acts), "look", "people") == []


AT_ONCE = (
    ("delete", "up works"),
    ("delete", "up same"),
    ("up works", "delete"),
    ("up breaks", "up works"),
    ("up refused", "delete", "up works"),
    ("by hand", "up works"),
    ("up works", "by hand"),
    ("by hand", "delete"),
    ("delete", "undelete"),
    ("up works", "up refused", "up breaks"),
    ("up same", "up refused"),
    ("up breaks", "up refused", "delete", "up same"),
)
# What is there before, and who is at work meanwhile.
AT_WORK: tuple[tuple[dict[str, Any], tuple[str, ...], str], ...] = (
    ({"live": "breaks"}, (), "look"),
    ({"before": "works", "live": "breaks"}, (), "look"),
    ({"live": "works"}, (), "look"),
    ({"before": "works"}, ("works",), "v1"),
    ({"live": "works"}, ("breaks",), "v2"),
    ({"before": "works"}, (), "delete"),
)


@pytest.mark.slow
@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "the last event first"])
@pytest.mark.parametrize("acts", AT_ONCE, ids=" and ".join)
def test_several_things_that_people_do_at_once_end_well(acts: tuple[str, ...], *, in_order: bool) -> None:
    for there, uploads, outer in AT_WORK:
        make = with_people(scene(*uploads, **there), acts, in_order=in_order)
        assert in_every_place(make, outer, "people") == []


def test_what_comes_back_and_ends_its_parser_is_not_called_good() -> None:
    """It was never verified: that its DAGs are not there has still to be seen."""
    world = PromotionWorld()
    world.prepare(OTHER, content("works", "other"))
    for truth in ("silent", "breaks"):
        world.upload(KEY, content(truth))
        world.deliver(world.queue[-1])
    assert judge(world) == []


@pytest.mark.parametrize("lag", [20, 90, 150])
def test_a_helper_that_has_just_come_is_still_to_be_parsed(lag: int) -> None:
    """A look that falls between its promotion and the next parsing sees the error still."""
    assert scene(helper=True, live="needs helper", lag=timedelta(seconds=lag))().judge() == []


def test_nobody_is_told_of_a_file_that_waits_where_errors_prove_nothing() -> None:
    world = scene(helper=True, live="needs helper", judges=False, tells_parses=False)()
    assert world.judge() == []
    assert "ArtifactNeverAppeared" not in {news.event.detail_type for news in world.news}


def test_a_file_that_has_waited_for_an_hour_is_still_to_be_seen_twice() -> None:
    """Its patience has run out by then, for want of the module."""
    world = scene(helper=True, live="needs helper")()
    world.queue[0].not_before = world.now + timedelta(hours=1)
    assert world.judge() == []
    assert stage(world) == "good"


def test_killed_when_it_is_called_good_the_report_says_so_all_the_same() -> None:
    """Long after its promotion, so that no last look is due."""
    make = scene(live="works", lag=timedelta(minutes=4, seconds=30))

    def looked(times: int, killed_after: int | None = None) -> Scene:
        world = make()
        world.street.actors = world.actors
        for number in range(times):
            world.now += MINUTE
            world.street.perform(Play("look", killed_after=killed_after if number == times - 1 else None))
        return world

    times = next(times for times in range(1, 30) if stage(looked(times)) == "good")
    for after in looked(times).street.played[-1].writes:
        assert looked(times, after).judge() == [], after


def test_a_version_without_a_report_gets_one_when_it_is_called_good() -> None:
    """Its gate was killed before the report, and its message is lost; it is seen long after its promotion."""

    def delivered(killed_after: int | None = None) -> PromotionWorld:
        world = PromotionWorld(lag=timedelta(minutes=4, seconds=30))
        world.upload(KEY, content("works"))
        world.street.actors = {"gate": lambda: world.deliver(world.queue[0])}
        world.street.perform(Play("gate", killed_after=killed_after))
        return world

    calls = delivered().street.played[0].calls
    world = delivered(calls.index("dynamodb.put_item") + 1)
    world.queue.clear()
    assert judge(world) == []


def stage(world: Scene) -> str:
    standing = world.standing(KEY)
    assert standing is not None
    return standing.stage


def test_a_look_judges_only_what_was_live_when_airflow_was_asked() -> None:
    """The version that is live by then is of a clock that is behind: by the look's, it has had its time."""
    make = scene("works", live="breaks", skew=timedelta(seconds=600))
    assert in_every_place(make, "look", "v2") == []


@pytest.mark.parametrize("newer", ["breaks", "refused"])
def test_what_is_live_and_gone_from_the_drop_bucket_stays_while_all_that_is_newer_is_bad(newer: str) -> None:
    """An old version was deleted by its id, or has expired: the message that tells of it, or of another, ends."""
    world = PromotionWorld()
    version = world.prepare(KEY, content("works"))
    world.prepare(KEY, content(newer))
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=version)
    for _ in range(2):
        assert world.rest(), "every message is dealt with"
        live = world.s3.buckets[LIVE].newest(KEY)
        assert live is not None
        assert live.body == content("works")
        world.upload(KEY, content("refused", note="once more"))


def test_what_was_copied_by_one_who_died_and_is_gone_from_the_drop_bucket_is_taken_up() -> None:
    world = PromotionWorld()
    version = world.upload(KEY, content("works"))
    made = world.s3.copy_object

    def copied_and_killed(**arguments: Any) -> None:
        made(**arguments)
        raise KilledError

    world.s3.copy_object = copied_and_killed  # type: ignore[method-assign, assignment]
    with pytest.raises(KilledError):
        world.deliver(world.queue[0])
    world.s3.copy_object = made  # type: ignore[method-assign]
    world.upload(KEY, content("refused"))
    world.s3.delete_object(Bucket=DROP, Key=KEY, VersionId=version)
    assert world.rest(), "every message is dealt with"
    standing = world.standing(KEY)
    assert standing is not None
    assert standing.live is not None
    assert (standing.stage, standing.live.source) == ("good", version)


@pytest.mark.parametrize("times", [1, 2])
def test_the_latest_report_tells_the_last_fate_though_another_write_was_in_the_way(times: int) -> None:
    """S3 answers 409 while another conditional write is on its way: that is no newer report."""
    world = PromotionWorld()
    version = world.prepare(KEY, content("works"))
    world.s3.conflicts["PutObject"] = times
    client: Any = world.s3
    amend_report(client, DROP, KEY, version, {"outcome": "removed"})
    assert [outcome_of(client, DROP, KEY, name) for name in (version, "latest")] == ["removed", "removed"]


def test_a_latest_report_that_others_keep_writing_is_amended_later() -> None:
    world = PromotionWorld()
    version = world.prepare(KEY, content("works"))
    world.s3.conflicts["PutObject"] = 99
    client: Any = world.s3
    with pytest.raises(TransientError, match="again and again"):
        amend_report(client, DROP, KEY, version, {"outcome": "removed"})
