"""`jetway check` in process, and the files that it judges in tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from jetway_cli.app import cli
from tests.unit.artifacts.buckets import REPORT_SCHEMA

GOOD = 'from airflow.sdk import DAG\nwith DAG("orders"):\n    pass\n'
BAD = "from airflow.sdk import DAG\nwith DAG('orders':\n    pass\n"
TRIGGER = "dag: orders\non:\n  http: {auth: iam}\n"


def check(*arguments: str | Path) -> Result:
    """Run it; requirements are not resolved."""
    return CliRunner().invoke(cli, ["check", "--no-resolve", *map(str, arguments)])


def reports(*arguments: str | Path) -> dict[str, dict[str, Any]]:
    """The reports by path; each is of the published schema."""
    found = json.loads(check(*arguments, "--format", "json").stdout)
    for report in found:
        REPORT_SCHEMA.validate(report)
        assert list(report) == ["path", "kind", "verdict", "findings", "dags", "seconds"]
        assert all(
            finding.keys() == {"rule", "severity", "line", "message", "remedy"} for finding in report["findings"]
        )
    return {report["path"]: report for report in found}


def verdicts_below(folder: Path) -> dict[str, tuple[str, str]]:
    """Kind and verdict of each file in the folder that has a report."""
    found = reports(folder)
    return {
        path.removeprefix(f"{folder}/"): (report["kind"], report["verdict"]) for path, report in sorted(found.items())
    }
