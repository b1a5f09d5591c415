"""The files shown in docs/triggers.md are those in triggers/, and they are valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jetway.triggers.checks import FACTS
from jetway.triggers.file import parse
from jetway.triggers.resources import Targets, resources_of

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = sorted((ROOT / "triggers").glob("*.yaml"))
GUIDE = (ROOT / "docs" / "triggers.md").read_text(encoding="utf-8")


def test_the_guide_shows_the_samples() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert sorted(shown) == sorted(path.read_text(encoding="utf-8") for path in SAMPLES)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_valid_and_fits(path: Path) -> None:
    parsed = parse(path.read_bytes(), f"triggers/{path.name}")
    assert parsed.judgement.findings == ()
    assert parsed.trigger is not None
    assert resources_of(parsed.trigger, Targets("jetway", "d", "c", "u", "r", "g")).findings == ()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_an_editor_finds_the_schema_by_a_samples_first_line(path: Path) -> None:
    """As yaml-language-server reads it: relative to the file.

    https://github.com/redhat-developer/yaml-language-server#using-inlined-schema
    """
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text(encoding="utf-8").splitlines()[0])
    assert found is not None
    schema = json.loads((path.parent / found[1]).read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Jetway trigger file"


@pytest.mark.parametrize("kind", FACTS)
def test_the_guide_lists_what_conf_may_ask_for(kind: str) -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| {kind} | `"))
    assert set(re.findall(r"`([^`]+)`", row)) == FACTS[kind]
