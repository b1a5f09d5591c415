"""Real Apache Airflow on this machine: prepared, started, waited for, stopped.

    airflow = prepare(state, python, "3.3.1")     # AIRFLOW_HOME with a migrated database; quick the second time
    start(airflow)                                # returns when scheduler, DAG parsing and REST API are ready
    stop(airflow)

Airflow lives in a virtual environment of its own, installed from `requirements_file(version)`; `python` is that
environment's interpreter. Everything listens on 127.0.0.1 only. Airflow 3 takes every caller for an
administrator (simple auth manager), Airflow 2 has one user, `admin`, with a password of its own.

Database: SQLite. Executor: LocalExecutor. Settings that differ from Airflow's defaults are in `environment`.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import threading
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.emulator import airflow_settings, processes
from tools.emulator.airflow_template import AirflowError, ensure_template, install_template

if TYPE_CHECKING:
    from tools.emulator.processes import Process

DEFAULT_VERSION = "3.3.1"
# Versions with pins of their own (requirements/airflow-<version>.txt), and the first Python they do not run on.
VERSIONS: Mapping[str, tuple[int, int] | None] = {"3.3.1": None, "2.11.2": (3, 13)}

_REPOSITORY = Path(__file__).resolve().parents[2]

__all__ = [
    "DEFAULT_VERSION",
    "VERSIONS",
    "Airflow",
    "AirflowError",
    "check_python",
    "prepare",
    "ready",
    "requirements_file",
    "running",
    "start",
    "stop",
]


@dataclass(frozen=True, slots=True)
class Airflow:
    """One Airflow of the local stack; kept in `<state>/airflow-<version>/jetway.json`.

    Attributes:
        home: AIRFLOW_HOME.
        python: the interpreter of Airflow's virtual environment.
        port: of the API server (Airflow 3) or web server (Airflow 2) on 127.0.0.1.
        username, password: of Airflow 2's only user; Airflow 3 asks for none.
        secret: signs sessions and tokens.
        paused_at_creation: whether a new DAG waits to be unpaused, as on MWAA.
        parallelism: how many tasks run at once.
        extra_env: more environment variables of all of Airflow's programs, and so of the tasks.
        overlay: folder with packages and plugins that an update of the environment has brought; None for none.
        startup_env: what the environment's startup script exports.
    """

    home: Path
    python: Path
    version: str
    port: int
    username: str
    password: str
    fernet_key: str
    secret: str
    paused_at_creation: bool = False
    parallelism: int = 4
    extra_env: Mapping[str, str] = field(default_factory=dict)
    overlay: Path | None = None
    startup_env: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    @property
    def run_folder(self) -> Path:
        """Where the programs' logs and pid files are."""
        return self.home / "run"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def file(self) -> Path:
        return self.home / "jetway.json"

    def environment(self, *, log_level: str = "WARNING") -> dict[str, str]:
        """The whole environment of a program of this Airflow."""
        return airflow_settings.environment(self, log_level=log_level)

    def write(self) -> None:
        overlay = str(self.overlay) if self.overlay else None
        values = asdict(self) | {"home": str(self.home), "python": str(self.python), "overlay": overlay}
        draft = self.file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(values, indent=2))
        draft.replace(self.file)

    @classmethod
    def read(cls, file: Path) -> Airflow:
        """Read what `write` wrote; FileNotFoundError when there is nothing."""
        values: dict[str, Any] = json.loads(file.read_text())
        overlay = values.get("overlay")
        values |= {"home": Path(values["home"]), "python": Path(values["python"])}
        values |= {"overlay": Path(overlay) if overlay else None}
        return cls(**values)


def requirements_file(version: str) -> Path:
    """The hash-pinned requirements of that Airflow version.

    Raises:
        AirflowError: a version without pins.
    """
    if version not in VERSIONS:
        known = " and ".join(VERSIONS)
        raise AirflowError(f"The local stack has no Airflow {version}. Set AIRFLOW_VERSION to one of {known}.")
    return _REPOSITORY / "requirements" / f"airflow-{version}.txt"


def check_python(version: str, python_version: tuple[int, int]) -> None:
    """Raise AirflowError when that Airflow version does not run on that Python."""
    requirements_file(version)
    too_new = VERSIONS[version]
    if python_version < (3, 11) or (too_new is not None and python_version >= too_new):
        below = "" if too_new is None else f" and below {too_new[0]}.{too_new[1]}"
        raise AirflowError(
            f"Airflow {version} needs Python 3.11 or newer{below}; this one is "
            f"{python_version[0]}.{python_version[1]}. Give another interpreter or another AIRFLOW_VERSION."
        )


