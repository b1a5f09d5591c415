"""What each example does: something happens, runs start, and end. Each play returns the runs that it has seen end."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests

from tools.emulator.ministack.service import REGION
from tools.examples.fixture import BUCKET, Ended, ExampleError, Scene, unique
from tools.examples.sources import LOGIN, SAMPLES
from tools.stack.calls import call_api

# Scheduler knows whole seconds; the trigger file must have become a schedule before its moment.
SCHEDULE_AHEAD = timedelta(seconds=15)
# A chain is as quick as Jetway sees the end of runs: it looks every minute.
CHAIN_SECONDS = 240.0


def with_member(name: str, value: str) -> Callable[[dict[str, Any]], bool]:
    """Tells the run whose conf has that member from others."""
    return lambda conf: conf.get(name) == value


def with_key(key: str) -> Callable[[dict[str, Any]], bool]:
    """Tells the run of that file from others."""
    return with_member("key", key)


def complex_workflow(scene: Scene) -> list[Ended]:
    """A small and a large text: each takes its own branch."""
    keys = {name: f"texts/{name}-{unique()}.txt" for name in ("small", "large")}
    for name, key in keys.items():
        scene.land(key, SAMPLES / "complex_workflow" / f"{name}.txt")
    runs = []
    for name, key in keys.items():
        ended = scene.ended("complex_workflow", f"{name} file", where=with_key(key))
        report = scene.read(f"word-counts/{key.rpartition('/')[2]}.json").decode()
        runs.append(_left(ended, report))
    return runs


def provider_rates(scene: Scene) -> list[Ended]:
    """One day on demand by a call, today's by a schedule."""
    _know_provider(scene)
    day = "2026-11-19"
    before = scene.runs("provider_rates")
    at = (datetime.now(UTC) + SCHEDULE_AHEAD).strftime("%Y-%m-%dT%H:%M:%S")
    text = f"dag: provider_rates\non: {{schedule: {{at: {at}}}}}\n"
    text += f"conf: {{bucket: {BUCKET}, scheduled_time: '{{{{ scheduled_time }}}}'}}\n"
    scene.install_triggers({"provider_rates_soon": text})
    try:
        body = {"conf": {"bucket": BUCKET, "day": day}}
        _accepted(call_api(scene.stack, "POST", "/dags/provider_rates/dagRuns", body=body))
        asked = scene.ended("provider_rates", "HTTP call", before=before, where=with_member("day", day))
        cause = f"schedule at {at}"
        planned = scene.ended("provider_rates", cause, before=before, where=lambda conf: "scheduled_time" in conf)
    finally:
        scene.remove_triggers(("provider_rates_soon",))
    keys = (f"rates/day={which}/rates.json" for which in (day, at[:10]))
    return [
        _left(ended, f"s3://{BUCKET}/{key} {scene.read(key).decode()}")
        for ended, key in zip((asked, planned), keys, strict=True)
    ]


def etl_orders(scene: Scene) -> list[Ended]:
    """A file of orders with wrong rows; the same file again; the file corrected."""
    name = f"orders/{unique()}"
    key = f"incoming/{name}.csv"
    runs = []
    for cause, sample in (
        ("a file", "orders-2026-11-20"),
        ("the same file again", "orders-2026-11-20"),
        ("the file corrected", "orders-2026-11-20-corrected"),
    ):
        before = scene.runs("etl_orders")
        scene.land(key, SAMPLES / "etl_orders" / f"{sample}.csv")
        ended = scene.ended("etl_orders", cause, before=before, where=with_key(key))
        loaded, rejected = scene.keys(f"curated/{name}"), scene.keys(f"rejected/{name}")
        runs.append(_left(ended, f"{', '.join(loaded)}; put aside: {', '.join(rejected) or 'nothing'}"))
    return runs


def etl_chain(scene: Scene) -> list[Ended]:
    """A file starts the first process; the end of each starts the next."""
    _know_provider(scene)
    key = f"sales/{unique()}.csv"
    scene.land(key, SAMPLES / "etl_chain" / "sales.csv")
    runs = [scene.ended("chain_orders", "a file", where=with_key(key))]
    for dag_id in ("chain_rates", "chain_report", "chain_archive"):
        last = runs[-1]
        cause = f"DagRunSucceeded of {last.dag_id}"
        runs.append(scene.ended(dag_id, cause, where=with_member("after", last.run_id), seconds=CHAIN_SECONDS))
    left = scene.keys(f"chain/{runs[-1].run_id}/")
    return [*runs[:-1], _left(runs[-1], ", ".join(key.rpartition("/")[2] for key in left))]


