"""Functions and their roles, queues, rules, schedules and triggers."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from jetway_cli.doctor.facts import Configured, Firing
from jetway_cli.doctor.needs import arn_of
from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts, FunctionSeen, QueueSeen

_DEPLOY = "Deploy the stack again; if nothing changes: sam deploy with another LogLevel, and back."
_AS_DEPLOYED = "Put the role's policies back as the template has them, or delete what was added"
# Queues that nothing of ours reads: what is in them waits for a person.
DEAD = frozenset(
    {"ArtifactDeadLetters", "DispatchDeadLetters", "CollectDeadLetters", "TriggerSyncDeadLetters", "UndeliveredEvents"}
)
# A message that is not read at once is no fault; these wait on purpose.
_WAITS_ON_PURPOSE = frozenset({"WaitingQueue"})
EVENTS = "events.amazonaws.com"
BACK_IN = "Take what is gone out of the stack and back in: deploy template.yaml without it, then with it."
_WORK_QUEUE_AGE = 3600
_LONG = 900


def permissions(facts: Facts) -> Result:
    """Judge whether each function's role may do what its function does."""
    found = Findings()
    for role in facts.roles:
        if role.gone:
            found.broken(
                f"Role {role.arn} ({role.logical}) was deleted.",
                "Deploy the stack again with another RolePath, which makes all roles anew.",
            )
        if not found.needs(role.decisions):
            continue
        denied = [one for one in role.decisions.value or () if one.decision != "allowed"]
        if denied:
            each = listed(f"{one.action} on {one.resource}" for one in denied)
            by = next((one.by for one in denied if one.by), "")
            if by:
                remedy = f"Ask whoever writes {by} to allow these actions."
            elif any(one.decision == "explicitDeny" for one in denied):
                remedy = f"{_AS_DEPLOYED}: a statement with Effect Deny names these actions."
            else:
                remedy = f"{_AS_DEPLOYED}; if they were never there, deploy the stack again."
            found.broken(f"{role.arn or role.logical} may not do {each}{f' ({by} denies it)' if by else ''}.", remedy)
    if not facts.roles:
        found.broken("The stack has no roles.", _DEPLOY)
    count = sum(len(role.decisions.value or ()) for role in facts.roles)
    return found.result(
        "role-permissions", f"{len(facts.roles)} roles may do all that they need ({count} decisions of IAM)."
    )


def functions(facts: Facts) -> Result:
    """Judge whether the functions are ready, and have the roles of the stack."""
    found = Findings()
    if found.needs(facts.functions):
        ours = {arn_of(one, facts.stack) for one in facts.stack.of_kind("AWS::IAM::Role")}
        wanted = facts.firing.value or {}
        for one in facts.functions.value or ():
            _judge_function(one, ours, found)
            if changed := _changed(one.configured, wanted.get(one.logical)):
                found.broken(
                    f"Function {one.name} was changed by hand: {listed(changed)} is not as the template says.",
                    "Put it back (aws lambda update-function-configuration); deploying the same template again changes "
                    "nothing of it.",
                )
    return found.result("functions", f"{len(facts.functions.value or ())} functions are ready.")


def _changed(seen: Configured | None, wanted: Firing | Configured | None) -> list[str]:
    """The settings of a function that are not as its template says: their names, no values."""
    if seen is None or not isinstance(wanted, Configured):
        return []
    changed = [name for name, value in wanted.variables.items() if seen.variables.get(name) != value]
    return [*(["Timeout"] if wanted.timeout not in {None, seen.timeout} else []), *sorted(changed)]


def _judge_function(one: FunctionSeen, ours: set[str], found: Findings) -> None:
    if one.state == "gone":
        found.broken(
            f"Function {one.name} ({one.logical}) was deleted.",
            BACK_IN,
        )
    elif one.reserved == 0:
        found.broken(
            f"Function {one.name} may run 0 times at once (reserved concurrency): it is switched off.",
            f"aws lambda delete-function-concurrency --function-name {one.name}",
        )
    elif one.state not in {"Active", "Inactive"}:  # inactive: not used for weeks, and woken by the next call
        found.broken(f"Function {one.name} is {one.state}.", _DEPLOY)
    elif one.update == "Failed":
        found.broken(f"The last update of function {one.name} failed.", _DEPLOY)
    elif one.role.rpartition("/")[2] not in {role.rpartition("/")[2] for role in ours}:
        found.broken(
            f"Function {one.name} has the role {one.role}, which is none of the stack's.", "Deploy the stack again."
        )


def readers(facts: Facts) -> Result:
    """Judge whether every queue that a function reads is being read."""
    found = Findings()
    if found.needs(facts.functions):
        for one in facts.functions.value or ():
            for queue, state in one.reads:
                if state not in {"Enabled", "Enabling", "Creating", "Updating"}:
                    found.broken(
                        f"{one.name} does not read {queue.rpartition(':')[2]}: its event source mapping is {state}.",
                        f"In function {one.logical}, Configuration, Triggers: enable the SQS trigger "
                        "(aws lambda update-event-source-mapping --enabled).",
                    )
    mappings = sum(len(one.reads) for one in facts.functions.value or ())
    if facts.functions.value is not None and mappings < len(facts.stack.of_kind("AWS::Lambda::EventSourceMapping")):
        found.broken("An event source mapping of the stack is gone: a queue is not read.", _DEPLOY)
    return found.result("queue-readers", f"{mappings} queues are being read.")


