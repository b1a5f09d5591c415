"""What template.yaml and dashboard.yaml watch and draw, against what is published and told."""

from __future__ import annotations

import json
import re

import yaml

from jetway.workers.assessment import VERDICT_CODES
from jetway.workers.metrics import Watched, metric_queries
from tests.unit.sample_events import ROOT
from tests.unit.template.source import FUNCTIONS, TEMPLATE, of_type


def test_the_dashboard_draws_only_what_is_published() -> None:
    """An included file knows long forms only, and every metric of ours in it must exist under that name."""
    body = yaml.safe_load((ROOT / "dashboard.yaml").read_text())["Fn::Sub"]
    assert set(re.findall(r"\$\{([^!}]+)\}", body)) == {"EnvironmentName", "AWS::Region", "AWS::StackName"}
    widgets = json.loads(body)["widgets"]
    drawn = {
        metric[1] for widget in widgets for metric in widget["properties"].get("metrics", []) if metric[0] == "Jetway"
    }
    sources = [*(ROOT / "functions").glob("*/app.py"), *(ROOT / "layers/jetway/jetway").rglob("*.py")]
    code = "".join(path.read_text() for path in sources)
    assert {name for name in drawn if f'"{name}"' not in code} == set()
    boxes = [(widget["x"], widget["y"], widget["width"], widget["height"]) for widget in widgets]
    assert all(x + width <= 24 for x, _, width, _ in boxes)
    cells = [(x + i, y + j) for x, y, width, height in boxes for i in range(width) for j in range(height)]
    assert len(cells) == len(set(cells))


def test_the_dashboard_shows_workers_verdict_latency_runs_artifacts_and_costs() -> None:
    widgets = json.loads(yaml.safe_load((ROOT / "dashboard.yaml").read_text())["Fn::Sub"])["widgets"]
    drawn: set[tuple[str, str]] = set()
    by_trigger: set[str] = set()
    for properties in (widget["properties"] for widget in widgets):
        for namespace, *rest in properties.get("metrics", []):
            if isinstance(namespace, dict):
                by_trigger |= set(re.findall(r'Environment,Trigger}.*MetricName="(\w+)"', namespace["expression"]))
            elif namespace == "Jetway":
                options = rest[-1] if isinstance(rest[-1], dict) else {}
                drawn.add((rest[0], options.get("stat", properties["stat"])))
    most = {"RequiredWorkers", "RunningWorkers", "WorkerUtilization", "EstimatedDrainTime", "Verdict"}
    assert {(name, "Maximum") for name in most} <= drawn
    assert {("DispatchLatency", stat) for stat in ("p50", "p95", "p99")} <= drawn
    assert by_trigger == {"DagRunsStarted", "DagRunsDuplicate", "EventsDeadLettered"}
    verdicts = {
        "ArtifactsPromoted",
        "ArtifactsRejected",
        "ArtifactsVerified",
        "ArtifactsRolledBack",
        "ArtifactsNeverAppeared",
    }
    assert {(name, "Sum") for name in verdicts} <= drawn
    assert {("WorkerCostPerHour", "Maximum"), ("AdvisedCostPerMonth", "Maximum")} <= drawn
    (timeline,) = [
        widget["properties"] for widget in widgets if widget["properties"].get("title", "").startswith("Verdict:")
    ]
    words = {line["label"]: line["value"] for line in timeline["annotations"]["horizontal"]}
    assert words == VERDICT_CODES


def test_every_function_and_every_dead_letter_queue_is_watched() -> None:
    variables = FUNCTIONS["MeasureWorkers"]["Properties"]["Environment"]["Variables"]
    watched = {entry["Ref"] for entry in variables["FUNCTIONS"]["Join"][1]}
    assert watched == FUNCTIONS.keys() - {"MeasureWorkers"}, "name it in FUNCTIONS of MeasureWorkers"
    reads = {name for name, found in FUNCTIONS.items() if "'SQS'" in str(found["Properties"].get("Events"))}
    assert {entry["Ref"] for entry in variables["QUEUE_FUNCTIONS"]["Join"][1]} == reads
    letters = {entry["GetAtt"].partition(".")[0] for entry in variables["DEAD_LETTER_QUEUES"]["Join"][1]}
    targets = re.findall(r"deadLetterTargetArn: !GetAtt (\w+)\.Arn", (ROOT / "template.yaml").read_text())
    assert set(targets) <= letters, "name it in DEAD_LETTER_QUEUES of MeasureWorkers"
    work = {entry["GetAtt"].partition(".")[0] for entry in variables["WORK_QUEUES"]["Join"][1]}
    work |= {variables["QUEUES"]["GetAtt"].partition(".")[0]}
    assert work == of_type("AWS::SQS::Queue").keys() - letters, "name it in WORK_QUEUES of MeasureWorkers"


def test_every_alarm_says_what_to_do_and_tells_somebody_when_it_is_over() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert len(alarms) >= 16
    for name, alarm in alarms.items():
        assert len(alarm["AlarmDescription"]) > 60, name
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
        environment = {"Name": "Environment", "Value": {"Ref": "EnvironmentName"}}
        assert environment in alarm["Dimensions"] or alarm["Namespace"] == "AWS/SQS", name
        assert alarm["TreatMissingData"] in {"missing", "breaching", "notBreaching"}, name
        assert "Metrics" not in alarm, name  # metric math is not everywhere


def test_the_manual_tells_what_measuring_costs() -> None:
    """The table in docs/workers.md, counted anew; what grows with every function is told within a sixth."""
    variables = FUNCTIONS["MeasureWorkers"]["Properties"]["Environment"]["Variables"]
    names = ("DEAD_LETTER_QUEUES", "FUNCTIONS", "WORK_QUEUES")
    letters, functions, work = (variables[name]["Join"][1] for name in names)
    pool = TEMPLATE["Parameters"]["WatchedPools"]["Default"]
    asked = len(
        metric_queries(
            Watched(
                "e",
                [pool],
                ["q"],
                ["d"] * len(letters),
                ["f"] * (len(functions) + 1),
                ["w"] * len(work),
                ["r"] * len(variables["QUEUE_FUNCTIONS"]["Join"][1]),
            )
        )
    )
    handler = (ROOT / "functions/scale_workers/app.py").read_text()
    reports = (ROOT / "layers/jetway/jetway/workers/published_metrics.py").read_text()
    published = len(re.findall(r'add_metric\("', handler)) + len(
        re.findall(r'^        \("\w+", ', reports, re.MULTILINE)
    )
    alarms = len(of_type("AWS::CloudWatch::Alarm"))
    manual = (ROOT / "docs/workers.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+?)(?: by .*)? \| (?:about )?(\d+) \| (\d+) \|$", manual, re.MULTILINE)
    told = [(int(count), int(dollars)) for _, count, dollars in rows]
    minutes = 365 / 12 * 1440
    prices = [minutes * 1e-5, minutes / 5 * 1e-5, 0.3, 0.1, 3]
    counts = [asked, len(metric_queries(Watched("e"))), published, alarms, 1]
    assert len(told) == len(counts)
    for (count, dollars), price, counted in zip(told, prices, counts, strict=True):
        assert abs(count - counted) <= (counted / 6 if counted > 14 else 0), (count, counted)
        assert dollars == round(count * price), (count, dollars)
