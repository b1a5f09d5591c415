"""The HTTP API's OpenAPI 3.1 document, made from its code: `make openapi` writes it, a test compares it.

Powertools lists the routes with their summaries and paths; parameters, bodies and answers are added from the very
declarations that the function obeys. It needs pydantic, which the function does not have: so it is made here and the
function sends the file.
"""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from functions.http_api import app as http_api
from jetway.airflow import Dag, DagRun
from jetway.airflow.names import MAX_ID_LENGTH
from jetway.http.json_body import DEEPEST, LONGEST_BODY
from jetway.http.prefer import LONGEST_WAIT
from jetway.http.routes import dags, monitor, triggers
from jetway.http.run_requests import LONGEST_IDEMPOTENCY_KEY
from jetway.ledger import Entry
from jetway.workers.view import WorkersView
from tools.generate.openapi_schemas import ACCEPTED, DRY, HEALTH, NULL_TEXT, PROBLEM, REQUEST, Schema
from tools.venvs import ROOT

if TYPE_CHECKING:
    from jetway.http.query import Parameter

# The function ships with its copy; docs/ has the one that people and tools read.
FILES = (ROOT / "docs" / "openapi.json", ROOT / "functions" / "http_api" / "pages" / "openapi.json")

_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Starts and shows DAG runs of one Amazon MWAA environment, with the names of Airflow's own REST "
    f"API.\n\nA body has at most {LONGEST_BODY} bytes and {DEEPEST} levels. The API rejects unknown "
    "fields and query parameters and names them.\nErrors are problem documents (RFC 9457) that say how "
    "to fix the problem."
)


def document() -> Schema:
    """Return the document."""
    made: Schema = json.loads(
        http_api.app.get_openapi_json_schema(
            title="Jetway", version="1", openapi_version="3.1.0", description=_DESCRIPTION
        )
    )
    paths = made["paths"]
    for operations in paths.values():
        for operation in operations.values():
            _complete(operation)
    return {
        "openapi": made["openapi"],
        "info": {**made["info"], "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        # Relative: the same document serves every stack, whatever its address.
        "servers": [{"url": "./", "description": "where this document comes from"}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY_SCHEMES},
        "security": [{"sigv4": []}, {"jwt": []}],
    }


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(), indent=2) + "\n"


def _complete(operation: Schema) -> None:
    id_ = operation["operationId"]
    in_path = [
        {
            "name": parameter["name"],
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[parameter["name"]],
            "schema": {"type": "string", "minLength": 1, **_PATH_SCHEMAS[parameter["name"]]},
            "example": _PATH_EXAMPLES.get((id_, parameter["name"]), _PATH_EXAMPLES["", parameter["name"]]),
        }
        for parameter in operation.get("parameters", ())
    ]
    operation["parameters"] = [*in_path, *map(_query_parameter, _QUERIES.get(id_, ())), *_HEADERS.get(id_, ())]
    if id_ in _BODIES:
        content = {"schema": _ref(_BODIES[id_]), "example": _EXAMPLES[id_]}
        operation["requestBody"] = {"required": False, "content": {"application/json": content}}
    answers = {**{status: _PROBLEMS[status] for status in _COMMON}, **_ANSWERS[id_]}
    operation["responses"] = dict(sorted(answers.items()))
    if id_ == "receive_webhook":
        operation["security"] = [{"github": []}, {"standard": []}, {"stripe": []}]
    if not operation["parameters"]:
        del operation["parameters"]


