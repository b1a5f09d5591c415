"""What the templates say in comments and descriptions: whatever it names is there, and the words are plain."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from jetway_cli.app import cli
from tests.unit.sample_events import ROOT
from tests.unit.template.source import Loader

FILES = ("template.yaml", "environment.yaml", "dashboard.yaml")
# Files and folders that users have, in their buckets.
USERS = {
    *("access.yaml", "alarms.yaml", "floors.yaml", "plugins.zip", "requirements.txt", "startup.sh"),
    *("dags", "data", "triggers", "accepted", "batches", "bundles", "quarantine", "reports"),
}
# Words with an underscore that are neither a function of Jetway nor anything else of the repository.
NAMED_BY_OTHERS = {
    *("dag_id", "client_id", "jetway_loader"),
    # Airflow's and MWAA's
    *("requirements_install", "startup_script"),
}
FOREIGN = re.compile(
    r"\b(?:whoever|somebody|anew|(?:a)?mend(?:s|ed)?|beside|meanwhile|at the most|in the name of|knows? no"
    r"|(?:it|that|this|which) is no|so (?:many|long) (?:as|at)|is told)\b",
    re.IGNORECASE,
)


def comments(file: str) -> Iterator[tuple[int, str]]:
    """Each comment with its line."""
    for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), 1):
        found = re.search(r"(?:^|\s)# (?!=|-)(.*)$", line)
        if found:
            yield number, found[1]


def descriptions(file: str) -> Iterator[tuple[str, str]]:
    """Each text for readers, and where it stands."""
    if file == "dashboard.yaml":
        return
    yield from below(yaml.load((ROOT / file).read_text(encoding="utf-8"), Loader), "")


def below(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for item in node:
            yield from below(item, path)
    elif isinstance(node, dict):
        for key, value in node.items():
            if str(key).endswith("Description"):
                yield f"{path}.{key}", value if isinstance(value, str) else str(next(iter(value.values())))
            else:
                yield from below(value, f"{path}.{key}")


def texts(file: str) -> list[tuple[str, str]]:
    return [*((f"line {number}", text) for number, text in comments(file)), *descriptions(file)]


@cache
def names_of_files() -> frozenset[str]:
    skipped = {".git", ".venv", ".jetway", ".aws-sam", "build", "node_modules", "__pycache__"}
    found = set[str]()
    waiting = [ROOT]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.is_dir() and path.name not in skipped:
                waiting.append(path)
            found.add(path.name)
    return frozenset(found)


def is_there(name: str) -> bool:
    """Whether there is such a file or folder: by its path, or by its name alone."""
    first = name.partition("/")[0]
    if name in USERS or first in USERS:
        return True
    if "/" not in name:
        return name in names_of_files()
    return bool(list(ROOT.glob(name.rstrip("/"))))


def files_named(text: str) -> list[str]:
    """Files and folders that a text names; no addresses, no ARNs, no log groups."""
    text = re.sub(r"https?://\S+", "", text)
    ends = r"(?:md|py|yaml|toml|json|txt|zip|sh)"
    in_folders = re.findall(r"(?<![\w/.:<>{}-])[a-z][\w.-]*/[\w./*<>-]*", text)
    alone = re.findall(rf"(?<![\w/.*-])[a-z][\w-]*\.{ends}\b(?![/\w])", text)
    tops = {path.name for path in ROOT.iterdir()}
    return [name.rstrip(".") for name in (*in_folders, *alone) if "/" not in name or name.split("/")[0] in tops]


@pytest.mark.parametrize("file", FILES)
def test_files_that_a_template_names_are_there(file: str) -> None:
    named = [(where, name) for where, text in texts(file) for name in files_named(text)]
    assert [found for found in named if not is_there(found[1])] == []
    assert file == "dashboard.yaml" or len(named) >= 5


def test_a_file_that_is_not_there_is_found() -> None:
    text = (
        "See docs/networking.md, jetway.md, tests/unit/test_gone.py and docs/security.md (https://a.b/c.md, data/x.md)."
    )
    assert [name for name in files_named(text) if not is_there(name)] == [
        "docs/networking.md",
        "tests/unit/test_gone.py",
        "jetway.md",
    ]


@pytest.mark.parametrize("file", FILES)
def test_modules_that_a_template_names_are_there(file: str) -> None:
    named = [
        name
        for _, text in texts(file)
        for name in re.findall(r"\bjetway(?:_\w+)?(?:\.\w+)+", text)
        if name[-3:] != ".md"
    ]
    unknown = []
    for name in named:
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            unknown.append(name)
    assert unknown == []
    assert file != "template.yaml" or len(named) >= 5


@pytest.mark.parametrize("file", FILES)
def test_functions_and_commands_that_a_template_names_are_there(file: str) -> None:
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for where, text in texts(file):
        plain = re.sub(r"https?://\S+|\$\{[^}]*\}|<[^>]*>|\{[^}]*\}|[\w.]+\.\w+", "", text)
        for word in re.findall(r"(?<![\w/.-])[a-z]+(?:_[a-z]+)+\b", plain):
            assert word in functions | NAMED_BY_OTHERS, (where, word)
        for command in re.findall(r"(?:`|\bRun )jetway ([a-z]+)", text):
            assert command in cli.commands, (where, command)
        for target in re.findall(r"(?:`|^|[.] )make ([a-z-]+)", text):
            assert target in targets, (where, target)


@pytest.mark.parametrize("file", FILES)
def test_the_words_are_those_that_a_reader_knows(file: str) -> None:
    """A technical writer's: active, present, one idea a sentence."""
    found = [(where, words[0]) for where, text in texts(file) if (words := FOREIGN.search(text))]
    assert found == []


def test_paths_are_read_as_they_are_written() -> None:
    assert files_named("`docs/api.md`; triggers/*.yaml in a bucket, /jetway/ of a log group, s3://a/b.json") == [
        "docs/api.md",
        "triggers/*.yaml",
    ]
