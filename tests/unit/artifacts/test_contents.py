"""What wheels bring: modules, names and task decorators, read without running anything."""

from __future__ import annotations

import io
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.artifacts.archives.zip_reader import ZipReader
from jetway.artifacts.mwaa import packages_of
from jetway.artifacts.python.module_names import names_in
from jetway.artifacts.requirements.contents import (
    Contents,
    as_json_within,
    contents_of,
    decorators_in,
    known_contents,
    module_of,
)
from jetway.artifacts.requirements.provided import Required, provided, required_by
from jetway.artifacts.requirements.uv_resolve import Resolution
from layers import build_airflow
from tools.generate import module_contents
from tools.generate.airflow_lists import VERSIONS, wanted

from .judging import AIRFLOW_3
from .zips import zip_of

STATEMENTS = {
    "import os.path": {"os"},
    "import os.path as p, sys": {"p", "sys"},
    "from os import path as q, sep": {"q", "sep"},
    "def f(): inner = 1": {"f"},
    "class C:\n    inside = 1": {"C"},
    "a, (b, *c) = 1, (2, 3)": {"a", "b", "c"},
    "d: int = 1": {"d"},
    "e = (w := 1)": {"e", "w"},
    "for i in range(2):\n    j = i": {"i", "j"},
    "if False:\n    g = 1\nelse:\n    h = 1": {"g", "h"},
    "try:\n    import nothing_here\nexcept ImportError as exc:\n    k = 1\nelse:\n    l = 1\nfinally:\n    m = 1": {
        "k",
        "m",
    },
    "with open('/dev/null') as n:\n    o = 1": {"n", "o"},
    "while True:\n    r = 1\n    break": {"r"},
    "match [1, 2]:\n    case [s, *t]:\n        u = 1": {"s", "t", "u"},
    "def setting():\n    global made\n    made = 1\nsetting()": {"setting", "made"},
    "import logging\nlog = logging.getLogger(__name__)": {"logging", "log"},
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_every_name_that_running_binds_is_read(text: str) -> None:
    names = names_in(text.encode())
    assert names is not None
    assert names >= STATEMENTS[text]
    module = types.ModuleType("m")
    exec(text, module.__dict__)
    assert names >= {name for name in vars(module) if not name.startswith("__")}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(sorted(STATEMENTS)), min_size=1, max_size=6))
def test_names_of_statements_are_the_names_of_each(texts: list[str]) -> None:
    names = names_in("\n".join(texts).encode())
    assert names is not None
    assert names >= set().union(*(STATEMENTS[text] for text in texts))
    nested = "if x:\n" + "\n".join(f"    {line}" for text in texts for line in text.split("\n"))
    assert names_in(nested.encode()) == names


@pytest.mark.parametrize(
    "text",
    [
        "from os import *",
        "def __getattr__(name): ...",
        "globals()['x'] = 1",
        "import sys\nsys.modules[__name__] = object()",
        "import lazy\nlazy.attach(__name__, ['a'])",
        "exec('x = 1')",
        "def f():\n    vars()['x'] = 1",
        "def (",
        "\0",
    ],
)
def test_names_that_the_text_does_not_show_are_not_known(text: str) -> None:
    assert names_in(text.encode()) is None


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_no_bytes_crash_it(content: bytes) -> None:
    names_in(content)
    decorators_in(content, "f")


def test_parentheses_without_end_are_not_known() -> None:
    assert names_in(b"(" * 100_000) is None


PROVIDER = b"""
def get_provider_info():
    return {"name": "Acme", "task-decorators": [{"name": "acme", "class-name": "acme.decorators.acme_task"}]}
"""


def read(files: dict[str, bytes]) -> Contents:
    content = zip_of(files)
    return contents_of(ZipReader(io.BytesIO(content), len(content)))


def test_a_provider_tells_its_task_decorators() -> None:
    points = b"[console_scripts]\nx=y:z\n[apache_airflow_provider]\nprovider_info=acme.info:get_provider_info\n"
    files = {"acme/__init__.py": b"", "acme/info.py": PROVIDER, "acme-1.dist-info/entry_points.txt": points}
    assert read(files) == Contents(
        {"acme": "", "acme.info": "get_provider_info"}, {"acme": "acme.decorators.acme_task"}
    )
    assert read(files | {"acme-1.dist-info/entry_points.txt": b"nonsense"}).decorators == {}
    assert read({"acme-1.dist-info/entry_points.txt": points}).decorators == {}
    assert Contents.parse(read(files).as_json()) == read(files)


