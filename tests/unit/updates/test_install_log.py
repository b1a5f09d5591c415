"""Only pip's failure counts: it writes ERROR for lesser things too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from jetway.airflow.environment import parse_environment
from jetway.updates.install_log import why_pip_failed
from tests.unit.artifacts.buckets import ENVIRONMENT, SESSION

GROUP = "airflow-acme-Scheduler"
SINCE = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
ASKED = {
    "logGroupName": GROUP,
    "logStreamNamePrefix": "requirements_install",
    "startTime": 1795327200000,
    "filterPattern": "ERROR",
}
CONFLICT = "[INFO] - ERROR: No matching distribution found for humanize==99"
# As in the image of 3.3.1, cut.
FAILED = "[ERROR] - ERROR: pip installation exited with a non-zero error code. This could be the result of…"


def asked(*lines: str) -> str | None:
    logs = SESSION.client("logs")
    with Stubber(logs) as stubber:
        half = len(lines) // 2
        first = {"events": [{"message": line} for line in lines[:half]], "nextToken": "more"}
        stubber.add_response("filter_log_events", first, ASKED)
        stubber.add_response(
            "filter_log_events",
            {"events": [{"message": line} for line in lines[half:]]},
            ASKED | {"nextToken": "more"},
        )
        found = why_pip_failed(logs, [GROUP], SINCE)
        stubber.assert_no_pending_responses()
    return found


def test_what_pip_said_is_told_once() -> None:
    assert asked(CONFLICT, FAILED, f"{CONFLICT}\n", FAILED) == f"{CONFLICT}\n{FAILED}"


def test_an_error_of_pip_that_went_on_is_no_failure() -> None:
    assert asked("[INFO] - ERROR: pip's dependency resolver does not take into account all the packages") is None
    assert asked() is None


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "ThrottlingException"])
def test_a_group_that_is_not_there_has_no_errors(code: str) -> None:
    logs = SESSION.client("logs")
    with Stubber(logs) as stubber:
        stubber.add_client_error("filter_log_events", code)
        if code == "ResourceNotFoundException":
            assert why_pip_failed(logs, [GROUP], SINCE) is None
        else:
            with pytest.raises(ClientError):
                why_pip_failed(logs, [GROUP], SINCE)


def test_without_a_way_to_the_log_import_errors_decide() -> None:
    logs = SESSION.client("logs")

    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://logs.example.com")

    logs.meta.events.register("before-send.cloudwatch-logs.FilterLogEvents", unreachable)
    assert why_pip_failed(logs, [GROUP], SINCE) is None
    assert why_pip_failed(logs, [], SINCE) is None


WORKER = "airflow-acme-Worker"


def test_every_group_is_looked_into_since_pip_logs_where_the_environments_class_says() -> None:
    """In mw1.micro scheduler and worker are one container, which logs in the worker's group."""
    logs = SESSION.client("logs")
    with Stubber(logs) as stubber:
        stubber.add_response("filter_log_events", {"events": []}, ASKED)
        failed = {"events": [{"message": CONFLICT}, {"message": FAILED}]}
        stubber.add_response("filter_log_events", failed, ASKED | {"logGroupName": WORKER})
        assert why_pip_failed(logs, [GROUP, WORKER], SINCE) == f"{CONFLICT}\n{FAILED}"
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize("enabled", [(), ("Scheduler",), ("Worker",), ("Scheduler", "Worker")])
def test_the_groups_are_those_of_the_environment(enabled: tuple[str, ...]) -> None:
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:airflow-acme-"
    logging = {
        f"{kind}Logs": {"Enabled": kind in enabled, "CloudWatchLogGroupArn": f"{arn}{kind}"}
        for kind in ("Scheduler", "Worker", "Task")
    }
    facts = parse_environment(ENVIRONMENT["Environment"] | {"LoggingConfiguration": logging})
    assert facts.install_log_groups == tuple(f"airflow-acme-{kind}" for kind in enabled)
    assert parse_environment(ENVIRONMENT["Environment"]).install_log_groups == ()
