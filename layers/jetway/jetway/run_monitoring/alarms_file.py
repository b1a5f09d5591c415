"""alarms.yaml of the drop bucket: whose the DAGs are, whose failures are no alarm, by when which is to have run.

    timezone: Europe/Vienna
    dags:
      nightly_export:
        owners: [data-platform@example.com]
        expect: {by: "06:00", days: weekdays}
      playground:
        alarm: false

Its shape is that of alarms.schema.json. Read by follow_runs (`last_good`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jetway.artifacts.findings import Finding, Judgement, judgement
from jetway.configuration.document import read_configuration
from jetway.configuration.last_good import ParsedFile
from jetway.run_monitoring.deadlines import Expectation

if TYPE_CHECKING:
    from jetway.documents.yaml_document import Document

KEY = "alarms.yaml"
KIND = "alarms"
MOST_BYTES = 64 * 1024

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"weekdays": _DAYS[:5], "weekend": _DAYS[5:], "daily": _DAYS}


@dataclass(frozen=True, slots=True)
class RunAlarms:
    """What the file says.

    Attributes:
        owners: by dag_id.
        silent: dag_ids whose failures are no alarm.
        expected: by when which DAG is to have run.
        lines: where the file speaks of a DAG.
    """

    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    expected: tuple[Expectation, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)


def parse_alarms(content: bytes) -> ParsedFile[RunAlarms]:
    """Read and check the file."""
    remedy = "Leave out DAGs for which the defaults are right."
    document = read_configuration(content, schema(), most_bytes=MOST_BYTES, shorter=remedy)
    if isinstance(document, tuple):
        return _refused(*document)
    name = document.value.get("timezone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "Use an IANA name such as Europe/Vienna."
        line = document.line(("timezone",))
        return _refused(Finding("wrong-value", "error", f"timezone: {name!r} is not a time zone.", line, remedy))
    return ParsedFile(_alarms(document, zone), judgement(KIND))


def check_alarms(content: bytes) -> Judgement:
    """Judge the file without Airflow."""
    return parse_alarms(content).judgement


def absent(alarms: RunAlarms, there: Iterable[str]) -> list[Finding]:
    """Return a finding for each DAG of the file that Airflow does not have.

    Args:
        there: the dag_ids that it has.
    """
    known = sorted(there)
    return [_absent(dag_id, line, known) for dag_id, line in alarms.lines.items() if dag_id not in set(known)]


def not_watched(because: str) -> Finding:
    """Return the finding that refuses the file, since nothing would come of it."""
    remedy = "Change that, then drop the file again."
    return Finding("runs-not-watched", "error", f"The file would do nothing. {because}", None, remedy)


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of the file; docs/schemas/alarms.schema.json is its published copy."""
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("alarms.schema.json").read_text(encoding="utf-8"))
    return found


def _alarms(document: Document, zone: ZoneInfo) -> RunAlarms:
    dags: Mapping[str, Mapping[str, Any]] = document.value["dags"]
    return RunAlarms(
        owners={name: tuple(dag["owners"]) for name, dag in dags.items() if "owners" in dag},
        silent=frozenset(name for name, dag in dags.items() if dag.get("alarm") is False),
        expected=tuple(_expectation(name, dag["expect"], zone) for name, dag in dags.items() if "expect" in dag),
        lines={name: document.line(("dags", name)) for name in dags},
    )


def _expectation(dag_id: str, value: Mapping[str, Any], zone: ZoneInfo) -> Expectation:
    given = value.get("days", "daily")
    days = _NAMED[given] if isinstance(given, str) else given
    return Expectation(dag_id, time.fromisoformat(value["by"]), frozenset(map(_DAYS.index, days)), zone)


def _absent(dag_id: str, line: int, known: list[str]) -> Finding:
    near = difflib.get_close_matches(dag_id, known, n=1)
    message = f"Airflow has no DAG {dag_id!r}." + (f" Did you mean {near[0]!r}?" if near else "")
    remedy = "Correct the name, or remove the entry. The entry takes effect once the DAG exists."
    return Finding("dag-not-there", "warning", message, line, remedy)


def _refused(*findings: Finding) -> ParsedFile[RunAlarms]:
    return ParsedFile(None, judgement(KIND, findings))
