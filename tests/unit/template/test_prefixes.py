"""Who may write where in the drop bucket: a table of docs/security.md, the bucket's policy, a team's policy to copy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from jetway.artifacts.keys import OWN_PREFIXES
from tests.unit.template.source import RESOURCES
from tools.checks.rendered import ACCOUNT, Rendered
from tools.generate.prefixes import GIVES_TO_JETWAY, PAGE, lines, page, prefix_of, table, writers

WRITES = (
    *("s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    *("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
)
STACK = Rendered()
BUCKET = STACK.reference("DropBucket", "Arn")
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(condition: dict[str, dict[str, Any]], request: dict[str, str]) -> bool:
    """Whether a condition of these operators holds; a key that is absent is no match, and so fits a negated one."""
    operators = {"StringLike": True, "ArnNotLike": False, "Bool": True}
    return all(
        any(key in request and fnmatchcase(request[key], pattern) for pattern in listed(patterns))
        is operators[operator]
        for operator, keys in condition.items()
        for key, patterns in keys.items()
    )


def decide(statements: list[dict[str, Any]], action: str, resource: str, **request: str) -> str:
    """What IAM answers to a request over TLS; `__` of a key's name is its colon."""
    keys = {"aws:SecureTransport": "true", **{name.replace("__", ":"): value for name, value in request.items()}}
    found = {
        statement["Effect"]
        for statement in statements
        if any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and matches(statement.get("Condition", {}), keys)
    }
    return "Deny" if "Deny" in found else "Allow" if "Allow" in found else "none"


def of_bucket(stack: Rendered = STACK) -> list[dict[str, Any]]:
    (policy,) = stack.of_type("AWS::S3::BucketPolicy").values()
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def arn(role: str) -> str:
    return STACK.reference(role, "Arn")


@pytest.mark.parametrize("prefix", OWN_PREFIXES)
@pytest.mark.parametrize("action", WRITES)
def test_nobody_but_the_stack_writes_below_its_prefixes(prefix: str, action: str) -> None:
    resource = f"{BUCKET}/{prefix}orders/1.json"
    for who in (ADMIN, f"arn:aws:iam::{ACCOUNT}:root", arn("HttpApiFunctionRole"), arn("ImportDagRole")):
        assert decide(of_bucket(), action, resource, aws__PrincipalArn=who) == "Deny", who
    assert decide(of_bucket(), action, resource) == "Deny", "nobody at all"
    for role in writers(STACK)[prefix]:
        assert decide(of_bucket(), action, resource, aws__PrincipalArn=arn(role)) == "none", role


def test_elsewhere_and_for_reading_the_policy_says_nothing() -> None:
    for key in ("dags/a.py", "triggers/a.yaml", "data/d/x.csv", "access.yaml", "reportsx", "accepted"):
        assert decide(of_bucket(), "s3:PutObject", f"{BUCKET}/{key}", aws__PrincipalArn=ADMIN) == "none"
    assert decide(of_bucket(), "s3:GetObject", f"{BUCKET}/reports/a", aws__PrincipalArn=ADMIN) == "none"
    assert decide(of_bucket(), "s3:PutBucketPolicy", BUCKET, aws__PrincipalArn=ADMIN) == "none", (
        "else none could lift it"
    )


def test_somebody_can_be_let_in_for_an_emergency() -> None:
    bucket = of_bucket(Rendered(parameters={"BreakGlassPrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/emergency-*"}))
    resource = f"{BUCKET}/accepted/triggers.json"
    emergency = f"arn:aws:iam::{ACCOUNT}:role/emergency-ann"
    assert decide(bucket, "s3:PutObject", resource, aws__PrincipalArn=emergency) == "none"
    assert decide(bucket, "s3:PutObject", resource, aws__PrincipalArn=ADMIN) == "Deny"


def test_the_policy_names_the_prefixes_and_the_roles_that_write_there_and_no_others() -> None:
    (statement,) = [one for one in of_bucket() if one["Sid"] == "OnlyJetwayWritesItsPrefixes"]
    assert statement["Resource"] == [f"{BUCKET}/{prefix}*" for prefix in OWN_PREFIXES]
    roles = {role for found in writers(STACK).values() for role in found}
    assert set(statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]) == set(map(arn, roles))
    assert set(writers(STACK)) == set(OWN_PREFIXES), "a role writes only below what is Jetway's"


