"""A report for people: the JSON document as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OUTCOMES = {
    "promoted": "It is live",
    "quarantined": "It is not live; what was live stays live",
    "superseded": "A newer version came, which has a report of its own",
    "vanished": "It was deleted meanwhile",
    "rolled-back": "It was live, did not work in the environment, and was rolled back",
    "removed": "It was deleted, and is not live any more",
}
_MOST_DAGS = 50


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as a Markdown document; what users wrote cannot change its structure."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {_text(report['path'])}: {report['verdict']}"
    yield ""
    if "outcome" in report:
        yield f"{_OUTCOMES.get(report['outcome'], report['outcome'])}."
        yield ""
        source, environment = report["source"], report["environment"]
        yield f"- Version: {_code(source['version'] or source['etag'])}, {source['size']:,} bytes"
        yield f"- Environment: {_code(environment['name'])}, Airflow {environment['airflow_version']}"
        yield f"- Judged: {report['judged_at']}, in {report['seconds']:.3f} s"
        if report["placed"]:
            yield f"- Copy: {_code('s3://{bucket}/{key}'.format(**report['placed']))}"
    verification = report.get("verification")
    if verification:
        yield from _verification(verification)
    if report["findings"]:
        yield from ("", "## Findings", "")
    for finding in report["findings"]:
        line = f", line {finding['line']}" if finding["line"] else ""
        yield f"- **{finding['severity']}** {_code(finding['rule'])}{line}: {_text(finding['message'])}"
        yield f"  To do: {_text(finding['remedy'])}"
    if report["dags"]:
        yield from ("", "## DAGs", "")
    for dag in report["dags"][:_MOST_DAGS]:
        line = f", line {dag['line']}" if dag.get("line") else ""
        yield f"- {_code(dag['dag_id']) if dag['dag_id'] else 'an id that only running the file would tell'}{line}"


def _verification(verification: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## In the environment", "")
    restored = verification["restored"]
    back = f"Version {_code(restored['version'])} is live again." if restored else "Nothing was live before."
    yield f"Rolled back at {verification['at']}. {back}"
    for problem in verification["problems"]:
        yield from ("", f"{_code(problem['where'])}:", "")
        # Indented by four: a block of code, whatever is in it.
        yield from (f"    {line}" for line in problem["message"].splitlines())


def _code(text: str) -> str:
    fence = "`" * (1 + max((len(run) for run in _runs(text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def _runs(text: str) -> Iterator[str]:
    return (run for run in text.replace("`", "\0`\0").replace("\0\0", "").split("\0") if run.startswith("`"))


def _text(text: str) -> str:
    """One line in which nothing is markup."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>#|" else char for char in text)
    return " ".join(escaped.split())
