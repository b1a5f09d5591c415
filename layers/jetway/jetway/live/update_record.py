"""The update of the environment that is on its way: one item in the artifact table, `environment#update`.

idle ──▶ updating ──▶ verifying ──▶ idle          artifacts; of workers alone: updating ──▶ idle
            │             └──▶ undo ──▶ undoing ──▶ idle
            └── failed: MWAA has gone back by itself ──▶ idle
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from jetway.aws.dynamodb import VersionedItem, revision_of
from jetway.live.standing import Live, Problem
from jetway.live.table import StandingChangedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from jetway.airflow.environment import EnvironmentFacts

Phase = Literal["idle", "updating", "verifying", "undo", "undoing"]
WorkerReplacement = Literal["GRACEFUL", "FORCED"]

# Key in the drop bucket → how UpdateEnvironment's members begin.
# https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html
MEMBERS = {"requirements.txt": "Requirements", "plugins.zip": "Plugins", "startup.sh": "StartupScript"}

_PK = "environment#update"


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """The one update that Jetway has begun, and what waits for the next.

    Attributes:
        artifacts: what it brings into force, by key of the drop bucket.
        changes: members of UpdateEnvironment.
        before: path and version that were in force, by key of the drop bucket; None where there was none. The version
            is empty where the environment named none: it took the newest.
        baseline: import errors before it: digest by file. While idle, those of a moment ago, in case somebody
            applies what waits.
        began_at: when it was written down that it begins.
        last_update_at: LastUpdate.CreatedAt of the environment then: another one shows that an update has begun.
        ended_at: when it was seen to have ended.
        due_at: when the environment is to be looked at; while idle, when its import errors are.
        problems: why it is being undone.
        workers: MinWorkers and MaxWorkers that wait to go along; `workers_at` says since when.
    """

    phase: Phase = "idle"
    artifacts: Mapping[str, Live] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, tuple[str, str] | None] = field(default_factory=dict)
    baseline: Mapping[str, str] = field(default_factory=dict)
    began_at: datetime | None = None
    last_update_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    problems: tuple[Problem, ...] = ()
    workers: Mapping[str, int] | None = None
    workers_at: datetime | None = None
    revision: int = 0

    def as_json(self) -> str:
        """The record as one JSON document, without the revision."""
        values = asdict(self)
        del values["revision"]
        return json.dumps(values, default=datetime.isoformat, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, revision: int) -> UpdateRecord:
        """Read what `as_json` wrote."""
        values = json.loads(text)
        for name in ("began_at", "last_update_at", "ended_at", "due_at", "workers_at"):
            values[name] = datetime.fromisoformat(values[name]) if values[name] else None
        values["artifacts"] = {key: Live.from_dict(live) for key, live in values["artifacts"].items()}
        values["before"] = {key: tuple(found) if found else None for key, found in values["before"].items()}
        values["problems"] = tuple(Problem(**problem) for problem in values["problems"])
        return cls(**values, revision=revision)

    def idle(self, *, ended_at: datetime | None = None) -> UpdateRecord:
        """Nothing is on its way any more; what waits still does."""
        return UpdateRecord(
            ended_at=ended_at or self.ended_at,
            workers=self.workers,
            workers_at=self.workers_at,
            revision=self.revision,
        )


class UpdateTable:
    """Reads and writes the record; a write succeeds only onto what was read."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._item = VersionedItem(client, table, _PK)

    def get(self) -> UpdateRecord:
        """Return the record as of now."""
        item = self._item.get()
        return UpdateRecord.from_json(item["record"]["S"], revision_of(item)) if item is not None else UpdateRecord()

    def put(self, record: UpdateRecord) -> UpdateRecord:
        """Write the record and return it with its new revision.

        Raises:
            StandingChangedError: somebody else has written it since it was read.
        """
        written = replace(record, revision=record.revision + 1)
        if not self._item.put({"record": {"S": written.as_json()}}, onto=record.revision):
            raise StandingChangedError("the update of the environment has gone on meanwhile.")
        return written


def in_force(facts: EnvironmentFacts, key: str) -> tuple[str, str] | None:
    """Path and object version that the environment uses, of which the version may be empty; None for none."""
    path, version = {
        "requirements.txt": (facts.requirements_path, facts.requirements_version),
        "plugins.zip": (facts.plugins_path, facts.plugins_version),
        "startup.sh": (facts.startup_script_path, facts.startup_script_version),
    }[key]
    return (path, version or "") if path else None


def members(key: str, path: str, version: str) -> dict[str, str]:
    """The members of UpdateEnvironment that bring an object version into force."""
    return {f"{MEMBERS[key]}S3Path": path, f"{MEMBERS[key]}S3ObjectVersion": version}


def facts_show(facts: EnvironmentFacts, name: str, value: object) -> bool:
    """Whether a member of UpdateEnvironment is in force."""
    if name in {"MinWorkers", "MaxWorkers"}:
        return value == (facts.min_workers if name == "MinWorkers" else facts.max_workers)
    key = next(key for key, member in MEMBERS.items() if name.startswith(member))
    found = in_force(facts, key)
    return found is not None and value == found[name.endswith("Version")]


def command(environment: str, changes: Mapping[str, Any], worker_replacement: WorkerReplacement) -> str:
    """The command that a person can run for the same."""
    options = {
        "Requirements": "--requirements-s3-",
        "Plugins": "--plugins-s3-",
        "StartupScript": "--startup-script-s3-",
    }
    words = [f"aws mwaa update-environment --name {environment}"]
    for name, value in changes.items():
        for member, option in options.items():
            if name.startswith(member):
                words.append(f"{option}{'path' if name.endswith('Path') else 'object-version'} {value}")
    words.append(f"--worker-replacement-strategy {worker_replacement}")
    return " ".join(words)
