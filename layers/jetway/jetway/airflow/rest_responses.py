"""What InvokeRestApi answered, turned into facts or into one typed error. Pure functions.

https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
The Airflow side of it, 2.11 and 3.0 to 3.3: an error's `detail` is a text, on Airflow 3 also a list (422) or
an object (database). Texts of ours never repeat conf, so only chosen parts of a `detail` are shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from jetway.airflow import Dag, DagRun, DagState, ImportProblem, cli_errors
from jetway.airflow.environment import denied, is_denied, unavailable
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    DagNotFoundError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    InvalidConfError,
    InvalidRequestError,
    JetwayError,
)

_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
_FAILED = frozenset({"InternalServerException", "InternalFailure", "RestApiServerException", "ServiceUnavailable"})


class NoRestApiError(EnvironmentUnavailableError):
    """MWAA says that the environment must be updated before it can do InvokeRestApi; the call did nothing."""


_NEVER_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)


@dataclass(frozen=True, slots=True)
class RestCall:
    """One call, for the texts of its errors.

    Attributes:
        creates: it creates something: an answer that does not prove that it did not is a lost one.
        repeats: the client may have sent it more than once.
    """

    environment: str
    method: str
    path: str
    dag_id: str
    creates: bool = False
    repeats: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path} on environment {self.environment!r}"


def run(response: object, dag_id: str, run_id: str) -> DagRun | None:
    """Return the run if a response of Airflow is that run, else None."""
    document = _document(response)
    if document.get("dag_run_id") != run_id or document.get("dag_id") != dag_id:
        return None
    return _run(document)


def runs(response: object, dag_id: str | None = None) -> tuple[list[DagRun], int]:
    """Return the runs of a list of runs, of one DAG when it is given, and how many Airflow has.

    Raises:
        AnswerLostError: the response is no list of runs.
    """
    items, total = _page(response, "dag_runs")
    return [_run(item) for item in items if dag_id is None or item.get("dag_id") == dag_id], total


def dag_state(response: object, dag_id: str) -> DagState:
    """Return the state of the DAG that a response shows. Airflow 3 says is_stale, Airflow 2 says is_active.

    Raises:
        AnswerLostError: the response is not that DAG.
    """
    document = _document(response)
    if document.get("dag_id") != dag_id:
        raise AnswerLostError(f"Airflow answered, but without the DAG {dag_id!r}.")
    if document.get("is_stale") is True or document.get("is_active") is False:
        return "stale"
    return "paused" if document.get("is_paused") is True else "active"


def dags(response: object) -> tuple[list[Dag], int]:
    """Return the DAGs of a list of DAGs, and how many Airflow has.

    Raises:
        AnswerLostError: the response is no list of DAGs.
    """
    items, total = _page(response, "dags")
    return [_dag(item) for item in items], total


def import_errors(response: object) -> tuple[list[ImportProblem], int]:
    """Return a page of the import errors, and how many Airflow has.

    Raises:
        AnswerLostError: the response is no list of import errors.
    """
    items, total = _page(response, "import_errors")
    problems = [
        ImportProblem(str(item.get("filename", "")), str(item.get("stack_trace", "")), _moment(item.get("timestamp")))
        for item in items
    ]
    return problems, total


def run_in_list(response: object, dag_id: str, run_id: str) -> tuple[DagRun | None, bool]:
    """Return the run from a list of runs, and whether the list is complete."""
    document = _document(response)
    runs = document.get("dag_runs")
    if not isinstance(runs, list):
        return None, False
    found = next(filter(None, (run(item, dag_id, run_id) for item in runs)), None)
    total = document.get("total_entries")
    return found, isinstance(total, int) and total <= len(runs)


def explain(exc: ClientError | BotoCoreError | ResponseParserError, call: RestCall) -> JetwayError:
    """Say in Jetway's words why a call of InvokeRestApi failed."""
    if isinstance(exc, ClientError):
        error = _explain_client_error(exc, call)
        if call.creates and was_repeated(exc) and not isinstance(error, cli_errors.DuplicateError | AnswerLostError):
            return AnswerLostError(f"{error} The call was sent more than once, and Airflow might have done it before.")
        return error
    if isinstance(exc, _NEVER_SENT):
        # Of a call that was repeated, what is raised is what became of the last one.
        lost = call.creates and call.repeats
    else:
        lost = isinstance(exc, ResponseParserError | HTTPClientError)
    if lost:
        return AnswerLostError(f"No response to {call}: {type(exc).__name__}. Airflow might have done it.")
    return unavailable(call.environment, "InvokeRestApi", exc)


def was_repeated(exc: BaseException | None) -> bool:
    """Whether boto3 had sent the call before, and got an answer that it tried again for."""
    if not isinstance(exc, ClientError):
        return False
    return exc.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def may_repeat(client: object) -> bool:
    """Whether a client sends a call again that failed, as far as its configuration tells: botocore's default is yes."""
    config = getattr(getattr(client, "meta", None), "config", None)
    retries: Mapping[str, Any] = getattr(config, "retries", None) or {}
    return retries.get("total_max_attempts") != 1


