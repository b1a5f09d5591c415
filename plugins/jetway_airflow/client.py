"""Calls of Jetway's HTTP API, signed with the credentials of the worker (on MWAA: the execution role).

The connection names the API: host is the stack's output HttpApiUrl, login and password stay empty. Its extra may have
`region`, when it is not the worker's own. The role needs execute-api:Invoke on the API.
"""

from __future__ import annotations

import json
from typing import Any

DEFAULT_CONNECTION = "jetway_default"
TIMEOUT = 35  # seconds; the API answers within 29


class JetwayApiError(Exception):
    """The API refused a call; the text is what it said, and it would say it again."""


class JetwayClient:
    """One API.

    Args:
        base: its address, the stack's output HttpApiUrl.
        region: its Region; None for the worker's own.
    """

    def __init__(self, base: str, region: str | None = None) -> None:
        self._base, self._region = base.rstrip("/"), region

    @classmethod
    def of_connection(cls, conn_id: str = DEFAULT_CONNECTION) -> JetwayClient:
        """Return a client of the API that an Airflow connection names.

        Raises:
            JetwayApiError: its host is no address of an API.
        """
        try:
            from airflow.sdk import BaseHook
        except ImportError:  # Airflow 2
            from airflow.hooks.base import BaseHook

        connection = BaseHook.get_connection(conn_id)
        if not (connection.host or "").startswith(("https://", "http://127.0.0.1:")):
            raise JetwayApiError(f"The host of connection {conn_id} must be Jetway's HttpApiUrl, https://…")
        return cls(str(connection.host), connection.extra_dejson.get("region"))

    def start(self, dag_id: str, run: dict[str, Any], idempotency_key: str) -> str:
        """Start a run and return its id; the same key starts it once, however often this is called.

        Args:
            run: dag_run_id, conf, logical_date, as the API takes them.

        Raises:
            JetwayApiError: the API says that this call can never work.
            requests.HTTPError: it may work another time (429, 5xx).
        """
        answer = self._call("POST", f"/dags/{dag_id}/dagRuns", run, {"Idempotency-Key": idempotency_key})
        return str(answer["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str | None:
        """The run's state; None when Airflow has no such run yet."""
        try:
            return str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
        except NotFoundError:
            return None

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        from urllib.parse import quote

        import boto3
        import requests
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise JetwayApiError("There are no AWS credentials to sign with.")
        url, data = self._base + quote(path, safe="/~:+"), b"" if body is None else json.dumps(body).encode()
        request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json", **(headers or {})})
        SigV4Auth(credentials, "execute-api", self._region or session.region_name).add_auth(request)
        answer = requests.request(method, url, data=data, headers=dict(request.headers), timeout=TIMEOUT)
        if answer.status_code == 404:
            raise NotFoundError(_problem(answer))
        if 400 <= answer.status_code < 500 and answer.status_code not in {408, 429}:
            raise JetwayApiError(_problem(answer))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


class NotFoundError(JetwayApiError):
    """There is no such run, or no such DAG."""


def _problem(answer: Any) -> str:
    try:
        said = answer.json().get("detail") or answer.text
    except ValueError:
        said = answer.text
    return f"{answer.status_code} {said}"
