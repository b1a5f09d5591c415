"""Every example of dags/ runs to success on real Airflow, and leaves what it says it does."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import Deployment, updates_applied
from tools import examples, venvs
from tools.emulator.airflow import Airflow
from tools.examples.fixture import BUCKET, Ended, Scene, unique
from tools.examples.scenarios import with_key
from tools.examples.sources import SAMPLES, Sources
from tools.stack.calls import airflow_api, call_api, let_send, read_report, wait_for
from tools.stack.stack import Stack


@pytest.fixture(scope="module")
def applying(stack: Stack, deployment: Deployment) -> Iterator[None]:
    """As the other `applying`, but deployed once for the tests that use it, which are this module's last."""
    with updates_applied(stack, deployment):
        yield


@pytest.fixture(scope="module")
def scene(stack: Stack) -> Iterator[Scene]:
    with Sources() as sources:
        yield Scene(stack, sources)


@contextmanager
def installed(scene: Scene, name: str) -> Iterator[examples.Example]:
    """Have an example in force, as `make demo EXAMPLE=…` does; the gate has no fault to find with its DAG files."""
    example = examples.find(name)
    with examples.installed(example, scene):
        for file in example.files or (name,):
            report = read_report(scene.stack, f"dags/{file}.py") or {}
            # Only a package index tells which modules dag-factory brings.
            expected = {"missing-module"} if file == "yaml_workflow" else set[str]()
            assert {finding["rule"] for finding in report["findings"]} <= expected
            assert report["verdict"] in ({"accepted", "unknown"} if expected else {"accepted"})
        yield example


def play(scene: Scene, name: str) -> list[Ended]:
    """Play an example; it raises unless every run ends in success."""
    with installed(scene, name) as example:
        runs = example.play(scene)
    assert {run.state for run in runs} == {"success"}
    return runs


def states(scene: Scene, run: Ended) -> dict[str, list[str]]:
    """Task id → states of its instances."""
    found: dict[str, list[str]] = {}
    for task in scene.tasks(run.dag_id, run.run_id):
        found.setdefault(task["task_id"], []).append(task["state"])
    return found


def clear(scene: Scene, run: Ended, task_id: str) -> None:
    """Have Airflow run a task of an ended run again."""
    body = {"dag_run_id": run.run_id, "task_ids": [task_id], "only_failed": False}
    body |= {"dry_run": False, "reset_dag_runs": True}  # what both versions take by default is not the same
    scene.call_airflow("POST", f"/dags/{run.dag_id}/clearTaskInstances", Body=body)


def drop(scene: Scene, key: str, body: bytes) -> Ended:
    """Land a file of orders and wait for the end of its run."""
    before = scene.runs("etl_orders")
    scene.land(key, body)
    return scene.ended("etl_orders", "a file", before=before, where=with_key(key))


