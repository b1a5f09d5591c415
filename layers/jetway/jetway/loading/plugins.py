"""What a load finds of the environment's plugins.zip, which is on the path of every DAG file.

It is what the environment will have: the one that is being dropped, else the one that was promoted last, which comes
with the next update or is in force. Where something fails with that one, the ones before it are asked, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.artifacts.plugins.plugin_modules import PackedPlugins, pack
from jetway.aws.s3 import head
from jetway.aws.s3_stream import VersionGoneError, open_version
from jetway.loading.folder import PENDING
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.reports import is_reported

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.aws.s3 import ObjectVersion

_BLOCK = 256 * 1024  # a zip file's directory is at its end, and small
_MOST_KNOWN = 3  # in force, to come, being dropped
NAME = "plugins.zip"
UNREADABLE = PackedPlugins(readable=False)
NONE = PackedPlugins()


class Plugins:
    """Takes what a load needs out of the plugins.zip of an environment, once for each version."""

    def __init__(self, s3: S3Client, drop_bucket: str, *, now: Callable[[], datetime]) -> None:
        self._s3, self._drop_bucket, self._now = s3, drop_bucket, now
        self._known: dict[str, PackedPlugins] = {}

    def of(self, facts: EnvironmentFacts) -> Sequence[PackedPlugins]:
        """The plugins that the environment will have, and after them those that it has until then; one at least.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        path = facts.plugins_path or NAME
        dropped = self.pending(NAME)
        newest = head(self._s3, facts.source_bucket, path)
        found = []
        if dropped is not None and (newest is None or newest.metadata.get(SOURCE_VERSION) != dropped.label):
            found.append(self.look(dropped))
        if newest is not None:
            found.append(self.look(newest))
        if facts.plugins_path and facts.plugins_version and newest and newest.version_id != facts.plugins_version:
            in_force = head(self._s3, facts.source_bucket, path, facts.plugins_version)
            found.append(self.look(in_force) if in_force else UNREADABLE)
        elif facts.plugins_path and newest is None:
            found.append(UNREADABLE)
        return found or [NONE]

    def look(self, version: ObjectVersion) -> PackedPlugins:
        """What a load needs of one version.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        if version.label not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[version.label] = self._read(version)
        return self._known[version.label]

    def pending(self, key: str) -> ObjectVersion | None:
        """What was dropped lately under a key and is not judged yet.

        Raises:
            ClientError, BotoCoreError: S3 is in trouble.
        """
        there = head(self._s3, self._drop_bucket, key)
        if there is None or self._now() - there.last_modified >= PENDING:
            return None
        known = is_reported(self._s3, self._drop_bucket, key, there.etag, there.last_modified)
        return None if known else there

    def _read(self, version: ObjectVersion) -> PackedPlugins:
        try:
            with open_version(self._s3, version, block=_BLOCK) as stream:
                return pack(stream, version.size)
        except VersionGoneError:
            return UNREADABLE  # it is just being replaced
