"""Files of the dags folder that an import error misses; while they are on their way nobody is at fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jetway.artifacts.kinds import DAGS
from jetway.aws.s3 import versions_of
from jetway.promotion.reports import is_on_its_way, outcome_of
from jetway.promotion.verdict_tag import verdict_tag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.promotion.artifact_state import Defect

_MODULES = (
    re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE),
    re.compile(
        r"^ImportError: cannot import name '\w+' from (?:partially initialized module )?'([\w.]+)'", re.MULTILINE
    ),
)
_FILES = re.compile(r"^FileNotFoundError: .*'[^']*/dags/([^']+)'", re.MULTILINE)
# Of a folder, so many of the files that changed last.
_MOST_OF_A_FOLDER = 20


def missing_files(error: str) -> tuple[str, ...]:
    """Keys of the drop bucket that could hold what an error misses; none when it misses nothing of the dags folder.

    A key that ends with "/" stands for all files below it: a folder is a package with or without an `__init__.py`.
    """
    keys = [f"{DAGS}{path}" for path in _FILES.findall(error)]
    for pattern in _MODULES:
        for module in pattern.findall(error):
            path = module.replace(".", "/")
            keys += [f"{DAGS}{path}.py", f"{DAGS}{path}/"]
    return tuple(dict.fromkeys(keys))


def awaited(s3: S3Client, drop_bucket: str, problems: tuple[Defect, ...]) -> bool:
    """Whether each of some problems is for want of a file that was dropped and is not judged yet.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return bool(problems) and all(
        any(_comes(s3, drop_bucket, key) for key in missing_files(problem.message)) for problem in problems
    )


def _comes(s3: S3Client, bucket: str, key: str) -> bool:
    """Whether a file, or one below a folder, is on its way, or was refused and one that was passed over comes next."""
    if not key.endswith("/"):
        return is_on_its_way(s3, bucket, key) or _one_below_comes(s3, bucket, key)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    newest = sorted(listed, key=lambda each: each["LastModified"], reverse=True)[:_MOST_OF_A_FOLDER]
    return any(is_on_its_way(s3, bucket, each["Key"]) for each in newest)


def _one_below_comes(s3: S3Client, bucket: str, key: str) -> bool:
    """Whether all that is newer than one that was passed over was refused: then that one has its turn."""
    for version in versions_of(s3, bucket, key):
        if version in {None, "null"}:
            return False
        outcome = outcome_of(s3, bucket, key, str(version))
        if outcome is None:  # else it has expired
            return verdict_tag(s3, bucket, key, version) is None
        if outcome != "quarantined":
            return outcome == "superseded"
    return False
