"""Airflow as a set of runs, behind MWAA's two doors: InvokeRestApi and the command line.

Both answer as recorded answers of Airflow 3 do. A fault is what MWAA or a proxy answers instead: `503` when nothing was
done, `503 done` when all was done and only the answer is another, `504 later` when it is done some minutes later.
"""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote

import requests
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from urllib3.exceptions import NewConnectionError

RUNS_FOR = timedelta(seconds=90)
LATE = timedelta(minutes=4)  # that Airflow may take to make a run that it was asked for

CREATE, LOOK, LIST, PING = "airflow.create_run", "airflow.get_run", "airflow.list", "airflow.get_anything"

DENIED = "denied"  # a right is missing

# Of a create; each also with " done": Airflow made the run before.
ANSWERS = ("503", "500", "502", "504", "429", "closed")
LATER = ("closed later", "504 later")
OF_REST = (*ANSWERS, "unreachable", *(f"{each} done" for each in ANSWERS if each != "429"), *LATER)
OF_REST_REPEATED = ("409 repeated", "429 repeated", "503 repeated")
NO_REST = "no REST"  # MWAA says that the environment must be updated before it can do InvokeRestApi
OF_CLI = (*OF_REST, "garbage done", "OperationalError", "OperationalError done", "BrokenPipeError done")
OF_LOOKS = ("503", "closed", "429")
OF_LOOKS_OVER_REST = (*OF_LOOKS, "400", DENIED)
OF_LOOKS_OVER_CLI = (*OF_LOOKS, "garbage", "OperationalError", "BrokenPipeError")


@dataclass
class Run:
    """One run; `ours` when Jetway asked for it."""

    dag_id: str
    run_id: str
    created_at: datetime
    ours: bool
    date: str | None = None


class Airflow:
    """The runs, and the DAGs that it knows."""

    def __init__(self, clock: Callable[[], datetime], dags: set[str]) -> None:
        self.runs: dict[tuple[str, str], Run] = {}
        self.dags = dags
        self.clock = clock
        self.is_reached_over_rest = True
        self.is_slow = False
        self._on_their_way: list[tuple[datetime, Run]] = []

    def create(self, dag_id: str, run_id: str, date: str | None = None, *, ours: bool = True) -> str:
        """Make a run, when it is slow some minutes later; return made, there, taken, unknown or nothing yet."""
        if dag_id not in self.dags:
            return "unknown"
        self.arrive()
        if self.is_slow:
            self._on_their_way.append((self.clock() + LATE, Run(dag_id, run_id, self.clock(), ours, date)))
            return "nothing yet"
        if (dag_id, run_id) in self.runs:
            return "there"
        if self._is_taken(dag_id, date):
            return "taken"
        self.runs[dag_id, run_id] = Run(dag_id, run_id, self.clock(), ours, date)
        return "made"

    def _is_taken(self, dag_id: str, date: str | None) -> bool:
        return date is not None and any(run.dag_id == dag_id and run.date == date for run in self.runs.values())

    def arrive(self) -> None:
        """Make the runs that were asked for a while ago, unless somebody else has made them since."""
        for at, run in self._on_their_way:
            if at <= self.clock() and not self._is_taken(run.dag_id, run.date):
                self.runs.setdefault((run.dag_id, run.run_id), run)

    def late(self, call: Callable[[], Any]) -> None:
        """Answer a call, and do what it asks for some minutes later."""
        self.is_slow = True
        with suppress(ClientError):
            call()
        self.is_slow = False

    def state(self, run: Run) -> str:
        return "success" if self.clock() - run.created_at >= RUNS_FOR else "running"

    def shown(self, dag_id: str, run_id: str) -> dict[str, Any]:
        run = self.runs[dag_id, run_id]
        end = (run.created_at + RUNS_FOR).isoformat() if self.state(run) == "success" else None
        start = run.created_at.isoformat()
        found = {"dag_id": dag_id, "dag_run_id": run_id, "run_id": run_id, "state": self.state(run)}
        return {**found, "conf": {}, "logical_date": run.date, "start_date": start, "end_date": end}


Fail = Callable[[str, Callable[[], Any]], Any]
Cross = Callable[[str, Callable[[], Any], Fail], Any]


