"""`make bench-gate`: a confusion matrix of the gate against the real DagBag, and how long the gate takes."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gate import corpus
from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.dag_file import check_dag_file
from jetway.artifacts.findings import Candidate, Judgement
from jetway.loading.function import LoadAnswer
from jetway.loading.verdict import together
from local import airflow, venvs

TIMEOUT = 30.0  # seconds that a file gets, as on MWAA
TIMEOUT_OF_MUTANTS = 6.0  # two of them hang
MANY = 1000


@dataclass(frozen=True)
class Row:
    """One file as the gate and as Airflow see it."""

    file: str
    judged: Judgement
    good: bool
    errors: tuple[str, ...]
    dags: tuple[str, ...]


def main() -> int:
    """Compare, print, and fail when they disagree."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    parser.add_argument("--versions", nargs="+", default=list(airflow.VERSIONS))
    parser.add_argument("--output", type=Path, help="write the tables to this file too")
    given = parser.parse_args()
    lines, failed = [], 0
    for version in given.versions:
        with tempfile.TemporaryDirectory() as folder:
            said, wrong = _version(version, Path(folder).resolve())
        lines += said
        failed += wrong
    lines += _static_speed()
    text = "\n".join(lines) + "\n"
    print(text)
    if given.output:
        page = given.output.read_text() if given.output.exists() else "<!-- figures -->\n"
        given.output.write_text(page.partition("<!-- figures -->")[0] + "<!-- figures -->\n\n" + text)
    return 1 if failed else 0


def _version(version: str, folder: Path) -> tuple[list[str], int]:
    python = venvs.ensure(f"airflow-{version}")
    examples, mutants = folder / "examples", folder / "mutants"
    files = list(corpus.write_examples(version, python, examples))
    rows, loads, wall = _compare(version, python, examples, files, TIMEOUT)
    seconds, on_cpu = sorted(load["seconds"] for load in loads), sorted(load["cpu_seconds"] or 0.0 for load in loads)
    lines = [f"## Airflow {version}", "", f"{len(files)} files that ship with Airflow and its providers.", ""]
    lines += _matrix(rows)
    wrong = [row for row in rows if (row.judged.verdict == "accepted") != row.good]
    unequal = [row for row in rows if row.good and _ids(row) != set(row.dags)]
    lines += ["", f"Files on which they disagree: {len(wrong)}; with other DAGs: {len(unequal)}.", ""]
    lines += [f"- {row.file}: {row.judged.verdict}, Airflow: {row.errors or 'good'}" for row in wrong]
    lines += [f"- {row.file}: {sorted(map(str, _ids(row)))}, Airflow: {row.dags}" for row in unequal]
    lines += [
        (
            f"Loading one file, once Airflow was imported, took {_milliseconds(seconds)} of time, and "
            f"{_milliseconds(on_cpu)} of one processor; all {len(seconds)}, one after the other, with that import "
            f"{wall:.1f} s."
        ),
        "",
    ]
    said, missed = _mutants(version, python, mutants)
    return [*lines, *said], len(wrong) + len(unequal) + missed


def _mutants(version: str, python: Path, folder: Path) -> tuple[list[str], int]:
    written = list(corpus.write_mutants(folder))
    rows, _, _ = _compare(version, python, folder, [file for file, _, _ in written], TIMEOUT_OF_MUTANTS)
    lines = ["| mutant | Airflow | gate | rule | line | expected |", "|---|---|---|---|---|---|"]
    missed = 0
    for (_, mutant, line), row in zip(written, rows, strict=True):
        errors = [finding for finding in row.judged.findings if finding.severity == "error"]
        found = next((finding for finding in errors if finding.rule in mutant.rules), None)
        right = found is not None and line in {None, found.line} and not row.good
        missed += not right
        lines.append(
            f"| {mutant.name} | {'good' if row.good else 'bad'} | {row.judged.verdict} | "
            f"{', '.join(sorted({finding.rule for finding in errors}))} | {found.line if found else ''} | {line or ''}"
            f"{'' if right else ' **missed**'} |"
        )
    return [*lines, "", f"Mutants missed or at another line: {missed} of {len(written)}.", ""], missed


