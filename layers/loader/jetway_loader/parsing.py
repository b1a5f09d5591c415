"""What a child does: the file goes through Airflow's own parsing, and what came of it is told.

On Airflow 3 that is the DAG processor's own function, with the metadata database closed as it is there: it finds more
than a plain DagBag. On Airflow 2 it is DagBag, then serialization.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import local_settings, paths, plugins, settings, task_decorators
from jetway_loader.certainty import Certainty
from jetway_loader.env_stubs import Note, Unseen
from jetway_loader.samples import Samples
from jetway_loader.source_lines import Sightings
from jetway_loader.stub_modules import STAR, UNKNOWN, Finder, may_be_anothers
from jetway_loader.template_advice import advice

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow
    from jetway_loader.fork_pool import Tell
    from jetway_loader.model import Options

_SECONDS_FOR_ADVICE = 2.0


def parse(airflow: Airflow, folder: Path, file: Path, options: Options, tell: Tell) -> None:
    """Load one file in this process, which is good for nothing else afterwards.

    Tells, as things happen: {"unseen": [what, name, line]}, {"error": text, …}, {"dag": …}, {"done": …}.

    Args:
        airflow: of this process.
        folder: the dags folder as it is here; MWAA's path leads to it.
        file: that is loaded, with MWAA's path.
        options: how to load.
        tell: gets what happens.
    """
    copies = (str(folder), f"{os.environ['AIRFLOW_HOME']}/plugins")
    sightings = Sightings(str(file), (paths.DAGS, paths.PLUGINS, *copies))
    certainty = Certainty(file, sightings)

    def note(what: str, name: str, line: int | None) -> None:
        tell({"unseen": [what, name, line]})
        if what != "missing module" or may_come(name, options):
            sightings.source()
        if what not in {"package", UNKNOWN, STAR, "missing module"}:
            sightings.environment_asked()

    def report(entry: dict[str, Any]) -> None:
        """Tell, and of an error whether something unseen may have led to it."""
        tell(certainty.judged(entry))

    os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] = str(options.import_timeout)
    dags: list[Any] = []
    last = next(reversed(sys.modules))
    sightings.install(airflow)
    folder = prepare(folder, options, note, sightings, certainty, tell)
    _watch_swallowed(note, sightings)
    started, used = time.perf_counter(), time.process_time()
    samples = Samples(str(file))
    try:
        tell({"begun": True})
        dags = (_parse_3 if airflow.major >= 3 else _parse_2)(airflow, folder, file, sightings, report)
    except SystemExit as exc:
        report({"error": f"SystemExit: {exc.code}", "trace": traceback.format_exc()})
    took = samples.stop()
    tell({"siblings": _siblings(folder, file, last), "read": paths.PATHS.read()})
    tell({"changed": sorted(name for name in options.inventory.changed if name in sys.modules)})
    tell({"done": True, **took, "seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used})
    _advise(airflow, dags, sightings, tell, file=file, folder=folder)


def may_come(module: str, options: Options) -> bool:
    """Whether a module that was not found here may be there in the environment."""
    places = (Path(paths.DAGS), Path(paths.PLUGINS))
    return bool(options.unlisted) and may_be_anothers(module, options.inventory, places)


def prepare(  # noqa: PLR0917 - what looks on
    folder: Path, options: Options, note: Note, sightings: Sightings, certainty: Certainty, tell: Tell
) -> Path:
    """Make this process one in which the environment's code may run: its paths, and what stands for the rest of it.

    Args:
        folder: the dags folder as it is here.
        options: as the code is loaded with.
        note: gets what stood in for what: what, name, line.
        sightings: sees users' code.
        certainty: hears of its errors.
        tell: gets where the process is ended.

    Returns:
        The dags folder as MWAA has it.
    """
    os.environ.update(settings.as_variables(options.airflow_options))
    home = Path(os.environ["AIRFLOW_HOME"])
    paths.be_mwaa(paths.mounts_of(folder, home, whole=not options.partial), note, sightings.line)
    sys.dont_write_bytecode = True
    plugins.forget()
    local_settings.register(Path(paths.DAGS), options.without_settings)
    Unseen(sightings, note).install()
    Finder(options.provided | options.binaries, options.inventory, note, sightings, certainty.leaning).install()
    open_ended = bool(options.unlisted) or any(name.startswith("airflow.providers.") for name in options.provided)
    task_decorators.install(options.inventory, open_ended=open_ended, note=note, line=sightings.line)
    certainty.install()
    _watch_exits(tell, sightings, certainty)
    warnings.simplefilter("ignore")
    return Path(paths.DAGS)


def _advise(airflow: Airflow, dags: list[Any], sightings: Sightings, tell: Tell, *, file: Path, folder: Path) -> None:
    """Tell advice on what tasks ask for. All else has been told: whatever goes wrong here is lost, and nothing more."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_FOR_ADVICE)
    with suppress(Exception):
        for finding in advice(dags, sightings, file=str(file), folder=str(folder), major=airflow.major):
            tell({"advice": asdict(finding)})


def _siblings(folder: Path, file: Path, last: str) -> list[str]:
    """The files of the dags folder that were imported, but for the judged one.

    Args:
        last: the module that was imported last before the file was loaded. Those before it are not looked at: each
            would be a page of memory to copy, and they are two thousand.
    """
    since = takewhile(lambda name: name != last, reversed(sys.modules))
    modules = [sys.modules.get(name) for name in list(since)]
    inside = str(folder) + os.sep
    files = (getattr(module, "__file__", None) or "" for module in modules)
    found = {name.removeprefix(inside) for name in files if name.startswith(inside)}
    own = str(file).removeprefix(inside)
    return sorted(name for name in found if name != own and not name.startswith(f"{own}/"))


