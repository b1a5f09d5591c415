"""What the ledger knows of the event of a run: why the run is not there yet, and why it does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jetway.dispatch.run import DERIVED
from jetway.http.run_requests import TRIGGER, event_id
from jetway.ledger import entry_id

if TYPE_CHECKING:
    from jetway.ledger import Entry, Ledger


def event_of_run(ledger: Ledger, dag_id: str, dag_run_id: str) -> Entry | None:
    """Return the row of the event that asked for a run; None when the ledger has none.

    Raises:
        LedgerUnavailableError: DynamoDB does not answer.
    """
    derived = DERIVED.fullmatch(dag_run_id)
    # The row of a call has the digest of the run id that the call was given, that of any other event the run id's own.
    ids = [event_id(dag_id, dag_run_id, trigger=derived[1] if derived else TRIGGER)]
    if derived:
        ids.append(entry_id(derived[1], derived[2]))
    for id_ in ids:
        entry = ledger.get(id_)
        # A run id can name the event of another DAG, which the caller may not see.
        if entry is not None and entry.dag_id == dag_id:
            return entry
    return None


def event_member(entry: Entry | None) -> dict[str, Any] | None:
    """Return what a problem document says of the event."""
    if entry is None:
        return None
    return {
        "decision": entry.decision,
        "because": entry.because,
        "decided_at": entry.decided_at.isoformat(),
        "until": entry.until and entry.until.isoformat(),
    }
