"""What the updates of the environment need next, and when: one pure decision from record, environment and standings.

Whose update it was is told by LastUpdate.CreatedAt alone: ours is the one that the environment showed right after it
had taken our call. What an update did is read from what is in force, artifact by artifact; only of one that is ours
and has failed, a version that is not in force was tried and did not work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from jetway.updates.record import Debt, UpdateRecord, all_in_force, in_force, place_of

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.artifact_state import ArtifactState, LiveVersion

# A call that was written down, and has neither been taken nor shown for so long, was not made: its function has died.
CALL_AGAIN_AFTER = timedelta(seconds=90)
# GetEnvironment may be old for a while; an update that it took is not asked for again meanwhile.
SHOWN_AFTER = timedelta(minutes=10)
# An update takes longer: until then no other one follows it.
SHORTEST_UPDATE = timedelta(minutes=5)
# Between a call and the beginning that the environment tells of it.
_SAME_MOMENT = timedelta(minutes=1)
# The environment's state may be the reason for a refusal; it is not, if it refuses so often, so far apart.
REFUSED_FOR_GOOD = 3
REFUSALS_APART = timedelta(minutes=3)
# An update that leaves Airflow without an answer for so long has broken it.
SILENT_AFTER_UPDATE = timedelta(minutes=30)
# So much later than it is due, a look is missed.
_MISSED = timedelta(minutes=3)
# Without an answer for so long before an update, what was known of import errors has to do.
SILENT_BEFORE_UPDATE = timedelta(minutes=15)
FAILED_FOR_GOOD = 3
# Bounds that could not go along by then are decided anew.
_WORKERS_WAIT = timedelta(minutes=15)
# With ApplyUpdates manual, how old the import errors may be that an update is compared with.
_LOOK_BEFORE = timedelta(minutes=10)
# So long the first of several artifacts waits for others at most; as long as the quiet period can be (template.yaml).
_LONGEST_QUIET = timedelta(minutes=15)
# Running tasks may take 12 hours to end, and the update half an hour.
_LONGEST_UNUSABLE = timedelta(hours=13)
# What stands in the way for so long is told.
_LONG = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)

PlanStep = Literal[
    "nothing",  # at rest
    "hold",  # something waits, and cannot begin now
    "note",  # somebody has updated the environment
    "settle",  # what was owed is paid, or overtaken
    "drifted",  # at rest, something else is in force than the standing says
    "look-before",  # remember the import errors there are
    "adopt",  # what waits is in force already
    "begin",
    "in-progress",
    "shown",  # the update that has begun is ours: keep its beginning
    "again",  # nothing has begun
    "ended",
    "lost",  # while it is verified, somebody has pointed the environment elsewhere
    "ask",  # whether Airflow answers at all
    "give-up",
    "close",
]


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """How the deployment wants it.

    Attributes:
        automatic: whether artifacts may be brought into force; the bounds of scaling always may.
        quiet: no artifact may have come for so long.
    """

    automatic: bool = True
    quiet: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done next.

    Attributes:
        because: why this, and why not yet; for people.
        at: when it is looked at next, about; None: now.
        artifacts: that it is about, by key of the drop bucket.
        back: what goes back with it.
        workers: bounds that go along.
        keys: of what somebody else has changed.
    """

    step: PlanStep
    because: str = ""
    at: datetime | None = None
    artifacts: Mapping[str, LiveVersion] = field(default_factory=dict)
    back: Mapping[str, Debt] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[str, ...] = ()


def decide(
    record: UpdateRecord,
    facts: EnvironmentFacts,
    standings: Mapping[str, ArtifactState | None],
    rules: UpdateRules,
    now: datetime,
) -> Plan:
    """Decide what the updates of the environment need next.

    Args:
        facts: of the environment now, or some minutes ago.
        standings: of requirements.txt, plugins.zip and startup.sh.
    """
    if record.phase == "undo":
        return Plan("give-up", artifacts={key: record.artifacts[key] for key in record.blamed})
    if record.phase == "verified":
        return Plan("close", artifacts=record.artifacts)
    if record.phase == "updating":
        return _under_way(record, facts, now)
    if record.phase == "verifying":
        return _verifying(record, facts, now)
    return _idle(record, facts, standings, rules, now)


