"""Both sides: the gate as `jetway check --load` has it, and a plain Airflow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_cli.check import environment_of
from jetway_cli.check_files import find
from jetway_cli.check_judging import Judge
from tools import venvs

if TYPE_CHECKING:
    from jetway.promotion.reports import Report

SETTINGS = "airflow_local_settings.py"


@dataclass(frozen=True)
class Job:
    """What Airflow is asked for.

    Attributes:
        home: the environment's folder, with dags/, plugins/ and site/.
        files: relative to dags/.
        seconds: for one file.
    """

    name: str
    home: Path
    files: Sequence[str]
    variables: Mapping[str, str]
    seconds: float = 30.0

    def as_json(self) -> str:
        """As truth.py takes it."""
        return json.dumps(
            {
                "name": self.name,
                "home": str(self.home),
                "files": list(self.files),
                "variables": dict(self.variables),
                "seconds": self.seconds,
                "plugins": (self.home / "plugins").is_dir(),
            }
        )

    @property
    def own_process(self) -> bool:
        """Whether what it has is run when Airflow is imported."""
        return any((self.home / place / SETTINGS).exists() for place in ("dags", "plugins"))


def gate(folder: Path, version: str, python: Path, *, resolves: bool = False) -> dict[str, Report]:
    """What the gate says of each file of a project: path below it → report.

    Args:
        folder: the project.
        python: of a virtual environment with that version of Airflow, the image's packages and nothing else.
        resolves: whether requirements.txt is resolved; it asks a package index.
    """
    judge = Judge(environment_of(version), loads=True, resolves=resolves, airflow_python=python, keeps=True)
    with tempfile.TemporaryDirectory(prefix="jetway-") as scratch:
        reports = judge.all(find([folder], Path(scratch)).found)
    if judge.trouble is not None:
        raise judge.trouble
    return {report.path.removeprefix(f"{folder}/"): report for report in reports}


def truth(python: Path, jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """What Airflow says of each job, by its name: {"files": {file: {"errors", "dags", …}}, "plugins": errors}."""
    alone = [job for job in jobs if job.own_process]
    together = [job for job in jobs if not job.own_process]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        env = _environment(home)
        shutil.copyfile(_database(python), home / "airflow.db")
        said = _ask(python, together, env)
        for job in alone:
            said |= _ask(python, [job], env | _as_mwaa(job)) or _does_not_start(job)
    return said


def _database(python: Path) -> Path:
    """Airflow's database with its tables, made once for each set of packages."""
    stamp = hashlib.sha256((python.parent.parent / "installed").read_bytes()).hexdigest()[:12]
    made = venvs.HOME / "bench" / f"{python.parent.parent.name}-{stamp}.db"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as home:
            env = _environment(Path(home))
            subprocess.run([str(python), "-m", "airflow", "db", "migrate"], env=env, capture_output=True, check=True)
            shutil.move(f"{home}/airflow.db", made)
    return made


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }


# https://github.com/aws/amazon-mwaa-docker-images: images/airflow/*/airflow_local_settings.py
_RUNS_BOTH = """
import importlib.util

for _name, _path in {files!r}:
    _spec = importlib.util.spec_from_file_location(_name, _path)
    _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    globals().update({{name: value for name, value in vars(_module).items() if not name.startswith("__")}})
"""


def _as_mwaa(job: Job) -> dict[str, str]:
    """Give a job the file that MWAA's image has: it runs the users' own whenever Airflow is imported."""
    config = job.home / "config" / SETTINGS
    config.parent.mkdir(exist_ok=True)
    files = [(place, str(job.home / place / SETTINGS)) for place in ("dags", "plugins")]
    config.write_text(_RUNS_BOTH.format(files=[(place, path) for place, path in files if Path(path).exists()]))
    found = [str(config.parent), str(job.home / "site")]
    folders = {f"AIRFLOW__CORE__{name.upper()}_FOLDER": str(job.home / name) for name in ("dags", "plugins")}
    return {"PYTHONPATH": os.pathsep.join(found), **folders, **job.variables}


def _ask(python: Path, jobs: Sequence[Job], env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("truth.py"))],
        env=dict(env),
        input="".join(job.as_json() + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not (len(jobs) == 1 and jobs[0].own_process):
        raise SystemExit(f"DagBag failed: {done.stderr[-2000:]}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["name"]: answer for answer in answers}


def _does_not_start(job: Job) -> dict[str, dict[str, Any]]:
    error = {"errors": ["Airflow does not start"], "dags": [], "parsed": 0, "seconds": 0.0}
    return {job.name: {"files": dict.fromkeys(job.files, error), "plugins": ["Airflow does not start"]}}
