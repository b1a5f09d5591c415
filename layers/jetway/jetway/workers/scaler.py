"""Facts gathered, the decision of `scaling` taken, and, in mode `act`, the environment updated.

There is no state of our own: demand is CloudWatch's, the last change is the environment's own LastUpdate, which is also
that of artifacts and people, so that one cool-down holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from jetway.airflow.environment import Environment
from jetway.updates.apply import RefusedError, Scaled
from jetway.workers.assessment import required_workers, settings_of
from jetway.workers.floors import highest_floor
from jetway.workers.metrics import Watched, ask, readings
from jetway.workers.scaling import Demand, Policy, ScalingDecision, decide, monthly_cost

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.workers.assessment import WorkerSettings
    from jetway.workers.floors_file import FloorsFound
    from jetway.workers.metrics import Series

Mode = Literal["off", "advise", "act"]


@dataclass(frozen=True, slots=True)
class ScalingOutcome:
    """One decision and what became of it; its fields are those of the log line and of the event.

    Attributes:
        applied: the environment is being updated.
        tasks_to_come: of events that are queued or collected and have no run yet.
        cost_per_month: what the change costs, or saves when negative, in the currency of the price table.
        cost_per_hour: what the additional workers that run now cost.
        floors_error: what is wrong with floors.yaml, when something is.
    """

    mode: Mode
    decision: ScalingDecision
    applied: bool
    min_workers: int
    max_workers: int
    cost_per_month: float | None
    cost_per_hour: float | None
    tasks_to_come: float = 0
    floors_error: str | None = None


class WorkerScaler:
    """Scales the workers of one environment.

    Args:
        floors: tells the floors in force.
        events_waiting: counts the events that will be runs soon.
        tasks_per_event: tasks that an event becomes, on average.
        prices: of one additional worker by the hour, by environment class.
        update: sets MinWorkers and MaxWorkers (`jetway.updates.Updates.scale`).
    """

    def __init__(
        self,
        environment_name: str,
        policy: Policy,
        *,
        mode: Mode,
        floors: Callable[[datetime], FloorsFound],
        events_waiting: Callable[[], int],
        tasks_per_event: float,
        prices: Mapping[str, float],
        mwaa: MWAAClient,
        cloudwatch: CloudWatchClient,
        update: Callable[[EnvironmentFacts, int, int], Scaled],
    ) -> None:
        self._environment = Environment(mwaa, environment_name, max_age=0, max_age_unusable=0)
        self._policy = policy
        self._mode = mode
        self._floors = floors
        self._events_waiting = events_waiting
        self._tasks_per_event = tasks_per_event
        self._prices = prices
        self._cloudwatch, self._update_environment = cloudwatch, update

    def scale(self, now: datetime) -> ScalingOutcome:
        """Decide once and, in mode `act`, begin the update.

        Raises:
            TransientError, ClientError, BotoCoreError: facts are missing, or the update was refused.
        """
        facts = self._environment.facts()
        settings = settings_of(facts)
        demand, floors_error = self._demand(settings, now)
        decision = decide(
            settings,
            demand,
            self._policy,
            status=facts.status,
            last_update_at=facts.last_update_at,
            last_update=facts.last_update,
            now=now,
        )
        applied = False
        if self._mode == "act" and decision.action in {"raise", "lower"}:
            decision, applied = self._update(facts, decision)
        price = self._prices.get(settings.environment_class)
        running = demand.running_workers
        return ScalingOutcome(
            mode=self._mode,
            decision=decision,
            applied=applied,
            min_workers=settings.min_workers,
            max_workers=settings.max_workers,
            cost_per_month=None if price is None else round(monthly_cost(settings, decision, price), 2),
            # The environment's own price has its first worker in it.
            cost_per_hour=None if price is None or running is None else round(max(0, running - 1) * price, 4),
            tasks_to_come=demand.burst_tasks,
            floors_error=floors_error,
        )

    def _demand(self, settings: WorkerSettings, now: datetime) -> tuple[Demand, str | None]:
        length = timedelta(minutes=self._policy.lower_after)
        watched = Watched(self._environment.name, environment_class=settings.environment_class)
        series: dict[str, Series] = ask(self._cloudwatch, watched, now, length)
        measured = readings(series, watched, now, length)
        demand = Demand(
            required=[
                None
                if minute.running is None or minute.queued is None
                else required_workers(minute.running, minute.queued, settings.tasks_per_worker)
                for minute in measured.history
            ],
            running_workers=measured.workers,
            running_tasks=measured.running,
            burst_tasks=self._events_waiting() * self._tasks_per_event if self._tasks_per_event else 0,
        )
        found = self._floors(now)
        due = highest_floor(found.floors, now, now + self._policy.lead)
        coming = highest_floor(found.floors, now, now + self._policy.lookahead)
        # Nothing is lowered on the word of a file that cannot be read.
        kept = settings.min_workers if found.error else 0
        return replace(
            demand,
            floor=due.workers if due else 0,
            floor_because=str(due) if due else "",
            coming_floor=max(kept, coming.workers if coming else 0),
        ), found.error

    def _update(self, facts: EnvironmentFacts, decision: ScalingDecision) -> tuple[ScalingDecision, bool]:
        """Begin the update, unless artifacts are about to begin one, or another one is on its way."""
        try:
            begun = self._update_environment(facts, decision.min_workers, decision.max_workers)
        except RefusedError as exc:
            # An update of somebody else began since we looked; or MWAA does not want these numbers.
            return replace(
                decision, action="wait", because=f"MWAA rejected the update: {exc} {decision.because}"
            ), False
        if begun == "begun":
            return decision, True
        why = {
            "goes-along": "Artifacts are about to update the environment, and the limits go with that update.",
            "held": "An update of artifacts is in progress or being verified.",
        }[begun]
        return replace(decision, action="wait", because=f"{why} {decision.because}"), False