def waiting(standings: Mapping[str, ArtifactState | None]) -> dict[str, LiveVersion]:
    """What is to come into force, while no update of ours is on its way: also what one has left behind."""
    return {
        key: standing.live
        for key, standing in standings.items()
        if standing is not None
        and standing.stage in {"waiting", "updating", "verifying"}
        and standing.live is not None
        and standing.live.version_id
    }


def _replaced(standings: Mapping[str, ArtifactState | None]) -> dict[str, LiveVersion]:
    """What somebody has pointed the environment away from; who points it back, brings it into force again."""
    return {
        key: standing.live
        for key, standing in standings.items()
        if standing is not None and standing.stage == "by-hand" and standing.live is not None
    }


# -------------------------------------------------------------------------------- an update is on its way


def _under_way(record: UpdateRecord, facts: EnvironmentFacts, now: datetime) -> Plan:
    began = record.began_at or now
    shown = facts.last_update_at != record.last_update_at
    if shown and record.ours_at is None and _shows_late(record, facts, now):
        return Plan("shown")
    if not facts.usable or (shown and facts.last_update == "PENDING"):
        return Plan("in-progress", f"the environment is {facts.status}", now + _MINUTE, record.artifacts, record.pays)
    if shown:
        return Plan("ended", artifacts=record.artifacts, back=record.pays)
    patience = CALL_AGAIN_AFTER if record.accepted_at is None else SHOWN_AFTER
    if now - began < patience:
        because = "The environment does not show the update yet."
        return Plan("hold", because, began + patience, record.artifacts, record.pays)
    return Plan("again", "The update has not begun.", None, record.artifacts, record.pays)


def shows_ours(record: UpdateRecord, facts: EnvironmentFacts) -> bool:
    """Whether what the environment shows right after it took our call is ours: MWAA takes one update at a time."""
    on_its_way = not facts.usable or facts.last_update == "PENDING"
    return facts.last_update_at != record.last_update_at and on_its_way


def _shows_late(record: UpdateRecord, facts: EnvironmentFacts, now: datetime) -> bool:
    """Whether an update that shows later is the one that MWAA took: it began then, or no other can have begun since."""
    if record.accepted_at is None or record.began_at is None or facts.last_update_at is None:
        return False
    if shows_ours(record, facts) and now - record.accepted_at <= SHORTEST_UPDATE:
        return True
    return record.began_at - _SAME_MOMENT <= facts.last_update_at <= record.accepted_at + _SAME_MOMENT


@dataclass(frozen=True, slots=True)
class EndedUpdate:
    """What an update has done, by key of the drop bucket.

    Attributes:
        arrived: in force.
        failed: was tried, and is not in force.
        again: is not in force, and was not tried, as far as can be told.
        theirs: somebody else has put something else in force.
        set_back: of `again`: an update of somebody else came after ours, so that nobody saw how ours ended.
        back_failed: the way back was tried, and the bad version is in force still.
    """

    arrived: Mapping[str, LiveVersion]
    failed: Mapping[str, LiveVersion]
    again: Mapping[str, LiveVersion]
    theirs: Mapping[str, LiveVersion]
    set_back: bool
    back_failed: Mapping[str, Debt]


def ended(record: UpdateRecord, facts: EnvironmentFacts) -> EndedUpdate:
    """Read what an update has done, from LastUpdate and from what is in force."""
    ours = record.is_ours(facts)
    tried_in_vain = ours and facts.last_update == "FAILED"
    groups: dict[str, dict[str, LiveVersion]] = {"arrived": {}, "failed": {}, "again": {}, "theirs": {}}
    for key, live in record.artifacts.items():
        there, debt = in_force(facts, key), record.owed.get(key)
        if there == place_of(live):
            groups["arrived"][key] = live
        elif there == record.before.get(key) or (debt is not None and there == place_of(debt.bad)):
            groups["failed" if tried_in_vain else "again"][key] = live
        else:
            groups["theirs"][key] = live
    # A way back is no verdict on anybody: it counts as failed also where it is not known whose update it was.
    failed = record.accepted_at is not None and facts.last_update == "FAILED"
    back_failed = {
        key: debt for key, debt in record.pays.items() if failed and in_force(facts, key) == place_of(debt.bad)
    }
    return EndedUpdate(**groups, set_back=record.ours_at is not None and not ours, back_failed=back_failed)


