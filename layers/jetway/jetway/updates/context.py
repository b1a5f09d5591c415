"""What all acts on an update have at hand: how things stand, and where they are written down and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from jetway.observability import logger
from jetway.promotion import notifications as news
from jetway.promotion.rollout import Rollout, say
from jetway.updates.artifact_states import OpenStage, bad_of, staged
from jetway.updates.plan import FAILED_FOR_GOOD, stuck
from jetway.updates.record import Debt, UpdateRecord, in_force

if TYPE_CHECKING:
    from jetway.promotion.artifact_state import LiveVersion
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import Trouble, UpdateTable
    from jetway.updates.steps import Turn

_TO_DO: dict[Trouble, str] = {
    "permission-missing": (
        "grant the function's role the named permission. Jetway tries again every 15 minutes. Until "
        "then, DAG files are still verified, and nothing is rolled back because of this."
    ),
    "throttled": "check what else calls MWAA's API so often. Jetway tries again every minute.",
    "airflow-silent": "check the environment: its web server does not respond.",
    "environment-unusable": "check the environment in the MWAA console.",
}


@dataclass(frozen=True, slots=True)
class UpdateContext:
    """What one turn may write.

    Attributes:
        turn: how things stood when it was decided.
        automatic: whether artifacts may be brought into force.
    """

    turn: Turn
    records: UpdateTable
    standings: ArtifactStateTable
    clock: Callable[[], datetime]
    automatic: bool

    def _say(self, artifacts: Mapping[str, LiveVersion], step: Rollout) -> None:
        for key, live in artifacts.items():
            self._say_one(key, live, step)

    def _say_last(self, key: str, live: LiveVersion, step: Rollout) -> None:
        """Write the last step into a report, after which none comes that would write it again.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        say(self.turn.undo.s3, self.turn.undo.drop_bucket, key, live, step)

    def _say_one(self, key: str, live: LiveVersion, step: Rollout) -> None:
        """Write a step into a report; words hold up no update, and the next step writes them again."""
        try:
            self._say_last(key, live, step)
        except (ClientError, BotoCoreError) as exc:
            logger.warning(
                "a report could not be updated with the state of its update", extra={"key": key, "because": str(exc)}
            )

    def _stage(self, artifacts: Mapping[str, LiveVersion], stage: OpenStage) -> None:
        for key, live in artifacts.items():
            self.standings.change(key, staged(key, live, stage))

    def _say_back(self, key: str, debt: Debt) -> None:
        there = in_force(self.turn.facts, key)
        self.turn.undo.live_again(key, debt)
        because = "" if there == debt.back else "the environment has been changed outside Jetway."
        self.turn.tell("undone", {key: debt.bad}, because)

    def _failed(self, key: str, debt: Debt, because: str, *, for_good: bool = False) -> Debt:
        """Count a way back that has failed; when it fails for good, a person is told the command."""
        failed = FAILED_FOR_GOOD if for_good else debt.failed + 1
        debt = replace(debt, failed=failed, because=because, told=failed >= FAILED_FOR_GOOD)
        self.turn.undo.not_back(key, debt)
        self.turn.tell("undo-failed", {key: debt.bad}, because)
        if debt.told:
            to_do = "restore the previous version, or upload a version that works. To roll back, run:\n\n{}\n"
            command = self.turn.undo.command_back({key: debt})
            self._tell_stalled("way-back-failed", because, {key: debt.bad}, debt.since, to_do.format(command))
        return debt

    def _troubled(
        self, record: UpdateRecord, trouble: Trouble, words: str, artifacts: Mapping[str, LiveVersion] | None = None
    ) -> None:
        """Write down what stands in the way, and tell a person once, when it has stood there for long."""
        now = self.clock()
        if record.trouble != trouble:
            record = replace(record.untroubled(), try_at=record.try_at, trouble=trouble, trouble_since=now)
        record = replace(record, trouble_words=words)
        tells = stuck(record, now)
        if record != self.turn.record or tells:
            record = self.records.put(replace(record, trouble_told=record.trouble_told or tells))
        if not tells or record.trouble_since is None:
            return
        waits = {**record.artifacts, **bad_of(record.owed), **(artifacts or {})}
        self._tell_stalled(trouble, words, waits, record.trouble_since, _TO_DO[trouble])
        self.turn.tell("stalled", waits, words)

    def _tell_stalled(
        self, reason: str, words: str, waits: Mapping[str, LiveVersion], since: datetime, to_do: str
    ) -> None:
        undo = self.turn.undo
        told = news.stalled(undo.environment, reason, words, tuple(waits), since=since, at=self.clock(), to_do=to_do)
        undo.tell(told)
