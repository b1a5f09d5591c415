"""docs/doctor.md has every check, and no other."""

from __future__ import annotations

import re

from jetway_cli.doctor.checks import CHECKS, PROBE
from tests.unit.sample_events import ROOT
from tests.unit.template.source import TEMPLATE

PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_check_in_its_order() -> None:
    _, _, section = PAGE.partition("## The checks")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert [name for name, *_ in rows] == [*CHECKS, PROBE]


def test_the_stack_says_the_version_of_this_checkout() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    assert TEMPLATE["Outputs"]["JetwayVersion"]["Value"] == version
