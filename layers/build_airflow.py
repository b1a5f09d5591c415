"""Builds the layer that has a real Airflow, for the function import_dag. Runs on the standard library alone.

    python layers/build_airflow.py 3.3.1 ARTIFACTS_DIR

The pinned wheels of requirements/airflow-<version>.txt for Lambda's Python and architecture, without what loading a
DAG file never needs, with compiled bytecode (/opt cannot be written, and without it a cold start takes two to three
times as long) and with a migrated database that the loader copies.

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

from local import venvs  # noqa: E402
from local.airflow_template import AirflowError, ensure_template  # noqa: E402

ON_MWAA = "3.12"
PLATFORMS = {"arm64": "aarch64-manylinux_2_34", "x86_64": "x86_64-manylinux_2_34"}

# Lambda's limit for a function and its layers, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 240 * 1024**2

# Never imported when a DAG file is loaded: web servers, XML, telemetry's transport. A DAG file that imports one of them
# itself gets a stand-in, because the environment has it.
NOT_NEEDED = (
    "airflow/example_dags",
    "airflow/ui",
    "airflow/www/static",
    "airflow/www/templates",
    "airflow/www/translations",
    "airflow/providers/fab/www",
    "airflow/providers/edge3",
    "flask_appbuilder/static",
    "flask_appbuilder/templates",
    "flask_appbuilder/translations",
    "grpc",
    "httptools",
    "lxml",
    "nvd3",
    "pip",
    "sagemaker_studio",
    "setuptools",
    "uvloop",
    "watchfiles",
    "bin",
)


class BuildError(RuntimeError):
    """The layer cannot be built; the text says what to do."""


def build(version: str, artifacts: Path) -> None:
    """Put the layer of that Airflow version into `artifacts`.

    Raises:
        BuildError, SetupError, AirflowError: what went wrong, and what to do.
    """
    artifacts.mkdir(parents=True, exist_ok=True)
    if version not in os.environ.get("AIRFLOW_LAYERS", version).split():
        (artifacts / "README").write_text(f"Airflow {version} was not asked for (AIRFLOW_LAYERS).\n")
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
    _strip(packages)
    if interpreter is not None:
        # By hash and unchecked: a zip file keeps other times than those of the build.
        options = ["--invalidation-mode", "unchecked-hash", "-s", layer, "-p", "/opt"]
        _run(
            [interpreter, "-m", "compileall", "-q", "-j", "0", *options, packages],
            "compile the layer",
            also=(1,),  # some packages ship templates that are no Python
        )
    size = sum(file.stat().st_size for file in layer.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        raise BuildError(f"the layer of Airflow {version} has {size:,} bytes, more than Lambda takes; strip more.")


def _interpreter(version: str, python: str) -> Path | None:
    """A Python of that version with this Airflow; None when there is none."""
    try:
        return venvs.ensure(f"airflow-{version}", python=python)
    except venvs.SetupError as exc:
        sys.stderr.write(f"{exc}\n")
        return None


def _strip(packages: Path) -> None:
    for name in NOT_NEEDED:
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


def _link(source: str, target: str) -> object:
    try:
        os.link(source, target)
    except OSError:  # another file system
        return shutil.copy2(source, target)
    return target


def _run(command: list[str | Path], what: str, *, also: tuple[int, ...] = ()) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode not in {0, *also}:
        raise BuildError(f"could not {what}:\n{(done.stderr or done.stdout)[-2000:]}")


if __name__ == "__main__":
    try:
        build(sys.argv[1], Path(sys.argv[2]))
    except (BuildError, venvs.SetupError, AirflowError) as exc:
        sys.exit(str(exc))
