"""Modules that stand in for others: which there are and which names they have."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetway.loading.loader import packed
from jetway_loader import package_stubs
from jetway_loader.inventory import Inventory
from jetway_loader.source_lines import Sightings
from jetway_loader.stub_modules import STAR, UNKNOWN, Finder, lacking, may_be_anothers

CONTENTS = {
    "jw_ns.known": "Client connect _private __version__",
    "jw_ns.known.io": "read",
    "jw_ns.known.fast": None,
}


class Users(Sightings):
    """All code is users', and runs in line 7."""

    def importer(self) -> str | None:
        return "users.py"

    def is_users(self, _file: str) -> bool:
        return True

    def line(self) -> int | None:
        return 7


@pytest.fixture
def noted() -> Iterator[list[tuple[str, str, int | None]]]:
    """A finder in force, and what it notes."""
    notes: list[tuple[str, str, int | None]] = []
    users: Any = Users("users.py")
    open_ones = frozenset({"jw_ns.open"})
    finder = Finder(open_ones, Inventory(CONTENTS), lambda *note: notes.append(note), users, set())
    before = set(sys.modules)
    finder.install()
    yield notes
    sys.meta_path.remove(finder)
    package_stubs._watching.clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def run(text: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(text, names)
    return names


@pytest.mark.parametrize(
    "text",
    [
        "import jw_ns.known",
        "from jw_ns import known",
        "from jw_ns.known import Client, connect, _private, io",
        "import jw_ns.known; jw_ns.known.io.read()",
        "import jw_ns.known; jw_ns.known.fast.whatever",
        "from jw_ns.known.fast import whatever",
        "from jw_ns.open.below import anything",
        "from jw_ns.known import *; connect()",
        "from jw_ns.known import __version__; __version__.split('.')",
        "import jw_ns.open; assert jw_ns.open.__version__",
    ],
)
def test_what_is_there_can_be_imported(noted: list[object], text: str) -> None:
    run(text)
    assert noted


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("import jw_ns.other", ModuleNotFoundError, "jw_ns.other"),
        ("import jw_ns.known.gone", ModuleNotFoundError, "jw_ns.known.gone"),
        ("from jw_ns import thing", ImportError, "thing"),
        ("from jw_ns.known import Clientt", ImportError, "Clientt"),
        ("import jw_ns.known; jw_ns.known.nothing", AttributeError, "nothing"),
        ("from jw_ns.known.io import write", ImportError, "write"),
        ("from jw_ns.known.io import __version__", ImportError, "__version__"),
        ("import jw_other", ModuleNotFoundError, "jw_other"),
    ],
)
def test_what_is_not_there_cannot(noted: list[object], text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        run(text)


def test_who_uses_what_nobody_knows_is_told_of(noted: list[tuple[str, str, int | None]]) -> None:
    run("import jw_ns.known.io")
    assert {what for what, _, _ in noted} == {"package"}
    run("from jw_ns.open.below import *")
    assert noted[-1] == (STAR, "jw_ns.open.below", 7)
    assert (UNKNOWN, "jw_ns.open.below", 7) in noted


def test_a_star_brings_the_names_that_are_known(noted: list[object]) -> None:
    assert {"Client", "connect"} <= run("from jw_ns.known import *").keys()
    assert "_private" not in run("from jw_ns.known import *")


def test_what_is_here_is_asked_itself() -> None:
    assert lacking(frozenset({"json", "jw_missing", "json.jw_missing"})) == {"jw_missing", "json.jw_missing"}
    assert importlib.import_module("json")


def test_looking_for_a_module_imports_no_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("library", "plugins"):
        (tmp_path / place / "jw_tools" / "inner").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / place)
    (tmp_path / "library" / "jw_tools" / "inner" / "convert.py").touch()
    assert not lacking(frozenset({"jw_tools.inner.convert"}))
    assert not {name for name in sys.modules if name.startswith("jw_tools")}
    (tmp_path / "plugins" / "jw_tools.py").write_text("OWN = 1\n")
    importlib.invalidate_caches()
    assert importlib.import_module("jw_tools").OWN == 1
    del sys.modules["jw_tools"]


@pytest.mark.parametrize(
    ("module", "open_ended"),
    [
        ("pymongo", True),
        ("azure.identity", True),
        ("airflow.providers.nobody", True),
        ("airflow.sdk", False),
        ("airflow.models.gone", False),
        ("jw_ns.known.gone", False),
        ("json.gone", False),
        ("team.gone", False),
        ("helper.gone", False),
        ("acme.gone", False),
    ],
)
def test_a_module_may_be_anothers_unless_its_package_is_known(tmp_path: Path, module: str, open_ended: bool) -> None:
    dags, plugins = tmp_path / "dags", tmp_path / "plugins"
    (dags / "team").mkdir(parents=True)
    (dags / "helper.py").touch()
    (plugins / "acme").mkdir(parents=True)
    assert may_be_anothers(module, Inventory(CONTENTS), (dags, plugins)) is open_ended


def test_an_inventory_goes_packed() -> None:
    given = {"contents": {"a": "b", "c": None}, "decorators": {"d": "a.d"}, "changed": ["e.f"]}
    assert Inventory.parse(packed(given)) == Inventory.parse(given)
    found = Inventory.parse(given)
    assert [found.is_changed(name) for name in ("e.f", "e.f.g", "e", "e.fg")] == [True, True, False, False]
    assert Inventory.parse(None) == Inventory()