def test_the_access_log_is_kept_when_a_bucket_is_named() -> None:
    assert "LoggingConfiguration" not in STACK.resources["DropBucket"]["Properties"]
    logged = Rendered(parameters={"AccessLogBucketName": "acme-logs"}).resources["DropBucket"]["Properties"]
    assert logged["LoggingConfiguration"] == {
        "DestinationBucketName": "acme-logs",
        "LogFilePrefix": "jetway/drop-bucket/",
    }


def test_the_table_is_of_this_template() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, STACK) == text, "run make prefixes"
    assert table(STACK) in text
    with pytest.raises(ValueError, match="has no"):
        page("nothing", STACK)


def test_a_prefix_that_a_role_writes_is_said_or_the_table_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(GIVES_TO_JETWAY, "bundles/")
    with pytest.raises(KeyError, match="bundles/"):
        lines(STACK)
    assert (prefix_of("reports/x/*"), prefix_of("access.yaml"), prefix_of("*")) == ("reports/", "access.yaml", "*")


def test_the_rule_of_artifacts_passes_over_them() -> None:
    pattern = RESOURCES["ArtifactDroppedRule"]["Properties"]["EventPattern"]
    passed_over = pattern["detail"]["object"]["key"][0]["anything-but"]["prefix"]
    assert set(OWN_PREFIXES) | {"data/", "triggers/"} == set(passed_over)


def policies() -> Iterator[list[dict[str, Any]]]:
    for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        document = json.loads(block.replace("arn:aws:s3:::DROP_BUCKET", BUCKET).replace("KEY_ARN", KEY))
        if document.get("Version") == "2012-10-17":
            yield document["Statement"]


THEIRS = [
    ("s3:PutObject", "dags/team_a/orders.py"),
    ("s3:PutObject", "dags/team_a/sql/orders.sql"),
    ("s3:DeleteObject", "dags/team_a/orders.py"),
    ("s3:GetObject", "dags/team_a/orders.py"),
    ("s3:GetObject", "reports/dags/team_a/orders.py/latest.json"),
]
NOT_THEIRS = [
    *[("s3:PutObject", f"{prefix}dags/team_a/orders.py/1.json") for prefix in OWN_PREFIXES],
    *[("s3:PutObject", key) for key in ("dags/team_b/x.py", "dags/x.py", "dags/.airflowignore", "dags/team_ab/x.py")],
    *[("s3:PutObject", key) for key in ("triggers/x.yaml", "access.yaml", "floors.yaml", "data/orders/x.csv")],
    *[("s3:PutObject", key) for key in ("requirements.txt", "plugins.zip", "startup.sh")],
    *[("s3:DeleteObject", "dags/team_b/x.py"), ("s3:DeleteObject", "triggers/x.yaml")],
    *[("s3:DeleteObjectVersion", "dags/team_a/orders.py"), ("s3:PutObjectTagging", "dags/team_a/orders.py")],
    *[("s3:GetObject", "dags/team_b/x.py"), ("s3:GetObject", "reports/dags/team_b/x.py/latest.json")],
    ("s3:GetObject", "accepted/triggers.json"),
]


def test_a_team_deploys_below_its_folder_alone() -> None:
    (statements,) = policies()
    whole = [*statements, *of_bucket()]
    team = f"arn:aws:iam::{ACCOUNT}:role/team-a"

    def may(action: str, key: str) -> str:
        return decide(whole, action, f"{BUCKET}/{key}", aws__PrincipalArn=team)

    assert {may(*one) for one in THEIRS} == {"Allow"}
    assert [one for one in NOT_THEIRS if may(*one) == "Allow"] == []
    assert [decide(whole, "s3:ListBucket", BUCKET, s3__prefix=prefix) for prefix in ("dags/team_a/", "dags/", "")] == [
        "Allow",
        "none",
        "none",
    ]
    for action in ("s3:PutBucketPolicy", "s3:PutLifecycleConfiguration", "s3:PutBucketNotification"):
        assert decide(whole, action, BUCKET, aws__PrincipalArn=team) == "none"
    through = {"kms__ViaService": "s3.eu-central-1.amazonaws.com"}
    assert decide(whole, "kms:GenerateDataKey", KEY, **through) == "Allow"
    assert decide(whole, "kms:GenerateDataKey", KEY) == "none"


@pytest.mark.parametrize(("action", "key"), THEIRS)
def test_what_the_team_needs_comes_from_the_policy(action: str, key: str) -> None:
    assert decide(of_bucket(), action, f"{BUCKET}/{key}", aws__PrincipalArn=ADMIN) == "none"
