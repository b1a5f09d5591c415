"""The REST client with botocore's InvokeRestApi stubbed, and what its tests ask for and get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.stub import Stubber

from jetway.airflow import Dag, DagRun, DagRunRequest, DagState, ImportProblem
from jetway.airflow.environment import Environment
from jetway.airflow.invoke import InvokeRestApi
from jetway.airflow.rest import RestClient

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

    from jetway.airflow import AirflowQuestions

RUN = DagRunRequest("hello", "evt_1", {"a": {"b": [1, None]}})
LONG_RUN_ID = "evt_" + "0" * 60
LONG_DAG_ID = "d" * 51
FOUND: dict[str, Any] = {"dag_id": "hello", "dag_run_id": "evt_1", "state": "queued", "logical_date": None, "conf": {}}
PARAM = (
    "Invalid input for param n: 'secret' is not of type 'integer'\n\nFailed validating 'type' in schema:\n"
    "    {'type': 'integer'}\n\nOn instance:\n    'secret'"
)


@dataclass
class OtherClient:
    """Stands for the client of the command line."""

    triggered: list[DagRunRequest] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        self.triggered.append(request)
        return DagRun(request.dag_id, request.dag_run_id, "queued")

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        self.asked.append((dag_id, dag_run_id))
        return DagRun(dag_id, dag_run_id, "running")

    def get_dag_state(self, dag_id: str) -> DagState:
        return "paused"

    def keeps_note(self, _dag_id: str) -> bool:
        return False

    def ping(self) -> None:
        raise NotImplementedError("its path is short enough")

    def list_import_errors(self) -> list[ImportProblem]:
        raise NotImplementedError

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        raise NotImplementedError("every path of it is short enough")

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        return [DagRun(dag_id, "of the command line", state or "queued")], limit


@dataclass
class Rest:
    """The stubbed control plane and the client under test."""

    mwaa: MWAAClient
    stub: Stubber
    other: OtherClient
    client: RestClient

    def environment(self, version: str, status: str = "AVAILABLE") -> None:
        self.stub.add_response(
            "get_environment",
            {
                "Environment": {
                    "Name": "acme",
                    "Status": status,
                    "AirflowVersion": version,
                    "SourceBucketArn": "arn:aws:s3:::acme-airflow",
                    "DagS3Path": "dags",
                }
            },
        )

    def answers(self, method: str, path: str, response: object, **expected: Any) -> None:
        self.stub.add_response(
            "invoke_rest_api",
            {"RestApiStatusCode": 200, "RestApiResponse": response},
            {"Name": "acme", "Method": method, "Path": path, **expected},
        )

    def refuses(self, status: int | None, response: object = None, *, code: str = "RestApiClientException") -> None:
        fields = {} if status is None else {"RestApiStatusCode": status, "RestApiResponse": response or {}}
        self.stub.add_client_error("invoke_rest_api", code, modeled_fields=fields)

    def posts(self, version: str) -> None:
        """Expect the environment and the POST of RUN, answered with the run."""
        self.environment(version)
        self.answers("POST", "/dags/hello/dagRuns", FOUND, Body=body(version))


def body(version: str, **more: Any) -> dict[str, Any]:
    date = {"logical_date": None} if version.startswith("3") else {}
    return {"dag_run_id": "evt_1", "conf": {"a": {"b": [1, None]}}, **date, **more}


def rest_client(mwaa: MWAAClient, fallback: Callable[[], AirflowQuestions], **more: Any) -> RestClient:
    """Return the client under test, which calls InvokeRestApi."""
    environment = Environment(mwaa, "acme")
    return RestClient(InvokeRestApi(mwaa, environment, **more), environment, fallback)
