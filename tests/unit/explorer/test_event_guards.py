"""Each guard of the event engine is needed: with it taken out, the explorer finds a play that breaks something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.sample_events import ROOT

PACKAGE = ROOT / "layers" / "jetway"


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard, as it stands in a file of jetway; what stands there without it; where that is seen."""

    file: str
    text: str
    without: str
    meeting: str
    transport: str = "rest"


GUARDS = {
    "a batch is closed with the count that was seen": Guard(
        "batches/table.py", "batch_id = :batch AND members = :count", "batch_id = :batch", "due"
    ),
    "an event is claimed once": Guard(
        "batches/table.py",
        "                **_unclaimed(member),\n                ReturnValues",
        "                ReturnValues",
        "batched",
    ),
    "what ends the collector time and again is given up": Guard(
        "batches/hands.py", "(receives - 2 <= len(hands)) >= MOST", "(receives - 2 <= len(hands)) > 99", "deadly alone"
    ),
    "only what was alone at a crash is given up": Guard(
        "batches/hands.py", "sum(hand == {message_id}", "sum(bool(hand)", "deadly alone"
    ),
    "what is in a batch is not given up": Guard(
        "batches/table.py", "condition = _unclaimed(member)", "condition: dict[str, Any] = {}", "deadly, claimed"
    ),
    "a redriven letter is told by its redrive, not by clocks": Guard(
        "batches/table.py", "_seconds(member.redriven_at)}\n        cond", "_seconds(now)}\n        cond", "crashed"
    ),
    "a batch takes no more than it has room for": Guard(
        "batches/table.py", "batch_id = :batch AND members <= :room AND", "batch_id = :batch AND", "room"
    ),
    "a row is closed as it was seen": Guard(
        "ledger.py", 'Attr("open").exists() & as_seen', 'Attr("open").exists()', "dead"
    ),
    "started is final": Guard("ledger_rows.py", '.ne("started")', '.ne("nothing")', "file"),
    "a late copy that is held undoes no outcome": Guard(
        "ledger.py", 'if entry.decision == "held":', "if not entry:", "given up"
    ),
    "an earlier try's run is looked for before an event is given up": Guard(
        "dispatch/dispatcher.py", "in outcomes.dags_to_look_in(case, also_own=also_own):", "in ():", "young"
    ),
    "a question that died says nothing": Guard(
        "dispatch/not_found.py",
        "        raise QuestionRefusedError(\n",
        "        return None\n        raise QuestionRefusedError(\n",
        "late",
        "cli",
    ),
    "a command that died of something unknown may have made the run": Guard(
        "dispatch/dispatcher.py", "also_own=isinstance(exc, CommandRejectedError)", "also_own=False", "file", "cli"
    ),
    "an answer of 5xx proves nothing, over rest": Guard(
        "airflow/rest_responses.py", " or (status >= 500 and call.creates)", "", "chosen call"
    ),
    "an answer of 5xx proves nothing, over cli": Guard(
        "airflow/cli_responses.py",
        "if creates and (status >= 500 or status == 408):",
        "if not host:",
        "chosen call",
        "cli",
    ),
    "a lost database proves nothing": Guard(
        "airflow/cli_errors.py", "if creates and isinstance(", "if not text and isinstance(", "chosen call", "cli"
    ),
    "what boto3 has repeated proves nothing": Guard(
        "airflow/rest_responses.py", "if call.creates and was_repeated(exc) and", "if not call and", "chosen call"
    ),
    "a run of a chosen id can be somebody else's": Guard(
        "dispatch/outcomes.py",
        "return self.known.is_run_id_chosen and not self.before.attempts",
        "return False",
        "call of others",
    ),
    "an event that is dispatched by itself is put into no batch": Guard(
        "batches/intake.py", 'if before.way != "dispatch":', "if before:", "file"
    ),
    "an event that is in a batch is not dispatched by itself": Guard(
        "dispatch/outcomes.py", 'if way == "collect":', 'if way == "nothing":', "batched"
    ),
    "a run of the old DAG is looked for": Guard(
        "dispatch/dispatcher.py", "any(attempt.dag_id != request.dag_id for", "any(not attempt for", "file"
    ),
    "a try that may be at work is waited for": Guard(
        "dispatch/outcomes.py", "attempt.at + LONGEST_TRY for", "attempt.at for", "file"
    ),
    "a dead letter is final": Guard("dispatch/outcomes.py", "or _is_wanted_anew(case, row)", "or row", "given up"),
    "a place is given back once it is known that there is no run": Guard(
        "dispatch/dispatcher.py",
        "            return self._refuse(case, exc, begins)\n        self",
        "            self._places.give_back(case, begins)\n            return self._refuse(case, exc)\n        self",
        "rated",
        "cli",
    ),
    "a place that another delivery has as well is not given away": Guard(
        "dispatch/rate_slots.py",
        "return any(attempt.at.timestamp() >= begins for",
        "return any(not attempt for",
        "rated",
        "cli",
    ),
    "a run of ours is not called somebody else's": Guard(
        "dispatch/dispatcher.py", "if outcome is None and asked:", "if not case:", "chosen call"
    ),
    "a place is good in its own window only": Guard(
        "dispatch/rates.py", "< start + rate.per", "< start + 9 * rate.per", "rated"
    ),
    "a key belongs to a DAG": Guard(
        "http/idempotency_keys.py",
        "(attribute_not_exists(made_by) OR made_by = :made_by)",
        "(fingerprint = :fingerprint OR made_by = :made_by)",
        "calls",
    ),
    "a key belongs to a body": Guard(
        "http/idempotency_keys.py", 'same, values = "fingerprint = :fingerprint"', 'same, values = "id = id"', "calls"
    ),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=list(GUARDS))
def test_it_stands_where_it_is_looked_for(guard: Guard) -> None:
    """A guard that is written otherwise by now would be missed in the slow walk below only."""
    assert (PACKAGE / "jetway" / guard.file).read_text().count(guard.text) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_without_it_something_breaks(name: str, tmp_path: Path) -> None:
    guard = GUARDS[name]
    shutil.copytree(PACKAGE / "jetway", tmp_path / "jetway", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "jetway" / guard.file
    text = file.read_text()
    file.write_text(text.replace(guard.text, guard.without))
    found = run(tmp_path, guard)
    assert found.returncode == 1, "nothing breaks without it"
    assert found.stderr.strip()


@pytest.mark.slow
def test_with_all_of_them_nothing_breaks() -> None:
    assert run(PACKAGE, Guard("", "", "", "dead")).returncode == 0


def run(package: Path, guard: Guard) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (package, ROOT, ROOT / "cli")))
    command = [sys.executable, "-m", "tests.unit.explorer.event_run", guard.meeting, guard.transport]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
