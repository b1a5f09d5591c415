"""The settings of the local Airflow: which programs, and the environment variables that tune them.

Tuned for a laptop: a new DAG file is seen after 1-2 s and a triggered run ends about 2 s later, at about 5 % of
one core when idle.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.emulator.airflow import Airflow

# Nothing else of the caller's environment reaches Airflow: above all no AWS credentials of a real account.
_INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "USER",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)

_COMMON = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # The default of 30 s is the time an edited DAG file takes to show.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__USE_ROW_LEVEL_LOCKING": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}

_AIRFLOW_2 = {
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    # A task that ends would schedule those after it, as the scheduler does at the same time. Rows of PostgreSQL can be
    # locked; in SQLite both count a try: about one task in twelve began with its second one, and was queued twice.
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    "AIRFLOW__API__AUTH_BACKENDS": (
        "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,"
        "airflow.providers.fab.auth_manager.api.auth.backend.session"
    ),
    "AIRFLOW__WEBSERVER__WARN_DEPLOYMENT_EXPOSURE": "False",
    # Airflow 2 refuses LocalExecutor on SQLite, although it works well enough for one scheduler.
    "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
}

_LOOKS_2 = ("min_file_process_interval", "dag_dir_list_interval")
_LOOKS_3 = ("min_file_process_interval", "refresh_interval")

_AIRFLOW_3 = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
}


def options(airflow_major: int) -> dict[str, str]:
    """What GetEnvironment would show as AirflowConfigurationOptions: how often this Airflow looks at DAG files."""
    if airflow_major >= 3:
        names = {name: f"AIRFLOW__DAG_PROCESSOR__{name.upper()}" for name in _LOOKS_3}
        return {f"dag_processor.{name}": _AIRFLOW_3[variable] for name, variable in names.items()}
    names = {name: f"AIRFLOW__SCHEDULER__{name.upper()}" for name in _LOOKS_2}
    return {f"scheduler.{name}": _AIRFLOW_2[variable] for name, variable in names.items()}


def programs(airflow: Airflow) -> dict[str, tuple[str, list[str]]]:
    """Name → (log level, arguments of `airflow`) of each program.

    Levels are MWAA's defaults: INFO for tasks, which the scheduler's LocalExecutor runs here, else WARNING.
    https://docs.aws.amazon.com/mwaa/latest/userguide/monitoring-airflow.html
    """
    port = str(airflow.port)
    scheduler = ("INFO", ["scheduler", "--skip-serve-logs"])
    if airflow.major >= 3:
        return {
            "airflow-api-server": (
                "WARNING",
                ["api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"],
            ),
            "airflow-scheduler": scheduler,
            "airflow-dag-processor": ("WARNING", ["dag-processor"]),
        }
    web = ["webserver", "--workers", "1", "--workerclass", "sync", "--hostname", "127.0.0.1", "--port", port]
    return {"airflow-webserver": ("WARNING", web), "airflow-scheduler": scheduler}


def environment(airflow: Airflow, *, log_level: str) -> dict[str, str]:
    """The whole environment of one of Airflow's programs."""
    home = airflow.home
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env |= {
        "PATH": f"{airflow.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(airflow.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str((airflow.overlay or home) / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": airflow.fernet_key,
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(airflow.paused_at_creation),
        "AIRFLOW__CORE__PARALLELISM": str(airflow.parallelism),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow.database}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": log_level,
    }
    env |= _COMMON
    if airflow.major >= 3:
        env |= _AIRFLOW_3
        env |= {
            "AIRFLOW__API__BASE_URL": airflow.url,
            "AIRFLOW__API__SECRET_KEY": airflow.secret,
            "AIRFLOW__API_AUTH__JWT_SECRET": airflow.secret,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow.url}/execution/",
        }
    else:
        env |= _AIRFLOW_2
        env |= {
            "AIRFLOW__WEBSERVER__BASE_URL": airflow.url,
            "AIRFLOW__WEBSERVER__SECRET_KEY": airflow.secret,
        }
    if airflow.overlay is not None:
        env["PYTHONPATH"] = str(airflow.overlay / "packages")
    return {**env, **airflow.startup_env, **airflow.extra_env}
