"""A real Airflow to load DAG files with: a virtual environment with MWAA's versions, made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_cli.errors import StackTroubleError
from jetway_cli.output import say

if TYPE_CHECKING:
    from jetway.artifacts.mwaa import Packages

SECONDS_TO_INSTALL = 900
MEBIBYTES_FOR_ONE_FILE = 1024  # as in the gate
SECONDS_FOR_ONE_FILE = 32  # MWAA's 30, and what ending a process takes
PLUGINS_ANSWER, SETTINGS_ANSWER = "../plugins.zip", "airflow_local_settings.py"
SECONDS_TO_START = 120  # importing Airflow without bytecode, and making its database

_VERSIONS = (
    "import sys; from importlib.metadata import version; print(version('apache-airflow'), *sys.version_info[:2])"
)

# They come with MWAA's image for its own database, queue and executor, and take compilers or libraries to install.
_NOT_TAKEN = frozenset(
    {f"apache-airflow-providers-{name}" for name in ("celery", "cncf-kubernetes", "postgres", "redis", "mysql")}
)


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
    lines = requirements(packages)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    folder = _cache() / f"airflow-{packages.airflow}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    say(f"Setting up Airflow {packages.airflow} in {folder}; this is done once.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _make(folder, ".".join(packages.python.split(".")[:2]))
    with tempfile.TemporaryDirectory() as place:
        listed = Path(place, "requirements.txt")
        listed.write_text("\n".join(lines))
        constraints = Path(place, "constraints.txt")
        pins = dict(packages.constraints) | dict(packages.essential)
        constraints.write_text("\n".join(f"{name}=={version}" for name, version in sorted(pins.items())))
        command = [uv(), "pip", "install", "--quiet", "--no-config", "--compile-bytecode", "--python", str(python)]
        _run([*command, "--constraint", str(constraints), "--requirement", str(listed)], "install Airflow")
    (folder / "complete").touch()
    return python


def versions_of(python: Path) -> tuple[str, tuple[int, int]]:
    """Return the version of the Airflow that a Python has, and its own.

    Raises:
        StackTroubleError: it has none, or is no Python.
    """
    command = [str(python), "-c", _VERSIONS]
    airflow, major, minor = _run(command, f"find Airflow in {python}", seconds=SECONDS_TO_START).stdout.split()
    return airflow, (int(major), int(minor))


def _make(folder: Path, wanted: str) -> None:
    """Make the virtual environment on the environment's Python; on this one where that cannot be had."""
    command = [uv(), "venv", "--quiet", "--no-config", "--clear"]
    try:
        _run([*command, "--python", wanted, str(folder)], "make a virtual environment")
    except StackTroubleError as exc:
        own = ".".join(map(str, sys.version_info[:2]))
        say(f"{exc}\nPython {wanted} cannot be had: Python {own} is taken, which may read some files otherwise.")
        _run([*command, "--python", sys.executable, str(folder)], "make a virtual environment")


def requirements(packages: Packages) -> list[str]:
    """Return what is installed: Airflow and MWAA's providers, at MWAA's versions."""
    providers = (name for name in packages.installed if name.startswith("apache-airflow-providers-"))
    names = ["apache-airflow", *sorted(set(providers) - _NOT_TAKEN)]
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
    plugins: bytes | None = None,
    judge_plugins: bool = False,
    judge_settings: bool = False,
) -> dict[str, dict[str, Any]]:
    """Load DAG files with the Airflow of that Python.

    Args:
        python: of a virtual environment that has Airflow.
        folder: the dags folder.
        files: relative to it.
        provided: "modules", "binaries" and "unlisted" distributions that the environment has.
        nearest: this Airflow is not the environment's version.
        other_python: nor is this Python.
        plugins: the modules of plugins.zip, zipped.
        judge_plugins: load these by themselves, too.
        judge_settings: load airflow_local_settings.py of the folder and of the plugins, too.

    Returns:
        What came of each file, by its path, as jetway_loader says it; PLUGINS_ANSWER is of the plugins, and
        SETTINGS_ANSWER of airflow_local_settings.py.

    Raises:
        StackTroubleError: Airflow does not work.
    """
    import jetway_loader

    jobs = min(4, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="jetway-") as place:
        # A copy, so that nothing else that is installed beside jetway is seen.
        shutil.copytree(Path(jetway_loader.__file__).parent, Path(place, "jetway_loader"))
        Path(place, "provided.json").write_text(json.dumps(provided))
        Path(place, "files.json").write_text(json.dumps(list(files)))
        command = [str(python), "-m", "jetway_loader", "--json", "--jobs", str(jobs)]
        command += ["--files", str(Path(place, "files.json"))]
        command += ["--provided", str(Path(place, "provided.json")), *(["--nearest"] if nearest else [])]
        command += ["--memory", str(MEBIBYTES_FOR_ONE_FILE), *(["--other-python"] if other_python else [])]
        if plugins is not None:
            Path(place, "plugins.zip").write_bytes(plugins)
            command += ["--plugins", str(Path(place, "plugins.zip")), *(["--judge-plugins"] if judge_plugins else [])]
        command += [*(["--judge-settings"] if judge_settings else []), "--", str(folder)]
        env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        done = _run(
            command,
            "load DAG files",
            env=env | {"PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"},
            seconds=SECONDS_TO_START
            + SECONDS_FOR_ONE_FILE * (len(files) / jobs + 2 * judge_plugins + 4 * judge_settings),
            good=(0, 1),
        )
    try:
        return {loaded["path"]: loaded for loaded in json.loads(done.stdout)}
    except ValueError:
        raise StackTroubleError(f"Could not load DAG files: {(done.stderr or done.stdout).strip()[-1000:]}") from None


def _cache() -> Path:
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
