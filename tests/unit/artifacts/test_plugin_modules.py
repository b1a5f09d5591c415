"""DAG files may import what is at the root of the environment's plugins.zip, and of the one that comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.plugin_modules import root_modules
from jetway.loading.plugins import Plugins

from .buckets import LIVE, Buckets
from .judging import AIRFLOW_3
from .zips import zip_of

KEY = "plugins/all.zip"
FACTS = replace(AIRFLOW_3, source_bucket=LIVE, plugins_path=KEY)
FIRST = zip_of({"mine.py": b"", "acme/__init__.py": b"", "readme.txt": b"", "wheel-1-py3-none-any.whl": b""})
SECOND = zip_of({"acme/__init__.py": b"", "fresh.py": b""})


@pytest.fixture
def asked(world: Buckets) -> list[str]:
    """What was asked of S3."""
    found: list[str] = []
    world.s3.meta.events.register("before-call.s3", lambda model, **_: found.append(model.name))
    return found


def modules(world: Buckets, facts: EnvironmentFacts) -> set[str] | None:
    found = Plugins(world.s3).modules(facts)
    return None if found is None else set(found)


def put(world: Buckets, content: bytes, key: str = KEY) -> str:
    return world.s3.put_object(Bucket=LIVE, Key=key, Body=content)["VersionId"]


def test_the_version_in_force_and_the_one_to_come_count(world: Buckets) -> None:
    in_force = replace(FACTS, plugins_version=put(world, FIRST))
    assert modules(world, in_force) == {"mine", "acme"}
    put(world, SECOND)
    assert modules(world, in_force) == {"mine", "acme", "fresh"}
    assert modules(world, FACTS) == {"acme", "fresh"}


def test_an_environment_without_plugins_has_those_to_come(world: Buckets) -> None:
    none_yet = replace(FACTS, plugins_path=None)
    assert modules(world, none_yet) == set()
    put(world, SECOND, "plugins.zip")
    assert modules(world, none_yet) == {"acme", "fresh"}


def test_what_is_in_force_and_cannot_be_read_is_not_known(world: Buckets) -> None:
    assert modules(world, FACTS) is None
    put(world, b"no zip")
    assert modules(world, FACTS) is None


def test_a_version_is_read_once(world: Buckets, asked: list[str]) -> None:
    in_force = replace(FACTS, plugins_version=put(world, FIRST))
    put(world, SECOND)
    plugins = Plugins(world.s3)
    found = [plugins.modules(in_force) for _ in range(3)]
    assert found == [frozenset({"mine", "acme", "fresh"})] * 3
    reads = asked.count("GetObject")
    plugins.modules(in_force)
    assert asked.count("GetObject") == reads > 0


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        ([], set()),
        (["menu.py", "acme/__init__.py", "acme/views.py", "acme/data.json"], {"menu", "acme"}),
        (["deep/er/module.py"], {"deep"}),
        (["wheels/x-1-py3-none-any.whl", "constraints.txt", ".airflowignore"], set()),
        (["not-a-name.py", "two words/x.py", "1.py"], set()),
    ],
)
def test_modules_and_packages_at_the_root_are_found(names: list[str], modules: set[str]) -> None:
    assert root_modules(names) == modules
