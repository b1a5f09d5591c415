"""The gate's second look at requirements.txt: it is resolved, and which modules it brings is kept for import_dag."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError
from jetway.artifacts.findings import Candidate
from jetway.artifacts.kinds import DAGS
from jetway.artifacts.mwaa import DAGS_FOLDER, PLUGINS_FOLDER, packages_of
from jetway.artifacts.requirements.local_wheels import LocalWheels, read_shelf
from jetway.artifacts.requirements.provided import Required, provided, required_by
from jetway.artifacts.requirements.referenced_files import Beside
from jetway.artifacts.requirements.requirement_lines import UnreadableError, decode
from jetway.artifacts.requirements.requirement_resolution import resolved
from jetway.artifacts.requirements.requirements_file import MAX_BYTES, check_requirements
from jetway.artifacts.requirements.resolver_client import ResolverResponse
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest
from jetway.aws.s3 import head, read
from jetway.aws.s3_stream import VersionGoneError, open_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement

# What the newest requirements.txt that was not refused brings: `jetway.artifacts.requirements.provided.Required`.
KEPT = "accepted/requirements.json"
_MOST_KEPT = 8 * 1024 * 1024


class Resolver:
    """Resolves by a function, and remembers what it learned in the drop bucket."""

    def __init__(
        self,
        s3: S3Client,
        drop_bucket: str,
        ask: Callable[[ResolutionRequest, frozenset[str]], ResolverResponse] | None,
        *,
        index_url: str | None = None,
        clock: Callable[[], float] = time.time,
        max_age: float = 60.0,
    ) -> None:
        """Make it.

        Args:
            s3: the client.
            drop_bucket: its name.
            ask: asks the function; None where there is none.
            index_url: the index, for files that name none.
            clock: wall-clock seconds.
            max_age: seconds that what the environment provides is remembered.
        """
        self._s3, self._bucket, self._ask, self._index_url = s3, drop_bucket, ask, index_url
        self._clock, self._max_age = clock, max_age
        self._remembered: tuple[float, str, dict[str, Any]] | None = None

    def judge(self, content: bytes, environment: EnvironmentFacts, static: Judgement) -> Judgement:
        """Judge requirements.txt once more, by resolving it, and keep which modules it brings.

        Raises:
            ClientError, BotoCoreError: Lambda or S3 is in trouble.
        """
        told = ResolverResponse(Resolution("not-resolved", "no resolver function is deployed"))
        shelf = self._shelf(environment) if _speaks_of_plugins(content) else None
        beside = self._beside(environment, shelf)
        static = check_requirements(Candidate("requirements.txt", len(content), content), environment, shelf, beside)

        def ask(question: ResolutionRequest) -> Resolution:
            nonlocal told
            packages = packages_of(environment.airflow_version)
            if self._ask is not None:
                has = packages.installed if packages else {}
                told = self._ask(question, frozenset(f"{name}=={version}" for name, version in has.items()))
            return told.answer

        judged, answer = resolved(
            content, environment, static, ask, index_url=self._index_url, shelf=shelf, beside=beside
        )
        if judged.verdict != "rejected":
            self._keep(content, environment, replace(told, answer=answer or told.answer), beside)
        return judged

    def provided(self, environment: EnvironmentFacts) -> Mapping[str, Any]:
        """Return what the environment has, as `jetway.artifacts.requirements.provided.provided` says it.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        version = f"{environment.airflow_version} {environment.requirements_version}"
        if self._remembered is not None:
            at, of, found = self._remembered
            if of == version and 0 <= self._clock() - at < self._max_age:
                return found
        found = provided(environment, self._kept() or self._live(environment))
        self._remembered = (self._clock(), version, found)
        return found

    def _keep(self, content: bytes, environment: EnvironmentFacts, told: ResolverResponse, beside: Beside) -> None:
        body = required_by(content, environment, told.answer, told.contents, beside).as_json()
        self._s3.put_object(
            Bucket=self._bucket, Key=KEPT, Body=json.dumps(body).encode(), ContentType="application/json"
        )
        self._remembered = None

    def _shelf(self, environment: EnvironmentFacts) -> LocalWheels | None:
        """The plugins.zip that a file may speak of: the newest that was dropped, else the live one."""
        places = [(self._bucket, "plugins.zip"), (environment.source_bucket, environment.plugins_path or "plugins.zip")]
        version = next(filter(None, (head(self._s3, bucket, key) for bucket, key in places)), None)
        if version is None:
            return None
        try:
            with open_version(self._s3, version) as stream:
                # Not final: the plugins.zip that has what is missing may be on its way, and is larger than this file.
                return read_shelf(stream, version.size, environment.python_version, final=False)
        except (BrokenZipError, LargeDirectoryError, VersionGoneError):
            return None

    def _beside(self, environment: EnvironmentFacts, shelf: LocalWheels | None) -> Beside:
        """The files that it may name: of dags/, the newest that was dropped, else the live one; and of plugins.zip."""
        known: dict[str, str | None] = {}

        def text(path: str) -> str | None:
            if path.startswith(f"{PLUGINS_FOLDER}/"):
                return shelf.text(path) if shelf is not None else None
            if path not in known:
                known[path] = self._text(environment, path.removeprefix(f"{DAGS_FOLDER}/"))
            return known[path]

        return Beside(text)  # not final: what is not there may be on its way

    def _text(self, environment: EnvironmentFacts, path: str) -> str | None:
        live = f"{environment.dags_path}/{path}" if environment.dags_path else path
        for bucket, key in ((self._bucket, f"{DAGS}{path}"), (environment.source_bucket, live)):
            version = head(self._s3, bucket, key) if bucket else None
            content = read(self._s3, version, MAX_BYTES) if version else None
            if content is not None:
                try:
                    return decode(content)
                except UnreadableError:
                    return None
        return None

    def _kept(self) -> Required | None:
        version = head(self._s3, self._bucket, KEPT)
        content = read(self._s3, version, _MOST_KEPT) if version else None
        return Required.parse(json.loads(content)) if content is not None else None

    def _live(self, environment: EnvironmentFacts) -> Required:
        """What a requirements.txt brings that never went through the gate."""
        if not environment.requirements_path:
            return Required()
        version = head(
            self._s3, environment.source_bucket, environment.requirements_path, environment.requirements_version
        )
        content = read(self._s3, version, MAX_BYTES) if version else None
        return required_by(content, environment, None, {}) if content is not None else Required()


def _speaks_of_plugins(content: bytes) -> bool:
    try:
        text = decode(content)
    except UnreadableError:
        return False
    return PLUGINS_FOLDER in text or "../plugins/" in text
