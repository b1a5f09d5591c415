"""Files of the dags folder that an import error misses; while they are on their way nobody is at fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jetway.artifacts.kinds import DAGS
from jetway.reports import is_on_its_way

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.live.standing import Problem

_MODULES = (
    re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE),
    re.compile(
        r"^ImportError: cannot import name '\w+' from (?:partially initialized module )?'([\w.]+)'", re.MULTILINE
    ),
)
_FILES = re.compile(r"^FileNotFoundError: .*'[^']*/dags/([^']+)'", re.MULTILINE)


def missing_files(error: str) -> tuple[str, ...]:
    """Keys of the drop bucket that could hold what an error misses; none when it misses nothing of the dags folder."""
    keys = [f"{DAGS}{path}" for path in _FILES.findall(error)]
    for pattern in _MODULES:
        for module in pattern.findall(error):
            path = module.replace(".", "/")
            keys += [f"{DAGS}{path}.py", f"{DAGS}{path}/__init__.py"]
    return tuple(dict.fromkeys(keys))


def awaited(s3: S3Client, drop_bucket: str, problems: tuple[Problem, ...]) -> bool:
    """Whether each of some problems is for want of a file that was dropped and is not judged yet.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    return bool(problems) and all(
        any(is_on_its_way(s3, drop_bucket, key) for key in missing_files(problem.message)) for problem in problems
    )
