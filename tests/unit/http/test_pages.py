"""What people see of the HTTP API: events, files, the status page and Swagger UI, and the API's description."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import jsonschema
import pytest

from jetway.http.pages import ASSETS
from jetway.ledger import Entry, Ledger
from jetway.workers.assessment import VERDICT_CODES
from tests.unit.http.function import DROP, ask, in_process
from tests.unit.ledger_table import make_ledger_table, read_template
from tools.generate import openapi

NOW = datetime.now(UTC)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with in_process(monkeypatch):
        yield


def get(path: str, query: dict[str, str] | None = None, *, encoding: str = "") -> dict[str, Any]:
    return ask("GET", path, query=query, headers={"accept-encoding": encoding})


@pytest.fixture
def ledger(aws: None) -> Ledger:
    return Ledger(make_ledger_table())


def entry(number: int, trigger: str = "orders", **more: Any) -> Entry:
    values: dict[str, Any] = {
        "id": f"{trigger}#{number}",
        "trigger": trigger,
        "kind": "s3",
        "identity": ("s3", "a", str(number)),
        "decision": "started",
        "decided_at": NOW - timedelta(hours=6 * number),
        "dag_id": "ingest",
    }
    return Entry(**values | more)


def test_events_are_the_newest_decisions_with_their_reasons(ledger: Ledger) -> None:
    for number in range(6):
        ledger.record(entry(number))
    ledger.record(entry(0, "clicks", decision="dead-lettered", because="dag-not-found: Airflow has no DAG 'x'."))
    content = json.loads(get("/events", {"limit": "3"})["body"])
    assert [event["id"] for event in content["events"]][2:] == ["orders#1"]
    assert {event["id"] for event in content["events"][:2]} == {"orders#0", "clicks#0"}
    (dead,) = [event for event in content["events"] if event["trigger"] == "clicks"]
    assert (dead["decision"], dead["because"]) == ("dead-lettered", "dag-not-found: Airflow has no DAG 'x'.")
    assert datetime.fromisoformat(dead["decided_at"]) == NOW
    day = json.loads(get("/events")["body"])["events"]
    assert len(day) == 5  # of the last 24 hours


def test_events_may_be_asked_for_by_trigger_and_time(ledger: Ledger) -> None:
    for number in range(8):
        ledger.record(entry(number))
        ledger.record(entry(number, "clicks"))
    since = (NOW - timedelta(hours=30)).isoformat()
    events = json.loads(get("/events", {"trigger": "clicks", "since": since})["body"])["events"]
    assert [event["id"] for event in events] == [f"clicks#{number}" for number in range(6)]
    every = json.loads(get("/events", {"since": since, "limit": "7"})["body"])["events"]
    assert [event["decided_at"] for event in every] == sorted((event["decided_at"] for event in every), reverse=True)
    assert len(every) == 7


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"trigger": ""}, {"trigger": "x" * 64}, {"dag": "x"}])
def test_events_refuse_what_they_cannot_take(ledger: Ledger, query: dict[str, str]) -> None:
    answer = get("/events", query)
    assert answer["statusCode"] == 422
    assert next(iter(query)) in json.loads(answer["body"])["detail"]


def test_artifacts_are_the_latest_report_of_each_file_newest_first(aws: None) -> None:
    s3 = boto3.client("s3")
    for key in ("reports/dags/a.py/latest.json", "reports/dags/a.py/v1.json", "reports/dags/b.py/latest.json"):
        s3.put_object(Bucket=DROP, Key=key, Body=json.dumps({"path": key}).encode())
    content = json.loads(get("/artifacts")["body"])
    assert content["total_entries"] == 2
    assert {report["path"] for report in content["artifacts"]} == {
        "reports/dags/a.py/latest.json",
        "reports/dags/b.py/latest.json",
    }
    assert len(json.loads(get("/artifacts", {"limit": "1"})["body"])["artifacts"]) == 1


def test_workers_are_the_last_hour_as_the_command_line_shows_it(aws: None) -> None:
    now = datetime.now(UTC)
    codes = {"RequiredWorkers": 4, "RunningWorkers": 3, "Verdict": 4, "MinWorkers": 1, "MaxWorkers": 3}
    boto3.client("cloudwatch").put_metric_data(
        Namespace="Jetway",
        MetricData=[
            {
                "MetricName": name,
                "Timestamp": now - timedelta(minutes=1),
                "Value": value,
                "Dimensions": [{"Name": "Environment", "Value": "acme"}],
            }
            for name, value in codes.items()
        ],
    )
    view = json.loads(get("/workers")["body"])
    rows = {row["metric"]: row for row in view["rows"]}
    assert (view["environment"], view["bounds"]) == ("acme", [1, 3])
    assert (rows["RequiredWorkers"]["value"], rows["RunningWorkers"]["text"]) == (4, "3")
    assert view["verdict"] in VERDICT_CODES
    assert view["remedy"]
    schemas = openapi.document()["components"]["schemas"]
    described = {"$ref": "#/components/schemas/Workers", "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(described).validate(view)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_need_nothing_from_elsewhere_and_run_only_what_is_theirs(aws: None, path: str) -> None:
    answer = get(path)
    policy = answer["headers"]["Content-Security-Policy"]
    assert answer["statusCode"] == 200
    assert policy.startswith("default-src 'none'; script-src ")
    assert "unsafe" not in policy
    assert not re.search(r"https?://", answer["body"])
    # A style or handler attribute would be blocked by the policy, silently.
    assert not re.search(r"<[^>]+\s(?:style|on[a-z]+)=", answer["body"])


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_sent_compressed(aws: None, name: str) -> None:
    answer = get(f"/docs/{name}", encoding="gzip")
    assert (answer["statusCode"], answer["headers"]["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(base64.b64decode(answer["body"])) == ASSETS[name][1].read_bytes()
    assert len(answer["body"]) < 1_000_000


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "openapi.json"])
def test_no_other_file_is_an_asset(aws: None, name: str) -> None:
    assert get(f"/docs/{name}")["statusCode"] == 404


def test_the_committed_description_is_what_the_code_says() -> None:
    for file in openapi.FILES:
        assert file.read_text() == openapi.text(), "run `make openapi` and commit what it writes"


def test_the_description_has_the_routes_of_the_template_and_no_others() -> None:
    template = read_template()
    routes = {
        resource["Properties"]["RouteKey"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    }
    described = {
        f"{method.upper()} {path}" for path, operations in openapi.document()["paths"].items() for method in operations
    }
    assert described == routes - {"GET /", "GET /docs", "GET /docs/{file}", "GET /openapi.json"}


def test_the_description_is_sent_as_it_is_committed(aws: None) -> None:
    assert json.loads(get("/openapi.json")["body"]) == openapi.document()
