"""What must hold of every key when nothing is left to be done; each broken invariant is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jetway.artifacts.keys import report_key
from jetway.artifacts.kinds import is_artifact
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.restore import INSTEAD_OF
from jetway.promotion.verdict_tag import TAG
from tests.unit.explorer.promotion_world import DROP, LIVE, PromotionWorld, truth_of
from tests.unit.explorer.s3 import Version

# Outcome of a report: the event that tells of it, and the tag; None: the verdict.
TELLS: dict[str, tuple[str, str | None]] = {
    "promoted": ("ArtifactPromoted", None),
    "quarantined": ("ArtifactRejected", "rejected"),
    "superseded": ("ArtifactSuperseded", "superseded"),
    "vanished": ("ArtifactVanished", "vanished"),
    "rolled-back": ("ArtifactRolledBack", "rolled-back"),
    "removed": ("ArtifactRemoved", "removed"),
}


def label(version: Version) -> str:
    """What Jetway names it by: where versioning is suspended, its content."""
    return version.id if version.id != "null" else "etag-" + version.etag.strip('"')


def judge(world: PromotionWorld) -> list[str]:
    """Bring the world to rest and say what is broken."""
    broken = [] if world.rest() else ["something is never done."]
    drop = world.s3.buckets[DROP]
    for key in [key for key in drop.keys if is_artifact(key)]:
        broken += (f"{key}: {each}" for each in _of_key(world, key))
    return broken


def _of_key(world: PromotionWorld, key: str) -> Iterator[str]:
    dropped = list(world.s3.buckets[DROP].keys[key])
    uploads = [version for version in dropped if version.body is not None]
    live = world.s3.buckets[LIVE].newest(key)
    source = live.metadata.get(SOURCE_VERSION, "by hand") if live else None
    yield from _agrees(world, key, source)
    markers = [place for place, version in enumerate(dropped) if version.body is None]
    yield from _is_right(world, key, dropped[markers[-1] if markers else 0 :], uploads, source)
    yield from _latest(world, key)
    for version in uploads:
        yield from _is_told(world, key, version, version is dropped[-1], source)


def _agrees(world: PromotionWorld, key: str, source: str | None) -> Iterator[str]:
    """1: the standing says what the bucket holds."""
    standing = world.standing(key)
    named = standing.live.source if standing and standing.live else None
    if source == "by hand":
        named = "by hand" if standing is None or standing.live is None or not standing.live.ours else named
    if named != source:
        yield f"1: the standing names {named}, the bucket holds {source}."


def _is_right(
    world: PromotionWorld, key: str, dropped: list[Version], uploads: list[Version], source: str | None
) -> Iterator[str]:
    """2, 3 and 5: what is live is what should be, and nobody is blamed who is innocent.

    Args:
        dropped: what came since the file was deleted last; what is below that was deleted with it.

    One that another file blames was seen to fail. Whether it was at fault is found out by its trial, which something
    newer ends: another version that is live, an object that was put there by hand, or a deletion.
    """
    standing = world.standing(key)
    rolled_back = standing.rolled_back if standing else ()
    fates = {label(version): _fate(world, version) for version in uploads}
    there = [label(version) for version in dropped if version.body is not None]
    accepted = [version for version in there if fates[version] != "refused"]
    for blamed in rolled_back:
        if fates.get(blamed, "fails") != "fails" and not (world.grudges and _is_past(key, blamed, uploads, world)):
            yield f"2: {blamed} was rolled back, and it works."
    if source == "by hand":
        return
    if not there:
        if source is not None:
            yield f"5: the file was deleted, and {source} is live."
        return
    if standing is not None and standing.stage == "removed" and any(fates[version] == "works" for version in there):
        yield "5: the standing says removed, and nobody has deleted the file."
    live = world.s3.buckets[LIVE].newest(key)
    if source is not None and live is not None:
        fate = fates.get(source) or _fate(world, live)  # where versioning is suspended, it may have been overwritten
        if fate != "works":
            yield f"3: {source} is live, which {fate}."
    if source is None and "works" in {fates[version] for version in there}:
        yield "3: nothing is live, and there is a version that works."
    if accepted and source != accepted[-1] and accepted[-1] not in rolled_back:
        yield f"2: {accepted[-1]} is the newest that the gate accepts; it is neither live nor rolled back."


def _is_past(key: str, blamed: str, uploads: list[Version], world: PromotionWorld) -> bool:
    """Whether something newer than a version is live, somebody has put something there by hand, or it was deleted."""
    copies = world.s3.buckets[LIVE].keys.get(key, [])
    live = world.s3.buckets[LIVE].newest(key)
    source = live.metadata.get(SOURCE_VERSION) if live is not None else None
    order = [label(version) for version in uploads]
    newer = order[order.index(blamed) + 1 :] if blamed in order else order
    was_live = next((at for at, copy in enumerate(copies) if copy.metadata.get(SOURCE_VERSION) == blamed), 0)
    by_hand = any(copy.body and not {SOURCE_VERSION, INSTEAD_OF} & {*copy.metadata} for copy in copies[was_live:])
    deleted = any(label(version) == blamed and _is_deleted(world, key, version) for version in uploads)
    return by_hand or deleted or source in newer


def _is_told(world: PromotionWorld, key: str, version: Version, newest: bool, source: str | None) -> Iterator[str]:
    """4 and 5: report, tag and event tell the last fate, and the same one."""
    standing = world.standing(key)
    report, tag, told = _report(world, key, label(version)), version.tags.get(TAG), world.told(key, label(version))
    outcome = report.get("outcome") if report else None
    said = f"report {outcome}, tag {tag}, events {sorted(told)}"
    if report is None:
        if newest or tag is not None or told or (key, label(version)) in world.judged:
            yield f"4: {label(version)} has no report; tag {tag}, events {sorted(told)}."
        return
    event, tagged = TELLS[str(outcome)]
    if tag != (tagged or report["verdict"]) or event not in told:
        yield f"4: they differ about {label(version)}: {said}."
    state = (report.get("in_force") or {}).get("state")
    fates = {"promoted", "superseded"} if source == "by hand" else {"superseded", "promoted", "quarantined"}
    if standing is not None and label(version) in standing.rolled_back:
        fates = {"rolled-back"}
    elif label(version) == source:
        fates = {"promoted"}
        if state != "verified":
            yield f"4: {label(version)} is live; its report says {state}."
    elif newest and _fate(world, version) == "refused":
        fates = {"quarantined"}
    elif not newest and _is_deleted(world, key, version):
        fates |= {"vanished", "removed", "quarantined"}
    if outcome not in fates:
        yield f"{'5' if outcome in {'vanished', 'removed'} else '4'}: {label(version)} is not {outcome}: {said}."


def _is_deleted(world: PromotionWorld, key: str, version: Version) -> bool:
    """Whether the file was deleted after this version came."""
    dropped = world.s3.buckets[DROP].keys[key]
    return any(each.body is None for each in dropped[dropped.index(version) :])


def _latest(world: PromotionWorld, key: str) -> Iterator[str]:
    """4: the latest report is that of its version."""
    latest = _report(world, key, "latest")
    own = _report(world, key, latest["source"]["version"] or "etag-" + latest["source"]["etag"]) if latest else None
    if _but_when(latest) != _but_when(own):
        yield f"4: the latest report says {(latest or {}).get('outcome')}, its version's {(own or {}).get('outcome')}."


def _but_when(report: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A report without when it was judged, and how long that took: two deliveries judge a version twice."""
    return {name: value for name, value in (report or {}).items() if name not in {"judged_at", "seconds"}}


def _fate(world: PromotionWorld, version: Version) -> str:
    """What a version deserves: works, fails (in the environment) or refused (by the gate)."""
    truth, needed = truth_of(version.body or b"")
    if truth == "needs":
        return "works" if world.s3.buckets[LIVE].newest(f"dags/{needed}.py") else "fails"
    return {"breaks": "fails", "silent": "fails", "hurts": "fails"}.get(truth, truth)


def _report(world: PromotionWorld, key: str, version: str) -> Mapping[str, Any] | None:
    found = world.s3.buckets[DROP].newest(report_key(key, version))
    if found is None:
        return None
    document: Mapping[str, Any] = json.loads(found.body or b"")
    return document
