"""The checks: pure functions over facts. docs/doctor.md has each with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jetway_cli.doctor.checks import account, as_deployed, environment, features, parts, stack, storage, ways
from jetway_cli.doctor.results import Result

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts

# In the order in which they are shown: what explains others comes first.
CHECKS: Mapping[str, Callable[[Facts], Result]] = {
    "stack-state": stack.state,
    "stack-version": stack.version,
    "environment-status": environment.status,
    "airflow-version": environment.airflow_version,
    "environment-class": environment.environment_class,
    "environment-files": environment.files,
    "environment-network": environment.network,
    "bucket-versioning": storage.versioning,
    "bucket-encryption": storage.encryption,
    "key-policy": storage.keys,
    "bucket-events": storage.events,
    "bucket-policies": storage.policies,
    "bucket-settings": as_deployed.bucket_settings,
    "tables": as_deployed.tables,
    "roles": as_deployed.roles,
    "role-permissions": parts.permissions,
    "functions": parts.functions,
    "function-callers": as_deployed.function_callers,
    "queues": as_deployed.queues,
    "queue-readers": parts.readers,
    "queue-age": parts.queue_age,
    "dead-letters": parts.dead_letters,
    "rules": parts.rules,
    "schedules": parts.schedules,
    "triggers": parts.triggers,
    "alarms": account.alarms,
    "topics": as_deployed.topics,
    "subscriptions": account.subscriptions,
    "layers": ways.layers,
    "rest-round-trip": ways.rest,
    "cli-round-trip": ways.cli,
    "http-api": ways.http_api,
    "http-routes": as_deployed.http_routes,
    "logs": as_deployed.logs,
    "features": features.features,
    "rest-calls": account.rest_calls,
    "rule-quota": account.rule_quota,
    "concurrency": account.concurrency,
    "clock": account.clock,
    "leftovers": account.leftovers,
}
PROBE = "probe"  # beside them, and only with --probe


def judge(facts: Facts) -> list[Result]:
    """Run every check.

    A stack that never was whole is judged by its state alone: all else would follow from that.
    """
    if not facts.stack.was_whole:
        first = stack.state(facts)
        rest = [
            Result(name, "not known", f"The stack is {facts.stack.status}.", first.remedy) for name in list(CHECKS)[1:]
        ]
        return [first, *rest]
    return _each_cause_once([check(facts) for check in CHECKS.values()])


def _each_cause_once(results: list[Result]) -> list[Result]:
    """What several checks could not look at for the same reason is said by the first of them."""
    first: dict[str, str] = {}
    said = []
    for one in results:
        known = first.setdefault(one.seen, one.id) if one.state == "not known" else one.id
        also = known != one.id and not one.seen.startswith("Not checked")
        said.append(Result(one.id, one.state, f"Not checked: {known} says why.", one.remedy) if also else one)
    return said
