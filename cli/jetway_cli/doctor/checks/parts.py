"""Functions and their roles, queues, rules, schedules and triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway_cli.doctor.checks.as_deployed import compare, judge, named, parts
from jetway_cli.doctor.checks.put_back import BACK_IN, put_back
from jetway_cli.doctor.needs import arn_of
from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts, FunctionSeen, PartSeen, QueueSeen

_DEPLOY = (
    "Deploy the stack again. If that changes nothing, run sam deploy with another LogLevel, then with the previous one."
)
_AS_DEPLOYED = "Restore the role's policies as the template has them, or delete what was added"
# Queues that nothing of ours reads: what is in them waits for a person.
DEAD = frozenset(
    {"ArtifactDeadLetters", "DispatchDeadLetters", "CollectDeadLetters", "TriggerSyncDeadLetters", "UndeliveredEvents"}
)
# A message that is not read at once is no fault; these wait on purpose.
_WAITS_ON_PURPOSE = frozenset({"WaitingQueue"})
_WORK_QUEUE_AGE = 3600
_LONG = 900


def permissions(facts: Facts) -> Result:
    """Judge whether each function's role may do what its function does."""
    found = Findings()
    for role in facts.roles:
        if role.gone:
            found.broken(
                f"Role {role.arn} ({role.logical}) was deleted.",
                "Deploy the stack again with another RolePath, which creates all roles again.",
            )
        if not found.needs(role.decisions):
            continue
        denied = [one for one in role.decisions.value or () if one.decision != "allowed"]
        if denied:
            each = listed(f"{one.action} on {one.resource}" for one in denied)
            by = next((one.by for one in denied if one.by), "")
            if by:
                remedy = f"Ask the owner of {by} to allow these actions."
            elif any(one.decision == "explicitDeny" for one in denied):
                remedy = f"{_AS_DEPLOYED}: a statement with Effect Deny names these actions."
            else:
                remedy = f"{_AS_DEPLOYED}; if they were never there, deploy the stack again."
            found.broken(f"{role.arn or role.logical} cannot call {each}{f' ({by} denies it)' if by else ''}", remedy)
    if not facts.roles:
        found.broken("The stack has no roles.", _DEPLOY)
    count = sum(len(role.decisions.value or ()) for role in facts.roles)
    return found.result(
        "role-permissions",
        (f"{len(facts.roles)} roles have all the permissions that they need ({count} decisions of IAM)."),
    )


def functions(facts: Facts) -> Result:
    """Judge whether the functions are ready, and have the roles of the stack."""
    found = Findings()
    if found.needs(facts.functions, facts.parts):
        changed = {one.logical: one for one in parts(facts, "AWS::Lambda::Function")}
        for one in facts.functions.value or ():
            if not _judge_function(one, found) and one.logical in changed:
                judge(changed[one.logical], found)
    return found.result("functions", f"{len(facts.functions.value or ())} functions are ready.")


def _judge_function(one: FunctionSeen, found: Findings) -> bool:
    """Note what keeps a function from running; whether there is anything."""
    before = len(found.problems)
    if one.state == "gone":
        found.broken(
            f"Function {one.name} ({one.logical}) was deleted.",
            BACK_IN,
        )
    elif one.reserved == 0:
        found.broken(
            f"Function {one.name} has a reserved concurrency of 0: it is switched off.",
            f"aws lambda delete-function-concurrency --function-name {one.name}",
        )
    elif one.state not in {"Active", "Inactive"}:  # inactive: not used for weeks, and woken by the next call
        found.broken(f"Function {one.name} is {one.state}.", _DEPLOY)
    elif one.update == "Failed":
        found.broken(f"The last update of function {one.name} failed.", _DEPLOY)
    return len(found.problems) > before


_READS = frozenset({"Enabled", "Enabling", "Creating", "Updating"})


def readers(facts: Facts) -> Result:
    """Judge whether every queue that a function reads is being read, as the template says."""
    found, mappings = Findings(), parts(facts, "AWS::Lambda::EventSourceMapping")
    if found.needs(facts.parts):
        for part in mappings:
            if not found.needs(part.seen):
                continue
            seen = part.seen.value
            reads = f"{part.wanted.get('FunctionName')} does not read {_queue_of(part)}"
            if seen is None:
                found.broken(f"{reads}: its event source mapping ({part.logical}) was deleted.", BACK_IN)
            elif seen["State"] not in _READS:
                found.broken(
                    f"{reads}: its event source mapping is {seen['State']}.",
                    f"aws lambda update-event-source-mapping --uuid {part.name} --enabled",
                )
            else:
                judge(part, found)
    return found.result("queue-readers", f"{len(mappings)} queues are read.")


def _queue_of(part: PartSeen) -> str:
    return str(part.wanted.get("EventSourceArn")).rpartition(":")[2]


