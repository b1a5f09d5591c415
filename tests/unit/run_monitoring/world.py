"""Airflow's runs, a ledger in moto, a bus and a topic in memory, and the look of every minute at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from jetway.airflow.environment import EnvironmentFacts
from jetway.airflow.rest import RestClient
from jetway.dispatch.following import RunFollower
from jetway.errors import DagNotFoundError
from jetway.events.outgoing import OutEvent
from jetway.http.event_lookup import event_of_run
from jetway.ledger import Ledger
from jetway.run_monitoring.alarms_file import RunAlarms
from jetway.run_monitoring.monitor import MonitoredEnvironment, MonitorSummary, RunMonitor
from jetway.run_monitoring.notifications import Mail
from jetway.run_monitoring.state_table import Memory
from tests.unit.ledger_table import make_ledger_table

NOW = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)
FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "acme-airflow", "dags", web_server="ui.example")


@dataclass
class FakeAirflow:
    """Airflow's REST API, as far as it is asked for runs.

    Attributes:
        runs: as the API gives them, in the order of their creation.
        most: rows of a page at the most, whatever is asked for.
        between: is done after each page, as people clear runs meanwhile.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    most: int = 100
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    between: Callable[[], object] = bool
    longest_path: int | None = None

    def end(self, run_id: str, state: str, at: datetime, dag_id: str = "theirs") -> dict[str, Any]:
        """Let a run end."""
        run = {"dag_id": dag_id, "dag_run_id": run_id, "state": state, "run_type": "scheduled"}
        run |= {"start_date": (at - timedelta(seconds=90)).isoformat(), "end_date": at.isoformat()}
        self.runs.append(run)
        return run

    def call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        dag_id: str,
        *,
        creates: bool = False,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> object:
        assert not creates
        if method == "GET":
            if dag_id in self.unknown:
                raise DagNotFoundError(dag_id)
            assert query is not None
            newest = [run for run in reversed(self.runs) if run["dag_id"] == dag_id]
            return {"dag_runs": newest[: query["limit"]], "total_entries": len(newest)}
        assert (path, body is not None) == ("/dags/~/dagRuns/list", True)
        body = cast("Mapping[str, Any]", body)
        self.asked.append(body)
        found = sorted((run for run in self.runs if _fits(run, body)), key=lambda run: _at(run["end_date"]))
        size = min(self.most, body["page_limit"])
        answer = {"dag_runs": [dict(run) for run in found[body["page_offset"] :][:size]], "total_entries": len(found)}
        self.between()
        return answer


def _fits(run: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    if run["state"] not in body["states"] or run["end_date"] is None:
        return False
    if "dag_ids" in body and run["dag_id"] not in body["dag_ids"]:
        return False
    end = _at(run["end_date"])
    return _at(body["end_date_gte"]) <= end <= _at(body.get("end_date_lte", "9999-01-01T00:00:00+00:00"))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class World:
    """All of it; moto must be active."""

    def __init__(self, alarms: RunAlarms | None = None) -> None:
        self.now = NOW
        self.seconds = 60.0
        self.airflow = FakeAirflow()
        self.alarms = alarms or RunAlarms()
        self.told: list[OutEvent] = []
        self.mails: list[Mail] = []
        self.table = make_ledger_table()
        self.ledger = Ledger(self.table, clock=lambda: self.now)
        self.memory = Memory(self.table)

    def tell(self, events: Sequence[OutEvent]) -> None:
        self.told += events

    def alarm(self, mail: Mail) -> None:
        self.mails.append(mail)

    def look(self) -> MonitorSummary:
        """Look as a new sandbox does, which remembers nothing."""
        look = RunMonitor(
            self.memory,
            self.ledger,
            event_of_run,
            tell=self.tell,
            alarm=self.alarm,
            seconds_left=lambda: self.seconds,
            clock=lambda: self.now,
        )
        return look.look(MonitoredEnvironment(self.client(), FACTS, self.alarms))

    def client(self) -> RestClient:
        return RestClient(self.airflow, cast("Any", None), cast("Any", None))

    def follower(self, watch: Any) -> RunFollower:
        return RunFollower(self.ledger, watch, environment="acme", tell=self.tell, clock=lambda: self.now)

    def ids(self) -> list[str]:
        return [event.id for event in self.told]
