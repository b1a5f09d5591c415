"""A plugins.zip by itself: Airflow's own plugins manager loads it, and what it could not import is judged.

Airflow imports each file by the name of the file alone, so that one with relative imports fails there, and works for
the DAG files that import it by its whole name. So what is no plugin and has failed is imported by that name, too.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import fork_pool, parsing, paths, plugin_verdicts, plugins, settings, stub_modules
from jetway_loader.certainty import Certainty
from jetway_loader.source_lines import Sightings

if TYPE_CHECKING:
    from jetway_loader.fork_pool import Ended, Tell
    from jetway_loader.model import Loaded, Options

# Modules whose `log` hears of the exceptions that Airflow makes one line of.
_LOGS = (
    "airflow.plugins_manager",
    "airflow._shared.plugins_manager.plugins_manager",
    "airflow.sdk._shared.plugins_manager.plugins_manager",
)
# What Airflow makes of plugins when a process needs them; those of them that a version has.
_USES = (
    *("initialize_timetables_plugins", "initialize_extra_operators_links_plugins", "integrate_macros_plugins"),
    *("initialize_priority_weight_strategy_plugins", "initialize_ti_deps_plugins"),
    *("get_timetables_plugins", "get_priority_weight_strategy_plugins", "get_global_operator_extra_links"),
)


def load(folder: Path, options: Options) -> Loaded:
    """Load what `plugins.unpack` has unpacked, and judge it.

    Args:
        folder: the dags folder, which is on the path, too.
        options: how to load; `import_timeout` does not matter: nothing ends Airflow's import of a plugin.
    """
    options = replace(options, provided=stub_modules.lacking(options.provided))
    seconds = options.patience or options.limit

    def work(files: Iterable[str] | None, tell: Tell) -> None:
        _load_all(folder, options, tell) if files is None else _import_each(folder, options, files, tell)

    def child(files: list[str] | None) -> Ended[Any]:
        (ended,) = fork_pool.each([files], work, seconds=seconds, memory=options.memory)
        return ended

    first = child(None)
    failed = plugin_verdicts.failed(first.told)
    again = [
        name for name in failed if not plugins.makes_plugins(plugins.here(name)) and plugins.dotted(plugins.here(name))
    ]
    second = child(again) if again else None
    return plugin_verdicts.judge(first, second, paths.PLUGINS, options, (folder, settings.plugins_folder()))


def _load_all(folder: Path, options: Options, tell: Tell) -> None:
    """Let Airflow load the plugins. Tells {"loading": file}, {"error": …, "plugin": file or ""}."""
    started, used = time.perf_counter(), time.process_time()
    with _Watched(folder, options, tell) as watched:
        _hear_exceptions(lambda name: watched.failed(name if name.startswith("/") else "", name))
        _watch_files(watched.loading)
        manager = importlib.import_module("airflow.plugins_manager")
        manager.ensure_plugins_loaded()
        errors = manager.import_errors if hasattr(manager, "import_errors") else manager._get_plugins()[1]
        tell({"import_errors": {str(name): str(text) for name, text in errors.items()}})
        _use(manager, watched)
    tell({"changed": sorted(name for name in options.inventory.changed if name in sys.modules)})
    tell({"done": True, "seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used})


def _use(manager: Any, watched: _Watched) -> None:
    """Do with the plugins what every process does."""
    for name in _USES:
        try:
            getattr(manager, name, lambda: None)()
        except Exception:  # a plugin's code may raise anything
            watched.failed("", name)
    try:
        listeners = importlib.import_module("airflow.listeners.listener").get_listener_manager()
        if hasattr(manager, "integrate_listener_plugins"):
            manager.integrate_listener_plugins(listeners)
    except ImportError:
        return
    except Exception:
        watched.failed("", "listeners")


def _import_each(folder: Path, options: Options, files: Iterable[str], tell: Tell) -> None:
    """Import modules as DAG files do. Tells {"imported": file} or {"error": …, "plugin": file}."""
    with _Watched(folder, options, tell) as watched:
        for file in files:
            watched.loading(file)
            try:
                importlib.import_module(str(plugins.dotted(Path(file))))
                tell({"imported": file})
            except Exception:
                watched.failed(file)
    tell({"done": True, "seconds": 0.0, "cpu_seconds": 0.0})


class _Watched:
    """In this process, which is good for nothing else afterwards, the environment's code may run."""

    def __init__(self, folder: Path, options: Options, tell: Tell) -> None:
        self._tell, self._current = tell, ""
        self._sightings = Sightings("", (paths.DAGS, paths.PLUGINS))
        self._certainty = Certainty(Path(paths.PLUGINS), self._sightings)

        def note(what: str, name: str, line: int | None) -> None:
            tell({"unseen": [what, name, line], "plugin": self._current})
            if what != "missing module" or parsing.may_come(name, options):
                self._sightings.source()

        parsing.prepare(folder, options, note, self._sightings, self._certainty, tell)

    def loading(self, file: str) -> None:
        """Tell which file Airflow comes to."""
        self._current = file
        self._sightings.of(file)
        self._certainty.of(Path(file))
        self._tell({"loading": file})

    def failed(self, file: str, named: str = "") -> None:
        """Tell of the exception that is handled now, and whether something unseen may have led to it."""
        self._tell(self._certainty.judged({"error": traceback.format_exc(), "plugin": file, "named": named}))

    def __enter__(self) -> _Watched:
        self._tell({"begun": True})
        return self

    def __exit__(self, kind: Any, exc: BaseException | None, _trace: Any) -> bool:
        if not isinstance(exc, SystemExit):
            return False
        text = traceback.format_exc()
        self._tell(self._certainty.judged({"error": f"SystemExit: {exc.code}", "trace": text, "plugin": self._current}))
        return True


def _hear_exceptions(hear: Callable[[str], None]) -> None:
    class Log:
        def __init__(self, log: Any) -> None:
            self._log = log

        def __getattr__(self, name: str) -> Any:
            return getattr(self._log, name)

        def exception(self, _message: str, *args: Any) -> None:
            hear(str(args[0]) if args else "")

    for name in _LOGS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        module.log = Log(module.log)  # type: ignore[attr-defined]


def _watch_files(loading: Callable[[str], None]) -> None:
    """Hear which file Airflow comes to."""
    for name in ("airflow.plugins_manager", "airflow._shared.module_loading", "airflow.sdk._shared.module_loading"):
        module: Any = sys.modules.get(name)
        find = getattr(module, "find_path_from_directory", None)
        if find is None:
            continue

        def found(*args: Any, find: Any = find, **kwargs: Any) -> Iterator[str]:
            for file in find(*args, **kwargs):
                loading(str(file))
                yield file

        module.find_path_from_directory = found
