"""What MWAA's CLI endpoint answered, turned into facts or into one typed error. Pure functions.

The endpoint answers `{"stdout": base64, "stderr": base64}`, with 200, and with 400 when the command failed
(older environments: 200 there too): https://docs.aws.amazon.com/mwaa/latest/userguide/call-mwaa-apis-cli.html.
Neither the status nor a text on stderr says whether a run was created: warnings go to stderr, logs to stdout.
So a run is taken as created only when the answer shows it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jetway.airflow import Dag, DagRun, DagState, ImportProblem, cli_errors
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    InvalidRequestError,
    JetwayError,
    TokenRefusedError,
)

# airflow.utils.state.DagRunState of 2.x and 3.x, and what `dags state` prints for no run.
_STATE_LINE = re.compile(r"(queued|running|success|failed|None)(?:, .*)?")

# A pretty-printed document begins in the first column, as log lines do; so many lines from the end are tried.
_MAX_JSON_TRIES = 500


@dataclass(frozen=True, slots=True)
class CliOutput:
    """What one command printed.

    Attributes:
        failed: whether MWAA says by its status that the command failed; False proves nothing.
    """

    stdout: str
    stderr: str
    failed: bool


def read_output(status: int, body: bytes, host: str, *, creates: bool = False) -> CliOutput:
    """Read one HTTP answer of the CLI endpoint.

    Args:
        status: HTTP status, no redirect.
        body: the answer's body, whole.
        host: the web server's name, for the error's text.
        creates: the command creates something: an answer that does not prove that it did not is a lost one.

    Raises:
        EnvironmentBusyError: 429; 503, unless the command creates something.
        TokenRefusedError: 401, 403.
        EnvironmentUnavailableError: 404, 405; other 5xx without the output of a command, unless it creates something.
        InvalidRequestError: 413, 414, 431: the command is too long for MWAA.
        CommandRejectedError: another 4xx without the output of a command.
        AnswerLostError: 200 without the output of a command; 408 and 5xx of a command that creates something.
    """
    if status == 429 or (status == 503 and not creates):
        # https://docs.aws.amazon.com/mwaa/latest/userguide/t-apache-airflow-202.html#cli-toomany-202
        raise EnvironmentBusyError(
            f"The web server {host} answers {status}: it is busy. It runs about 4 CLI commands at the same time. "
            "Jetway tries the command again later. Run fewer commands at the same time, or let Jetway use the "
            "REST API (Transport)."
        )
    if status in {401, 403}:
        raise TokenRefusedError(
            f"The web server {host} answers {status}: it rejects a new CLI token. Check for a policy or proxy "
            "that blocks it."
        )
    # Failed commands come with 400, blocked ones have been seen with 500: the output says more than the status.
    output = _envelope(status, body)
    if output is not None:
        return output
    if creates and (status >= 500 or status == 408):
        # A proxy says so of a web server that is gone, and of one that was cut off when all was done.
        raise AnswerLostError(f"The web server {host} answers {status} to a CLI command. The command might have run.")
    if status >= 500 or status in {404, 405}:
        raise EnvironmentUnavailableError(
            f"The web server {host} answers {status} to a CLI command. It might be starting or updating."
        )
    if status in {413, 414, 431}:
        raise InvalidRequestError(
            f"The web server {host} answers {status}: the command is too long. Make conf smaller."
        )
    if status >= 400:
        raise CommandRejectedError(
            f"The web server {host} answers {status} to a CLI command, without its output: {_excerpt(body)}"
        )
    raise AnswerLostError(
        f"The web server {host} answers {status}, but not with the output of a command ({len(body)} bytes). "
        "The command might have run."
    )


def created_run(output: CliOutput, dag_id: str, run_id: str) -> DagRun | None:
    """Return the run if the answer of `dags trigger` shows it, else None."""
    for row in json_rows(output.stdout):
        if row.get("dag_id") == dag_id and row.get("dag_run_id") == run_id:
            return DagRun(
                dag_id=dag_id,
                dag_run_id=run_id,
                state=_text(row.get("state")) or "queued",
                logical_date=_text(row.get("logical_date")),
                start_date=_text(row.get("start_date")),
                end_date=_text(row.get("end_date")),
            )
    return None


def listed_run(output: CliOutput, dag_id: str, run_id: str) -> DagRun | None:
    """Return the run if the answer of `dags list-runs` has it, else None.

    Raises:
        AnswerLostError: the answer is no list of runs.
        JetwayError: what the answer's failure means.
    """
    return next((run for run in listed_runs(output, dag_id) if run.dag_run_id == run_id), None)


def listed_runs(output: CliOutput, dag_id: str) -> list[DagRun]:
    """Return the runs that `dags list-runs` shows, newest first.

    Raises:
        AnswerLostError: the answer is no list of runs.
        JetwayError: what the answer's failure means.
    """
    rows = _list_or_raise(output)
    # run_after is Airflow 3's, execution_date Airflow 2's; all of one list have one offset: text order is time order.
    rows.sort(key=lambda row: str(row.get("run_after") or row.get("execution_date") or ""), reverse=True)
    return [
        DagRun(
            dag_id=dag_id,
            dag_run_id=str(row.get("run_id")),
            state=_text(row.get("state")) or "queued",
            logical_date=_text(row.get("logical_date", row.get("execution_date"))),
            start_date=_text(row.get("start_date")),
            end_date=_text(row.get("end_date")),
        )
        for row in rows
    ]


def listed_dags(output: CliOutput) -> list[Dag]:
    """Return the DAGs that `dags list` shows, by dag_id; those that no file makes any more are left out.

    Raises:
        AnswerLostError: the answer is no list of DAGs.
        JetwayError: what the answer's failure means.
    """
    return [_dag(row) for dag_id, row in sorted(_rows_by_dag(output).items()) if _state(row) != "stale"]


def listed_states(output: CliOutput) -> dict[str, DagState]:
    """Return the state of each DAG that `dags list` shows.

    Raises:
        AnswerLostError: the answer is no list of DAGs.
        JetwayError: what the answer's failure means.
    """
    return {dag_id: _state(row) for dag_id, row in _rows_by_dag(output).items()}


def listed_import_errors(output: CliOutput) -> list[ImportProblem]:
    """Return what `dags list-import-errors` shows. It fails when there are errors, and shows them all the same.

    Raises:
        AnswerLostError: the answer is no list.
        JetwayError: what the answer's failure means.
    """
    rows = _last_list(output.stdout)
    if rows is None or (output.failed and not rows):
        raise failure(output)
    return [ImportProblem(str(row.get("filepath", "")), str(row.get("error", ""))) for row in rows]


def printed_state(output: CliOutput, dag_id: str, run_id: str) -> DagRun | None:
    """Return the run with the state that `dags state` printed, or None when it printed None.

    Raises:
        AnswerLostError: the answer shows no state.
        JetwayError: what the answer's failure means.
    """
    for line in reversed(output.stdout.splitlines()):
        match = _STATE_LINE.fullmatch(line.strip())
        if match is not None and not output.failed:
            return None if match[1] == "None" else DagRun(dag_id, dag_run_id=run_id, state=match[1])
    raise failure(output)


def run_date(output: CliOutput) -> str | None:
    """Return the execution date that `tasks states-for-dag-run` shows, None for a run without tasks.

    Raises:
        AnswerLostError: the answer is no list of tasks.
        JetwayError: what the answer's failure means; refusals.RunNotFoundError when there is no such run.
    """
    for row in _list_or_raise(output):
        date = _text(row.get("execution_date"))
        if date is not None:
            return date
    return None


def failure(output: CliOutput, *, creates: bool = False) -> JetwayError:
    """Say what a command's output means that does not show what was asked for.

    Args:
        creates: as in `read_output`.
    """
    error = cli_errors.explain(output.stderr, creates=creates) or cli_errors.explain(output.stdout, creates=creates)
    if error is not None:
        return error
    # No traceback and no usage error: killed in mid-work, or an answer that nobody has seen before.
    return AnswerLostError(
        f"The command {'failed' if output.failed else 'ended'} without giving a reason (stdout "
        f"{len(output.stdout)}, stderr {len(output.stderr)} characters). It might have been killed."
    )


def json_rows(stdout: str) -> list[dict[str, Any]]:
    """Return the rows of the last JSON list in stdout; [] when there is none."""
    return _last_list(stdout) or []


def _list_or_raise(output: CliOutput) -> list[dict[str, Any]]:
    rows = _last_list(output.stdout)
    if rows is None or output.failed:
        raise failure(output)
    return rows


def _rows_by_dag(output: CliOutput) -> dict[str, dict[str, Any]]:
    """Return one row for each DAG: Airflow 3.3.1 prints one for each version that the DAG ever had, all alike."""
    return {row["dag_id"]: row for row in _list_or_raise(output) if isinstance(row.get("dag_id"), str)}


def _state(row: dict[str, Any]) -> DagState:
    if str(row.get("is_stale")) == "True":
        return "stale"
    return "paused" if str(row.get("is_paused")) == "True" else "active"


def _last_list(stdout: str) -> list[dict[str, Any]] | None:
    """Find the last JSON list of objects in stdout.

    It is the last line in every recorded answer; but log lines that come after it, and a document over
    several lines, are taken too.
    """
    decoder = json.JSONDecoder()
    tries = 0
    for start in _line_starts_backwards(stdout):
        if stdout[start : start + 1] != "[":
            continue
        tries += 1
        if tries > _MAX_JSON_TRIES:
            break
        try:
            value, end = decoder.raw_decode(stdout, start)
        except (ValueError, RecursionError):
            continue
        rest = stdout[end:].partition("\n")[0]
        if isinstance(value, list) and not rest.strip() and all(isinstance(row, dict) for row in value):
            return value
    return None


def _line_starts_backwards(text: str) -> Iterator[int]:
    end = len(text)
    while end > 0:
        end = text.rfind("\n", 0, end)
        yield end + 1


def _envelope(status: int, body: bytes) -> CliOutput | None:
    try:
        document = json.loads(body)
        if not isinstance(document, dict) or not {"stdout", "stderr"} & document.keys():
            return None
        return CliOutput(
            stdout=_decode(document.get("stdout")),
            stderr=_decode(document.get("stderr")),
            failed=status != 200,
        )
    except (ValueError, TypeError, RecursionError):
        # UnicodeDecodeError and binascii.Error are ValueErrors.
        return None


def _decode(text: str | None) -> str:
    # Airflow prints UTF-8; a byte that is none must not cost us the rest.
    return base64.b64decode(text, validate=False).decode("utf-8", errors="replace") if text else ""


def _dag(row: dict[str, Any]) -> Dag:
    owners = row.get("owners")
    if isinstance(owners, str):
        owners = [owner.strip() for owner in owners.split(",")]
    return Dag(
        dag_id=row["dag_id"],
        # "True" and "False"; null for a DAG that is parsed but not in the database yet.
        is_paused={"True": True, "False": False}.get(str(row.get("is_paused"))),
        owners=tuple(str(owner) for owner in owners or ()),
        fileloc=_text(row.get("fileloc")),
    )


def _text(value: object) -> str | None:
    # `--output json` prints every scalar as text; None is null in some versions and "" or "None" in others.
    return value if isinstance(value, str) and value not in {"", "None"} else None


def _excerpt(body: bytes) -> str:
    # Up to the first brace only: what follows could be the conf that we sent.
    text = " ".join(body[:400].decode("utf-8", errors="replace").partition("{")[0].split())
    return repr(text[:200]) if text else "nothing"
