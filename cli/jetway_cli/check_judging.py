"""What `jetway check` says of each file: the gate's checks, and on request its two second looks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jetway_cli.check_surroundings import beside_of, shelf_of
from jetway_cli.errors import StackTroubleError

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Finding, Judgement
    from jetway.artifacts.plugins.plugin_modules import PackedPlugins
    from jetway.artifacts.requirements.local_wheels import LocalWheels
    from jetway.artifacts.requirements.provided import Required
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest
    from jetway.promotion.reports import Report
    from jetway_cli.check_files import FileToCheck

SECONDS_FOR_UV = 60.0
SECONDS_FOR_WHEELS = 20.0
MOST_KEPT = 500 * 1024**2  # bytes of uv's cache


@dataclass(slots=True)
class _Judged:
    """A file and what is said of it so far; `stands`: reading it has not refused it, so a second look may be had."""

    found: FileToCheck
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
        allowed: Sequence[str] = (),
        airflow_python: Path | None = None,
        keeps: bool = False,
    ) -> None:
        """Make it.

        Args:
            environment: what is judged for.
            loads: whether DAG files are loaded with a real Airflow.
            resolves: whether requirements.txt is resolved.
            index_url: of the package index.
            allowed: hosts of packages that need not be public, as a person writes them.
            airflow_python: the Python of a virtual environment that has Airflow; None to have one set up.
            keeps: whether the process that loads is kept, for the next check.
        """
        from jetway.artifacts.requirements.index_proxy import named

        self._keeps = keeps
        self._airflow_python = airflow_python
        self._environment, self._loads, self._resolves, self._index_url = environment, loads, resolves, index_url
        self._operators = tuple(named(place) for place in (*([index_url] if index_url else []), *allowed))
        self.trouble: StackTroubleError | None = None
        self._shelf: LocalWheels | None = None
        self._beside: Beside | None = None
        self._required: Required | None = None

    def all(self, found: Sequence[FileToCheck]) -> list[Report]:
        """Judge every file; what the machine could not do is `trouble` afterwards, and said of the files it concerns.

        Raises:
            WrongUseError: a .airflowignore cannot be read.
        """
        from jetway.promotion.reports import report_on
        from jetway_cli.check_ignored import is_refused_for_its_text

        self._shelf = shelf_of(found, self._environment)
        self._beside = beside_of(found, self._shelf)
        judged = [self._one(one) for one in found]
        self._pass_over([one for one in judged if is_refused_for_its_text(one.judgement)])
        if self._loads:
            try:
                self._load(judged)
            except StackTroubleError as exc:
                self.trouble = exc
                _say_not_loaded(judged)
        else:
            self._pass_over([one for one in judged if one.judgement.verdict != "rejected"])
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

    def _one(self, one: FileToCheck) -> _Judged:
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

    def _read(self, one: FileToCheck) -> _Judged:
        from jetway.artifacts.keys import placing_findings
        from jetway.artifacts.kinds import reserved_places
        from jetway.artifacts.python.dag_file import DEFAULT_MAX_BYTES
        from jetway.artifacts.requirements.requirements_file import check_requirements
        from jetway_cli.check_kinds import kind_of

        started = time.perf_counter()
        kind = kind_of(one.key)
        candidate = one.candidate(kind, DEFAULT_MAX_BYTES)
        if kind.name == "requirements":
            judged = check_requirements(candidate, self._environment, self._shelf, self._beside)
            if self._resolves:
                judged = self._resolved(candidate.content, judged)
            elif self._loads:
                self._learn(candidate.content, None)
        else:
            judged = kind.check(candidate, self._environment, DEFAULT_MAX_BYTES)
        place, reserved = kind.destination(one.key, self._environment), reserved_places(self._environment)
        refused = placing_findings(one.key, candidate.size, place, reserved)
        if refused:
            judged = replace(judged, verdict="rejected", findings=(*refused, *judged.findings))
        if one.astray:
            judged = replace(judged, findings=(*judged.findings, _astray(one)))
        return _Judged(one, candidate.content, judged, time.perf_counter() - started, judged.verdict != "rejected")

    def _resolved(self, content: bytes, static: Judgement) -> Judgement:
        from jetway.artifacts.requirements.requirement_resolution import resolved
        from jetway.artifacts.requirements.uv_resolve import resolve
        from jetway_cli.check_airflow import uv

        first: frozenset[str] = frozenset()

        def ask(question: ResolutionRequest) -> Resolution:
            nonlocal first
            first = question.names()
            return resolve(question, uv(), seconds=SECONDS_FOR_UV, home=_uv_home())

        judged, answer = resolved(
            content,
            self._environment,
            static,
            ask,
            index_url=self._index_url,
            allowed=self._operators,
            shelf=self._shelf,
            beside=self._beside,
        )
        if self._loads:
            self._learn(content, answer, first)
        return judged

    def _learn(self, content: bytes, answer: Resolution | None, first: frozenset[str] = frozenset()) -> None:
        """Keep what a requirements.txt brings, as the wheels tell that uv has chosen."""
        from jetway.artifacts.mwaa import packages_of
        from jetway.artifacts.requirements.contents import known_contents
        from jetway.artifacts.requirements.provided import required_by
        from jetway.artifacts.requirements.wheel_modules import contents_at

        packages = packages_of(self._environment.airflow_version)
        installed = packages.installed if packages else {}
        chosen = answer.versions if answer else {}
        wheels = {
            name: url
            for name, url in (answer.wheels if answer else {}).items()
            if installed.get(name) != chosen[name] and known_contents(name, chosen[name]) is None
        }
        contents = contents_at(wheels, seconds=SECONDS_FOR_WHEELS, first=first, allowed=self._operators)
        self._required = required_by(content, self._environment, answer, contents, self._beside)

    def _pass_over(self, judged: Sequence[_Judged]) -> None:
        """Take out what .airflowignore takes out: Airflow does not look at it, whatever is in it."""
        from jetway.loading.combined_verdict import together
        from jetway.loading.import_dag_client import LoadAnswer
        from jetway_cli.check_ignored import ignored_below

        folders: dict[Path, frozenset[str]] = {}
        for one in judged:
            if one.judgement.kind not in {"dag-file", "packed-dags"} or one.found.folder is None:
                continue
            folder, name = _place(one.found)
            if folder not in folders:
                folders[folder] = ignored_below(folder, self._environment)
            if name in folders[folder]:
                said = tuple(finding for finding in one.judgement.findings if finding.severity != "error")
                one.judgement = together(replace(one.judgement, findings=said), LoadAnswer({"skipped": "ignored"}))

    def _load(self, judged: Sequence[_Judged]) -> None:
        """Let the real Airflow load the DAG files and plugins that may load; its word goes before that of reading."""
        from jetway.loading.combined_verdict import not_loaded, together
        from jetway.loading.import_dag_client import LoadAnswer
        from jetway.loading.local_settings import certain
        from jetway_cli.check_airflow import PLUGINS_ANSWER, load, versions_of
        from jetway_cli.check_settings import blame_settings, has_settings

        by_folder: dict[Path, dict[str, _Judged]] = {}
        for one in judged:
            if one.judgement.kind in {"dag-file", "packed-dags", "local-settings"} and one.stands:
                folder, name = _place(one.found)
                by_folder.setdefault(folder, {})[name] = one
        given = next((one for one in judged if one.found.key == "plugins.zip"), None)
        packed = _packed(given)  # also of one that is refused: DAG files may need what is right in it
        plugins = given if given is not None and given.stands else None
        if plugins is not None and packed.content is None:
            plugins.judgement = not_loaded(plugins.judgement, "it has too many modules, or they are too large")
            plugins = None
        if not by_folder and plugins is None:
            return
        python = self._airflow()
        airflow_version, python_version = versions_of(python)
        asked: dict[str, Any] = {
            "provided": self._provided(packed),
            "nearest": airflow_version != self._environment.airflow_version,
            "other_python": python_version != self._environment.python_version,
            "keeps": self._keeps,
            "plugins": packed.content,
        }
        judge_plugins = plugins is not None
        with TemporaryDirectory(prefix="jetway-dags-") as nothing:
            for folder, files in (by_folder or {Path(nothing): {}}).items():
                named = files if plugins is None else files | {PLUGINS_ANSWER: plugins}
                settings = has_settings(named, packed)
                answers = load(
                    python,
                    folder,
                    [name for name, one in files.items() if one.judgement.kind != "local-settings"],
                    judge_plugins=judge_plugins,
                    judge_settings=bool(settings),
                    **asked,
                )
                for name in named if judge_plugins else files:
                    answer: Mapping[str, Any] = answers[name]
                    named[name].judgement = certain(together(named[name].judgement, LoadAnswer(answer)))
                    named[name].seconds += float(answer["seconds"])
                judge_plugins = False  # once is enough
                _blame_data(judged, folder, answers)
                blame_settings(settings, answers, partial(load, python, folder, **asked))

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

    def _provided(self, plugins: PackedPlugins) -> dict[str, Any]:
        """What the environment has: of its image, of requirements.txt, and of plugins that are too large."""
        from jetway.artifacts.requirements.provided import Required, provided

        found = provided(self._environment, self._required or Required())
        stood_in = plugins.modules if plugins.content is None else frozenset()
        found |= {"modules": sorted({*found["modules"], *stood_in}), "binaries": sorted(plugins.binaries)}
        return found if plugins.readable else found | {"unlisted": [*found["unlisted"], "plugins.zip"]}


def _blame_data(judged: Sequence[_Judged], folder: Path, answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Say of a data file that DAG files do not load for what is in it."""
    from jetway.loading.data_files import broken
    from jetway.loading.import_dag_client import LoadAnswer

    for one in judged:
        if one.judgement.kind == "dags-folder-file" and one.found.folder is not None and one.stands:
            where, name = _place(one.found)
            readers = {path: LoadAnswer(said) for path, said in answers.items() if said.get("data") == name}
            if where == folder and readers:
                one.judgement = broken(one.judgement, readers)