def test_a_namespace_is_nobodys() -> None:
    shared = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    found = read({"acme/__init__.py": shared, "acme/x.py": b"", "airflow/__init__.py": b"", "google/__init__.py": b""})
    assert found.modules == {"acme.x": ""}


@pytest.mark.parametrize(
    "text",
    [
        "def f(): return {'task-decorators': [{'name': 'a'}]}",
        "def f(): return open('x')",
        "def f(): return [1]",
        "def f(): return",
        "class f: ...",
    ],
)
def test_a_provider_that_tells_otherwise_tells_nothing(text: str) -> None:
    assert decorators_in(text.encode(), "f") == {}


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        ("a/_fast.cpython-312-x86_64-linux-gnu.so", "a._fast"),
        ("a-1.data/purelib/a/b.py", "a.b"),
        ("a-1.data/scripts/run.py", None),
        ("a-1.dist-info/x.py", None),
        ("a/not-a-module.py", None),
        ("__init__.py", None),
        ("a/table.csv", None),
    ],
)
def test_files_are_modules_by_their_names(path: str, module: str | None) -> None:
    assert module_of(path) == module


def test_what_the_data_has_is_what_providers_have() -> None:
    docker = known_contents("apache-airflow-providers-docker", "4.5.9")
    assert docker is not None
    assert docker.decorators == {"docker": "airflow.providers.docker.decorators.docker.docker_task"}
    assert "DockerOperator" in (docker.modules["airflow.providers.docker.operators.docker"] or "").split()
    assert docker.roots() == {"airflow.providers.docker"}
    assert known_contents("apache-airflow-providers-docker", "0.0.1") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_layer_has_no_room_for_is_in_the_data(version: str) -> None:
    packages = packages_of(version)
    assert packages is not None
    facts = AIRFLOW_3.__class__("acme", "AVAILABLE", version, "acme-airflow", "dags")
    contents = provided(facts)["inventory"]["contents"]
    left_out = [name for name in build_airflow.NO_ROOM.get(version, ()) if not name.endswith(".libs")]
    assert set(left_out) <= contents.keys()
    assert {name.partition("==")[0] for name in module_contents.wanted(version)} >= {"grpcio", "pycurl"}
    assert len(wanted({"installed": packages.installed, "constraints": packages.constraints})) == len(
        packages.installed
    )


def test_what_requirements_bring_without_an_answer_is_open() -> None:
    content = b"# -c none\napache-airflow-providers-mongo==5.4.0\nboto3\n"
    found = required_by(content, AIRFLOW_3, Resolution("not-resolved", "no index"), {})
    assert found.open == {"apache-airflow-providers-mongo"}, "what the image has, has what it needs"
    assert "what apache-airflow-providers-mongo needs" in provided(AIRFLOW_3, found)["unlisted"]
    assert Required.parse(found.as_json()) == found
    answer = Resolution("resolved", "", {"apache-airflow-providers-mongo": "5.4.0", "pymongo": "4.0", "boto3": "1"})
    found = required_by(content, AIRFLOW_3, answer, {"pymongo": Contents({"pymongo": None})})
    assert (found.open, "pymongo" in provided(AIRFLOW_3, found)["inventory"]["contents"]) == (frozenset(), True)
    assert provided(AIRFLOW_3, found)["inventory"]["changed"] == ["boto3"], "of another version than the image's"


def test_a_wheel_that_is_named_by_its_place_has_the_name_of_its_file() -> None:
    content = b"/usr/local/airflow/plugins/acme_models-1.0-py3-none-any.whl\n"
    found = required_by(content, AIRFLOW_3, None, {})
    assert found.open == {"acme-models"}
    assert "acme_models" in provided(AIRFLOW_3, found)["modules"]
    assert {"acme-models", "what acme-models needs"} <= set(provided(AIRFLOW_3, found)["unlisted"])


def test_contents_give_up_names_before_modules_and_the_largest_first() -> None:
    small, large = Contents({"a": "x"}), Contents({"b": "y" * 1000, "b.c": "z"}, {"d": "b.d"})
    contents = {"small": small, "large": large}
    assert as_json_within(contents, 10_000) == {"small": small.as_json(), "large": large.as_json()}
    less = as_json_within(contents, 200)
    assert less["small"] == small.as_json()
    assert less["large"] == {"modules": {"b": None, "b.c": None}, "decorators": {"d": "b.d"}}
    assert as_json_within(contents, 40).keys() == {"small"}
    assert as_json_within(contents, 1) == {}


def test_an_older_note_of_what_is_required_is_read() -> None:
    found = Required.parse({"required": ["mine"], "modules": {"mine": ["m"]}})
    assert (found.versions, found.contents) == ({"mine": None}, {"mine": Contents({"m": None})})
