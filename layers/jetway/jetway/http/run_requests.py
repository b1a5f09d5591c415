"""POST /dags/{dag_id}/dagRuns: from an HTTP request to a dispatch message.

The body is that of Airflow's REST API. A run is accepted as soon as its message is on the dispatch queue; its id is
known by then, because it never depends on Airflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jetway.airflow import DagRunRequest
from jetway.airflow.names import check_request
from jetway.dispatch.run import CALLS, DERIVED_PREFIX, call_lane, derive_digest, derive_run_id, parse_message
from jetway.events.incoming import parse_time
from jetway.formats import MEMBER, MESSAGE
from jetway.http.json_body import json_kind, read_json_object
from jetway.http.problems import ProblemError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from jetway.http.idempotency_keys import KeyUse

TRIGGER = CALLS
LONGEST_NOTE = 1000  # characters; Airflow's own bound
LONGEST_IDEMPOTENCY_KEY = 255  # characters
FIELDS = ("conf", "dag_run_id", "logical_date", "note")


@dataclass(frozen=True, slots=True)
class HttpCall:
    """What an HTTP call brings, beside its path.

    Attributes:
        request_id: the API's id of this very call.
        caller: who signed it, the same from call to call; part of an idempotency key's meaning.
        by: who signed it, with the session of an assumed role.
        body: the raw body.
        idempotency_key: the header of that name, checked by `check_key`, or None.
        received_at: timezone-aware.
    """

    request_id: str
    caller: str
    body: bytes
    idempotency_key: str | None
    received_at: datetime
    by: str | None = None


def read_request(dag_id: str, call: HttpCall) -> DagRunRequest:
    """Read and check the run that a call asks for.

    Its id is the caller's `dag_run_id`; else it is derived from the Idempotency-Key, so that a repeated call names the
    same run; else from the call itself, so that every call is a run of its own.

    Raises:
        ProblemError: too large, no JSON object, or a field that is unknown or of the wrong type.
        InvalidRequestError, InvalidConfError: a value that Airflow could never take.
    """
    fields = _read_fields(call.body)
    derived = derive_run_id(TRIGGER, identity_of(dag_id, call))
    chosen = _text(fields, "dag_run_id")
    if chosen and chosen.startswith(DERIVED_PREFIX) and chosen != derived:
        raise _invalid(
            f"dag_run_id {chosen!r} is not valid. Ids that begin with {DERIVED_PREFIX!r} are reserved for runs that "
            "Jetway starts for events. Choose another prefix."
        )
    request = DagRunRequest(
        dag_id=dag_id,
        dag_run_id=chosen or derived,
        conf={} if fields.get("conf") is None else fields["conf"],
        logical_date=_time(fields, "logical_date"),
        is_date_derived="logical_date" not in fields,
        note=_text(fields, "note"),
    )
    if request.note is not None and len(request.note) > LONGEST_NOTE:
        raise _invalid(f"note has {len(request.note)} characters; Airflow accepts at most {LONGEST_NOTE}.")
    check_request(request)
    return request


def identity_of(dag_id: str, call: HttpCall) -> tuple[str, ...]:
    """Return what makes a call for a DAG that one call: its key, else the call itself."""
    key = call.idempotency_key
    return ("key", call.caller, dag_id, key) if key else ("call", call.request_id)


def check_key(key: str | None) -> str | None:
    """Return an Idempotency-Key as it came.

    Raises:
        ProblemError: 422, empty or too long.
    """
    if key is not None and not 0 < len(key) <= LONGEST_IDEMPOTENCY_KEY:
        raise _invalid(f"Idempotency-Key must have 1 to {LONGEST_IDEMPOTENCY_KEY} characters.")
    return key


def key_use(
    call: HttpCall, trigger: str, identity: Sequence[str], *, made_by: Mapping[str, Any] | None = None
) -> KeyUse | None:
    """Return for what a call uses its Idempotency-Key; None when it has none.

    Args:
        call: whose body is a JSON object.
        trigger: name of the trigger that is called.
        identity: what makes the call that one call.
        made_by: what makes a run of the body: DAG and conf template of a trigger file. The identity of a call for a DAG
            has the DAG.
    """
    if call.idempotency_key is None:
        return None
    from jetway.http.idempotency_keys import KeyUse, fingerprint

    id_ = f"{trigger}#{derive_digest(trigger, identity)}"
    body = fingerprint(read_json_object(call.body))
    return KeyUse(call.idempotency_key, id_, body, fingerprint(made_by) if made_by is not None else None)


def accept(
    sqs: SQSClient,
    queue_url: str,
    request: DagRunRequest,
    call: HttpCall,
    *,
    trigger: str = TRIGGER,
    limits: Mapping[str, Any] | None = None,
    one_lane: bool = False,
) -> str:
    """Put the run on the dispatch queue, and return the id of its message. When this returns, the run is not lost.

    The deduplication id is the call's own: a second call for the same run must reach Airflow, which knows whether the
    run exists; SQS, which would silently drop it, does not.

    Args:
        limits: of the trigger, as they stand in a dispatch message.
        one_lane: whether all calls share one lane.
    """
    event = {
        "dag_run_id": request.dag_run_id,
        "conf": request.conf,
        "note": request.note,
        "time": call.received_at.isoformat(),
        "request_id": call.request_id,
        "caller": call.caller,
        "by": call.by or call.caller,
        **_dates(request),
    }
    answer = sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=_message(trigger, request.dag_id, event, limits),
        MessageGroupId=call_lane(trigger, call.caller, one_for_all=one_lane),
        MessageDeduplicationId=call.request_id,
    )
    return answer["MessageId"]


def _dates(request: DagRunRequest) -> dict[str, Any]:
    """Return the dates that were asked for, as they stand in the event; what is not there is derived at dispatch."""
    found: dict[str, Any] = {}
    if not request.is_date_derived:
        found["logical_date"] = request.logical_date.isoformat() if request.logical_date else None
    if request.data_interval is not None:
        found["data_interval"] = [moment.isoformat() for moment in request.data_interval]
    return found


def event_id(dag_id: str, dag_run_id: str, *, trigger: str = TRIGGER) -> str:
    """Return the ledger's id of a call's event."""
    from jetway.ledger import entry_id

    body = _message(trigger, dag_id, {"dag_run_id": dag_run_id})
    return entry_id(trigger, parse_message(body, sent_at=datetime.now(UTC)).digest)


def _message(trigger: str, dag_id: str, event: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> str:
    described = {"name": trigger, "kind": "http", "dag": dag_id, **(limits or {})}
    return json.dumps({MEMBER: MESSAGE, "trigger": described, "event": event})


def _read_fields(body: bytes) -> Mapping[str, Any]:
    fields = read_json_object(body)
    for name in fields:
        if name not in FIELDS:
            import difflib

            near = difflib.get_close_matches(name, FIELDS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise _invalid(f"Unknown field {name[:100]!r}{meant} Valid fields: {', '.join(FIELDS)}.")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name} must be a string or null, not {json_kind(value)}.")
    return value


def _time(fields: Mapping[str, Any], name: str) -> datetime | None:
    text = _text(fields, name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as exc:
        raise _invalid(f"{name} {text!r} is not an ISO 8601 time such as 2026-11-22T06:00:00+00:00.") from exc


def _invalid(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