def _explain_client_error(exc: ClientError, call: RestCall) -> JetwayError:
    # boto3 puts the modelled members of RestApiClientException beside "Error", whose message is empty.
    answer: Mapping[str, Any] = exc.response
    status = answer.get("RestApiStatusCode")
    code = answer["Error"]["Code"]
    http_status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED or 429 in {status, http_status}:
        return EnvironmentBusyError(
            f"{call} is throttled: AWS allows about 10 calls of InvokeRestApi per second for the whole account. "
            "Jetway tries again later. See the parameter RestCallsPerSecond."
        )
    if is_denied(exc):
        return denied(call.environment, "InvokeRestApi", exc, resource=_role(call))
    if isinstance(status, int):
        is_refused = status in {401, 403}
        return _not_allowed(status, call) if is_refused else explain_status(status, answer.get("RestApiResponse"), call)
    if code == "ValidationException":
        return _invalid(cli_errors.first_line(str(answer["Error"].get("Message", ""))), call)
    if call.creates and (code in _FAILED or http_status >= 500):
        return AnswerLostError(f"{call} failed in MWAA: {code}. Airflow might have done it.")
    return unavailable(call.environment, "InvokeRestApi", exc)


def _not_allowed(status: int, call: RestCall) -> JetwayError:
    """MWAA has let the call through; it is Airflow that does not."""
    return EnvironmentUnavailableError(
        f"Airflow answers {status} to {call}: the Airflow role of the call is not allowed to do this. The "
        f"function's role has airflow:InvokeRestApi on {_role(call)}; <role> must be an Airflow role that can "
        "create DAG runs: User, Op or Admin. Set the parameter AirflowRole, or grant that role the "
        "permission in Airflow."
    )


def _role(call: RestCall) -> str:
    return f"arn:aws:airflow:<region>:<account>:role/{call.environment}/<role>"


def _invalid(message: str, call: RestCall) -> JetwayError:
    if "update your environment" in message.lower():
        return NoRestApiError(f"Environment {call.environment!r} does not support InvokeRestApi yet: {message}")
    return CommandRejectedError(f"MWAA rejects {call}: {message}")


def explain_status(status: int, response: object, call: RestCall) -> JetwayError:
    """Say in Jetway's words what an answer of Airflow's means.

    Args:
        status: of HTTP, 400 or more; not that somebody is not logged in, or may not do it.
        response: its document.
        call: what was asked.
    """
    if status == 429:
        return EnvironmentBusyError(f"{call} is throttled. Jetway tries again later.")
    if status == 404:
        return cli_errors.dag_not_found(call.dag_id)  # or no such run, when one was asked for
    if status == 409:
        return cli_errors.DuplicateError(f"{call} answers 409.")
    if status in {408, 504} or (status >= 500 and call.creates):
        # A 500 or 502 comes from a web server that fell over, and may have done so when all was done.
        return AnswerLostError(f"{call} answers {status}. Airflow might have done it.")
    if status >= 500:
        return EnvironmentUnavailableError(f"{call} answers {status}.")
    return _explain_detail(status, _document(response).get("detail"), call)


def _explain_detail(status: int, detail: object, call: RestCall) -> JetwayError:
    if isinstance(detail, list):
        return _explain_validation(detail, call)
    if not isinstance(detail, str):
        reason = detail.get("reason") if isinstance(detail, dict) else None
        return InvalidRequestError(f"Airflow rejects {call} ({status}): {reason or 'it does not say why'}.")
    if "has import errors" in detail:
        return DagNotFoundError(f"DAG {call.dag_id!r} cannot be started: its file has import errors. See the UI.")
    known = cli_errors.classify("BadRequest", detail)
    if known is not None:
        return known
    if detail.startswith("{'conf'"):  # marshmallow on Airflow 2: {'conf': ['Not a valid …']}
        return InvalidConfError("conf must be a JSON object.")
    return CommandRejectedError(f"Airflow rejects {call} ({status}): {cli_errors.first_line(detail)}")


def _explain_validation(details: list[object], call: RestCall) -> JetwayError:
    """Name the fields that pydantic refuses; its `input` is what we sent."""
    fields = [
        (".".join(str(part) for part in item.get("loc", ())), str(item.get("msg", "")))
        for item in details
        if isinstance(item, dict)
    ]
    text = "; ".join(f"{field}: {message}" for field, message in fields)
    kind = InvalidConfError if any(".conf" in f".{field}" for field, _ in fields) else InvalidRequestError
    return kind(f"Airflow rejects {call} (422): {cli_errors.first_line(text)}")


def _dag(document: Mapping[str, Any]) -> Dag:
    return Dag(
        dag_id=str(document.get("dag_id")),
        is_paused=document.get("is_paused"),
        owners=tuple(str(owner) for owner in document.get("owners") or ()),
        fileloc=document.get("fileloc"),
        last_parsed_time=_moment(document.get("last_parsed_time")),
    )


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _run(document: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=str(document.get("dag_id")),
        dag_run_id=str(document.get("dag_run_id")),
        state=str(document.get("state") or "queued"),
        logical_date=document.get("logical_date"),
        start_date=document.get("start_date"),
        end_date=document.get("end_date"),
        run_type=document.get("run_type"),
    )


def _page(response: object, member: str) -> tuple[list[Mapping[str, Any]], int]:
    document = _document(response)
    items, total = document.get(member), document.get("total_entries")
    if not isinstance(items, list):
        raise AnswerLostError(f"Airflow answered, but without a list of {member}.")
    found: list[Mapping[str, Any]] = [item for item in items if isinstance(item, dict)]
    return found, total if isinstance(total, int) else len(found)


def _document(response: object) -> Mapping[str, Any]:
    if isinstance(response, str):
        try:
            response = json.loads(response)
        except (ValueError, RecursionError):
            return {}
    return response if isinstance(response, dict) else {}
