"""`jetway check --load` and what the environment has beside Airflow: its image's packages, and what requirements bring.

Without an index: what is known of providers is in the data, what they depend on is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from jetway.artifacts.mwaa import packages_of
from jetway_cli.app import cli
from tools import venvs
from tools.emulator import airflow

pytestmark = pytest.mark.loading

PROVIDERS = ("cncf-kubernetes", "docker", "google", "microsoft-azure", "dbt-cloud", "slack", "ssh", "apache-spark")
OTHERS = ("azure-storage-blob", "google-cloud-storage", "ruamel.yaml", "snowflake-connector-python")

HEAD = "from datetime import datetime\nfrom airflow import DAG\n"
BODY = '\nwith DAG("{name}", start_date=datetime(2026, 1, 1), schedule=None):\n    '

# Each is what people write; the environment loads all of them.
GOOD = {
    "pod": (
        "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator",
        'KubernetesPodOperator(task_id="p", name="p", image="python:3.12-slim", namespace="default")',
    ),
    "eks_pod": (
        "from airflow.providers.amazon.aws.operators.eks import EksPodOperator",
        'EksPodOperator(task_id="p", cluster_name="c", pod_name="p", image="i", namespace="default")',
    ),
    "azure": (
        "from airflow.providers.microsoft.azure.operators.data_factory import AzureDataFactoryRunPipelineOperator",
        'AzureDataFactoryRunPipelineOperator(task_id="a", pipeline_name="p")',
    ),
    "dbt": (
        "from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator",
        'DbtCloudRunJobOperator(task_id="d", job_id=1)',
    ),
    "spark": (
        "from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator",
        'SparkSubmitOperator(task_id="s", application="a.py") >> SparkSubmitOperator(task_id="t", application="b.py")',
    ),
    "bigquery": (
        "from airflow.providers.google.cloud.operators import bigquery",
        'bigquery.BigQueryInsertJobOperator(task_id="b", configuration={"query": {}})',
    ),
    "slack": (
        "from airflow.providers.slack.notifications.slack import send_slack_notification",
        "assert send_slack_notification",
    ),
    "ssh_whole": ("import airflow.providers.ssh.hooks.ssh as ssh", "assert ssh.SSHHook"),
    "docker_task": ("from airflow.decorators import task", '@task.docker(image="i")\n    def f(): return 1\n    f()'),
    "docker_called": ("from airflow.decorators import task", 'task.docker(lambda: 1, task_id="f", image="i")()'),
    "pod_task": (
        "from airflow.decorators import task",
        '@task.kubernetes(image="i", namespace="n")\n    def f(x): return x\n    f.expand(x=[1, 2])',
    ),
    "pyspark_task": (
        "from airflow.decorators import task",
        '@task.pyspark(conn_id="c")\n    def f(spark): ...\n    f()',
    ),
    # Of namespaces, of which nobody has asked an index.
    "snowflake": ("import snowflake.connector", "assert snowflake.connector.connect"),
    "storage": ("from google.cloud import storage", "assert storage.Client"),
    "of_a_namespace": ("from google.cloud import batch_v1", "assert batch_v1.BatchServiceClient"),
    "optional": (
        "try:\n    from google.cloud.aiplatform import training\nexcept ImportError:\n    raise RuntimeError",
        "assert training",
    ),
    "optional_name": (
        "try:\n    from google.cloud import spanner\nexcept ImportError as exc:\n    raise RuntimeError from exc",
        "assert spanner.Client",
    ),
    "blob": ("from azure.storage.blob import BlobServiceClient", "assert BlobServiceClient"),
    "yaml": ("from ruamel.yaml import YAML", "assert YAML"),
    "star": ("from snowflake.connector import *", "assert connect"),
    "kubernetes": ("from kubernetes.client import models as k8s", "assert k8s.V1Pod"),
    # Of MWAA's own image.
    "postgres": (
        "import psycopg2, psycopg2.extras\nfrom airflow.providers.postgres.hooks.postgres import PostgresHook",
        'assert PostgresHook("x").postgres_conn_id == "x" and issubclass(psycopg2.OperationalError, Exception)',
    ),
    "redis": ("import redis, celery, asyncpg, tornado.web", "assert redis.Redis and celery.Celery"),
    "typed": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mypy_boto3_sqs import SQSClient",
        "assert True",
    ),
    "transport": ("import grpc, lxml.etree, pycurl, virtualenv, setproctitle", "assert grpc.insecure_channel"),
}
# Nobody's environment loads these, and the data tells.
BAD = {
    "gone": ("from airflow.providers.postgres.operators.postgres import PostgresOperator", "missing-module"),
    "no_module": ("from airflow.providers.docker.operators.dokcer import DockerOperator", "missing-module"),
    "no_name": ("from airflow.providers.docker.operators.docker import DokcerOperator", "missing-name"),
    "no_name_below": ("from airflow.providers.google.cloud.hooks import bigquery_of_old", "missing-name"),
    "not_airflows": ("from airflow.models import NoSuchThing", "missing-name"),
    "no_driver": ("from psycopg2.extras import RealDictCursors", "missing-name"),
}


@pytest.fixture(scope="module", params=airflow.VERSIONS)
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """name → report of each file, with a requirements.txt that was not resolved."""
    version: str = request.param
    packages = packages_of(version)
    assert packages is not None
    project = tmp_path_factory.mktemp("project")
    (project / "dags").mkdir()
    for name, (imports, line) in GOOD.items():
        (project / "dags" / f"use_{name}.py").write_text(HEAD + imports + BODY.format(name=name) + line + "\n")
    for name, (imports, _) in BAD.items():
        (project / "dags" / f"use_{name}.py").write_text(HEAD + imports + BODY.format(name=name) + "pass\n")
    wanted = [*(f"apache-airflow-providers-{name}" for name in PROVIDERS)]
    lines = [f"{name}=={packages.constraints[name]}" for name in wanted]
    (project / "requirements.txt").write_text("\n".join([*lines, *OTHERS]) + "\n")
    python = venvs.ensure(f"airflow-{version}")
    options = ["--load", "--no-resolve", "--airflow-python", python, "--airflow-version", version, "--format", "json"]
    paths = [project / "dags", project / "requirements.txt"]
    done = CliRunner().invoke(cli, ["check", *map(str, [*paths, *options])])
    return {Path(report["path"]).stem.removeprefix("use_"): report for report in json.loads(done.stdout)}


@pytest.mark.parametrize("name", GOOD)
def test_what_people_write_is_not_refused(verdicts: dict[str, dict[str, object]], name: str) -> None:
    assert verdicts[name]["verdict"] in {"accepted", "unknown"}, verdicts[name]["findings"]


@pytest.mark.parametrize(
    "name", ["pod", "azure", "dbt", "spark", "bigquery", "docker_task", "pod_task", "pyspark_task", "postgres", "redis"]
)
def test_what_the_data_knows_is_accepted(verdicts: dict[str, dict[str, object]], name: str) -> None:
    assert verdicts[name]["verdict"] == "accepted", verdicts[name]["findings"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_in_a_package_is_refused(verdicts: dict[str, dict[str, object]], name: str) -> None:
    report = verdicts[name]
    findings = report["findings"]
    assert isinstance(findings, list)
    assert (report["verdict"], [found["rule"] for found in findings]) == ("rejected", [BAD[name][1]])
