"""What `jetway check` prints: for people, for programs, for GitHub's annotations, for code scanning."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from jetway.documents.escape import visible

if TYPE_CHECKING:
    from jetway.artifacts.findings import Finding
    from jetway.promotion.reports import Report

# Of --format json, whatever the kind of file: what the bucket's reports have beside them is not promised here.
MEMBERS = ("path", "kind", "verdict", "findings", "dags", "seconds")

COLOURS = {"error": "red", "warning": "yellow", "accepted": "green", "rejected": "red", "unknown": "yellow"}


def text(reports: Sequence[Report]) -> str:
    """Findings as path:line, and how many files have which verdict."""
    lines = [line for report in reports for line in _findings(report)]
    counts = Counter("not checked" if _is_as_it_is(report) else report.verdict for report in reports)
    verdicts = ", ".join(
        click.style(f"{counts[verdict]} {verdict}", fg=COLOURS.get(verdict))
        for verdict in ("accepted", "unknown", "rejected", "not checked")
        if counts[verdict]
    )
    files = "1 file" if len(reports) == 1 else f"{len(reports)} files"
    # A trigger file names the DAG that it starts, and makes none.
    dags = sum(dag.dag_id is not None for report in reports if report.kind != "trigger" for dag in report.dags)
    return "\n".join([*lines, f"{files}, {dags} DAG{'' if dags == 1 else 's'}: {verdicts or 'nothing to check'}"])


def as_json(reports: Sequence[Report]) -> str:
    """A list of reports, one for each file, with the members that every report has."""
    return json.dumps([{name: report.as_dict()[name] for name in MEMBERS} for report in reports], indent=2)


def github(reports: Sequence[Report]) -> str:
    """Workflow commands, which GitHub shows at the lines of a pull request.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return "\n".join(_command(report.path, finding) for report in reports for finding in report.findings)


def sarif(reports: Sequence[Report]) -> str:
    """SARIF 2.1.0, which code scanning takes: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""
    rules = sorted({finding.rule for report in reports for finding in report.findings})
    run = {
        "tool": {
            "driver": {
                "name": "jetway",
                "version": version("jetway"),
                "rules": [{"id": rule} for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(report.path, finding, rules.index(finding.rule))
            for report in reports
            for finding in report.findings
        ],
    }
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2)


FORMATS: dict[str, Callable[[Sequence[Report]], str]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}


def _is_as_it_is(report: Report) -> bool:
    """Whether the drop bucket takes it without a look: what DAG files read, of which Airflow has no opinion."""
    return report.kind == "dags-folder-file" and report.verdict == "accepted"


def _findings(report: Report) -> Iterator[str]:
    for finding in report.findings:
        line = f":{finding.line}" if finding.line else ""
        severity = click.style(finding.severity, fg=COLOURS[finding.severity])
        yield f"{visible(report.path)}{line}: {severity} {finding.rule}: {visible(finding.message)}"
        yield f"    {visible(finding.remedy)}"


def _command(path: str, finding: Finding) -> str:
    properties = {"file": visible(path), "title": f"jetway: {finding.rule}"}
    if finding.line:
        properties["line"] = str(finding.line)
    shown = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{finding.severity} {shown}::{_escaped(visible(f'{finding.message} {finding.remedy}'))}"


def _escaped(value: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        value = value.replace(character, f"%{ord(character):02X}")
    return value


def _result(path: str, finding: Finding, rule: int) -> dict[str, Any]:
    from urllib.parse import quote

    location: dict[str, Any] = {"artifactLocation": {"uri": quote(path)}}
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{finding.message} {finding.remedy}"},
        "locations": [{"physicalLocation": location}],
    }
