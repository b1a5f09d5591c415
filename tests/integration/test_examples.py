"""Every example of dags/ runs to success on real Airflow, and leaves what it says it does."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local import examples, venvs
from local.calls import airflow_api, wait_for
from local.examples.scene import BUCKET, SAMPLES, Ended, Scene, unique
from local.examples.sources import Sources
from local.stack import Stack

ORDERS = SAMPLES / "etl_orders" / "orders-2026-11-20.csv"


@pytest.fixture(scope="module")
def scene(stack: Stack) -> Iterator[Scene]:
    with Sources() as sources:
        yield Scene(stack, sources)


def play(scene: Scene, name: str) -> list[Ended]:
    """Play an example as `make demo EXAMPLE=…` does; it raises unless every run ends in success."""
    example = examples.find(name)
    with examples.installed(example, scene):
        runs = example.play(scene)
    assert {run.state for run in runs} == {"success"}
    return runs


def states(scene: Scene, run: Ended) -> dict[str, list[str]]:
    """Task id → states of its instances."""
    found: dict[str, list[str]] = {}
    for task in scene.tasks(run.dag_id, run.run_id):
        found.setdefault(task["task_id"], []).append(task["state"])
    return found


def in_airflow(stack: Stack, code: str, *arguments: str) -> Any:
    """Run code with Airflow's Python, which has what the examples need, and return the JSON that it prints."""
    python = venvs.HOME / "venvs" / f"airflow-{stack.airflow_version}" / "bin" / "python"
    done = subprocess.run([str(python), "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def listen(scene: Scene, source: str) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that tells the events of that source on the default bus since its last call."""
    sqs, events = scene.stack.client("sqs"), scene.stack.client("events")
    name = f"listen-{unique()}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def heard() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    return heard


def test_the_complex_workflow_takes_its_branch_tries_again_and_cleans_up(scene: Scene) -> None:
    small, large = play(scene, "complex_workflow")
    assert (json.loads(small.left), json.loads(large.left)) == (
        {"words": 7, "in_parts": False},
        {"words": 178, "in_parts": True},
    )
    taken = states(scene, large)
    assert taken["in_one_piece.count_all"] == ["skipped"]
    assert taken["in_parts.count_part"] == ["success"] * 3
    assert taken["remove_workspace"] == ["success"]
    split = next(t for t in scene.tasks("complex_workflow", large.run_id) if t["task_id"] == "in_parts.split")
    assert split["try_number"] == 2
    assert states(scene, small)["in_parts.split"] == ["skipped"]
    assert scene.keys(f"workspace/{large.run_id}/") == []
    wanted = {f"callbacks/{large.run_id}/{name}.txt" for name in ("retry-in_parts.split", "success")}
    wait_for("both callbacks", lambda: True if set(scene.keys("callbacks/")) >= wanted else None, seconds=60)


@pytest.mark.slow
def test_a_file_of_orders_is_loaded_once_however_often_it_comes(scene: Scene, stack: Stack) -> None:
    example = examples.find("etl_orders")
    name = f"twice-{unique()}"
    key = f"incoming/orders/{name}.csv"
    good = ORDERS.read_text()
    with examples.installed(example, scene):
        for body in (good, good.replace("49.90", "59.90")):
            before = scene.runs("etl_orders")
            scene.land(key, body.encode())
            scene.ended("etl_orders", "a file", before=before, where=lambda conf: conf["key"] == key)
        wrong = f"incoming/orders/wrong-{unique()}.csv"
        scene.land(wrong, b"a,b\n1,2\n")
        failed = scene.ended("etl_orders", "a wrong file", where=lambda conf: conf["key"] == wrong, wanted="failed")
    assert scene.keys(f"curated/orders/file={name}/") == [f"curated/orders/file={name}/part-0.parquet"]
    code = (
        "import sys, json, duckdb\n"
        "rows = duckdb.sql(f\"SELECT order_id, country, amount::VARCHAR FROM '{sys.argv[1]}' ORDER BY 1\").fetchall()\n"
        "print(json.dumps(rows))"
    )
    parquet = stack.run_folder / f"{name}.parquet"
    parquet.write_bytes(scene.read(f"curated/orders/file={name}/part-0.parquet"))
    assert in_airflow(stack, code, str(parquet)) == [
        [1001, "AT", "59.90"],
        [1002, "DE", "120.00"],
        [1003, "US", "18.25"],
        [1006, "AT", "7.80"],
    ]
    rejected = scene.read(f"rejected/orders/{name}.csv").decode()
    assert "amount is not positive" in rejected
    assert "day is not a date" in rejected
    (validate,) = [t for t in scene.tasks("etl_orders", failed.run_id) if t["task_id"] == "validate"]
    assert (validate["state"], validate["try_number"]) == ("failed", 1)  # trying again would not help


def test_a_webhook_starts_a_run_that_reads_with_a_connection_of_the_secrets_backend(scene: Scene) -> None:
    (run,) = play(scene, "onprem_orders")
    assert json.loads(run.left) == {"order": 4711, "customer": "Harbour Books", "total": "49.90"}
    assert scene.sources.asked.count("/orders/4711") == 1
    (found,) = [found for run_id, found in scene.runs("onprem_orders").items() if run_id == run.run_id]
    assert scene.sources.password not in json.dumps(found)


@pytest.mark.slow
def test_operators_of_the_amazon_provider_copy_and_tell(scene: Scene) -> None:
    heard = listen(scene, "acme.deliveries")
    (run,) = play(scene, "aws_services")
    archived = run.left.split(", ")
    assert [key.rpartition("/")[2] for key in archived] == ["a.csv", "b.csv"]
    assert [scene.read(key) for key in archived] == [
        (SAMPLES / "aws_services" / name).read_bytes() for name in ("a.csv", "b.csv")
    ]
    told = wait_for("the event", lambda: next((e for e in heard() if run.run_id in json.dumps(e)), None), seconds=30)
    assert told["detail-type"] == "DeliveryArchived"


@pytest.mark.slow
def test_a_providers_data_comes_on_demand_and_on_schedule(scene: Scene) -> None:
    asked, planned = play(scene, "provider_rates")
    assert asked.run_id.startswith("jetway__http__")
    assert planned.run_id.startswith("jetway__provider_rates_soon__")
    today = datetime.now(UTC).date().isoformat()
    assert scene.sources.asked[-2:].count("/rates?day=2026-11-20") == 1
    assert json.loads(scene.read("rates/day=2026-11-20/rates.json")) == {"EUR": 1.0, "GBP": 0.85, "USD": 1.16}
    assert any(key.startswith(f"rates/day={today[:7]}") for key in scene.keys("rates/"))


@pytest.mark.slow
def test_processes_over_four_technologies_run_one_after_the_other(scene: Scene) -> None:
    runs = play(scene, "etl_chain")
    assert [run.dag_id for run in runs] == ["chain_orders", "chain_rates", "chain_report", "chain_archive"]
    report = gzip.decompress(scene.read(f"chain/{runs[-1].run_id}/report.csv.gz")).decode()
    assert report == "day,orders,euros\n2026-11-19,2,30.00\n2026-11-20,2,101.50\n"
    assert scene.read(f"chain/{runs[-1].run_id}/report.csv.sha256").decode().endswith("report.csv\n")
    for dag_id, run in zip(("chain_rates", "chain_report", "chain_archive"), runs, strict=False):
        after = [found for found in scene.runs(dag_id).values() if found["conf"]["after"] == run.run_id]
        assert len(after) == 1  # one end, one run


@pytest.mark.slow
def test_a_batch_of_files_trains_judges_and_publishes_a_model(scene: Scene) -> None:
    (run,) = play(scene, "ml_pipeline")
    card = json.loads(run.left)
    assert card["run_id"] == run.run_id
    assert card["metrics"]["accuracy"] >= 0.8
    assert scene.keys(card["model"].removeprefix(f"s3://{BUCKET}/"))
    (found,) = [found for run_id, found in scene.runs("ml_pipeline").items() if run_id == run.run_id]
    assert found["conf"]["count"] == 4
    metrics = scene.stack.client("cloudwatch").list_metrics(Namespace="Jetway/Examples")["Metrics"]
    assert {metric["MetricName"] for metric in metrics} >= {"accuracy", "auc"}


def test_an_unknown_example_is_told_with_the_nearest_and_all_names() -> None:
    done = subprocess.run(
        ["make", "-s", "demo", "EXAMPLE=ml_pipelin"],
        cwd=venvs.ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.returncode != 0
    assert "there is no example 'ml_pipelin'. Did you mean ml_pipeline?" in done.stdout
    assert all(name in done.stdout for name in examples.EXAMPLES)
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("applying")
def test_plugins_are_loaded_operator_and_sensor_work_and_the_listener_tells_of_every_run(scene: Scene) -> None:
    heard = listen(scene, "airflow")
    first, second = play(scene, "other_environment")
    assert second.run_id.startswith("jetway__http__")
    told: set[tuple[str, str]] = set()

    def look() -> bool | None:
        told.update((event["detail"]["dag_run_id"], event["detail-type"]) for event in heard())
        wanted = {
            (run, f"Airflow DagRun {state}")
            for run in (first.run_id, second.run_id)
            for state in ("running", "success")
        }
        return True if wanted <= told else None

    wait_for("the listener's events", look, seconds=60)
    assert len([run for run in scene.runs("hello_jetway").values() if run["conf"].get("key") == first.run_id]) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("applying")
def test_a_third_party_plugin_is_loaded_and_makes_a_dag_of_data(scene: Scene) -> None:
    (run,) = play(scene, "yaml_workflow")
    assert [line.rpartition("/")[2] for line in run.left.splitlines()] == ["a.csv", "b.csv", "done"]
    loaded = airflow_api(scene.stack, "GET", "/plugins") or {}
    assert {plugin["name"] for plugin in loaded["plugins"]} >= {"Dag Factory Plugin"}
