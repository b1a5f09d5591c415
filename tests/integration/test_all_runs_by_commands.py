"""Where only commands reach Airflow, nobody can list what has ended: alarms.yaml is refused, and says why."""

from __future__ import annotations

from tests.integration.test_all_runs import looking, put_alarms
from tools.stack.stack import Stack


def test_alarms_yaml_is_refused_with_the_reason(stack: Stack) -> None:
    with looking(stack):
        report = put_alarms(stack, "dags:\n  hello_jetway: {alarm: false}\n")
    assert report["verdict"] == "rejected"
    (finding,) = report["findings"]
    assert finding["rule"] == "runs-not-watched"
    assert "Transport auto, rest or direct" in finding["message"]
