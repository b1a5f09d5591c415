"""DAG files may import what is at the root of the environment's plugins.zip, and of the one that comes next."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.plugins.plugin_modules import LARGEST_DATA_FILE, MOST_BYTES, PackedPlugins, pack, root_modules
from jetway.loading.plugins import Plugins
from jetway.promotion.copy import SOURCE_VERSION

from .buckets import DROP, LIVE, Buckets
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


def plugins_of(world: Buckets) -> Plugins:
    return Plugins(world.s3, DROP, now=lambda: datetime.now(UTC))


def modules(world: Buckets, facts: EnvironmentFacts) -> list[set[str]]:
    """What is to come, and what is there until then."""
    return [set(packed.modules) for packed in plugins_of(world).of(facts)]


def put(world: Buckets, content: bytes, key: str = KEY, bucket: str = LIVE, **metadata: str) -> str:
    return world.s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata)["VersionId"]


def test_what_the_environment_will_have_comes_before_what_it_has(world: Buckets) -> None:
    in_force = replace(FACTS, plugins_version=put(world, FIRST))
    assert modules(world, in_force) == [{"mine", "acme"}]
    put(world, SECOND)
    assert modules(world, in_force) == [{"acme", "fresh"}, {"mine", "acme"}]
    assert modules(world, FACTS) == [{"acme", "fresh"}]


def test_what_is_being_dropped_comes_first_until_it_is_judged_or_live(world: Buckets) -> None:
    put(world, FIRST)
    dropped = put(world, SECOND, "plugins.zip", DROP)
    assert modules(world, FACTS) == [{"acme", "fresh"}, {"mine", "acme"}]
    later = Plugins(world.s3, DROP, now=lambda: datetime.now(UTC) + timedelta(minutes=15))
    assert [set(packed.modules) for packed in later.of(FACTS)] == [{"mine", "acme"}]
    put(world, SECOND, **{SOURCE_VERSION: dropped})
    assert modules(world, FACTS) == [{"acme", "fresh"}], "it is live and not reported yet"


def test_an_environment_without_plugins_has_those_to_come(world: Buckets) -> None:
    none_yet = replace(FACTS, plugins_path=None)
    assert modules(world, none_yet) == [set()]
    put(world, SECOND, "plugins.zip")
    assert modules(world, none_yet) == [{"acme", "fresh"}]


def test_what_is_in_force_and_cannot_be_read_is_not_known(world: Buckets) -> None:
    assert [packed.readable for packed in plugins_of(world).of(FACTS)] == [False]
    put(world, b"no zip")
    assert [packed.readable for packed in plugins_of(world).of(FACTS)] == [False]
    gone = replace(FACTS, plugins_version="no-such-version")
    assert [packed.readable for packed in plugins_of(world).of(gone)] == [False, False]


def test_a_version_is_read_once(world: Buckets, asked: list[str]) -> None:
    in_force = replace(FACTS, plugins_version=put(world, FIRST))
    put(world, SECOND)
    plugins = plugins_of(world)
    first = plugins.of(in_force)
    reads = asked.count("GetObject")
    assert plugins.of(in_force) == first
    assert asked.count("GetObject") == reads > 0


def packed(files: dict[str, bytes]) -> PackedPlugins:
    content = zip_of(files)
    return pack(io.BytesIO(content), len(content))


def names(found: PackedPlugins) -> list[str]:
    assert found.content is not None
    with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
        return sorted(archive.namelist())


def test_modules_and_small_files_are_handed_over_and_wheels_are_not() -> None:
    found = packed(
        {
            "acme/__init__.py": b"X = 1",
            "acme/query.sql": b"select 1",
            "acme/large.bin": bytes(LARGEST_DATA_FILE + 1),
            "wheels/a-1-py3-none-any.whl": b"",
            ".airflowignore": b"",
            "folder/": b"",
            "../outside.py": b"",
        }
    )
    assert names(found) == [".airflowignore", "acme/__init__.py", "acme/query.sql"]
    assert (set(found.modules), found.readable) == ({"acme"}, True)


def test_modules_that_are_too_large_are_only_known_by_name() -> None:
    found = packed({"acme/__init__.py": b"#" * (MOST_BYTES + 1), "mine.py": b""})
    assert (found.content, set(found.modules), found.readable) == (None, {"acme", "mine"}, True)


def test_data_is_left_out_before_modules() -> None:
    data = {f"data/{number}.json": bytes(LARGEST_DATA_FILE - number) for number in range(40)}
    found = packed({"acme.py": b"#" * (MOST_BYTES - 2 * LARGEST_DATA_FILE)} | data)
    assert names(found) == ["acme.py", "data/38.json", "data/39.json"], "the smallest first, as far as there is room"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("fast.so", {"fast"}),
        ("acme/_speed.abi3.so", {"acme._speed"}),
        ("acme/_speed.cpython-312-x86_64-linux-gnu.so", {"acme._speed"}),
        ("not-a-name/_speed.so", set()),
        ("libarrow.so.1", set()),
    ],
)
def test_compiled_modules_are_named(name: str, module: set[str]) -> None:
    assert packed({name: b""}).binaries == module


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        ([], set()),
        (["menu.py", "acme/__init__.py", "acme/views.py", "acme/data.json"], {"menu", "acme"}),
        (["deep/er/module.py"], {"deep"}),
        (["fast.cpython-312-x86_64-linux-gnu.so", "old.pyc"], {"fast", "old"}),
        (["wheels/x-1-py3-none-any.whl", "constraints.txt", ".airflowignore"], set()),
        (["not-a-name.py", "two words/x.py", "1.py"], set()),
    ],
)
def test_modules_and_packages_at_the_root_are_found(names: list[str], modules: set[str]) -> None:
    assert root_modules(names) == modules
