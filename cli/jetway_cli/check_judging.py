"""What `jetway check` says of each file: the gate's checks, and on request its two second looks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Judgement
    from jetway.artifacts.requirements_file import Shelf
    from jetway.artifacts.resolving import Answer, Question
    from jetway.reports import Report
    from jetway_cli.check_files import Found

SECONDS_FOR_UV = 60.0


@dataclass(slots=True)
class _Judged:
    found: Found
    content: bytes
    judgement: Judgement
    seconds: float


class Judge:
    """Judges files for one environment."""

    def __init__(
        self, environment: EnvironmentFacts, *, loads: bool, resolves: bool, index_url: str | None = None
    ) -> None:
        """Make it.

        Args:
            environment: what is judged for.
            loads: whether DAG files are loaded with a real Airflow.
            resolves: whether requirements.txt is resolved.
            index_url: of the package index.
        """
        self._environment, self._loads, self._resolves, self._index_url = environment, loads, resolves, index_url

    def all(self, found: Sequence[Found]) -> list[Report]:
        """Judge every file.

        Raises:
            WrongUseError: a file cannot be read.
            StackTroubleError: Airflow cannot be set up, or does not work.
        """
        from jetway.reports import report_on

        shelf = _shelf(found)
        judged = [self._one(one, shelf) for one in found]
        if self._loads:
            self._load(judged)
        else:
            self._pass_over(judged)
        refuse_duplicates(judged)
        return [report_on(one.found.path, one.judgement, one.seconds) for one in judged]

    def _one(self, one: Found, shelf: Shelf | None) -> _Judged:
        from jetway.artifacts.dag_file import DEFAULT_MAX_BYTES
        from jetway.artifacts.keys import placing_findings
        from jetway.artifacts.kinds import kind_of
        from jetway.artifacts.requirements_file import check_requirements

        started = time.perf_counter()
        kind = kind_of(one.key)
        candidate = one.candidate(kind, DEFAULT_MAX_BYTES)
        if kind.name == "requirements":
            judged = check_requirements(candidate, self._environment, shelf)
            if self._resolves:
                judged = self._resolved(candidate.content, judged)
        else:
            judged = kind.check(candidate, self._environment, DEFAULT_MAX_BYTES)
        refused = placing_findings(one.key, candidate.size, kind.destination(one.key, self._environment))
        if refused:
            judged = replace(judged, verdict="rejected", findings=(*refused, *judged.findings))
        return _Judged(one, candidate.content, judged, time.perf_counter() - started)

    def _resolved(self, content: bytes, static: Judgement) -> Judgement:
        from jetway.artifacts.requirement_resolution import resolved
        from jetway.artifacts.resolving import resolve
        from jetway_cli.check_airflow import uv

        def ask(question: Question) -> Answer:
            return resolve(question, uv(), seconds=SECONDS_FOR_UV)

        return resolved(content, self._environment, static, ask, index_url=self._index_url)[0]

    def _pass_over(self, judged: Sequence[_Judged]) -> None:
        """Take out what .airflowignore takes out; where files are loaded, Airflow does it itself."""
        from jetway.loading.function import LoadAnswer
        from jetway.loading.verdict import together
        from jetway_cli.check_ignored import ignored

        folders: dict[Path, frozenset[str]] = {}
        for one in judged:
            if one.judgement.kind != "dag-file" or one.judgement.verdict == "rejected" or one.found.folder is None:
                continue
            folder, name = _place(one.found)
            if folder not in folders:
                folders[folder] = ignored(folder, self._environment.major)
            if name in folders[folder]:
                one.judgement = together(one.judgement, LoadAnswer({"skipped": "ignored"}))

    def _load(self, judged: Sequence[_Judged]) -> None:
        """Let the real Airflow load the DAG files that may load; its word goes before that of reading."""
        from jetway.artifacts.mwaa import known_versions, packages_of
        from jetway.artifacts.provided import provided
        from jetway.loading.function import LoadAnswer
        from jetway.loading.verdict import together
        from jetway_cli.check_airflow import airflow_python, load

        by_folder: dict[Path, dict[str, _Judged]] = {}
        for one in judged:
            if one.judgement.kind == "dag-file" and one.judgement.verdict != "rejected":
                folder, name = _place(one.found)
                by_folder.setdefault(folder, {})[name] = one
        if not by_folder:
            return
        wanted = self._environment.airflow_version
        version = wanted if wanted in known_versions() else _nearest(self._environment, known_versions())
        packages = packages_of(version)
        if packages is None:  # of a version that is listed: never
            raise LookupError(version)
        python = airflow_python(packages)
        has = provided(self._environment, _required(judged, self._environment))
        for folder, files in by_folder.items():
            answers = load(python, folder, list(files), has, nearest=version != wanted)
            for name, one in files.items():
                answer: Mapping[str, Any] = answers[name]
                one.judgement = together(one.judgement, LoadAnswer(answer))
                one.seconds += float(answer["seconds"])


def refuse_duplicates(judged: Sequence[_Judged]) -> None:
    """Refuse a file with a dag_id of a file before it: Airflow's own parser, file by file, never says so."""
    from jetway.loading.verdict import refused

    holders: dict[str, str] = {}
    for one in judged:
        if one.judgement.verdict == "rejected":
            continue
        certain = {dag.dag_id for dag in one.judgement.dags if dag.certainty in {"exact", "loaded"}}
        ids = {dag_id for dag_id in certain if dag_id is not None}
        taken = {dag_id: holders[dag_id] for dag_id in ids if holders.get(dag_id, one.found.path) != one.found.path}
        one.judgement = refused(one.judgement, taken)
        if not taken:
            holders.update(dict.fromkeys(ids, one.found.path))


def _place(one: Found) -> tuple[Path, str]:
    """The dags folder of a file, and its path below it. A file given by itself may stand in a folder named dags."""
    file = one.file.absolute()
    folder = one.folder.absolute() if one.folder else None
    if folder is None:
        folder = next((parent for parent in file.parents if parent.name == "dags"), file.parent)
    return folder, file.relative_to(folder).as_posix()


def _nearest(environment: EnvironmentFacts, known: Sequence[str]) -> str:
    """The newest known version that is not newer, else the oldest."""
    older = [name for name in known if tuple(map(int, name.split("."))) <= environment.version]
    return older[-1] if older else known[0]


def _required(judged: Sequence[_Judged], environment: EnvironmentFacts) -> set[str]:
    """What the requirements.txt among the files bring, by name."""
    from jetway.artifacts.requirement_lines import UnreadableError
    from jetway.artifacts.requirements_file import parse_for

    names: set[str] = set()
    for one in judged:
        if one.judgement.kind == "requirements":
            try:
                _, active, _ = parse_for(one.content, environment)
            except UnreadableError:
                continue
            names.update(wanted.name or wanted.place for wanted in active)
    return names


def _shelf(found: Sequence[Found]) -> Shelf | None:
    """The names in the plugins.zip that is judged too, which requirements.txt may speak of."""
    from jetway.artifacts.requirements_file import Shelf
    from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader

    file = next((one.file for one in found if one.key == "plugins.zip"), None)
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return Shelf([member.name for member in ZipReader(stream, file.stat().st_size).members])
    except (BrokenZipError, LargeDirectoryError):
        return None
