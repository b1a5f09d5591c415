"""Whether MinWorkers and MaxWorkers should move, and why: one pure decision.

MWAA itself starts and stops workers between the bounds within minutes; moving a bound is an UpdateEnvironment of 10 to
30 minutes. So bounds move seldom: up when demand was above MaxWorkers for a while, when a floor is due or a burst is
coming that MaxWorkers cannot take; down when nothing has needed the height for long. The numbers of `Policy` were
chosen by tools/bench/workers.
https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-autoscaling.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from jetway.workers.assessment import WorkerSettings, required_workers

USABLE = "AVAILABLE"
HOURS_PER_MONTH = 730
RAISE_COOL_DOWN = timedelta(minutes=10)

Action = Literal["none", "wait", "raise", "lower"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How the bounds may move.

    Attributes:
        lowest: MinWorkers is never set below.
        usual: MaxWorkers comes back to this when no more is needed.
        highest: MaxWorkers is never set above.
        raise_after: minutes with data, all above MaxWorkers, that raise it.
        lower_after: minutes without need of the height that lower a bound.
        cool_down: time after the beginning of any update in which nothing is lowered.
        raise_cool_down: the same for raising: an update that is needed waits less.
        lead: floors are raised so much ahead; the longest that an update usually takes.
        margin: what is raised is raised to the need times this, so that the next minute does not ask again.
    """

    lowest: int = 1
    usual: int = 10
    highest: int = 10
    raise_after: int = 5
    lower_after: int = 90
    cool_down: timedelta = timedelta(minutes=60)
    raise_cool_down: timedelta = RAISE_COOL_DOWN
    lead: timedelta = timedelta(minutes=30)
    margin: float = 1.25

    @property
    def lookahead(self) -> timedelta:
        """A floor that begins within this time keeps MinWorkers from being lowered."""
        return self.lead + timedelta(minutes=self.lower_after)


@dataclass(frozen=True, slots=True)
class Demand:
    """What was and is needed.

    Attributes:
        required: workers by MWAA's formula, before the bounds, minute by minute, the newest last; None: no data.
        running_workers: workers that run now; None: no data.
        running_tasks: tasks that run now; None: no data.
        burst_tasks: tasks that wait to become part of the queue (events that are not dispatched yet).
        floor, floor_because: workers that are to be there now or in `Policy.lead`.
        coming_floor: the same within `Policy.lookahead`.
    """

    required: Sequence[int | None]
    running_workers: int | None = None
    running_tasks: float | None = None
    burst_tasks: float = 0
    floor: int = 0
    floor_because: str = ""
    coming_floor: int = 0


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """What should be done; `wait` is what would be done, were it not for `because`.

    Attributes:
        min_workers, max_workers: the bounds wanted; those in force when nothing is to be done.
    """

    action: Action
    min_workers: int
    max_workers: int
    because: str


def decide(
    settings: WorkerSettings,
    demand: Demand,
    policy: Policy,
    *,
    status: str,
    last_update_at: datetime | None,
    last_update: str | None = None,
    now: datetime,
) -> ScalingDecision:
    """Decide on the bounds of one environment.

    Args:
        status: the environment's; nothing is changed unless it is AVAILABLE.
        last_update_at, last_update: beginning and status (SUCCESS, FAILED…) of the last update, by whomever.
        now: timezone-aware.
    """
    low, high = settings.min_workers, settings.max_workers
    if not settings.scales:
        return ScalingDecision("none", low, high, f"{settings.environment_class} has one worker and does not scale.")
    wanted = _raised(settings, demand, policy) or _lowered(settings, demand, policy)
    if wanted is None:
        return ScalingDecision("none", low, high, f"MinWorkers {low} and MaxWorkers {high} match the demand.")
    since = None if last_update_at is None else now - last_update_at
    cool_down = policy.raise_cool_down if wanted.action == "raise" else policy.cool_down
    if last_update == "FAILED":
        cool_down = max(cool_down, policy.cool_down)  # what made it fail is seldom gone in a minute
    if status != USABLE:
        return _wait(wanted, f"the environment is {status}")
    if since is not None and since < cool_down:
        left = math.ceil((cool_down - since) / timedelta(minutes=1))
        return _wait(wanted, f"the last update began {since // timedelta(minutes=1)} minutes ago; {left} more to wait")
    return wanted


