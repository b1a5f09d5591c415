"""docs/security.md: every threat names a defence and a test that there is."""

from __future__ import annotations

import re

import pytest

from tests.unit.sample_events import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py", PAGE)))
FLOWS = ("Drop", "Event", "HTTP", "Webhook", "Update", "Local")
# Of what is not prevented there is no test.
ACCEPTED = "not prevented:"


def threats(flow: str) -> list[list[str]]:
    """The rows of a flow's table: letter, threat, defence, tests."""
    section = PAGE.split(f"\n### {flow}: ")[1].split("\n## ")[0].split("\n### ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if row[0] in set("STRIDE")]


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_it_names_is_there_and_tests_something(name: str) -> None:
    assert "def test_" in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("flow", FLOWS)
def test_every_threat_has_a_defence_and_a_test_of_it(flow: str) -> None:
    found = threats(flow)
    assert len(found) >= 4
    for letter, threat, defence, tests in found:
        assert letter
        assert threat
        assert defence
        assert re.findall(r"`tests/[\w/]+\.py`", tests) or defence.startswith(ACCEPTED), threat


def test_each_kind_of_threat_is_looked_at_somewhere() -> None:
    assert {row[0] for flow in FLOWS for row in threats(flow)} == set("STRIDE")


def test_what_is_accepted_without_a_defence_is_little() -> None:
    assert sum(row[2].startswith(ACCEPTED) for flow in FLOWS for row in threats(flow)) <= 1
