"""The examples before they run: all pass the gate of the environment that they are for, and belong together."""

from __future__ import annotations

import ast
import re
import zipfile
from pathlib import Path

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Candidate, Judgement
from jetway.triggers.file import parse
from jetway.triggers.resources import Targets, resources_of
from jetway_cli.check_kinds import kind_of
from tests.unit.sample_events import ROOT
from tools.examples import DAGS, EXAMPLES, TRIGGERS, find
from tools.examples.fixture import BUCKET, ExampleError
from tools.examples.sources import SAMPLES
from tools.generate import plugins_zip

VERSIONS = ("3.3.1", "2.11.2")
FILES = sorted(DAGS.glob("*.py"))
TRIGGER_FILES = sorted(TRIGGERS.glob("*.yaml"))
# What a DAG file may import when it is read: all else waits for the task that needs it.
AT_ONCE = {"__future__", "airflow", "collections", "dagfactory", "datetime", "jetway_airflow", "typing"}


def judge(key: str, content: bytes, version: str) -> Judgement:
    environment = EnvironmentFacts("acme", "AVAILABLE", version, "acme-airflow", "dags")
    return kind_of(key).check(Candidate(key, len(content), content), environment, 1024 * 1024)


def errors(judged: Judgement) -> list[str]:
    return [f"{found.line} {found.rule}: {found.message}" for found in judged.findings if found.severity == "error"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_file_passes_the_gate(path: Path, version: str) -> None:
    judged = judge(f"dags/{path.name}", path.read_bytes(), version)
    assert (errors(judged), judged.verdict) == ([], "accepted")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_file_imports_little_at_once_and_says_what_it_needs(path: Path) -> None:
    tree = ast.parse(path.read_text())
    found = {
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) else name.name.partition(".")[0]
        for body in (tree.body, *(node.body + node.handlers[0].body for node in tree.body if isinstance(node, ast.Try)))
        for node in body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert found <= AT_ONCE
    assert re.search(r"Runs on Airflow 2 and 3|Airflow 2 and 3", ast.get_docstring(tree) or "")


@pytest.mark.parametrize("path", TRIGGER_FILES, ids=lambda path: path.stem)
def test_a_trigger_file_is_valid_and_starts_a_dag_of_an_example(path: Path) -> None:
    parsed = parse(path.read_bytes(), f"triggers/{path.name}")
    assert parsed.judgement.findings == ()
    assert parsed.trigger is not None
    assert resources_of(parsed.trigger, Targets("jetway", "d", "c", "u", "r", "g")).findings == ()
    owner = next(example for example in EXAMPLES.values() if path.stem in example.triggers)
    assert parsed.trigger.dag in (owner.dag_ids or owner.files or (owner.name,))
    assert BUCKET in path.read_text() or "http:" in path.read_text()


def test_every_example_is_whole() -> None:
    triggers = {name for example in EXAMPLES.values() for name in example.triggers}
    assert triggers == {path.stem for path in TRIGGER_FILES}
    page = (ROOT / "docs" / "examples.md").read_text()
    for example in EXAMPLES.values():
        assert all((DAGS / f"{name}.py").exists() for name in example.files or (example.name,))
        assert f"`{example.name}`" in page
    assert {folder.name for folder in SAMPLES.iterdir() if folder.is_dir()} == set(EXAMPLES)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_packages_of_the_examples_pass_the_gate_as_requirements_txt(version: str) -> None:
    text = (ROOT / "requirements" / f"examples-{version}.txt").read_bytes()
    assert errors(judge("requirements.txt", text, version)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_plugins_pass_the_gate_and_make_the_same_archive_each_time(tmp_path: Path, version: str) -> None:
    first = plugins_zip.build(target=tmp_path / "a" / "plugins.zip").read_bytes()
    assert plugins_zip.build(target=tmp_path / "b" / "plugins.zip").read_bytes() == first
    judged = judge("plugins.zip", first, version)
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert [plugin.name for plugin in judged.plugins] == ["jetway"]
    with zipfile.ZipFile(tmp_path / "a" / "plugins.zip") as archive:
        names = archive.namelist()
    assert "jetway_plugin.py" in names  # at the root: MWAA unpacks it as it is
    assert ".airflowignore" in names  # else Airflow would load each module of the package under its bare name
    assert not [name for name in names if "__pycache__" in name]


def test_an_unknown_example_is_told_with_all_names() -> None:
    with pytest.raises(ExampleError, match="Did you mean ml_pipeline") as refused:
        find("ml_pipe")
    assert all(name in str(refused.value) for name in EXAMPLES)
