"""Which modules the environment has beside those of a DAG file's own folder: of its packages and its requirements.txt.

Told by wheels where an index answered, else by tables: contents.json knows the modules and names of some versions,
modules.json the modules that a distribution has at its top. A distribution that none knows is unlisted, and a module
that is missing may be its.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import canonicalize_name

from jetway.artifacts.mwaa import packages_of
from jetway.artifacts.requirements.contents import Contents, known_contents
from jetway.artifacts.requirements.requirement_constraints import in_force
from jetway.artifacts.requirements.requirement_lines import UnreadableError
from jetway.artifacts.requirements.requirement_resolution import names_of
from jetway.artifacts.requirements.requirements_file import parse_for

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway.artifacts.requirements.uv_resolve import Resolution

_PROVIDERS = "apache-airflow-providers-"


@dataclass(frozen=True, slots=True)
class Required:
    """What a requirements.txt brings.

    Attributes:
        versions: normalized names of the distributions that it names, and of what they depend on → version, or None
            where that is not known.
        contents: of those whose wheels were read.
        open: names whose dependencies are not known, because the file could not be resolved.
    """

    versions: Mapping[str, str | None] = field(default_factory=dict)
    contents: Mapping[str, Contents] = field(default_factory=dict)
    open: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read what `as_json` has written, in this or an older form, which knew no versions.

        Raises:
            KeyError, TypeError, ValueError: not of its shape.
        """
        contents = {name: Contents.parse(found) for name, found in value.get("contents", {}).items()}
        contents |= {name: Contents(dict.fromkeys(found)) for name, found in value.get("modules", {}).items()}
        return cls(
            dict(value["versions"]) if "versions" in value else dict.fromkeys(value["required"]),
            contents,
            frozenset(value.get("open", ())),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        contents = {name: found.as_json() for name, found in self.contents.items()}
        return {"versions": dict(self.versions), "contents": contents, "open": sorted(self.open)}


def required_by(
    content: bytes,
    environment: EnvironmentFacts,
    answer: Resolution | None,
    contents: Mapping[str, Contents],
    beside: Beside | None = None,
) -> Required:
    """Return what a requirements.txt brings.

    Args:
        content: the file; one that cannot be read brings nothing.
        environment: for its Airflow version.
        answer: of uv; None when it was not asked.
        contents: what the wheels told that it chose.
        beside: reads the files that it names with -r and -c.
    """
    try:
        asked, active, packages = parse_for(content, environment, beside)
    except UnreadableError:
        return Required()
    installed = packages.installed if packages else {}
    pins = in_force(asked, packages) if packages else {}
    versions: dict[str, str | None] = {}
    for wanted in active:
        name = wanted.name or _name_at(wanted.place)  # of a bare URL or path: its modules are not known
        versions[name] = wanted.version or pins.get(name)
    if answer is not None and answer.status == "resolved":
        named = {name for name in versions if name not in names_of(answer)}  # by a URL or a path: not resolved
        versions |= names_of(answer)
    else:
        named = set(versions)
    open_ones = {name for name in named if installed.get(name) is None or versions[name] not in {None, installed[name]}}
    open_ones |= set(answer.built if answer else ())
    open_ones |= {path for _, path in asked.nested}  # files of requirements that were not read
    return Required(versions, contents, frozenset(open_ones))


def _name_at(place: str) -> str:
    """The name of a distribution, as a wheel's file tells it; else the place itself."""
    file = place.rpartition("/")[2]
    return canonicalize_name(file.partition("-")[0] if file.endswith(".whl") else place)


def provided(environment: EnvironmentFacts, required: Required = Required()) -> dict[str, Any]:
    """Return what the environment has, as jetway_loader takes it.

    Args:
        environment: for its Airflow version.
        required: what its requirements.txt brings.

    Returns:
        "modules": by their dotted names, and all below them, of distributions of which no more is known; "unlisted":
        distributions whose modules are not known, but for a guess among the former; "inventory": what is known of
        others, as `jetway_loader.inventory` takes it.
    """
    packages = packages_of(environment.airflow_version)
    installed = packages.installed if packages else {}
    modules: set[str] = set()
    unlisted = {f"what {name} needs" for name in required.open}
    contents: dict[str, str | None] = {}
    decorators: dict[str, str] = {}
    changed: set[str] = set()
    for name in {*installed, *required.versions}:
        version = required.versions.get(name) or installed.get(name)
        found = known_contents(name, version) or required.contents.get(name)
        below = found.roots() if found is not None else modules_of_distribution(name)
        if found is not None:
            contents |= found.modules
            decorators |= found.decorators
        elif below is None:
            unlisted.add(name)
            modules.update(_likely(name))
        else:
            modules.update(below)
        if name in installed and version != installed[name]:
            changed.update(below or ())
    inventory = {"contents": contents, "decorators": decorators, "changed": sorted(changed)}
    return {"modules": sorted(modules), "unlisted": sorted(unlisted), "inventory": inventory}


def _likely(name: str) -> set[str]:
    """The module that a distribution most likely brings: what comes after its import is judged, too."""
    module = name.replace("-", "_")
    return {module} if module.isidentifier() else set()


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
