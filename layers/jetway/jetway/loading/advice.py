"""What ruff's rules for Airflow say of a DAG file: advice for the environment's major version, never a rejection.

They trail Airflow: on 3.3.1 `airflow.operators.python` still imports, though AIR312 says that it has moved. The load is
the judge. https://docs.astral.sh/ruff/rules/#airflow-air
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from jetway.artifacts.findings import Finding

# On Airflow 2 the rules of Airflow 3 would be advice for an upgrade that nobody has asked for.
RULES: Mapping[int, str] = {2: "AIR002", 3: "AIR002,AIR301,AIR302,AIR303,AIR311,AIR312"}
_SECONDS = 10.0
_MOST_FINDINGS = 20


def ruff_command() -> str | None:
    """Path of ruff's program; None where the layer that has it is not deployed."""
    try:
        from ruff import find_ruff_bin  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        return str(find_ruff_bin())
    except FileNotFoundError:
        return None


def advice(content: bytes, major: int, command: str | None) -> tuple[Finding, ...]:
    """Ask ruff about a DAG file.

    Args:
        content: the file; it is read, not run.
        major: of the environment's Airflow.
        command: as of `ruff_command`.

    Returns:
        Warnings, by line; none when ruff cannot be asked: advice is not worth a delay.
    """
    if command is None or major not in RULES:
        return ()
    arguments = ["check", "--isolated", "--no-cache", "--select", RULES[major], "--output-format", "json"]
    try:
        done = subprocess.run(
            [command, *arguments, "--stdin-filename", "dag.py", "-"],
            input=content,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode not in {0, 1}:  # 2: ruff failed
        return ()
    found = [_finding(said) for said in json.loads(done.stdout) if str(said["code"]).startswith("AIR")]
    return tuple(sorted(found, key=lambda finding: finding.line or 0)[:_MOST_FINDINGS])


def _finding(said: Mapping[str, Any]) -> Finding:
    fix = (said.get("fix") or {}).get("message")
    return Finding(
        rule="airflow-advice",
        severity="warning",
        message=f"{said['code']}: {said['message']}",
        line=said["location"]["row"],
        remedy=f"{fix} See {said['url']}" if fix else f"See {said['url']}",
    )
