"""Only pip's failure counts: it writes ERROR for lesser things too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from jetway.airflow.environment import parse_environment
from jetway.live.install_log import why_pip_failed
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
        found = why_pip_failed(logs, GROUP, SINCE)
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
            assert why_pip_failed(logs, GROUP, SINCE) is None
        else:
            with pytest.raises(ClientError):
                why_pip_failed(logs, GROUP, SINCE)


def test_without_a_way_to_the_log_import_errors_decide() -> None:
    logs = SESSION.client("logs")

    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://logs.example.com")

    logs.meta.events.register("before-send.cloudwatch-logs.FilterLogEvents", unreachable)
    assert why_pip_failed(logs, GROUP, SINCE) is None
    assert why_pip_failed(logs, None, SINCE) is None


@pytest.mark.parametrize("enabled", [True, False])
def test_the_group_is_that_of_the_environment(*, enabled: bool) -> None:
    arn = f"arn:aws:logs:eu-central-1:111122223333:log-group:{GROUP}"
    logging = {"SchedulerLogs": {"Enabled": enabled, "CloudWatchLogGroupArn": arn}}
    facts = parse_environment(ENVIRONMENT["Environment"] | {"LoggingConfiguration": logging})
    assert facts.scheduler_log_group == (GROUP if enabled else None)
