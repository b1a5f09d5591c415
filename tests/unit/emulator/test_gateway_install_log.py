"""Where the gateway writes pip's log, and that verify_promotion finds it there, whatever the class."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from jetway.airflow.environment import parse_environment
from jetway.updates.install_log import why_pip_failed
from tools.emulator.gateway.config import GatewayConfig
from tools.emulator.gateway.description import describe_new
from tools.emulator.gateway.install_log import group_of, tell_of_failure

CONFIG = GatewayConfig(
    environment="airflow",
    bucket="bucket",
    port=1,
    state=Path("s"),
    airflow=Path("a"),
    certificate=Path("c"),
    key=Path("k"),
    endpoint="http://127.0.0.1:1",
    region="eu-central-1",
    max_workers=1,
)


@pytest.mark.parametrize(("kind", "group"), [("mw1.small", "Scheduler"), ("mw1.micro", "Worker")])
def test_pips_log_is_where_mwaas_containers_write_it(kind: str, group: str) -> None:
    environment = describe_new(replace(CONFIG, environment_class=kind), airflow_version="3.3.1", now=0.0)
    assert group_of(environment) == f"airflow-airflow-{group}"
    with mock_aws():
        logs = boto3.client("logs", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        tell_of_failure(logs, group_of(environment), "no such package: ghost")
        groups = parse_environment(environment).install_log_groups
        assert "ghost" in str(why_pip_failed(logs, groups, datetime.now(UTC) - timedelta(minutes=1)))
