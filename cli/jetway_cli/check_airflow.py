"""A real Airflow to load DAG files with: a virtual environment with MWAA's versions, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_cli.check_python import find_python
from jetway_cli.errors import StackTroubleError
from jetway_cli.output import say

if TYPE_CHECKING:
    from jetway.artifacts.mwaa import Packages
    from jetway_cli.check_kept import Said

SECONDS_TO_INSTALL = 900
MEBIBYTES_FOR_ONE_FILE = 1024  # as in the gate
SECONDS_FOR_ONE_FILE = 32  # MWAA's 30, and what ending a process takes
PLUGINS_ANSWER, SETTINGS_ANSWER = "../plugins.zip", "airflow_local_settings.py"
PLUGINS_SETTINGS_ANSWER = f"{PLUGINS_ANSWER}/{SETTINGS_ANSWER}"
SECONDS_TO_START = 120  # importing Airflow without bytecode, and making its database

_LOADED = (0, 1)  # exit statuses: nothing, or something, is rejected

_INSTALLED = re.compile(r"python3\.(\d+)/site-packages/apache_airflow-([^/]+)\.dist-info$")
_VERSIONS = (
    "import sys; from importlib.metadata import version; print(version('apache-airflow'), *sys.version_info[:2])"
)

# They come with MWAA's image for its own database, queue and executor: Airflow works without, and some machines have no
# wheels for what they need.
_NOT_NEEDED = frozenset(
    {f"apache-airflow-providers-{name}" for name in ("celery", "cncf-kubernetes", "postgres", "redis", "mysql")}
)
_NO_WHEEL = frozenset(
    {"psycopg2"}
)  # and needs a compiler; psycopg2-binary, which the image has as well, brings its module


def uv() -> str:
    """Return the program uv, which comes with jetway's own dependencies.

    Raises:
        StackTroubleError: it is not there.
    """
    from uv import find_uv_bin

    try:
        return find_uv_bin()
    except FileNotFoundError:
        found = shutil.which("uv")
        if found:
            return found
        raise StackTroubleError("uv is not installed; install jetway again, or uv itself.") from None


def airflow_python(packages: Packages) -> Path:
    """Make the virtual environment of an Airflow version unless it is there; return its Python.

    Args:
        packages: what the version has on MWAA.

    Raises:
        StackTroubleError: no network, no disk, or a package that does not fit this machine.
    """
    lines, image = requirements(packages), all_of_the_image(packages)
    digest = hashlib.sha256("\n".join([*lines, *image]).encode()).hexdigest()[:12]
    wanted, own = ".".join(packages.python.split(".")[:2]), ".".join(map(str, sys.version_info[:2]))

    def folder(python: str) -> Path:
        return cache() / f"airflow-{packages.airflow}-python{python}-{digest}"

    if _is_complete(folder(wanted)):
        return folder(wanted) / "bin" / "python"
    found = find_python(wanted, uv(), environ=os.environ, home=Path.home())
    if found is None and _is_complete(folder(own)):
        return folder(own) / "bin" / "python"  # as was said when it was made
    cache().mkdir(parents=True, exist_ok=True)
    with Path(cache(), f"airflow-{packages.airflow}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two at once the second finds it made
        if _is_complete(folder(wanted)):
            return folder(wanted) / "bin" / "python"
        say(f"Installing Airflow {packages.airflow} in {cache()}; this happens once.")
        try:
            made = folder(wanted)
            _make(made, str(found or wanted))
        except StackTroubleError as exc:
            say(
                f"{exc}\nPython {wanted} is not available. Python {own} is used, which can read some files differently."
            )
            made = folder(own)
            _make(made, sys.executable)
        _install(made, lines, packages)
    return made / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").exists()


def _make(folder: Path, python: str) -> None:
    """Make a virtual environment on a Python, or on that version, which uv may fetch."""
    command = [uv(), "venv", "--quiet", "--no-config", "--clear", "--python", python, str(folder)]
    _run(command, "make a virtual environment")


def _install(folder: Path, lines: Sequence[str], packages: Packages) -> None:
    with tempfile.TemporaryDirectory() as place:
        listed = Path(place, "requirements.txt")
        listed.write_text("\n".join(lines))
        constraints = Path(place, "constraints.txt")
        pins = dict(packages.constraints) | dict(packages.essential)
        constraints.write_text("\n".join(f"{name}=={version}" for name, version in sorted(pins.items())))
        command = [uv(), "pip", "install", "--quiet", "--no-config", "--compile-bytecode"]
        command += ["--python", str(folder / "bin" / "python")]
        _run([*command, "--constraint", str(constraints), "--requirement", str(listed)], "install Airflow")
        _complete([*command, "--no-deps"], all_of_the_image(packages))
    (folder / "complete").touch()


def _complete(command: Sequence[str], image: Sequence[str]) -> None:
    """Add what the image has beside Airflow; what this machine cannot have is stood in for, and said."""
    try:
        _run([*command, *image], "install what MWAA's image has")
    except StackTroubleError:
        missing = []
        for one in image:
            try:
                _run([*command, one], f"install {one}")
            except StackTroubleError:
                missing.append(one)
        say(f"Not installed here, although MWAA has it: {', '.join(missing)}. Jetway uses a stand-in.")


def versions_of(python: Path) -> tuple[str, tuple[int, int]]:
    """Return the version of the Airflow that a Python has, and its own.

    In a virtual environment the names of folders tell, without starting it.

    Raises:
        StackTroubleError: it has none, or is no Python.
    """
    prefix = python.absolute().parent.parent
    found = [
        _INSTALLED.search(str(place)) for place in prefix.glob("lib/python3.*/site-packages/apache_airflow-*.dist-info")
    ]
    if (prefix / "pyvenv.cfg").is_file() and len(found) == 1 and found[0] is not None:
        return found[0][2], (3, int(found[0][1]))
    command = [str(python), "-c", _VERSIONS]
    airflow, major, minor = _run(command, f"find Airflow in {python}", seconds=SECONDS_TO_START).stdout.split()
    return airflow, (int(major), int(minor))


def all_of_the_image(packages: Packages) -> list[str]:
    """Return all that MWAA's image has, but for what has no wheel on any machine."""
    return [f"{name}=={version}" for name, version in sorted(packages.installed.items()) if name not in _NO_WHEEL]