def prepare(
    state: Path,
    python: Path,
    version: str = DEFAULT_VERSION,
    *,
    paused_at_creation: bool = False,
    parallelism: int = 4,
    port: int | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> Airflow:
    """Make AIRFLOW_HOME ready: folders, migrated database, secrets and port.

    Idempotent: port, secrets and the database are kept; the other settings are taken anew and hold from the
    next `start` on. The first time in a virtual environment takes the 5-15 s of `airflow db migrate`.

    Args:
        port: of a new one; a free port by default.

    Raises:
        AirflowError: version and Python do not fit, Airflow is not installed there, or the migration failed.
    """
    check_python(version, _installed(python, version))
    home = state.resolve() / f"airflow-{version}"
    template = ensure_template(python, version)
    for folder in (home, home / "dags", home / "plugins", home / "logs", home / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        airflow = Airflow.read(home / "jetway.json")
    except FileNotFoundError:
        airflow = Airflow(
            home=home,
            python=python,
            version=version,
            port=port or processes.free_port(),
            username="admin",
            password=template.password,
            fernet_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            secret=secrets.token_hex(32),
        )
    airflow = replace(
        airflow,
        python=python,
        paused_at_creation=paused_at_creation,
        parallelism=parallelism,
        extra_env=dict(extra_env or {}),
    )
    if not running(airflow) and not processes.port_is_free(airflow.port):
        airflow = replace(airflow, port=processes.free_port())
    install_template(template, airflow.home)
    airflow.write()
    return airflow


def start(airflow: Airflow, *, seconds: float = 120.0) -> None:
    """Start what does not run yet and wait until all is ready.

    Raises:
        processes.ProcessError: a program ended early or the time is over; the text ends with its log.
    """
    started = [
        processes.start(
            name,
            [str(airflow.python), "-m", "airflow", *arguments],
            folder=airflow.run_folder,
            env=airflow.environment(log_level=level),
            cwd=airflow.home,
        )
        for name, (level, arguments) in airflow_settings.programs(airflow).items()
    ]
    processes.wait_until(lambda: ready(airflow), seconds=seconds, what=f"Airflow {airflow.version}", processes=started)
    if airflow.major >= 3:
        threading.Thread(target=_warm_up, args=(airflow,), name="warm-up", daemon=True).start()


def stop(airflow: Airflow, *, grace: float = 15.0) -> None:
    """Stop all programs of this Airflow and the tasks they run."""
    names = airflow_settings.programs(airflow)
    found = [processes.remembered(airflow.run_folder, name) for name in names]
    processes.stop(*(process for process in found if process is not None), grace=grace)


def running(airflow: Airflow) -> list[Process]:
    """The programs of this Airflow that are alive."""
    found = (processes.find(airflow.run_folder, name) for name in airflow_settings.programs(airflow))
    return [process for process in found if process is not None]


def ready(airflow: Airflow) -> bool:
    """Whether all programs are alive and scheduler and DAG processor have worked since their start."""
    alive = {process.name: process for process in running(airflow)}
    if set(alive) != set(airflow_settings.programs(airflow)):
        return False
    health = _health(airflow)
    if health is None or health.get("metadatabase", {}).get("status") != "healthy":
        return False
    beats = {"airflow-scheduler": ("scheduler", "latest_scheduler_heartbeat")}
    if airflow.major >= 3:
        beats["airflow-dag-processor"] = ("dag_processor", "latest_dag_processor_heartbeat")
    for name, (component, key) in beats.items():
        beat = health.get(component, {}).get(key)
        # "healthy" alone may still speak of a scheduler that was stopped a moment ago.
        if not beat or datetime.fromisoformat(beat).timestamp() < alive[name].pid_file.stat().st_mtime:
            return False
    return True


def _warm_up(airflow: Airflow) -> None:
    """Ask Airflow 3's task API for anything.

    The API server builds that part at the first request, in 5-8 s: better now, while the caller goes on, than when
    the first task starts. Nothing hangs on the answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=60)
    with suppress(OSError, http.client.HTTPException), closing(connection):
        connection.request("GET", "/execution/health/ping")
        connection.getresponse().read()


def _health(airflow: Airflow) -> dict[str, Any] | None:
    path = "/api/v2/monitor/health" if airflow.major >= 3 else "/health"
    # http.client, not urllib: a proxy from the environment must not come between us and loopback.
    connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        found: dict[str, Any] = json.loads(body) if answer.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found


def _installed(python: Path, version: str) -> tuple[int, int]:
    """The version of the interpreter, having seen that it has the right Airflow."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "try: found = m.version('apache-airflow')\n"
        "except m.PackageNotFoundError: found = None\n"
        "print(json.dumps([sys.version_info[:2], found]))"
    )
    try:
        answer = subprocess.run(
            [str(python), "-I", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={"PATH": os.environ.get("PATH", "")},
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise AirflowError(f"{python} is not a Python that works: {exc}") from exc
    (major, minor), found = json.loads(answer.stdout)
    if found != version:
        raise AirflowError(
            f"{python} has Airflow {found or 'not installed'}, not {version}; "
            f"install {requirements_file(version)} there."
        )
    return major, minor
