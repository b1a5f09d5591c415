"""Whether a new version has the content of the one in force: then the environment need not be updated for it.

`aws s3 sync` from a fresh checkout uploads every file anew, and an update takes 10 to 30 minutes.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, cast

from jetway.aws.s3 import head
from jetway.aws.s3_stream import VersionGoneError, open_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.aws.s3 import ObjectVersion

# What the gate reads whole of requirements.txt and startup.sh.
_MOST_READ = 1024 * 1024


def same_content(s3: S3Client, bucket: str, one: tuple[str, str], other: tuple[str, str], *, zipped: bool) -> bool:
    """Whether two object versions have the same content; False when that cannot be told cheaply.

    Of zips the lists of members are compared: names, sizes, checksums. A zip that was packed anew has other bytes.

    Args:
        one, other: key and version id.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    found = [head(s3, bucket, *place) for place in (one, other)]
    if None in found:
        return False
    first, second = cast("list[ObjectVersion]", found)
    try:
        if zipped:
            return _members(s3, first) == _members(s3, second)
        if first.size != second.size or first.size > _MOST_READ:
            return False
        return _content(s3, first) == _content(s3, second)
    except (VersionGoneError, zipfile.BadZipFile):
        return False


def _content(s3: S3Client, version: ObjectVersion) -> bytes:
    with open_version(s3, version) as stream:
        return stream.read()


def _members(s3: S3Client, version: ObjectVersion) -> list[tuple[str, int, int, int]]:
    with open_version(s3, version) as stream, zipfile.ZipFile(stream) as found:
        return sorted((each.filename, each.file_size, each.CRC, each.external_attr) for each in found.infolist())