def requirements(packages: Packages) -> list[str]:
    """Return what Airflow does not work without: itself and MWAA's providers, at MWAA's versions."""
    providers = (name for name in packages.installed if name.startswith("apache-airflow-providers-"))
    names = ["apache-airflow", *sorted(set(providers) - _NOT_NEEDED)]
    pins = {**packages.installed, "apache-airflow": packages.airflow}
    return [f"{name}=={pins[name]}" for name in names]


def load(
    python: Path,
    folder: Path,
    files: Sequence[str],
    provided: Mapping[str, Any],
    *,
    nearest: bool,
    other_python: bool = False,
    keeps: bool = False,
    plugins: bytes | None = None,
    judge_plugins: bool = False,
    judge_settings: bool = False,
    without_settings: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Load DAG files with the Airflow of that Python.

    Args:
        python: of a virtual environment that has Airflow.
        folder: the dags folder.
        files: relative to it.
        provided: "modules", "binaries" and "unlisted" distributions that the environment has.
        nearest: this Airflow is not the environment's version.
        other_python: nor is this Python.
        keeps: a kept process is asked, where there can be one.
        plugins: the modules of plugins.zip, zipped.
        judge_plugins: load these by themselves, too.
        judge_settings: load airflow_local_settings.py of the folder and of the plugins, too.
        without_settings: "dags" or "plugins", whose airflow_local_settings.py is not run.

    Returns:
        What came of each file, by its path, as jetway_loader says it; PLUGINS_ANSWER is of the plugins, SETTINGS_ANSWER
        of the folder's airflow_local_settings.py, and PLUGINS_SETTINGS_ANSWER of theirs.

    Raises:
        StackTroubleError: Airflow does not work.
    """
    from jetway_cli.check_kept import KeptLoader

    jobs = min(4, os.cpu_count() or 1)
    rounds = len(files) / jobs + 2 * judge_plugins + 4 * judge_settings
    seconds = SECONDS_TO_START + SECONDS_FOR_ONE_FILE * rounds
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    with tempfile.TemporaryDirectory(prefix="jetway-") as place:
        Path(place, "provided.json").write_text(json.dumps(provided))
        Path(place, "files.json").write_text(json.dumps(list(files)))
        arguments = ["--json", "--jobs", str(jobs), "--files", str(Path(place, "files.json"))]
        arguments += ["--provided", str(Path(place, "provided.json")), *(["--nearest"] if nearest else [])]
        arguments += ["--memory", str(MEBIBYTES_FOR_ONE_FILE), *(["--other-python"] if other_python else [])]
        if plugins is not None:
            Path(place, "plugins.zip").write_bytes(plugins)
            arguments += ["--plugins", str(Path(place, "plugins.zip")), *(["--judge-plugins"] if judge_plugins else [])]
        arguments += ["--without-settings", without_settings] if without_settings else []
        arguments += [*(["--judge-settings"] if judge_settings else []), "--", str(folder.absolute())]
        said = KeptLoader(python, env).ask(arguments, seconds=seconds) if keeps else None
        if said is None or said.status not in _LOADED:
            said = _load_alone(python, arguments, env, seconds, Path(place))
    try:
        return {loaded["path"]: loaded for loaded in json.loads(said.stdout)}
    except ValueError:
        raise StackTroubleError(f"Could not load DAG files: {(said.stderr or said.stdout).strip()[-1000:]}") from None


def _load_alone(python: Path, arguments: Sequence[str], env: Mapping[str, str], seconds: float, place: Path) -> Said:
    """Load with a process that is started for it, and ends with it."""
    import jetway_loader
    from jetway_cli.check_kept import Said

    # A copy, so that nothing else that is installed beside jetway is seen.
    shutil.copytree(Path(jetway_loader.__file__).parent, place / "jetway_loader")
    done = _run(
        [str(python), "-m", "jetway_loader", *arguments],
        "load DAG files",
        env={**env, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"},
        seconds=seconds,
        good=_LOADED,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def cache() -> Path:
    """Where tools keep what they can make again: https://specifications.freedesktop.org/basedir-spec/"""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jetway"


def _run(
    command: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    seconds: float = SECONDS_TO_INSTALL,
    good: Sequence[int] = (0,),
) -> subprocess.CompletedProcess[str]:
    # A virtual environment that is active in the caller's shell must not redirect uv.
    own = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    try:
        done = subprocess.run(
            command,
            env=env or own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackTroubleError(f"Could not {what} within {seconds:.0f} s.") from None
    except OSError as exc:
        raise StackTroubleError(f"Could not {what}: {exc.strerror}.") from exc
    if done.returncode not in good:
        raise StackTroubleError(f"Could not {what}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done
