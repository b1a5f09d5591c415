"""Virtual environments of the project, each from its own hash-pinned list. Runs on the standard library alone.

`python3 tools/venvs.py` makes the one that everything else runs in (.venv); the local stack asks for the others:
MiniStack, SAM and Airflow each get their own, because their pins contradict each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".jetway"
DEV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)


class SetupError(RuntimeError):
    """A virtual environment could not be made; the text says what to do."""


def ensure(name: str, *, python: str | None = None) -> Path:
    """Make the virtual environment of requirements/<name>.txt unless it is there, and return its Python.

    Args:
        name: of the list.
        python: version such as "3.12", found on this machine or fetched by uv; this interpreter by default.

    Raises:
        SetupError: no network, no venv module, or a package that does not fit this Python.
    """
    other = python is not None and python != f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = DEV if name == "dev" else HOME / "venvs" / (f"{name}-python{python}" if other else name)
    requirements = ROOT / "requirements" / f"{name}.txt"
    made = folder / "bin" / "python"
    stamp = folder / "installed"
    version = python if other and python else sys.version
    wanted = hashlib.sha256(requirements.read_bytes() + version.encode() + (_project() if name == "dev" else b""))
    tool = uv()
    with alone(folder.name):
        if made.exists() and stamp.exists() and stamp.read_text() == wanted.hexdigest():
            stamp.touch()  # for make, which goes by times
        else:
            _make(name, folder, tool, find_python(python) if other and python else sys.executable)
            stamp.write_text(wanted.hexdigest())
    return made


def _project() -> bytes:
    """What .venv knows of Jetway itself, such as its version and its commands: an installation does not follow it."""
    import tomllib  # noqa: PLC0415 - a Python that is too old has none, and is to be told so

    return repr(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]).encode()


def _make(name: str, folder: Path, tool: Path, python: str) -> None:
    made, requirements = folder / "bin" / "python", ROOT / "requirements" / f"{name}.txt"
    _run(
        [tool, "venv", "--quiet", "--clear", "--python", python, folder],
        f"make {folder.name}",
    )
    _run(
        [tool, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", made, requirements],
        f"install {requirements.relative_to(ROOT)}",
    )
    if name == "dev":  # the console script `jetway`, running from the sources
        editable: list[str | Path] = ["--no-deps", "--no-build-isolation", "--editable", ROOT]
        _run([tool, "pip", "install", "--quiet", "--python", made, *editable], "install jetway itself")


def extend(name: str, extension: str) -> None:
    """Add requirements/<extension>.txt to the virtual environment of requirements/<name>.txt, unless it has them.

    Raises:
        SetupError: as `ensure`.
    """
    python, requirements = ensure(name), ROOT / "requirements" / f"{extension}.txt"
    stamp = python.parent.parent / f"installed-{extension}"  # gone when the environment is made anew
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    install: list[str | Path] = [uv(), "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    _run([*install, "--python", python, "--requirement", requirements], f"install {requirements.relative_to(ROOT)}")
    stamp.write_text(wanted)


def find_python(version: str) -> str:
    """Return a Python of pyenv, whose shims uv cannot use, or the version itself, for uv to find or fetch it.

    Args:
        version: such as "3.12".
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = {int(last): python for python in pyenv.glob(f"{version}.*/bin/python") if (last := _patch(python))}
    return str(found[max(found)]) if found else version


def _patch(python: Path) -> str | None:
    """Of versions/3.12.1/bin/python the 1; nothing of 3.13.0rc1 or 3.13t."""
    last = python.parent.parent.name.rpartition(".")[2]
    return last if last.isdecimal() else None


def python_with_pip() -> Path:
    """Return a Python that has pip; uv makes its virtual environments without."""
    return uv().with_name("python")


def uv() -> Path:
    """Return the pinned uv, installed with pip into a virtual environment of its own."""
    folder = HOME / "venvs" / "uv"
    tool, stamp = folder / "bin" / "uv", folder / "installed"
    requirements = ROOT / "requirements" / "uv.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    with alone("uv"):
        if tool.exists() and stamp.exists() and stamp.read_text() == wanted:
            return tool
        _run(
            [sys.executable, "-m", "venv", "--clear", folder],
            "make a virtual environment (on Debian and Ubuntu it needs the package python3-venv)",
        )
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
        pip.append("--disable-pip-version-check")
        _run([*pip, "--require-hashes", "--requirement", requirements], "install uv")
        stamp.write_text(wanted)
    return tool


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process makes that virtual environment: `sam build` makes layers in parallel."""
    lock = HOME / "venvs" / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when it is closed
        yield


def _run(command: Sequence[str | Path], what: str) -> None:
    # A virtual environment that is active in the caller's shell must not redirect uv.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=env)
    if result.returncode == 0:
        return
    output = (result.stderr or result.stdout).strip()
    hint = ""
    if any(word in output for word in ("Failed to fetch", "dns error", "Connection", "connect", "resolve host")):
        hint = "\nThe Python package index could not be reached: check the network or the proxy, then run it again."
    raise SetupError(f"could not {what}:\n{output[-2000:]}{hint}")


def main() -> int:
    """Make .venv, or the virtual environments that are named."""
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        print(f"Jetway needs Python 3.11 or newer; this is {have}. Try: make PYTHON=python3.12 …", file=sys.stderr)
        return 1
    try:
        for name in sys.argv[1:] or ["dev"]:
            ensure(name)
    except SetupError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
