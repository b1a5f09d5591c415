"""A migrated Airflow database, made once in a virtual environment and copied ever after.

`airflow db migrate` takes 5-15 s; a copy takes no time, so tests and a fresh `make up` need not wait for it. The
template belongs to the virtual environment because it depends on nothing but the packages installed there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_MIGRATE_SECONDS = 300


class AirflowError(RuntimeError):
    """The local Airflow cannot be set up; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated database and the password of its user `admin` (used on Airflow 2 only)."""

    database: Path
    password: str


def ensure_template(python: Path, version: str) -> Template:
    """Return the template of a virtual environment, made when there is none.

    Raises:
        AirflowError: the migration failed; the text ends with what Airflow said.
    """
    folder = python.parent.parent / "jetway-airflow-template"
    password_file = folder / "password"
    if not password_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two stacks at once: the password of one is none for the other's database
            if not password_file.exists():
                _make_whole(python, version, folder, password_file)
    return Template(folder / "airflow.db", password_file.read_text())


def install_template(template: Template, home: Path) -> None:
    """Give an AIRFLOW_HOME the database, unless it has one."""
    config = home / "airflow.cfg"
    if not config.exists():
        # Without a file Airflow writes one of 3,000 lines, and three programs that start at once race for it.
        config.write_text("# Settings come from AIRFLOW__… environment variables.\n")
    database = home / "airflow.db"
    if not database.exists():
        draft = home / "airflow.db.new"
        shutil.copyfile(template.database, draft)
        draft.replace(database)


def _make_whole(python: Path, version: str, folder: Path, password_file: Path) -> None:
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        _make(python, version, Path(home), password)
        (Path(home) / "airflow.db").replace(folder / "airflow.db")
    draft = folder / "password.new"
    draft.touch(mode=0o600)
    draft.write_text(password)
    draft.replace(password_file)  # written last: with it the template is whole


def _make(python: Path, version: str, home: Path, password: str) -> None:
    env = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    _run(python, ["db", "migrate"], env)
    if version.startswith("2."):
        names = ["--username", "admin", "--firstname", "Local", "--lastname", "Stack", "--role", "Admin"]
        _run(python, ["users", "create", *names, "--email", "admin@localhost", f"--password={password}"], env)


def _run(python: Path, arguments: list[str], env: dict[str, str]) -> None:
    command = [str(python), "-m", "airflow", *arguments]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_MIGRATE_SECONDS)
    except subprocess.TimeoutExpired as exc:
        raise AirflowError(f"`airflow {arguments[0]} {arguments[1]}` took more than {exc.timeout:g} s.") from exc
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise AirflowError(f"`airflow {arguments[0]} {arguments[1]}` failed with exit code {done.returncode}:\n{said}")
