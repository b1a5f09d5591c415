"""What a check says of an artifact: findings, the DAGs it found, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Verdict = Literal["accepted", "rejected", "unknown"]
Certainty = Literal["exact", "conditional", "dynamic"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in an artifact.

    Attributes:
        rule: the rule's stable name, for example "syntax".
        severity: an error rejects the artifact, a warning does not.
        message: what is wrong, for people.
        line: 1-based, or None when it concerns the whole file.
        remedy: what to do about it.
    """

    rule: str
    severity: Severity
    message: str
    line: int | None
    remedy: str


@dataclass(frozen=True, slots=True)
class FoundDag:
    """A DAG seen by reading a file, without running it.

    Attributes:
        dag_id: None when only running the file would tell.
        line: 1-based line where the DAG is made.
        certainty: "exact" - loading the file makes this DAG; "conditional" - it depends on an `if`, a `try`
            or on a function being called; "dynamic" - the id cannot be told by reading.
    """

    dag_id: str | None
    line: int
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact about to be judged.

    Attributes:
        path: its key in the drop bucket, for example "dags/team/orders.py".
        size: bytes.
        content: its bytes; of a larger file than its kind allows, or of a kind that is not read, b"".
    """

    path: str
    size: int
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a check makes of one artifact."""

    kind: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    dags: tuple[FoundDag, ...] = ()


def judgement(
    kind: str, findings: Iterable[Finding] = (), dags: Iterable[FoundDag] = (), *, uncertain: bool = False
) -> Judgement:
    """Draw the verdict: an error rejects; otherwise what could not be told leaves it "unknown".

    An artifact of verdict "unknown" is promoted: only a certain failure keeps one out.
    """
    findings = tuple(findings)
    verdict: Verdict = "unknown" if uncertain else "accepted"
    if any(finding.severity == "error" for finding in findings):
        verdict = "rejected"
    return Judgement(kind, verdict, findings, tuple(dags))