def _parse_2(airflow: Airflow, _folder: Path, file: Path, sightings: Sightings, tell: Tell) -> list[Any]:
    importlib.import_module("airflow.settings").engine.dispose(close=False)
    bag = airflow.dag_bag(str(file), include_examples=False)
    _tell_bag(bag, sightings, tell)
    for dag in bag.dags.values():
        _tell_dag(dag, sightings, tell)
        if not getattr(dag, "is_subdag", False):
            _check(dag.dag_id, partial(_written_and_read, airflow, dag), sightings, tell)
    return list(bag.dags.values())


def _parse_3(airflow: Airflow, folder: Path, file: Path, sightings: Sightings, tell: Tell) -> list[Any]:
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    importlib.import_module("airflow.sdk.execution_time.supervisor").block_orm_access()
    processor = importlib.import_module("airflow.dag_processing.processor")
    bags: list[Any] = []
    make_bag = processor.BundleDagBag if hasattr(processor, "BundleDagBag") else processor.DagBag

    def bag_kept(*args: Any, **kwargs: Any) -> Any:
        bags.append(make_bag(*args, **kwargs))
        return bags[-1]

    setattr(processor, make_bag.__name__, bag_kept)
    request = processor.DagFileParseRequest
    known = {"file": str(file), "bundle_path": folder, "bundle_name": "dags-folder", "requests_fd": 0}
    message = request(**{name: value for name, value in known.items() if name in request.model_fields})
    result = processor._parse_file(message, importlib.import_module("structlog").get_logger())
    for bag in bags:
        _tell_bag(bag, sightings, tell, errors=False)
    failed = result.import_errors or {}
    for where, text in failed.items():
        _tell_error(text, where, sightings, tell)
    for bag in bags:
        for dag in bag.dags.values():
            _tell_dag(dag, sightings, tell)
    for written in result.serialized_dags:  # what the processor could write, the scheduler must be able to read
        _check(written.dag_id, partial(airflow.deserialize, written.data), sightings, tell)
    return [dag for bag in bags for dag in bag.dags.values()]


def _tell_bag(bag: Any, sightings: Sightings, tell: Tell, *, errors: bool = True) -> None:
    for where, text in bag.import_errors.items() if errors else ():
        _tell_error(text, where, sightings, tell)
    tell({"parsed": len(bag.dagbag_stats)})


def _tell_error(text: str, where: str, sightings: Sightings, tell: Tell) -> None:
    """Tell of an error in Airflow's words, and of the lines that those words may be about."""
    lines = {"cycle": sightings.cycle_line()} if "Cycl" in text or "cycl" in text else {}
    dags = {dag_id: line for dag_id, line in sightings._dags.items() if dag_id in text}
    not_led = paths.not_led(text)
    for path in not_led:
        tell({"unseen": ["file", path, None]})
    only = next(iter(sightings._dags.values()), None) if len(sightings._dags) == 1 else None
    if only is None and not dags and "TimetableInvalid" in text:
        only = sightings.schedule_line()
    line = next(iter(dags.values()), only)
    about = {"where": str(where), "lines": lines, "dag_line": line}
    tell({"error": text, **about, "after": paths.PATHS.last, "not_led": bool(not_led)})


def _tell_dag(dag: Any, sightings: Sightings, tell: Tell) -> None:
    timetable = getattr(dag, "timetable", None)
    schedule = getattr(timetable, "summary", None) or getattr(dag, "schedule", None)
    tell(
        {
            "dag": {
                "dag_id": str(dag.dag_id),
                "line": sightings.dag_line(dag.dag_id),
                "schedule": None if schedule is None or str(schedule) == "None" else str(schedule),
                "tags": sorted(str(tag) for tag in dag.tags or ()),
                "tasks": len(dag.tasks),
                "certain": sightings.is_sure(str(dag.dag_id)),
            }
        }
    )


def _written_and_read(airflow: Airflow, dag: Any) -> None:
    airflow.deserialize(airflow.serialize(dag))


def _check(dag_id: str, check: Callable[[], Any], sightings: Sightings, tell: Tell) -> None:
    """Write a DAG as the scheduler gets it, or read it as the scheduler does."""
    try:
        check()
    except Exception as exc:  # Airflow catches all as well, and makes import errors of them
        said = {"error": traceback.format_exc(), "serialization": f"{type(exc).__name__}: {exc}"}
        tell({**said, "dag_line": sightings.dag_line(dag_id)})


def _watch_exits(tell: Tell, sightings: Sightings, certainty: Certainty) -> None:
    """Note where the file ends the process: nothing can be told afterwards."""
    leave, abort, kill, raise_signal = os._exit, os.abort, os.kill, signal.raise_signal

    def note() -> None:
        tell({"exit_line": sightings.line(), "unseen_led": certainty.may_be_avoided()})

    def left(status: int) -> None:
        note()
        leave(status)

    def aborted() -> None:
        note()
        abort()

    def killed(pid: int, number: int, /) -> None:
        if pid == os.getpid() and number:
            note()
        kill(pid, number)

    def raised(number: int, /) -> None:
        note()
        raise_signal(number)

    os._exit, os.abort, os.kill = left, aborted, killed  # type: ignore[assignment]
    signal.raise_signal = raised


def _watch_swallowed(note: Callable[[str, str, int | None], None], sightings: Sightings) -> None:
    """Note modules that are not found, also those that users' code does without."""

    class Watch:
        @staticmethod
        def find_spec(fullname: str, _path: Any = None, _target: Any = None) -> None:
            importer = sightings.importer()
            if importer is not None and sightings.is_users(importer):
                note("missing module", fullname, sightings.line())

    sys.meta_path.append(Watch)