def rows_of(scene: Scene, key: str) -> Any:
    """The rows of a Parquet file, read by DuckDB of Airflow's Python: what the examples need is there."""
    file = scene.stack.run_folder / f"{unique()}.parquet"
    file.write_bytes(scene.read(key))
    code = (
        "import sys, json, duckdb\n"
        "rows = duckdb.read_parquet(sys.argv[1]).order('order_id').fetchall()\n"
        "print(json.dumps(rows, default=str))"
    )
    python = venvs.HOME / "venvs" / f"airflow-{scene.stack.airflow_version}" / "bin" / "python"
    done = subprocess.run([str(python), "-c", code, str(file)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def listen(scene: Scene, source: str) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that tells the events of that source on the default bus since its last call."""
    sqs, events = scene.stack.client("sqs"), scene.stack.client("events")
    name = f"listen-{unique()}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = let_send(sqs, url, "events")
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
    tries = {(t["task_id"], t["try_number"]) for run in (small, large) for t in scene.tasks(run.dag_id, run.run_id)}
    assert {(task, number) for task, number in tries if number > 1} == {("in_parts.split", 2)}
    assert states(scene, small)["in_parts.split"] == ["skipped"]
    assert scene.keys(f"workspace/{large.run_id}/") == []
    wanted = {f"callbacks/{large.run_id}/{name}.txt" for name in ("retry-in_parts.split", "success")}
    wait_for("both callbacks", lambda: True if set(scene.keys("callbacks/")) >= wanted else None, seconds=60)


@pytest.mark.slow
def test_a_run_that_fails_cleans_up_too_and_calls_back(scene: Scene) -> None:
    key = f"texts/no-text-{unique()}.txt"
    with installed(scene, "complex_workflow"):
        scene.land(key, b"\xff\xfe no UTF-8")
        run = scene.ended("complex_workflow", "no text", where=with_key(key), wanted="failed")
    found = states(scene, run)
    assert found["in_one_piece.count_all"] == ["failed"]
    assert found["remove_workspace"] == ["success"]
    assert scene.keys(f"workspace/{run.run_id}/") == []
    assert scene.keys(f"word-counts/{key.rpartition('/')[2]}") == []
    wanted = {f"callbacks/{run.run_id}/{name}.txt" for name in ("retry-in_one_piece.count_all", "failure")}
    wait_for("both callbacks", lambda: True if set(scene.keys("callbacks/")) >= wanted else None, seconds=60)
    assert f"callbacks/{run.run_id}/success.txt" not in scene.keys("callbacks/")


@pytest.mark.slow
def test_a_file_of_orders_is_loaded_once_however_often_it_comes(scene: Scene) -> None:
    samples = [(SAMPLES / "etl_orders" / f"orders-2026-11-20{more}.csv").read_bytes() for more in ("", "-corrected")]
    name = f"orders/{unique()}"
    key = f"incoming/{name}.csv"
    with installed(scene, "etl_orders"):
        for _ in range(2):  # the same bytes
            older = drop(scene, key, samples[0])
            assert rows_of(scene, f"curated/{name}.parquet") == [
                [1001, "2026-11-20", "Harbour Books", "AT", "49.90"],
                [1002, "2026-11-20", "Müller & Söhne", "DE", "120.00"],
                [1003, "2026-11-20", "Comma, Inc.", "US", "18.25"],
                [1006, "2026-11-20", "Café Central", "AT", "7.80"],
            ]
            rejected = scene.read(f"rejected/{name}.csv").decode()
            assert "amount cannot be '-5.00'" in rejected
            assert "day cannot be 'yesterday'" in rejected
        drop(scene, key, samples[1])
        assert [(row[0], row[4]) for row in rows_of(scene, f"curated/{name}.parquet")] == [
            (1001, "59.90"), (1002, "120.00"), (1003, "18.25"), (1004, "5.00"), (1005, "3.10"), (1006, "7.80"),
        ]  # fmt: skip
        assert scene.keys(f"rejected/{name}") == []
        assert scene.keys(f"curated/{name}") == [f"curated/{name}.parquet"]

        # Whatever is run again, the newest file wins.
        clear(scene, older, "load")
        wait_for("a skip", lambda: True if states(scene, older)["load"] == ["skipped"] else None, seconds=60)
        assert rows_of(scene, f"curated/{name}.parquet")[0][4] == "59.90"

        # A file of that name in another folder is another file.
        other = f"orders/{unique()}/{name.rpartition('/')[2]}"
        drop(scene, f"incoming/{other}.csv", samples[0].replace(b"49.90", b"11.11"))
        assert rows_of(scene, f"curated/{other}.parquet")[0][4] == "11.11"
        assert rows_of(scene, f"curated/{name}.parquet")[0][4] == "59.90"

        wrong = f"incoming/orders/wrong-{unique()}.csv"
        scene.land(wrong, b"a,b\n1,2\n")
        failed = scene.ended("etl_orders", "a wrong file", where=with_key(wrong), wanted="failed")
    (validate,) = [t for t in scene.tasks("etl_orders", failed.run_id) if t["task_id"] == "validate"]
    assert (validate["state"], validate["try_number"]) == ("failed", 1)  # trying again would not help


def test_a_webhook_starts_a_run_that_reads_with_a_connection_of_the_secrets_backend(scene: Scene) -> None:
    (run,) = play(scene, "onprem_orders")
    assert json.loads(run.left) == {"order": 4711, "customer": "Harbour Books", "total": "49.90"}
    assert scene.sources.asked.count("/orders/4711") == 1
    (found,) = [found for run_id, found in scene.runs("onprem_orders").items() if run_id == run.run_id]
    assert scene.sources.password not in json.dumps(found)
    assert airflow_api(scene.stack, "GET", "/connections/onprem_orders") is None  # Airflow's database has it not


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
    (found,) = [found for run_id, found in scene.runs("provider_rates").items() if run_id == planned.run_id]
    today = found["conf"]["scheduled_time"][:10]
    assert sorted(scene.sources.asked[-2:]) == ["/rates?day=2026-11-19", f"/rates?day={today}"]
    rates = json.loads((SAMPLES / "provider_rates" / "rates.json").read_bytes())
    for day in ("2026-11-19", today):
        assert json.loads(scene.read(f"rates/day={day}/rates.json")) == rates


@pytest.mark.slow
def test_processes_over_four_technologies_run_one_after_the_other(scene: Scene) -> None:
    runs = play(scene, "etl_chain")
    assert [run.dag_id for run in runs] == ["chain_orders", "chain_rates", "chain_report", "chain_archive"]
    report = gzip.decompress(scene.read(f"chain/{runs[-1].run_id}/report.csv.gz")).decode()
    assert report == "day,orders,euros\n2026-11-19,2,30.00\n2026-11-20,2,101.50\n"
    digest = hashlib.sha256(report.encode()).hexdigest()
    assert scene.read(f"chain/{runs[-1].run_id}/report.csv.sha256").decode() == f"{digest}  report.csv\n"
    for dag_id, run in zip(("chain_rates", "chain_report", "chain_archive"), runs, strict=False):
        after = [found for found in scene.runs(dag_id).values() if found["conf"]["after"] == run.run_id]
        assert len(after) == 1  # one end, one run


@pytest.mark.slow
def test_an_order_without_a_rate_is_not_lost_in_the_join(scene: Scene) -> None:
    before, after = scene.runs("chain_report"), f"test-{unique()}"
    orders = [{"order_id": "1", "day": "2026-11-20", "currency": "XTS", "amount": "1.00"}]
    facts = {"orders": orders, "rates": {"2026-11-20": {"EUR": 1.0}}}
    scene.make_bucket()
    scene.land(f"chain/{after}/orders-and-rates.json", json.dumps(facts).encode())
    scene.install_dags([examples.DAGS / "etl_chain.py"], ["chain_report"])
    body = {"conf": {"bucket": BUCKET, "after": after}}
    assert call_api(scene.stack, "POST", "/dags/chain_report/dagRuns", body=body).status_code == 202
    run = scene.ended("chain_report", "a call", before=before, wanted="failed")
    assert scene.keys(f"chain/{run.run_id}/") == []


@pytest.mark.slow
def test_a_batch_of_files_trains_judges_and_publishes_a_model(scene: Scene) -> None:
    (run,) = play(scene, "ml_pipeline")
    card = json.loads(run.left)
    assert card["run_id"] == run.run_id
    assert card["metrics"]["accuracy"] >= 0.8
    assert scene.keys(card["model"].removeprefix(f"s3://{BUCKET}/"))
    (found,) = [found for run_id, found in scene.runs("ml_pipeline").items() if run_id == run.run_id]
    assert found["conf"]["count"] == 4
    for name in ("accuracy", "auc", "rows"):
        assert metric(scene, name) == pytest.approx(card["metrics"][name])


@pytest.mark.slow
def test_a_model_that_is_not_good_enough_is_not_published(scene: Scene) -> None:
    before, delivery = scene.runs("ml_pipeline"), unique()
    published = scene.read("models/failures/current.json") if scene.keys("models/failures/current.json") else None
    with installed(scene, "ml_pipeline"):
        for path in sorted((SAMPLES / "ml_pipeline").glob("*.csv")):
            head, *rows = path.read_text().splitlines()
            # Labels that have nothing to do with the readings.
            noise = [f"{row.rpartition(',')[0]},{number % 2}" for number, row in enumerate(rows)]
            scene.land(f"readings/{delivery}/{path.name}", "\n".join([head, *noise]).encode())
        run = scene.ended("ml_pipeline", "noise", before=before, wanted="failed")
    found = states(scene, run)
    assert (found["evaluate"], found["publish"]) == (["failed"], ["upstream_failed"])
    now = scene.read("models/failures/current.json") if scene.keys("models/failures/current.json") else None
    assert now == published


def metric(scene: Scene, name: str) -> float | None:
    """The newest value of a metric that the example has put in CloudWatch."""
    now = datetime.now(UTC)
    points = scene.stack.client("cloudwatch").get_metric_statistics(
        Namespace="Jetway/Examples",
        MetricName=name,
        Dimensions=[{"Name": "Model", "Value": "failures"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None


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
    assert "there is no example 'ml_pipelin'. Did you mean ml_pipeline?" in done.stderr
    assert all(name in done.stderr for name in examples.EXAMPLES)
    assert "Traceback" not in done.stdout + done.stderr


def plugins_of(scene: Scene) -> set[str]:
    """The names of the plugins that Airflow has loaded."""
    return {plugin["name"] for plugin in scene.call_airflow("GET", "/plugins")["plugins"]}


@pytest.mark.slow
@pytest.mark.usefixtures("applying")
def test_plugins_are_loaded_operator_and_sensor_work_and_the_listener_tells_of_every_run(scene: Scene) -> None:
    heard = listen(scene, "airflow")
    with installed(scene, "other_environment") as example:
        first, second = example.play(scene)
        assert "jetway" in plugins_of(scene)
        assert second.run_id.startswith("jetway__http__")
        by_hand: dict[str, Any] = {"dag_run_id": f"by-hand-{unique()}", "conf": {}}
        if not scene.stack.airflow_version.startswith("2."):
            by_hand["logical_date"] = None
        scene.call_airflow("POST", "/dags/hello_jetway/dagRuns", Body=by_hand)
        # The task that starts the other run is tried again, long after it has succeeded.
        clear(scene, first, "start")

        def tried_again() -> bool | None:
            (start,) = [t for t in scene.tasks("other_environment", first.run_id) if t["task_id"] == "start"]
            return True if (start["state"], start["try_number"]) == ("success", 2) else None

        wait_for("the second try", tried_again, seconds=60)
    started = [run_id for run_id, run in scene.runs("hello_jetway").items() if run["conf"].get("key") == first.run_id]
    assert started == [second.run_id]
    told: set[tuple[str, str]] = set()

    def look() -> bool | None:
        told.update((event["detail"]["dag_run_id"], event["detail-type"]) for event in heard())
        wanted = {
            (run, f"Airflow DagRun {state}")
            for run in (first.run_id, second.run_id, by_hand["dag_run_id"])
            for state in ("running", "success")
        }
        return True if wanted <= told else None

    wait_for("the listener's events", look, seconds=60)


@pytest.mark.slow
@pytest.mark.usefixtures("applying")
def test_a_third_party_plugin_is_loaded_and_makes_a_dag_of_data(scene: Scene) -> None:
    (run,) = play(scene, "yaml_workflow")
    assert [line.rpartition("/")[2] for line in run.left.splitlines()] == ["books.csv", "done", "maps.csv"]
    assert plugins_of(scene) >= {"Dag Factory Plugin", "jetway"}
    # Installed by the environment's update, whatever other examples have put beside Airflow.
    overlay = Airflow.read(scene.stack.gateway_config.airflow).overlay
    assert overlay is not None
    assert (overlay / "packages" / "dagfactory").is_dir()
