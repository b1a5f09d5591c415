"""Zips in the dags folder: Airflow imports the modules at their root, and takes DAGs from them.

https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#packaging-dags
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipMember, ZipReader
from jetway.artifacts.archives.zip_structure import (
    broken,
    damaged,
    directory_findings,
    is_bomb,
    is_clutter,
    shown,
    too_many,
    verify,
)
from jetway.artifacts.findings import Candidate, Finding, FoundDag, Judgement, judgement
from jetway.artifacts.plugins.plugins_zip import MOST_MODULES, MOST_WORDS_IN_ALL, bounded, module_findings, not_judged
from jetway.artifacts.python.dag_file import check_dag_file
from jetway.artifacts.python.python_source import weight

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

KIND = "packed-dags"


def check_packed_dags(candidate: Candidate, environment: EnvironmentFacts, *, max_bytes: int) -> Judgement:
    """Judge a zip of the dags folder, in bounded memory.

    Args:
        candidate: with a stream.
        environment: tells the Python that will import it.
        max_bytes: what a DAG file in it may have.
    """
    with candidate.stream() as stream:
        try:
            reader = ZipReader(stream, candidate.size)
        except BrokenZipError as exc:
            # Airflow would pass over it without a word, and the DAGs of the version before would be gone.
            return judgement(KIND, [broken(exc)])
        except LargeDirectoryError:
            return judgement(KIND, [too_many()])
        findings = list(directory_findings(reader))
        if is_bomb(findings):
            return judgement(KIND, bounded(findings))
        dags: list[FoundDag] = []
        uncertain, left = False, MOST_WORDS_IN_ALL
        for number, member in enumerate(_opened(reader)):
            judged, words = _judge(reader, member, environment, max_bytes, left) if number < MOST_MODULES else (None, 0)
            left -= words
            if judged is None:
                wrong = verify(reader, member)
                findings += [wrong] if wrong else []
                continue
            findings += judged.findings
            dags += judged.dags
            uncertain = uncertain or judged.verdict == "unknown"
        if not dags and not findings:
            findings.append(_NO_DAG)
        return judgement(KIND, bounded(findings), dags, uncertain=uncertain)


def _opened(reader: ZipReader) -> list[ZipMember]:
    return [member for member in reader.members if not member.is_closed]


def _judge(
    reader: ZipReader, member: ZipMember, environment: EnvironmentFacts, max_bytes: int, left: int
) -> tuple[Judgement | None, int]:
    """Judge one module, None of what is none; and say how many words it has of those that are left."""
    if not member.name.lower().endswith(".py") or is_clutter(member.name):
        return None, 0
    try:
        content = reader.content(member, max_bytes)
    except BrokenZipError as exc:
        return judgement(KIND, [damaged(member, exc)]), 0
    words = weight(content)
    if words > left:
        return judgement(KIND, [not_judged(member)]), words
    if "/" in member.name:  # only imported by those at the root
        findings, uncertain = module_findings(content, member.name, environment.python_version)
        return judgement(KIND, findings, uncertain=uncertain), words
    judged = check_dag_file(Candidate(member.name, len(content), content), environment, max_bytes=max_bytes)
    findings = [
        replace(found, message=f"{shown(member.name)}: {found.message}")
        for found in judged.findings
        if found.rule != "empty-file"
    ]
    return replace(judged, findings=tuple(findings)), words


_NO_DAG = Finding(
    rule="no-dag",
    severity="warning",
    message="No module at the root of the zip defines a DAG, and Airflow does not read other folders in it.",
    line=None,
    remedy=(
        "Create the zip from inside the folder, so that DAG files are at its root: cd FOLDER && zip -r ../dags.zip ."
    ),
)
