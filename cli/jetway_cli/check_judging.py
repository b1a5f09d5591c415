"""What `jetway check` says of each file: the gate's checks, and on request its two second looks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jetway_cli.errors import StackTroubleError

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Finding, Judgement
    from jetway.artifacts.plugin_modules import PackedPlugins
    from jetway.artifacts.resolving import Answer, Question
    from jetway.artifacts.shelf import Shelf
    from jetway.reports import Report
    from jetway_cli.check_files import Found

SECONDS_FOR_UV = 60.0
SECONDS_FOR_WHEELS = 20.0


@dataclass(slots=True)
class _Judged:
    """A file and what is said of it so far; `stands`: reading it has not refused it, so a second look may be had."""

    found: Found
    content: bytes
    judgement: Judgement
    seconds: float
    stands: bool


class Judge:
    """Judges files for one environment."""

    def __init__(
        self,
        environment: EnvironmentFacts,
        *,
        loads: bool,
        resolves: bool,
        index_url: str | None = None,
        airflow_python: Path | None = None,
    ) -> None:
        """Make it.

        Args:
            environment: what is judged for.
            loads: whether DAG files are loaded with a real Airflow.
            resolves: whether requirements.txt is resolved.
            index_url: of the package index.
            airflow_python: the Python of a virtual environment that has Airflow; None to have one set up.
        """
        self._airflow_python = airflow_python
        self._environment, self._loads, self._resolves, self._index_url = environment, loads, resolves, index_url
        self.trouble: StackTroubleError | None = None
        self._shelf: Shelf | None = None
        # name of a distribution that requirements.txt brings → its modules, as its wheel says; None when it is not read
        self._learned: dict[str, Sequence[str] | None] = {}

    def all(self, found: Sequence[Found]) -> list[Report]:
        """Judge every file; what the machine could not do is `trouble` afterwards, and said of the files it concerns.

        Raises:
            WrongUseError: a .airflowignore cannot be read.
        """
        from jetway.reports import report_on

        self._shelf = _shelf(found, self._environment)
        judged = [self._one(one) for one in found]
        if self._loads:
            try:
                self._load(judged)
            except StackTroubleError as exc:
                self.trouble = exc
                _say_not_loaded(judged)
        else:
            self._pass_over(judged)
        self._advise(judged)
        refuse_duplicates(judged)
        return [report_on(one.found.path, one.judgement, one.seconds) for one in judged]

    def _advise(self, judged: Sequence[_Judged]) -> None:
        """Add what ruff says of DAG files that may load; without ruff nothing is lost but advice."""
        from jetway.loading.advice import MAJOR, NoAdviceError, advice, ruff_command
        from jetway_cli.output import say

        files = [one for one in judged if one.judgement.kind == "dag-file" and one.stands]
        if self._environment.major != MAJOR or not files:
            return
        command = ruff_command()
        if command is None:
            say("ruff is not installed, so there is no advice on what Airflow 3 no longer has: pip install ruff")
            return
        try:
            found = advice([one.content for one in files], command)
        except NoAdviceError as exc:
            say(f"There is no advice on what Airflow 3 no longer has: {exc}")
            return
        for one, findings in zip(files, found, strict=True):
            one.judgement = replace(one.judgement, findings=(*one.judgement.findings, *findings))

    def _one(self, one: Found) -> _Judged:
        """Judge one file by reading it; whatever goes wrong with it is said of it, and of no other."""
        from jetway.artifacts.findings import judgement
        from jetway_cli.check_kinds import kind_of

        started = time.perf_counter()
        try:
            return self._read(one)
        except StackTroubleError as exc:
            self.trouble = exc
            finding = _not_judged(exc)
        except OSError as exc:
            finding = _unreadable(exc)
        except Exception as exc:  # noqa: BLE001 - a fault of ours with one file must not hide what is said of the others
            from jetway.artifacts.findings import internal_error

            finding = internal_error(exc)
        judged = judgement(kind_of(one.key).name, [finding])
        return _Judged(one, b"", judged, time.perf_counter() - started, stands=False)

    def _read(self, one: Found) -> _Judged:
        from jetway.artifacts.dag_file import DEFAULT_MAX_BYTES
        from jetway.artifacts.keys import placing_findings
        from jetway.artifacts.requirements_file import check_requirements
        from jetway_cli.check_kinds import kind_of

        started = time.perf_counter()
        kind = kind_of(one.key)
        candidate = one.candidate(kind, DEFAULT_MAX_BYTES)
        if kind.name == "requirements":
            judged = check_requirements(candidate, self._environment, self._shelf)
            if self._resolves:
                judged = self._resolved(candidate.content, judged)
        else:
            judged = kind.check(candidate, self._environment, DEFAULT_MAX_BYTES)
        refused = placing_findings(one.key, candidate.size, kind.destination(one.key, self._environment))
        if refused:
            judged = replace(judged, verdict="rejected", findings=(*refused, *judged.findings))
        if one.astray:
            judged = replace(judged, findings=(*judged.findings, _astray(one)))
        return _Judged(one, candidate.content, judged, time.perf_counter() - started, judged.verdict != "rejected")

    def _resolved(self, content: bytes, static: Judgement) -> Judgement:
        from jetway.artifacts.requirement_resolution import resolved
        from jetway.artifacts.resolving import resolve
        from jetway_cli.check_airflow import uv

        def ask(question: Question) -> Answer:
            return resolve(question, uv(), seconds=SECONDS_FOR_UV)

        judged, answer = resolved(content, self._environment, static, ask, index_url=self._index_url, shelf=self._shelf)
        if self._loads and answer is not None:
            self._learn(answer)
        return judged

    def _learn(self, answer: Answer) -> None:
        """Keep which modules the wheels bring that uv has chosen."""
        from jetway.artifacts.mwaa import packages_of
        from jetway.artifacts.requirement_resolution import names_of
        from jetway.artifacts.wheel_modules import modules_of

        packages = packages_of(self._environment.airflow_version)
        installed = packages.installed if packages else {}
        wheels = {name: url for name, url in answer.wheels.items() if name not in installed}
        modules = modules_of(wheels, seconds=SECONDS_FOR_WHEELS)
        self._learned.update({name: modules.get(name) for name in names_of(answer)})

    def _pass_over(self, judged: Sequence[_Judged]) -> None:
        """Take out what .airflowignore takes out; where files are loaded, Airflow does it itself."""
        from jetway.loading.function import LoadAnswer
        from jetway.loading.verdict import together
        from jetway_cli.check_ignored import ignored_below

        folders: dict[Path, frozenset[str]] = {}
        for one in judged:
            makes_dags = one.judgement.kind in {"dag-file", "packed-dags"}
            if not makes_dags or one.judgement.verdict == "rejected" or one.found.folder is None:
                continue
            folder, name = _place(one.found)
            if folder not in folders:
                folders[folder] = ignored_below(folder, self._environment)
            if name in folders[folder]:
                one.judgement = together(one.judgement, LoadAnswer({"skipped": "ignored"}))

    def _load(self, judged: Sequence[_Judged]) -> None:
        """Let the real Airflow load the DAG files and plugins that may load; its word goes before that of reading."""
        from jetway.loading.function import LoadAnswer
        from jetway.loading.local_settings import certain
        from jetway.loading.verdict import not_loaded, together
        from jetway_cli.check_airflow import PLUGINS_ANSWER, SETTINGS_ANSWER, load, versions_of

        by_folder: dict[Path, dict[str, _Judged]] = {}
        for one in judged:
            if one.judgement.kind in {"dag-file", "packed-dags", "local-settings"} and one.stands:
                folder, name = _place(one.found)
                by_folder.setdefault(folder, {})[name] = one
        plugins = next((one for one in judged if one.found.key == "plugins.zip" and one.stands), None)
        packed = _packed(plugins)
        if plugins is not None and packed.content is None:
            plugins.judgement = not_loaded(plugins.judgement, "its modules are too many or too large")
            plugins = None
        if not by_folder and plugins is None:
            return
        python = self._airflow()
        airflow_version, python_version = versions_of(python)
        has, nearest = self._provided(judged, packed), airflow_version != self._environment.airflow_version
        other_python = python_version != self._environment.python_version
        with TemporaryDirectory(prefix="jetway-dags-") as nothing:
            for folder, files in (by_folder or {Path(nothing): {}}).items():
                answers = load(
                    python,
                    folder,
                    [name for name, one in files.items() if one.judgement.kind != "local-settings"],
                    has,
                    nearest=nearest,
                    other_python=other_python,
                    plugins=packed.content,
                    judge_plugins=plugins is not None,
                    judge_settings=SETTINGS_ANSWER in files,
                )
                named = files if plugins is None else files | {PLUGINS_ANSWER: plugins}
                plugins = None  # once is enough
                for name, one in named.items():
                    answer: Mapping[str, Any] = answers[name]
                    one.judgement = certain(together(one.judgement, LoadAnswer(answer)))
                    one.seconds += float(answer["seconds"])
                _blame_data(judged, folder, answers)

    def _airflow(self) -> Path:
        """The Python to load with: its Airflow is the environment's version, or the nearest that is known."""
        from jetway.artifacts.mwaa import known_versions, packages_of
        from jetway_cli.check_airflow import airflow_python

        if self._airflow_python is not None:
            return self._airflow_python
        wanted = self._environment.airflow_version
        packages = packages_of(wanted if wanted in known_versions() else _nearest(self._environment, known_versions()))
        if packages is None:  # of a version that is listed: never
            raise LookupError(wanted)
        return airflow_python(packages)

    def _provided(self, judged: Sequence[_Judged], plugins: PackedPlugins) -> dict[str, list[str]]:
        """Which modules the environment has: of its image, of requirements.txt, and of plugins that are too large."""
        from jetway.artifacts.provided import provided

        required = _required(judged, self._environment) | self._learned.keys()
        learned = {name: modules for name, modules in self._learned.items() if modules is not None}
        found = provided(self._environment, required, learned)
        stood_in = plugins.modules if plugins.content is None else frozenset()
        return found | {"modules": sorted({*found["modules"], *stood_in}), "binaries": sorted(plugins.binaries)}


