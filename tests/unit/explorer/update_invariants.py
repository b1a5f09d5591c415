"""What must hold of requirements, plugins and startup script when nothing is on its way; each broken one a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.verdict_tag import TAG
from jetway.updates.record import MEMBERS, in_force, place_of

from .promotion_world import DROP, LIVE
from .s3 import Version
from .update_world import UpdateWorld, truth_in

BAD = {"breaks", "fails", "silences", "unfound"}
_MOST_ALIKE = 2


def judge(world: UpdateWorld) -> list[str]:
    """Bring the world to rest and say what is broken."""
    broken = [] if world.rest() else [f"11: something is never done: {world.records.get().phase}."]
    for key in MEMBERS:
        broken += (f"{key}: {each}" for each in _of_key(world, key))
    for changes, times in _repeated(world):
        broken.append(f"12: the same update {times} times: {changes}")
    return broken


def _repeated(world: UpdateWorld) -> Iterator[tuple[str, int]]:
    """The same update more than twice, with none of somebody else's in between that is gone back from."""
    asked = Counter[str]()
    for update in world.mwaa.updates:
        if update.by == "jetway":
            asked[str(sorted(update.changes.items()))] += 1
        elif any(name.endswith("S3Path") for name in update.changes):
            yield from ((changes, times) for changes, times in asked.items() if times > _MOST_ALIKE)
            asked.clear()
    yield from ((changes, times) for changes, times in asked.items() if times > _MOST_ALIKE)


def _of_key(world: UpdateWorld, key: str) -> Iterator[str]:
    dropped = world.s3.buckets[DROP].keys.get(key, [])
    yield from _agrees(world, key)
    for blamed in world.rolled_back(key):
        version = next((each for each in dropped if each.id == blamed), None)
        if version is not None and truth_in(version.body)[0] not in BAD:
            yield f"10: {blamed} was rolled back, and it works."
    if dropped:
        yield from _is_right(world, key, dropped)
    for version in dropped:
        if version.body is not None:
            yield from _is_told(world, key, version, version is dropped[-1])


def _source(world: UpdateWorld, key: str) -> str | None:
    """The source of what is in force; "theirs" for what never came through the drop bucket."""
    there = in_force(world.facts(), key)
    if there is None:
        return None
    found = world.s3.buckets[LIVE].exactly(*there)
    return found.metadata.get(SOURCE_VERSION, "theirs") if found else "gone"


def _agrees(world: UpdateWorld, key: str) -> Iterator[str]:
    """8 and 13: the environment names what the standing calls live, or somebody was told why not."""
    standing, there = world.table.get(key), in_force(world.facts(), key)
    if standing is None or standing.live is None or not standing.live.version_id:
        return
    if there == place_of(standing.live):
        if standing.stage not in {"good", "rolled-back"}:
            yield f"8: it is in force, and the standing says {standing.stage}."
        return
    told = {news.event.detail_type for news in world.news}
    if standing.stage == "by-hand" and "ArtifactOvertaken" in told:
        return
    if world.records.get().owed.get(key) and "EnvironmentUpdateStalled" in told:
        return
    yield f"8: the standing names {standing.live.source} ({standing.stage}), in force is {_source(world, key)}."


def _is_right(world: UpdateWorld, key: str, dropped: list[Version]) -> Iterator[str]:
    source, content = _source(world, key), world.in_force(key)
    if source == "theirs" or _is_chosen(world, key):
        standing = world.table.get(key)
        live = standing.live if standing is not None and standing.live is not None and standing.live.ours else None
        agrees = live is not None and place_of(live) == in_force(world.facts(), key)
        if live is not None and not agrees and "ArtifactOvertaken" not in world.told_types():
            yield "13: somebody else's is in force, and nobody was told."
        if source != "theirs" and truth_in(content)[0] in BAD:
            yield f"8: {source} is in force, which {truth_in(content)[0]}: Jetway knows that."
        return
    if truth_in(content)[0] in BAD:
        yield f"8: {source} is in force, which {truth_in(content)[0]}."
    newest = dropped[-1]
    if newest.body is None:
        if source in {version.id for version in dropped}:
            yield f"the file was deleted, and {source} is in force."
    elif truth_in(newest.body)[0] not in BAD and content != newest.body:
        yield f"{newest.id} works and is the newest, and in force is {source}."


def _is_chosen(world: UpdateWorld, key: str) -> bool:
    """Whether somebody else has pointed the environment at what is in force, which may be one of ours."""
    path, version = f"{MEMBERS[key]}S3Path", f"{MEMBERS[key]}S3ObjectVersion"
    described = world.mwaa.described
    for update in reversed(world.mwaa.updates):
        if path in update.changes and all(described.get(name) == update.changes.get(name) for name in (path, version)):
            return update.by != "jetway"
    return False


def _is_told(world: UpdateWorld, key: str, version: Version, newest: bool) -> Iterator[str]:
    """4: the report tells the last fate."""
    found = world.s3.buckets[DROP].newest(f"reports/{key}/{version.id}.json")
    if found is None:
        if newest:
            yield f"4: {version.id} has no report."
        return
    report, standing, tag = world.report(key, version.id), world.table.get(key), version.tags.get(TAG)
    outcome, state = report.get("outcome"), (report.get("in_force") or {}).get("state")
    if version.id in world.rolled_back(key):
        if (outcome, state) not in {("rolled-back", None), ("rolled-back", "not-applied")}:
            yield f"4: {version.id} was rolled back; its report says {outcome}, {state}."
        if tag != "rolled-back":
            yield f"4: {version.id} was rolled back; its tag says {tag}."
    elif standing is not None and standing.live is not None and standing.live.source == version.id:
        wanted = "replaced-by-hand" if standing.stage == "by-hand" else "verified"
        if (outcome, state) != ("promoted", wanted):
            yield f"4: {version.id} is {standing.stage}; its report says {outcome}, {state}."
        if tag != "accepted":
            yield f"4: {version.id} is {standing.stage}; its tag says {tag}."
    elif outcome in {"removed", "superseded"} and tag != outcome:
        yield f"4: {version.id} is {outcome}; its tag says {tag}."
