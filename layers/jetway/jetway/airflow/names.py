"""What Airflow takes as dag_id, run id and conf, checked before anything is sent.

A value that passes here can still be refused by an environment with stricter settings
(`scheduler.allowed_run_id_pattern`, `core.allow_double_dot_in_ids`); one that fails here could never work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetway.errors import InvalidConfError, InvalidRequestError

if TYPE_CHECKING:
    from jetway.airflow import DagRunRequest

MAX_ID_LENGTH = 250  # characters: airflow.models.base.ID_LEN, the width of the database columns

# Linux hands no program a single argument above 128 KiB (MAX_ARG_STRLEN), and MWAA starts `airflow` with
# conf as one argument. Half of that also stays far below the 256 KiB of an EventBridge or SQS message.
MAX_CONF_BYTES = 64 * 1024

# airflow.utils.helpers.KEY_REGEX: `\w` is Unicode there, so `übung` is a dag_id. Airflow matches with `$`,
# which lets one line break through at the end; fullmatch does not.
_DAG_ID = re.compile(r"[\w.-]+")

# Default of `scheduler.allowed_run_id_pattern`, the same from 2.6.3 to 3.3.1.
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")

# `\u0000` in JSON, but not the six characters of it behind an escaped backslash.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

# airflow.utils.types.DagRunType of all versions from 2.7 to 3.3. Airflow 2 takes such a run id and makes a
# run of that type out of it, which its scheduler then counts as its own; Airflow 3 refuses it.
_RESERVED_PREFIXES = (
    "asset_materialization__",
    "asset_triggered__",
    "backfill__",
    "dataset_triggered__",
    "operator_triggered__",
    "scheduled__",
)


def check_dag_id(dag_id: str) -> None:
    """Refuse what can be no dag_id in any Airflow version.

    Raises:
        InvalidRequestError: empty, longer than 250 characters, or with other characters than letters,
            digits, `_`, `.` and `-`.
    """
    _check_length("dag_id", dag_id)
    # "." and ".." are valid keys for Airflow, but as a path segment of its REST API they mean another address.
    if _DAG_ID.fullmatch(dag_id) is None or dag_id in {".", ".."}:
        raise InvalidRequestError(f"dag_id {dag_id!r} is not valid: use only letters, digits, '_', '-' and '.'.")


def check_run_id(run_id: str) -> None:
    """Refuse what can be no id of a run in any Airflow version.

    Raises:
        InvalidRequestError: empty, longer than 250 characters, with characters outside
            `A-Z a-z 0-9 _ . ~ : + -`, or with `..` in it.
    """
    _check_length("run id", run_id)
    if _RUN_ID.fullmatch(run_id) is None or run_id == ".":
        raise InvalidRequestError(
            f"Run id {run_id!r} is not valid: use only ASCII letters, digits, and the characters '_', '.', '~', "
            "':', '+', '-'."
        )
    if ".." in run_id:  # refused from 3.3 on, so that a path made of ids cannot lead upwards
        raise InvalidRequestError(f"Run id {run_id!r} is not valid: it must not contain '..'.")


def check_new_run_id(run_id: str) -> None:
    """Refuse what can be no id of a run to be triggered.

    Raises:
        InvalidRequestError: as `check_run_id`, or with a prefix that Airflow keeps for itself.
    """
    check_run_id(run_id)
    for prefix in _RESERVED_PREFIXES:
        if run_id.startswith(prefix):
            raise InvalidRequestError(
                f"Run id {run_id!r} is not valid: Airflow reserves the prefix {prefix!r} for runs that it creates "
                "itself. Choose another prefix."
            )


def encode_conf(conf: Mapping[str, Any]) -> str:
    """Return conf as compact JSON in ASCII, as it is sent.

    ASCII because nothing says how MWAA decodes the command that carries it.

    Raises:
        InvalidConfError: not a JSON object, more than 64 KiB when encoded, or with a text that holds NUL or
            half a surrogate pair: Airflow 3 keeps conf as JSONB, where PostgreSQL takes neither, and answers
            with 500, which would look like trouble that passes.
    """
    if not isinstance(conf, Mapping):
        raise InvalidConfError(f"conf must be a JSON object, not {type(conf).__name__}.")
    try:
        text = json.dumps(dict(conf), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        # The exception's own text can repeat a value of conf, which is not ours to show.
        raise InvalidConfError(
            f"conf is not a JSON object ({type(exc).__name__}): its keys must be strings, and its values strings, "
            "finite numbers, true, false, null, lists or objects."
        ) from exc
    if len(text) > MAX_CONF_BYTES:
        raise InvalidConfError(
            f"conf has {len(text)} bytes as JSON; Airflow accepts at most {MAX_CONF_BYTES}. Put the data in S3 "
            "and pass its address."
        )
    if _NUL.search(text) or not _is_unicode(conf):
        raise InvalidConfError(
            "conf has a string with NUL or a lone surrogate, which Airflow's database does not accept."
        )
    return text


def check_request(request: DagRunRequest) -> str:
    """Check everything about a run to be created and return its conf as JSON.

    Raises:
        InvalidRequestError: bad dag_id, run id, logical_date or data_interval.
        InvalidConfError: as in `encode_conf`.
    """
    check_dag_id(request.dag_id)
    check_new_run_id(request.dag_run_id)
    check_dates(request)
    return encode_conf(request.conf)


def check_dates(request: DagRunRequest) -> None:
    """Check a run's logical date and data interval.

    Raises:
        InvalidRequestError: one has no time zone; the interval ends before it begins, or comes without a date.
    """
    interval = request.data_interval
    start, end = interval or (None, None)
    named = {"logical_date": request.logical_date, "data_interval.start": start, "data_interval.end": end}
    for name, moment in named.items():
        if moment is not None and moment.utcoffset() is None:
            raise InvalidRequestError(f"{name} {moment.isoformat()} has no time zone; add one, for example '+00:00'.")
    if interval is None:
        return
    if interval[1] < interval[0]:
        raise InvalidRequestError(
            f"data_interval ends before it begins: {interval[0].isoformat()} to {interval[1].isoformat()}."
        )
    if request.logical_date is None and not request.is_date_derived:
        raise InvalidRequestError(
            "data_interval needs a logical_date: Airflow stores no data interval for a run without a date."
        )


def _is_unicode(conf: Mapping[str, Any]) -> bool:
    try:
        json.dumps(dict(conf), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_length(what: str, value: str) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"A {what} is required: a string of 1 to {MAX_ID_LENGTH} characters.")
    if len(value) > MAX_ID_LENGTH:
        raise InvalidRequestError(
            f"{what} {value[:40]!r}… has {len(value)} characters; Airflow accepts at most {MAX_ID_LENGTH}."
        )