def monthly_cost(before: WorkerSettings, decision: ScalingDecision, hourly_price: float) -> float:
    """What the decision costs (or, negative, saves) in a month if workers at MinWorkers were idle otherwise.

    MaxWorkers costs nothing by itself: MWAA bills additional workers while they run.

    Args:
        hourly_price: of one additional worker. https://aws.amazon.com/managed-workflows-for-apache-airflow/pricing/
    """
    return (decision.min_workers - before.min_workers) * hourly_price * HOURS_PER_MONTH


def _raised(settings: WorkerSettings, demand: Demand, policy: Policy) -> ScalingDecision | None:
    low, high = settings.min_workers, settings.max_workers
    new_low, new_high, why = low, high, []
    floor = min(demand.floor, policy.highest)
    if floor > low:
        new_low, new_high = floor, max(high, floor)
        why.append(f"floors.yaml: {demand.floor_because or demand.floor}")
    known = [required for required in demand.required if required is not None]
    newest = known[-policy.raise_after :]
    if len(newest) == policy.raise_after and min(newest) > high and new_high < policy.highest:
        new_high = max(new_high, min(policy.highest, math.ceil(max(newest) * policy.margin)))
        why.append(f"{min(newest)} to {max(newest)} workers were needed in each of {len(newest)} minutes")
    now = known[-1] if known else 0
    burst = now + required_workers(0, demand.burst_tasks, settings.tasks_per_worker)
    if demand.burst_tasks > 0 and burst > high and new_high < policy.highest:
        floor = min(policy.highest, burst)
        new_low, new_high = max(new_low, floor), max(new_high, floor)
        why.append(f"{demand.burst_tasks:.0f} tasks are expected soon, which need {burst} workers in total")
    if (new_low, new_high) == (low, high):
        return None
    return ScalingDecision("raise", new_low, new_high, f"{_change(settings, new_low, new_high)}: {'; '.join(why)}.")


def _lowered(settings: WorkerSettings, demand: Demand, policy: Policy) -> ScalingDecision | None:
    low, high = settings.min_workers, settings.max_workers
    newest = demand.required[-policy.lower_after :]
    known = [required for required in newest if required is not None]
    if len(newest) < policy.lower_after or len(known) < 0.9 * policy.lower_after or demand.burst_tasks > 0:
        return None
    if demand.running_workers is None or demand.running_tasks is None:
        return None  # what runs must be known, to stay above it
    peak = max(known)
    busy = required_workers(demand.running_tasks, 0, settings.tasks_per_worker)
    floor = max(policy.lowest, min(max(demand.floor, demand.coming_floor), policy.highest))
    new_low, new_high, why = low, high, []
    if low > max(floor, peak, busy):
        # Down to the floor at once: MWAA itself keeps as many as are needed, and every step is an update.
        new_low = max(floor, busy)
        why.append(f"no more than {peak} workers were needed in {len(newest)} minutes")
    # Nearer to the usual height than the margin it would soon be raised again.
    if high > policy.usual and peak * policy.margin <= policy.usual:
        new_high = min(high, max(policy.usual, new_low, demand.running_workers))
        if new_high < high:
            why.append(f"MaxWorkers is usually {policy.usual}, and {peak} were enough")
    if (new_low, new_high) == (low, high):
        return None
    return ScalingDecision("lower", new_low, new_high, f"{_change(settings, new_low, new_high)}: {'; '.join(why)}.")


def _change(settings: WorkerSettings, low: int, high: int) -> str:
    return f"MinWorkers {settings.min_workers} → {low}, MaxWorkers {settings.max_workers} → {high}"


def _wait(wanted: ScalingDecision, reason: str) -> ScalingDecision:
    return ScalingDecision("wait", wanted.min_workers, wanted.max_workers, f"Not now, {reason}. {wanted.because}")
