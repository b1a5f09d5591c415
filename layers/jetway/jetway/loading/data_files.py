"""Files of the dags folder that are no DAG files, judged by the DAG files that are to live with them.

What DAG files read (JSON, YAML, SQL) is judged by loading those that read it; .airflowignore by what it takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.airflow_ignore import syntax_of
from jetway.artifacts.child_process import BeyondBoundsError
from jetway.artifacts.findings import Finding
from jetway.artifacts.ignore_file import hiding
from jetway.artifacts.judging import ignored_apart, not_judged
from jetway.artifacts.kinds import DAGS, LARGEST_DATA_FILE
from jetway.errors import SiblingsExpectedError
from jetway.loading.dag_id_conflicts import evident_dags, patterns_of

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement
    from jetway.aws.s3 import ObjectVersion
    from jetway.loading.claims import DagClaims
    from jetway.loading.dag_id_conflicts import Rival
    from jetway.loading.data_file_readers import Readers
    from jetway.loading.folder import DagsFolder, FolderCopy
    from jetway.loading.import_dag_client import LoadAnswer, LoadFunctions

# Of a file that more DAG files read, so many are loaded: what breaks one breaks most.
MOST_READERS = 20

# The DAGs of a live file by its key in the drop bucket, and whether it may make others; None when it is not known.
LiveDags = Callable[[str], tuple[Iterable[str], bool] | None]


LoadOptions = Callable[[], tuple[Mapping[str, Any], bytes | None]]


class FolderFiles:
    """Judges files of the dags folder that Airflow does not load itself.

    Args:
        folder: makes copies of the dags folder.
        functions: that load.
        readers: who reads what.
        claims: which file a dag_id belongs to.
        live_dags: which DAGs a live file makes.
        grace: how long a file that breaks a live one waits for files that may be on their way.
        now: the clock.
    """

    def __init__(
        self,
        folder: DagsFolder,
        functions: LoadFunctions,
        readers: Readers,
        claims: DagClaims,
        live_dags: LiveDags,
        *,
        grace: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._folder, self._functions, self._readers = folder, functions, readers
        self._claims, self._live_dags, self._grace, self._now = claims, live_dags, grace, now

    def data(
        self,
        version: ObjectVersion,
        content: bytes,
        facts: EnvironmentFacts,
        static: Judgement,
        options: LoadOptions,
    ) -> Judgement:
        """Judge a file that DAG files read, by loading them with it.

        Args:
            version: of the file in the drop bucket.
            content: its bytes.
            facts: of the environment.
            static: what reading says of it.
            options: to load with, and the plugins.

        Raises:
            SiblingsExpectedError: a DAG file fails with it, and a newer one may be on its way.
            LoadUnavailableError: nothing can be loaded now.
            ClientError, BotoCoreError: S3 or DynamoDB is in trouble.
        """
        path = version.key.removeprefix(DAGS)
        if version.size > LARGEST_DATA_FILE or not self._readers.of(path, ()):
            return static
        seen_at = self._now()
        copy = self._folder.copy(facts, path, content)
        there = self._readers.of(path, _folders(set(copy.files) - {path}))
        readers = [reader for reader in there if reader in copy.files][:MOST_READERS]
        after = self._load(copy, readers, facts, options)
        failing = [reader for reader, answer in after.items() if _failed(answer)]
        guilty: dict[str, LoadAnswer] = {}
        if failing:
            before = self._load(self._folder.copy(facts, path, None), failing, facts, options)
            guilty = {reader: after[reader] for reader in failing if reader in before and not _failed(before[reader])}
        judged, waited = broken(static, guilty), seen_at - version.last_modified
        if judged.verdict == "rejected" and waited < self._grace:
            reader = next(iter(guilty))
            raise SiblingsExpectedError(f"{version.key} waits: {DAGS}{reader} fails with it.", waited)
        if judged.verdict != "rejected":
            judged = self._settled(version, judged, after, waited)
        return replace(judged, readers=tuple(readers))

    def _settled(
        self, version: ObjectVersion, judged: Judgement, after: Mapping[str, LoadAnswer], waited: timedelta
    ) -> Judgement:
        """Keep what the readers read and make now; refuse the file if one makes a DAG with it that another file has."""
        taken: dict[str, tuple[str, Rival]] = {}
        for reader, answer in after.items():
            if answer.loaded is None or _failed(answer) or answer.loaded["skipped"]:
                continue
            self._readers.remember(reader, answer.loaded.get("read", ()))
            held = self._claims.held(f"{DAGS}{reader}")
            made = answer.loaded["dags"]
            ids = {dag["dag_id"] for dag in made if dag.get("certain", True) or dag["dag_id"] in held}
            rivals = self._claims.claim(f"{DAGS}{reader}", ids, version.last_modified, self._now())
            taken |= {dag_id: (reader, rival) for dag_id, rival in rivals.items()}
        if taken and waited < self._grace:
            raise SiblingsExpectedError(f"{version.key} waits: it defines a DAG that belongs to another file.", waited)
        return doubled(judged, taken)

    def _load(
        self, copy: FolderCopy, files: Sequence[str], facts: EnvironmentFacts, options: LoadOptions
    ) -> dict[str, LoadAnswer]:
        there = [file for file in files if file in copy.files]
        if not there:
            return {}
        function = self._functions.nearest(facts.major)
        given, plugins = options()
        return self._functions.load_each(function, copy.zipped(), there, {**given, "partial": copy.partial}, plugins)

    def ignores(self, version: ObjectVersion, content: bytes, facts: EnvironmentFacts, static: Judgement) -> Judgement:
        """Judge a .airflowignore by the live DAG files that it takes away.

        Raises:
            SiblingsExpectedError: it takes some away, and their deletion may be on its way.
            ClientError, BotoCoreError: S3 or DynamoDB is in trouble.
        """
        if static.verdict == "rejected":
            return static
        path, syntax = version.key.removeprefix(DAGS), syntax_of(facts)
        copy, before = self._folder.copy(facts, path, content), self._folder.copy(facts, path, None)
        files = sorted(file for file in copy.live if file.endswith((".py", ".zip")))
        try:
            with_it = ignored_apart(files, patterns_of(copy), syntax)
            gone = with_it - ignored_apart(files, patterns_of(before), syntax) if with_it else with_it
        except BeyondBoundsError as exc:
            return replace(static, verdict="rejected", findings=(*static.findings, not_judged(exc)))
        hidden = {file: dags for file in sorted(gone) if (dags := self._dags(file, before, facts)) is not None}
        known = {f"{DAGS}{file}": dags or None for file, dags in hidden.items()}
        judged = hiding(static, content.decode("utf-8", "replace"), known)
        waited = self._now() - version.last_modified
        if judged.verdict == "rejected" and waited < self._grace:
            raise SiblingsExpectedError(f"{version.key} waits: it hides {DAGS}{next(iter(hidden))}.", waited)
        return judged

    def _dags(self, file: str, copy: FolderCopy, facts: EnvironmentFacts) -> tuple[str, ...] | None:
        """The DAGs of a live file: none where only running it tells which; None where it makes no DAG."""
        known = None if file in copy.by_hand else self._live_dags(f"{DAGS}{file}")
        if known is None:
            return tuple(sorted(evident_dags(file, copy, facts))) or None
        dags, guessed = known
        return tuple(dags) if dags or guessed else None


def broken(static: Judgement, guilty: Mapping[str, LoadAnswer]) -> Judgement:
    """The judgement of a data file with which DAG files fail that did not fail without it.

    Args:
        static: what reading says of the file.
        guilty: DAG file → what came of loading it; `_failed` holds of each.
    """
    findings, certain = [], False
    for reader, answer in guilty.items():
        rejects = answer.loaded is None or answer.loaded["verdict"] == "rejected"
        certain = certain or rejects
        said = _words(answer)
        findings.append(
            Finding(
                "breaks-dag-file",
                "error" if rejects else "warning",
                f"{DAGS}{reader} reads this file, and does not load with it: {said}",
                None,
                f"Correct the file, or upload it together with a {DAGS}{reader} that accepts it.",
            )
        )
    if not findings:
        return static
    return replace(static, verdict="rejected" if certain else "unknown", findings=(*static.findings, *findings))


def doubled(judged: Judgement, taken: Mapping[str, tuple[str, Rival]]) -> Judgement:
    """The judgement of a data file with which a DAG file makes DAGs that other files have.

    Args:
        judged: so far.
        taken: dag_id → the DAG file that reads the data file, and the file that has the DAG.
    """
    findings = tuple(
        Finding(
            "duplicate-dag-id",
            "error",
            (
                f"With this file, {DAGS}{reader} defines a DAG {dag_id!r}, and {rival.key} also defines one. Airflow "
                "would show the one that it parsed last, alternately."
            ),
            None,
            "Give one of them another dag_id, or delete the other file first.",
        )
        for dag_id, (reader, rival) in sorted(taken.items())
    )
    return replace(judged, verdict="rejected", findings=(*judged.findings, *findings)) if findings else judged


def _failed(answer: LoadAnswer) -> bool:
    return answer.loaded is None or answer.loaded["verdict"] != "accepted"


def _words(answer: LoadAnswer) -> str:
    if answer.loaded is None:
        return f"it ended the function that loads it ({answer.died})."
    first = next(iter(answer.loaded["findings"]), None)
    if first is None:
        return "Airflow does not report why."
    line = f" (line {first['line']})" if first["line"] else ""
    return f"{first['message']}{line}"


def _folders(files: Iterable[str]) -> set[str]:
    found = set[str]()
    for file in files:
        folder = file.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
