"""`make adopt`: a new stack over the bucket, tables and key that a deleted one has left.

    python -m tools.aws.adopt default                                  # the stack of that profile of samconfig.toml
    python -m tools.aws.adopt default DropBucket=jetway-dropbucket-1x  # where more than one stack has left something

CloudFormation imports what it kept: a template of these resources alone, made of template.yaml, becomes the stack;
`make deploy` then makes everything else. Nothing is copied, so ledger, standings, claims, reports and files are in
force as they were; `jetway sync` has the rules and schedules of the trigger files made at once.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.aws.aws_checks import AwsDeployError
from tools.aws.aws_deploy import ENVIRONMENTS, SAMCONFIG, profiles, read_profile, region_of
from tools.venvs import ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_KEPT = re.compile(r"^    DeletionPolicy: Retain", re.MULTILINE)
_NAMED = re.compile(
    r"!(?:Ref|Condition) \"?([A-Za-z][\w]*)|\$\{([A-Za-z]\w*)[.}]|!If(?: \[|\s+- )([A-Za-z]\w*)|Condition: (\w+)$",
    re.MULTILINE,
)
# How a resource is named to be imported, and how CloudFormation's name of it begins behind the stack's name.
_IDENTIFIERS = {"AWS::S3::Bucket": "BucketName", "AWS::DynamoDB::Table": "TableName", "AWS::KMS::Key": "KeyId"}
CHANGE_SET = "adopt"


def import_template(template: str) -> tuple[str, dict[str, str], set[str]]:
    """Return the part of template.yaml that can be imported, its resources' types by name, and its parameters' names.

    A pure function; what the resources name of parameters and conditions comes along, and nothing else.
    """
    sections = _sections(template)
    resources = {name: block for name, block in sections["Resources"].items() if _KEPT.search(block)}
    wanted, found = [*resources.values()], {"Parameters": dict[str, str](), "Conditions": dict[str, str]()}
    while wanted:
        for name in {group for match in _NAMED.findall(wanted.pop()) for group in match if group}:
            for section, blocks in found.items():
                block = sections[section].get(name)
                if block is not None and name not in blocks:
                    blocks[name] = block
                    wanted.append(block)
    lines = ['AWSTemplateFormatVersion: "2010-09-09"\n']
    for section, blocks in (*found.items(), ("Resources", resources)):
        lines += [f"{section}:\n", *blocks.values()]
    types = {name: re.findall(r"Type: (\S+)", block)[0] for name, block in resources.items()}
    return "".join(lines), types, set(found["Parameters"])


def left_behind(stack: str, types: Mapping[str, str], names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return what a deleted stack may have left, by logical id. A pure function.

    Args:
        types: of the resources, by logical id.
        names: of all buckets and tables that there are, by type.
    """
    found = {}
    for resource, kind in types.items():
        prefix = f"{stack}-{resource}-"
        prefix = prefix.lower() if kind == "AWS::S3::Bucket" else prefix
        found[resource] = [name for name in names.get(kind, ()) if name.startswith(prefix)]
    return found


def chosen(found: Mapping[str, Sequence[str]], told: Mapping[str, str]) -> dict[str, str]:
    """Return the one of each that is to be imported.

    Args:
        told: what was named, by logical id.

    Raises:
        AwsDeployError: there is no bucket, or more than one of something.
    """
    one = {}
    for resource, names in found.items():
        if resource in told:
            one[resource] = told[resource]
        elif len(names) > 1:
            raise AwsDeployError(f"{resource}: more than one is there. Name yours: {resource}={' or '.join(names)}")
        elif names:
            one[resource] = names[0]
    if "DropBucket" not in one:
        raise AwsDeployError("There is no drop bucket that a deleted stack of this name has left: just deploy.")
    return one


