"""What a check says of an artifact: findings, the DAGs it found, and the verdict that follows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal

Severity = Literal["error", "warning"]
Verdict = Literal["accepted", "rejected", "unknown"]
Certainty = Literal["exact", "conditional", "dynamic", "loaded"]

_MOST_SAID = 500  # characters of an exception: what a file holds may stand in it


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
    """A DAG of a file, seen by reading it or by loading it.

    Attributes:
        dag_id: None when only running the file would tell.
        line: 1-based line where the DAG is made; None when a module that the file imports makes it.
        certainty: "exact" - loading the file makes this DAG; "conditional" - it depends on an `if`, a `try`
            or on a function being called; "dynamic" - the id cannot be told by reading; "loaded" - the file was
            loaded by Airflow and made it.
        schedule: as Airflow writes it; None without one, or when the file was not loaded.
        tags: its tags; none when the file was not loaded.
        tasks: how many it has; None when the file was not loaded.
    """

    dag_id: str | None
    line: int | None
    certainty: Certainty
    schedule: str | None = None
    tags: tuple[str, ...] = ()
    tasks: int | None = None


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """A class that derives from AirflowPlugin.

    Attributes:
        class_name: as in its module.
        name: the plugin's name; None when only running the module would tell.
        path: of its module, within plugins.zip.
        line: 1-based.
    """

    class_name: str
    name: str | None
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact about to be judged.

    Attributes:
        path: its key in the drop bucket, for example "dags/team/orders.py".
        size: bytes.
        content: its bytes; of a larger file than its kind allows, or of a kind that is not read whole, b"".
        opener: opens it as a seekable stream, for kinds that are too large to be held.
    """

    path: str
    size: int
    content: bytes = b""
    opener: Callable[[], BinaryIO] | None = None

    def stream(self) -> BinaryIO:
        """Open it as a seekable stream; the caller closes it."""
        return self.opener() if self.opener else io.BytesIO(self.content)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a check makes of one artifact.

    Attributes:
        parse_seconds: that loading a DAG file took, once Airflow was imported; None when it was not loaded.
        readers: of a data file, the DAG files that read it when they are loaded: paths below the dags folder.
    """

    kind: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    dags: tuple[FoundDag, ...] = ()
    plugins: tuple[FoundPlugin, ...] = ()
    parse_seconds: float | None = None
    readers: tuple[str, ...] = ()


def internal_error(exc: Exception) -> Finding:
    """Return the finding for a file that could not be judged for a fault of Jetway's; it is of that file alone."""
    said = " ".join(f"{type(exc).__name__}: {exc}".split())[:_MOST_SAID]
    remedy = "This is a fault of Jetway, not of the file. Report it with this message. The other files were checked."
    return Finding("internal-error", "error", f"The file could not be checked: {said}.", None, remedy)


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
