"""What is fuzzed: each takes any bytes, and must give a judgement."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import suppress

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.packed_dags import check_packed_dags
from jetway.artifacts.plugins.plugins_zip import check_plugins
from jetway.artifacts.python.dag_file import check_dag_file
from jetway.artifacts.requirements.local_wheels import LocalWheels, read_shelf
from jetway.artifacts.requirements.requirements_file import check_requirements

AIRFLOW_3 = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "acme-airflow", "dags")


def requirements(content: bytes) -> Judgement:
    """Judge bytes as a requirements.txt."""
    return _sound(
        check_requirements(_candidate("requirements.txt", content), AIRFLOW_3, LocalWheels(["a-1-py3-none-any.whl"]))
    )


def dag_file(content: bytes) -> Judgement:
    """Judge bytes as a DAG file; in front of them is what makes Airflow look at it."""
    return _sound(check_dag_file(_candidate("dags/a.py", b"from airflow import DAG\n" + content), AIRFLOW_3))


def plain_dag_file(content: bytes) -> Judgement:
    """Judge bytes as they are as a DAG file."""
    return _sound(check_dag_file(_candidate("dags/a.py", content), AIRFLOW_3))


def archive(content: bytes) -> Judgement:
    """Judge bytes as plugins.zip and as packed DAGs."""
    _sound(check_packed_dags(_candidate("dags/a.zip", content), AIRFLOW_3, max_bytes=1024 * 1024))
    with suppress(BrokenZipError, LargeDirectoryError):
        read_shelf(io.BytesIO(content), len(content), AIRFLOW_3.python_version, final=True)
    return _sound(check_plugins(_candidate("plugins.zip", content), AIRFLOW_3))


def wheel(content: bytes) -> Judgement:
    """Judge bytes as a wheel in plugins.zip, and as the metadata of one."""
    name, info = "a-1-py3-none-any.whl", "a-1.dist-info"
    described = zip_of([(f"{info}/METADATA", content), (f"{info}/WHEEL", b"Wheel-Version: 1.0")])
    archive(zip_of([(name, described)]))
    return archive(zip_of([(name, content)]))


def damaged_archive(content: bytes) -> Judgement:
    """Change a sound zip: each pair of bytes is a place and what is put there."""
    changed = bytearray(_ZIP)
    for place, value in zip(content[::2], content[1::2], strict=False):
        changed[(place * 7) % len(changed)] = value
    return archive(bytes(changed[: len(changed) - (content[0] if len(content) % 2 else 0)]))


TARGETS = {
    "requirements": requirements,
    "dag_file": dag_file,
    "plain_dag_file": plain_dag_file,
    "wheel": wheel,
    "archive": archive,
    "damaged_archive": damaged_archive,
}


def _candidate(path: str, content: bytes) -> Candidate:
    return Candidate(path, len(content), content)


def _sound(judged: Judgement) -> Judgement:
    """What holds of every judgement."""
    if judged.verdict not in {"accepted", "rejected", "unknown"}:
        raise AssertionError(judged)
    if (judged.verdict == "rejected") != any(found.severity == "error" for found in judged.findings):
        raise AssertionError(judged)
    for found in judged.findings:
        if not (found.rule and found.message and found.remedy) or (found.line is not None and found.line < 1):
            raise AssertionError(found)
    return judged


def zip_of(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of these members; names may come twice, and hold anything."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        warnings.simplefilter("ignore")
        for name, content in members:
            made.writestr(name.encode("utf-8", "replace").decode().lstrip("\0") or "x", content)
    return out.getvalue()


_ZIP = zip_of(
    [
        ("a.py", b"from airflow.plugins_manager import AirflowPlugin\nclass A(AirflowPlugin):\n    name = 'a'\n"),
        ("b/c.py", b"x = 1\n" * 20),
        (
            "a-1.0-py3-none-any.whl",
            zip_of([("a-1.0.dist-info/METADATA", b"Name: a\nVersion: 1.0\n"), ("a-1.0.dist-info/WHEEL", b"")]),
        ),
    ]
)
