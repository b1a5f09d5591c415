"""Why Airflow's command line refused a command: its last words, turned into one typed error. Pure functions.

Airflow says it in one of three ways, all seen in tests/data/airflow_cli_records.json: the last line of a
traceback, `module.Class: message`; a usage error of argparse; or a plain line of `SystemExit`.

Texts of errors never repeat conf: of a message only the first line is shown (SQLAlchemy prints parameters in
the following ones), and of a refused param its name and the DAG's schema, not the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    DagPausedError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
)

_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION_LINE = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$", re.MULTILINE)
_USAGE_ERROR = re.compile(r"^airflow [\w -]*error: (.*), see help above\.?$", re.MULTILINE)
_NO_DAG = re.compile(r"^DAG: (\S+) does not exist in 'dag' table$", re.MULTILINE)
_NO_DATABASE = re.compile(r"Please run `airflow db (?:init|migrate|upgrade)`")
_PARAM = re.compile(r"Invalid input for param ([^:]{1,300}): ")
_PARAM_RULE = re.compile(r"Failed validating ('[^']+') in schema[^\n]*:\n((?:[ \t]+[^\n]*\n?)+)")

_MAX_QUOTE = 300


class DuplicateError(CommandRejectedError):
    """Airflow says that such a run exists, which is not proof: it never leaves this package."""


class RunNotFoundError(CommandRejectedError):
    """`tasks states-for-dag-run` found no such run: it never leaves this package."""


# `Class: first line of the message` → the error and how its text begins. The first match counts.
_RULES: tuple[tuple[re.Pattern[str], type[JetwayError], str], ...] = (
    # SQLite, PostgreSQL and MySQL word it in three ways.
    (
        re.compile(
            r"DagRunAlreadyExists:"
            r"|IntegrityError: .*(UNIQUE constraint failed|violates unique constraint|Duplicate entry)"
        ),
        DuplicateError,
        "",
    ),
    (re.compile(r"DagRunNotFound:|.*Error parsing the supplied execution_date"), RunNotFoundError, ""),
    (re.compile(r"JSONDecodeError:"), InvalidConfError, "Airflow cannot read conf as JSON: "),
    # What conf of another type dies of: to 3.1 in dict.update, on 3.2 in .items(), from 3.3 in a check.
    (
        re.compile(
            r".*(cannot unpack non-iterable|not enough values to unpack|object has no attribute 'items'"
            r"|DagRun conf must be a JSON object)"
        ),
        InvalidConfError,
        "conf must be a JSON object. Airflow says: ",
    ),
    (re.compile(r"DataError:"), InvalidConfError, "Airflow's database cannot store the run's values: "),
    (
        re.compile(
            r".*(The provided run ID|The run_id provided|is reserved for|must not contain"
            r"|should be >= start_date|should be localized)"
        ),
        InvalidRequestError,
        "Airflow rejects the request: ",
    ),
    (
        re.compile(r"(OperationalError|InterfaceError|TimeoutError|IntegrityError|MemoryError)\b"),
        EnvironmentUnavailableError,
        "The web server had no memory or no database for the command: ",
    ),
)


def explain(text: str, *, creates: bool = False) -> JetwayError | None:
    """Return the error that a failed command's output speaks of, None when it says nothing known.

    Args:
        text: stderr (or stdout) of the command.
        creates: the command creates something. One that lost its database, or its memory, may have done it before.
    """
    exceptions = list(_exceptions(text))
    # The last one is what the command died of; but an error that we know is better than one logged after it.
    error = next(filter(None, (classify(name, message) for name, message in reversed(exceptions))), None)
    if creates and isinstance(error, EnvironmentUnavailableError):
        return AnswerLostError(f"{error} The command might have run.")
    if error is not None:
        return error
    if match := _NO_DAG.search(text):
        return dag_not_found(match[1])
    if match := _USAGE_ERROR.search(text):
        error = _usage_error(match[1])
    elif _NO_DATABASE.search(text):
        error = EnvironmentUnavailableError(
            "Airflow's database is not initialized, or not migrated to the web server's version. This passes "
            "when an update ends. Otherwise, check the environment's status."
        )
    elif exceptions:
        name, message = exceptions[-1]
        error = CommandRejectedError(f"Airflow rejected the command: {name}: {first_line(message)}")
    return error


def classify(name: str, message: str) -> JetwayError | None:
    """Return the error that an exception of Airflow stands for, None for one that we do not know.

    Args:
        name: its class, without the module.
        message: all its lines.
    """
    line = f"{name}: {first_line(message)}"
    if match := re.match(r"DagNotFound: (?:Dag id (\S+) not found)?", line):
        return dag_not_found(match[1] or "?")
    if (error := param_refused(message)) is not None:
        return error
    for pattern, kind, lead in _RULES:
        if pattern.match(line):
            return kind(lead + line)
    return None


def dag_not_found(dag_id: str) -> DagNotFoundError:
    """Return the error for a DAG that Airflow does not know."""
    return DagNotFoundError(
        f"Airflow has no DAG {dag_id!r}. Its file was never uploaded, was rejected or rolled back (see its "
        "report: reports/dags/<file>/report.md in the drop bucket), is not parsed yet (up to 5 minutes), or "
        "has an import error (see the UI or `airflow dags list-import-errors`)."
    )


def dag_stale(dag_id: str) -> DagNotFoundError:
    """Return the error for a DAG that Airflow remembers, and that no file makes any more."""
    return DagNotFoundError(
        f"DAG {dag_id!r} is no longer in the environment (Airflow calls it stale): its file was deleted, has "
        "an import error, or no longer defines it. A run would stay queued. Put its file into the drop "
        "bucket again, under dags/. If the file is there, see its report and the import errors in the "
        "Airflow UI."
    )


def dag_paused(dag_id: str) -> DagPausedError:
    """Return the error for a DAG that is paused."""
    return DagPausedError(
        f"DAG {dag_id!r} is paused, and when_paused in the trigger file decides what happens to its events. "
        "Unpause the DAG so that later events start runs."
    )


def param_refused(message: str) -> InvalidConfError | None:
    """Return the error for conf that is against the DAG's params, None when the message is another one.

    Args:
        message: as Airflow words it, the same from 2.10 to 3.3 on the command line and in the REST API.
    """
    match = _PARAM.search(message)
    if match is None:
        return None
    rule = _PARAM_RULE.search(message)
    why = f"fails {rule[1]} of {' '.join(rule[2].split())}" if rule else "is missing or has a wrong value"
    return InvalidConfError(f"The DAG's own params reject conf: {match[1][:100]!r} {why[:_MAX_QUOTE]}.")


def first_line(message: str) -> str:
    """Return what of a message may be shown."""
    line = message.partition("\n")[0].strip()
    return line if len(line) <= _MAX_QUOTE else line[:_MAX_QUOTE] + "…"


def _exceptions(text: str) -> Iterator[tuple[str, str]]:
    """Yield class and message of every traceback in the text."""
    for traceback in text.split(_TRACEBACK)[1:]:
        # Frames are indented, the exception is not.
        if match := _EXCEPTION_LINE.search(traceback):
            name = match[1].rpartition(".")[2]
            yield name, (match[2] or "") + traceback[match.end() :]


def _usage_error(message: str) -> JetwayError:
    if "invalid parse value" in message:
        return InvalidRequestError(f"Airflow cannot read a date: {first_line(message)}")
    head, colon, arguments = message.partition("unrecognized arguments:")
    if colon:
        # Names of options only: the rest could be pieces of conf.
        options = [word.partition("=")[0] for word in arguments.split() if word.startswith("-")]
        message = f"{head}{colon} {' '.join(options)}"
    return CommandRejectedError(
        f"This Airflow version does not accept the command: {first_line(message)}. Check whether the "
        "environment runs the version that MWAA reports."
    )
