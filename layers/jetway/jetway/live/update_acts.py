"""What `update_plan` has decided is done, so that it can be done again: only asking for the update is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import TransientError
from jetway.live import news
from jetway.live.in_force import LONGEST_UPDATE, InForce, say
from jetway.live.sameness import same_content
from jetway.live.standing import DELETED, Live, Problem, Standing, verified
from jetway.live.update_plan import (
    FAILED_FOR_GOOD,
    REFUSALS_APART,
    REFUSED_FOR_GOOD,
    SILENT_BEFORE_UPDATE,
    Plan,
    broken_since,
    ended,
    noted,
    stuck,
    unusable_for_long,
)
from jetway.live.update_record import Debt, UpdateRecord, in_force, members, place_of
from jetway.live.verdicts import digests
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.live.table import StandingTable
    from jetway.live.update_record import Place, Trouble, UpdateTable
    from jetway.live.update_steps import Turn

_ANOTHER_UPDATE = "Another update of the environment has begun; the update that brings it begins after that one."
_AGAIN = (
    "Jetway brings its version into force over it, with an update that begins as soon as the environment takes one."
)
_ENDED_UNSEEN = (
    "Another update came after the one that was to bring Jetway's version, which is not in force. Jetway brings it into "
    "force over what is there now, with an update that begins as soon as the environment takes one."
)
_TO_DO: dict[Trouble, str] = {
    "permission-missing": "give the function's role the right that is named. Jetway asks again every 15 minutes; DAG "
    "files are verified meanwhile, and nothing is rolled back for it.",
    "throttled": "find out what else calls MWAA's API so often. Jetway asks again every minute.",
    "airflow-silent": "look at the environment: its web server does not answer.",
    "environment-unusable": "look at the environment in the MWAA console.",
}


@dataclass(frozen=True, slots=True)
class Acts:
    """What one turn may do.

    Attributes:
        turn: how things stood when it was decided.
        automatic: whether artifacts may be brought into force.
    """

    turn: Turn
    records: UpdateTable
    standings: StandingTable
    clock: Callable[[], datetime]
    automatic: bool

    def do(self, plan: Plan) -> bool:
        """Do what is next, except asking for an update; return whether something may be next at once.

        Raises:
            StandingChangedError: another invocation was faster.
            TransientError: MWAA or Airflow cannot be asked now.
            ClientError, BotoCoreError: DynamoDB, S3 or SNS is in trouble.
        """
        record = self.turn.record
        match plan.step:
            case "note":
                return self._note(plan)
            case "settle":
                return self._settle(plan)
            case "drifted":
                return self._drifted(plan)
            case "adopt":
                return self._adopt(plan)
            case "shown":
                facts = self.turn.facts
                self.records.put(replace(record, ours_at=facts.last_update_at, source=facts.last_update_source))
                return True
            case "again":
                self.records.put(record.idle())
                self._stage(record.artifacts, "waiting")
                return True
            case "ended":
                return self._ended()
            case "lost":
                return self._lost(plan)
            case "ask":
                return self._ask()
            case "give-up":
                return self._give_up()
            case "close":
                close(record, self.records, self.standings, lambda *what: self._say_one(*what), self.clock())
                return True
        self._wait(plan)
        return False

    def _wait(self, plan: Plan) -> None:
        turn = self.turn
        if plan.step == "look-before":
            if turn.facts.usable:
                self.records.put(replace(turn.record, baseline=digests(turn.errors()), baseline_at=self.clock()))
        elif plan.step == "in-progress":
            self._stage(plan.artifacts, "updating")
            turn.tell("in-progress", {**plan.artifacts, **_bad(plan.back)}, plan.because)
        elif plan.step == "hold":
            turn.tell("held", {**plan.artifacts, **_bad(plan.back)}, plan.because)
        if plan.step in {"hold", "in-progress"} and unusable_for_long(turn.record, plan, turn.facts, self.clock()):
            self._troubled(turn.record, "environment-unusable", plan.because)

    # -------------------------------------------------------------------------------------------- nothing on its way

    def _note(self, plan: Plan) -> bool:
        """Tell that somebody has changed what ours goes over, and remember what is in force."""
        facts, record = self.turn.facts, self.turn.record
        for key in plan.keys:
            standing = self.standings.get(key)
            if standing is not None and standing.live is not None:
                self.turn.undo.told_of_change(key, standing.live, in_force(facts, key), again=_AGAIN)
                self.turn.tell("overtaken", {key: standing.live}, "Jetway's version goes over it.")
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

    def _say_back(self, key: str, debt: Debt) -> None:
        there = in_force(self.turn.facts, key)
        self.turn.undo.live_again(key, debt)
        because = "" if there == debt.back else "somebody has changed the environment meanwhile."
        self.turn.tell("undone", {key: debt.bad}, because)

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
        self._say(plan.artifacts, InForce("verifying", now, now + turn.verify_after))
        turn.tell("adopted", plan.artifacts)
        return False

    def _place_before(self, key: str, live: Live, standing: Standing | None) -> Place | None:
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
        if wanted and not (onto_bad or rest) or baseline_at is None:
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
        self.standings.change(key, _nothing_is_live(key, nothing))
        return replace(debt, back=place_of(nothing))

    def _errors_now(self) -> Mapping[str, str]:
        """The import errors before an update; those of the last look, where Airflow has been silent for long."""
        record = self.turn.record
        try:
            return digests(self.turn.errors())
        except TransientError as exc:
            since = record.trouble_since if record.trouble == "airflow-silent" else None
            if since is None or self.clock() - since < SILENT_BEFORE_UPDATE:
                self._troubled(record, "airflow-silent", str(exc))
                raise
            return self.standings.known_errors()

    def _settled(self, key: str, live: Live) -> bool:
        """Settle what would change nothing: its content is in force, or it was deleted and is not in force."""
        turn = self.turn
        there = in_force(turn.facts, key)
        if key in turn.record.owed:
            return False
        if live.source.startswith(DELETED) and not turn.undo.brought(turn.facts.source_bucket, there):
            self.standings.change(key, _is_gone(key, live))
            turn.tell("unchanged", {key: live}, "Nothing of it is in force.")
            return True
        if there is None or not there[1]:
            return False
        undo, place = turn.undo, place_of(live)
        if not same_content(undo.s3, turn.facts.source_bucket, place, there, zipped=key == "plugins.zip"):
            return False
        step = InForce("verified", self.clock(), None, "It has the content of the version that is in force.")
        self._say({key: live}, step)
        self.standings.change(key, _is_in_force(live, there))
        turn.tell("unchanged", {key: live})
        return True

    # -------------------------------------------------------------------------------------------- what became of a call

    def begun(self, record: UpdateRecord) -> None:
        """An update was asked for, and MWAA took it."""
        began = record.began_at or self.clock()
        changed = {key: live for key, live in record.artifacts.items() if _is_in(record, key)}
        self._stage(changed, "updating")
        self._say(changed, InForce("updating", began, began + LONGEST_UPDATE))
        self.turn.tell("begun", {**changed, **_bad(record.pays)}, changes=record.changes)

    def refused(self, record: UpdateRecord, because: str, facts: EnvironmentFacts) -> bool:
        """MWAA does not take the update: for the environment's state, for bounds, or for good; return whether the last.

        Args:
            facts: of the environment after that.
        """
        asked = {**{key: live.source for key, live in record.artifacts.items()}, **_sources(record.pays)}
        everything = {**record.artifacts, **_bad(record.pays)}
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
                self._not_now(record, refused, f"MWAA refuses the update: {because} It is asked again.")
            else:
                self._for_good(record, because)
                return True
        self.turn.tell("held", everything, because)
        return False

    def _not_now(self, record: UpdateRecord, idle: UpdateRecord, because: str) -> None:
        rest = {key: live for key, live in record.artifacts.items() if not _is_in(record, key)}
        self.records.put(replace(idle, artifacts=rest, before={key: record.before.get(key) for key in rest}))
        waits = {key: live for key, live in record.artifacts.items() if key not in rest}
        self._stage(waits, "waiting")
        self._say(waits, InForce("waiting", self.clock(), None, because))

    def _for_good(self, record: UpdateRecord, because: str) -> None:
        words = f"MWAA refused the update: {because}"
        owed = {key: self._failed(key, debt, words, for_good=True) for key, debt in record.pays.items()}
        cleared = replace(record, refused={}, refusals=0, refused_at=None, owed={**record.owed, **owed}).untroubled()
        blamed = tuple(key for key in record.artifacts if _is_in(record, key))
        if not blamed:
            self.records.put(cleared.idle())
            return
        problems = (Problem("environment", words),)
        self.records.put(replace(cleared, phase="undo", blamed=blamed, problems=problems, gone_back=True))

    def not_begun(self, record: UpdateRecord, trouble: Trouble, because: str, *, try_at: datetime | None) -> None:
        """The call has certainly begun nothing."""
        idle = replace(record.idle(), try_at=try_at)
        rest = {key: live for key, live in record.artifacts.items() if not _is_in(record, key)}
        idle = replace(idle, artifacts=rest, before={key: record.before.get(key) for key in rest})
        waits = {key: live for key, live in record.artifacts.items() if key not in rest}
        self._say(waits, InForce("waiting", self.clock(), None, because))
        self._troubled(idle, trouble, because, {**waits, **_bad(record.pays)})

    def _troubled(
        self, record: UpdateRecord, trouble: Trouble, words: str, artifacts: Mapping[str, Live] | None = None
    ) -> None:
        """Write down what stands in the way, and tell a person once, when it has stood there for long."""
        now = self.clock()
        if record.trouble != trouble:
            record = replace(record.untroubled(), try_at=record.try_at, trouble=trouble, trouble_since=now)
        record = replace(record, trouble_words=words)
        tells = stuck(record, now)
        if record != self.turn.record or tells:
            record = self.records.put(replace(record, trouble_told=record.trouble_told or tells))
        if not tells or record.trouble_since is None:
            return
        waits = {**record.artifacts, **_bad(record.owed), **(artifacts or {})}
        self._tell_stalled(trouble, words, waits, record.trouble_since, _TO_DO[trouble])
        self.turn.tell("stalled", waits, words)

    def _tell_stalled(self, reason: str, words: str, waits: Mapping[str, Live], since: datetime, to_do: str) -> None:
        undo = self.turn.undo
        undo.tell(news.stalled(undo.environment, reason, words, tuple(waits), since, self.clock(), to_do=to_do))

    # -------------------------------------------------------------------------------------------- its end

    def _ended(self) -> bool:
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
            words = facts.last_update_error or "the environment went back to its previous settings."
            problems = (Problem("environment", f"The update failed: {words}"),)
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
        self, again: Mapping[str, Live], theirs: Mapping[str, Live], arrived: Mapping[str, Live], artifacts: bool
    ) -> None:
        now, due_at = self.clock(), self.clock() + self.turn.verify_after
        if again:
            self._stage(again, "waiting")
            self._say(again, InForce("waiting", now, None, "The update did not bring it; it goes with the next one."))
            self.turn.tell("held", again, "the update did not bring it")
        if theirs:
            self.turn.tell("overtaken", theirs)
        if arrived:
            self._stage(arrived, "verifying")
            self._say(arrived, InForce("verifying", now, due_at))
        if arrived or not artifacts:
            self.turn.tell("applied", arrived)

    def _failed(self, key: str, debt: Debt, because: str, *, for_good: bool = False) -> Debt:
        """Count a way back that has failed; when it fails for good, a person is told the command."""
        failed = FAILED_FOR_GOOD if for_good else debt.failed + 1
        debt = replace(debt, failed=failed, because=because, told=failed >= FAILED_FOR_GOOD)
        self.turn.undo.not_back(key, debt)
        self.turn.tell("undo-failed", {key: debt.bad}, because)
        if debt.told:
            to_do = f"bring back what was in force before, or upload a version that works. To go back, run:\n\n{{}}\n"
            command = self.turn.undo.command_back({key: debt})
            self._tell_stalled("way-back-failed", because, {key: debt.bad}, debt.since, to_do.format(command))
        return debt

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

    def _ask(self) -> bool:
        """Find out whether the look is overdue because Airflow does not answer since the update."""
        turn, record = self.turn, self.turn.record
        try:
            turn.errors()
        except TransientError as exc:
            if not broken_since(record, self.clock()):
                self._troubled(record, "airflow-silent", str(exc))
                return False
            words = f"Airflow does not answer since the update: {exc}"
            problems = (Problem("environment", words),)
            blamed = tuple(record.artifacts)
            self.records.put(replace(record.untroubled(), phase="undo", blamed=blamed, problems=problems))
            turn.tell("silent", record.artifacts, words)
            return True
        if record.trouble:
            self.records.put(record.untroubled())
        return False

    def _give_up(self) -> bool:
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
            turn.tell("held", blamed, "ApplyUpdates is manual: the message says which command goes back.")
        return True

    # -------------------------------------------------------------------------------------------- standings and reports

    def _say(self, artifacts: Mapping[str, Live], step: InForce) -> None:
        for key, live in artifacts.items():
            self._say_one(key, live, step)

    def _say_one(self, key: str, live: Live, step: InForce) -> None:
        """Write a step into a report; words hold up no update, and the next step writes them again."""
        try:
            say(self.turn.undo.s3, self.turn.undo.drop_bucket, key, live, step)
        except (ClientError, BotoCoreError) as exc:
            logger.warning("a report does not say how far its update is", extra={"key": key, "because": str(exc)})

    def _stage(self, artifacts: Mapping[str, Live], stage: Literal["waiting", "updating", "verifying"]) -> None:
        for key, live in artifacts.items():
            self.standings.change(key, _staged(key, live, stage))


def close(
    record: UpdateRecord,
    records: UpdateTable,
    standings: StandingTable,
    say_in_report: Callable[[str, Live, InForce], None],
    now: datetime,
) -> None:
    """Write down that what an update has brought works; done again, it changes nothing.

    Raises:
        StandingChangedError: another invocation was faster.
    """
    for key, live in record.artifacts.items():
        say_in_report(key, live, InForce("verified", now))
        standings.change(key, _good(key, live))
    records.put(record.idle())


def _bad(owed: Mapping[str, Debt]) -> dict[str, Live]:
    return {key: debt.bad for key, debt in owed.items()}


def _sources(owed: Mapping[str, Debt]) -> dict[str, str]:
    return {key: f"back from {debt.bad.source}" for key, debt in owed.items()}


def _is_in(record: UpdateRecord, key: str) -> bool:
    """Whether an artifact is brought by the update, and not left of the one before."""
    return members(key, *place_of(record.artifacts[key])).items() <= record.changes.items()


def _staged(
    key: str, live: Live, stage: Literal["waiting", "updating", "verifying"]
) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or Standing(key, "removed")  # a newer version waits already
        return replace(standing, stage=stage, due_at=None)

    return change


def _good(key: str, live: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        if standing.live is None or standing.live.source != live.source:
            return replace(standing, good=live)  # a newer version waits already
        return verified(standing, ())

    return change


def _is_in_force(live: Live, there: tuple[str, str]) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or Standing(live.key, "removed")  # a newer version waits already
        return verified(replace(standing, live=replace(live, key=there[0], version_id=there[1])), ())

    return change


def _is_gone(key: str, live: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        if standing is None or standing.live is None or standing.live.source != live.source:
            return standing or Standing(key, "removed")
        return replace(standing, stage="removed", live=None, good=None, problems=(), due_at=None)

    return change


def _nothing_is_live(key: str, nothing: Live) -> Callable[[Standing | None], Standing]:
    def change(standing: Standing | None) -> Standing:
        standing = standing or Standing(key, "removed")
        if standing.stage != "rolled-back" or standing.live is not None:
            return standing
        return replace(standing, live=nothing)

    return change
