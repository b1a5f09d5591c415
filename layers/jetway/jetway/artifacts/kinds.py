"""Which check is for which key: the registry of the kinds of artifact.

A new kind is one entry in `KINDS` and one module with its check.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Candidate, Finding, Judgement, judgement

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

DAGS = "dags/"

# Not artifacts of the gate: what starts runs, what sync_triggers takes, and what Jetway itself writes.
NOT_ARTIFACTS = ("data/", "triggers/", "accepted/", "batches/", "reports/", "quarantine/")

Check = Callable[[Candidate, "EnvironmentFacts", int], Judgement]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of artifact.

    Attributes:
        name: as in reports and metrics.
        keys: full pattern of its keys in the drop bucket.
        shown: the same for people.
        check: judges a candidate; the last argument is the size limit of DAG files in bytes.
        reads_content: whether the check looks into the file.
    """

    name: str
    keys: re.Pattern[str]
    shown: str
    check: Check
    reads_content: bool = False

    def destination(self, key: str, dags_path: str) -> str | None:
        """Where it goes live: a key in the environment's bucket, or None when it has no place there yet."""
        if not key.startswith(DAGS):
            return None
        return f"{dags_path}/{key.removeprefix(DAGS)}" if dags_path else key.removeprefix(DAGS)


def kind_of(key: str) -> Kind:
    """Return the kind of artifact that a key is; `UNKNOWN` when it is none."""
    return next((kind for kind in KINDS if kind.keys.fullmatch(key)), UNKNOWN)


def is_artifact(key: str) -> bool:
    """Whether a key of the drop bucket is an artifact at all: a folder's marker, for example, is not.

    Neither is floors.yaml, which scale_workers reads where it is, nor access.yaml, which sync_triggers takes.
    """
    return not key.startswith(NOT_ARTIFACTS) and not key.endswith("/") and key not in {"floors.yaml", "access.yaml"}


def _check_dag_file(candidate: Candidate, environment: EnvironmentFacts, max_bytes: int) -> Judgement:
    from jetway.artifacts.dag_file import check_dag_file

    return check_dag_file(candidate, environment, max_bytes=max_bytes)


def _check_trigger(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.triggers import parse

    return parse(candidate.content, candidate.path).judgement


def _check_access(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.access_file import parse_access

    return parse_access(candidate.content).judgement


def _pass_through(_candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    """SQL, YAML, text, .airflowignore and the like: DAG files read them, and Airflow has no opinion."""
    return judgement("dags-folder-file")


def _packed_dags(_candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    """A zip in the dags folder, which Airflow looks into for DAG files: not judged here yet."""
    finding = Finding(
        rule="not-judged",
        severity="warning",
        message="Airflow loads DAG files out of this zip; this version of Jetway does not look into it.",
        line=None,
        remedy="Upload the DAG files themselves to have them judged.",
    )
    return judgement("packed-dags", [finding], uncertain=True)


def _not_yet(name: str, where: str) -> Check:
    """A kind that this version knows and does not judge: nothing goes live unjudged."""

    def check(_candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
        finding = Finding(
            rule="kind-not-supported-yet",
            severity="error",
            message=f"This version of Jetway does not handle {name} yet.",
            line=None,
            remedy=where,
        )
        return judgement(name, [finding])

    return check


def _unknown(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    if candidate.path.endswith(".py"):
        remedy = f"A DAG file belongs in {DAGS}: upload it as {DAGS}{candidate.path.rpartition('/')[2]}"
    else:
        remedy = "Upload it where it belongs: " + "; ".join(kind.shown for kind in KINDS) + "."
    finding = Finding(
        rule="unknown-kind",
        severity="error",
        message="Jetway knows no artifact of this name.",
        line=None,
        remedy=remedy,
    )
    return judgement("unknown", [finding])


def _kind(name: str, pattern: str, shown: str, check: Check, *, reads_content: bool = False) -> Kind:
    # DOTALL: a key may hold a newline.
    return Kind(name, re.compile(pattern, re.DOTALL), shown, check, reads_content)


_IN_THE_ENVIRONMENT = (
    "Put it in the environment's own bucket and give its version to UpdateEnvironment, as without Jetway."
)

KINDS = (
    _kind(
        "dag-file", r"dags/.+\.(?i:py)", "DAG files and their modules: dags/…/*.py", _check_dag_file, reads_content=True
    ),
    _kind("packed-dags", r"dags/.+\.(?i:zip)", "packed DAG files: dags/…/*.zip", _packed_dags),
    _kind("dags-folder-file", r"dags/.+", "what DAG files read: dags/…", _pass_through),
    _kind("requirements", r"requirements\.txt", "requirements.txt", _not_yet("requirements", _IN_THE_ENVIRONMENT)),
    _kind("plugins", r"plugins\.zip", "plugins.zip", _not_yet("plugins", _IN_THE_ENVIRONMENT)),
    _kind("startup-script", r"startup\.sh", "startup.sh", _not_yet("startup-script", _IN_THE_ENVIRONMENT)),
    _kind(
        "trigger",
        r"triggers/[^/]+\.ya?ml",
        "triggers/*.yaml",
        _check_trigger,
        reads_content=True,
    ),
    _kind("access", r"access\.yaml", "access.yaml", _check_access, reads_content=True),
)

UNKNOWN = _kind("unknown", r".*", "", _unknown)
