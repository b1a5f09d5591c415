"""Who may put messages on the stack's queues: AWS's services, for the stack's own rules, and nobody else."""

from __future__ import annotations

import pytest

from tools.checks.rendered import Rendered

STACK = Rendered()
POLICIES = STACK.of_type("AWS::SQS::QueuePolicy")


def listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_only_a_service_sends_and_only_for_a_rule_of_this_stack(name: str) -> None:
    for statement in POLICIES[name]["PolicyDocument"]["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        assert set(statement["Principal"]) == {"Service"}
        assert listed(statement["Action"]) == ["sqs:SendMessage"]
        (sources,) = (operator["aws:SourceArn"] for operator in statement["Condition"].values())
        for source in listed(sources):
            # A trigger's rule has the stack's name and a dot before it; the others are the template's.
            assert f":rule/{STACK.name}" in source or f"/{STACK.name}." in source, source


def test_scheduler_sends_by_a_role_that_may_send_to_two_queues_and_no_more() -> None:
    (statement,) = [one for one in STACK.statements("SchedulerRole") if one["Action"] == "sqs:SendMessage"]
    queues = {STACK.reference("DispatchQueue", "Arn"), STACK.reference("UndeliveredEvents", "Arn")}
    assert set(listed(statement["Resource"])) <= queues
