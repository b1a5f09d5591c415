"""What Airflow is doing now, read from its metadata database (the same tables in Airflow 2.11 and 3).

The local executor runs few tasks at once, so tasks that MWAA's Celery queue would hold stay `scheduled` here. They
are counted as queued when nothing but the executor's size holds them: their pool and their DAG's
`max_active_tasks` would let them go.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

_TASKS = """
SELECT t.dag_id, t.run_id, t.state, t.pool, t.pool_slots, t.queued_dttm, t.updated_at, d.max_active_tasks
FROM task_instance t LEFT JOIN dag d ON d.dag_id = t.dag_id
WHERE t.state IN ('scheduled', 'queued', 'running', 'deferred')
ORDER BY t.updated_at
"""
_ENDED = """
SELECT state, count(*) FROM task_instance WHERE state IN ('success', 'failed') AND end_date > ? GROUP BY state
"""
_HEARTBEAT = "SELECT max(latest_heartbeat) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"


@dataclass(frozen=True, slots=True)
class Task:
    """A task instance that is not done: `since` is when it was queued, or last changed."""

    dag_id: str
    run_id: str
    state: str
    pool: str
    slots: int
    since: datetime | None
    max_active_tasks: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots of one pool; `open` is None when it has no limit."""

    open: int | None
    running: int = 0
    queued: int = 0
    starving: int = 0


@dataclass(frozen=True, slots=True)
class AirflowState:
    """What Airflow is doing.

    Attributes:
        running, queued: tasks, as MWAA's queue would count them.
        starving: tasks that wait for a slot of their pool.
        oldest_queued: seconds that the oldest queued task has waited; 0 when there is none.
        heartbeat_age: seconds since the scheduler's last heartbeat; None when there was none.
        succeeded, failed: tasks that ended since the last look.
    """

    running: int
    queued: int
    starving: int
    oldest_queued: float
    import_errors: int
    heartbeat_age: float | None
    pools: Mapping[str, Pool] = field(default_factory=dict)
    succeeded: int = 0
    failed: int = 0


def read(database: Path, *, now: datetime, since: datetime | None = None) -> AirflowState:
    """Read the state.

    Args:
        since: tasks that ended after this are counted; None counts none.

    Raises:
        sqlite3.Error: no database, or it is locked for more than five seconds.
    """
    # Read-only: whatever happens here, Airflow's database is not touched.
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        tasks = [
            Task(dag, run, state, pool, slots or 1, _time(queued) or _time(updated), limit or 16)
            for dag, run, state, pool, slots, queued, updated, limit in connection.execute(_TASKS)
        ]
        sizes: dict[str, int] = dict(connection.execute("SELECT pool, slots FROM slot_pool"))
        (errors,) = connection.execute("SELECT count(*) FROM import_error").fetchone()
        (beat,) = connection.execute(_HEARTBEAT).fetchone()
        ended: dict[str, int] = {}
        if since is not None:
            ended = dict(connection.execute(_ENDED, (since.strftime("%Y-%m-%d %H:%M:%S.%f"),)))
    seen = _time(beat)
    state = summarise(
        tasks, sizes, import_errors=errors, heartbeat_age=(now - seen).total_seconds() if seen else None, now=now
    )
    return replace(state, succeeded=ended.get("success", 0), failed=ended.get("failed", 0))


def summarise(
    tasks: Iterable[Task],
    sizes: Mapping[str, int],
    *,
    import_errors: int = 0,
    heartbeat_age: float | None = None,
    now: datetime,
) -> AirflowState:
    """Count the tasks.

    Args:
        sizes: slots of each pool; -1 is no limit.
    """
    tasks = list(tasks)
    held = [task for task in tasks if task.state in {"running", "queued"}]
    slots = {name: Counter[str]() for name in sizes}
    for task in held:
        slots.setdefault(task.pool, Counter())[task.state] += task.slots
    open_slots = {
        name: None if size < 0 else size - slots[name]["running"] - slots[name]["queued"]
        for name, size in sizes.items()
    }
    active = Counter(task.dag_id for task in held)
    waiting, starving = [task for task in held if task.state == "queued"], Counter[str]()
    for task in tasks:
        if task.state != "scheduled":
            continue
        left = open_slots.get(task.pool)
        if left is not None and left < task.slots:
            starving[task.pool] += 1
        elif active[task.dag_id] < task.max_active_tasks:
            active[task.dag_id] += 1
            if left is not None:
                open_slots[task.pool] = left - task.slots
            slots.setdefault(task.pool, Counter())["queued"] += task.slots
            waiting.append(task)
    ages = [(now - task.since).total_seconds() for task in waiting if task.since is not None]
    return AirflowState(
        running=sum(task.state == "running" for task in held),
        queued=len(waiting),
        starving=starving.total(),
        oldest_queued=max([0.0, *ages]),
        import_errors=import_errors,
        heartbeat_age=heartbeat_age,
        pools={
            name: Pool(open_slots[name], slots[name]["running"], slots[name]["queued"], starving[name])
            for name in sizes
        },
    )


def _time(text: str | None) -> datetime | None:
    """SQLite holds Airflow's times as text in UTC."""
    return None if not text else datetime.fromisoformat(text).replace(tzinfo=UTC)
