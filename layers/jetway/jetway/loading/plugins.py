"""Which modules the environment's plugins.zip brings: it is on the path of every DAG file."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from jetway.object_stream import VersionGoneError, open_version
from jetway.objects import head

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts

_BLOCK = 256 * 1024  # a zip file's directory is at its end, and small
_SMALLEST_ZIP = 22  # bytes
NAME = "plugins.zip"


class Plugins:
    """Looks into the plugins.zip that an environment has, once for each version."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3
        self._known: dict[tuple[str, str, str | None], frozenset[str] | None] = {}

    def modules(self, facts: EnvironmentFacts) -> frozenset[str] | None:
        """Its top-level modules; None when it cannot be read.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if not facts.plugins_path:
            return frozenset()
        key = (facts.source_bucket, facts.plugins_path, facts.plugins_version)
        if key not in self._known:
            self._known = {key: self._look(*key)}
        return self._known[key]

    def _look(self, bucket: str, path: str, version_id: str | None) -> frozenset[str] | None:
        version = head(self._s3, bucket, path, version_id)
        if version is None or version.size < _SMALLEST_ZIP:
            return None
        try:
            with zipfile.ZipFile(open_version(self._s3, version, block=_BLOCK)) as plugins:
                return top_modules(plugins.namelist())
        except (zipfile.BadZipFile, VersionGoneError):
            return None


def top_modules(names: list[str]) -> frozenset[str]:
    """The modules that can be imported from a folder with these files."""
    found = set()
    for name in names:
        first, _, rest = name.partition("/")
        if not rest and first.endswith(".py"):
            found.add(first.removesuffix(".py"))
        elif rest.endswith(".py") and first.isidentifier():
            found.add(first)
    return frozenset(found)