def _verifying(record: UpdateRecord, facts: EnvironmentFacts, now: datetime) -> Plan:
    if not facts.usable:
        return Plan("hold", f"the environment is {facts.status}", now + _MINUTE, record.artifacts)
    lost = {key: live for key, live in record.artifacts.items() if in_force(facts, key) != place_of(live)}
    if lost:
        return Plan("lost", "Someone has pointed the environment to another place.", None, lost)
    due_at = record.due_at or now
    if now >= due_at + _MISSED:
        return Plan("ask", "The check of the environment is overdue.", None, record.artifacts)
    return Plan("nothing", "Its import errors are recorded.", due_at, record.artifacts)


def broken_since(record: UpdateRecord, now: datetime) -> bool:
    """Whether Airflow has been silent for so long after an update that the update has broken it."""
    if record.trouble != "airflow-silent" or record.trouble_since is None:
        return False
    silent_from = min(record.trouble_since, record.due_at or record.trouble_since)
    # A look comes two minutes or so after the update; what counts from there is what the update leaves behind.
    return now - silent_from >= SILENT_AFTER_UPDATE - _MISSED


# -------------------------------------------------------------------------------- no update is on its way


def _idle(
    record: UpdateRecord,
    facts: EnvironmentFacts,
    standings: Mapping[str, ArtifactState | None],
    rules: UpdateRules,
    now: datetime,
) -> Plan:
    found = waiting(standings)
    there = {
        key: live for key, live in (found | _replaced(standings)).items() if in_force(facts, key) == place_of(live)
    }
    wanted = {key: live for key, live in found.items() if key not in there}
    owed = {key: debt for key, debt in record.owed.items() if key not in found}
    if not facts.usable:
        if not (found or record.owed or record.workers):
            return Plan("nothing")
        return Plan("hold", f"the environment is {facts.status}", now + _MINUTE, found, owed)
    changed = _what_changed(record, facts, standings, wanted)
    if changed is not None:
        return changed
    rest = {key: live for key, live in record.artifacts.items() if key not in wanted}
    if there or (rest and all(debt.told for debt in record.owed.values())):
        return Plan("adopt", artifacts={**rest, **there})
    return _to_begin(record, wanted, owed, rules, now)


def _what_changed(
    record: UpdateRecord,
    facts: EnvironmentFacts,
    standings: Mapping[str, ArtifactState | None],
    wanted: Mapping[str, LiveVersion],
) -> Plan | None:
    """What is in force now, and was not when it was looked at last."""
    settled = {key: debt for key, debt in record.owed.items() if in_force(facts, key) != place_of(debt.bad)}
    if settled:
        return Plan("settle", back=settled)
    drifted = _drifted(record, facts, standings)
    if drifted:
        return Plan("drifted", keys=drifted)
    if record.seen is None or record.seen_update != facts.last_update_at or record.seen != all_in_force(facts):
        return Plan("note", keys=_changed(record, facts, wanted))
    return None


