"""Every check of doctor: nothing to say of a stack that is well, and at least one fault each that it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jetway_cli.doctor.checks import CHECKS, judge
from jetway_cli.doctor.facts import (
    Asked,
    BucketSeen,
    Drift,
    Facts,
    KeySeen,
    QuotaSeen,
    Resource,
    RoleSeen,
    ScheduleSeen,
    Trip,
)
from jetway_cli.doctor.results import Result
from local.rendered import ACCOUNT
from tests.unit.cli.healthy import KEY, decision, environment, healthy, stack

OTHER_KEY = "arn:aws:kms:eu-central-1:123456789012:key/other"
FOREIGN = "arn:aws:kms:eu-central-1:999999999999:key/foreign"


def with_stack(**changes: Any) -> Facts:
    parameters = {**stack().parameters, **changes.pop("parameters", {})}
    outputs = {**stack().outputs, **changes.pop("outputs", {})}
    return healthy(stack=replace(stack(), parameters=parameters, outputs=outputs, **changes))


def with_parameters(facts: Facts, **parameters: str) -> Facts:
    return replace(facts, stack=replace(facts.stack, parameters={**facts.stack.parameters, **parameters}))


def with_bucket(index: int, **changes: Any) -> Facts:
    buckets = list(healthy().buckets.value or ())
    buckets[index] = replace(buckets[index], **changes)
    return healthy(buckets=Asked(tuple(buckets)))


def with_key(**changes: Any) -> Facts:
    (key,) = healthy().keys.value or ()
    return healthy(keys=Asked((replace(key, **changes),)))


def with_first(name: str, **changes: Any) -> Facts:
    first, *rest = getattr(healthy(), name).value
    return healthy(**{name: Asked((replace(first, **changes), *rest))})


def with_queue(logical: str, **changes: Any) -> Facts:
    queues = healthy().queues.value or ()
    return healthy(queues=Asked(tuple(replace(one, **changes) if one.logical == logical else one for one in queues)))


def with_triggers(**changes: Any) -> Facts:
    seen = healthy().triggers.value
    assert seen is not None
    return healthy(triggers=Asked(replace(seen, **changes)))


def failed(status: str, reason: str = "") -> Facts:
    resources = (Resource("ValidateArtifactRole", "x", "AWS::IAM::Role", "CREATE_FAILED", reason),)
    return healthy(stack=replace(stack(), status=status, resources=resources))


def role(**changes: Any) -> Facts:
    return healthy(roles=(RoleSeen("StartDagRunRole", "start-role", Asked((decision(), decision(**changes)))),))


def role_gone() -> Facts:
    return healthy(roles=(RoleSeen("StartDagRunRole", "start-role", Asked(()), gone=True),))


def policy_without(service: str) -> Any:
    (key,) = healthy().keys.value or ()
    assert key.policy.value is not None
    statements = [one for one in key.policy.value["Statement"] if service not in str(one["Principal"])]
    return Asked({"Statement": statements})


DENIED: Asked[Any] = Asked(denied="some:Action")
FAULTS: list[tuple[str, Callable[[], Facts], str, str, str]] = [
    # check, facts, state, words of what was seen, words of the remedy
    (
        "stack-state",
        lambda: failed("ROLLBACK_COMPLETE", "Sids must be unique"),
        "broken",
        "Sids must be",
        "delete-stack",
    ),
    ("stack-state", lambda: failed("CREATE_FAILED", "no"), "broken", "ValidateArtifactRole: no", "delete-stack"),
    ("stack-state", lambda: failed("UPDATE_ROLLBACK_FAILED", "x"), "broken", "FAILED", "continue-update-rollback"),
    ("stack-state", lambda: failed("UPDATE_IN_PROGRESS"), "broken", "UPDATE_IN_PROGRESS", "Wait for the end"),
    ("stack-state", lambda: failed("UPDATE_ROLLBACK_COMPLETE"), "warning", "last deployment failed", "Deploy again"),
    ("stack-state", lambda: failed("REVIEW_IN_PROGRESS"), "broken", "REVIEW", "Wait"),
    ("stack-version", lambda: with_stack(outputs={"JetwayVersion": "9.0.0"}), "warning", "of version 9.0.0", "Deploy"),
    ("stack-version", lambda: healthy(stack=replace(stack(), outputs={})), "warning", "does not say", "make deploy"),
    ("environment-status", lambda: healthy(environment=Asked(None)), "broken", "no environment 'acme'", "ENVIRONMENT="),
    ("environment-status", lambda: healthy(environment=environment(status="DELETED")), "broken", "DELETED", "console"),
    ("environment-status", lambda: healthy(environment=environment(status="UPDATING")), "warning", "UPDATING", "Wait"),
    (
        "environment-status",
        lambda: healthy(environment=environment(last_update="FAILED", last_update_error="pip.")),
        "warning",
        "failed: pip.",
        "requirements_install",
    ),
    (
        "airflow-version",
        lambda: healthy(environment=environment(airflow_version="2.8.1")),
        "broken",
        "2.8.1",
        "Upgrade",
    ),
    (
        "airflow-version",
        lambda: healthy(environment=environment(airflow_version="3.9.0")),
        "warning",
        "3.9.0",
        "Update",
    ),
    (
        "airflow-version",
        lambda: with_stack(parameters={"AirflowLayers": "airflow2"}),
        "warning",
        "airflow2 only",
        "AirflowLayers=both",
    ),
    (
        "environment-class",
        lambda: healthy(environment=environment(environment_class="mw9.x")),
        "warning",
        "mw9.x",
        "cel",
    ),
    (
        "environment-class",
        lambda: with_parameters(healthy(environment=environment(environment_class="mw1.micro")), ScalingMode="act"),
        "warning",
        "no effect on mw1.micro",
        "advise",
    ),
    (
        "environment-class",
        lambda: with_parameters(healthy(environment=environment(max_workers=25)), ScalingMode="act"),
        "warning",
        "is 25, above",
        "ScalingMaxWorkers",
    ),
    (
        "environment-files",
        lambda: healthy(environment=environment(source_bucket="theirs")),
        "broken",
        "the environment's is theirs",
        "ENVIRONMENT=acme",
    ),
    (
        "environment-files",
        lambda: healthy(environment=environment(dags_path="a/b")),
        "broken",
        "is a/b/",
        "make deploy",
    ),
    (
        "environment-files",
        lambda: healthy(environment=environment(requirements_path="r/2.txt")),
        "broken",
        "is r/2.txt",
        "make deploy",
    ),
    (
        "environment-network",
        lambda: healthy(environment=environment(webserver_access_mode="PRIVATE_ONLY")),
        "broken",
        "no SubnetIds",
        "SubnetIds=subnet-1,subnet-2 SecurityGroupIds=sg-1",
    ),
    (
        "environment-network",
        lambda: with_stack(parameters={"SubnetIds": "subnet-1"}),
        "broken",
        "no SecurityGr",
        "sg-1",
    ),
    (
        "environment-network",
        lambda: with_parameters(
            healthy(environment=environment(webserver_access_mode="PRIVATE_ONLY")),
            SubnetIds="subnet-1",
            SecurityGroupIds="sg-9",
        ),
        "warning",
        "None of the functions' security groups",
        "port 443",
    ),
    (
        "environment-network",
        lambda: with_stack(parameters={"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}),
        "warning",
        "public",
        "SubnetIds",
    ),
    (
        "bucket-versioning",
        lambda: with_bucket(1, versioning=Asked("Suspended")),
        "broken",
        "is suspended",
        "put-bucket-",
    ),
    ("bucket-versioning", lambda: with_bucket(0, there=Asked(False)), "broken", "There is no bucket", "Deploy"),
    ("bucket-encryption", lambda: with_bucket(1, key=Asked(OTHER_KEY)), "broken", OTHER_KEY, "EnvironmentKmsKeyArn="),
    ("bucket-encryption", lambda: with_bucket(1, key=Asked(FOREIGN)), "broken", FOREIGN, "EnvironmentKmsKeyArn="),
    (
        "bucket-encryption",
        lambda: with_bucket(0, key=Asked("")),
        "warning",
        "a key of AWS",
        "Set the bucket's key back",
    ),
    (
        "bucket-encryption",
        lambda: with_stack(parameters={"EnvironmentKmsKeyArn": OTHER_KEY}),
        "warning",
        "not encrypted with a key of your own",
        "EnvironmentKmsKeyArn empty",
    ),
    ("key-policy", lambda: with_key(state=Asked("Disabled")), "broken", "is Disabled", "enable-key"),
    (
        "key-policy",
        lambda: with_key(state=Asked("PendingDeletion")),
        "broken",
        "PendingDeletion",
        "cancel-key-deletion",
    ),
    (
        "key-policy",
        lambda: with_key(account="999999999999"),
        "warning",
        "belongs to account 999999999999",
        "kms:Decrypt",
    ),
    ("key-policy", lambda: with_key(policy=policy_without("root")), "broken", "neither lets IAM decide", "KeyRoleArns"),
    (
        "key-policy",
        lambda: with_key(policy=policy_without("events")),
        "broken",
        "let in events",
        "docs/environments.md",
    ),
    (
        "key-policy",
        lambda: with_key(policy=policy_without("cloudwatch")),
        "broken",
        "cloudwatch",
        "Key in template.yaml",
    ),
    ("key-policy", lambda: with_key(policy=policy_without("logs")), "broken", "let in logs", "Key in template.yaml"),
    (
        "bucket-events",
        lambda: with_bucket(0, events=Asked(False)),
        "broken",
        "sends no events",
        "EventBridgeConfiguration",
    ),
    ("bucket-events", lambda: with_bucket(2, events=Asked(False)), "broken", "read by orders", "--bucket orders"),
    ("bucket-events", lambda: with_bucket(2, there=Asked(False)), "broken", "no bucket orders", "trigger file"),
    (
        "role-permissions",
        lambda: role(decision="implicitDeny"),
        "broken",
        "may not do sqs:SendMessage on",
        "as the template",
    ),
    ("role-permissions", lambda: role(decision="explicitDeny"), "broken", "start-role", "Effect Deny"),
    (
        "role-permissions",
        lambda: role(decision="implicitDeny", by="the permissions boundary"),
        "broken",
        "the permissions boundary denies it",
        "whoever writes the permissions boundary",
    ),
    ("role-permissions", lambda: healthy(roles=()), "broken", "no roles", "Deploy"),
    ("functions", lambda: with_first("functions", state="Failed"), "broken", "is Failed", "Deploy"),
    ("functions", lambda: with_first("functions", update="Failed"), "broken", "last update", "Deploy"),
    (
        "functions",
        lambda: with_first("functions", role=f"arn:aws:iam::{ACCOUNT}:role/mine"),
        "broken",
        "none of the stack's",
        "Deploy",
    ),
    ("queue-readers", lambda: with_first("functions", reads=(("arn:q", "Disabled"),)), "broken", "Disabled", "enable"),
    ("queue-readers", lambda: with_first("functions", reads=()), "broken", "is gone", "Deploy"),
    ("queue-age", lambda: with_queue("DispatchQueue", waiting=3, age=Asked(901.0)), "warning", "3 messages", "events"),
    ("queue-age", lambda: with_queue("ArtifactQueue", waiting=1, age=Asked(3601.0)), "warning", "1 message in", "log"),
    (
        "dead-letters",
        lambda: with_queue("DispatchDeadLetters", waiting=1),
        "warning",
        "1 message in Dispatch",
        "redrive",
    ),
    (
        "dead-letters",
        lambda: with_queue("ArtifactDeadLetters", waiting=2),
        "warning",
        "2 messages in Art",
        "drop the file",
    ),
    ("rules", lambda: with_first("rules", state="DISABLED"), "broken", "is disabled", "aws events enable-rule --name"),
    ("rules", lambda: with_first("rules", state=None), "broken", "was deleted", "template.yaml"),
    ("rules", lambda: with_first("rules", targets=()), "broken", "no target", "template.yaml"),
    (
        "rules",
        lambda: with_first("rules", targets=("arn:aws:sqs:x:y:z",)),
        "warning",
        "arn:aws:sqs:x:y:z",
        "remove-targ",
    ),
    ("schedules", lambda: with_first("schedules", state="DISABLED"), "broken", "is disabled", "Enable"),
    ("schedules", lambda: with_first("schedules", state=None), "broken", "was deleted", "template.yaml"),
    (
        "triggers",
        lambda: with_triggers(drift=(Drift("rule jetway.x", "is missing"),)),
        "broken",
        "Rule jetway.x is",
        "sqs",
    ),
    ("triggers", lambda: with_triggers(rejected=("triggers/x.yaml",)), "warning", "triggers/x.yaml was", "report.md"),
    (
        "alarms",
        lambda: with_first("alarms", state="ALARM"),
        "warning",
        "jetway-UpdatesFailedAlarm-X1 is raised",
        "Redrive them.",
    ),
    (
        "alarms",
        lambda: with_first("alarms", actions_enabled=False),
        "warning",
        "nobody is told",
        "enable-alarm-actions",
    ),
    ("alarms", lambda: healthy(alarms=Asked(())), "warning", "more was deleted", "out of the stack"),
    ("rest-calls", lambda: healthy(rest_throttled=Asked(None)), "not known", "no function has counted", "Nothing"),
    ("functions", lambda: with_first("functions", state="gone"), "broken", "was deleted", "out of the stack"),
    ("functions", lambda: with_first("functions", reserved=0), "broken", "0 times at once", "delete-function-conc"),
    ("dead-letters", lambda: with_queue("WaitingQueue", waiting=None), "broken", "was deleted", "out of the stack"),
    ("rules", lambda: with_queue("ArtifactQueue", senders=()), "broken", "does not let in", "policy back"),
    ("role-permissions", role_gone, "broken", "(StartDagRunRole) was deleted", "RolePath"),
    ("subscriptions", lambda: with_first("subscriptions", confirmed=False), "warning", "not confirmed", "link"),
    ("subscriptions", lambda: healthy(subscriptions=Asked(())), "warning", "Nobody is subscribed", "AlarmEmail"),
    ("layers", lambda: with_first("loads", verdict=None, error="no module"), "broken", "no module", "make build"),
    ("layers", lambda: healthy(loads=Asked(())), "broken", "no import_dag", "Deploy"),
    ("rest-round-trip", lambda: healthy(rest=Asked(Trip(False, "403"))), "broken", "403", "Transport=cli"),
    ("cli-round-trip", lambda: healthy(cli=Asked(Trip(False, "timed out"))), "warning", "goes the other", "Nothing"),
    (
        "cli-round-trip",
        lambda: with_parameters(healthy(cli=Asked(Trip(False, "x")), rest=Asked(Trip(False, "y"))), Transport="auto"),
        "broken",
        "Transport=auto needs it",
        "web server's log",
    ),
    (
        "rest-round-trip",
        lambda: healthy(rest=Asked(Trip(False, "503")), environment=environment(status="UPDATING")),
        "warning",
        "503",
        "UPDATING",
    ),
    (
        "rest-round-trip",
        lambda: healthy(
            rest=Asked(Trip(False, "no way")), environment=environment(webserver_access_mode="PRIVATE_ONLY")
        ),
        "not known",
        "from here: no way",
        "http-api",
    ),
    ("http-api", lambda: healthy(health=Asked((500, {"message": "oops"}))), "broken", "500: oops", "log of http_api"),
    (
        "http-api",
        lambda: healthy(health=Asked((503, {"environment": {}, "airflow": {"detail": "token-refused: no"}}))),
        "broken",
        "token-refused",
        "role-permissions",
    ),
    ("http-api", lambda: healthy(health=Asked((403, {}))), "not known", "execute-api:Invoke", "policy"),
    ("rest-calls", lambda: healthy(rest_throttled=Asked(7.0)), "warning", "7 calls", "RestCallsPerSecond"),
    ("rule-quota", lambda: with_triggers(rules={"default": 240}), "warning", "240 rules of 300", "MaxRulesPerBus"),
    (
        "rule-quota",
        lambda: healthy(quotas=QuotaSeen(Asked(100), Asked(1000), Asked(0.0))),
        "warning",
        "quota 100",
        "MaxRulesPerBus=100",
    ),
    (
        "concurrency",
        lambda: healthy(quotas=QuotaSeen(Asked(300), Asked(10), Asked(0.0))),
        "warning",
        "may run 10",
        "raised",
    ),
    (
        "concurrency",
        lambda: healthy(quotas=QuotaSeen(Asked(300), Asked(100), Asked(80.0))),
        "warning",
        "80 of 100",
        "rais",
    ),
    ("clock", lambda: healthy(skew=Asked(-45.0)), "warning", "45 s behind", "NTP"),
    ("clock", lambda: healthy(skew=Asked(301.0)), "broken", "301 s ahead of", "NTP"),
    (
        "leftovers",
        lambda: healthy(leftovers=Asked({"old": ("rule old.x",)})),
        "warning",
        "left rule old.x",
        "--stack old",
    ),
]


def of(results: list[Result], check: str) -> Result:
    return next(one for one in results if one.id == check)


def test_nothing_is_said_of_a_stack_that_is_well() -> None:
    results = judge(healthy())
    assert [one for one in results if one.state != "ok" or one.remedy] == []
    assert [one.id for one in results] == list(CHECKS)
    assert all(one.seen for one in results)


def test_every_check_has_a_fault_planted() -> None:
    assert {check for check, *_ in FAULTS} == set(CHECKS)


@pytest.mark.parametrize(("check", "facts", "state", "seen", "remedy"), FAULTS)
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
    "functions": {"functions", "queue-readers"},
    "queues": {"queue-age", "dead-letters"},
    "rules": {"rules"},
    "schedules": {"schedules"},
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
    for check in UNSEEN[member]:
        assert (found[check].state, found[check].seen) == ("not known", "You may not do some:Action.")
        assert "some:Action" in found[check].remedy
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
    found = of(judge(healthy(alarms=Asked(trouble="It was not answered in time."))), "alarms")
    assert (found.state, found.seen) == ("not known", "It was not answered in time.")


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
    seen = (ScheduleSeen("BuiltInSchedule", "s", None),)
    assert of(judge(healthy(schedules=Asked(seen))), "schedules").state == "warning"


def test_a_key_of_another_account_and_one_of_aws_need_no_policy() -> None:
    by_aws = KeySeen("alias/aws/s3", "the environment's bucket", False, Asked("Enabled"), ACCOUNT, Asked({}))
    assert of(judge(healthy(keys=Asked((by_aws,)))), "key-policy").state == "ok"


def test_many_faults_are_shown_in_part() -> None:
    drift = tuple(Drift(f"rule jetway.{number}", "is missing") for number in range(8))
    seen = of(judge(with_triggers(drift=drift)), "triggers").seen
    assert seen.endswith("and 3 more")


def test_slack_counts_as_somebody_who_hears() -> None:
    facts = with_parameters(healthy(subscriptions=Asked(())), SlackChannelId="C1")
    assert of(judge(facts), "subscriptions").state == "ok"
