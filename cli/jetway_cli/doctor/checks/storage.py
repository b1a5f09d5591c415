"""Buckets, and the keys that encrypt what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.checks.as_deployed import compare, parts
from jetway_cli.doctor.checks.put_back import put_back
from jetway_cli.doctor.checks.put_back_bucket import put_encryption_back
from jetway_cli.doctor.denials import Denial, denials
from jetway_cli.doctor.needs import arn_of, needs
from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import BucketSeen, Facts, KeySeen, StackFacts

# What lets the key of a stack be used by who sends to its queues and topics, and encrypts its logs: template.yaml, Key.
_SERVICES = ("events", "cloudwatch", "logs")
_USERS_OF_THE_ENVIRONMENTS_KEY = (
    "ValidateArtifactRole",
    "VerifyPromotionRole",
    "ApplyUpdatesFunctionRole",
    "ScaleWorkersRole",
)
_ENVIRONMENTS = "the environment's bucket"


def _buckets(facts: Facts, found: Findings) -> list[BucketSeen]:
    """The stack's own two buckets, those that can be seen."""
    if not found.needs(facts.buckets):
        return []
    there = []
    for bucket in (facts.buckets.value or ())[:2]:
        if found.needs(bucket.there):
            if bucket.there.value:
                there.append(bucket)
            else:
                found.broken(
                    f"Bucket {bucket.name}, {bucket.why}, does not exist.",
                    ("Deploy the stack again with a bucket that exists."),
                )
    return there


def versioning(facts: Facts) -> Result:
    """Judge whether both buckets keep versions: Jetway promotes by version and rolls back to one."""
    found = Findings()
    for bucket in _buckets(facts, found):
        if found.needs(bucket.versioning) and bucket.versioning.value != "Enabled":
            found.broken(
                (
                    f"Versioning of {bucket.name}, {bucket.why}, is {str(bucket.versioning.value).lower()}, so "
                    "nothing can be promoted by version or rolled back."
                ),
                f"aws s3api put-bucket-versioning --bucket {bucket.name} --versioning-configuration Status=Enabled",
            )
    return found.result("bucket-versioning", "Both buckets have versioning enabled.")


def encryption(facts: Facts) -> Result:
    """Judge whether the stack may use the keys that the buckets are encrypted with."""
    found = Findings()
    stack = facts.stack
    for bucket in _buckets(facts, found):
        if not found.needs(bucket.key):
            continue
        key, given = str(bucket.key.value), stack.parameters.get("EnvironmentKmsKeyArn", "")
        if bucket.why != _ENVIRONMENTS:
            own = stack.parameters.get("KmsKeyArn", "") or (made.physical if (made := stack.find("Key")) else "")
            if not _same(key, own):
                found.warn(
                    (
                        f"{bucket.name} is encrypted with {key or 'an AWS key'}, not with the stack's key {own}. "
                        "It was changed manually."
                    ),
                    put_encryption_back(bucket.name, own),
                )
        elif key and not key.startswith("alias/aws/") and not _same(key, given):
            found.broken(
                (
                    f"{bucket.name}, {bucket.why}, is encrypted with {key}, which the stack does not know "
                    f"(EnvironmentKmsKeyArn is {given or 'empty'}), so nothing can be promoted."
                ),
                f"make deploy ENVIRONMENT={stack.parameters.get('EnvironmentName')} reads the key from the bucket; or "
                f"deploy with EnvironmentKmsKeyArn={key}",
            )
        elif given and not key:
            found.warn(
                (f"EnvironmentKmsKeyArn is {given}, but {bucket.name} is not encrypted with a customer managed key."),
                "Deploy with EnvironmentKmsKeyArn empty, unless old objects are encrypted with it.",
            )
    return found.result("bucket-encryption", "The buckets are encrypted with the keys that the stack knows.")


def _same(one: str, other: str) -> bool:
    """Whether two name one key: by ARN, or by its id alone."""
    return one.rpartition("/")[2] == other.rpartition("/")[2]


def keys(facts: Facts) -> Result:
    """Judge whether the keys work, and whether their policies let in who must use them."""
    found = Findings()
    if found.needs(facts.keys):
        for key in facts.keys.value or ():
            _judge_key(key, facts, found)
        compare(facts, found, "AWS::KMS::Key")
    return found.result(
        "key-policy", ("The keys are enabled, and their policies allow the roles and services that use them.")
    )


def _judge_key(key: KeySeen, facts: Facts, found: Findings) -> None:
    stack = facts.stack
    foreign = key.account not in {"", stack.account}
    if found.needs(key.state) and key.state.value != "Enabled":
        found.broken(
            f"Key {key.arn} of {key.used_for} is {key.state.value}: nothing encrypted with it can be read or written.",
            f"aws kms enable-key --key-id {key.arn} (a deletion that is planned: aws kms cancel-key-deletion first)",
        )
        return
    if foreign:
        found.warn(
            (
                f"Key {key.arn} of {key.used_for} belongs to account {key.account}. Its policy in that account "
                "applies, and this command cannot read it."
            ),
            f"In that policy, allow kms:Decrypt and kms:GenerateDataKey for {listed(_roles(stack))}.",
        )
        return
    if not found.needs(key.policy):
        return
    statements = list(_statements(key.policy.value or {}))
    for one in _denials(key.policy.value or {}):
        found.broken(
            f"The policy of key {key.arn}, of {key.used_for}, has a Deny without a condition on {listed(one)}.",
            "Remove that statement, or add the intended condition.",
        )
    if not statements:
        return  # a key of AWS's
    if not any(_delegates(one, stack) for one in statements):
        missing = [role for role in _roles(stack) if not any(_names(one, role) for one in statements)]
        if missing:
            found.broken(
                (
                    f"The policy of key {key.arn}, of {key.used_for}, neither delegates to IAM nor names "
                    f"{listed(missing)}."
                ),
                ("In the policy, name these roles (output EnvironmentKeyRoleArns), or the account's root with kms:*."),
            )
    if key.ours:
        closed = [name for name in _SERVICES if not any(_lets_in(one, name) for one in statements)]
        if closed:
            found.broken(
                (
                    f"The policy of key {key.arn} does not allow {listed(closed)}, so events and alarms do not "
                    "arrive, or logs are not written."
                ),
                next(
                    (put_back(part, ["KeyPolicy"]) for part in parts(facts, "AWS::KMS::Key")),
                    "Add the statements of the resource Key in template.yaml (docs/environments.md).",
                ),
            )


