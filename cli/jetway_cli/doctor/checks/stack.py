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
                f"{said} The last deployment failed; what was there before it goes on.",
                "Deploy again; the stack's events in the CloudFormation console say what AWS refused.",
            )
    elif stack.status.endswith("_IN_PROGRESS"):
        found.broken(said, "Wait for the end of the deployment, then run this again.")
    elif stack.status == "UPDATE_ROLLBACK_FAILED":
        found.broken(
            said,
            f"Mend what {listed(one.logical for one in failed) or 'its events'} complains of, then: "
            f"aws cloudformation continue-update-rollback --stack-name {stack.name}",
        )
    elif stack.status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}:
        found.broken(
            said,
            "A stack that was never created whole can only be deleted: mend what its events complain of, "
            f"aws cloudformation delete-stack --stack-name {stack.name}, and deploy again.",
        )
    else:
        found.broken(said, "Look at the stack's events in the CloudFormation console; deploy it again.")
    return found.result("stack-state", f"Stack {stack.name} is {stack.status}.")


def _reason(stack: StackFacts) -> str:
    return f" {stack.reason.rstrip('.')}." if stack.reason else ""


def version(facts: Facts) -> Result:
    """Judge whether the command line and the stack are of one version."""
    found = Findings()
    deployed = facts.stack.outputs.get("JetwayVersion")
    if deployed is None:
        found.warn(
            f"The stack does not say its version, so that it is older than this command ({facts.version}).",
            "Deploy again: make deploy.",
        )
    elif deployed != facts.version:
        found.warn(
            f"The stack is of version {deployed}, this command of {facts.version}: what one has and the other does "
            "not know looks like a fault.",
            "Deploy again, or install the command of the stack's version.",
        )
    return found.result("stack-version", f"Stack and command are of version {facts.version}.")
