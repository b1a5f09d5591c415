"""While no update is on its way: what was owed is closed, what is in force adopted, the next one written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jetway.diagnosis.attribution import digests
from jetway.errors import PermissionMissingError, TransientError
from jetway.promotion.artifact_state import DELETED
from jetway.promotion.rollout import LONGEST_UPDATE, Rollout
from jetway.updates.artifact_states import is_gone, is_in_force, nothing_is_live
from jetway.updates.context import UpdateContext
from jetway.updates.plan import SILENT_BEFORE_UPDATE, noted
from jetway.updates.record import Debt, UpdateRecord, in_force, members, place_of
from jetway.updates.same_content import same_content

if TYPE_CHECKING:
    from jetway.promotion.artifact_state import ArtifactState, LiveVersion
    from jetway.updates.plan import Plan
    from jetway.updates.record import VersionPlace

_AGAIN = "Jetway applies its version over it, with an update that begins as soon as the environment accepts one."


class IdleActs(UpdateContext):
    """Acts while no update is on its way."""

    __slots__ = ()

    def _note(self, plan: Plan) -> bool:
        """Tell that somebody has changed what ours goes over, and remember what is in force."""
        facts, record = self.turn.facts, self.turn.record
        for key in plan.keys:
            standing = self.standings.get(key)
            if standing is not None and standing.live is not None:
                self.turn.undo.told_of_change(key, standing.live, in_force(facts, key), again=_AGAIN)
                self.turn.tell("overtaken", {key: standing.live}, "Jetway's version replaces it.")
        self.records.put(noted(record, facts, self.clock()))
        return True

    def _settle(self, plan: Plan) -> bool:
        """Close what was owed: what was before is in force again, or something else is."""
        turn, record = self.turn, self.turn.record
        for key, debt in plan.back.items():
            self._say_back(key, debt)
        left = {key: debt for key, debt in record.owed.items() if key not in plan.back}
        self.records.put(replace(noted(record, turn.facts, self.clock()), owed=left).untroubled())
        return True

    def _drifted(self, plan: Plan) -> bool:
        """Something else is in force than the standing says: a way back that was forgotten, or somebody else's."""
        turn, owed = self.turn, {}
        for key in plan.keys:
            standing, there = self.standings.get(key), in_force(turn.facts, key)
            if standing is None or standing.live is None:
                continue
            bad = turn.undo.known_bad(key, turn.facts.source_bucket, there)
            if bad is not None:
                owed[key] = Debt(bad, place_of(standing.live), self.clock())
            else:
                turn.undo.overtaken(key, standing.live, there)
                turn.tell("overtaken", {key: standing.live})
        self.records.put(replace(noted(turn.record, turn.facts, self.clock()), owed={**turn.record.owed, **owed}))
        return True

    def _adopt(self, plan: Plan) -> bool:
        """Have verified what is in force already, and what is left of an update."""
        turn, record, now = self.turn, self.turn.record, self.clock()
        found = {key: self.standings.get(key) for key in plan.artifacts}
        before = {key: self._place_before(key, live, found[key]) for key, live in plan.artifacts.items()}
        began = turn.facts.last_update_at
        # Those that were taken right before it, else those of the last look.
        fresh = record.baseline_at is not None and (began is None or record.baseline_at >= began - LONGEST_UPDATE)
        self.records.put(
            replace(
                noted(record, turn.facts, now).idle(ended_at=now),
                phase="verifying",
                artifacts=plan.artifacts,
                before=before,
                baseline=record.baseline if fresh else self.standings.known_errors(),
                baseline_at=record.baseline_at if fresh else None,
                began_at=began,
                due_at=now + turn.verify_after,
                owed={key: debt for key, debt in record.owed.items() if key not in plan.artifacts},
            )
        )
        self._stage(plan.artifacts, "verifying")
        self._say(plan.artifacts, Rollout("verifying", now, now + turn.verify_after))
        turn.tell("adopted", plan.artifacts)
        return False

    def _place_before(self, key: str, live: LiveVersion, standing: ArtifactState | None) -> VersionPlace | None:
        record = self.turn.record
        if key in record.owed:
            return record.owed[key].back
        good = standing.good if standing is not None else None
        if good is not None and good.version_id:
            return place_of(good)
        seen = (record.seen or {}).get(key)
        # Else the one below ours.
        return seen if seen is not None and seen != place_of(live) else (live.key, "")

    def claim(self, plan: Plan) -> UpdateRecord | None:
        """Write down what is about to begin, if anything would change by it; whoever comes second fails here."""
        turn, record, now = self.turn, self.turn.record, self.clock()
        wanted = {key: live for key, live in plan.artifacts.items() if not self._settled(key, live)}
        back = {key: self._filled(key, debt) for key, debt in plan.back.items()}
        if not (wanted or back or plan.workers):
            return None
        rest = {key: live for key, live in record.artifacts.items() if key not in wanted}
        onto_bad = any(key in record.owed for key in wanted)
        baseline, baseline_at = record.baseline, record.baseline_at
        # What a bad version has broken is not what there was before.
        if (wanted and not (onto_bad or rest)) or baseline_at is None:
            baseline, baseline_at = self._errors_now() if wanted else {}, now
        changes: dict[str, Any] = dict(plan.workers)
        for key, live in wanted.items():
            changes |= members(key, live.key, live.version_id or "")
        for key, debt in back.items():
            changes |= members(key, *debt.back) if debt.back else {}
        before = {key: record.owed[key].back if key in record.owed else in_force(turn.facts, key) for key in wanted}
        return self.records.put(
            replace(
                record.idle(),
                phase="updating",
                artifacts={**rest, **wanted},
                changes=changes,
                before=before | {key: record.before.get(key) for key in rest},
                baseline=baseline,
                baseline_at=baseline_at,
                began_at=now,
                last_update_at=turn.facts.last_update_at,
                why=plan.because,
                ours_at=None,
                source=None,
                owed={**record.owed, **back},
                workers=None,
                workers_at=None,
            )
        )

    def _filled(self, key: str, debt: Debt) -> Debt:
        """A debt with a place to go back to."""
        if debt.back is not None:
            return debt
        nothing = self.turn.undo.nothing(key, debt.bad)
        self.standings.change(key, nothing_is_live(key, nothing))
        return replace(debt, back=place_of(nothing))

    def _errors_now(self) -> Mapping[str, str]:
        """The import errors before an update; those of the last look, where Airflow has been silent for long."""
        record = self.turn.record
        try:
            return digests(self.turn.errors())
        except PermissionMissingError as exc:
            self._troubled(record, "permission-missing", str(exc))  # nobody could tell whether the update works
            raise
        except TransientError as exc:
            since = record.trouble_since if record.trouble == "airflow-silent" else None
            if since is None or self.clock() - since < SILENT_BEFORE_UPDATE:
                self._troubled(record, "airflow-silent", str(exc))
                raise
            return self.standings.known_errors()

    def _settled(self, key: str, live: LiveVersion) -> bool:
        """Settle what would change nothing: its content is in force, or it was deleted and is not in force."""
        turn = self.turn
        there = in_force(turn.facts, key)
        if key in turn.record.owed:
            return False
        if live.source.startswith(DELETED) and not turn.undo.brought(turn.facts.source_bucket, there):
            self.standings.change(key, is_gone(key, live))
            turn.tell("unchanged", {key: live}, "None of it is in force.")
            return True
        if there is None or not there[1]:
            return False
        undo, place = turn.undo, place_of(live)
        if not same_content(undo.s3, turn.facts.source_bucket, place, there, zipped=key == "plugins.zip"):
            return False
        step = Rollout("verified", self.clock(), None, "It has the content of the version that is in force.")
        self._say_last(key, live, step)
        self.standings.change(key, is_in_force(live, there))
        turn.tell("unchanged", {key: live})
        return True