def ml_pipeline(scene: Scene) -> list[Ended]:
    """Four files of readings make one batch, one run, one model."""
    before, delivery = scene.runs("ml_pipeline"), unique()
    for path in sorted((SAMPLES / "ml_pipeline").glob("*.csv")):
        scene.land(f"readings/{delivery}/{path.name}", path)
    ended = scene.ended("ml_pipeline", "a batch of 4 files", before=before)
    return [_left(ended, scene.read("models/failures/current.json").decode())]


def onprem_orders(scene: Scene) -> list[Ended]:
    """A webhook, signed with HMAC as GitHub does, names an order; address and password come from Secrets Manager."""
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": scene.sources.port, "schema": "http"}
    connection |= {"login": LOGIN, "password": scene.sources.password}
    scene.secret("airflow/connections/onprem_orders", json.dumps(connection))
    secret = secrets.token_hex(16)
    scene.secret(f"{scene.stack.env['JETWAY_STACK']}/webhooks/onprem_orders", secret)
    before = scene.runs("onprem_orders")
    payload = json.loads((SAMPLES / "onprem_orders" / "webhook.json").read_bytes()) | {"delivery": unique()}
    body = json.dumps(payload).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    _accepted(
        requests.post(
            f"{scene.stack.http_api_url}/webhooks/onprem_orders",
            data=body,
            headers={"Content-Type": "application/json", "X-Hub-Signature-256": signature},
            timeout=40,
        )
    )
    ended = scene.ended("onprem_orders", "a signed webhook", before=before)
    return [_left(ended, scene.read(f"onprem-orders/{payload['order']}.json").decode())]


def aws_services(scene: Scene) -> list[Ended]:
    """A delivery of two files, whole when `done` is there."""
    folder = f"deliveries/{unique()}"
    for path in sorted((SAMPLES / "aws_services").glob("*.csv")):
        scene.land(f"{folder}/{path.name}", path)
    scene.land(f"{folder}/done", b"")
    ended = scene.ended("aws_services", f"{folder}/done", where=with_key(f"{folder}/done"))
    return [_left(ended, ", ".join(scene.keys(f"archive/{folder}/")))]


def other_environment(scene: Scene) -> list[Ended]:
    """A call starts a DAG that starts another one through Jetway, here in the same environment."""
    api = {"conn_type": "generic", "host": scene.stack.http_api_url, "extra": {"region": REGION}}
    scene.secret("airflow/connections/jetway_default", json.dumps(api))
    before = scene.runs("other_environment")
    body = json.loads((SAMPLES / "other_environment" / "call.json").read_bytes())
    headers = {"Idempotency-Key": unique()}
    _accepted(call_api(scene.stack, "POST", "/triggers/other_environment", body=body, headers=headers))
    first = scene.ended("other_environment", "a call of a trigger", before=before)
    second = scene.ended("hello_jetway", "StartDagRunOperator", where=with_member("key", first.run_id))
    return [first, second]


def yaml_workflow(scene: Scene) -> list[Ended]:
    """A catalogue of two files, listed by a DAG that is data."""
    folder = f"catalogues/{unique()}"
    for path in sorted((SAMPLES / "yaml_workflow").glob("*.csv")):
        scene.land(f"{folder}/{path.name}", path)
    scene.land(f"{folder}/done", b"")
    ended = scene.ended("yaml_workflow", f"{folder}/done", where=with_key(f"{folder}/done"))
    return [_left(ended, scene.read(f"lists/{ended.run_id}.txt").decode())]


def _know_provider(scene: Scene) -> None:
    scene.connection("rates_provider", conn_type="http", host="127.0.0.1", port=scene.sources.port, schema="http")


def _accepted(answer: requests.Response) -> None:
    if answer.status_code != HTTPStatus.ACCEPTED:
        raise ExampleError(f"{answer.request.url} answered {answer.status_code}: {answer.text}")


def _left(ended: Ended, left: str) -> Ended:
    return replace(ended, left=left)
