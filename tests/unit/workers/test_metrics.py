"""What is asked of CloudWatch and what its answer says: missing, late and partial data, and the numbers published."""

from __future__ import annotations

import runpy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.metrics import MetricUnit
from botocore.stub import Stubber

from jetway import observability
from jetway.airflow.environment import parse_environment
from jetway.wiring.measure_workers import Config
from jetway.workers.assessment import Minute, Pool, measure, settings_of
from jetway.workers.metrics import Operations, Watched, ask, metric_queries, operations, readings
from jetway.workers.published_metrics import published

NOW = datetime(2026, 11, 22, 6, 30, 20, tzinfo=UTC)
THIS_MINUTE = NOW.replace(second=0)
WATCHED = Watched(
    "prod",
    pools=["default_pool", "gpu"],
    queues=["q"],
    dead_letters=["d1", "d2"],
    functions=["f1", "f2"],
    work_queues=["w1", "w2"],
)
FACTS = parse_environment(
    {
        "Name": "prod",
        "Status": "AVAILABLE",
        "AirflowVersion": "3.3.1",
        "SourceBucketArn": "arn:aws:s3:::b",
        "DagS3Path": "dags",
        "EnvironmentClass": "mw1.medium",
        "MinWorkers": 2,
        "MaxWorkers": 7,
        "AirflowConfigurationOptions": {"celery.worker_autoscale": "4,4"},
        "LastUpdate": {"Status": "FAILED", "CreatedAt": NOW},
    }
)


def ago(**minutes_ago: dict[int, float]) -> dict[str, dict[datetime, float]]:
    """Series by id, each {minutes ago: value}."""
    return {
        id_: {THIS_MINUTE - timedelta(minutes=minutes): value for minutes, value in values.items()}
        for id_, values in minutes_ago.items()
    }