def _query_parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _ref(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _answer(description: str, schema: Schema, headers: Schema | None = None) -> Schema:
    answer = {"description": description, "content": {"application/json": {"schema": schema}}}
    return answer | {"headers": headers} if headers else answer


def _header(description: str, type_: str = "string") -> Schema:
    return {"description": description, "schema": {"type": type_}}


def _problem(description: str) -> Schema:
    return {"description": description, "content": {"application/problem+json": {"schema": _ref("Problem")}}}


def _list(member: str, of: str, *, total: bool = True) -> Schema:
    properties: Schema = {member: {"type": "array", "items": _ref(of)}}
    if total:
        properties["total_entries"] = {"type": "integer", "minimum": 0}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _model(type_: type) -> Schema:
    """Return the JSON Schema of a dataclass, as it looks when it has been sent."""
    if not is_dataclass(type_):
        raise TypeError(f"{type_} is not a dataclass")
    schema: Schema = TypeAdapter(type_).json_schema(mode="serialization", ref_template=_REFERENCE)
    schema.pop("description", None)
    for member in schema["properties"].values():
        member.pop("title", None)
        member.pop("default", None)
    # Every member is sent, even where it has a default.
    return schema | {"title": type_.__name__, "required": list(schema["properties"])}


def _schemas() -> Schema:
    return {
        "Artifact": {"type": "object", "title": "Artifact", "description": "A validation report."},
        "Dag": _model(Dag),
        "DagRun": _dag_run(),
        "DagRunAccepted": ACCEPTED,
        "DagRunDry": DRY,
        "DagRunRequest": REQUEST,
        "Delivery": {"title": "Delivery", "type": "object", "description": "The event, as its sender writes it."},
        "Event": _model(Entry),
        "Health": HEALTH,
        "Problem": PROBLEM,
        **_workers(),
    }


def _dag_run() -> Schema:
    schema = _model(DagRun)
    schema["properties"]["because"] = {
        **NULL_TEXT,
        "description": (
            "Why the run is queued and does not start, if Jetway knows. It begins with a stable word: "
            "`dag-paused:`, or `dag-stale:` if no file defines the DAG. Lists of runs do not include it."
        ),
    }
    return schema


def _workers() -> Schema:
    """Return the schema of the view of workers, and those of its parts."""
    schema: Schema = TypeAdapter(WorkersView).json_schema(mode="serialization", ref_template=_REFERENCE)
    parts: Schema = schema.pop("$defs")
    view = schema | {"title": "Workers", "description": "The last hour."}
    view["properties"] = {"environment": {"type": "string"}, **view["properties"]}
    view["required"] = ["environment", *view["required"]]
    return {name: {**part, "title": name} for name, part in parts.items()} | {"Workers": view}


_PATH_PARAMETERS = {
    "dag_id": "Airflow's id of the DAG.",
    "dag_run_id": "Airflow's id of the run.",
    "name": "Name of the trigger, taken from its file triggers/<name>.yaml.",
}
# What `jetway.airflow.names` and `jetway.dispatch.run` take. `\\w` is Unicode there, as in Airflow.
_PATH_SCHEMAS: dict[str, Schema] = {
    "dag_id": {"maxLength": MAX_ID_LENGTH, "pattern": r"^(?!\.\.?$)[\w.-]+$"},
    "dag_run_id": {"maxLength": MAX_ID_LENGTH, "pattern": r"^(?!\.$)(?!.*\.\.)[A-Za-z0-9_.~:+-]+$"},
    "name": {"maxLength": 63, "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"},
}
_QUERIES = {
    "trigger_dag_run": dags.START,
    "trigger_by_name": triggers.START,
    "get_dag_runs": dags.LIST_DAG_RUNS,
    "get_dags": dags.LIST_DAGS,
    "get_events": monitor.LIST_EVENTS,
    "get_artifacts": monitor.LIST_ARTIFACTS,
}
_START_HEADERS: list[Schema] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": (
            "Calls with the same key from the same caller for the same DAG or trigger start one run. If "
            "the body differs, or the trigger's dag or conf has changed since the first call, the API "
            "rejects the key (422, `idempotency-key-reused`)."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_IDEMPOTENCY_KEY},
    },
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": (
            "RFC 7240: `wait=25` waits until Airflow has the run; `wait=25, state=final` waits until the "
            f"run has ended. If that takes longer, the response is 202. The maximum is {LONGEST_WAIT:.0f} "
            "s."
        ),
        "schema": {"type": "string"},
    },
]
_HEADERS = {"trigger_dag_run": _START_HEADERS, "trigger_by_name": _START_HEADERS}
_BODIES = {"trigger_dag_run": "DagRunRequest", "trigger_by_name": "Delivery", "receive_webhook": "Delivery"}
_LOCATION = _header("Path of the run.")
# What "Try it out" is filled with: without them Swagger UI makes texts of the patterns, and a run of what it made.
_EXAMPLES: dict[str, Schema] = {
    "trigger_dag_run": {"conf": {"day": "2026-11-22"}},
    "trigger_by_name": {"name": "orders", "day": "2026-11-22"},
    "receive_webhook": {"ref": "refs/heads/main"},
}
_PATH_EXAMPLES = {
    ("", "dag_id"): "hello_jetway",
    ("", "dag_run_id"): "jetway__http__3vgu3x362wa5hyw63btn",
    ("", "name"): "orders",
    ("receive_webhook", "name"): "push",
}
_STARTED: Schema = {
    "200": _answer(
        "Airflow has the run, as requested by Prefer; or, for a dry run, the run that would start.",
        {"anyOf": [_ref("DagRun"), _ref("DagRunDry")]},
        {"Location": _LOCATION, "Preference-Applied": _header("The preference that was applied.")},
    ),
    "202": _answer(
        "The run is durably queued.",
        _ref("DagRunAccepted"),
        {"Location": _LOCATION, "Retry-After": _header("Number of seconds to wait before you read the run.")},
    ),
    "400": _problem("The body is not valid JSON."),
    "404": _problem("The DAG or trigger does not exist (for a dry run, or a run that the call waited for)."),
    "409": _problem("For a dry run: the run already exists."),
    "410": _problem("The run of this Idempotency-Key or dag_run_id was started and later deleted."),
    "413": _problem("The body is too large."),
    "422": _problem(
        "A parameter, field, or id is not valid, or the Idempotency-Key was used before with another body."
    ),
}
_ANSWERS: dict[str, Schema] = {
    "trigger_dag_run": _STARTED,
    "trigger_by_name": _STARTED,
    "receive_webhook": {
        "200": _answer(
            (
                "Nothing was started. The API answered a handshake (GitHub's ping, a challenge), or GitHub's Redeliver "
                "of a delivery that started its run before."
            ),
            {"type": "object"},
        ),
        "202": _STARTED["202"],
        "400": _STARTED["400"],
        "404": _problem("The path has characters that are not allowed in a trigger name."),
        "409": _problem("This signature has a timestamp and was accepted before."),
        "413": _STARTED["413"],
    },
    "get_dag_run": {"200": _answer("The run.", _ref("DagRun")), "404": _problem("The run or the DAG does not exist.")},
    "get_dag_runs": {
        "200": _answer("The newest runs, newest first.", _list("dag_runs", "DagRun")),
        "404": _problem("The DAG does not exist."),
    },
    "get_dags": {
        "200": _answer("The DAGs by dag_id, each once. DAGs whose file was deleted are omitted.", _list("dags", "Dag"))
    },
    "get_events": {"200": _answer("The newest events, newest first.", _list("events", "Event", total=False))},
    "get_artifacts": {"200": _answer("The newest reports, newest first.", _list("artifacts", "Artifact"))},
    "get_workers": {"200": _answer("The last hour, with the verdict and its remedy.", _ref("Workers"))},
    "get_health": {"200": _answer("Runs can be started now.", _ref("Health"))},
}
_COMMON = ("401", "403", "422", "502", "503")
_PROBLEMS: dict[str, Schema] = {
    "401": {"description": "The request has no signature or token, or the token has expired."},
    "403": {
        "description": "The signature is wrong, or IAM's policy or access.yaml does not allow the caller to do this.",
        "content": {"application/problem+json": {"schema": _ref("Problem")}, "application/json": {"schema": {}}},
    },
    "422": _problem("A parameter, field, or id is not valid."),
    "502": _problem("Airflow rejected the request."),
    "503": {
        "description": "Not possible now: the environment is busy, is updating, or does not respond. Try again.",
        "headers": {"Retry-After": _header("Number of seconds to wait before you try again.")},
        "content": {
            "application/problem+json": {"schema": _ref("Problem")},
            "application/json": {"schema": _ref("Health")},
        },
    },
}
_SECURITY_SCHEMES: Schema = {
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "AWS Signature Version 4, service execute-api. For browsers, `jetway ui` signs requests.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "github": {
        "type": "apiKey",
        "name": "X-Hub-Signature-256",
        "in": "header",
        "description": ("GitHub's signature header."),
    },
    "standard": {"type": "apiKey", "name": "webhook-signature", "in": "header", "description": "Standard Webhooks."},
    "stripe": {
        "type": "apiKey",
        "name": "Jetway-Signature",
        "in": "header",
        "description": "Stripe's signature header: t=…,v1=…",
    },
}


def main() -> None:
    """Write the document where it is read."""
    for file in FILES:
        Path(file).write_text(text())


if __name__ == "__main__":
    main()
