"""What a feature needs of Airflow, against what the stack has: the REST API, a version, a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import Facts


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that not every stack can have.

    Attributes:
        name: as people know it.
        parameter: of the stack, which is `enabled` where the feature is on; None where files alone ask for it, and
            are refused with the reason.
        since: the first version of Airflow that has what it needs over REST.
        roles: of Airflow, any of which is enough.
    """

    name: str
    parameter: str | None
    since: tuple[int, ...]
    roles: frozenset[str]


_READERS = frozenset({"User", "Op", "Admin"})
FEATURES = (
    Feature("ends and alarms of all DAGs' runs", "FollowAllRuns", (2, 4, 3), _READERS),
    Feature("data_interval in trigger files", None, (2, 9), _READERS),
)


def features(facts: Facts) -> Result:
    """Judge whether each feature that is on has what it needs."""
    found, parameters = Findings(), facts.stack.parameters
    has = [feature for feature in FEATURES if _lacks(feature, facts) is None]
    for feature in FEATURES:
        lacks = _lacks(feature, facts)
        by_choice = parameters.get("Transport") == "cli"  # and the parameter's default is "enabled"
        if lacks and not by_choice and feature.parameter and parameters.get(feature.parameter) == "enabled":
            found.warn(
                f"{feature.parameter}=enabled does nothing ({feature.name}): {lacks}.",
                f"Deploy with Transport=auto and AirflowRole=User, or with {feature.parameter}=disabled.",
            )
    names = listed(feature.name for feature in has) if has else "none"
    return found.result("features", f"Available features that need Airflow's REST API: {names}.")


def _lacks(feature: Feature, facts: Facts) -> str | None:
    """Return what the stack lacks for a feature; None when it is there, as far as that can be seen."""
    parameters, seen = facts.stack.parameters, facts.environment.value
    transport, role = parameters.get("Transport", "auto"), parameters.get("AirflowRole", "User")
    if transport == "cli":
        return "it needs Airflow's REST API, and Transport=cli only has commands"
    if seen is not None and seen.facts.version < feature.since:
        since = ".".join(map(str, feature.since))
        return f"it needs Airflow {since} or later, and the environment has {seen.facts.airflow_version}"
    if role not in feature.roles:
        return f"it needs the Airflow role {', '.join(sorted(feature.roles))}, and AirflowRole is {role}"
    return None
