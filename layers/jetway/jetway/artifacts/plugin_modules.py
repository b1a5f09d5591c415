"""Which modules plugins.zip gives to DAG files: those at its root, since MWAA's plugins folder is on sys.path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
from jetway.object_stream import VersionGoneError, open_version
from jetway.objects import head

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts


def plugin_modules(s3: S3Client, environment: EnvironmentFacts) -> set[str]:
    """Return the top-level modules of the plugins.zip that was promoted last.

    It may not be in force yet, as an update takes its time; a DAG file that needs it is loaded then.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    version = head(s3, environment.source_bucket, environment.plugins_path or "plugins.zip")
    if version is None:
        return set()
    try:
        with open_version(s3, version) as stream:
            return root_modules(member.name for member in ZipReader(stream, version.size).members)
    except (BrokenZipError, LargeDirectoryError, VersionGoneError):
        return set()  # it never went through the gate, or is just being replaced: nothing is known of it


def root_modules(names: Iterable[str]) -> set[str]:
    """The modules and packages at the root of an archive with these members."""
    tops = (name.partition("/") for name in names if name.endswith(".py"))
    found = {top if slash else top.removesuffix(".py") for top, slash, _ in tops}
    return {name for name in found if name.isidentifier()}
