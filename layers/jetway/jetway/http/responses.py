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
    from jetway.airflow import Dag, DagRun, DagRunRequest
    from jetway.http.pages import Page
    from jetway.ledger import Entry

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


def run_answer(run: DagRun, because: str | None, applied: str) -> Response[str]:
    """Answer with a run that is as far as was waited for, and why it does not start, where that is known."""
    headers = {**_location(run.dag_id, run.dag_run_id), "Preference-Applied": applied}
    return json_answer(run_shown(run, because), headers)


def run_shown(run: DagRun, because: str | None) -> dict[str, Any]:
    """Return a run as the API shows it.

    Args:
        because: why a queued run does not start.
    """
    return asdict(run) | {"because": because}


def dag_shown(dag: Dag) -> dict[str, Any]:
    """Return a DAG as the API shows it."""
    return asdict(dag) | {"last_parsed_time": dag.last_parsed_time and dag.last_parsed_time.isoformat()}


def accepted_answer(
    request: DagRunRequest, state: str = "accepted", warnings: Sequence[str] = (), named_by: str | None = None
) -> Response[str]:
    """Answer that a run is durably queued, and where it will be seen.

    Args:
        request: the run.
        state: of it.
        warnings: what the caller should know.
        named_by: of a webhook, what names the delivery: another one with the same is the same run.
    """
    content: dict[str, Any] = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "state": state}
    if named_by:
        content["named_by"] = named_by
    if warnings:
        content["warnings"] = list(warnings)
    headers = {**_location(request.dag_id, request.dag_run_id), **RETRY_AFTER}
    return json_answer(content, headers, HTTPStatus.ACCEPTED)


def duplicate_answer(request: DagRunRequest) -> Response[str]:
    """Answer a webhook that was accepted before, as GitHub's Redeliver: which run it is, and that no second starts."""
    again = (
        "This delivery was accepted before; the response shows its run. A delivery with the same body does not "
        f"start a second run. To run the DAG again, use `jetway run {request.dag_id}`, or clear the run in Airflow."
    )
    content = {"dag_id": request.dag_id, "dag_run_id": request.dag_run_id, "state": "duplicate", "warnings": [again]}
    return json_answer(content, _location(request.dag_id, request.dag_run_id))


def dry_run_answer(request: DagRunRequest, warnings: Sequence[str]) -> Response[str]:
    """Answer what a call would start."""
    would = {
        "dag_id": request.dag_id,
        "dag_run_id": request.dag_run_id,
        "conf": request.conf,
        "logical_date": request.logical_date and request.logical_date.isoformat(),
        "data_interval": request.data_interval and [moment.isoformat() for moment in request.data_interval],
        "note": request.note,
    }
    return json_answer({**would, "state": None, "dry_run": True, "warnings": list(warnings)})


def health_answer(health: Mapping[str, Any]) -> Response[str]:
    """Answer whether runs can be started now: 200, or 503 with when to look again."""
    if health["status"] == "healthy":
        return json_answer(health)
    # An update takes minutes; a web server may be back when it is asked again.
    wait = "15" if health["airflow"]["reachable"] is False else "60"
    return json_answer(health, {"Retry-After": wait}, HTTPStatus.SERVICE_UNAVAILABLE)


def event_shown(entry: Entry) -> dict[str, Any]:
    """Return a row of the ledger as the API shows it."""
    times = {name: time and time.isoformat() for name, time in asdict(entry).items() if isinstance(time, datetime)}
    return asdict(entry) | {"identity": list(entry.identity)} | times


def _location(dag_id: str, dag_run_id: str) -> dict[str, str]:
    return {"Location": f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(dag_run_id, safe='')}"}
