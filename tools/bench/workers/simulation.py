"""One environment in simulated time: tasks queue up, MWAA's autoscaler follows its formula, bounds may be moved.

What AWS documents is modelled as documented, the rest is an assumption with a name in `Physics`:
- required = (running + queued) / tasks per worker within [MinWorkers, MaxWorkers], looked at once a minute; a worker
  that runs tasks is not stopped. https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-autoscaling.html
- an update of the environment takes 10 to 30 minutes. https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html
- not documented: how long a worker takes to start, and how long MWAA waits before it stops an idle one.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jetway.workers.assessment import WorkerSettings, required_workers
from jetway.workers.floors import Floor, highest_floor
from jetway.workers.scaling import Demand, Policy, decide

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)  # every simulation begins here
STEP = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Task:
    """A task that joins the queue at `at` and then runs for `seconds`; seconds since the beginning."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Physics:
    """What MWAA does not document, and what an environment is made of.

    Attributes:
        start_seconds: from the wish for a worker to its first task.
        idle_minutes: minutes above the need before an idle worker is stopped.
        update_minutes: shortest and longest update.
        events_held: whether no new task comes in while the environment is UPDATING; they come when it ends.
    """

    tasks_per_worker: int = 5
    start_seconds: float = 180
    idle_minutes: int = 5
    update_minutes: tuple[float, float] = (10, 30)
    events_held: bool = False


@dataclass(frozen=True, slots=True)
class Strategy:
    """Bounds at the beginning, and how they move: not at all without a policy."""

    name: str
    low: int
    high: int
    policy: Policy | None = None
    floors: Sequence[Floor] = ()


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        waits: seconds that each task waited, in order of its start.
        worker_hours: of all workers, those that start included.
        minutes: (required, running workers, MinWorkers, MaxWorkers, queued) of each minute.
    """

    waits: list[float] = field(default_factory=list)
    worker_hours: float = 0.0
    updates: int = 0
    minutes: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def wait(self, percent: float) -> float:
        """A percentile of the waits, in seconds."""
        ordered = sorted(self.waits)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0


class Environment:
    """The state in mid-simulation. Workers are told apart, so that only idle ones are stopped."""

    def __init__(self, strategy: Strategy, physics: Physics, seed: int) -> None:
        self.strategy, self.physics = strategy, physics
        self.random = random.Random(seed)  # noqa: S311 - a simulation
        self.low, self.high = strategy.low, strategy.high
        self.free: dict[int, int] = {}  # worker → free slots
        self.starting: list[float] = []  # moments at which workers come up
        self.queue: deque[Task] = deque()
        self.held: deque[Task] = deque()
        self.running: list[tuple[float, int]] = []  # (end, worker)
        self.update: tuple[float, int, int] | None = None  # (end, low, high)
        self.last_update_at: float | None = None
        self.above_need = 0
        self.names = 0
        self.result = Result()
        for _ in range(self.low):
            self._come_up()

    def step(self, now: float, arrivals: Sequence[Task]) -> None:
        """Let one step pass."""
        if self.update and self.update[0] <= now:
            _, self.low, self.high = self.update
            self.update = None
        holding = self.update is not None and self.physics.events_held
        (self.held if holding else self.queue).extend(arrivals)
        if not holding and self.held:
            self.queue.extend(self.held)
            self.held.clear()
        while self.starting and self.starting[0] <= now:
            heapq.heappop(self.starting)
            self._come_up()
        while self.running and self.running[0][0] <= now:
            _, worker = heapq.heappop(self.running)
            self.free[worker] += 1
        self._take(now)
        self.result.worker_hours += (len(self.free) + len(self.starting)) * STEP / 3600
        if now % 60 == 0:
            self._autoscale(now)
        if now % 300 == 0 and self.strategy.policy and self.update is None:
            self._scale(now, self.strategy.policy)

    @property
    def required(self) -> int:
        return required_workers(len(self.running), len(self.queue), self.physics.tasks_per_worker)

    def _come_up(self) -> None:
        self.names += 1
        self.free[self.names] = self.physics.tasks_per_worker

    def _take(self, now: float) -> None:
        """Whoever has a free slot takes the next task: spread out, as Celery's workers do."""
        open_ = [worker for worker, slots in self.free.items() if slots]
        while self.queue and open_:
            number = self.random.randrange(len(open_))
            worker, task = open_[number], self.queue.popleft()
            self.free[worker] -= 1
            if not self.free[worker]:
                open_[number] = open_[-1]
                open_.pop()
            heapq.heappush(self.running, (now + task.seconds, worker))
            self.result.waits.append(now - task.at)

    def _autoscale(self, now: float) -> None:
        need = min(max(self.required, self.low), self.high)
        have = len(self.free) + len(self.starting)
        self.result.minutes.append((self.required, len(self.free), self.low, self.high, len(self.queue)))
        for _ in range(need - have):
            heapq.heappush(self.starting, now + self.physics.start_seconds)
        self.above_need = self.above_need + 1 if have > need else 0
        if self.above_need < self.physics.idle_minutes:
            return
        idle = [worker for worker, slots in self.free.items() if slots == self.physics.tasks_per_worker]
        for worker in idle[: have - need]:
            del self.free[worker]

    def _scale(self, now: float, policy: Policy) -> None:
        at = MONDAY + timedelta(seconds=now)
        due = highest_floor(self.strategy.floors, at, at + policy.lead)
        coming = highest_floor(self.strategy.floors, at, at + policy.lookahead)
        decision = decide(
            WorkerSettings("mw1.small", self.low, self.high, self.physics.tasks_per_worker),
            Demand(
                required=[minute[0] for minute in self.result.minutes[-policy.lower_after :]],
                running_workers=len(self.free),
                running_tasks=len(self.running),
                floor=due.workers if due else 0,
                coming_floor=coming.workers if coming else 0,
            ),
            policy,
            status="AVAILABLE",
            last_update_at=None if self.last_update_at is None else MONDAY + timedelta(seconds=self.last_update_at),
            now=at,
        )
        if decision.action in {"raise", "lower"}:
            length = 60 * self.random.uniform(*self.physics.update_minutes)
            self.update = (now + length, decision.min_workers, decision.max_workers)
            self.last_update_at = now
            self.result.updates += 1


def simulate(tasks: Sequence[Task], strategy: Strategy, physics: Physics, *, seed: int = 1) -> Result:
    """Replay tasks, in order of time, until all of them are done."""
    environment = Environment(strategy, physics, seed)
    now, number = 0.0, 0
    while number < len(tasks) or environment.queue or environment.running or environment.held:
        first = number
        while number < len(tasks) and tasks[number].at <= now:
            number += 1
        environment.step(now, tasks[first:number])
        now += STEP
    return environment.result
