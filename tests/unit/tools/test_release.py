"""A tag is released when everything says its version, and the changelog what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools.release import release
from tools.release.release import ReleaseError, Section, problems, read_files, sections, write_version
from tools.venvs import ROOT

URL = "https://github.com/acme/jetway"
CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- Something new.

## [0.2.0] - 2026-12-01

### Upgrade notes

- Nothing to do.

### Added

- Formats.

## [0.1.0]

### Added

- All of it.
"""
GOOD = {
    "pyproject.toml": f'[project]\nname = "jetway"\nversion = "0.2.0"\nurls = {{Source = "{URL}"}}\n',
    "template.yaml": "Outputs:\n  JetwayVersion:\n    Description: Which.\n    Value: 0.2.0\n  Other:\n    Value: 1\n",
    "CHANGELOG.md": CHANGELOG,
    "tests/data/formats/0.2.0.json": "{}",
}


def test_a_changelog_is_read_section_by_section() -> None:
    assert [(one.version, one.date) for one in sections(CHANGELOG)] == [
        ("Unreleased", ""),
        ("0.2.0", "2026-12-01"),
        ("0.1.0", ""),
    ]
    assert [*sections(CHANGELOG)][2] == Section("0.1.0", "", "### Added\n\n- All of it.")
    assert list(sections("# Changelog\n")) == []


def test_what_is_whole_can_be_released() -> None:
    assert list(problems("v0.2.0", URL, GOOD)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pyproject.toml": GOOD["pyproject.toml"].replace("0.2.0", "0.3.0")}, "the tag must be v0.3.0"),
        ({"pyproject.toml": GOOD["pyproject.toml"].replace("0.2.0", "0.2.0.dev0")}, "0.2.0.dev0 .* is not a release"),
        ({"pyproject.toml": GOOD["pyproject.toml"].replace("0.2.0", "0.2")}, "0.2 .* is not a release"),
        ({"pyproject.toml": GOOD["pyproject.toml"].replace(URL, "https://else")}, "this repository is https://github"),
        ({"pyproject.toml": '[project]\nversion = "0.2.0"'}, "Source = None"),
        ({"template.yaml": GOOD["template.yaml"].replace("0.2.0", "0.1.0")}, "template.yaml says version 0.1.0"),
        ({"CHANGELOG.md": CHANGELOG.replace("[0.2.0]", "[0.1.9]")}, r"no section `## \[0.2.0\]"),
        ({"CHANGELOG.md": CHANGELOG.replace(" - 2026-12-01", "")}, "has no date"),
        ({"CHANGELOG.md": CHANGELOG.replace("### Upgrade notes", "### Upgrades")}, "has no `### Upgrade notes`"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(changes: dict[str, str], said: str) -> None:
    assert [one for one in problems("v0.2.0", URL, GOOD | changes) if re.search(said, one)]


def test_a_version_without_a_recording_is_not_released() -> None:
    files = {name: text for name, text in GOOD.items() if "formats" not in name}
    assert [*problems("v0.2.0", URL, files)] == [
        "tests/data/formats has no recording of 0.2.0: run `python -m tests.unit.formats.recorder`."
    ]


def test_the_version_is_written_where_it_is_read(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "template.yaml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    before = read_files(tmp_path)
    write_version("7.8.9", tmp_path)
    after = read_files(tmp_path)
    assert release.version_of_stack(after["template.yaml"]) == "7.8.9"
    for name in ("pyproject.toml", "template.yaml"):
        changed = set(after[name].splitlines()) ^ set(before[name].splitlines())
        assert {line.split()[0] for line in changed} == {"version" if name == "pyproject.toml" else "Value:"}
    write_version(release.version_of_stack(before["template.yaml"]), tmp_path)
    assert read_files(tmp_path) == before


@pytest.mark.parametrize("version", ["1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3.dev1", ""])
def test_what_is_no_version_is_not_written(version: str) -> None:
    with pytest.raises(ReleaseError, match="is not a version"):
        write_version(version)


def test_a_template_without_the_output_is_an_error() -> None:
    with pytest.raises(ReleaseError, match="no output JetwayVersion"):
        release.version_of_stack("Outputs:\n  Other:\n    Value: 1\n")


def test_this_repository_says_one_version_and_has_recorded_what_it_released() -> None:
    files = read_files()
    kept = list(problems(f"v{release.version_of_stack(files['template.yaml'])}", URL, files))
    assert not [one for one in kept if "must be" in one or "says version" in one]
    released = [one.version for one in sections(files["CHANGELOG.md"]) if one.version != "Unreleased"]
    assert [version for version in released if f"tests/data/formats/{version}.json" not in files] == []


def test_the_command_says_what_it_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["check", "v99.0.0", URL]) == 1
    assert "the tag must be v" in capsys.readouterr().out
    assert release.main(["version", "next"]) == 1
    assert release.main([]) == 2
