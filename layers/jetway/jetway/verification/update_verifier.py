"""After an update of requirements, plugins or the startup script: new import errors anywhere are its fault.

Not so: an error of a file that has changed since, which answers for itself; one for want of a module that is on its
way; one that only a Variable or a connection explains. What pip tells is the fault of requirements.txt alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from jetway.artifacts.kinds import DAGS
from jetway.aws.s3 import head
from jetway.diagnosis.attribution import PAUSE, digests, new_errors, parse_time, problem, relative_path
from jetway.diagnosis.intermittent import is_open, lasting, owner_of, sighted
from jetway.promotion.artifact_state import Defect, LiveVersion
from jetway.updates.artifact_states import close
from jetway.updates.outlook import BRING_MODULES, UpdateOutlook, modules_come, update_outlook
from jetway.updates.record import MEMBERS, in_force, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.rollout import Rollout
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.record import UpdateRecord, UpdateTable

UpdateOutcome = Literal["good", "rolled-back", "wait"]

_MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^'.]+)", re.MULTILINE)
# Airflow's words for what is no file's: https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/variables.html
_SETTINGS = re.compile(r"Variable \S+ does not exist|conn_id `[^`]*` isn't defined")
# Clocks that differ.
_IN_THE_FUTURE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Witness:
    """Both buckets, for what they say of a file of the dags folder.

    Attributes:
        drop_bucket: its name; the environment's is in its facts.
    """

    s3: S3Client
    drop_bucket: str

    def changed_at(self, file: str, facts: EnvironmentFacts) -> datetime | None:
        """When a file of the dags folder was changed last, relative to that; None when there is none."""
        key = f"{facts.dags_path}/{file}" if facts.dags_path else file
        found = head(self.s3, facts.source_bucket, key)
        return found.last_modified if found is not None else None

    def was_dropped(self, module: str) -> bool:
        """Whether the drop bucket has the file of a module, or a folder of that name."""
        if head(self.s3, self.drop_bucket, f"{DAGS}{module}.py") is not None:
            return True
        below = self.s3.list_objects_v2(Bucket=self.drop_bucket, Prefix=f"{DAGS}{module}/", MaxKeys=1)
        return bool(below.get("Contents"))


@dataclass(frozen=True, slots=True)
class UpdateVerifier:
    """Decides on the update that has ended last.

    Attributes:
        why_pip_failed: asks the environment's logs, by their groups and since when.
        say: writes into the report of a version how far it is on its way into force.
    """

    records: UpdateTable
    standings: ArtifactStateTable
    why_pip_failed: Callable[[Sequence[str], datetime], str | None]
    say: Callable[[str, LiveVersion, Rollout], None]

    def is_due(self, record: UpdateRecord, now: datetime) -> bool:
        """Whether the environment is to be looked at."""
        return record.phase == "verifying" and record.due_at is not None and record.due_at <= now

    def outlook(self, facts: EnvironmentFacts, now: datetime) -> UpdateOutlook:
        """Return what updates mean for files that are being verified, as of now."""
        standings = {key: self.standings.get(key) for key in MEMBERS}
        return update_outlook(self.records.get(), standings, facts, now)

    def look(
        self,
        record: UpdateRecord,
        errors: Sequence[ImportProblem],
        fresh_files: Mapping[str, LiveVersion],
        facts: EnvironmentFacts,
        now: datetime,
        *,
        witness: Witness,
    ) -> tuple[UpdateOutcome, tuple[Defect, ...], Mapping[str, LiveVersion]]:
        """Write down what follows; return it, with the problems, and what it is about.

        Args:
            fresh_files: DAG files that were made live lately and answer for their own errors.

        Raises:
            StandingChangedError: another invocation was faster.
        """
        nothing: Mapping[str, LiveVersion] = {}
        if any(in_force(facts, key) != place_of(live) for key, live in record.artifacts.items()):
            return "wait", (), nothing  # somebody has changed it: apply_updates leaves theirs alone
        pip = self._of_pip(record, facts)
        new = [
            error
            for error in new_errors(errors, record.baseline)
            if owner_of(relative_path(error.path)) not in fresh_files
            and not self._is_its_own(error, record, facts, now, witness)
        ]
        counts = sighted(record.sighted, new)
        waits, new = is_open(new, counts), lasting(new, counts)
        over_at = (record.ended_at or now) + parse_time(facts)
        missing = [] if pip or new else self._not_brought(record, errors, fresh_files, witness)
        if missing and now >= over_at and all(_is_old(error, fresh_files, facts, now) for error in missing):
            new = missing
        problems = (*pip, *(problem(error) for error in new))
        if problems:
            blamed = ("requirements.txt",) if pip else tuple(record.artifacts)
            self.records.put(replace(record, phase="undo", problems=problems, blamed=blamed))
            return "rolled-back", problems, {key: record.artifacts[key] for key in blamed}
        if now < over_at or missing or waits:
            # Errors of files that are rolled back now may show for a while yet.
            theirs = {file: digest for file, digest in digests(errors).items() if owner_of(file) in fresh_files}
            baseline = {**record.baseline, **theirs}
            self.records.put(replace(record, due_at=now + PAUSE, baseline=baseline, sighted=counts))
            return "wait", (), nothing
        close(self.records.put(replace(record, phase="verified")), self.records, self.standings, self.say, now)
        return "good", (), record.artifacts

    def _of_pip(self, record: UpdateRecord, facts: EnvironmentFacts) -> tuple[Defect, ...]:
        if "requirements.txt" not in record.artifacts or record.began_at is None:
            return ()
        words = self.why_pip_failed(facts.install_log_groups, record.began_at)
        return (Defect("requirements.txt", words),) if words else ()

    def _is_its_own(
        self, error: ImportProblem, record: UpdateRecord, facts: EnvironmentFacts, now: datetime, witness: Witness
    ) -> bool:
        """Whether an error is explained by what is no part of the update."""
        if _SETTINGS.search(error.error) and "startup.sh" not in record.artifacts:
            return True
        since = record.baseline_at or record.began_at
        changed_at = witness.changed_at(owner_of(relative_path(error.path)), facts)
        return since is not None and changed_at is not None and since < changed_at <= now + _IN_THE_FUTURE

    def _not_brought(
        self,
        record: UpdateRecord,
        errors: Sequence[ImportProblem],
        fresh_files: Mapping[str, LiveVersion],
        witness: Witness,
    ) -> list[ImportProblem]:
        """Errors of fresh files for want of a module that the update was to bring: pip has failed, as MWAA only logs.

        The gate accepts a file only if every module that it imports is in the dags folder, in the image, or comes
        with requirements or plugins. What waits for the next update may bring it.
        """
        if not any(live.dropped for key, live in record.artifacts.items() if key in BRING_MODULES):
            return []  # a deletion brings nothing
        if modules_come({key: self.standings.get(key) for key in BRING_MODULES}):
            return []
        found = []
        for error in errors:
            live, missing = fresh_files.get(relative_path(error.path)), _MISSING.search(error.error)
            if live is None or live.verdict != "accepted" or not missing:
                continue
            if not self._is_known(missing[1]) and not witness.was_dropped(missing[1]):
                found.append(error)
        return found

    def _is_known(self, module: str) -> bool:
        names = (f"{DAGS}{module}.py", f"{DAGS}{module}/__init__.py")
        return any(self.standings.get(name) is not None for name in names)


def _is_old(
    error: ImportProblem, fresh_files: Mapping[str, LiveVersion], facts: EnvironmentFacts, now: datetime
) -> bool:
    """Whether a file is live for so long that what was dropped with it is known."""
    live = fresh_files[relative_path(error.path)]
    return now - live.at >= parse_time(facts)
