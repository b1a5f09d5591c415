"""DAGs that Airflow did not know a moment ago: they are not asked for again at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetway.errors import DagNotFoundError

# Ten thousand files for a DAG that is not there must not cost ten thousand commands of three seconds each. Shorter than
# the first wait aside.
MISSING_FOR = timedelta(seconds=7)


@dataclass(slots=True)
class MissingDags:
    """What one sandbox remembers of them."""

    _known: dict[str, tuple[DagNotFoundError, datetime]] = field(default_factory=dict)

    def remember(self, dag_id: str, exc: DagNotFoundError, now: datetime) -> None:
        """Remember that a DAG is not there, and why."""
        self._known[dag_id] = (exc, now + MISSING_FOR)

    def recall(self, dag_id: str, now: datetime) -> DagNotFoundError | None:
        """Return why a DAG was not there a moment ago; None when it is to be asked for."""
        exc, until = self._known.get(dag_id, (None, now))
        return exc if until > now else None
