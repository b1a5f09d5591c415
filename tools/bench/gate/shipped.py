"""DAG files that others wrote: Airflow's own examples, and all that its providers ship in wheels and sdists.

The sdists are pinned with their hashes (requirements/gate-sdists-*.txt). Most need a provider that MWAA's image has
not: Airflow has it (requirements/gate-*.txt), and the gate is told by a requirements.txt that it could not resolve.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tools import venvs

_PROVIDER = re.compile(r"^(apache-airflow-providers-[\w-]+)==(\S+?) ?\\?$", re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "conftest.py")


def truth_python(version: str) -> Path:
    """The Python with Airflow and the providers."""
    return venvs.ensure(f"gate-{version}")


def write(version: str, folder: Path) -> dict[str, list[str]]:
    """Write two projects, of the wheels' examples and of the sdists' system tests, which share some.

    Returns:
        The folder of each below `folder`, and its DAG files below dags/.

    Raises:
        SetupError: no index answers.
    """
    python = truth_python(version)
    packages = next(python.parent.parent.glob("lib/python3*/site-packages"))
    for found in sorted(packages.glob("airflow/**/example_dags")):
        name = "_".join(found.relative_to(packages).parts[:-1])
        shutil.copytree(found, folder / "examples" / "dags" / name, ignore=_NOT_COPIED)
    system = folder / "system" / "dags"
    for archive in _sdists(version, python):
        for root in _unpacked(archive):
            shutil.copytree(root, system / "system", ignore=_NOT_COPIED, dirs_exist_ok=True)
    (system / "system" / "__init__.py").touch()
    _write_helpers(system)
    listed = (venvs.ROOT / "requirements" / f"gate-{version}.txt").read_text()
    lines = [f"{name}=={pin}\n" for name, pin in _PROVIDER.findall(listed)]
    files = {}
    for project in ("examples", "system"):
        (folder / project / "requirements.txt").write_text("".join(lines))
        dags = folder / project / "dags"
        code = [path for path in dags.rglob("*.py") if path.stat().st_size and "tests_common" not in path.parts]
        files[project] = sorted(path.relative_to(dags).as_posix() for path in code)
    return files


def _sdists(version: str, python: Path) -> list[Path]:
    """The archives, fetched once."""
    home = venvs.HOME / "bench" / f"sdists-{version}"
    listed = venvs.ROOT / "requirements" / f"gate-sdists-{version}.txt"
    if not (home / "complete").exists():
        command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command += ["--require-hashes", "--no-build-isolation", "--dest", str(home), "--requirement", str(listed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise venvs.SetupError(f"could not fetch the providers' sources:\n{done.stderr.strip()[-2000:]}")
        (home / "complete").touch()
    return sorted(home.glob("*.tar.gz"))


def _unpacked(archive: Path) -> list[Path]:
    """The folders of an sdist that hold system tests."""
    folder = archive.with_name(archive.name.removesuffix(".tar.gz"))
    if not folder.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(archive.parent, filter="data")
    return [found for found in [folder / "tests" / "system"] if found.is_dir()]


def _write_helpers(folder: Path) -> None:
    """Stand-ins for what system tests import from Airflow's own repository, without which none of them would load."""
    helpers = folder / "tests_common" / "test_utils"
    helpers.mkdir(parents=True, exist_ok=True)
    (helpers.parent / "__init__.py").touch()
    (helpers / "__init__.py").touch()
    (helpers / "system_tests.py").write_text(_SYSTEM_TESTS)
    (helpers / "watcher.py").write_text(_WATCHER)
    (helpers / "version_compat.py").write_text(_VERSIONS)
    (helpers / "api_client_helpers.py").write_text(_CALLS)


_SYSTEM_TESTS = """
def get_test_run(dag, **_):
    def test_run():
        dag.test()

    return test_run


def get_test_env_id():
    return "bench"
"""
_CALLS = """
def create_airflow_connection(connection_id, connection_conf):
    raise RuntimeError("no API here")


def delete_airflow_connection(connection_id):
    raise RuntimeError("no API here")


def make_authenticated_rest_api_request(path, method, body=None):
    raise RuntimeError("no API here")
"""
_WATCHER = """
try:
    from airflow.sdk import task
except ImportError:
    from airflow.decorators import task

@task(trigger_rule="one_failed", retries=0)
def watcher():
    raise RuntimeError("a task has failed")
"""
_VERSIONS = """
from airflow import __version__

AIRFLOW_V_3_0_PLUS = __version__.startswith("3.")
AIRFLOW_V_3_1_PLUS = AIRFLOW_V_3_0_PLUS and not __version__.startswith("3.0.")
AIRFLOW_V_3_2_PLUS = AIRFLOW_V_3_1_PLUS and not __version__.startswith("3.1.")
"""