def _milliseconds(seconds: Sequence[float]) -> str:
    """Median and 95th percentile of sorted seconds."""
    return (
        f"{statistics.median(seconds) * 1000:.0f} ms (median; {seconds[int(len(seconds) * 0.95)] * 1000:.0f} ms at the "
        "95th percentile)"
    )


def _compare(
    version: str, python: Path, folder: Path, files: Sequence[str], timeout: float
) -> tuple[list[Row], list[Mapping[str, Any]], float]:
    """Every file as both see it, the answer of each load, and the seconds of all together."""
    facts = EnvironmentFacts("bench", "AVAILABLE", version, "bucket", "dags")
    static = {file: _read(folder, file, facts) for file in files}
    to_load = [file for file in files if static[file].verdict != "rejected"]
    started = time.perf_counter()
    loaded = _load(python, folder, to_load, timeout)
    wall = time.perf_counter() - started
    truth = _truth(python, folder, files, timeout)
    rows = []
    for file in files:
        judged = together(static[file], LoadAnswer(loaded[file])) if file in loaded else static[file]
        said = truth[file]
        expected = 0 if judged.kind != "dag-file" else said["parsed"]
        good = not said["errors"] and (expected > 0 or not said["errors"])
        rows.append(Row(file, judged, good, tuple(text.strip()[-200:] for text in said["errors"]), tuple(said["dags"])))
    return rows, [answer for answer in loaded.values() if not answer["skipped"]], wall


def _read(folder: Path, file: str, facts: EnvironmentFacts) -> Judgement:
    content = (folder / file).read_bytes()
    return check_dag_file(Candidate(f"dags/{file}", len(content), content), facts)


def _load(python: Path, folder: Path, files: Sequence[str], timeout: float) -> Mapping[str, Any]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(venvs.ROOT / "layers" / "loader")}
    done = subprocess.run(
        [str(python), "-m", "jetway_loader", str(folder), *files, "--json", "--timeout", str(timeout)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(f"the loader failed: {done.stderr[-2000:]}")
    return {answer["path"]: answer for answer in json.loads(done.stdout)}


def _truth(python: Path, folder: Path, files: Sequence[str], timeout: float) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        env = {
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(timeout),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        subprocess.run([str(python), "-m", "airflow", "db", "migrate"], env=env, capture_output=True, check=True)
        done = subprocess.run(
            [str(python), str(Path(__file__).with_name("truth.py")), str(folder), str(timeout + 4)],
            env=env,
            input="\n".join(files) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"DagBag failed: {done.stderr[-2000:]}")
    return {answer["file"]: answer for answer in map(json.loads, done.stdout.splitlines())}


def _matrix(rows: Sequence[Row]) -> list[str]:
    count = Counter((row.judged.verdict, row.good) for row in rows)
    lines = ["| the gate says | Airflow loads it | Airflow does not |", "|---|---|---|"]
    return lines + [
        f"| {verdict} | {count[verdict, True]} | {count[verdict, False]} |"
        for verdict in ("accepted", "rejected", "unknown")
    ]


def _ids(row: Row) -> set[str | None]:
    return {dag.dag_id for dag in row.judged.dags if dag.certainty == "loaded"}


def _static_speed() -> list[str]:
    facts = EnvironmentFacts("bench", "AVAILABLE", "3.3.1", "bucket", "dags")
    contents = [corpus.good(f"dag_{number}").encode() for number in range(MANY)]
    times = []
    for number, content in enumerate(contents):
        started = time.perf_counter()
        check_dag_file(Candidate(f"dags/dag_{number}.py", len(content), content), facts)
        times.append(time.perf_counter() - started)
    return [
        "## Reading alone",
        "",
        (
            f"{MANY:,} files in {sum(times):.1f} s; "
            f"one in {statistics.median(times[1:]) * 1000:.1f} ms (median, warm), "
            f"{max(times[1:]) * 1000:.0f} ms at most."
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