def _uv_home() -> Path | None:
    """Return the folder of uv's cache; None where none can be made: then uv fetches everything again."""
    from jetway.artifacts.requirements.uv_resolve import emptied
    from jetway_cli.check_airflow import cache

    try:
        return emptied(cache() / "uv", MOST_KEPT)
    except OSError:
        return None


def refuse_duplicates(judged: Sequence[_Judged]) -> None:
    """Refuse a file with a dag_id of a file before it: Airflow's own parser, file by file, never says so."""
    from jetway.loading.combined_verdict import refused
    from jetway.loading.dag_id_conflicts import Rival

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
    from jetway.loading.combined_verdict import not_loaded
    from jetway_cli.check import READ

    for one in judged:
        if one.judgement.kind in READ | {"plugins"} and one.stands and one.judgement.parse_seconds is None:
            one.judgement = not_loaded(one.judgement, "Airflow does not work on this machine")


def _unreadable(exc: OSError) -> Finding:
    from jetway.artifacts.findings import Finding

    message = f"The file cannot be read: {exc.strerror or exc}."
    return Finding("unreadable", "error", message, None, ("Give yourself permission to read it, or leave it out."))


def _astray(one: FileToCheck) -> Finding:
    from jetway.artifacts.findings import Finding

    message = "It is in a subfolder of triggers/, where the drop bucket does not accept trigger files."
    return Finding("file-name", "warning", message, None, f"Upload it as {one.key} to put it in force.")


def _not_judged(exc: StackTroubleError) -> Finding:
    from jetway.artifacts.findings import Finding

    return Finding("not-judged", "error", f"The file was not checked: {exc.message}", None, "Run the check again.")


def _place(one: FileToCheck) -> tuple[Path, str]:
    """The dags folder of a file, and its path below it. A file given by itself may stand in a folder named dags."""
    file = one.file.absolute()
    folder = one.folder.absolute() if one.folder else None
    if folder is None:
        folder = next((parent for parent in file.parents if parent.name == "dags"), file.parent)
    return folder, file.relative_to(folder).as_posix()


def _packed(plugins: _Judged | None) -> PackedPlugins:
    """What a load needs of the plugins.zip that is judged, too."""
    from jetway.artifacts.plugins.plugin_modules import PackedPlugins, pack

    if plugins is None:
        return PackedPlugins()
    with plugins.found.file.open("rb") as stream:
        return pack(stream, plugins.found.file.stat().st_size)


def _nearest(environment: EnvironmentFacts, known: Sequence[str]) -> str:
    """The newest known version that is not newer, else the oldest."""
    older = [name for name in known if tuple(map(int, name.split("."))) <= environment.version]
    return older[-1] if older else known[0]
