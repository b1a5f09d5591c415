"""When an update has ended: what it has brought is looked at, the rest goes again, what does not work is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.errors import PermissionMissingError, TransientError
from jetway.promotion.artifact_state import Defect
from jetway.promotion.rollout import Rollout
from jetway.updates.artifact_states import close
from jetway.updates.context import UpdateContext
from jetway.updates.plan import broken_since, ended, noted
from jetway.updates.record import in_force, place_of

if TYPE_CHECKING:
    from jetway.promotion.artifact_state import LiveVersion
    from jetway.updates.plan import Plan

_ENDED_UNSEEN = (
    "Another update followed the one that was to apply Jetway's version, which is not in force. Jetway "
    "applies it over the current state, with an update that begins as soon as the environment accepts "
    "one."
)


class EndActs(UpdateContext):
    """Acts on an update that has ended."""

    __slots__ = ()

    def _shown(self, _plan: Plan) -> bool:
        """Keep which update is ours: the environment shows it late."""
        facts = self.turn.facts
        shown = replace(self.turn.record, ours_at=facts.last_update_at, source=facts.last_update_source)
        self.records.put(shown)
        return True

    def _again(self, _plan: Plan) -> bool:
        """Nothing has begun: what is to go is decided anew."""
        record = self.turn.record
        self.records.put(record.idle())
        self._stage(record.artifacts, "waiting")
        return True

    def _close(self, _plan: Plan) -> bool:
        """Finish what a look has found to work."""
        close(self.turn.record, self.records, self.standings, self._say_last, self.clock())
        return True

    def _ended(self, _plan: Plan) -> bool:
        """See what became of an update: artifact by artifact."""
        turn, record, facts, now = self.turn, self.turn.record, self.turn.facts, self.clock()
        found = ended(record, facts)
        for key, live in found.theirs.items():
            turn.undo.overtaken(key, live, in_force(facts, key))
        for key, live in found.again.items():
            if found.set_back:
                turn.undo.told_of_change(key, live, in_force(facts, key), again=_ENDED_UNSEEN)
        owed = dict(record.owed)
        for key, debt in record.owed.items():
            if key in found.back_failed:
                owed[key] = self._failed(key, debt, facts.last_update_error or facts.status)
            elif in_force(facts, key) != place_of(debt.bad):
                self._say_back(key, debt)
                del owed[key]
        after = replace(noted(record, facts, now), owed=owed, ended_at=now)
        if found.failed:
            words = facts.last_update_error or "the environment returned to its previous settings."
            problems = (Defect("environment", f"The update failed: {words}"),)
            # What has arrived all the same is verified after that.
            kept = {**found.failed, **found.arrived}
            self.records.put(
                replace(
                    after, phase="undo", artifacts=kept, blamed=tuple(found.failed), problems=problems, gone_back=True
                )
            )
        elif found.arrived:
            due_at = now + turn.verify_after
            self.records.put(replace(after, phase="verifying", artifacts=found.arrived, due_at=due_at))
        else:
            self.records.put(after.idle())
        self._tell_end(found.again, found.theirs, found.arrived, bool(record.artifacts or record.owed))
        return not found.arrived or bool(found.failed)

    def _tell_end(
        self,
        again: Mapping[str, LiveVersion],
        theirs: Mapping[str, LiveVersion],
        arrived: Mapping[str, LiveVersion],
        artifacts: bool,
    ) -> None:
        now, due_at = self.clock(), self.clock() + self.turn.verify_after
        if again:
            self._stage(again, "waiting")
            self._say(again, Rollout("waiting", now, None, "The update did not apply it. It goes with the next one."))
            self.turn.tell("held", again, "the update did not apply it")
        if theirs:
            self.turn.tell("overtaken", theirs)
        if arrived:
            self._stage(arrived, "verifying")
            self._say(arrived, Rollout("verifying", now, due_at))
        if arrived or not artifacts:
            self.turn.tell("applied", arrived)

    def _lost(self, plan: Plan) -> bool:
        """Somebody has pointed the environment elsewhere while it was looked at: theirs is left alone."""
        turn, record = self.turn, self.turn.record
        for key, live in plan.artifacts.items():
            turn.undo.overtaken(key, live, in_force(turn.facts, key))
        turn.tell("overtaken", plan.artifacts)
        left = {key: live for key, live in record.artifacts.items() if key not in plan.artifacts}
        after = replace(noted(record, turn.facts, self.clock()), artifacts=left)
        self.records.put(after if left else after.idle())
        return True

    def _ask(self, _plan: Plan) -> bool:
        """Find out whether the look is overdue because Airflow does not answer since the update."""
        turn, record = self.turn, self.turn.record
        try:
            turn.errors()
        except PermissionMissingError as exc:
            self._troubled(record, "permission-missing", str(exc))  # no version is at fault for that
            raise
        except TransientError as exc:
            if not broken_since(record, self.clock()):
                self._troubled(record, "airflow-silent", str(exc))
                return False
            words = f"Airflow has not responded since the update: {exc}"
            problems = (Defect("environment", words),)
            blamed = tuple(record.artifacts)
            self.records.put(replace(record.untroubled(), phase="undo", blamed=blamed, problems=problems))
            turn.tell("silent", record.artifacts, words)
            return True
        if record.trouble:
            self.records.put(record.untroubled())
        return False

    def _give_up(self, _plan: Plan) -> bool:
        turn, record = self.turn, self.turn.record
        owed = turn.undo.give_up(record)
        blamed = {key: record.artifacts[key] for key in record.blamed}
        rest = {key: live for key, live in record.artifacts.items() if key not in blamed}
        idle = replace(
            record.idle(),
            artifacts=rest,
            before={key: record.before.get(key) for key in rest},
            owed={**record.owed, **owed},
        )
        self.records.put(idle)
        if record.gone_back:
            turn.tell("failed", blamed, "; ".join(problem.message for problem in record.problems))
        elif not self.automatic:
            turn.tell("held", blamed, "ApplyUpdates is manual: the message has the command that rolls back.")
        return True
