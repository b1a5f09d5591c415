"""How far a promoted version is on its way into force: what its report says after "accepted".

A DAG file is live with its copy, and is verified. requirements.txt, plugins.zip and startup.sh are copied, and come
into force with an update of the environment only: the report follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from jetway.promotion.artifact_state import DELETED
from jetway.promotion.reports import amend_report, outcome_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.artifact_state import ArtifactState, LiveVersion

RolloutState = Literal[
    "waiting", "updating", "verifying", "verified", "going-back", "not-applied", "replaced-by-hand", "never-appeared"
]

# What an update of an MWAA environment takes: https://docs.aws.amazon.com/mwaa/latest/userguide/update-environment.html
LONGEST_UPDATE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One step on the way.

    Attributes:
        state: "waiting" for an update of the environment; "updating"; "verifying" - it is in force, and looked at;
            "verified"; "going-back" - it is in force still, and an update to what was before is on its way;
            "not-applied" - the update failed, it was never in force; "replaced-by-hand"; "never-appeared" - Airflow
            shows neither its DAGs nor an error.
        since: when that began, timezone-aware.
        until: when the next step is expected, about; None when nothing of Jetway's is to be waited for.
        because: what it takes, or why it is so; for people.
    """

    state: RolloutState
    since: datetime
    until: datetime | None = None
    because: str | None = None

    def as_dict(self) -> Mapping[str, Any]:
        """The member `in_force` of the report."""
        return {
            "state": self.state,
            "since": self.since.isoformat(timespec="seconds"),
            "until": self.until.isoformat(timespec="seconds") if self.until else None,
            "because": self.because,
        }


def waiting(since: datetime, facts: EnvironmentFacts, quiet: timedelta, *, command: str | None) -> Rollout:
    """It waits for an update of the environment.

    Args:
        since: when it was made ready.
        facts: of the environment now.
        quiet: how long Jetway waits for more that may go along.
        command: what begins the update, where Jetway begins none by itself.
    """
    if command is not None:
        return Rollout("waiting", since, None, f"ApplyUpdates is manual. It takes effect when you run: {command}")
    if not facts.usable:
        because = f"The environment is {facts.status}; the update begins when it is AVAILABLE again."
        return Rollout("waiting", since, None, because)
    return Rollout("waiting", since, since + quiet)


def of_standing(standing: ArtifactState, due_at: datetime) -> Rollout:
    """What the standing of a file of the dags folder says.

    Args:
        due_at: the first look at it.
    """
    at = standing.live.at if standing.live else due_at
    return Rollout("verified", at) if standing.stage == "good" else Rollout("verifying", at, due_at)


def say(s3: S3Client, drop_bucket: str, key: str, live: LiveVersion, step: Rollout) -> None:
    """Write a step into the report of a version; of an empty file, into the report of what was deleted.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    version = live.source.removeprefix(DELETED)
    if version != live.source and outcome_of(s3, drop_bucket, key, version) != "removed":
        return  # what was deleted has not worked: its report says that
    if live.dropped or version != live.source:
        amend_report(s3, drop_bucket, key, version, {"in_force": step.as_dict()})
