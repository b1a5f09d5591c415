"""How many requirements.txt that can be resolved stay open, and how long one takes with uv's cache warm."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jetway.artifacts.mwaa import Packages, packages_of
from jetway_cli.check import environment_of
from jetway_cli.check_files import find
from jetway_cli.check_judging import Judge
from tools import venvs

LISTS = Path(__file__).with_name("requirements.txt")
SECONDS = 240

_CONSTRAINTS = (
    '--constraint "https://raw.githubusercontent.com/apache/airflow/constraints-{airflow}/constraints-{python}.txt"'
)


@dataclass(frozen=True)
class Need:
    """One file.

    Attributes:
        verdict: of the gate.
        rules: of its findings.
        resolvable: uv finds versions of all that it asks for, beside MWAA's own, when it may build from sources.
        seconds: that the gate took the second time.
    """

    name: str
    verdict: str
    rules: tuple[str, ...]
    resolvable: bool
    seconds: float


def see(version: str, most: int | None = None) -> Iterator[Need]:
    """Judge every list for a version of Airflow.

    Args:
        most: lists that are judged.

    Raises:
        SetupError: no index answers.
    """
    packages = packages_of(version)
    if packages is None:
        raise LookupError(version)
    for name, text in list(lists(packages).items())[:most]:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place, "requirements.txt")
            file.write_text(text)
            _judge(file, version)  # so that what has to be fetched is there
            started = time.perf_counter()
            verdict, rules = _judge(file, version)
            seconds = time.perf_counter() - started
            # What is accepted was resolved, with wheels alone; whether the rest can be is asked without that bound.
            resolvable = verdict == "accepted" or _is_resolvable(text, packages, Path(place))
            yield Need(name, verdict, rules, resolvable, seconds)


def lists(packages: Packages) -> Mapping[str, str]:
    """The files for a version, by their names."""
    pins = dict(packages.constraints) | dict(packages.installed)
    python = ".".join(packages.python.split(".")[:2])
    found = re.split(r"^==== (.+)\n", LISTS.read_text(), flags=re.MULTILINE)
    constraints = _CONSTRAINTS.format(airflow=packages.airflow, python=python)

    def filled(text: str) -> str:
        pinned = re.sub(
            r"\{=([\w.-]+)\}", lambda item: f"{item[1]}=={pins[item[1]]}" if item[1] in pins else item[1], text
        )
        return pinned.replace("{constraints}", constraints)

    return {name: filled(text) for name, text in zip(found[1::2], found[2::2], strict=True)}


def _judge(file: Path, version: str) -> tuple[str, tuple[str, ...]]:
    judge = Judge(environment_of(version), loads=False, resolves=True)
    (report,) = judge.all(find([file], file.parent).found)
    if judge.trouble is not None:
        raise judge.trouble
    return report.verdict, tuple(sorted({finding.rule for finding in report.findings}))


def _is_resolvable(text: str, packages: Packages, place: Path) -> bool:
    """Ask uv as pip is asked on MWAA: with Airflow's constraints, which are in force whatever the file names."""
    asked = [line for line in text.splitlines() if not line.startswith("--constraint")]
    (place / "asked.txt").write_text("\n".join([*asked, f"apache-airflow=={packages.airflow}"]) + "\n")
    pins = {**packages.constraints, **packages.installed, **packages.essential}
    pins.pop("apache-airflow", None)
    (place / "pins.txt").write_text("\n".join(f"{name}=={pin}" for name, pin in sorted(pins.items())) + "\n")
    python = ".".join(packages.python.split(".")[:2])
    command = [venvs.uv(), "pip", "compile", "--quiet", "--no-config", "--python-version", python]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--constraint", place / "pins.txt", place / "asked.txt"]
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
