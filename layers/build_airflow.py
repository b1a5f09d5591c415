"""Builds the layer that has a real Airflow, for the function import_dag. Runs on the standard library alone.

    python layers/build_airflow.py 3.3.1 ARTIFACTS_DIR

The pinned wheels of requirements/airflow-<version>.txt for Lambda's Python and architecture, which are those of MWAA's
image, without what nobody imports and what there is no room for, with compiled bytecode (/opt cannot be written, and
without it a cold start takes two to three times as long) and with a migrated database that the loader copies.

Environment variables:
    ARCHITECTURE            arm64 (default) or x86_64, as the template's parameter
    AIRFLOW_LAYER_PYTHON    3.12 by default, which MWAA runs these versions on; "local" for this machine's own
                            interpreter and platform, which the local stack runs functions on
    AIRFLOW_LAYERS          versions to build, by default all; the layer of another version is an empty one
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import venvs  # noqa: E402
from tools.emulator.airflow_template import AirflowError, ensure_template  # noqa: E402

ON_MWAA = "3.12"
PLATFORMS = {"arm64": "aarch64-manylinux_2_34", "x86_64": "x86_64-manylinux_2_34"}

# Lambda's limit for a function and its layers, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 240 * 1024**2

# What nobody imports: pages, pictures and programs; and what Python itself is installed with.
DATA = (
    "airflow/example_dags",
    "airflow/ui",
    "airflow/www/static",
    "airflow/www/templates",
    "airflow/www/translations",
    "airflow/providers/fab/www/static",
    "airflow/providers/fab/www/templates",
    "airflow/providers/fab/www/translations",
    "flask_appbuilder/static",
    "flask_appbuilder/templates",
    "flask_appbuilder/translations",
    "flower/static",
    "lxml/includes",
    "pip",
    "virtualenv/seed/wheels/embed",
    "bin",
    "share",
)

# What the image has and the layer has no room for: servers and transports, each with libraries of its own of 15 MB and
# more. A DAG file that imports one gets a stand-in with its modules and names
# (artifacts/requirements/contents.json). psycopg is of no use without psycopg_binary; psycopg2 stays.
NO_ROOM = {
    "3.3.1": ("grpc", "psycopg", "psycopg_binary", "psycopg_binary.libs", "pycurl", "pycurl.libs", "uvloop"),
}

# Runs in the other interpreter: which packages are imported by the time that a DAG file is loaded.
_IMPORTED = """
import logging, sys, tempfile, warnings
from pathlib import Path
from jetway_loader import settings
with tempfile.TemporaryDirectory() as home:
    settings.set_up(Path(home), Path(home))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from jetway_loader import airflow_api
    airflow = airflow_api.load_airflow()
    settings.migrate(airflow.version)
    airflow_api.warm_up(airflow)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
_BYTECODE = 1.25  # bytes of it, at the most, for one of source


class BuildError(RuntimeError):
    """The layer cannot be built; the text says what to do."""