class Mwaa:
    """Stands in for boto3's client of MWAA. What asks Airflow passes `cross`."""

    def __init__(self, airflow: Airflow, cross: Cross, *, attempts: int = 1, private: bool = False) -> None:
        """Take the parts.

        Args:
            attempts: that boto3 makes of a call.
            private: the web server is; InvokeRestApi reaches it or not, as Airflow says.
        """
        self._airflow = airflow
        self._cross = cross
        self._access = "PRIVATE_ONLY" if private else "PUBLIC_ONLY"
        self.meta = SimpleNamespace(config=SimpleNamespace(retries={"total_max_attempts": attempts}))

    def get_environment(self, *, Name: str) -> dict[str, Any]:
        facts = {"Name": Name, "Status": "AVAILABLE", "AirflowVersion": "3.3.1", "SourceBucketArn": "arn:aws:s3:::b"}
        return {"Environment": {**facts, "DagS3Path": "dags", "WebserverAccessMode": self._access}}

    def create_cli_token(self, *, Name: str) -> dict[str, Any]:
        return {"CliToken": "t", "WebServerHostname": f"{Name}.example"}

    def invoke_rest_api(self, *, Name: str, Method: str, Path: str, **more: Any) -> dict[str, Any]:
        parts = [unquote(part) for part in Path.strip("/").split("/")]
        if not self._airflow.is_reached_over_rest:
            raise EndpointConnectionError(endpoint_url="https://mwaa.example")
        if parts == ["dags"]:
            return self._ask(PING, lambda: (200, {"dags": [], "total_entries": 0}))
        if Method == "POST" and parts[-1] == "dagRuns":
            return self._ask(CREATE, lambda: self._create(parts[1], more["Body"]))
        if parts[-1] == "list":
            return self._ask(LIST, lambda: self._list(more["Body"]))
        return self._ask(LOOK, lambda: self._look(*parts[1::2]))

    def _ask(self, name: str, answer: Callable[[], tuple[int, Any]]) -> dict[str, Any]:
        def fail(fault: str, call: Callable[[], Any]) -> Any:
            return _fail_rest(fault, call, self._airflow)

        self._airflow.arrive()
        found: dict[str, Any] = self._cross(name, lambda: _rest(*answer()), fail)
        return found

    def _create(self, dag_id: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        run_id = body["dag_run_id"]
        made = self._airflow.create(dag_id, run_id, body["logical_date"])
        if made == "made":
            return 200, self._airflow.shown(dag_id, run_id)
        return (409 if made in {"there", "taken"} else 404), {"detail": made}

    def _look(self, dag_id: str, run_id: str | None = None) -> tuple[int, Any]:
        if run_id is None:
            known = dag_id in self._airflow.dags
            return (200, {"dag_id": dag_id, "is_paused": False}) if known else (404, {})
        return (200, self._airflow.shown(dag_id, run_id)) if (dag_id, run_id) in self._airflow.runs else (404, {})

    def _list(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        ended = [self._airflow.shown(*key) for key in self._airflow.runs if key[0] in body["dag_ids"]]
        since = datetime.fromisoformat(body["end_date_gte"])
        ended = [run for run in ended if run["end_date"] and datetime.fromisoformat(run["end_date"]) >= since]
        return 200, {"dag_runs": ended, "total_entries": len(ended)}


def _rest(status: int, document: Any, *, repeats: int = 0) -> dict[str, Any]:
    if status < 400:
        return {"RestApiStatusCode": status, "RestApiResponse": document}
    code = "RestApiServerException" if status >= 500 else "RestApiClientException"
    meta = {"RetryAttempts": repeats, "HTTPStatusCode": 400}
    more = {"RestApiStatusCode": status, "RestApiResponse": document}
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": meta, **more}
    raise ClientError(answer, "InvokeRestApi")


def _fail_rest(fault: str, call: Callable[[], Any], airflow: Airflow) -> Any:
    kind, _, how = fault.partition(" ")
    if fault == NO_REST:
        raise _refused("ValidationException", "Update your environment to use InvokeRestApi")
    if fault == DENIED:
        raise _refused("AccessDeniedException", "User: me is not authorized to perform: airflow:InvokeRestApi")
    if how == "later":
        airflow.late(call)
    elif how:
        _quietly(call)
    if kind == "closed":
        raise ReadTimeoutError(endpoint_url="https://mwaa.example")
    if kind == "unreachable":
        raise EndpointConnectionError(endpoint_url="https://mwaa.example")
    return _rest(int(kind), {"detail": "no"}, repeats=int(how == "repeated"))


def _refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "InvokeRestApi")


def _quietly(call: Callable[[], Any]) -> None:
    with suppress(ClientError):
        call()


class CommandLine(requests.Session):
    """Stands in for the session that posts commands to the web server."""

    def __init__(self, airflow: Airflow, cross: Cross) -> None:
        super().__init__()
        self._airflow = airflow
        self._cross = cross

    def post(self, url: Any, data: Any = None, json: Any = None, **_more: Any) -> Any:
        argv = shlex.split(data.decode())
        name = PING if argv == ["version"] else {"trigger": CREATE, "state": LOOK}.get(argv[1], LIST)

        def fail(fault: str, call: Callable[[], Any]) -> Any:
            return _fail_cli(fault, call, self._airflow)

        self._airflow.arrive()
        return self._cross(name, lambda: _Answer(*self._run(argv)), fail)

    def _run(self, argv: list[str]) -> tuple[int, bytes]:
        if argv == ["version"]:
            return _printed("3.3.1\n")
        if argv[:2] == ["dags", "trigger"]:
            given = dict(word.split("=", 1) for word in argv if word.startswith(("--run-id=", "--logical-date=")))
            made = self._airflow.create(argv[-1], given["--run-id"], given.get("--logical-date"))
            if made == "made":
                return _output([self._airflow.shown(argv[-1], given["--run-id"])])
            return _died(_REFUSALS[made])
        if argv[:2] == ["dags", "state"]:
            found = self._airflow.runs.get((argv[-2], argv[-1]))
            return _printed(f"{self._airflow.state(found)}\n" if found else "None\n")
        if argv[1] == "list":
            return _output(
                [{"dag_id": dag_id, "is_paused": "False", "is_stale": "False"} for dag_id in self._airflow.dags]
            )
        assert argv[:2] == ["dags", "list-runs"], argv
        return _output([self._airflow.shown(*key) for key in self._airflow.runs if key[0] == argv[-1]])


_REFUSALS = {
    "unknown": "DagNotFound: Dag id x not found",
    "there": "DagRunAlreadyExists: there",
    "nothing yet": "DagRunAlreadyExists: there",  # nobody hears it
    "taken": "IntegrityError: (sqlite3.IntegrityError) UNIQUE constraint failed: dag_run.dag_id, dag_run.logical_date",
}


class _Answer:
    """One HTTP answer, as far as the endpoint reads it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self.headers = status, dict[str, str]()
        stream = io.BytesIO(body)
        self.raw = SimpleNamespace(read1=lambda size, decode_content: stream.read(size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


def _fail_cli(fault: str, call: Callable[[], Any], airflow: Airflow) -> Any:
    kind, _, done = fault.partition(" ")
    if fault == NO_REST:
        return call()  # that is nothing to a command
    if done == "later":
        airflow.late(call)
    elif done:
        call()
    if kind == "closed":
        raise requests.exceptions.ReadTimeout
    if kind == "unreachable":
        raise requests.exceptions.ConnectionError(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    if kind == "garbage":
        return _Answer(200, b"<html>")
    if kind.endswith("Error"):
        return _Answer(*_died(f"{kind}: no"))
    return _Answer(int(kind), b"<html>")


def _printed(stdout: str, stderr: str = "", status: int = 200) -> tuple[int, bytes]:
    texts = {"stdout": stdout, "stderr": stderr}
    return status, json.dumps({name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}).encode()


def _output(rows: list[dict[str, Any]]) -> tuple[int, bytes]:
    return _printed(json.dumps(rows) + "\n")


def _died(of: str) -> tuple[int, bytes]:
    return _printed("", f"Traceback (most recent call last):\n  File x\nairflow.exceptions.{of}\n", status=400)
