"""Other files that make a DAG of the same dag_id: Airflow looks at one file at a time and never says so. Pure.

A dag_id belongs to the file that was uploaded first. Files of one upload are judged at the same time, so the order of
judging says nothing: a file looks for those before it that are still on their way, and lets them go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jetway.artifacts.airflow_ignore import NAME, syntax_of
from jetway.artifacts.child_process import BeyondBoundsError
from jetway.artifacts.findings import Finding
from jetway.artifacts.judging import ignored_apart
from jetway.artifacts.kinds import DAGS
from jetway.artifacts.python.dag_file import DEFAULT_MAX_BYTES, might_contain_dag
from jetway.artifacts.python.dag_ids import find_dags
from jetway.artifacts.python.python_source import read_source

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.aws.s3 import ObjectVersion
    from jetway.loading.folder import FolderCopy

_MOST_SHOWN = 3
_REMEMBERED = 512  # files whose dag_ids are known by their content


@dataclass(frozen=True, slots=True)
class Rival:
    """A file that has a dag_id.

    Attributes:
        key: in the drop bucket; of one that was put there by hand, its address in the environment's bucket.
        uploaded: when the version was uploaded with which it took the dag_id; None where that is not known.
        claimed: when it took it, by being judged.
        by_hand: it was put into the environment's bucket by hand.
    """

    key: str
    uploaded: datetime | None = None
    claimed: datetime | None = None
    by_hand: bool = False


def uploaded_before(
    version: ObjectVersion, dag_ids: Iterable[str], copy: FolderCopy, facts: EnvironmentFacts
) -> str | None:
    """Return the key of a file that was uploaded before, is not live yet, and evidently makes one of the same DAGs.

    S3 tells the time of an upload in whole seconds: of two in the same second the name that comes first is first.
    """
    mine = (version.last_modified, version.key)
    earlier = [path for path, dropped in copy.pending.items() if (dropped, f"{DAGS}{path}") < mine]
    return next((f"{DAGS}{path}" for path, _ in _makers(earlier, set(dag_ids), copy, facts)), None)


def put_by_hand(
    dag_ids: Iterable[str], copy: FolderCopy, facts: EnvironmentFacts
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Look for DAGs among the files that were put into the environment's bucket by hand.

    Returns:
        dag_id → path of the file that evidently makes it, and paths of files of which only running them would tell.
    """
    files = sorted(copy.by_hand - _passed_over(copy, facts))
    found = {dag_id: path for path, dag_id in _makers(files, set(dag_ids), copy, facts)}
    unclear = tuple(path for path in files if _dags_of(path, copy, facts)[1])
    return found, unclear


def _passed_over(copy: FolderCopy, facts: EnvironmentFacts) -> frozenset[str]:
    """The files put there by hand that Airflow passes over; none where it takes too much to tell."""
    try:
        return ignored_apart(copy.by_hand, patterns_of(copy), syntax_of(facts)) if copy.by_hand else frozenset()
    except BeyondBoundsError:
        return frozenset()


def not_known(unclear: Iterable[str]) -> Finding:
    """The warning that other files may make the same DAGs, and that nobody can tell by reading them."""
    names = list(unclear)
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return Finding(
        rule="dag-id-not-known",
        severity="warning",
        message=(
            f"{', '.join(names[:_MOST_SHOWN])}{more} in the environment's bucket did not come through the drop "
            "bucket. Its DAGs are known only when it runs, so it is not known whether one of them has the same "
            "dag_id."
        ),
        line=None,
        remedy="Upload it to the drop bucket with the same path, so that Jetway knows its DAGs.",
    )


def _makers(
    paths: Iterable[str], dag_ids: set[str], copy: FolderCopy, facts: EnvironmentFacts
) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path.endswith(".py"):
            for dag_id in sorted(_dags_of(path, copy, facts)[0] & dag_ids):
                yield path, dag_id


def _dags_of(path: str, copy: FolderCopy, facts: EnvironmentFacts) -> tuple[frozenset[str], bool]:
    """The dag_ids that a file evidently makes, and whether it may make others."""
    if path.endswith(".zip"):
        return frozenset(), True
    content = copy.files.get(path)
    if not path.endswith(".py") or content is None:
        return frozenset(), False
    return _read(PurePosixPath(path).stem, content, facts.python_version)


@lru_cache(maxsize=_REMEMBERED)
def _read(stem: str, content: bytes, python: tuple[int, int]) -> tuple[frozenset[str], bool]:
    if len(content) > DEFAULT_MAX_BYTES or not might_contain_dag(content):
        return frozenset(), False
    source = read_source(content, python)
    if not source.may_load or source.tree is None:
        return frozenset(), source.may_load
    dags = find_dags(source.tree, stem).dags
    exact = {dag.dag_id for dag in dags if dag.dag_id is not None and dag.certainty == "exact"}
    return frozenset(exact), any(dag.dag_id is None for dag in dags)


def evident_dags(path: str, copy: FolderCopy, facts: EnvironmentFacts) -> frozenset[str]:
    """The dag_ids that stand in the text of a file, and that loading it makes in any case."""
    return _dags_of(path, copy, facts)[0]


def patterns_of(copy: FolderCopy) -> dict[str, str]:
    """The text of the .airflowignore of each folder that has one."""
    return {
        path.rpartition("/")[0]: content.decode(errors="replace")
        for path, content in copy.files.items()
        if path.rpartition("/")[2] == NAME
    }