def build(version: str, artifacts: Path) -> None:
    """Put the layer of that Airflow version into `artifacts`.

    Raises:
        BuildError, SetupError, AirflowError: what went wrong, and what to do.
    """
    artifacts.mkdir(parents=True, exist_ok=True)
    if version not in os.environ.get("AIRFLOW_LAYERS", version).split():
        readme = artifacts / "README"
        readme.write_text(f"Airflow {version} was not asked for (AIRFLOW_LAYERS).\n")
        readme.chmod(0o644)  # a umask would get into the zip file
        return
    requirements = ROOT / "requirements" / f"airflow-{version}.txt"
    python, platform = _target()
    what = hashlib.sha256(requirements.read_bytes() + Path(__file__).read_bytes() + f"{python} {platform}".encode())
    built = venvs.HOME / "layers" / f"airflow-{version}-{what.hexdigest()[:16]}"
    if not built.exists():
        draft = built.with_suffix(f".{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        _make(version, requirements, draft, python, platform)
        try:
            draft.replace(built)
        except OSError:  # another build was faster
            shutil.rmtree(draft)
    # Hard links: a copy of some 10,000 files takes longer than all the rest.
    shutil.copytree(built, artifacts, copy_function=_link, dirs_exist_ok=True)


def _target() -> tuple[str, str | None]:
    """Python version and platform of the wheels; no platform for this machine's."""
    python = os.environ.get("AIRFLOW_LAYER_PYTHON", ON_MWAA)
    if python == "local":
        return f"{sys.version_info[0]}.{sys.version_info[1]}", None
    architecture = os.environ.get("ARCHITECTURE", "arm64")
    if architecture not in PLATFORMS:
        raise BuildError(f"ARCHITECTURE is {architecture!r}; it must be one of {', '.join(PLATFORMS)}.")
    return python, PLATFORMS[architecture]


def _make(version: str, requirements: Path, layer: Path, python: str, platform: str | None) -> None:
    packages = layer / "python"
    command: list[str | Path] = [venvs.uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--target", packages, "--python-version", python, "--requirement", requirements]
    if platform is not None:
        command += ["--python-platform", platform]
    _run(command, f"install {requirements.relative_to(ROOT)}")
    interpreter = _interpreter(version, python)
    if interpreter is None:
        database_of = venvs.ensure(f"airflow-{version}")
        sys.stderr.write(
            f"No Python {python} is here and none could be fetched: Airflow's layer has no compiled bytecode, and cold "
            f"starts of import_dag take two to three times as long. Install Python {python} and build again.\n"
        )
    else:
        database_of = interpreter
    template = ensure_template(database_of, version)
    shutil.copyfile(template.database, layer / f"airflow-{version}.db")
    _strip(version, packages)
    if interpreter is not None:
        _compile(interpreter, packages, layer)
    size = _size(layer)
    if size > MOST_BYTES:
        raise BuildError(f"the layer of Airflow {version} has {size:,} bytes, more than Lambda takes; strip more.")


def _interpreter(version: str, python: str) -> Path | None:
    """A Python of that version with this Airflow; None when there is none."""
    try:
        return venvs.ensure(f"airflow-{version}", python=python)
    except venvs.SetupError as exc:
        sys.stderr.write(f"{exc}\n")
        return None


def _strip(version: str, packages: Path) -> None:
    for name in (*DATA, *NO_ROOM.get(version, ())):
        shutil.rmtree(packages / name, ignore_errors=True)
    for folder in ("tests", "test", "__pycache__"):
        for found in sorted(packages.rglob(folder)):
            if found.is_dir() and not (folder == "test" and found.parent == packages):
                shutil.rmtree(found)
    for pattern in ("*.pyi", "*.pxd", "*.pyx", "*.c", "*.h"):
        for file in packages.rglob(pattern):
            file.unlink()
    for file in (packages / "babel" / "locale-data").glob("*.dat"):
        if file.stem not in {"root", "en", "en_US", "en_001"}:
            file.unlink()


def _compile(interpreter: Path, packages: Path, layer: Path) -> None:
    """Add bytecode: of what is imported whatever the DAG file is, then of as many others as there is room for."""
    done = _run([interpreter, "-c", _IMPORTED], "import Airflow", env={"PYTHONPATH": str(ROOT / "layers" / "loader")})
    imported = set(done.stdout.splitlines()[-1].split())  # above it Airflow may have logged
    sources = {path: _size(path, "*.py") for path in packages.iterdir() if path.is_dir() or path.suffix == ".py"}
    always = [path for path in sources if path.name.partition(".")[0] in imported]
    _bytecode(interpreter, always, layer)
    room = MOST_BYTES - _size(layer)
    chosen = []
    for path in sorted(sources.keys() - set(always), key=lambda path: (sources[path], path)):
        room -= int(sources[path] * _BYTECODE)
        if sources[path] and room >= 0:
            chosen.append(path)
    _bytecode(interpreter, chosen, layer)


def _bytecode(interpreter: Path, paths: list[Path], layer: Path) -> None:
    # By hash and unchecked: a zip file keeps other times than those of the build.
    options: list[str | Path] = ["--invalidation-mode", "unchecked-hash", "-s", layer, "-p", "/opt"]
    _run(
        [interpreter, "-m", "compileall", "-q", "-j", "0", *options, *paths],
        "compile the layer",
        also=(1,),  # some packages ship templates that are no Python
    )


def _size(folder: Path, pattern: str = "*") -> int:
    """Bytes of a folder's files, or of a file."""
    files = folder.rglob(pattern) if folder.is_dir() else [folder]
    return sum(file.stat().st_size for file in files if file.is_file())


def _link(source: str, target: str) -> object:
    try:
        os.link(source, target)
    except OSError:  # another file system
        return shutil.copy2(source, target)
    return target


def _run(
    command: list[str | Path], what: str, *, also: tuple[int, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, **env} if env else None
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=own)
    if done.returncode not in {0, *also}:
        raise BuildError(f"could not {what}:\n{(done.stderr or done.stdout)[-2000:]}")
    return done


if __name__ == "__main__":
    try:
        build(sys.argv[1], Path(sys.argv[2]))
    except (BuildError, venvs.SetupError, AirflowError) as exc:
        sys.exit(str(exc))
