"""What happens to a key in a row, or all at once, that the walk of two actors has not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jetway.errors import TransientError
from jetway.reports import amend_report, outcome_of

from .invariants import judge
from .promotion_world import DROP, LIVE, MINUTE, PromotionWorld, content
from .scenes import KEY, OTHER, Scene, scene
from .walker import KilledError, Play, play_it


def with_two_uploads(make: Callable[[], Scene], first: str, second: str) -> Callable[[], Scene]:
    """The scene with one more actor: two versions are uploaded, and then both events are delivered."""

    def made() -> Scene:
        world = make()

        def both() -> None:
            waiting = list(world.queue)
            for number, truth in enumerate((first, second)):
                world.upload(KEY, content(truth, note=f"both {number}"))
            for message in [each for each in world.queue if each not in waiting]:
                world.deliver(message)

        world.actors = {**world.actors, "both": both}
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


@pytest.mark.parametrize("world", [{}, {"versions_in_events": False}], ids=["as it is", "events without a version"])
@pytest.mark.parametrize("before", ["works", ""], ids=["over a good one", "the first"])
@pytest.mark.parametrize("passed_over", ["works", "breaks"])
def test_one_that_is_passed_over_for_a_refused_one_during_a_roll_back_has_its_turn(
    passed_over: str, before: str, world: dict[str, Any]
) -> None:
    make = scene(before=before, live="breaks", **world)
    assert not in_every_place(with_two_uploads(make, passed_over, "refused"), "look", "both")


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
