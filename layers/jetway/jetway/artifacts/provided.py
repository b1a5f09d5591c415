"""Which modules the environment has beside those of a DAG file's own folder: of its packages and its requirements.txt.

Told by wheels where an index answered, else by a table; a distribution that neither knows is unlisted, and a module
that is missing may be its.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jetway.artifacts.mwaa import packages_of

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

_PROVIDERS = "apache-airflow-providers-"


def provided(
    environment: EnvironmentFacts,
    required: Iterable[str] = (),
    learned: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Return what the environment has, as jetway_loader takes it.

    Args:
        environment: for its Airflow version.
        required: normalized names of the distributions of its requirements.txt, and what they depend on.
        learned: name → modules, read from wheels.

    Returns:
        "modules": by their dotted names; "unlisted": distributions whose modules are not known.
    """
    packages = packages_of(environment.airflow_version)
    names = set(packages.installed if packages else ()) | set(required)
    modules: set[str] = set()
    unlisted: set[str] = set()
    for name in names:
        found = (learned or {}).get(name)
        if found is None:
            found = modules_of_distribution(name)
        if found is None:
            unlisted.add(name)
        else:
            modules.update(found)
    return {"modules": sorted(modules), "unlisted": sorted(unlisted)}


def modules_of_distribution(name: str) -> Sequence[str] | None:
    """Return the modules that a distribution brings, or None when that is not known.

    Args:
        name: normalized, as in PEP 503.
    """
    table = _table()
    known = table["known"].get(name)
    if known is None:
        known = table["seen"].get(name)
    if known is None and name.startswith(_PROVIDERS):
        known = ["airflow.providers." + name.removeprefix(_PROVIDERS).replace("-", ".")]
    if known is None and (name.startswith("types-") or name.endswith("-stubs")):
        return ()  # for type checkers: a DAG file imports nothing of them
    return known


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath("modules.json").read_text("utf-8"))
    return table
