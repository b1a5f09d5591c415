"""When bounds move, when they must not, and what the scaler does about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from jetway.airflow.environment import Environment
from jetway.errors import EnvironmentUnavailableError
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.apply import Updates
from jetway.updates.record import UpdateTable
from jetway.wiring.scale_workers import Config
from jetway.wiring.variables import ConfigError
from jetway.workers.assessment import WorkerSettings
from jetway.workers.floors_file import FloorsFile
from jetway.workers.scaler import WorkerScaler
from jetway.workers.scaling import Demand, Policy, ScalingDecision, decide, monthly_cost
from tests.unit.artifacts.buckets import TABLE, make_artifact_table

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_mwaa import MWAAClient

NOW = datetime(2026, 11, 23, 6, 30, 20, tzinfo=UTC)
POLICY = Policy(lowest=1, usual=10, highest=20, raise_after=5, lower_after=60)
SETTINGS = WorkerSettings("mw1.small", min_workers=1, max_workers=10, tasks_per_worker=5)


def decided(settings: WorkerSettings = SETTINGS, policy: Policy = POLICY, **given: Any) -> ScalingDecision:
    facts = {name: given.pop(name) for name in ("status", "last_update_at", "last_update") if name in given}
    demand = {"required": [1] * 60, "running_workers": 1, "running_tasks": 1.0, **given}
    return decide(
        settings, Demand(**demand), policy, **{"status": "AVAILABLE", "last_update_at": None, **facts}, now=NOW
    )


def bounds(decision: ScalingDecision) -> tuple[str, int, int]:
    return decision.action, decision.min_workers, decision.max_workers


def test_nothing_moves_while_the_bounds_fit() -> None:
    assert bounds(decided()) == ("none", 1, 10)
    assert bounds(decided(required=[10] * 60, running_workers=10)) == ("none", 1, 10)


def test_lasting_demand_above_the_maximum_raises_it_with_a_margin() -> None:
    decision = decided(required=[3] * 55 + [12] * 5)
    assert bounds(decision) == ("raise", 1, 15)
    assert "MaxWorkers 10 → 15" in decision.because
    assert "12 to 12 workers were needed in each of 5 minutes" in decision.because
    assert bounds(decided(required=[99] * 60)) == ("raise", 1, 20)


def test_a_short_peak_or_missing_data_raises_nothing() -> None:
    assert decided(required=[3] * 56 + [99] * 4).action == "none"
    assert decided(required=[99] * 59 + [10]).action == "none"
    assert decided(required=[99] * 4).action == "none"
    assert decided(required=[None] * 60).action == "none"
    assert bounds(decided(required=[3] * 50 + [12, None, 12, 12, None, 12, 12])) == ("raise", 1, 15)


def test_a_floor_raises_the_minimum_and_if_need_be_the_maximum() -> None:
    assert bounds(decided(floor=6)) == ("raise", 6, 10)
    assert bounds(decided(floor=14)) == ("raise", 14, 14)
    assert bounds(decided(floor=40)) == ("raise", 20, 20)
    assert "mornings" in decided(floor=6, floor_because="mornings").because


def test_a_burst_that_the_maximum_can_take_is_left_to_mwaa() -> None:
    assert decided(burst_tasks=45).action == "none"  # one worker is needed now, nine more would be
    assert bounds(decided(burst_tasks=60)) == ("raise", 13, 13)
    assert bounds(decided(burst_tasks=6000)) == ("raise", 20, 20)


def test_a_minimum_that_nothing_needs_is_lowered_in_one_step_but_not_below_what_runs() -> None:
    settings = replace(SETTINGS, min_workers=6)
    decision = decided(settings, required=[2] * 59 + [3], running_workers=6)
    assert bounds(decision) == ("lower", 1, 10)
    assert bounds(decided(settings, required=[3] * 60, running_tasks=11.0)) == ("lower", 3, 10)
    assert "no more than 3 workers were needed in 60 minutes" in decision.because
    assert decided(settings, required=[2] * 59 + [6]).action == "none"
    assert decided(settings, required=[2] * 30).action == "none"
    assert decided(settings, required=[2] * 50 + [None] * 10).action == "none"
    assert bounds(decided(settings, required=[2] * 56 + [None] * 4)) == ("lower", 1, 10)


def test_a_minimum_stays_for_a_floor_that_is_due_soon() -> None:
    settings = replace(SETTINGS, min_workers=6)
    assert decided(settings, coming_floor=6).action == "none"
    assert bounds(decided(settings, coming_floor=4)) == ("lower", 4, 10)


def test_the_maximum_comes_back_to_the_usual_but_never_below_what_runs() -> None:
    settings = replace(SETTINGS, max_workers=18)
    assert bounds(decided(settings)) == ("lower", 1, 10)
    assert bounds(decided(settings, running_workers=13)) == ("lower", 1, 13)
    assert decided(settings, required=[9] * 60).action == "none"  # within the margin of the usual
    assert decided(settings, running_workers=None).action == "none"
    assert decided(settings, running_tasks=None).action == "none"
    assert decided(settings, burst_tasks=1).action == "none"


@pytest.mark.parametrize("status", ["UPDATING", "MAINTENANCE", "UPDATE_FAILED", "CREATING_SNAPSHOT", "UNAVAILABLE"])
def test_nothing_is_changed_unless_the_environment_is_available(status: str) -> None:
    decision = decided(floor=6, status=status)
    assert bounds(decision) == ("wait", 6, 10)
    assert status in decision.because


def test_a_cool_down_follows_every_update_and_is_shorter_for_raising() -> None:
    low = replace(SETTINGS, min_workers=6)
    assert decided(floor=6, last_update_at=NOW - timedelta(minutes=9)).action == "wait"
    assert decided(floor=6, last_update_at=NOW - timedelta(minutes=10)).action == "raise"
    assert "10 more to wait" in decided(low, last_update_at=NOW - timedelta(minutes=50)).because
    assert decided(low, last_update_at=NOW - timedelta(minutes=60)).action == "lower"
    assert decided(floor=6, last_update_at=NOW - timedelta(minutes=30), last_update="FAILED").action == "wait"


def test_micro_has_nothing_to_move() -> None:
    micro = WorkerSettings("mw1.micro", 1, 1, 3)
    decision = decided(micro, required=[9] * 60, floor=5)
    assert bounds(decision) == ("none", 1, 1)
    assert "does not scale" in decision.because


def test_the_cost_is_that_of_the_minimum() -> None:
    assert monthly_cost(SETTINGS, decided(floor=6), 0.055) == pytest.approx(5 * 0.055 * 730)
    assert monthly_cost(replace(SETTINGS, min_workers=6), decided(replace(SETTINGS, min_workers=6)), 0.1) < 0


@given(
    low=st.integers(1, 25),
    more=st.integers(0, 25),
    policy=st.builds(
        Policy, lowest=st.integers(1, 5), usual=st.integers(5, 15), highest=st.integers(15, 50), lower_after=st.just(20)
    ),
    demand=st.builds(
        Demand,
        required=st.lists(st.none() | st.integers(0, 80), max_size=40),
        running_workers=st.none() | st.integers(0, 50),
        running_tasks=st.none() | st.integers(0, 300),
        burst_tasks=st.sampled_from([0, 0, 0, 10, 1000]),
        floor=st.integers(0, 60),
        coming_floor=st.integers(0, 60),
    ),
    minutes=st.none() | st.integers(0, 200),
    status=st.sampled_from(["AVAILABLE", "UPDATING"]),
)
def test_whatever_comes_the_bounds_hold(
    low: int, more: int, policy: Policy, demand: Demand, minutes: int | None, status: str
) -> None:
    settings = WorkerSettings("mw1.small", low, low + more, 5)
    since = None if minutes is None else NOW - timedelta(minutes=minutes)
    decision = decide(settings, demand, policy, status=status, last_update_at=since, now=NOW)
    assert decision.because
    assert decision.min_workers <= decision.max_workers
    moved = (decision.min_workers, decision.max_workers) != (settings.min_workers, settings.max_workers)
    assert moved is (decision.action != "none")
    if decision.action == "raise":
        assert decision.min_workers >= settings.min_workers
        assert decision.max_workers >= settings.max_workers
        assert decision.max_workers <= max(policy.highest, settings.max_workers)
    if decision.action == "lower":
        assert decision.min_workers <= settings.min_workers
        assert decision.max_workers <= settings.max_workers
        assert decision.min_workers >= min(policy.lowest, settings.min_workers)
        assert demand.running_workers is not None
        assert demand.running_tasks is not None
        assert decision.max_workers >= min(demand.running_workers, settings.max_workers)
        assert decision.min_workers * 5 >= min(demand.running_tasks, settings.min_workers * 5)
    if status != "AVAILABLE" or (minutes is not None and minutes < 10):
        assert decision.action in {"none", "wait"}


# ------------------------------------------------------------------------------------------------ the scaler


@pytest.fixture
def aws() -> Iterator[dict[str, Any]]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="eu-central-1")
        s3.create_bucket(Bucket="drop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        dynamodb = boto3.client("dynamodb", region_name="eu-central-1")
        make_artifact_table(dynamodb)
        yield {"s3": s3, "dynamodb": dynamodb}


class Scaled:
    """A scaler with a stubbed environment and CloudWatch."""

    def __init__(self, aws: dict[str, Any], mode: str, events: int = 0, **environment: Any) -> None:
        keys: Any = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-central-1"}
        mwaa: MWAAClient = boto3.client("mwaa", **keys)
        cloudwatch: CloudWatchClient = boto3.client("cloudwatch", **keys)
        self.mwaa, self.cloudwatch = Stubber(mwaa), Stubber(cloudwatch)
        described = {
            "Name": "prod",
            "Status": "AVAILABLE",
            "AirflowVersion": "3.3.1",
            "SourceBucketArn": "arn:aws:s3:::b",
            "DagS3Path": "dags",
            "EnvironmentClass": "mw1.small",
            "MinWorkers": 1,
            "MaxWorkers": 10,
        }
        self.mwaa.add_response("get_environment", {"Environment": described | environment}, {"Name": "prod"})
        self.updates = Updates(
            mwaa,
            Environment(mwaa, "prod", max_age=0),
            UpdateTable(aws["dynamodb"], TABLE),
            ArtifactStateTable(aws["dynamodb"], TABLE),
            automatic=True,
            worker_replacement="GRACEFUL",
            clock=lambda: NOW,
        )
        self.scaler = WorkerScaler(
            "prod",
            POLICY,
            mode=mode,  # type: ignore[arg-type]
            floors=FloorsFile(aws["s3"], "drop").read,
            events_waiting=lambda: events,
            tasks_per_event=2,
            prices={"mw1.small": 0.055},
            mwaa=mwaa,
            cloudwatch=cloudwatch,
            update=self.updates.scale,
        )

    def demand(self, running: float, queued: float, workers: int) -> None:
        ats = [NOW.replace(second=0) - timedelta(minutes=minutes) for minutes in range(60, -1, -1)]
        values = {"running": running, "queued": queued, "base_count": workers}
        results = [{"Id": id_, "Timestamps": ats, "Values": [float(value)] * len(ats)} for id_, value in values.items()]
        self.cloudwatch.add_response(
            "get_metric_data",
            {"MetricDataResults": results},
            {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampAscending"},
        )

    def __enter__(self) -> Scaled:
        self.mwaa.activate()
        self.cloudwatch.activate()
        return self

    def __exit__(self, *_: object) -> None:
        self.mwaa.assert_no_pending_responses()
        self.cloudwatch.assert_no_pending_responses()


UPDATE = {"Name": "prod", "MinWorkers": 1, "MaxWorkers": 15, "WorkerReplacementStrategy": "GRACEFUL"}


def test_act_updates_gracefully_and_advise_does_not(aws: dict[str, Any]) -> None:
    for mode in ("act", "advise", "off"):
        with Scaled(aws, mode) as scaled:
            scaled.demand(running=50, queued=10, workers=10)
            if mode == "act":
                scaled.mwaa.add_response("update_environment", {"Arn": "arn"}, UPDATE)
            outcome = scaled.scaler.scale(NOW)
        assert bounds(outcome.decision) == ("raise", 1, 15)
        assert outcome.applied is (mode == "act")
        assert outcome.cost_per_month == 0.0
        assert outcome.cost_per_hour == pytest.approx(9 * 0.055)


def test_floors_and_bursts_are_read(aws: dict[str, Any]) -> None:
    aws["s3"].put_object(
        Bucket="drop", Key="floors.yaml", Body=b'floors: [{days: mon, from: "07:00", to: "8:00", min: 4}]'
    )
    with Scaled(aws, "advise", events=40) as scaled:
        scaled.demand(running=1, queued=0, workers=1)
        outcome = scaled.scaler.scale(NOW)  # 06:30:20, so the floor is half an hour ahead
    assert bounds(outcome.decision) == ("raise", 17, 17)
    assert "07:00-08:00 UTC: at least 4" in outcome.decision.because
    assert "80 tasks are expected soon" in outcome.decision.because
    assert outcome.tasks_to_come == 80
    assert outcome.cost_per_month == pytest.approx(16 * 0.055 * 730, abs=0.01)
    json.dumps(outcome.cost_per_month)


@pytest.mark.parametrize("body", [b"floors: [", b"\xff\xfe", b"#" * 70_000])
def test_floors_that_cannot_be_read_lower_nothing(aws: dict[str, Any], body: bytes) -> None:
    aws["s3"].put_object(Bucket="drop", Key="floors.yaml", Body=body)
    with Scaled(aws, "act", MinWorkers=5) as scaled:
        scaled.demand(running=1, queued=0, workers=5)
        outcome = scaled.scaler.scale(NOW)
    assert outcome.decision.action == "none"
    assert outcome.floors_error


def test_an_update_that_somebody_else_began_is_waited_for(aws: dict[str, Any]) -> None:
    with Scaled(aws, "act") as scaled:
        scaled.demand(running=50, queued=10, workers=10)
        scaled.mwaa.add_client_error("update_environment", "ValidationException", "is in UPDATING state")
        outcome = scaled.scaler.scale(NOW)
    assert (outcome.applied, outcome.decision.action) == (False, "wait")
    assert "UPDATING" in outcome.decision.because


def test_a_refusal_is_an_error(aws: dict[str, Any]) -> None:
    with Scaled(aws, "act") as scaled:
        scaled.demand(running=50, queued=10, workers=10)
        scaled.mwaa.add_client_error("update_environment", "AccessDeniedException", "no")
        with pytest.raises(EnvironmentUnavailableError, match="UpdateEnvironment on environment 'prod' is denied"):
            scaled.scaler.scale(NOW)


# ------------------------------------------------------------------------------------------------ configuration

ENV = {
    "ENVIRONMENT_NAME": "prod",
    "SCALING_MODE": "advise",
    "SCALING_MIN_WORKERS": "2",
    "SCALING_USUAL_MAX_WORKERS": "10",
    "SCALING_MAX_WORKERS": "8",
    "SCALING_RAISE_AFTER_MINUTES": "5",
    "SCALING_LOWER_AFTER_MINUTES": "90",
    "SCALING_COOL_DOWN_MINUTES": "5",
    "TASKS_PER_EVENT": "1",
    "WORKER_PRICES": "mw1.small=0.055, mw1.medium=0.11,",
    "DROP_BUCKET": "drop",
    "EVENT_QUEUE_URLS": "url1,url2",
    "BATCH_TABLE": "batches",
    "EVENT_BUS_NAME": "default",
    "ARTIFACT_TABLE": "artifacts",
    "APPLY_UPDATES": "automatic",
    "WORKER_REPLACEMENT_STRATEGY": "GRACEFUL",
}


def test_the_usual_maximum_stays_within_the_bounds() -> None:
    config = Config.from_env(ENV)
    assert (config.policy.lowest, config.policy.usual, config.policy.highest) == (2, 8, 8)
    assert config.policy.raise_cool_down == config.policy.cool_down == timedelta(minutes=5)
    assert config.prices["mw1.medium"] == 0.11


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SCALING_MODE", "maybe", "off, advise or act"),
        ("SCALING_MIN_WORKERS", "9", "greater than"),
        ("WORKER_PRICES", "mw1.small=cheap", "class=price"),
        ("APPLY_UPDATES", "perhaps", "automatic or manual"),
        ("WORKER_REPLACEMENT_STRATEGY", "graceful", "GRACEFUL or FORCED"),
    ],
)
def test_a_wrong_configuration_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Config.from_env(ENV | {name: value})