def queue_age(facts: Facts) -> Result:
    """Judge whether events wait longer than they should."""
    found = Findings()
    if found.needs(facts.queues):
        longest = int(facts.stack.parameters.get("DispatchQueueAgeSeconds") or _LONG)
        for one in facts.queues.value or ():
            if one.logical in DEAD or one.logical in _WAITS_ON_PURPOSE or not found.needs(one.age):
                continue
            bound = longest if one.logical == "DispatchQueue" else _WORK_QUEUE_AGE
            held = (one.waiting or 0) + one.in_work  # what fails again and again is in work at most times
            if one.waiting and one.age.value is None:
                found.unknown(
                    f"{_many(one)} in {one.logical}; CloudWatch has not reported their age yet.",
                    ("Run this again in 15 minutes."),
                )
            elif held and (one.age.value or 0) > bound:
                found.warn(
                    (f"{_many(one, held)} in {one.logical}, the oldest for {one.age.value:,.0f} s (limit: {bound} s)."),
                    (
                        "`jetway events` shows why events wait. If it shows nothing, see the log of the function "
                        "that reads the queue."
                    ),
                )
    return found.result("queue-age", "No event waits too long.")


def dead_letters(facts: Facts) -> Result:
    """Judge whether something was given up."""
    found = Findings()
    if found.needs(facts.queues):
        full = [one for one in facts.queues.value or () if one.logical in DEAD and one.waiting]
        for one in full:
            found.warn(
                f"{_many(one)} in {one.logical}.",
                ("`jetway redrive --dry-run` lists each with its reason. Fix the cause, then run `jetway redrive`.")
                if one.logical in {"DispatchDeadLetters", "CollectDeadLetters", "UndeliveredEvents"}
                else "See the log of the function that gave up. Fix the cause, then drop the file again.",
            )
    return found.result("dead-letters", "No dead letters.")


def _many(queue: QueueSeen, count: int | None = None) -> str:
    count = queue.waiting if count is None else count
    return f"{count} message{'s' if count != 1 else ''}"


def rules(facts: Facts) -> Result:
    """Judge whether the stack's own rules are there, enabled, fire on what they should, and send to the stack alone."""
    found, its = Findings(), parts(facts, "AWS::Events::Rule")
    if found.needs(facts.parts):
        kinds = ("AWS::SQS::Queue", "AWS::Lambda::Function")
        ours = {arn_of(one, facts.stack) for kind in kinds for one in facts.stack.of_kind(kind)}
        for part in its:
            if found.needs(part.seen):
                _judge_rule(part, ours, found)
    return found.result("rules", f"{len(its)} rules of the stack are enabled.")


def _judge_rule(part: PartSeen, ours: set[str], found: Findings) -> None:
    seen = part.seen.value
    if seen is None:
        judge(part, found)
        return
    targets = {str(one["Arn"]): str(one.get("Id")) for one in seen["Targets"]}
    if _is_off(part, seen["State"]):
        found.broken(f"{named(part)} is disabled.", f"aws events enable-rule --name {part.name}")
    elif not targets:
        found.broken(f"{named(part)} has no target.", put_back(part, ["Targets"]))
    elif not ours & targets.keys():
        found.broken(
            f"{named(part)} sends to {listed(sorted(targets))}, which is not part of the stack.",
            put_back(part, ["Targets"]),
        )
    else:
        judge(part, found)
        if strange := sorted(targets.keys() - ours):
            ids = " ".join(targets[arn] for arn in strange)
            found.warn(
                f"{named(part)} also sends to {listed(strange)}.",
                f"Unless this is intended: aws events remove-targets --rule {part.name} --ids {ids}",
            )


def _is_off(part: PartSeen, state: str) -> bool:
    """Whether something is disabled that the template has not disabled itself (ScalingMode=off)."""
    return state == "DISABLED" and part.wanted.get("State") != "DISABLED"


def schedules(facts: Facts) -> Result:
    """Judge whether the stack's own schedules are there, enabled, and as deployed."""
    found, its = Findings(), parts(facts, "AWS::Scheduler::Schedule")
    compare(facts, found, "AWS::Scheduler::ScheduleGroup")
    for part in its:
        if not found.needs(part.seen):
            continue
        seen = part.seen.value
        if seen is None and part.logical == "BuiltInSchedule":
            found.warn(
                f"Schedule {part.name} of ScheduleDagId was deleted.",
                "Deploy with ScheduleDagId empty, then again with the DAG.",
            )
        elif seen is not None and _is_off(part, seen["State"]):
            found.broken(f"{named(part)} is disabled.", f"Enable it: {put_back(part, [''])}")
        else:
            judge(part, found)
    return found.result("schedules", f"{len(its)} schedules of the stack are enabled.")


def triggers(facts: Facts) -> Result:
    """Judge whether AWS has the accepted triggers as their files say."""
    found = Findings()
    seen = facts.triggers.value
    if not found.needs(facts.triggers) or seen is None:
        return found.result("triggers", "")
    queue = facts.stack.outputs.get("TriggerSyncQueueUrl", "")
    for one in seen.drift:
        found.broken(
            f"{one.what[:1].upper()}{one.what[1:]} {one.how}.",
            (
                f"sync_triggers fixes this within a day. To fix it now: aws sqs send-message --queue-url {queue} "
                "--message-group-id sync --message-body now-$RANDOM"
            ),
        )
    if seen.rejected:
        found.warn(
            f"The newest version of {listed(seen.rejected)} was rejected.",
            "Its report (reports/<file>/report.md in the drop bucket) says why.",
        )
    return found.result("triggers", f"{seen.in_force} triggers match their files.")
