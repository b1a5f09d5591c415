"""What is left to be done about a key, after somebody has done something: one decision from all that is there. Pure.

The rule: live is the newest version that is not known to be bad. What is known to be bad was seen to fail in the
environment, or was refused by the gate. When what was live comes back after one that failed, it stays; when nothing
comes back, or the newest were refused, those that were passed over have their turn, newest first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jetway.promotion.artifact_state import BY_HAND

if TYPE_CHECKING:
    from jetway.promotion.artifact_state import ArtifactState

Agreement = Literal["agree", "gone", "by-hand", "bad", "other"]


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A key, as it is seen after something was done about it.

    Attributes:
        newest: the newest version in the drop bucket; None when the file is deleted.
        there: source of the object in the environment's bucket, `BY_HAND` when it has none; None without an object.
        standing: what the table says.
        settled: the version that was settled just now; None for a deletion.
        outcome: what became of it.
        refused: versions that the gate has refused just now.
        by_update: it comes into force by an update of the environment, and is not in the dags folder.
    """

    newest: str | None
    there: str | None
    standing: ArtifactState | None
    settled: str | None
    outcome: str
    refused: Collection[str] = ()
    by_update: bool = False


@dataclass(frozen=True, slots=True)
class NextStep:
    """What is to be done next.

    Attributes:
        action: "settle" - that version; "take-out" - the file was deleted; "overtake" - something was put there by
            hand; "roll-back" - what is live is known to be bad; "find" - the version that is wanted, if any.
    """

    action: Literal["done", "settle", "take-out", "overtake", "roll-back", "find"]
    version: str | None = None


_DONE, _FIND = NextStep("done"), NextStep("find")


def next_step(seen: SeenKey) -> NextStep:
    """Decide what is left to be done."""
    if seen.newest is None:
        return _after_deletion(seen)
    if seen.settled is None:
        return NextStep("settle", seen.newest)  # it has come again: what the deletion took away is due to it
    if seen.by_update and seen.outcome == "rolled-back":
        return _DONE  # its object stays where it is: what is in force is for the updates to tell
    bad = {*seen.refused, *(seen.standing.rolled_back if seen.standing is not None else ())}
    agreement = "agree" if seen.by_update else compare(seen.standing, seen.there)
    if agreement != "agree":
        return _put_right(seen, agreement, bad)
    if seen.there == seen.settled and (seen.outcome != "promoted" or (seen.newest not in bad | {seen.settled})):
        # Somebody has made ours live though it was passed over; or a newer one has come while we copied.
        return NextStep("settle", seen.settled if seen.outcome != "promoted" else seen.newest)
    # Another one that has come meanwhile has an event of its own.
    return _DONE if seen.by_update or seen.newest not in bad | {seen.settled} else _FIND


def _after_deletion(seen: SeenKey) -> NextStep:
    if seen.by_update:
        return _DONE if seen.settled is None or seen.outcome == "vanished" else NextStep("take-out")
    standing = seen.standing
    named = standing is not None and standing.live is not None and standing.live.ours
    if named and standing is not None and standing.stage == "rolling-back":
        named = False  # the next look closes it
    if seen.there == BY_HAND:
        return NextStep("overtake") if named else _DONE
    return NextStep("take-out") if named or seen.there is not None else _DONE


def _put_right(seen: SeenKey, agreement: Agreement, bad: Collection[str]) -> NextStep:
    if seen.standing is not None and seen.standing.stage == "rolling-back":
        # The next look is at it; but it knows nothing of one that was passed over for the newest.
        return _FIND if seen.newest in bad else _DONE
    if agreement == "by-hand":
        return NextStep("overtake")
    if agreement == "bad":
        return NextStep("roll-back")
    return NextStep("settle", seen.there) if agreement == "other" else _FIND


def compare(standing: ArtifactState | None, there: str | None) -> Agreement:
    """What the standing and the environment's bucket say of each other: nothing is closed or blamed before they agree.

    Args:
        there: source of the object that is live, `BY_HAND` when it has none; None when there is no object.

    Returns:
        "gone": the standing names a version, and nothing is there. "by-hand": somebody's own object is there.
        "bad": a version is there that was rolled back. "other": a version is there that the standing does not name.
    """
    live = standing.live if standing is not None else None
    if there is None:
        return "agree" if live is None or not live.ours else "gone"
    if there == BY_HAND:
        return "agree" if live is None or not live.ours else "by-hand"
    if standing is not None and there in standing.rolled_back:
        return "bad"
    return "agree" if live is not None and live.source == there else "other"


def wanted(dropped: Iterable[str], bad: Collection[str], refused: Collection[str], live: str | None) -> str | None:
    """Which version is to be live: the newest that is not known to be bad; None when nothing is to be done.

    Args:
        dropped: the versions in the drop bucket, newest first.
        bad: those that were rolled back.
        refused: those that the gate rejected.
        live: source of what is live and not bad; None when nothing is.
    """
    for version in dropped:
        if version == live or (version in bad and live is not None):
            return None  # what is older was superseded; what was live before a bad one is back
        if version not in bad and version not in refused:
            return version
    return None
