"""`make lint` on what becomes of the templates: the linters see resources that a transform makes, and every policy.

    python -m tools.checks.lint_stacks

cfn-lint reads a SAM template, but none of its rules on policies reaches what stands in a function; parliament knows
IAM's actions, resources and condition keys, and nothing of CloudFormation; moto's IAM takes or refuses a document as a
whole. All get the whole of the stack; policies are looked at once with the defaults and once with all that parameters
can add.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

from tools.checks.rendered import WHOLE, Node, Rendered, transformed
from tools.venvs import ROOT

# What parliament says of what is right: issue, and a word of the finding.
_KNOWN = (
    ("RESOURCE_STAR", ""),  # of actions that know no resource; test_template.py lists them
    ("UNKNOWN_CONDITION_FOR_ACTION", "lambda:SourceFunctionArn"),  # a key of the role's session, whatever the action
    # MWAA's own list of what an execution role needs has s3:GetObject*, s3:GetBucket* and s3:List*.
    ("RESOURCE_MISMATCH", "s3:GetObjectAttributes"),
)


def main() -> int:
    """Print what the linters find; return how many findings there are, as an exit code."""
    found = [line for name in WHOLE for line in (*_cfn_lint(name), *_policies(name))]
    for line in found:
        print(line)
    return min(len(found), 1)


def _cfn_lint(name: str) -> Iterator[str]:
    """Lint a transformed template."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(name).with_suffix(".json")
        file.write_text(json.dumps(transformed(ROOT / name)), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("cfn-lint")), "--format", "json", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not done.stdout.strip():
        yield f"{name}: cfn-lint failed: {done.stderr.strip()[-500:]}"
        return
    for match in json.loads(done.stdout or "[]"):
        path = ".".join(map(str, match["Location"]["Path"] or ()))
        yield f"{name} transformed: {match['Rule']['Id']} {match['Message']} ({path})"


def _policies(name: str) -> Iterator[str]:
    """Lint the policies of roles."""
    said: set[str] = set()
    for parameters in ({}, WHOLE[name]):
        stack = Rendered(ROOT / name, parameters)
        for resource, where, document in stack.documents():
            said |= {f"{name}: {resource}, {where}: {finding}" for finding in policy_findings(where, document)}
        said |= {f"{name}: {finding}" for finding in iam_refusals(stack)}
    yield from sorted(said)


def iam_refusals(stack: Rendered) -> Iterator[str]:
    """Yield what an IAM other than the local stack's refuses of a stack's roles and managed policies."""
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "eu-central-1"}
    with mock_aws():
        iam: Any = boto3.client("iam", **keys)  # type: ignore[call-overload]
        for name, role in stack.of_type("AWS::IAM::Role").items():
            trust = json.dumps(role["AssumeRolePolicyDocument"])
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)  # moto looks at it only in an update
            yield from _refusal(name, iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust)
            for policy in role.get("Policies", []):
                document = json.dumps(policy["PolicyDocument"])
                arguments = {"RoleName": name, "PolicyName": policy["PolicyName"], "PolicyDocument": document}
                yield from _refusal(f"{name}, {policy['PolicyName']}", iam.put_role_policy, **arguments)
        for name, managed in stack.of_type("AWS::IAM::ManagedPolicy").items():
            document = json.dumps(managed["PolicyDocument"])
            yield from _refusal(name, iam.create_policy, PolicyName=name, PolicyDocument=document)


def _refusal(what: str, call: Callable[..., object], **arguments: str) -> Iterator[str]:
    try:
        call(**arguments)
    except ClientError as exc:
        yield f"{what}: IAM refuses it: {exc.response['Error']['Code']} {exc.response['Error']['Message']}"


def policy_findings(where: str, document: Mapping[str, Node]) -> Iterator[str]:
    """Yield what parliament finds in a policy of a role.

    Args:
        where: in its resource; policies that are not of a role or user are not looked at.
        document: resolved.
    """
    if any("Principal" in statement for statement in document["Statement"]):
        return  # of a resource: parliament knows those of roles
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from parliament import analyze_policy_string  # noqa: PLC0415 - it warns that pkg_resources is deprecated
    policy = analyze_policy_string(json.dumps(document), where)
    for finding in policy.findings:
        if not any(finding.issue == issue and word in str(finding.detail) for issue, word in _KNOWN):
            yield f"{finding.issue} {finding.detail}"


if __name__ == "__main__":
    sys.exit(main())
