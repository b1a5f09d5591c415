"""The step that the gate is given: what may load by its text, DAG files and plugins, is loaded by the real Airflow."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from jetway.artifacts.kinds import DAGS, kind_of
from jetway.errors import SiblingsExpectedError
from jetway.loading import local_settings
from jetway.loading.advice import MAJOR, NoAdviceError, advice
from jetway.loading.combined_verdict import not_loaded, refused, together, too_early, with_other_plugins
from jetway.loading.dag_id_conflicts import Rival, not_known, put_by_hand, uploaded_before
from jetway.loading.data_files import FolderFiles
from jetway.loading.folder import LARGEST_ZIP
from jetway.loading.options import HONOURED
from jetway.loading.plugins import NAME as PLUGINS
from jetway.loading.plugins import NONE as NO_PLUGINS
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Finding, Judgement
    from jetway.artifacts.plugins.plugin_modules import PackedPlugins
    from jetway.aws.s3 import ObjectVersion
    from jetway.loading.claims import DagClaims
    from jetway.loading.data_file_readers import Readers
    from jetway.loading.data_files import LiveDags
    from jetway.loading.folder import DagsFolder, FolderCopy
    from jetway.loading.import_dag_client import LoadAnswer, LoadFunctions
    from jetway.loading.plugins import Plugins

# Seconds that MWAA gives a file unless core.dagbag_import_timeout says otherwise.
# https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html#dagbag-import-timeout
_IMPORT_TIMEOUT = 30.0
_QUIET = timedelta(seconds=10)

Advise = Callable[[bytes, int], tuple["Finding", ...]]
_World = tuple["FolderCopy", "PackedPlugins"]
Provided = Callable[["EnvironmentFacts"], Mapping[str, Any]]


_REQUIREMENTS = "requirements.txt"
_TOO_LARGE = "it has too many modules to import here, or they are too large"


class DagLoader:
    """Has DAG files and plugins loaded.

    Args:
        folder: makes copies of the dags folder.
        functions: that load.
        claims: which file a dag_id belongs to.
        grace: how long a file that fails waits for siblings that may be on their way; four times that while files come.
        plugins: the environment's plugins.zip.
        readers: which files a DAG file reads when it is loaded.
        live_dags: which DAGs a live file makes.
        provided: tells what the environment has, as `jetway.artifacts.requirements.provided.provided`.
        advise: what a linter says of a file, for a major version of Airflow.
        now: the clock.
    """

    def __init__(
        self,
        folder: DagsFolder,
        functions: LoadFunctions,
        claims: DagClaims,
        plugins: Plugins,
        *,
        readers: Readers,
        grace: timedelta,
        live_dags: LiveDags = lambda _key: None,
        provided: Provided = lambda _facts: {},
        advise: Advise = lambda _content, _major: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._functions, self._claims = folder, functions, claims
        self._plugins, self._advise = plugins, advise
        self._grace, self._provided, self._now = grace, provided, now
        self._readers = readers
        self._others = FolderFiles(folder, functions, readers, claims, live_dags, grace=grace, now=now)

    def __call__(self, version: ObjectVersion, content: bytes, facts: EnvironmentFacts, static: Judgement) -> Judgement:
        """Judge a file by loading it, or another file of the dags folder by the DAG files that it concerns.

        Args:
            version: of the file in the drop bucket.
            content: its bytes; of a zip none.
            facts: of the environment.
            static: what reading says of it; a rejection stands.

        Raises:
            SiblingsExpectedError: it fails, and what it lacks may be on its way.
            LoadUnavailableError: nothing can be loaded now.
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if static.kind == "airflowignore":
            return self._others.ignores(version, content, facts, static)
        if static.kind == "dags-folder-file":
            return self._others.data(version, content, facts, static, partial(self._options_and_plugins, facts))
        judge = {
            "dag-file": self._dag_file,
            "packed-dags": self._packed_dags,
            "plugins": self._plugins_zip,
            "local-settings": self._local_settings,
        }.get(static.kind)
        return static if static.verdict == "rejected" or judge is None else judge(version, content, facts, static)

    def _local_settings(
        self, version: ObjectVersion, content: bytes, facts: EnvironmentFacts, static: Judgement
    ) -> Judgement:
        path, seen_at = version.key.removeprefix(DAGS), self._now()
        with_it = self._folder.copy(facts, path, content)
        plugins = self._plugins.of(facts)[0]
        answer = self._load(facts, with_it, [], plugins, what="local-settings")
        self._wait_for_siblings(version, answer, with_it, seen_at)
        judged = together(static, answer)
        if judged.verdict != "accepted":
            return judged
        return self._anew(judged, facts, (with_it, plugins), (self._folder.copy(facts, path), plugins))

    def _anew(self, judged: Judgement, facts: EnvironmentFacts, new: _World, old: _World) -> Judgement:
        """Judge all DAG files anew, with what every process of Airflow runs, and without it."""
        files = local_settings.dag_files(new[0].files)
        if len(files) > local_settings.MOST_FILES:
            return not_loaded(judged, f"more than {local_settings.MOST_FILES} DAG files would have to be checked again")
        broken = self._failing(facts, files, *new)
        before = self._failing(facts, sorted(broken), *old)
        return local_settings.breaking(judged, {path: said for path, said in broken.items() if path not in before})

    def _failing(
        self, facts: EnvironmentFacts, files: Sequence[str], copy: FolderCopy, plugins: PackedPlugins
    ) -> dict[str, str]:
        there = [path for path in files if path in copy.files]
        function, options = self._functions.nearest(facts.major), self._options(facts, plugins, copy)
        return local_settings.failing(
            self._functions.load_each(function, copy.zipped(), there, options, plugins.content) if there else {}
        )

    def _dag_file(
        self, version: ObjectVersion, content: bytes, facts: EnvironmentFacts, static: Judgement
    ) -> Judgement:
        path = version.key.removeprefix(DAGS)
        seen_at = self._now()  # what is dropped while a slow load goes on is not in the copy
        copy = self._folder.copy(facts, path, content)
        plugins = self._plugins.of(facts)
        answer = self._load(facts, copy, [path], plugins[0])
        self._wait_for_siblings(version, answer, copy, seen_at)
        judged = together(static, answer)
        if judged.verdict == "rejected":
            judged = self._with_other_plugins(judged, copy, [path], facts, plugins[1:])
        if judged.kind == "dag-file":
            judged = replace(judged, findings=(*judged.findings, *self._advise(content, facts.major)))
        if judged.verdict == "rejected" and copy.partial and answer.loaded and answer.loaded["missing"]:
            return not_loaded(static, "the dags folder is too large to copy completely, and a module is missing")
        judged = self._claimed(version, judged, copy, facts)
        if judged.verdict != "rejected" and answer.loaded is not None:
            self._readers.remember(path, answer.loaded.get("read", ()))
        return judged

    def _packed_dags(
        self, version: ObjectVersion, _content: bytes, facts: EnvironmentFacts, static: Judgement
    ) -> Judgement:
        content = self._folder.packed_dags(version)
        if content is None:
            return not_loaded(static, f"it is larger than {LARGEST_ZIP:,} bytes, or was replaced in the meantime")
        return self._dag_file(version, content, facts, static)

    def _plugins_zip(
        self, version: ObjectVersion, _content: bytes, facts: EnvironmentFacts, static: Judgement
    ) -> Judgement:
        packed = self._plugins.look(version)
        if packed.content is None:
            return not_loaded(static, _TOO_LARGE)
        seen_at = self._now()
        copy = self._folder.copy(facts)
        answer = self._load(facts, copy, [], packed, what="plugins")
        self._wait_for_siblings(version, answer, copy, seen_at)
        judged = together(static, answer)
        if packed.has_settings and judged.verdict != "rejected":
            judged = self._settings_in_plugins(judged, facts, copy, packed)
        if judged.verdict == "rejected" and copy.partial and answer.loaded and answer.loaded["missing"]:
            return not_loaded(static, "the dags folder is too large to copy completely, and a module is missing")
        return judged

    def _settings_in_plugins(
        self, judged: Judgement, facts: EnvironmentFacts, copy: FolderCopy, packed: PackedPlugins
    ) -> Judgement:
        """Judge the airflow_local_settings.py in a plugins.zip as that of the dags folder."""
        answer = self._load(facts, copy, [], packed, what="local-settings")
        if answer.loaded is None or answer.loaded["verdict"] != "accepted":
            return local_settings.certain(together(judged, answer), whatever=True)
        others = [plugins for plugins in self._plugins.of(facts) if plugins is not packed]
        anew = self._anew(replace(judged, verdict="accepted"), facts, (copy, packed), (copy, (*others, NO_PLUGINS)[0]))
        return judged if anew.verdict == "accepted" else local_settings.certain(anew, whatever=True)

    def _load(
        self,
        facts: EnvironmentFacts,
        copy: FolderCopy,
        files: Sequence[str],
        plugins: PackedPlugins,
        what: str | None = None,
    ) -> LoadAnswer:
        function, options = self._functions.nearest(facts.major), self._options(facts, plugins, copy)
        return self._functions.load(function, copy.zipped(), files, options, plugins.content, what=what)

    def _with_other_plugins(
        self,
        judged: Judgement,
        copy: FolderCopy,
        files: Sequence[str],
        facts: EnvironmentFacts,
        others: Sequence[PackedPlugins],
    ) -> Judgement:
        """Nothing is certain of a file that the plugins decide about which are there until others come."""
        for plugins in others:
            answer = self._load(facts, copy, files, plugins)
            if answer.loaded is not None and answer.loaded["verdict"] != "rejected":
                return with_other_plugins(judged)
        return judged

    def _wait_for_siblings(
        self, version: ObjectVersion, answer: LoadAnswer, copy: FolderCopy, seen_at: datetime
    ) -> None:
        waited = seen_at - version.last_modified
        early = too_early(
            answer,
            copy.pending,
            dropped=version.last_modified,
            seen_at=seen_at,
            grace=self._grace,
            quiet=_QUIET,
        )
        if early is None and answer.loaded and answer.loaded["missing"] and answer.loaded["verdict"] != "accepted":
            coming = self._plugins.pending(_REQUIREMENTS)
            early = f"{_REQUIREMENTS} was also dropped, and is not checked yet" if coming else None
        if early is not None:
            raise SiblingsExpectedError(f"{version.key} waits: {early}.", waited)

    def release(self, key: str) -> None:
        """Let go of the dag_ids of a file that was removed from the drop bucket, and of what it reads.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        if kind_of(key).name in {"dag-file", "packed-dags"}:
            self._claims.release(key)
            self._readers.remember(key.removeprefix(DAGS), ())

    def _claimed(
        self, version: ObjectVersion, judged: Judgement, copy: FolderCopy, facts: EnvironmentFacts
    ) -> Judgement:
        """Refuse a file with a dag_id of another one, unless that other one may be going: a rename is two events."""
        if judged.verdict == "rejected":
            return judged
        dag_ids = {dag.dag_id for dag in judged.dags if dag.dag_id is not None and dag.certainty in {"loaded", "exact"}}
        now = self._now()
        may_wait = now - version.last_modified < self._grace
        before = uploaded_before(version, dag_ids, copy, facts) if may_wait else None
        if before is not None:
            raise SiblingsExpectedError(
                f"{version.key} waits: {before} was uploaded before it, with one of its dag_ids."
            )
        by_hand = _ByHand(partial(self._folder.is_by_hand, facts), dag_ids, copy, facts)
        taken = self._claims.claim(version.key, dag_ids, version.last_modified, now, by_hand)
        if taken and may_wait:
            raise SiblingsExpectedError(
                f"{version.key} waits: {next(iter(taken.values())).key} has one of its dag_ids."
            )
        if by_hand.unclear and not taken:
            judged = replace(judged, findings=(*judged.findings, not_known(by_hand.unclear)))
        return refused(judged, taken, uploaded=version.last_modified)

    def _options_and_plugins(self, facts: EnvironmentFacts) -> tuple[dict[str, Any], bytes | None]:
        plugins = self._plugins.of(facts)[0]
        return self._options(facts, plugins), plugins.content

    def _options(
        self, facts: EnvironmentFacts, plugins: PackedPlugins, copy: FolderCopy | None = None
    ) -> dict[str, Any]:
        provided = self._provided(facts)
        stood_in = plugins.modules if plugins.content is None else ()
        return {
            "airflow_version": facts.airflow_version,
            "import_timeout": _seconds(facts.options.get("core.dagbag_import_timeout")),
            "airflow_options": {name: value for name, value in facts.options.items() if name.lower() in HONOURED},
            "provided": sorted({*provided.get("modules", ()), *stood_in}),
            "inventory": packed(provided.get("inventory", {})),
            "binaries": sorted(plugins.binaries),
            "partial": copy is not None and copy.partial,
            "unlisted": sorted({*provided.get("unlisted", ()), *(() if plugins.readable else (PLUGINS,))}),
        }


class _ByHand:
    """Which file that was put into the environment's bucket by hand makes a DAG; looked for when it is first asked.

    Attributes:
        unclear: files of which only running them tells which DAGs they make; none before the first question.
    """

    def __init__(self, is_by_hand: Callable[[str], bool], dag_ids: Set[str], copy: FolderCopy, facts: EnvironmentFacts):
        self._is_by_hand, self._dag_ids, self._copy, self._facts = is_by_hand, dag_ids, copy, facts
        self._found: Mapping[str, str] | None = None
        self.unclear: tuple[str, ...] = ()

    def __call__(self, dag_id: str) -> Rival | None:
        """Return the file that makes a DAG, or None."""
        if self._found is None:
            self._found, self.unclear = put_by_hand(self._dag_ids, self._copy, self._facts)
        path = self._found.get(dag_id)
        if path is None:
            return None
        folder = f"{self._facts.dags_path}/" if self._facts.dags_path else ""
        key = f"{folder}{path}"
        return Rival(f"s3://{self._facts.source_bucket}/{key}", by_hand=True) if self._is_by_hand(key) else None


def adviser(command: str | None) -> Callable[[bytes, int], tuple[Finding, ...]]:
    """Return what gives advice on one file, for a major version of Airflow.

    Args:
        command: as of `ruff_command`; without it there is no advice.
    """

    def advise(content: bytes, major: int) -> tuple[Finding, ...]:
        if command is None or major != MAJOR:
            return ()
        try:
            return advice([content], command)[0]
        except NoAdviceError as exc:  # advice holds up nothing
            logger.warning("ruff returned no advice", extra={"reason": str(exc)})
            return ()

    return advise


def packed(inventory: Mapping[str, Any]) -> str:
    """An inventory as import_dag takes it: names repeat, and a request may have 6 MB, bundle included."""
    return base64.b64encode(zlib.compress(json.dumps(inventory).encode())).decode()


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or "")
    except ValueError:
        return _IMPORT_TIMEOUT
    return seconds if seconds > 0 else _IMPORT_TIMEOUT
