"""What somebody puts into the environment's bucket past the drop bucket is theirs: told, left, and never lost."""

from __future__ import annotations

import json
from typing import Any

from jetway.artifacts.keys import report_key
from jetway.promotion.artifact_state import ArtifactState
from tests.unit.explorer.promotion_world import DROP, LIVE, START, PromotionWorld, content
from tests.unit.explorer.scenes import KEY

BY_HAND = content("works", note="by hand")


def report(world: PromotionWorld, version: str) -> Any:
    found = world.s3.get_object(Bucket=DROP, Key=report_key(KEY, version))
    return json.loads(found["Body"].read())


def live(world: PromotionWorld) -> bytes | None:
    found = world.s3.buckets[LIVE].newest(KEY)
    return found.body if found else None


def test_over_a_version_that_is_being_verified_it_stays_and_is_told() -> None:
    world = PromotionWorld()
    version = world.upload(KEY, content("breaks"))
    world.deliver(world.queue[0])
    world.put_by_hand(KEY, BY_HAND)
    assert world.rest()
    assert live(world) == BY_HAND
    standing = world.standing(KEY)
    assert standing is not None
    assert (standing.stage, standing.live, standing.rolled_back) == ("by-hand", None, ()), "it is not at fault"
    assert report(world, version)["in_force"]["state"] == "replaced-by-hand"
    (news,) = [news for news in world.news if news.event.detail.get("by_hand")]
    assert "without the drop bucket" in str(news.message)


def test_the_event_of_that_version_comes_again_and_takes_nothing_from_them() -> None:
    world = PromotionWorld()
    world.upload(KEY, content("works"))
    first = world.queue[0]
    world.deliver(first)
    world.put_by_hand(KEY, BY_HAND)
    world.upload_event_again(KEY)
    assert world.rest()
    assert live(world) == BY_HAND


def test_under_a_later_version_it_is_told_and_comes_back_with_a_roll_back() -> None:
    world = PromotionWorld()
    world.put_by_hand(KEY, BY_HAND)
    version = world.upload(KEY, content("breaks"))
    world.deliver(world.queue[0])
    assert [finding["rule"] for finding in report(world, version)["findings"]] == ["onto-by-hand"]
    assert world.rest()
    assert live(world) == BY_HAND
    assert report(world, version)["outcome"] == "rolled-back"


def test_a_bucket_without_versions_is_told_of() -> None:
    world = PromotionWorld()
    world.s3.make(LIVE, versioned=False)
    version = world.upload(KEY, content("breaks"))
    world.deliver(world.queue[0])
    (finding,) = report(world, version)["findings"]
    assert finding["rule"] == "bucket-without-versions"
    assert "put-bucket-versioning" in finding["remedy"]
    assert world.rest()
    assert live(world) is None, "what does not work is taken out all the same"


def test_a_standing_of_an_earlier_release_is_taken_up() -> None:
    """It has neither `untold` nor `sight`, and is stuck: the bucket holds something else than it says."""
    world = PromotionWorld()
    version = world.upload(KEY, content("works"))
    assert world.rest()
    standing = world.standing(KEY)
    assert standing is not None
    values = json.loads(standing.as_json())
    del values["untold"], values["live"]["sight"], values["good"]["sight"]
    values |= {"stage": "verifying", "due_at": START.isoformat(), "good": None}
    values["live"] |= {"source": "d999"}
    item = world.dynamodb.tables["artifacts"][f"artifact#{KEY}"]
    item |= {"standing": {"S": json.dumps(values)}, "open": {"S": "open"}, "due_at": {"S": START.isoformat()}}
    assert ArtifactState.from_json(json.dumps(values), 1).live is not None
    assert world.rest()
    healed = world.standing(KEY)
    assert healed is not None
    assert (healed.stage, healed.live and healed.live.source, healed.rolled_back) == ("good", version, ())
