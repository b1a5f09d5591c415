"""What airflow_local_settings.py does to the whole environment, and when it may go live: pure.

MWAA runs it in every process of Airflow, so that one bad file stops them all. What is not certain stays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from jetway.artifacts.findings import Judgement
    from jetway.loading.import_dag_client import LoadAnswer

NAME = "airflow_local_settings.py"
MOST_FILES = 400  # DAG files that are judged anew
_MOST_SHOWN = 5


def certain(judged: Judgement, *, whatever: bool = False) -> Judgement:
    """The judgement, where it is of what every process runs: what is not known to work is refused.

    Args:
        whatever: of a plugins.zip with such a file, too.
    """
    if not (whatever or judged.kind == "local-settings") or judged.verdict != "unknown":
        return judged
    why = judged.findings[-1].message if judged.findings else "nothing could be loaded here"
    finding = Finding(
        rule="not-certain",
        severity="error",
        message=(
            f"It is not certain that it works ({why.removesuffix('.')}), and MWAA runs {NAME} in every Airflow "
            "process: if it fails, schedulers, tasks, the web server and the command line stop."
        ),
        line=None,
        remedy="Let it only define policies and set values, with Airflow and the standard library.",
    )
    return replace(judged, verdict="rejected", findings=(*judged.findings, finding))


def dag_files(paths: Iterable[str]) -> list[str]:
    """The files of the dags folder that are loaded anew under it."""
    return sorted(path for path in paths if path.endswith((".py", ".zip")) and path != NAME)


def failing(answers: Mapping[str, LoadAnswer]) -> dict[str, str]:
    """Files that fail for certain, with what is said of them."""
    found = {}
    for path, answer in answers.items():
        if answer.loaded is None:
            found[path] = f"it ended the function that loads it ({answer.died})."
        elif answer.loaded["verdict"] == "rejected":
            found[path] = _said(answer.loaded["findings"])
    return found


def breaking(judged: Judgement, broken: Mapping[str, str]) -> Judgement:
    """The judgement, with the DAG files that load without it and fail with it: path → what is said of them."""
    findings = [
        Finding(
            rule="breaks-dags",
            severity="error",
            message=f"dags/{path} loads without it and fails with it: {said}",
            line=None,
            remedy="Change the policy, or the DAG files first.",
        )
        for path, said in sorted(broken.items())[:_MOST_SHOWN]
    ]
    if len(broken) > _MOST_SHOWN:
        more = f"{len(broken) - _MOST_SHOWN} more DAG files fail with it."
        findings.append(Finding("breaks-dags", "error", more, None, "Change the policy, or the DAG files first."))
    return replace(judged, verdict="rejected", findings=(*judged.findings, *findings)) if findings else judged


def _said(findings: Iterable[Mapping[str, Any]]) -> str:
    return next((str(finding["message"]) for finding in findings if finding["severity"] == "error"), "it is rejected.")