def queue_age(facts: Facts) -> Result:
    """Judge whether events wait longer than they should."""
    found = Findings()
    if found.needs(facts.queues):
        longest = int(facts.stack.parameters.get("DispatchQueueAgeSeconds") or _LONG)
        for one in facts.queues.value or ():
            if one.logical in DEAD or one.logical in _WAITS_ON_PURPOSE or not found.needs(one.age):
                continue
            bound = longest if one.logical == "DispatchQueue" else _WORK_QUEUE_AGE
            if one.waiting and one.age.value is None:
                found.unknown(
                    f"{_many(one)} in {one.logical}; CloudWatch has no age of them.", "Look again in 15 minutes."
                )
            elif one.waiting and (one.age.value or 0) > bound:
                found.warn(
                    f"{_many(one)} in {one.logical}, the oldest for {one.age.value:,.0f} s (bound: {bound} s).",
                    "`jetway events` says why what waits does; with nothing there, look at the log of the function "
                    "that reads the queue.",
                )
    return found.result("queue-age", "No event waits for long.")


def dead_letters(facts: Facts) -> Result:
    """Judge whether something was given up."""
    found = Findings()
    if found.needs(facts.queues):
        for one in facts.queues.value or ():
            if one.waiting is None:
                found.broken(
                    f"Queue {one.name} ({one.logical}) was deleted.",
                    BACK_IN,
                )
        full = [one for one in facts.queues.value or () if one.logical in DEAD and one.waiting]
        for one in full:
            found.warn(
                f"{_many(one)} in {one.logical}.",
                "`jetway redrive --dry-run` lists each with its reason; mend the reason, then `jetway redrive`."
                if one.logical in {"DispatchDeadLetters", "CollectDeadLetters", "UndeliveredEvents"}
                else "Look at the log of the function that gave them up; drop the file again once it is mended.",
            )
    return found.result("dead-letters", "No dead letters.")


def _many(queue: QueueSeen) -> str:
    return f"{queue.waiting} message{'s' if queue.waiting != 1 else ''}"


def rules(facts: Facts) -> Result:
    """Judge whether the stack's own rules are there, enabled, fire on what they should, and send to the stack."""
    found = Findings()
    found.needs(facts.queues, facts.firing)  # queues say whom they let in
    wanted = facts.firing.value or {}
    if found.needs(facts.rules):
        closed = {
            one.name
            for one in facts.queues.value or ()
            if one.waiting is not None and EVENTS not in {*one.senders, "*"}
        }
        kinds = ("AWS::SQS::Queue", "AWS::Lambda::Function")
        ours = {arn_of(one, facts.stack) for kind in kinds for one in facts.stack.of_kind(kind)}
        for one in facts.rules.value or ():
            if one.state is None:
                found.broken(
                    f"Rule {one.name} ({one.logical}) was deleted.",
                    BACK_IN,
                )
            elif one.state == "DISABLED":
                found.broken(
                    f"Rule {one.name} ({one.logical}) is disabled.", f"aws events enable-rule --name {one.name}"
                )
            elif isinstance(fires := wanted.get(one.logical), Firing) and one.fires != fires:
                found.broken(
                    f"Rule {one.name} ({one.logical}) was changed by hand: it does not fire on what the template says.",
                    _put_rule(one.name, fires),
                )
            elif not one.targets:
                found.broken(
                    f"Rule {one.name} ({one.logical}) has no target.",
                    "Put its target back as template.yaml has it, or deploy the stack again with a change of the rule.",
                )
            elif not ours.intersection(one.targets):
                found.broken(
                    f"Rule {one.name} ({one.logical}) sends to {listed(one.targets)}, and to nothing of the stack.",
                    "Put its target back as template.yaml has it, or deploy the stack again with a change of the rule.",
                )
            elif strange := [arn for arn in one.targets if arn not in ours]:
                found.warn(
                    f"Rule {one.name} ({one.logical}) sends to {listed(strange)}, too.",
                    f"aws events remove-targets --rule {one.name}, unless it is meant.",
                )
            elif deaf := [name for arn in one.targets if (name := arn.rpartition(":")[2]) in closed]:
                found.broken(
                    f"The policy of queue {listed(deaf)} does not let in EventBridge: what {one.name} sends is lost.",
                    "Put the queue's policy back as template.yaml has it.",
                )
    return found.result("rules", f"{len(facts.rules.value or ())} rules of the stack are enabled.")


def _put_rule(name: str, wanted: Firing) -> str:
    """The command that has a rule fire on what it should."""
    option, value = ("schedule-expression", wanted.schedule)
    if wanted.pattern:
        option, value = ("event-pattern", json.dumps(wanted.pattern))
    return f"aws events put-rule --name {name} --{option} {shlex.quote(value)}"


def schedules(facts: Facts) -> Result:
    """Judge whether the stack's own schedules are there and enabled."""
    found = Findings()
    if found.needs(facts.schedules):
        for one in facts.schedules.value or ():
            if one.state is None and one.logical != "BuiltInSchedule":  # at(…) is deleted by nobody, but may be over
                found.broken(
                    f"Schedule {one.name} ({one.logical}) was deleted.",
                    BACK_IN,
                )
            elif one.state is None:
                found.warn(
                    f"Schedule {one.name} of ScheduleDagId was deleted.",
                    "Deploy with ScheduleDagId empty, and again with the DAG.",
                )
            elif one.state == "DISABLED":
                found.broken(
                    f"Schedule {one.name} ({one.logical}) is disabled.",
                    "Enable it in the EventBridge Scheduler console.",
                )
    return found.result("schedules", f"{len(facts.schedules.value or ())} schedules of the stack are enabled.")


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
            f"sync_triggers puts it right within a day; at once: aws sqs send-message --queue-url {queue} "
            "--message-group-id sync --message-body now-$RANDOM",
        )
    if seen.rejected:
        found.warn(
            f"The newest version of {listed(seen.rejected)} was rejected.",
            "Its report (reports/<file>/report.md in the drop bucket) says why.",
        )
    return found.result("triggers", f"{seen.in_force} triggers are in force as their files say.")
