"""airflow_local_settings.py: MWAA runs that of the dags folder and that of plugins.zip in every process of Airflow.

Its image has a file of that name itself, which runs both before `import airflow` has ended, and raises what they
raise: then neither scheduler nor tasks, web server nor command line start. So it is loaded in an interpreter of its
own, in which nothing stands in for anything. Whether MWAA registers the policies in it differs from one version to
another (aws/amazon-mwaa-docker-images #627), so it is loaded once more as Airflow's own: both must work.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import fork_pool, settings
from jetway_loader.import_errors import Fault, read_error
from jetway_loader.model import Finding, Loaded

if TYPE_CHECKING:
    from jetway_loader.fork_pool import Tell
    from jetway_loader.model import Options

NAME = "airflow_local_settings.py"
IN_PLUGINS = f"../plugins.zip/{NAME}"
_MODULE = "airflow_local_settings"
_MOST_SECONDS = 60.0
_LAST_WORDS = 20_000

# https://github.com/aws/amazon-mwaa-docker-images: images/airflow/*/airflow_local_settings.py
_AS_MWAA = """
import importlib.util

__all__ = []
for _name, _path in {files!r}:
    _spec = importlib.util.spec_from_file_location(_name, _path)
    _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
"""
# The network is not there, so that nothing is waited for; that it was asked for is an error of its own kind. MWAA's
# paths lead to the copies.
_PROGRAM = """
import sys, traceback
from pathlib import Path
from jetway_loader import calls, paths
from jetway_loader.env_stubs import UnseenNetworkError

folder, home = map(Path, sys.argv[1:])
calls.install()
paths.PATHS.lead(paths.mounts_of(folder, home), home / paths.WRITTEN, lambda *_: None, lambda: None)

def closed(event, args):
    host = args[1] if event == "socket.connect" else args[0] if event == "socket.getaddrinfo" else None
    if host and not isinstance(host, (str, bytes)):
        host = host[0]
    if event in ("socket.connect", "socket.getaddrinfo") and host:
        raise UnseenNetworkError(f"the network is not there while it is loaded (it reached for {host})")

sys.addaudithook(closed)
try:
    import airflow
    import airflow.settings
except BaseException:
    sys.stderr.write("\\n" + traceback.format_exc())
    sys.stderr.flush()
    sys.exit(3)
sys.stdout.write("jetway: airflow was imported\\n")
"""


def files(folder: Path, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, Path]]:
    """Those that are there, as MWAA names them, in its order.

    Args:
        folder: the dags folder.
        without: "dags" or "plugins", of which none is looked for.
    """
    for name, place in (("dags", folder), ("plugins", settings.plugins_folder())):
        if name not in without and (place / NAME).is_file():
            yield f"customer_{name}_{_MODULE}", place / NAME


def load(folder: Path, options: Options) -> Loaded:
    """Load them as MWAA does, and judge them together.

    Args:
        folder: the dags folder.
        options: as DAG files are loaded with; nothing stands in for `provided`.
    """
    started = time.monotonic()
    return _judged(NAME, [fault for _, fault in _faults(folder, options)], started)


def load_each(folder: Path, options: Options) -> list[Loaded]:
    """Load them as `load` does, and judge each by its own faults: that of the dags folder as NAME, that of plugins as
    IN_PLUGINS; one that is not there is in order.

    Args:
        folder: the dags folder.
        options: as for `load`.
    """
    started, found = time.monotonic(), _faults(folder, options)
    of_plugins = settings.plugins_folder() / NAME
    return [
        _judged(NAME, [fault for path, fault in found if path != of_plugins], started),
        _judged(IN_PLUGINS, [fault for path, fault in found if path == of_plugins], started),
    ]


def _faults(folder: Path, options: Options) -> list[tuple[Path, Fault]]:
    """What they fail with, each fault with the file that it is of."""
    found, faults = list(files(folder)), list[tuple[Path, Fault]]()
    if found:
        as_mwaa = _AS_MWAA.format(files=[(name, str(path)) for name, path in found])
        for text, own in ((as_mwaa, None), *((path.read_text("utf-8", "replace"), path) for _, path in found)):
            if not faults:
                faults += _run(text, own, [path for _, path in found], folder, options)
    return faults


def _judged(path: str, faults: list[Fault], started: float) -> Loaded:
    certain = any(fault.certain for fault in faults)
    return Loaded(
        path=path,
        verdict="rejected" if certain else "unknown" if faults else "accepted",
        findings=tuple(_finding(fault) for fault in faults),
        missing=tuple(sorted({fault.missing for fault in faults if fault.missing})),
        seconds=round(time.monotonic() - started, 6),
    )


def register(folder: Path, without: frozenset[str] = frozenset()) -> None:
    """Run them in a child that loads DAG files, and register their policies: an error of theirs is not the DAG's."""
    for name, path in files(folder, without):
        with suppress(Exception):
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                continue
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            _register(module)


