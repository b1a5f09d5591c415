"""Which modules the environment's plugins.zip brings: it is on the path of every DAG file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway.artifacts.plugin_modules import root_modules
from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
from jetway.object_stream import VersionGoneError, open_version
from jetway.objects import head

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.objects import ObjectVersion

_BLOCK = 256 * 1024  # a zip file's directory is at its end, and small
NAME = "plugins.zip"


class Plugins:
    """Looks into the plugins.zip of an environment, once for each version."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3
        self._known: dict[str, frozenset[str] | None] = {}

    def modules(self, facts: EnvironmentFacts) -> frozenset[str] | None:
        """The modules at its root, of the version in force and of the one promoted last, which comes with an update.

        Returns:
            None when what is in force cannot be read.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        path = facts.plugins_path or NAME
        newest = head(self._s3, facts.source_bucket, path)
        coming = (self._look(newest) if newest else None) or frozenset()
        if not facts.plugins_path:
            return coming
        in_force = newest
        if facts.plugins_version and (newest is None or newest.version_id != facts.plugins_version):
            in_force = head(self._s3, facts.source_bucket, path, facts.plugins_version)
        found = self._look(in_force) if in_force else None
        return None if found is None else found | coming

    def _look(self, version: ObjectVersion) -> frozenset[str] | None:
        if version.label not in self._known:
            if len(self._known) > 1:  # the one in force and the one to come
                self._known.clear()
            self._known[version.label] = self._read(version)
        return self._known[version.label]

    def _read(self, version: ObjectVersion) -> frozenset[str] | None:
        try:
            with open_version(self._s3, version, block=_BLOCK) as stream:
                return frozenset(root_modules(member.name for member in ZipReader(stream, version.size).members))
        except (BrokenZipError, LargeDirectoryError, VersionGoneError):
            return None  # it never went through the gate, or is just being replaced