def test_one_call_asks_for_everything() -> None:
    cloudwatch = boto3.client(
        "cloudwatch", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    at = THIS_MINUTE - timedelta(minutes=1)
    answer = {
        "MetricDataResults": [
            {"Id": "running", "Timestamps": [at], "Values": [3.0], "StatusCode": "Complete"},
            {"Id": "queued", "Timestamps": [], "Values": [], "StatusCode": "Complete"},
        ]
    }
    expected = {
        "MetricDataQueries": metric_queries(WATCHED),
        "StartTime": datetime(2026, 11, 22, 6, 15, tzinfo=UTC),
        "EndTime": datetime(2026, 11, 22, 6, 31, tzinfo=UTC),
        "ScanBy": "TimestampAscending",
    }
    with Stubber(cloudwatch) as stub:
        stub.add_response("get_metric_data", answer, expected)
        assert ask(cloudwatch, WATCHED, NOW) == {"running": {at: 3.0}, "queued": {}}
        stub.assert_no_pending_responses()


def test_queries_have_ids_of_their_own_and_name_mwaas_metrics() -> None:
    queries: list[Any] = metric_queries(WATCHED)
    assert len({query["Id"] for query in queries}) == len(queries) < 500
    by_id = {query["Id"]: query["MetricStat"] for query in queries}
    assert by_id["base_count"]["Stat"] == "SampleCount"
    assert by_id["base_count"]["Period"] == 60
    assert by_id["base_count"]["Metric"]["Dimensions"] == [
        {"Name": "Cluster", "Value": "BaseWorker"},
        {"Name": "Environment", "Value": "prod"},
    ]
    # Both namespaces have QueuedTasks; MWAA scales by its own queue.
    assert by_id["queued"]["Metric"]["Namespace"] == "AWS/MWAA"
    assert by_id["pool_starving_1"]["Metric"]["Dimensions"][0] == {"Name": "Pool", "Value": "gpu"}


def test_workers_are_counted_over_whole_minutes_and_late_samples_do_not_lose_any() -> None:
    found = ago(base_count={0: 1, 1: 1, 2: 2, 3: 9}, additional_count={0: 1, 2: 3})
    # This minute is not over; of the last one the additional workers are late; three minutes ago is past.
    assert readings(found, WATCHED, NOW).workers == 5


def test_no_additional_workers_is_none_of_them_and_no_samples_at_all_is_no_count() -> None:
    assert readings(ago(base_count={1: 2, 2: 2}), WATCHED, NOW).workers == 2
    assert readings(ago(base_count={0: 2}), WATCHED, NOW).workers is None
    assert readings(ago(base_count={9: 2}), WATCHED, NOW).workers is None
    assert readings({}, WATCHED, NOW).workers is None


@pytest.mark.parametrize(
    ("counts", "workers"),
    [({}, None), ({"base_count": 1}, 1), ({"additional_count": 1}, 1), ({"base_count": 1, "additional_count": 2}, 1)],
)
def test_the_one_container_of_a_micro_environment_counts_under_whichever_name(
    counts: dict[str, float], workers: int | None
) -> None:
    """Scheduler and worker at once; MWAA does not say which of the two its metrics are named after."""
    micro = replace(WATCHED, environment_class="mw1.micro")
    asked: list[Any] = metric_queries(micro)
    clusters = {
        dimension["Value"]
        for query in asked
        for dimension in query["MetricStat"]["Metric"]["Dimensions"]
        if dimension["Name"] == "Cluster"
    }
    assert clusters == {"BaseWorker", "Scheduler"}
    assert len(asked) == len(metric_queries(WATCHED))  # it costs no more
    found = ago(**{name: {1: count} for name, count in counts.items()}, additional_cpu={1: 97.0})
    now = readings(found, micro, NOW)
    assert (now.workers, now.cpu) == (workers, 97.0)
    assert {minute.workers for minute in now.history} <= {workers, None}


def test_invocations_that_lambda_dropped_as_a_loop_are_errors() -> None:
    """They are no errors of the function in Lambda's own count."""
    looping = replace(WATCHED, readers=["f2"])
    (query,) = [query for query in metric_queries(looping) if query["Id"].startswith("loops")]
    metric = query["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"]) == ("AWS/Lambda", "RecursiveInvocationsDropped")
    found = ago(errors_0={1: 2.0}, loops_0={2: 3.0})
    assert operations(found, looping, NOW).errors == 5.0
    assert operations(found, WATCHED, NOW).errors == 2.0


def test_gauges_hold_while_they_are_fresh() -> None:
    found = ago(running={5: 8.0, 6: 1.0}, queued={14: 3.0}, base_cpu={1: 20.0}, additional_cpu={2: 60.0})
    now = readings(found, WATCHED, NOW)
    assert (now.running, now.queued, now.cpu, now.memory) == (8.0, None, 60.0, None)


def test_an_empty_queue_has_no_oldest_task() -> None:
    assert readings(ago(queued={1: 0.0}), WATCHED, NOW).oldest == 0.0
    assert readings(ago(queued={1: 2.0}), WATCHED, NOW).oldest is None
    assert readings(ago(queued={1: 2.0}, oldest={1: 44.0}), WATCHED, NOW).oldest == 44.0


def test_history_has_every_minute_and_bridges_five_minute_periods() -> None:
    found = ago(running={2: 4.0, 7: 3.0, 12: 2.0}, queued={2: 0.0, 7: 1.0, 12: 2.0}, base_count={2: 1, 3: 1})
    history = readings(found, WATCHED, NOW).history
    assert len(history) == 16
    assert history[0] == Minute(None, None, None)
    assert history[-1] == Minute(4.0, 0.0, None)
    assert history[-3] == Minute(4.0, 0.0, 1)
    assert sum(minute.running is None for minute in history) == 2  # before the first one that is known


def test_the_rate_of_completion_is_that_of_whole_minutes() -> None:
    found = ago(succeeded={0: 99.0, 1: 10.0, 9: 20.0, 11: 99.0}, failed={1: 5.0})
    assert readings(found, WATCHED, NOW).completed_per_minute == 3.5
    assert readings(ago(succeeded={12: 5.0}), WATCHED, NOW).completed_per_minute == 0.0
    assert readings({}, WATCHED, NOW).completed_per_minute is None