def _register(module: Any) -> None:
    policies = importlib.import_module("airflow.policies")
    own = importlib.import_module("airflow.settings")
    manager = (
        own.get_policy_plugin_manager() if hasattr(own, "get_policy_plugin_manager") else own.POLICY_PLUGIN_MANAGER
    )
    given = getattr(module, "__all__", None)
    names = set(given) if given is not None else {name for name in vars(module) if not name.startswith("__")}
    policies.make_plugin_from_local_settings(manager, module, names)


def _run(text: str, own: Path | None, mine: list[Path], folder: Path, options: Options) -> list[tuple[Path, Fault]]:
    """Import Airflow with such a file in its config folder. What ends it without a word is the last one's."""
    with tempfile.TemporaryDirectory(prefix="airflow-settings-") as place:
        home = Path(place)
        config = home / "config" / NAME
        config.parent.mkdir()
        config.write_text(text, "utf-8")
        shutil.copyfile(os.environ["AIRFLOW_CONFIG"], home / "airflow.cfg")
        for name, there in (("dags", folder), ("plugins", settings.plugins_folder())):
            (home / name).symlink_to(there, target_is_directory=True)  # for paths below AIRFLOW_HOME, as on MWAA
        changed = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            # Airflow has the dags folder on its path later.
            "PYTHONPATH": os.pathsep.join(name for name in sys.path if name not in {"", str(folder)}),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        variables = settings.as_variables(options.airflow_options)
        seconds = min(_MOST_SECONDS, options.patience or _MOST_SECONDS)
        program = partial(_import_airflow, [str(folder), str(home)], os.environ | variables | changed)
        (ended,) = fork_pool.each([""], program, seconds=seconds, memory=options.memory)
        last = own or mine[-1]
        if ended.timed_out:
            message = f"With it, importing Airflow took more than {seconds:g} s."
            return [(last, Fault("timeout", message, None, _AT_ONCE, certain=False))]
        told = next((entry for entry in ended.told if "said" in entry), None)
        if told is None:
            return [(last, Fault("exits", "It ends the process that imports Airflow.", None, _AT_ONCE, certain=False))]
        if told["status"] == 0 and told["imported_airflow"]:
            return []
        said = str(told["said"])
        if "Traceback (most recent call last):" not in said:
            how = f"with exit status {told['status']}"
            return [(last, Fault("exits", f"It ends every process that imports Airflow, {how}.", None, _AT_ONCE))]
        file = own or next((path for path in reversed(mine) if str(path) in said), mine[0])
        said = said.replace(str(config), str(file)) if own is not None else said
        fault = read_error({"error": said}, str(file), str(file.parent))
        elsewhere = fault.missing is not None and (
            fault.missing.partition(".")[0] in options.provided or options.unlisted
        )
        return [(file, replace(fault, certain=fault.certain and not elsewhere and not options.nearest))]


def _import_airflow(arguments: list[str], variables: dict[str, str], _item: str, tell: Tell) -> None:
    """Be the child that starts a program: what that leaves behind ends with it."""
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr[-_LAST_WORDS:].decode(errors="replace")
    imported = b"jetway: airflow was imported" in done.stdout
    tell({"status": done.returncode, "imported_airflow": imported, "said": said})


_AT_ONCE = "Every Airflow process runs it at startup, so it must only define functions and set values."


def _finding(fault: Fault) -> Finding:
    stops = "Every Airflow process on MWAA runs this file at startup, and would end with this error."
    message = f"{fault.message.removesuffix('.')}. {stops}"
    if not fault.certain:
        return Finding(fault.rule, "warning", f"{message} This is not certain.", fault.line, fault.remedy)
    return Finding(fault.rule, "error", message, fault.line, fault.remedy)
