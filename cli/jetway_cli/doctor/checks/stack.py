"""The stack itself: whole, and of the version that this command is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway_cli.doctor.results import Findings, Result, listed
from jetway_cli.stack import WHOLE

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts, StackFacts


def state(facts: Facts) -> Result:
    """Judge the stack's state."""
    stack, found = facts.stack, Findings()
    failed = [one for one in stack.resources if one.status.endswith("_FAILED")]
    why = "".join(f" {one.logical}: {one.reason or one.status}." for one in failed[:1]) or _reason(stack)
    said = f"Stack {stack.name} is {stack.status}.{why}"
    if stack.status in WHOLE:
        if stack.status.startswith("UPDATE_ROLLBACK"):
            found.warn(
                f"{said} The last deployment failed. The previous version of the stack is still running.",
                "Deploy again. The stack's events in the CloudFormation console show what AWS rejected.",
            )
    elif stack.status.endswith("_IN_PROGRESS"):
        found.broken(said, "Wait until the deployment ends, then run this again.")
    elif stack.status == "UPDATE_ROLLBACK_FAILED":
        found.broken(
            said,
            (
                f"Fix the errors of {listed(one.logical for one in failed) or 'its events'}, then run: aws "
                f"cloudformation continue-update-rollback --stack-name {stack.name}"
            ),
        )
    elif stack.status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}:
        found.broken(
            said,
            (
                "You can only delete a stack whose creation failed. Fix the errors in its events, run aws "
                f"cloudformation delete-stack --stack-name {stack.name}, and deploy again."
            ),
        )
    else:
        found.broken(said, "See the stack's events in the CloudFormation console, then deploy it again.")
    return found.result("stack-state", f"Stack {stack.name} is {stack.status}.")


def _reason(stack: StackFacts) -> str:
    return f" {stack.reason.rstrip('.')}." if stack.reason else ""


def version(facts: Facts) -> Result:
    """Judge whether the command line and the stack are of one version."""
    found = Findings()
    deployed = facts.stack.outputs.get("JetwayVersion")
    if deployed is None:
        found.warn(
            f"The stack does not show its version, so it is older than this command ({facts.version}).",
            "Deploy again: make deploy.",
        )
    elif deployed != facts.version:
        found.warn(
            (
                f"The stack has version {deployed} and this command has version {facts.version}. Differences "
                "between versions can look like faults."
            ),
            "Deploy again, or install the version of the command that matches the stack.",
        )
    return found.result("stack-version", f"Stack and command have version {facts.version}.")
