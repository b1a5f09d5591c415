"""`make lint` on what becomes of the templates: the linters see resources that a transform makes, and every policy.

    python -m local.lint_stacks

cfn-lint reads a SAM template, but none of its rules on policies reaches what stands in a function; parliament knows
IAM's actions, resources and condition keys, and nothing of CloudFormation. Both get the whole of the stack; policies
are looked at once with the defaults and once with all that parameters can add.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.rendered import WHOLE, Node, Rendered, transformed
from local.venvs import ROOT

# What parliament says of what is right: issue, and a word of the finding.
_KNOWN = (
    ("RESOURCE_STAR", ""),  # of actions that know no resource; test_template.py lists them
    ("UNKNOWN_CONDITION_FOR_ACTION", "lambda:SourceFunctionArn"),  # a key of the role's session, whatever the action
    # MWAA's own list of what an execution role needs has s3:GetObject*, s3:GetBucket* and s3:List*.
    ("RESOURCE_MISMATCH", "s3:GetObjectAttributes"),
)


def main() -> int:
    """Print what the linters find; return how many findings there are, as an exit code."""
    found = [line for name in WHOLE for line in (*_cfn_lint(name), *_parliament(name))]
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


def _parliament(name: str) -> Iterator[str]:
    """Lint the policies of roles."""
    said: set[str] = set()
    for parameters in ({}, WHOLE[name]):
        for resource, where, document in Rendered(ROOT / name, parameters).documents():
            said |= {f"{name}: {resource}, {where}: {finding}" for finding in policy_findings(where, document)}
    yield from sorted(said)


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
