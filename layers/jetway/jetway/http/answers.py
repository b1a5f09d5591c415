"""Answers of the HTTP API, as Powertools sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response

from jetway.http.problems import CONTENT_TYPE, Problem

if TYPE_CHECKING:
    from jetway.airflow import DagRun, DagRunRequest
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.http.pages import Page
    from jetway.ledger import Entry

# Attributes of the dispatch queue that health is told from; any, since the client's stubs know them as literals only.
QUEUE_COUNTS: Any = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
RETRY_AFTER = {"Retry-After": "5"}  # seconds until it is worth another look


def json_answer(
    content: object, headers: Mapping[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
) -> Response[str]:
    """Answer with JSON that nobody may keep."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(status.value, "application/json", json.dumps(content), all_headers)


def problem_answer(problem: Problem, instance: str) -> Response[str]:
    """Answer with a problem document; `instance` is the path that was asked for."""
    return Response(problem.status.value, CONTENT_TYPE, problem.body(instance), dict(problem.headers))


def page_answer(page: Page) -> Response[str]:
    """Answer with a page, or a part of one."""
    return Response(HTTPStatus.OK.value, page.content_type, page.body, dict(page.headers))


def run_answer(run: DagRun, applied: str) -> Response[str]:
    """Answer with a run that is as far as was waited for."""
    return json_answer(asdict(run), {**_location(run.dag_id, run.dag_run_id), "Preference-Applied": applied})


def accepted_answer(request: DagRunRequest, state: str = "accepted", warnings: Sequence[str] = ()) -> Response[str]:
    """Answer that a run is durably queued, and where it will be seen."""
    content: dict[str, Any] = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "state": state}
    if warnings:
        content["warnings"] = list(warnings)
    headers = {**_location(request.dag_id, request.dag_run_id), **RETRY_AFTER}
    return json_answer(content, headers, HTTPStatus.ACCEPTED)


def dry_run_answer(request: DagRunRequest) -> Response[str]:
    """Answer what a call would start."""
    would = asdict(request) | {"logical_date": request.logical_date and request.logical_date.isoformat()}
    return json_answer({**would, "state": None, "dry_run": True})


def health_answer(facts: EnvironmentFacts, queue: Mapping[Any, str]) -> Response[str]:
    """Answer whether runs can be started now.

    Args:
        facts: of the environment.
        queue: attributes of the dispatch queue, as SQS gives them.
    """
    health = {
        "status": "healthy" if facts.usable else "unhealthy",
        "environment": {"name": facts.name, "status": facts.status, "airflow_version": facts.airflow_version},
        "dispatch": {
            "waiting": int(queue["ApproximateNumberOfMessages"]),
            "in_flight": int(queue["ApproximateNumberOfMessagesNotVisible"]),
        },
    }
    if facts.usable:
        return json_answer(health)
    return json_answer(health, {"Retry-After": "60"}, HTTPStatus.SERVICE_UNAVAILABLE)


def event_shown(entry: Entry) -> dict[str, Any]:
    """Return a row of the ledger as the API shows it."""
    times = {name: time and time.isoformat() for name, time in asdict(entry).items() if isinstance(time, datetime)}
    return asdict(entry) | {"identity": list(entry.identity)} | times


def _location(dag_id: str, dag_run_id: str) -> dict[str, str]:
    return {"Location": f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(dag_run_id, safe='')}"}
