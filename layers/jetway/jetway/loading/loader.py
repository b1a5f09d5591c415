"""The step that the gate is given: a DAG file that may load by its text is loaded by the real Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.kinds import DAGS
from jetway.errors import SiblingsExpectedError
from jetway.loading.folder import DagsFolder
from jetway.loading.function import LoadFunctions
from jetway.loading.verdict import not_loaded, together, too_early

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement
    from jetway.config import ValidateArtifactConfig
    from jetway.objects import ObjectVersion

# Seconds that MWAA gives a file unless core.dagbag_import_timeout says otherwise.
# https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html#dagbag-import-timeout
_IMPORT_TIMEOUT = 30.0
_QUIET = timedelta(seconds=10)
_LONGEST_LOAD = 130  # seconds; import_dag's own timeout is 120

Provided = Callable[["EnvironmentFacts"], Mapping[str, Any]]


class DagLoader:
    """Has DAG files loaded.

    Args:
        folder: makes copies of the dags folder.
        functions: that load.
        grace: how long a file that fails waits for siblings that may be on their way.
        provided: tells which modules the environment has: "modules", and "unlisted" distributions.
        now: the clock.
    """

    def __init__(
        self,
        folder: DagsFolder,
        functions: LoadFunctions,
        *,
        grace: timedelta,
        provided: Provided = lambda _facts: {},
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._functions = folder, functions
        self._grace, self._provided, self._now = grace, provided, now

    def __call__(self, version: ObjectVersion, content: bytes, facts: EnvironmentFacts, static: Judgement) -> Judgement:
        """Judge a DAG file by loading it.

        Args:
            version: of the file in the drop bucket.
            content: its bytes.
            facts: of the environment.
            static: what reading says of it; a rejection stands.

        Raises:
            SiblingsExpectedError: it fails, and what it lacks may be on its way.
            LoadUnavailableError: nothing can be loaded now.
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if static.verdict == "rejected" or static.kind != "dag-file":
            return static
        function = self._functions.nearest(facts.major)
        path = version.key.removeprefix(DAGS)
        copy = self._folder.copy(facts, path, content)
        answer = self._functions.load(function, copy.zipped(), [path], self._options(facts))
        early = too_early(
            answer,
            copy.pending,
            dropped=version.last_modified,
            now=self._now(),
            grace=self._grace,
            quiet=_QUIET,
        )
        if early is not None:
            raise SiblingsExpectedError(f"{version.key} waits: {early}.")
        judged = together(static, answer)
        if judged.verdict == "rejected" and copy.partial and answer.loaded and answer.loaded["missing"]:
            return not_loaded(static, "the dags folder is too large to be copied whole, and a module is missing")
        return judged

    def _options(self, facts: EnvironmentFacts) -> dict[str, Any]:
        provided = self._provided(facts)
        return {
            "airflow_version": facts.airflow_version,
            "import_timeout": _seconds(facts.options.get("core.dagbag_import_timeout")),
            "airflow_options": dict(facts.options),
            "provided": sorted(provided.get("modules", ())),
            "unlisted": sorted(provided.get("unlisted", ())),
        }


def connect_loader(config: ValidateArtifactConfig, s3: S3Client, provided: Provided) -> DagLoader:
    """Return the loader of one environment. Nothing is sent before its first file."""
    import boto3
    from botocore.config import Config

    # One try: what failed comes back by its message, and a second try could load a slow file twice at once.
    patient = Config(connect_timeout=5, read_timeout=_LONGEST_LOAD, retries={"total_max_attempts": 1})
    functions = LoadFunctions(boto3.client("lambda", config=patient), s3, config.drop_bucket, config.import_dag)
    folder = DagsFolder(s3, config.drop_bucket, now=lambda: datetime.now(UTC))
    return DagLoader(folder, functions, grace=config.sibling_grace, provided=provided)


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or "")
    except ValueError:
        return _IMPORT_TIMEOUT
    return seconds if seconds > 0 else _IMPORT_TIMEOUT