def _to_begin(
    record: UpdateRecord, wanted: Mapping[str, LiveVersion], owed: Mapping[str, Debt], rules: UpdateRules, now: datetime
) -> Plan:
    workers = record.workers if record.workers_at and now - record.workers_at < _WORKERS_WAIT else None
    if not rules.automatic:
        by_hand = "ApplyUpdates is manual: the message has the command to run."
        if wanted and (record.baseline_at is None or now - record.baseline_at >= _LOOK_BEFORE):
            return Plan("look-before", by_hand, None, wanted, owed)
        if not workers:
            return Plan("nothing", by_hand if wanted or owed else "", None, wanted, owed)
        wanted, owed = {}, {}
    back = {key: debt for key, debt in owed.items() if not debt.told}
    if not (wanted or back or workers):
        return Plan("nothing", "The rollback failed: see the message." if owed else "", None, {}, owed)
    if record.try_at is not None and now < record.try_at:
        return Plan("hold", record.trouble_words or _refusal(record), record.try_at, wanted, back)
    until = _quiet_until(list(wanted.values()), [debt.since for debt in back.values()], rules.quiet)
    if until is not None and now < until:
        return Plan("hold", "files that are uploaded together go together", until, wanted, back)
    return Plan("begin", _why(wanted, back, workers or {}), None, wanted, back, workers or {})


def _quiet_until(wanted: Sequence[LiveVersion], owed_since: Sequence[datetime], quiet: timedelta) -> datetime | None:
    """Until when more may come: so long after the last one, but the first one does not wait for ever.

    What is broken does not wait longer than once.
    """
    if not wanted:
        return None
    first = min(live.waits_since or live.at for live in wanted)
    until = min(max(live.at for live in wanted) + quiet, first + _LONGEST_QUIET)
    return min([until, *(since + quiet for since in owed_since)])


def _why(wanted: Mapping[str, LiveVersion], back: Mapping[str, Debt], workers: Mapping[str, int]) -> str:
    words = [f"applies {key} (version {live.source})" for key, live in wanted.items()]
    words += [f"rolls back {key} (version {debt.bad.source})" for key, debt in back.items()]
    if workers:
        words.append(f"changes the limits of scaling to {workers['MinWorkers']} and {workers['MaxWorkers']} workers")
    return ", ".join(words)


def _refusal(record: UpdateRecord) -> str:
    return f"MWAA has rejected the update {record.refusals} times; Jetway requests it again." if record.refusals else ""


def _changed(record: UpdateRecord, facts: EnvironmentFacts, wanted: Mapping[str, LiveVersion]) -> tuple[str, ...]:
    """What somebody has pointed elsewhere while a version of ours waits: ours goes over it."""
    if record.seen is None:
        return ()
    return tuple(key for key in wanted if in_force(facts, key) != record.seen.get(key))


def _drifted(
    record: UpdateRecord, facts: EnvironmentFacts, standings: Mapping[str, ArtifactState | None]
) -> tuple[str, ...]:
    return tuple(
        key
        for key, standing in standings.items()
        if standing is not None
        and standing.stage in {"good", "rolled-back"}
        and standing.live is not None
        and standing.live.version_id
        and key not in record.owed
        and in_force(facts, key) != place_of(standing.live)
    )


def stuck(record: UpdateRecord, now: datetime) -> bool:
    """Whether a person is to be told of what stands in the way."""
    if not record.trouble or record.trouble_told or record.trouble_since is None:
        return False
    at_once = {"permission-missing", "environment-unusable"}
    return record.trouble in at_once or now - record.trouble_since >= _LONG


def unusable_for_long(record: UpdateRecord, plan: Plan, facts: EnvironmentFacts, now: datetime) -> bool:
    """Whether the environment takes nothing for longer than any update does."""
    since = record.began_at if record.phase == "updating" else None
    came_at = [live.at for live in plan.artifacts.values()] + [debt.since for debt in plan.back.values()]
    since = since or min(came_at, default=None)
    return not facts.usable and since is not None and now - since > _LONGEST_UNUSABLE


def updated_at(record: UpdateRecord, facts: EnvironmentFacts, now: datetime) -> datetime | None:
    """When the environment was updated last: an update of somebody else's that nobody has noted ended just now."""
    at = facts.last_update_at
    if at is None or at == record.seen_update or now - at > _DAY:
        return record.ended_at
    return now


def noted(record: UpdateRecord, facts: EnvironmentFacts, now: datetime) -> UpdateRecord:
    """The record after a look at what is in force."""
    ended_at = updated_at(record, facts, now)
    return replace(record, ended_at=ended_at, seen=all_in_force(facts), seen_update=facts.last_update_at)