def adopt(
    cloudformation: CloudFormationClient, stack: str, ids: Mapping[str, str], overrides: Mapping[str, str]
) -> None:
    """Make the stack of what there is.

    Args:
        ids: physical by logical ids.
        overrides: parameters that the stack will have.

    Raises:
        AwsDeployError: CloudFormation does not import it; the text says why.
        ClientError, BotoCoreError: CloudFormation is in trouble.
    """
    body, types, parameters = import_template((ROOT / "template.yaml").read_text(encoding="utf-8"))
    imported: Any = [
        {
            "ResourceType": types[resource],
            "LogicalResourceId": resource,
            "ResourceIdentifier": {_IDENTIFIERS[types[resource]]: name},
        }
        for resource, name in ids.items()
    ]
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in overrides.items() if key in parameters]
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=_only(body, types.keys() - ids.keys() - {"Key"}),
        Parameters=given,  # type: ignore[arg-type]
        ResourcesToImport=imported,
    )
    described: Any = cloudformation.get_waiter("change_set_create_complete")
    described.wait(StackName=stack, ChangeSetName=CHANGE_SET, WaiterConfig={"Delay": 2})
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=CHANGE_SET)
    waiter: Any = cloudformation.get_waiter("stack_import_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 2})


def _only(template: str, without: set[str]) -> str:
    """The template without resources that there are none of: they are made by the deployment."""
    for name in without:
        block = _sections(template)["Resources"][name]
        template = template.replace(block, "")
    return template


def _sections(template: str) -> dict[str, dict[str, str]]:
    """The blocks of each section by name, as text: so that CloudFormation's short functions stay what they are."""
    sections: dict[str, dict[str, str]] = {}
    for part in re.split(r"^(?=[A-Za-z]+:)", template, flags=re.MULTILINE):
        section, _, rest = part.partition(":")
        blocks = re.split(r"^(?=  [A-Za-z]\w*:)", rest, flags=re.MULTILINE)[1:]
        sections[section] = {block.strip().partition(":")[0]: _code(block) for block in blocks}
    return sections


def _code(block: str) -> str:
    """A block without what stands between it and the next one: comments at the margin."""
    lines = block.rstrip().split("\n")
    while lines and (not lines[-1].strip() or lines[-1].startswith("  #") or lines[-1].startswith("#")):
        lines.pop()
    return "\n".join(lines) + "\n"


def main() -> int:
    """Adopt what there is; return the exit code."""
    name, *more = sys.argv[1:] or ["default"]
    try:
        profile = read_profile(SAMCONFIG, name)
        made = read_profile(ENVIRONMENTS, name) if name in profiles(ENVIRONMENTS) else None
        session = boto3.Session(region_name=region_of(profile, made, boto3.Session()))
        _, types, _ = import_template((ROOT / "template.yaml").read_text(encoding="utf-8"))
        ids = chosen(
            left_behind(profile.stack_name, types, names_of(session)), dict(one.split("=", 1) for one in more if one)
        )
        ids |= _key(session, ids["DropBucket"], profile.overrides)
        adopt(session.client("cloudformation"), profile.stack_name, ids, profile.overrides)
    except (AwsDeployError, BotoCoreError, ClientError) as exc:
        print(exc, file=sys.stderr)
        return 1
    print("\n".join(f"{resource}: {found}" for resource, found in ids.items()))
    print(f"Stack {profile.stack_name} has them again. Now `make deploy`, then `jetway sync`.")
    return 0


def names_of(session: boto3.Session) -> dict[str, list[str]]:
    """Return the names of all buckets and tables.

    Raises:
        ClientError, BotoCoreError: the caller may not list them.
    """
    pages = session.client("dynamodb").get_paginator("list_tables").paginate()
    return {
        "AWS::S3::Bucket": [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]],
        "AWS::DynamoDB::Table": [name for page in pages for name in page["TableNames"]],
    }


def _key(session: boto3.Session, bucket: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The key of the bucket, unless it is one that the stack was given."""
    if overrides.get("KmsKeyArn"):
        return {}
    encryption: Any = session.client("s3").get_bucket_encryption(Bucket=bucket)
    (rule, *_) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    key: str = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID", "")
    return {"Key": key.rpartition("/")[2]} if key else {}


if __name__ == "__main__":
    sys.exit(main())
