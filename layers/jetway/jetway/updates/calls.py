"""What became of a call of UpdateEnvironment: it was taken, it was refused, or it certainly did nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.promotion.artifact_state import Defect
from jetway.promotion.rollout import LONGEST_UPDATE, Rollout
from jetway.updates.artifact_states import bad_of, is_brought, sources_of
from jetway.updates.context import UpdateContext
from jetway.updates.plan import REFUSALS_APART, REFUSED_FOR_GOOD

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.updates.record import Trouble, UpdateRecord

_ANOTHER_UPDATE = (
    "Another update of the environment has begun. The update that applies this version begins after that one."
)


class CallActs(UpdateContext):
    """Acts after a call."""

    __slots__ = ()

    def begun(self, record: UpdateRecord) -> None:
        """An update was asked for, and MWAA took it."""
        began = record.began_at or self.clock()
        changed = {key: live for key, live in record.artifacts.items() if is_brought(record, key)}
        self._stage(changed, "updating")
        self._say(changed, Rollout("updating", began, began + LONGEST_UPDATE))
        self.turn.tell("begun", {**changed, **bad_of(record.pays)}, changes=record.changes)

    def refused(self, record: UpdateRecord, because: str, facts: EnvironmentFacts) -> bool:
        """MWAA does not take the update: for the environment's state, for bounds, or for good; return whether the last.

        Args:
            facts: of the environment after that.
        """
        asked = {**{key: live.source for key, live in record.artifacts.items()}, **sources_of(record.pays)}
        everything = {**record.artifacts, **bad_of(record.pays)}
        idle = record.idle()
        if not facts.usable or facts.last_update_at != record.last_update_at:
            self._not_now(record, idle, _ANOTHER_UPDATE)
        elif "MinWorkers" in record.changes and everything:
            # The numbers may be what MWAA does not want: the artifacts go alone next time.
            bounds = {name: record.changes[name] for name in ("MinWorkers", "MaxWorkers")}
            self._not_now(record, replace(idle, refused_workers=bounds), because)
        else:
            refusals = record.refusals + 1 if record.refused == asked else 1
            if refusals < REFUSED_FOR_GOOD:
                now = self.clock()
                refused = replace(idle, refused=asked, refusals=refusals, refused_at=now, try_at=now + REFUSALS_APART)
                self._not_now(record, refused, f"MWAA rejects the update: {because} Jetway requests it again.")
            else:
                self._for_good(record, because)
                return True
        self.turn.tell("held", everything, because)
        return False

    def _not_now(self, record: UpdateRecord, idle: UpdateRecord, because: str) -> None:
        rest = {key: live for key, live in record.artifacts.items() if not is_brought(record, key)}
        self.records.put(replace(idle, artifacts=rest, before={key: record.before.get(key) for key in rest}))
        waits = {key: live for key, live in record.artifacts.items() if key not in rest}
        self._stage(waits, "waiting")
        self._say(waits, Rollout("waiting", self.clock(), None, because))

    def _for_good(self, record: UpdateRecord, because: str) -> None:
        words = f"MWAA rejected the update: {because}"
        owed = {key: self._failed(key, debt, words, for_good=True) for key, debt in record.pays.items()}
        cleared = replace(record, refused={}, refusals=0, refused_at=None, owed={**record.owed, **owed}).untroubled()
        blamed = tuple(key for key in record.artifacts if is_brought(record, key))
        if not blamed:
            self.records.put(cleared.idle())
            return
        problems = (Defect("environment", words),)
        self.records.put(replace(cleared, phase="undo", blamed=blamed, problems=problems, gone_back=True))

    def not_begun(self, record: UpdateRecord, trouble: Trouble, because: str, *, try_at: datetime | None) -> None:
        """The call has certainly begun nothing."""
        idle = replace(record.idle(), try_at=try_at)
        rest = {key: live for key, live in record.artifacts.items() if not is_brought(record, key)}
        idle = replace(idle, artifacts=rest, before={key: record.before.get(key) for key in rest})
        waits = {key: live for key, live in record.artifacts.items() if key not in rest}
        self._say(waits, Rollout("waiting", self.clock(), None, because))
        self._troubled(idle, trouble, because, {**waits, **bad_of(record.pays)})
