"""How updates of the environment change the standings of what they bring. Pure, but for `close`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from jetway.promotion.artifact_state import ArtifactState, LiveVersion, verified
from jetway.promotion.rollout import Rollout
from jetway.updates.record import Debt, UpdateRecord, members, place_of

if TYPE_CHECKING:
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import UpdateTable

OpenStage = Literal["waiting", "updating", "verifying"]
Change = Callable[[ArtifactState | None], ArtifactState]


def close(
    record: UpdateRecord,
    records: UpdateTable,
    standings: ArtifactStateTable,
    say_in_report: Callable[[str, LiveVersion, Rollout], None],
    now: datetime,
) -> None:
    """Write down that what an update has brought works; done again, it changes nothing.

    Raises:
        StandingChangedError: another invocation was faster.
    """
    for key, live in record.artifacts.items():
        say_in_report(key, live, Rollout("verified", now))
        standings.change(key, good(key, live))
    records.put(record.idle())


def bad_of(owed: Mapping[str, Debt]) -> dict[str, LiveVersion]:
    return {key: debt.bad for key, debt in owed.items()}


def sources_of(owed: Mapping[str, Debt]) -> dict[str, str]:
    return {key: f"back from {debt.bad.source}" for key, debt in owed.items()}


def is_brought(record: UpdateRecord, key: str) -> bool:
    """Whether an artifact is brought by the update, and not left of the one before."""
    return members(key, *place_of(record.artifacts[key])).items() <= record.changes.items()


def staged(
    key: str, live: LiveVersion, stage: Literal["waiting", "updating", "verifying"]
) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or ArtifactState(key, "removed")  # a newer version waits already
        return replace(standing, stage=stage, due_at=None)

    return change


def good(key: str, live: LiveVersion) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        standing = standing or ArtifactState(key, "removed")
        if standing.live is None or standing.live.source != live.source:
            return replace(standing, good=live)  # a newer version waits already
        return verified(standing, ())

    return change


def is_in_force(live: LiveVersion, there: tuple[str, str]) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or ArtifactState(live.key, "removed")  # a newer version waits already
        return verified(replace(standing, live=replace(live, key=there[0], version_id=there[1])), ())

    return change


def is_gone(key: str, live: LiveVersion) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or ArtifactState(key, "removed")
        return replace(standing, stage="removed", live=None, good=None, problems=(), due_at=None)

    return change


def nothing_is_live(key: str, nothing: LiveVersion) -> Callable[[ArtifactState | None], ArtifactState]:
    def change(standing: ArtifactState | None) -> ArtifactState:
        standing = standing or ArtifactState(key, "removed")
        if standing.stage != "rolled-back" or standing.live is not None:
            return standing
        return replace(standing, live=nothing)

    return change
