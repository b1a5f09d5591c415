"""Python files of the dags folder: size, encoding, syntax, and the DAGs they make.

Only what certainly cannot load is an error: too large for the gate, not decodable, not compilable. All
else that seems odd is a warning, because the load is the judge (`import_dag`).
"""

from __future__ import annotations

import ast
import codecs
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Candidate, Finding, FoundDag, Judgement, judgement
from jetway.artifacts.python.dag_ids import find_dags
from jetway.artifacts.python.python_source import read_source
from jetway.artifacts.python.top_level_work import top_level_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jetway.airflow.environment import EnvironmentFacts

KIND = "dag-file"
DEFAULT_MAX_BYTES = 1024 * 1024

# Libraries that make DAGs of other files: whoever imports one of them means to.
_MAKES_DAGS = frozenset({"dagfactory", "dag_factory", "gusty", "cosmos", "boundary_layer", "airflow_declarative"})
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_dag_file(
    candidate: Candidate, environment: EnvironmentFacts, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Judgement:
    """Judge a Python file of the dags folder without running it.

    Args:
        candidate: the file; one larger than `max_bytes` need not bring its content.
        environment: tells the Python that will import the file.
        max_bytes: a larger file is refused.
    """
    if candidate.size > max_bytes:
        return judgement(KIND, [_too_large(candidate.size, max_bytes)])
    if looks_like_utf_16(candidate.content):
        return judgement(KIND, [_UTF_16])
    source = read_source(candidate.content, environment.python_version)
    findings = list(source.findings)
    dags: tuple[FoundDag, ...] = ()
    if source.may_load and might_contain_dag(candidate.content):
        if source.tree is None:
            dags = (FoundDag(None, 1, "dynamic"),)
        else:
            found = find_dags(source.tree, PurePosixPath(candidate.path).stem)
            dags = found.dags
            findings += (_uncalled(name, line) for name, line in found.uncalled)
            findings += () if dags else map(_lost, found.lost)
            findings += top_level_work(source.tree)
    elif source.tree is not None and b"dag" in candidate.content.lower() and _makes_dags(source.tree, environment):
        findings.append(_PASSED_OVER)
    if not candidate.content.strip() and candidate.path.rpartition("/")[2] != "__init__.py":
        findings.append(_EMPTY)
    return judgement(KIND, findings, dags, uncertain=source.uncertain)


def might_contain_dag(content: bytes) -> bool:
    """Airflow's own rule, in its safe mode, for whether a file is looked at at all.

    https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#loading-dags
    """
    content = content.lower()
    return b"airflow" in content and (b"dag" in content or b"asset" in content)


def _makes_dags(tree: ast.Module, environment: EnvironmentFacts) -> bool:
    """Whether a file that Airflow's safe mode passes over makes DAGs all the same, by a library that does."""
    if environment.options.get("core.dag_discovery_safe_mode", "").strip().lower() in {"false", "f", "0"}:
        return False
    return any(name.partition(".")[0] in _MAKES_DAGS for name in _imported(tree))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def looks_like_utf_16(content: bytes) -> bool:
    """Whether the file has UTF-16's mark, or its Latin letters come with a NUL each."""
    if content.startswith(_UTF_16_MARKS):
        return True
    start = content[:200]
    nuls = (start[0::2].count(0), start[1::2].count(0))
    return len(start) >= 4 and len(start) % 2 == 0 and max(nuls) * 2 > len(start) * 0.9 and min(nuls) == 0


def _uncalled(name: str, line: int) -> Finding:
    return Finding(
        rule="uncalled-dag",
        severity="warning",
        message=f"The @dag function {name} is never called, so Airflow does not create a DAG from it.",
        line=line,
        remedy=f"Call it at module level, at the end of the file: {name}()",
    )


def _lost(line: int) -> Finding:
    return Finding(
        rule="lost-dag",
        severity="warning",
        message="A DAG is created here but not kept: Airflow takes DAGs from `with` and from the module's names.",
        line=line,
        remedy="Write `with DAG(…):` or `dag = DAG(…)`.",
    )


def _too_large(size: int, max_bytes: int) -> Finding:
    return Finding(
        rule="too-large",
        severity="error",
        message=f"The file has {size:,} bytes; a DAG file can have {max_bytes:,}.",
        line=None,
        remedy=(
            "Airflow reads DAG files again and again. Keep data in S3 or in a file beside the DAG. The limit is "
            "the parameter MaxDagFileKilobytes."
        ),
    )


# Airflow searches the raw bytes for "airflow" and "dag" and finds neither in UTF-16: no error, and no DAG.
_UTF_16 = Finding(
    rule="utf-16",
    severity="warning",
    message="The file is UTF-16: Airflow silently skips it, and Python cannot import it.",
    line=None,
    remedy="Save it as UTF-8 (PowerShell: Out-File -Encoding utf8) and upload it again.",
)

_PASSED_OVER = Finding(
    rule="passed-over",
    severity="warning",
    message=(
        "Airflow skips this file: it reads only files that contain the word airflow and the word dag or "
        "asset, and one of them is missing here."
    ),
    line=None,
    remedy="If the file defines DAGs, write both words in a comment: # airflow dag",
)

_EMPTY = Finding(
    rule="empty-file",
    severity="warning",
    message="The file is empty: Airflow skips it, and it defines no DAG.",
    line=None,
    remedy="Upload it again, if it should define a DAG.",
)
