"""The parts of the OpenAPI document that say what bodies and answers look like."""

from __future__ import annotations

from typing import Any

from jetway.airflow.names import MAX_CONF_BYTES, MAX_ID_LENGTH
from jetway.http.run_requests import FIELDS, LONGEST_NOTE

Schema = dict[str, Any]

NULL_TEXT: Schema = {"type": ["string", "null"]}
ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}
CONF: Schema = {
    "type": "object",
    "description": f"At most {MAX_CONF_BYTES} bytes as JSON.",
    "additionalProperties": True,
}

FIELD_SCHEMAS: dict[str, Schema] = {
    "conf": {**CONF, "type": ["object", "null"]},
    "dag_run_id": {
        "type": ["string", "null"],
        "maxLength": MAX_ID_LENGTH,
        # The prefixes that Airflow keeps for runs of its own (jetway.airflow.names).
        "pattern": r"^(?!\.$)(?!.*\.\.)(?!(asset_materialization|asset_triggered|backfill|dataset_triggered"
        "|operator_triggered|scheduled)__)[A-Za-z0-9_.~:+-]+$",
        "description": "Id of the run. If omitted, Jetway derives it from Idempotency-Key, or from the request.",
    },
    "logical_date": {**NULL_TEXT, "format": "date-time"},
    "note": {**NULL_TEXT, "maxLength": LONGEST_NOTE},
}
REQUEST: Schema = {
    "title": "DagRunRequest",
    "type": "object",
    "additionalProperties": False,
    "properties": {name: FIELD_SCHEMAS[name] for name in FIELDS},
}
ACCEPTED: Schema = {
    "title": "DagRunAccepted",
    "type": "object",
    "properties": {
        "dag_id": ID,
        "dag_run_id": ID,
        "state": {"type": "string", "description": "accepted, or the state that Airflow reported during the wait."},
        "named_by": {
            "enum": ["body", "webhook-id"],
            "description": "For a webhook: deliveries with the same body, or the same webhook-id, start one run.",
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["dag_id", "dag_run_id", "state"],
}
DRY: Schema = {
    "title": "DagRunDry",
    "type": "object",
    "properties": {
        "dag_id": ID,
        "dag_run_id": ID,
        "conf": CONF,
        "logical_date": NULL_TEXT,
        "note": NULL_TEXT,
        "state": {"type": "null"},
        "dry_run": {"const": True},
        "warnings": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What differs from the request: the DAG is paused, the note is not kept.",
        },
    },
    "required": ["dag_id", "dag_run_id", "conf", "logical_date", "note", "state", "dry_run", "warnings"],
}
DISPATCH_COUNTS = {
    "waiting": "Events in their lane, or on their way to a batch.",
    "in_flight": "Events that Jetway is processing now.",
    "aside": (
        "Events that wait outside their lane, because the DAG does not exist yet or the trigger's rate is reached."
    ),
    "dead_letters": "Messages in the dispatch dead-letter queue. An event that was delivered twice can have two.",
}
HEALTH: Schema = {
    "title": "Health",
    "type": "object",
    "properties": {
        "status": {"enum": ["healthy", "unhealthy"]},
        "environment": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("name", "status", "airflow_version")},
            "required": ["name", "status", "airflow_version"],
        },
        "airflow": {
            "type": "object",
            "description": (
                "Whether Airflow responds. Jetway checks it at most every 15 s, while the environment accepts work."
            ),
            "properties": {
                "reachable": {
                    "type": ["boolean", "null"],
                    "description": "null: not checked.",
                },
                "detail": {**NULL_TEXT, "description": "Why not, and how to fix it."},
            },
            "required": ["reachable", "detail"],
        },
        "dispatch": {
            "type": "object",
            "properties": {
                name: {"type": "integer", "minimum": 0, "description": description}
                for name, description in DISPATCH_COUNTS.items()
            },
            "required": list(DISPATCH_COUNTS),
        },
    },
    "required": ["status", "environment", "airflow", "dispatch"],
}
PROBLEM: Schema = {
    "title": "Problem",
    "description": "RFC 9457.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "urn:jetway:problem:<reason>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, where, and how to fix it."},
        "instance": {"type": "string"},
        "environment_status": {
            "type": "string",
            "description": "The environment's status, such as UPDATING, if it is the reason.",
        },
        "event": {
            "description": (
                "If Airflow does not have the run: the state of the event that requested it. null if the "
                "ledger does not have the event."
            ),
            "type": ["object", "null"],
            "properties": {
                "decision": {
                    "type": "string",
                    "description": "held, waiting, dead-lettered, skipped, started, duplicate.",
                },
                "because": {**NULL_TEXT, "description": "The reason, after a stable word: `dag-not-found: …`."},
                "decided_at": {"type": "string", "format": "date-time"},
                "until": {
                    **NULL_TEXT,
                    "format": "date-time",
                    "description": ("When Jetway stops trying, if the event waits."),
                },
            },
            "required": ["decision", "because", "decided_at", "until"],
        },
        "near": {
            "type": "array",
            "items": {"type": "string"},
            "description": "For a dry run with an unknown DAG: similar dag_ids.",
        },
    },
    "required": ["type", "title", "status", "detail", "instance"],
}
