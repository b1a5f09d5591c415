"""The update of the environment that is on its way: one item in the artifact table, `environment#update`.

idle ──▶ updating ──▶ verifying ──▶ verified ──▶ idle          artifacts; of bounds alone: updating ──▶ idle
            │             └──▶ undo ──▶ idle, and the way back is owed: it goes with the next update
            └── ours has failed, or was refused time and again: undo ──▶ idle

A verdict is written down (verified, undo) before anything is done about it: whoever comes later finishes it, and
nobody decides anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from jetway.aws.dynamodb import VersionedItem, revision_of
from jetway.promotion.artifact_state import Defect, LiveVersion
from jetway.promotion.state_table import StandingChangedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from jetway.airflow.environment import EnvironmentFacts

Phase = Literal["idle", "updating", "verifying", "verified", "undo"]
Trouble = Literal["", "permission-missing", "throttled", "airflow-silent", "environment-unusable"]
VersionPlace = tuple[str, str]  # path and object version; the version is empty where the environment names none
WorkerReplacement = Literal["GRACEFUL", "FORCED"]

# Key in the drop bucket → how UpdateEnvironment's members begin.
# https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html
MEMBERS = {"requirements.txt": "Requirements", "plugins.zip": "Plugins", "startup.sh": "StartupScript"}

_PK = "environment#update"


@dataclass(frozen=True, slots=True)
class Debt:
    """A version that is known not to work and is in force still: what was before it has to come back.

    Attributes:
        bad: what is in force.
        back: what comes back; None: nothing was there, and the empty file that stands for it is not made yet.
        since: when it was found not to work.
        failed: how often the way back has failed.
        because: why it failed last.
        told: it failed too often. A person was told the command; Jetway asks for it no more.
    """

    bad: LiveVersion
    back: VersionPlace | None
    since: datetime
    failed: int = 0
    because: str = ""
    told: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Debt:
        """Read what `asdict` and JSON made of one."""
        since = datetime.fromisoformat(values["since"])
        return cls(
            **values | {"bad": LiveVersion.from_dict(values["bad"]), "back": _place(values["back"]), "since": since}
        )


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """The one update that Jetway has begun, and what waits for the next.

    Attributes:
        artifacts: what it brings into force, by key of the drop bucket. While idle: what an update has brought, and
            what is verified once the others of that update have gone back.
        changes: members of UpdateEnvironment.
        before: what was in force, by key of the drop bucket; None where there was nothing.
        baseline: import errors before it: digest by file; taken at `baseline_at`.
        sighted: new errors that may pass, and for how many looks they have stayed (`jetway.diagnosis.intermittent`).
        began_at: when it was written down that it begins.
        last_update_at: LastUpdate.CreatedAt of the environment then.
        accepted_at: when MWAA took our call.
        why: it began; for people.
        ours_at: LastUpdate.CreatedAt that the environment showed after that: this update is ours, and no other.
        source: LastUpdate.Source of it.
        ended_at: when the environment was seen to have been updated last, by whomever.
        due_at: when the environment is to be looked at.
        problems: why versions are given up, and `blamed` which, by key.
        gone_back: they are not in force: MWAA has gone back by itself, or has never taken them.
        owed: bad versions that are in force, by key.
        refused: sources by key that MWAA refused while it was to be had, `refusals` times, `refused_at` the last time.
        workers: MinWorkers and MaxWorkers that wait to go along; `workers_at` says since when.
        refused_workers: bounds that MWAA refused when they went along.
        trouble: what stands in the way, `trouble_since` when, `trouble_words` in whose words; `trouble_told` a person.
        try_at: before this nothing is asked for.
        seen: what was in force when it was last looked at, by key; None: nobody has looked yet.
        seen_update: LastUpdate.CreatedAt then.
    """

    phase: Phase = "idle"
    artifacts: Mapping[str, LiveVersion] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, VersionPlace | None] = field(default_factory=dict)
    baseline: Mapping[str, str] = field(default_factory=dict)
    baseline_at: datetime | None = None
    sighted: Mapping[str, int] = field(default_factory=dict)
    began_at: datetime | None = None
    last_update_at: datetime | None = None
    accepted_at: datetime | None = None
    why: str = ""
    ours_at: datetime | None = None
    source: str | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    problems: tuple[Defect, ...] = ()
    blamed: tuple[str, ...] = ()
    gone_back: bool = False
    owed: Mapping[str, Debt] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    refusals: int = 0
    refused_at: datetime | None = None
    workers: Mapping[str, int] | None = None
    workers_at: datetime | None = None
    refused_workers: Mapping[str, int] | None = None
    trouble: Trouble = ""
    trouble_since: datetime | None = None
    trouble_words: str = ""
    trouble_told: bool = False
    try_at: datetime | None = None
    seen: Mapping[str, VersionPlace | None] | None = None
    seen_update: datetime | None = None
    revision: int = 0

    def as_json(self) -> str:
        """The record as one JSON document, without the revision."""
        values = asdict(self)
        del values["revision"]
        return json.dumps(values, default=datetime.isoformat, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, revision: int) -> UpdateRecord:
        """Read what `as_json` wrote, also that of an earlier version of Jetway."""
        values = json.loads(text)
        for name in _TIMES:
            values[name] = datetime.fromisoformat(values[name]) if values.get(name) else None
        values["artifacts"] = {key: LiveVersion.from_dict(live) for key, live in values["artifacts"].items()}
        values["before"] = _places(values["before"])
        values["seen"] = _places(values["seen"]) if values.get("seen") is not None else None
        values["problems"] = tuple(Defect(**problem) for problem in values["problems"])
        values["blamed"] = tuple(values.get("blamed", ()))
        values["owed"] = {key: Debt.from_dict(debt) for key, debt in values.get("owed", {}).items()}
        undoing = values["phase"] == "undoing"
        if undoing:  # once a phase of its own
            values["phase"] = "updating"
        record = cls(**values, revision=revision)
        if undoing:
            return replace(record, owed=_owed_before(record), artifacts={})
        return (
            replace(record, blamed=tuple(record.artifacts)) if record.phase == "undo" and not record.blamed else record
        )

    def idle(self, *, ended_at: datetime | None = None) -> UpdateRecord:
        """Nothing is on its way any more; what waits, what is owed and what stands in the way is as it was.

        Which update was ours, and why it began, is kept until the next one.
        """
        return replace(
            self,
            phase="idle",
            artifacts={},
            changes={},
            before={},
            sighted={},
            accepted_at=None,
            ended_at=ended_at or self.ended_at,
            due_at=None,
            problems=(),
            blamed=(),
            gone_back=False,
        )

    def untroubled(self) -> UpdateRecord:
        """Nothing stands in the way any more."""
        return replace(self, trouble="", trouble_since=None, trouble_words="", trouble_told=False, try_at=None)

    @property
    def pays(self) -> Mapping[str, Debt]:
        """What the update on its way goes back from."""
        return {
            key: debt
            for key, debt in self.owed.items()
            if key not in self.artifacts and debt.back and members(key, *debt.back).items() <= self.changes.items()
        }

    def is_ours(self, facts: EnvironmentFacts) -> bool:
        """Whether the environment's last update is the one that our accepted call began."""
        return self.ours_at is not None and self.ours_at == facts.last_update_at