def test_pools_and_what_the_user_blocks() -> None:
    found = ago(pool_open_0={1: 0.0}, pool_starving_1={1: 4.0})
    assert readings(found, WATCHED, NOW).pools == (Pool("default_pool", open=0.0), Pool("gpu", starving=4.0))


def test_operations_add_up() -> None:
    found = ago(
        age_0={1: 70.0},
        work_age_0={1: 5.0},
        work_age_1={3: 4000.0},
        dead_0={1: 2.0},
        dead_1={2: 1.0},
        errors_0={1: 1.0, 4: 2.0, 5: 9.0},
        throttles_1={1: 0.0},
    )
    assert operations(found, WATCHED, NOW) == Operations(
        queue_age=70.0, dead_letters=3.0, errors=3.0, throttles=0.0, work_queue_age=4000.0
    )
    assert operations({}, WATCHED, NOW) == Operations()


def test_what_cannot_be_told_is_not_published() -> None:
    nothing = measure(readings({}, WATCHED, NOW), settings_of(FACTS))
    names = {metric.name for metric in published(nothing, Operations(), FACTS)}
    assert names == {"MinWorkers", "MaxWorkers", "UpdateFailed"}


def test_what_is_published() -> None:
    found = ago(running={0: 8.0}, queued={0: 24.0}, oldest={0: 65.0}, base_count={1: 2}, succeeded={1: 10.0, 2: 10.0})
    saturation = measure(readings(found, WATCHED, NOW), settings_of(FACTS))
    operation = Operations(queue_age=1.0, dead_letters=2.0, errors=3.0, throttles=4.0, work_queue_age=5.0)
    assert {metric.name: metric.value for metric in published(saturation, operation, FACTS)} == {
        "RequiredWorkers": 8,  # (8 + 24) / 4: worker_autoscale, not the class's ten
        "RunningWorkers": 2,
        "WorkerShortfall": 6,
        "IdleWorkers": 0,
        "WorkerUtilization": 100.0,
        "BacklogPerWorker": 12.0,
        "EstimatedDrainTime": 720.0,
        "ScalingHeadroom": -1,
        "QueueWait": 65.0,
        "Verdict": 2,
        "MinWorkers": 2,
        "MaxWorkers": 7,
        "UpdateFailed": 1,
        "DispatchQueueAge": 1.0,
        "WorkQueueAge": 5.0,
        "DeadLetters": 2.0,
        "FunctionErrors": 3.0,
        "FunctionThrottles": 4.0,
    }


def test_the_environment_is_the_only_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm on {Environment} never sees a metric that has one dimension more."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "measure_workers")
    reloaded = runpy.run_path(observability.__file__)["metrics"]
    reloaded.set_default_dimensions(Environment="prod")
    reloaded.add_metric("X", MetricUnit.Count, 1)
    reloaded.namespace = "Jetway"
    (directive,) = reloaded.serialize_metric_set()["_aws"]["CloudWatchMetrics"]
    reloaded.clear_metrics()
    assert directive["Dimensions"] == [["Environment"]]


def test_the_function_watches_itself_and_takes_urls_for_names() -> None:
    env = {
        "ENVIRONMENT_NAME": "prod",
        "POOLS": "default_pool, gpu",
        "QUEUES": "https://sqs.eu-central-1.amazonaws.com/000000000000/dispatch.fifo",
        "WORK_QUEUES": "artifact,collect",
        "DEAD_LETTER_QUEUES": "",
        "FUNCTIONS": "a,b",
        "AWS_LAMBDA_FUNCTION_NAME": "self",
    }
    config = Config.from_env(env)
    assert (config.pools, config.queues) == (("default_pool", "gpu"), ("dispatch.fifo",))
    assert config.work_queues == ("artifact", "collect")
    assert (config.dead_letters, config.functions) == ((), ("a", "b", "self"))
