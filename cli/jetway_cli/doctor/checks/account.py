"""Alarms and who hears them, quotas, clocks, and what is left of stacks that are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from jetway_cli.doctor.checks.as_deployed import compare
from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jetway_cli.doctor.facts import AlarmSeen, Facts

NEAR = 0.8  # of a quota
_NEEDED_AT_ONCE = 50  # 10 validate_artifact, their loads, 5 + 5 movers, dispatch, API calls
_FIRST_DATA = 120  # seconds from a deployment to the first that is measured
_WRONG, _REFUSED = 30.0, 240.0  # seconds; AWS refuses a signature of more than five minutes ago


def alarms(facts: Facts) -> Result:
    """Judge whether an alarm is raised."""
    found = Findings()
    if found.needs(facts.alarms):
        for one in facts.alarms.value or ():
            if one.state == "ALARM" and not _is_new(one, facts.now):
                found.warn(f"Alarm {one.name} is in ALARM.", one.description or "See docs/workers.md.")
        silent = [one.name for one in facts.alarms.value or () if not one.actions_enabled]
        if silent:
            found.warn(
                f"The actions of {listed(silent)} are disabled, so no one is notified.",
                f"aws cloudwatch enable-alarm-actions --alarm-names {silent[0]}",
            )
        compare(facts, found, "AWS::CloudWatch::Alarm")
    unfed = [one for one in facts.alarms.value or () if one.state == "INSUFFICIENT_DATA" or _is_new(one, facts.now)]
    more = f"; {len(unfed)} of them have no data yet" if unfed else ""
    return found.result("alarms", f"None of {len(facts.alarms.value or ())} alarms is in ALARM{more}.")


def _is_new(alarm: AlarmSeen, now: datetime) -> bool:
    """Whether an alarm that takes missing data for a fault is younger than what it looks at."""
    made = alarm.settings.get("AlarmConfigurationUpdatedTimestamp")
    if made is None or alarm.settings.get("TreatMissingData") != "breaching":
        return False
    period, count = int(alarm.settings.get("Period", 60)), int(alarm.settings.get("EvaluationPeriods", 1))
    return bool(now - made < timedelta(seconds=period * (count + 1) + _FIRST_DATA))


def subscriptions(facts: Facts) -> Result:
    """Judge whether somebody hears the alarms."""
    found = Findings()
    if found.needs(facts.subscriptions):
        seen = facts.subscriptions.value or ()
        for one in seen:
            if not one.confirmed:
                found.warn(
                    f"{one.protocol} {one.endpoint} has not confirmed its subscription to topic {one.topic}.",
                    (
                        "Follow the link in the email from AWS Notifications. To send it again, deploy with "
                        "another AlarmEmail, then with the right one."
                    ),
                )
        slack = facts.stack.parameters.get("SlackChannelId")
        if not slack and not any(one.topic == "alarms" for one in seen):
            found.warn(
                "The alarm topic has no subscriptions.",
                "Deploy with AlarmEmail=…, AlarmHttpsUrl=… or a Slack channel.",
            )
    return found.result("subscriptions", f"{len(facts.subscriptions.value or ())} subscriptions, all confirmed.")


def rule_quota(facts: Facts) -> Result:
    """Judge whether there is room for more rules."""
    found = Findings()
    given = int(facts.stack.parameters.get("MaxRulesPerBus") or 300)
    quota = facts.quotas.rules.value
    most = min(given, quota) if quota else given
    if found.needs(facts.triggers) and facts.triggers.value is not None:
        for bus, count in facts.triggers.value.rules.items():
            if count >= NEAR * most:
                found.warn(
                    f"Bus {bus} has {count} of {most} rules.",
                    (
                        "Request an increase of EventBridge's quota “Rules” and deploy with MaxRulesPerBus, or "
                        "use another bus."
                    ),
                )
        if quota is not None and given > quota:
            found.warn(
                f"MaxRulesPerBus is {given}, the account's quota {quota}.", f"Deploy with MaxRulesPerBus={quota}."
            )
    counts = facts.triggers.value.rules if facts.triggers.value else {}
    return found.result("rule-quota", f"At most {max(counts.values(), default=0)} of {most} rules on a bus.")


def concurrency(facts: Facts) -> Result:
    """Judge whether Lambda may run enough at once."""
    found = Findings()
    if found.needs(facts.quotas.concurrency, facts.quotas.peak):
        most, peak = facts.quotas.concurrency.value or 0, facts.quotas.peak.value or 0
        remedy = "Request an increase of Lambda's quota “Concurrent executions” (Service Quotas console)."
        if most < _NEEDED_AT_ONCE:
            found.warn(
                (f"The account can run {most} functions at the same time; Jetway alone can need {_NEEDED_AT_ONCE}."),
                remedy,
            )
        elif peak >= NEAR * most:
            found.warn(f"{peak:.0f} of {most} concurrent executions were in use in the last day.", remedy)
        return found.result("concurrency", f"At most {peak:.0f} of {most} concurrent executions in the last day.")
    return found.result("concurrency", "")


def rest_calls(facts: Facts) -> Result:
    """Judge whether calls of InvokeRestApi are being throttled."""
    found = Findings()
    if found.needs(facts.rest_throttled):
        count = facts.rest_throttled.value or 0
        budget = facts.stack.parameters.get("RestCallsPerSecond", "10")
        if count:
            found.warn(
                f"{count:.0f} calls of InvokeRestApi were throttled in the last hour (RestCallsPerSecond={budget}).",
                (
                    "The whole account shares this limit. Lower RestCallsPerSecond, or ask AWS Support to raise "
                    "the limit."
                ),
            )
        if facts.rest_throttled.value is None:
            return found.result("rest-calls", "In the last hour, no function called InvokeRestApi.")
    return found.result("rest-calls", "No call of InvokeRestApi was throttled in the last hour.")


def clock(facts: Facts) -> Result:
    """Judge this machine's clock: AWS refuses signatures of another time."""
    found = Findings()
    if found.needs(facts.skew):
        skew = facts.skew.value or 0.0
        said = f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS's clock."
        if abs(skew) > _REFUSED:
            found.broken(
                f"{said} AWS rejects requests that are more than 5 minutes off.", "Synchronize the clock with NTP."
            )
        elif abs(skew) > _WRONG:
            found.warn(said, "Synchronize the clock with NTP.")
    return found.result("clock", "This machine's clock agrees with AWS's clock.")


def leftovers(facts: Facts) -> Result:
    """Judge whether stacks that are gone have left something."""
    found = Findings()
    if found.needs(facts.leftovers):
        for stack, what in sorted((facts.leftovers.value or {}).items()):
            found.warn(
                f"Stack {stack} was deleted and left {listed(what)}.",
                _clean_up(stack, what),
            )
    return found.result("leftovers", "Deleted stacks left nothing.")


def _clean_up(stack: str, what: Sequence[str]) -> str:
    """What takes out the rest of a stack: what acts first."""
    silent = {
        "log group ": "logs delete-log-group --log-group-name",
        "schedule group ": "scheduler delete-schedule-group --name",
    }
    for kind, command in silent.items():
        if all(one.startswith(tuple(silent)) for one in what) and what[0].startswith(kind):
            return f"aws {command} {what[0].removeprefix(kind)}"
    return f"`jetway uninstall --stack {stack}` lists what the stack left; with --yes it deletes that."
