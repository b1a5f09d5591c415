"""What must be set before Airflow is imported: a home of its own, no examples, no telemetry, and tracebacks in full."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Options of an environment that change what loading a file gives. Others (secrets backends, executors, policies'
# modules) would make the loader depend on what it must not or cannot reach.
HONOURED = frozenset(
    {
        "core.dag_discovery_safe_mode",
        "core.dag_ignore_file_syntax",
        "core.dagbag_import_timeout",
        "core.default_task_execution_timeout",
        "core.default_task_retries",
        "core.default_task_retry_delay",
        "core.default_task_weight_rule",
        "core.default_timezone",
        "core.max_active_runs_per_dag",
        "core.max_active_tasks_per_dag",
        "core.max_consecutive_failed_dag_runs_per_dag",
        "core.strict_dataset_uri_validation",
        "core.strict_asset_uri_validation",
        "dag_processor.dag_version_inflation_check_level",
        "operators.allow_illegal_arguments",
        "operators.default_owner",
        "operators.default_queue",
        "scheduler.create_cron_data_intervals",
        "scheduler.create_delta_data_intervals",
        "scheduler.catchup_by_default",
        "scheduler.max_dagruns_per_loop_to_schedule",
    }
)

# What MWAA sets for every program, so that reading it is no surprise.
# https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-env-variables.html
_AS_ON_MWAA = {
    "AIRFLOW_ENV_NAME": "jetway",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}

_FIXED = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    # The line of the user's file is in frames that Airflow cuts off by default.
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "True",
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "10000",
    "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "True",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    # Airflow 2 refuses LocalExecutor on SQLite; nothing is executed here.
    "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
}


def set_up(home: Path, folder: Path, *, template: Path | None = None, environ: dict[str, str] | None = None) -> None:
    """Set the process's environment for Airflow, which must not have been imported yet.

    Args:
        home: an empty folder that can be written: AIRFLOW_HOME.
        folder: the dags folder.
        template: a migrated database to copy; Airflow 2 asks it when a file uses a dataset alias, for example.
        environ: the environment variables, for tests.
    """
    target = os.environ if environ is None else environ
    for name in [name for name in target if name.startswith("AIRFLOW__")]:
        del target[name]
    furnish(home, template)
    for name, value in _AS_ON_MWAA.items():
        target.setdefault(name, value)
    target.update(_FIXED)
    target.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        }
    )


def furnish(home: Path, template: Path | None = None) -> None:
    """Put into an AIRFLOW_HOME what Airflow looks for there.

    Raises:
        OSError: no room for it.
    """
    database = home / "airflow.db"
    if template is not None and not database.exists():
        shutil.copyfile(template, database)
    (home / "airflow.cfg").touch()  # without a file Airflow writes one of 3,000 lines


def plugins_folder() -> Path:
    """Where what plugins.zip holds is unpacked: on the path of every process, before the dags folder."""
    return Path(os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])


def as_variables(options: Mapping[str, str]) -> dict[str, str]:
    """Configuration options as the environment variables that Airflow reads at any time; only those honoured."""
    return {
        "AIRFLOW__{}__{}".format(*(part.upper() for part in name.split(".", 1))): value
        for name, value in options.items()
        if name.lower() in HONOURED
    }


@contextmanager
def applied(options: Mapping[str, str]) -> Iterator[None]:
    """Set configuration options for a while."""
    variables = as_variables(options)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def move(version: str, before: Path, home: Path, folder: Path) -> None:
    """Take an Airflow that was imported with another home, and no dags folder, to this home and this folder.

    `set_up` has set the environment for it already, which is where Airflow looks for its configuration at any time.

    Args:
        version: of this Airflow.
        before: the home that it was imported with.
        home: the new one, with a copy of the database if there is one.
        folder: the dags folder.
    """
    import importlib

    def moved(text: str) -> str:
        return text.replace(str(before / "dags"), str(folder)).replace(str(before), str(home))

    sys.path[:] = [moved(place) for place in sys.path]
    configuration = importlib.import_module("airflow.configuration")
    airflow_settings = importlib.import_module("airflow.settings")
    for module in (configuration, airflow_settings):
        for name, value in list(vars(module).items()):
            if isinstance(value, str) and str(before) in value:
                setattr(module, name, moved(value))
    defaults: Any = getattr(configuration.conf, "_default_values", None) or ConfigParser()
    for section in defaults.sections():
        for name, value in defaults.items(section, raw=True):
            if value is not None and str(before) in value:
                defaults.set(section, name, moved(value))
    if version.startswith("2."):
        event = importlib.import_module("sqlalchemy.event")

        def connect(_dialect: Any, _record: Any, arguments: list[Any], _named: Any) -> None:
            arguments[0] = str(home / "airflow.db")

        airflow_settings.engine.dispose(close=False)
        event.listen(airflow_settings.engine, "do_connect", connect)


def migrate(version: str) -> None:
    """Make the tables of Airflow 2's metadata database, unless a template brought them.

    Raises:
        Exception: of SQLAlchemy, when the database cannot be written.
    """
    if not version.startswith("2."):
        return  # the DAG processor of Airflow 3 has no access to it
    import importlib

    sqlalchemy = importlib.import_module("sqlalchemy")
    engine = importlib.import_module("airflow.settings").engine
    importlib.import_module("airflow.models").import_all_models()
    tables = sqlalchemy.MetaData()
    for table in importlib.import_module("airflow.models.base").Base.metadata.tables.values():
        table.to_metadata(tables)
    if "ab_user" not in tables.tables:  # of the auth manager, which is not needed; others refer to it
        sqlalchemy.Table("ab_user", tables, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))
    tables.create_all(engine)