def _blame_data(judged: Sequence[_Judged], folder: Path, answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Say of a data file that DAG files do not load for what is in it."""
    from jetway.loading.data_files import broken
    from jetway.loading.function import LoadAnswer

    for one in judged:
        if one.judgement.kind == "dags-folder-file" and one.found.folder is not None and one.stands:
            where, name = _place(one.found)
            readers = {path: LoadAnswer(said) for path, said in answers.items() if said.get("data") == name}
            if where == folder and readers:
                one.judgement = broken(one.judgement, readers)


def refuse_duplicates(judged: Sequence[_Judged]) -> None:
    """Refuse a file with a dag_id of a file before it: Airflow's own parser, file by file, never says so."""
    from jetway.loading.rivals import Rival
    from jetway.loading.verdict import refused

    holders: dict[str, str] = {}
    for one in judged:
        if one.judgement.verdict == "rejected" or one.judgement.kind == "trigger":
            continue  # a trigger file starts its DAG and makes none
        certain = {dag.dag_id for dag in one.judgement.dags if dag.certainty in {"exact", "loaded"}}
        ids = {dag_id for dag_id in certain if dag_id is not None}
        others = {dag_id: holders[dag_id] for dag_id in ids if holders.get(dag_id, one.found.path) != one.found.path}
        taken = {dag_id: Rival(path) for dag_id, path in others.items()}
        one.judgement = refused(one.judgement, taken)
        if not taken:
            holders.update(dict.fromkeys(ids, one.found.path))


def _say_not_loaded(judged: Sequence[_Judged]) -> None:
    """Say of what may load that it was not loaded; Airflow's own folders are done one after the other."""
    from jetway.gate import LOADED
    from jetway.loading.verdict import not_loaded

    for one in judged:
        if one.judgement.kind in LOADED and one.stands and one.judgement.parse_seconds is None:
            one.judgement = not_loaded(one.judgement, "Airflow does not work on this machine")


def _unreadable(exc: OSError) -> Finding:
    from jetway.artifacts.findings import Finding

    message = f"The file cannot be read: {exc.strerror or exc}."
    return Finding("unreadable", "error", message, None, "Give yourself the right to read it, or leave it out.")


def _astray(one: Found) -> Finding:
    from jetway.artifacts.findings import Finding

    message = "It is in a folder below triggers/, where the drop bucket takes no trigger file."
    return Finding("file-name", "warning", message, None, f"Upload it as {one.key} to put it in force.")


def _not_judged(exc: StackTroubleError) -> Finding:
    from jetway.artifacts.findings import Finding

    return Finding("not-judged", "error", f"The file was not judged: {exc.message}", None, "Run the check again.")


def _place(one: Found) -> tuple[Path, str]:
    """The dags folder of a file, and its path below it. A file given by itself may stand in a folder named dags."""
    file = one.file.absolute()
    folder = one.folder.absolute() if one.folder else None
    if folder is None:
        folder = next((parent for parent in file.parents if parent.name == "dags"), file.parent)
    return folder, file.relative_to(folder).as_posix()


def _packed(plugins: _Judged | None) -> PackedPlugins:
    """What a load needs of the plugins.zip that is judged, too."""
    from jetway.artifacts.plugin_modules import PackedPlugins, pack

    if plugins is None:
        return PackedPlugins()
    with plugins.found.file.open("rb") as stream:
        return pack(stream, plugins.found.file.stat().st_size)


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


def _shelf(found: Sequence[Found], environment: EnvironmentFacts) -> Shelf | None:
    """The plugins.zip that is judged too: its names, and what is in it where a requirements.txt may speak of it."""
    from jetway.artifacts.shelf import Shelf, read_shelf
    from jetway.artifacts.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader

    file = next((one.file for one in found if one.key == "plugins.zip"), None)
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            if not any(one.key == "requirements.txt" for one in found):
                return Shelf([member.name for member in ZipReader(stream, file.stat().st_size).members])
            return read_shelf(stream, file.stat().st_size, environment.python_version, final=True)
    except (BrokenZipError, LargeDirectoryError, OSError):
        return None  # said of the file itself
