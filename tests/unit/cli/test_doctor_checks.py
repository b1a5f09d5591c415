"""Every check of doctor: nothing to say of a stack that is well, and at least one fault each that it finds."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jetway_cli.doctor.checks import CHECKS, judge
from jetway_cli.doctor.collect.compared import READERS, TOGETHER
from jetway_cli.doctor.facts import (
    Asked,
    BucketSeen,
    Drift,
    Facts,
    KeySeen,
    PartSeen,
    QuotaSeen,
    RoleSeen,
)
from jetway_cli.doctor.results import Result
from jetway_cli.doctor.settings import NOT_COMPARED, NOT_LOOKED_AT, SETTINGS
from tests.unit.cli.faults import FAULTS, failed, with_parameters, with_part, with_triggers
from tests.unit.cli.healthy import KEY, healthy, stack
from tests.unit.cli.part_faults import PART_FAULTS
from tests.unit.cli.put_back_faults import PUT_BACK_FAULTS
from tests.unit.cli.setting_faults import DOWN, SETTING_FAULTS, UNHEALTHY, well
from tests.unit.sample_events import ROOT
from tools.checks.rendered import ACCOUNT, transformed

ALL_FAULTS = [*FAULTS, *PART_FAULTS, *SETTING_FAULTS, *PUT_BACK_FAULTS]
DENIED: Asked[Any] = Asked(denied="some:Action")


def of(results: list[Result], check: str) -> Result:
    return next(one for one in results if one.id == check)


def test_nothing_is_said_of_a_stack_that_is_well() -> None:
    results = judge(healthy())
    assert [one for one in results if one.state != "ok" or one.remedy] == []
    assert [one.id for one in results] == list(CHECKS)
    assert all(one.seen for one in results)


def test_every_check_has_a_fault_planted() -> None:
    assert {check for check, *_ in ALL_FAULTS} == set(CHECKS)


@pytest.mark.parametrize(("check", "facts", "state", "seen", "remedy"), ALL_FAULTS)
def test_a_fault_is_found_with_the_one_thing_to_do(
    check: str, facts: Callable[[], Facts], state: str, seen: str, remedy: str
) -> None:
    found = of(judge(facts()), check)
    assert (found.id, found.state) == (check, state)
    assert seen in found.seen
    assert remedy in found.remedy


# What the caller may not see: member of Facts → checks that cannot say anything then.
UNSEEN = {
    "environment": {"environment-status", "airflow-version", "environment-class", "environment-files"},
    "buckets": {"bucket-versioning", "bucket-encryption", "bucket-events"},
    "keys": {"key-policy"},
    "functions": {"functions"},
    "queues": {"queue-age", "dead-letters"},
    "parts": {"functions", "queue-readers", "rules", "schedules", "tables", "roles", "queues", "topics", "http-routes"},
    "triggers": {"triggers", "bucket-events", "rule-quota"},
    "alarms": {"alarms"},
    "subscriptions": {"subscriptions"},
    "loads": {"layers"},
    "skew": {"clock"},
    "rest_throttled": {"rest-calls"},
    "rest": {"rest-round-trip"},
    "cli": {"cli-round-trip"},
    "health": {"http-api"},
    "leftovers": {"leftovers"},
}


@pytest.mark.parametrize("member", UNSEEN)
def test_what_the_caller_may_not_see_is_not_known_and_names_the_permission(member: str) -> None:
    found = {one.id: one for one in judge(healthy(**{member: DENIED}))}
    said = {found[check].seen for check in found if found[check].state == "not known"}
    for check in UNSEEN[member]:
        assert found[check].state == "not known"
        assert "some:Action" in found[check].remedy
    first = next(check for check in CHECKS if found[check].state == "not known")
    # The first says the cause, and the others that the first says it.
    assert said <= {"You do not have permission for some:Action.", f"Not checked: {first} says why."}
    assert found[first].seen == "You do not have permission for some:Action."
    assert {one.id for one in found.values() if one.state == "broken"} == set()


def test_a_role_that_nobody_may_ask_about_and_quotas_are_not_known_too() -> None:
    unseen = healthy(roles=(RoleSeen("StartDagRunRole", "r", DENIED),), quotas=QuotaSeen(DENIED, DENIED, DENIED))
    found = {one.id: one.state for one in judge(unseen)}
    assert found["role-permissions"] == found["concurrency"] == "not known"
    assert found["rule-quota"] == "ok"  # the stack's own parameter says how many there may be


def test_a_fault_that_is_seen_outweighs_what_is_not() -> None:
    buckets = (
        BucketSeen("a", "the drop bucket", versioning=DENIED, key=Asked(KEY)),
        BucketSeen("b", "the environment's bucket", versioning=Asked("Disabled")),
    )
    assert of(judge(healthy(buckets=Asked(buckets))), "bucket-versioning").state == "broken"


def test_trouble_is_not_known_either() -> None:
    found = of(judge(healthy(alarms=Asked(trouble="It timed out."))), "alarms")
    assert (found.state, found.seen) == ("not known", "It timed out.")


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_FAILED", "REVIEW_IN_PROGRESS"])
def test_of_a_stack_that_never_was_whole_only_its_state_is_judged(status: str) -> None:
    first, *rest = judge(failed(status))
    assert first.state == "broken"
    assert {one.state for one in rest} == {"not known"}
    assert {one.remedy for one in rest} == {first.remedy}


def test_a_stack_within_an_update_is_judged_as_it_is() -> None:
    results = judge(healthy(stack=replace(stack(), status="UPDATE_ROLLBACK_FAILED")))
    assert [one.id for one in results if one.state != "ok"] == ["stack-state"]


def test_a_deleted_built_in_schedule_is_a_warning() -> None:
    its = PartSeen("BuiltInSchedule", "AWS::Scheduler::Schedule", "s", {"GroupName": "jetway"}, Asked(None))
    assert of(judge(healthy(parts=Asked((its,)))), "schedules").state == "warning"


def test_a_key_of_another_account_and_one_of_aws_need_no_policy() -> None:
    by_aws = KeySeen("alias/aws/s3", "the environment's bucket", False, Asked("Enabled"), ACCOUNT, Asked({}))
    assert of(judge(healthy(keys=Asked((by_aws,)))), "key-policy").state == "ok"


@pytest.mark.parametrize("odd", well())
def test_what_looks_odd_and_is_well_is_no_fault(odd: str) -> None:
    assert [one for one in judge(well()[odd]) if one.state != "ok"] == []


def test_an_environment_that_does_not_answer_is_said_in_one_line() -> None:
    facts = healthy(environment=DOWN, rest=DOWN, cli=DOWN, health=UNHEALTHY)
    odd = [one for one in judge(facts) if one.state != "ok"]
    assert {one.id: one.state for one in odd} == {
        "environment-status": "broken",
        **dict.fromkeys(("airflow-version", "environment-class", "environment-files"), "not known"),
        **dict.fromkeys(("environment-network", "rest-round-trip", "cli-round-trip", "http-api"), "not known"),
    }
    assert {one.seen for one in odd[1:]} == {"Not checked: environment-status says why."}


def test_every_setting_of_the_template_is_compared_or_has_a_reason_not_to_be() -> None:
    for logical, resource in transformed(ROOT / "template.yaml")["Resources"].items():
        kind = resource["Type"]
        if kind in NOT_LOOKED_AT:
            continue
        known = SETTINGS[kind].keys() | NOT_COMPARED.get(kind, {}).keys()
        assert resource.get("Properties", {}).keys() <= known, (logical, kind)
        assert kind in READERS or kind in TOGETHER, kind


def test_a_function_that_is_gone_is_said_once() -> None:
    functions = [
        replace(one, state="gone") if one.logical == "FollowRuns" else one for one in healthy().functions.value or ()
    ]
    without = with_part("FollowRunsEveryMinutePermission", gone=True)
    results = judge(replace(without, functions=Asked(tuple(functions))))
    assert [one.id for one in results if one.state != "ok"] == ["functions"]


def test_many_faults_are_shown_in_part() -> None:
    drift = tuple(Drift(f"rule jetway.{number}", "is missing") for number in range(8))
    seen = of(judge(with_triggers(drift=drift)), "triggers").seen
    assert seen.endswith("and 3 more")


def test_lesser_faults_are_said_behind_the_worst() -> None:
    broken = with_part("StartDagRun", Timeout=1).parts.value or ()
    slow = next(one for one in with_part("FollowRuns", MemorySize=128).parts.value or () if one.logical == "FollowRuns")
    both = tuple(slow if one.logical == "FollowRuns" else one for one in broken)
    said = of(judge(healthy(parts=Asked(both))), "functions")
    assert (said.state, said.seen.index("Timeout is 1") < said.seen.index("MemorySize is 128")) == ("broken", True)
    assert "--timeout" in said.remedy


def test_who_may_read_the_bucket_is_said_before_how_long_it_keeps_what() -> None:
    nothing = with_part(
        "DropBucket", LifecycleConfiguration={}, PublicAccessBlockConfiguration={}, OwnershipControls={}
    )
    said = of(judge(nothing), "bucket-settings")
    assert "PublicAccessBlockConfiguration is nothing" in said.seen
    assert "put-public-access-block" in said.remedy


@pytest.mark.parametrize(("logical", "check"), [("StalledAlarm", "alarms"), ("HttpApiStage", "http-routes")])
def test_the_aws_cli_is_given_numbers_where_parameters_are_texts(logical: str, check: str) -> None:
    """It refuses "EvaluationPeriods": "5"."""
    changed: dict[str, Any] = {"StalledAlarm": {"Threshold": 1e6}, "HttpApiStage": {"DefaultRouteSettings": {}}}
    given = json.loads(shlex.split(of(judge(with_part(logical, **changed[logical])), check).remedy)[-1])
    numbers = {**given, **given.get("DefaultRouteSettings", {})}
    named = {"EvaluationPeriods", "Threshold", "ThrottlingRateLimit", "ThrottlingBurstLimit"} & numbers.keys()
    assert named
    assert {type(numbers[name]) for name in named} == {int}


def test_lifecycle_rules_are_put_back_in_the_form_that_s3_takes() -> None:
    said = of(judge(with_part("DropBucket", LifecycleConfiguration=Asked({"Rules": []}))), "bucket-settings").remedy
    rules = json.loads(shlex.split(said)[-1])["Rules"]
    assert {"ID", "Status", "Filter"} <= {name for rule in rules for name in rule}
    assert all(rule["Filter"].keys() == {"Prefix"} for rule in rules)
    reports = next(rule for rule in rules if rule["ID"] == "reports")
    assert isinstance(reports["Expiration"]["Days"], int)


def test_slack_counts_as_somebody_who_hears() -> None:
    facts = with_parameters(healthy(subscriptions=Asked(())), SlackChannelId="C1")
    assert of(judge(facts), "subscriptions").state == "ok"
