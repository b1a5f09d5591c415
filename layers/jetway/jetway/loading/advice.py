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
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jetway.artifacts.findings import Finding

MAJOR = 3  # for Airflow 2 the rules would be advice for an upgrade that nobody has asked for
_GONE = ("AIR301", "AIR302", "AIR303")
_GOING = "AIR311"
_GONE_SINCE = ("airflow.datasets", "airflow.timetables.datasets")  # tried on 3.3.1
# ruff 0.17.6 says that these are gone, and 3.3.1 imports them.
_STILL_THERE = ("airflow.operators.email.", "airflow.notifications.basenotifier.")
_SECONDS, _SECONDS_FOR_ONE = 10.0, 0.1  # ruff takes 20 ms to start and less than one for a file
_MOST_FINDINGS = 20


class NoAdviceError(Exception):
    """ruff was asked and did not answer; the message says why."""


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


def advice(contents: Sequence[bytes], command: str) -> list[tuple[Finding, ...]]:
    """Ask ruff about DAG files for an environment of Airflow 3, all in one go: starting it takes longest.

    Args:
        contents: the files; they are read, not run.
        command: as of `ruff_command`.

    Returns:
        At most 20 warnings for each file, by line; none for a file that ruff cannot read, which is one that is not
        UTF-8.

    Raises:
        NoAdviceError: ruff cannot be run, or fails.
    """
    options = ["--isolated", "--no-cache", "--no-respect-gitignore", "--output-format", "json-lines"]
    options += ["--select", ",".join([*_GONE, _GOING])]
    with tempfile.TemporaryDirectory(prefix="advice-") as place:
        names = [f"{number}.py" for number in range(len(contents))]
        for name, content in zip(names, contents, strict=True):
            Path(place, name).write_bytes(content)
        try:
            done = subprocess.run(
                [command, "check", *options, "."],
                cwd=place,
                capture_output=True,
                check=False,
                timeout=_SECONDS + _SECONDS_FOR_ONE * len(contents),
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise NoAdviceError(f"{type(exc).__name__}: {exc}") from exc
    if done.returncode not in {0, 1}:  # 1: it has found something
        raise NoAdviceError(f"ruff ended with {done.returncode}: {done.stderr.decode(errors='replace')[-500:].strip()}")
    found: dict[str, list[Finding]] = {name: [] for name in names}
    for name, finding in _findings(done.stdout):
        if len(found[name]) < _MOST_FINDINGS:
            found[name].append(finding)
    return [tuple(found[name]) for name in names]


def _findings(lines: bytes) -> Iterator[tuple[str, Finding]]:
    """Read ruff's answer line by line: that of a megabyte of code can be 30 MB."""
    for line in BytesIO(lines):
        said: Mapping[str, Any] = json.loads(line)
        message = str(said["message"])
        name = message.removeprefix("`")
        code = said["code"]
        if (code in _GONE and not name.startswith(_STILL_THERE)) or (code == _GOING and name.startswith(_GONE_SINCE)):
            fix = (said["fix"] or {}).get("message")
            finding = Finding(
                rule="airflow-advice",
                severity="warning",
                # What ruff adds to AIR311 no longer holds.
                message=f"{code}: {message.partition(';')[0]}.",
                line=said["location"]["row"],
                remedy=f"{fix.rstrip('.')}. See {said['url']}" if fix else f"See {said['url']}",
            )
            yield Path(said["filename"]).name, finding