def _roles(stack: StackFacts) -> list[str]:
    found = [stack.find(name) for name in _USERS_OF_THE_ENVIRONMENTS_KEY]
    return [arn_of(one, stack) for one in found if one is not None]


def _statements(policy: Mapping[str, Any], effect: str = "Allow") -> Iterator[Mapping[str, Any]]:
    found = policy.get("Statement", [])
    yield from (one for one in (found if isinstance(found, list) else [found]) if one.get("Effect") == effect)


def _denials(policy: Mapping[str, Any]) -> Iterator[set[str]]:
    """What each statement denies of what everybody needs, whatever the request is like."""
    for one in _statements(policy, "Deny"):
        denied = _actions(one) & {"*", "kms:*", "kms:decrypt", "kms:generatedatakey", "kms:generatedatakey*"}
        if denied and not one.get("Condition"):
            yield denied


def _principals(statement: Mapping[str, Any], kind: str) -> list[str]:
    principal = statement.get("Principal", {})
    if principal == "*":
        return ["*"]
    found = principal.get(kind, [])
    return list(found) if isinstance(found, list) else [str(found)]


def _delegates(statement: Mapping[str, Any], stack: StackFacts) -> bool:
    root = {stack.account, "*", f"arn:{stack.partition}:iam::{stack.account}:root"}
    return bool(root & set(_principals(statement, "AWS"))) and _allows_use(statement)


def _names(statement: Mapping[str, Any], role: str) -> bool:
    return role in _principals(statement, "AWS") and _allows_use(statement)


def _lets_in(statement: Mapping[str, Any], service: str) -> bool:
    return any(one == "*" or one.split(".")[0] == service for one in _principals(statement, "Service"))


def _allows_use(statement: Mapping[str, Any]) -> bool:
    found = _actions(statement)
    if found & {"*", "kms:*"}:
        return True
    return "kms:decrypt" in found and any(one.startswith("kms:generatedatakey") for one in found)


def _actions(statement: Mapping[str, Any]) -> set[str]:
    found = statement.get("Action", [])
    return {str(one).lower() for one in (found if isinstance(found, list) else [found])}


def events(facts: Facts) -> Result:
    """Judge whether the drop bucket and every bucket that a trigger reads send their events."""
    found = Findings()
    found.needs(facts.triggers)  # it says which buckets there are
    if found.needs(facts.buckets):
        for bucket in facts.buckets.value or ():
            if bucket.why != _ENVIRONMENTS:
                _judge_events(bucket, found)
    return found.result("bucket-events", "The drop bucket and the triggers' buckets send events to EventBridge.")


def _judge_events(bucket: BucketSeen, found: Findings) -> None:
    if not found.needs(bucket.there):
        return
    if not bucket.there.value:
        found.broken(
            f"Bucket {bucket.name}, {bucket.why}, does not exist.", "Correct the bucket's name in the trigger file."
        )
    elif found.needs(bucket.events) and not bucket.events.value:
        found.broken(
            (f"{bucket.name}, {bucket.why}, does not send events to EventBridge. Files dropped there start nothing."),
            (
                "In the bucket's properties, turn on Amazon EventBridge: aws s3api "
                f"put-bucket-notification-configuration --bucket {bucket.name} --notification-configuration "
                "'{\"EventBridgeConfiguration\": {}}' (this replaces other notifications, so include them)"
            ),
        )


def policies(facts: Facts) -> Result:
    """Judge whether the buckets' policies deny Jetway's roles nothing, and the drop bucket's is as deployed."""
    found = Findings()
    compare(facts, found, "AWS::S3::BucketPolicy")
    wanted = needs(facts.stack)
    for bucket in _buckets(facts, found):
        if found.needs(bucket.policy):
            _judge_policy(bucket, list(denials(bucket.policy.value or {}, bucket.name, wanted, facts.stack)), found)
    return found.result("bucket-policies", ("The buckets' policies do not deny anything that Jetway's roles need."))


def _judge_policy(bucket: BucketSeen, denied: list[Denial], found: Findings) -> None:
    certain, perhaps = [one for one in denied if not one.unless], [one for one in denied if one.unless]
    if certain:
        found.broken(
            f"The policy of bucket {bucket.name}, {bucket.why}, denies {listed(one.action for one in certain)} to "
            f"{listed(one.role for one in certain)} ({listed(one.statement for one in certain)}).",
            (
                "Exclude these roles from that statement: Condition ArnNotLike on aws:PrincipalArn "
                "(docs/environments.md)."
            ),
        )
    elif perhaps:
        keys = listed(key for one in perhaps for key in one.unless)
        found.unknown(
            (
                f"The policy of bucket {bucket.name}, {bucket.why}, denies "
                f"{listed((one.action for one in perhaps))} under a condition on {keys}, which this command cannot "
                f"evaluate ({listed((one.statement for one in perhaps))})."
            ),
            "Check whether the functions' calls meet the condition. A denial is in the log as AccessDenied.",
        )
