"""What `update_plan` has decided is done, so that it can be done again: only asking for the update is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.diagnosis.attribution import digests
from jetway.updates.artifact_states import bad_of
from jetway.updates.calls import CallActs
from jetway.updates.completion import EndActs
from jetway.updates.idle import IdleActs
from jetway.updates.plan import unusable_for_long

if TYPE_CHECKING:
    from jetway.updates.plan import Plan, PlanStep


class Acts(IdleActs, CallActs, EndActs):
    """What one turn may do."""

    __slots__ = ()

    def do(self, plan: Plan) -> bool:
        """Do what is next, except asking for an update; return whether something may be next at once.

        Raises:
            StandingChangedError: another invocation was faster.
            TransientError: MWAA or Airflow cannot be asked now.
            ClientError, BotoCoreError: DynamoDB, S3 or SNS is in trouble.
        """
        acts: dict[PlanStep, Callable[[Plan], bool]] = {
            "note": self._note,
            "settle": self._settle,
            "drifted": self._drifted,
            "adopt": self._adopt,
            "shown": self._shown,
            "again": self._again,
            "ended": self._ended,
            "lost": self._lost,
            "ask": self._ask,
            "give-up": self._give_up,
            "close": self._close,
        }
        return acts.get(plan.step, self._wait)(plan)

    def _wait(self, plan: Plan) -> bool:
        turn = self.turn
        if plan.step == "look-before":
            if turn.facts.usable:
                self.records.put(replace(turn.record, baseline=digests(turn.errors()), baseline_at=self.clock()))
                for key, live in plan.artifacts.items():
                    self._settled(key, live)  # nobody has to apply what would change nothing
        elif plan.step == "in-progress":
            self._stage(plan.artifacts, "updating")
            turn.tell("in-progress", {**plan.artifacts, **bad_of(plan.back)}, plan.because)
        elif plan.step == "hold":
            turn.tell("held", {**plan.artifacts, **bad_of(plan.back)}, plan.because)
        if plan.step in {"hold", "in-progress"} and unusable_for_long(turn.record, plan, turn.facts, self.clock()):
            self._troubled(turn.record, "environment-unusable", plan.because)
        return False
