"""Facts in which something is wrong: what each check of doctor must find, and words of the remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jetway_cli.doctor.facts import (
    Asked,
    Facts,
    RoleSeen,
    StackResource,
)
from tests.unit.cli.healthy import decision, environment, healthy, stack

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


def with_part(logical: str, *, gone: bool = False, **changes: Any) -> Facts:
    """One resource is not as the template says, or is gone."""
    seen = healthy().parts.value or ()
    assert any(one.logical == logical for one in seen), logical
    return healthy(
        parts=Asked(
            tuple(
                replace(one, seen=Asked(None if gone else {**(one.seen.value or {}), **changes}))
                if one.logical == logical
                else one
                for one in seen
            )
        )
    )


def of_part(logical: str, name: str) -> Any:
    """What the template says of a setting."""
    return next(one.wanted[name] for one in healthy().parts.value or () if one.logical == logical)


def with_triggers(**changes: Any) -> Facts:
    seen = healthy().triggers.value
    assert seen is not None
    return healthy(triggers=Asked(replace(seen, **changes)))


def failed(status: str, reason: str = "") -> Facts:
    resources = (StackResource("ValidateArtifactRole", "x", "AWS::IAM::Role", "CREATE_FAILED", reason),)
    return healthy(stack=replace(stack(), status=status, resources=resources))


def role(**changes: Any) -> Facts:
    return healthy(roles=(RoleSeen("StartDagRunRole", "start-role", Asked((decision(), decision(**changes)))),))


def ill(**changes: Any) -> Facts:
    """The functions do not reach Airflow either."""
    return healthy(health=Asked((503, {"environment": {}, "airflow": {"detail": "x"}})), **changes)


def role_gone() -> Facts:
    return healthy(roles=(RoleSeen("StartDagRunRole", "start-role", Asked(()), gone=True),))


def policy_denying() -> Any:
    (key,) = healthy().keys.value or ()
    assert key.policy.value is not None
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    return Asked({"Statement": [*key.policy.value["Statement"], deny]})


def policy_without(service: str) -> Any:
    (key,) = healthy().keys.value or ()
    assert key.policy.value is not None
    statements = [one for one in key.policy.value["Statement"] if service not in str(one["Principal"])]
    return Asked({"Statement": statements})


# check, facts, state, words of what was seen, words of the remedy
Fault = tuple[str, Callable[[], Facts], str, str, str]
FAULTS: list[Fault] = [
    (
        "stack-state",
        lambda: failed("ROLLBACK_COMPLETE", "Sids must be unique"),
        "broken",
        "Sids must be",
        "delete-stack",
    ),
    ("stack-state", lambda: failed("CREATE_FAILED", "no"), "broken", "ValidateArtifactRole: no", "delete-stack"),
    ("stack-state", lambda: failed("UPDATE_ROLLBACK_FAILED", "x"), "broken", "FAILED", "continue-update-rollback"),
    (
        "stack-state",
        lambda: failed("UPDATE_IN_PROGRESS"),
        "broken",
        "UPDATE_IN_PROGRESS",
        "Wait until the deployment ends",
    ),
    ("stack-state", lambda: failed("UPDATE_ROLLBACK_COMPLETE"), "warning", "last deployment failed", "Deploy again"),
    ("stack-state", lambda: failed("REVIEW_IN_PROGRESS"), "broken", "REVIEW", "Wait"),
    ("stack-version", lambda: with_stack(outputs={"JetwayVersion": "9.0.0"}), "warning", "has version 9.0.0", "Deploy"),
    (
        "stack-version",
        lambda: healthy(stack=replace(stack(), outputs={})),
        "warning",
        "does not show its version",
        "make deploy",
    ),
    (
        "environment-status",
        lambda: healthy(environment=Asked(None)),
        "broken",
        "Environment 'acme' does not exist",
        "ENVIRONMENT=",
    ),
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
        "only with airflow2",
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
        "features",
        lambda: healthy(environment=environment(airflow_version="2.4.2")),
        "warning",
        "it needs Airflow 2.4.3 or later, and the environment has 2.4.2",
        "Deploy with Transport=auto",
    ),
    (
        "features",
        lambda: with_parameters(healthy(), AirflowRole="Viewer"),
        "warning",
        "it needs the Airflow role Admin, Op, User, and AirflowRole is Viewer",
        "AirflowRole=User",
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
    ("bucket-versioning", lambda: with_bucket(0, there=Asked(False)), "broken", "does not exist", "Deploy"),
    ("bucket-encryption", lambda: with_bucket(1, key=Asked(OTHER_KEY)), "broken", OTHER_KEY, "EnvironmentKmsKeyArn="),
    ("bucket-encryption", lambda: with_bucket(1, key=Asked(FOREIGN)), "broken", FOREIGN, "EnvironmentKmsKeyArn="),
    (
        "bucket-encryption",
        lambda: with_bucket(0, key=Asked("")),
        "warning",
        "an AWS key",
        "aws s3api put-bucket-encryption",
    ),
    (
        "bucket-encryption",
        lambda: with_stack(parameters={"EnvironmentKmsKeyArn": OTHER_KEY}),
        "warning",
        "not encrypted with a customer managed key",
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
    ("key-policy", lambda: with_key(policy=policy_denying()), "broken", "Deny without a condition", "Remove that"),
    (
        "key-policy",
        lambda: with_key(policy=policy_without("root")),
        "broken",
        "neither delegates to IAM",
        "KeyRoleArns",
    ),
    (
        "key-policy",
        lambda: with_key(policy=policy_without("events")),
        "broken",
        "does not allow events",
        "put-key-policy",
    ),
    (
        "key-policy",
        lambda: with_key(policy=policy_without("cloudwatch")),
        "broken",
        "cloudwatch",
        "put-key-policy",
    ),
    ("key-policy", lambda: with_key(policy=policy_without("logs")), "broken", "does not allow logs", "put-key-policy"),
    (
        "bucket-events",
        lambda: with_bucket(0, events=Asked(False)),
        "broken",
        "does not send events",
        "EventBridgeConfiguration",
    ),
    ("bucket-events", lambda: with_bucket(2, events=Asked(False)), "broken", "read by orders", "--bucket orders"),
    (
        "bucket-events",
        lambda: with_bucket(2, there=Asked(False)),
        "broken",
        "Bucket orders, read by orders, does not exist",
        "trigger file",
    ),
]
