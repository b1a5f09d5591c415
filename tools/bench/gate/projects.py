"""Projects that the gate judges and Airflow loads: good ones and broken ones, read from the text files in cases/.

A file of cases has a heading for each case and for each file in it:

    ==== good: a schedule of a Variable
    ---- environment
    AIRFLOW_VAR_CRON=0 5 * * *
    ---- dags/orders.py
    …
    ==== bad: a name that the provider has not
    expect: dags/orders.py rejected missing-name 3
    ---- dags/orders.py
    …

What stands before the first case is of all cases of the file. A good case may say `without: RULE…`: no finding is of
such a rule. `environment` and what is below `site/` are only in the environment: Airflow has them, the gate has not. A
folder whose name ends with .zip or .whl is zipped.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

CASES = Path(__file__).with_name("cases")
ONLY_THERE = ("environment", "site/")
MWAA = "/usr/local/airflow"

_CASE = re.compile(r"^==== (good|bad): (.+)\n", re.MULTILINE)
_FILE = re.compile(r"^---- (\S+)\n", re.MULTILINE)
_EXPECT = re.compile(r"^expect: (\S+) (\S+) (\S+)(?: (\d+))?$", re.MULTILINE)
_WITHOUT = re.compile(r"^without: (.+)$", re.MULTILINE)
_VERSIONS = re.compile(r"^versions: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Expected:
    """What the gate is to say of a file of a broken project.

    Attributes:
        path: of the file, below the project.
        rule: of one of its findings.
        line: that the finding names; None for any.
    """

    path: str
    verdict: str
    rule: str
    line: int | None = None


@dataclass(frozen=True)
class Project:
    """Files of one environment.

    Attributes:
        kind: the file of cases that it is of.
        files: path → text.
        expected: of a broken one.
        versions: major versions of Airflow that it is for.
        without: rules of which the gate is to find nothing.
    """

    kind: str
    name: str
    sort: Literal["good", "bad"]
    files: Mapping[str, str]
    expected: tuple[Expected, ...] = ()
    versions: frozenset[str] = frozenset({"2", "3"})
    variables: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    @property
    def dag_files(self) -> list[str]:
        """The files that Airflow loads, below dags/."""
        found = {re.sub(r"\.zip/.*", ".zip", path) for path in self.files if path.startswith("dags/")}
        return sorted(path.removeprefix("dags/") for path in found if path.endswith((".py", ".zip")))

    def write(self, folder: Path) -> None:
        """Write what the gate is given."""
        _write(folder, {path: text for path, text in self.files.items() if not path.startswith(ONLY_THERE)})

    def write_whole(self, home: Path) -> None:
        """Write what the environment has, with its folder in the place of MWAA's."""
        _write(
            home, {path: text.replace(MWAA, str(home)) for path, text in self.files.items() if path != "environment"}
        )


def read(version: str) -> list[Project]:
    """All cases for a version of Airflow."""
    major = version.partition(".")[0]
    return [
        project
        for path in sorted(CASES.glob("*.txt"))
        for project in parse(path.stem, path.read_text())
        if major in project.versions
    ]


def parse(kind: str, text: str) -> Iterator[Project]:
    """Read a file of cases.

    Raises:
        ValueError: a broken case expects nothing, or a good one something.
    """
    parts = _CASE.split(text)
    _, *shared = _FILE.split(parts[0])
    for sort, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        head, *rest = _FILE.split(body)
        files = dict(zip(shared[::2], shared[1::2], strict=True)) | dict(zip(rest[::2], rest[1::2], strict=True))
        expected = tuple(
            Expected(path, verdict, rule, int(line) if line else None)
            for path, verdict, rule, line in _EXPECT.findall(head)
        )
        if (sort == "bad") != bool(expected):
            raise ValueError(f"{kind}, {name}: what is expected?")
        versions, without = _VERSIONS.search(head), _WITHOUT.search(head)
        variables = dict(line.split("=", 1) for line in files.get("environment", "").splitlines() if "=" in line)
        yield Project(
            kind,
            name,
            "good" if sort == "good" else "bad",
            files,
            expected,
            frozenset(versions[1].split()) if versions else frozenset({"2", "3"}),
            variables,
            frozenset(without[1].split()) if without else frozenset(),
        )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("\\x00", "\0"))
    # What is in another one first.
    for made in sorted([*folder.rglob("*.whl"), *folder.rglob("*.zip")], reverse=True):
        if made.is_dir():
            _zip(made)


def _zip(folder: Path) -> None:
    unpacked = folder.with_suffix(".unpacked")
    folder.rename(unpacked)
    with zipfile.ZipFile(folder, "w") as packed:
        for path in sorted(unpacked.rglob("*")):
            if path.is_file():
                packed.write(path, PurePosixPath(path.relative_to(unpacked)))
    shutil.rmtree(unpacked)
