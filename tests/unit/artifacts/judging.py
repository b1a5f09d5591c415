"""Shortcuts: an environment, and a verdict on a few lines of text."""

from __future__ import annotations

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.python.dag_file import check_dag_file

AIRFLOW_3 = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "acme-airflow", "dags")
AIRFLOW_2_ON_PYTHON_3_11 = EnvironmentFacts("acme", "AVAILABLE", "2.10.3", "acme-airflow", "dags")


def judge(
    content: bytes | str, *, environment: EnvironmentFacts = AIRFLOW_3, path: str = "dags/orders.py"
) -> Judgement:
    """Judge a DAG file of this content."""
    content = content.encode() if isinstance(content, str) else content
    return check_dag_file(Candidate(path, len(content), content), environment)


def rules(judged: Judgement) -> list[tuple[str, int | None]]:
    """The findings as (rule, line)."""
    return [(finding.rule, finding.line) for finding in judged.findings]
