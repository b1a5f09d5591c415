"""The manifest as it lies in the drop bucket."""

from __future__ import annotations

from .world import World, event


def test_a_manifest_is_json_by_its_type_too(world: World) -> None:
    world.take([event(number) for number in range(5)])
    (found,) = world.s3.list_objects_v2(Bucket="drop")["Contents"]
    assert world.s3.head_object(Bucket="drop", Key=found["Key"])["ContentType"] == "application/json"
