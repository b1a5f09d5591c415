"""Answers of the real Airflow of six versions, as they were recorded, and how MWAA would send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jetway.airflow import DagRunRequest
from tests.unit.airflow.webserver import Reaction, output

_FILE = Path(__file__).parents[2] / "data" / "airflow_cli_records.json"
RECORDS: dict[tuple[str, str], Mapping[str, Any]] = {
    (record["version"], record["label"]): record for record in json.loads(_FILE.read_text())
}
VERSIONS = ["2.10.3", "2.11.0", "3.0.6", "3.1.8", "3.2.2", "3.3.2"]
AIRFLOW_2 = VERSIONS[:2]
AIRFLOW_3 = VERSIONS[2:]


def replay(version: str, label: str, *, old_style: bool = False) -> Reaction:
    """Answer with a recorded output as MWAA does; old style is 200 whatever the command returned."""
    record = RECORDS[version, label]
    status = 200 if record["exit_code"] == 0 or old_style else 400
    return output(record["stdout"], record["stderr"], status)


def absent(version: str) -> list[Reaction]:
    """Answer a look-up of a run that is not there."""
    if version in AIRFLOW_3:
        return [replay(version, "state_missing_run")]
    line = "airflow.exceptions.AirflowException: Error parsing the supplied execution_date. Error: no"
    return [output(stderr=f"Traceback (most recent call last):\n  File\n{line}\n", status=400)]


def request(version: str, label: str) -> DagRunRequest:
    """Return a request that our client can send, of the run that the record speaks of."""
    argv = RECORDS[version, label]["argv"]
    return DagRunRequest(dag_id=argv[3], dag_run_id=argv[argv.index("-r") + 1])


def column(version: str, label: str, name: str) -> str:
    value = json.loads(RECORDS[version, label]["stdout"].rstrip().splitlines()[-1])[0][name]
    assert isinstance(value, str)
    return value
