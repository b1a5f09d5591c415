"""What ruff's rules for Airflow say of a DAG file: advice, never a rejection. The load is the judge.

Only the rules of what is gone from Airflow 3 are asked: AIR301 (removed), AIR302 (moved to a provider) and AIR303
(another signature). AIR311 and AIR312, of what is going to be moved, would speak of nearly every file written for
Airflow 2, and Airflow 3 loads those: on 3.3.1 `airflow.operators.python` still imports. Datasets are the exception:
ruff has them under AIR311, but 3.3.1 has no `airflow.datasets` any more.
https://docs.astral.sh/ruff/rules/#airflow-air
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from typing import Any

from jetway.artifacts.findings import Finding
from jetway.observability import logger

_MAJOR = 3  # for Airflow 2 the rules would be advice for an upgrade that nobody has asked for
_GONE = ("AIR301", "AIR302", "AIR303")
_GOING = "AIR311"
_GONE_SINCE = ("airflow.datasets", "airflow.timetables.datasets")  # tried on 3.3.1
# ruff 0.17.6 says that these are gone, and 3.3.1 imports them.
_STILL_THERE = ("airflow.operators.email.", "airflow.notifications.basenotifier.")
_SECONDS = 10.0
_MOST_FINDINGS = 20


def ruff_command() -> str | None:
    """Path of ruff's program; None where it is not installed."""
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
        At most 20 warnings, by line; none when ruff cannot be asked or cannot read the file: advice holds up nothing.
    """
    if command is None or major != _MAJOR:
        return ()
    options = ["--isolated", "--no-cache", "--select", ",".join([*_GONE, _GOING]), "--output-format", "json-lines"]
    try:
        done = subprocess.run(
            [command, "check", *options, "--stdin-filename", "dag.py", "-"],
            input=content,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        logger.warning("ruff gives no advice", extra={"reason": type(exc).__name__})
        return ()
    if done.returncode not in {0, 1}:  # 2: it failed, for example on a file that is not UTF-8
        logger.info("ruff gives no advice", extra={"exit_status": done.returncode})
        return ()
    return tuple(islice(_findings(done.stdout), _MOST_FINDINGS))


def _findings(lines: bytes) -> Iterator[Finding]:
    """Read ruff's answer line by line: that of a megabyte of code can be 30 MB."""
    for line in BytesIO(lines):
        said: Mapping[str, Any] = json.loads(line)
        message = str(said["message"])
        name = message.removeprefix("`")
        code = said["code"]
        if (code in _GONE and not name.startswith(_STILL_THERE)) or (code == _GOING and name.startswith(_GONE_SINCE)):
            fix = (said["fix"] or {}).get("message")
            yield Finding(
                rule="airflow-advice",
                severity="warning",
                # What ruff adds to AIR311 no longer holds.
                message=f"{code}: {message.partition(';')[0]}.",
                line=said["location"]["row"],
                remedy=f"{fix.rstrip('.')}. See {said['url']}" if fix else f"See {said['url']}",
            )