_TIMES = tuple(each.name for each in fields(UpdateRecord) if "datetime" in str(each.type))


def _places(values: Mapping[str, Any]) -> dict[str, VersionPlace | None]:
    return {key: _place(found) for key, found in values.items()}


def _place(found: Any) -> VersionPlace | None:
    return (found[0], found[1]) if found else None


def _owed_before(record: UpdateRecord) -> dict[str, Debt]:
    """What an earlier version of Jetway was going back from."""
    owed = {}
    for key, bad in record.artifacts.items():
        path = record.changes.get(f"{MEMBERS[key]}S3Path")
        if path:
            back = (path, record.changes.get(f"{MEMBERS[key]}S3ObjectVersion", ""))
            owed[key] = Debt(bad, back, record.began_at or bad.at)
    return owed


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
            raise StandingChangedError("the update of the environment has advanced in the meantime.")
        return written


def in_force(facts: EnvironmentFacts, key: str) -> VersionPlace | None:
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


def all_in_force(facts: EnvironmentFacts) -> dict[str, VersionPlace | None]:
    """What the environment uses of each kind."""
    return {key: in_force(facts, key) for key in MEMBERS}


def place_of(live: LiveVersion) -> VersionPlace:
    """Path and object version of what was made live."""
    return live.key, live.version_id or ""


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
