"""An environment of MWAA's: Airflow as a set of DAGs and runs behind the CLI endpoint, in recorded answers.

Whatever a command prints is what the real Airflow 3.3.2 printed (tests/data/airflow_cli_records.json), with the names,
states and rows of this world in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.airflow.records import RECORDS
from tests.unit.airflow.webserver import Handler, Reaction, WebServer, answer, output

VERSION = "3.3.2"


@dataclass
class KnownDag:
    """A DAG in Airflow's database: `stale` when no file makes it any more."""

    paused: bool = False
    stale: bool = False


@dataclass
class Airflow:
    """What Airflow knows.

    Attributes:
        runs: state by dag_id and run id.
        to_come: states that a run gets, one each time it is looked at.
        commands: all that was asked.
    """

    dags: dict[str, KnownDag] = field(default_factory=dict)
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    to_come: list[str] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)

    def answer(self, argv: list[str]) -> Reaction:
        """Answer one command as the web server does."""
        self.commands.append(argv)
        options = dict(word.lstrip("-").partition("=")[::2] for word in argv if word.startswith("--"))
        match argv[:2]:
            case ["dags", "trigger"]:
                return self._trigger(argv[-1], options["run-id"])
            case ["dags", "state"]:
                return self._state(*argv[-2:])
            case ["dags", "list"]:
                return _recorded("list_json", rows=[self._row(name, options["columns"]) for name in self.dags])
            case ["dags", "list-runs"]:
                return self._list_runs(argv[-1])
            case ["dags", "list-import-errors"]:
                return _recorded("list_import_errors_json" if self.errors else "clean.list_import_errors_json")
            case ["version"]:
                return output(f"{VERSION}\n")
        return answer(418, f"this world has no answer to {argv}".encode())

    def _trigger(self, dag_id: str, run_id: str) -> Reaction:
        if dag_id not in self.dags:
            return _recorded("trigger_unknown_dag", no_such_dag=dag_id)
        if (dag_id, run_id) in self.runs:
            return _recorded("trigger_duplicate", hello=dag_id, r2=run_id)
        self.runs[dag_id, run_id] = "queued"  # of a stale DAG too, and for ever
        label = "trigger_paused" if self.dags[dag_id].paused else "trigger_conf_runid_json"
        (row,) = _rows(label)
        return _recorded(label, rows=[row | {"dag_id": dag_id, "dag_run_id": run_id}])

    def _state(self, dag_id: str, run_id: str) -> Reaction:
        if dag_id not in self.dags:
            return _recorded("state_unknown_dag", nope=dag_id)
        if (dag_id, run_id) not in self.runs:
            return _recorded("state_missing_run")
        state = self.runs[dag_id, run_id]
        if self.to_come:
            self.runs[dag_id, run_id] = self.to_come.pop(0)
        return _recorded("state_runid", queued=state)

    def _list_runs(self, dag_id: str) -> Reaction:
        if dag_id not in self.dags:
            return _recorded("list_runs_unknown", nope=dag_id)
        like = _rows("list_runs_positional_json")[0]
        rows = [
            like | {"dag_id": of, "run_id": run_id, "state": state}
            for (of, run_id), state in self.runs.items()
            if of == dag_id
        ]
        return _recorded("list_runs_positional_json", rows=rows)

    def _row(self, dag_id: str, columns: str) -> dict[str, Any]:
        dag = self.dags[dag_id]
        row = {
            "dag_id": dag_id,
            "fileloc": f"/usr/local/airflow/dags/{dag_id}.py",
            "owners": ["airflow"],
            "is_paused": str(dag.paused),
            "is_stale": str(dag.stale),
            "bundle_name": "dags-folder",
            "bundle_version": None,
        }
        return {name: row[name] for name in columns.split(",")}


class Environment:
    """The web server of one environment: it lives, is busy, refuses tokens, or does not listen."""

    def __init__(self, certificate: Path) -> None:
        self.airflow = Airflow()
        self.refusal: int | None = None  # the status that every command gets instead of its answer
        self.web = WebServer(certificate, script=_Always(self._react))  # type: ignore[arg-type]

    def _react(self, handler: Handler) -> None:
        if self.refusal is not None:
            answer(self.refusal, b"Service Unavailable" if self.refusal == 503 else b"Forbidden")(handler)
        else:
            self.airflow.answer(self.web.requests[-1].argv)(handler)


@dataclass(frozen=True)
class _Always:
    """A script that never ends."""

    reaction: Reaction

    def popleft(self) -> Reaction:
        return self.reaction


def _rows(label: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(RECORDS[VERSION, label]["stdout"].rstrip().splitlines()[-1])
    return rows


def _recorded(label: str, *, rows: list[dict[str, Any]] | None = None, **names: str) -> Reaction:
    """Answer with a recorded output, its last line with other rows, its words with other names."""
    record = RECORDS[VERSION, label]
    stdout, stderr = record["stdout"], record["stderr"]
    if rows is not None:
        lines = stdout.rstrip().splitlines()
        stdout = "\n".join([*lines[:-1], json.dumps(rows)]) + "\n"
    for old, new in names.items():
        stdout, stderr = (re.sub(rf"\b{old}\b", new, text) for text in (stdout, stderr))
    return output(stdout, stderr, 200 if record["exit_code"] == 0 else 400)
