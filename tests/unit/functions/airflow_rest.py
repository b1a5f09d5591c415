"""Airflow's REST API behind InvokeRestApi, as far as functions ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class Airflow:
    """Airflow's REST API behind InvokeRestApi: `aws.mwaa.answer = airflow`.

    Attributes:
        runs: by (dag_id, dag_run_id).
        unknown: dag_ids that Airflow does not know.
        paused: dag_ids of DAGs that are.
        stale_later: DAGs whose file goes between the run and the question about the DAG.
        errors, files: import errors, and DAGs' files.
        parsed: when these were parsed last, as Airflow says it; None when it does not.
        status: of every answer, when it is not 200.
    """

    runs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    ended: list[dict[str, Any]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    stale_later: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    parsed: str | None = None
    status: int = 200

    def __call__(self, asked: dict[str, Any]) -> tuple[int, object]:
        if self.status != 200:
            return self.status, {"detail": "not now"}
        parts: list[str] = asked["Path"].strip("/").split("/")
        kind, dag_id, more = parts[0], "".join(parts[1:2]), [*parts[2:], ""]
        if kind == "importErrors":
            errors = [{"filename": name, "stack_trace": text} for name, text in self.errors.items()]
            return 200, {"import_errors": errors, "total_entries": len(errors)}
        if not dag_id:
            common = {"is_paused": False, "last_parsed_time": self.parsed}
            dags = [{"dag_id": name, "fileloc": path, **common} for name, path in self.files.items()]
            return 200, {"dags": dags, "total_entries": len(dags)}
        if dag_id in self.unknown:
            return 404, {"detail": f"DAG with dag_id: '{dag_id}' not found"}
        if dag_id == "~" and asked["Body"]["states"] == ["queued"]:
            ended = {run["dag_run_id"] for run in self.ended}
            queued = [
                run for (name, id_), run in self.runs.items() if name in asked["Body"]["dag_ids"] and id_ not in ended
            ]
            return 200, {"dag_runs": queued, "total_entries": len(queued)}
        if dag_id == "~" or more[:2] == ["dagRuns", "list"]:
            return 200, {"dag_runs": self.ended, "total_entries": len(self.ended)}
        if not more[0]:
            state = {"is_paused": dag_id in self.paused, "is_stale": dag_id in self.stale_later}
            return 200, {"dag_id": dag_id, "fileloc": "x", **state}
        if asked["Method"] == "POST":
            body = asked["Body"]
            if (dag_id, body["dag_run_id"]) in self.runs:
                return 409, {"detail": "DAGRun already exists"}
            run = {"dag_id": dag_id, "dag_run_id": body["dag_run_id"], "state": "queued", "conf": body["conf"]}
            self.runs[dag_id, run["dag_run_id"]] = run
            return 200, run
        if (dag_id, more[1]) not in self.runs:
            return 404, {"detail": f"The DagRun with dag_id: `{dag_id}` and run_id: `{more[1]}` was not found"}
        return 200, self.runs[dag_id, more[1]]

    def end(self, state: str) -> None:
        """Let all runs end a moment ago."""
        at = datetime.now(UTC).isoformat()
        self.ended = [run | {"state": state, "start_date": at, "end_date": at} for run in self.runs.values()]
