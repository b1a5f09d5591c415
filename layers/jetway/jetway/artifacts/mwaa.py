"""What an Airflow version on MWAA ships: its Python, its platform, and the packages that it installs and pins.

The data is read from the images that MWAA runs (https://github.com/aws/amazon-mwaa-docker-images) by
`make mwaa-packages`, one file for each version, loaded when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from packaging.tags import Tag, compatible_tags, cpython_tags

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

# Amazon Linux 2023 on x86-64, from the image's Dockerfile; AL2023 has glibc 2.34.
# https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html
ARCHITECTURE = "x86_64"
GLIBC = (2, 34)

# Where MWAA unpacks plugins.zip and copies the DAGs to.
PLUGINS_FOLDER = "/usr/local/airflow/plugins"
DAGS_FOLDER = "/usr/local/airflow/dags"

# manylinux1, 2010 and 2014 are older names. https://peps.python.org/pep-0600/#legacy-manylinux-tags
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC = 5


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages of one Airflow version on MWAA. Names are normalized as in PEP 503.

    Attributes:
        airflow: the Airflow version.
        python: the full version of its Python, for example "3.12.13".
        essential: pins that no requirements.txt can override.
        constraints: Airflow's own constraints, which MWAA enforces when requirements.txt brings none.
        installed: what is there before requirements.txt is installed.
    """

    airflow: str
    python: str
    essential: Mapping[str, str]
    constraints: Mapping[str, str]
    installed: Mapping[str, str]


@cache
def packages_of(airflow_version: str) -> Packages | None:
    """Return what a version ships, or None for a version that is not known here."""
    if airflow_version not in known_versions():
        return None
    text = resources.files(__package__).joinpath("mwaa_packages", f"{airflow_version}.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return Packages(**document)


def full_python(environment: EnvironmentFacts) -> str:
    """Return the full version of an environment's Python, as far as it is known."""
    packages = packages_of(environment.airflow_version)
    return packages.python if packages else ".".join(map(str, (*environment.python_version, 0)))


@cache
def known_versions() -> tuple[str, ...]:
    """The Airflow versions on MWAA that are known here, oldest first."""
    folder = resources.files(__package__).joinpath("mwaa_packages")
    names = (file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    return tuple(sorted(names, key=lambda name: [int(part) for part in name.split(".")]))


def wheel_tags(python: tuple[int, int]) -> frozenset[Tag]:
    """Return the tags of the wheels that pip installs in the environment.

    Args:
        python: version of the environment's Python.
    """
    return _wheel_tags(python)


@cache
def _wheel_tags(python: tuple[int, int]) -> frozenset[Tag]:
    platforms = list(_platforms())
    interpreter = f"cp{python[0]}{python[1]}"
    return frozenset(
        [
            # The ABI is named: packaging would take that of the interpreter that runs this.
            *cpython_tags(python, abis=[interpreter], platforms=platforms),
            *compatible_tags(python, interpreter, platforms=platforms),
        ]
    )


def _platforms() -> Iterator[str]:
    for minor in range(GLIBC[1], _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{ARCHITECTURE}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{ARCHITECTURE}"
    yield f"linux_{ARCHITECTURE}"


def marker_environment(python: str) -> dict[str, str]:
    """Return the values of PEP 508's markers in the environment.

    Args:
        python: its full version.
    """
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": ARCHITECTURE,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
        "extra": "",
    }
