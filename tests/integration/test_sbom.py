"""The documents of `make sbom` name what the lists pin, and are the same each time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools import venvs
from tools.checks import sbom
from tools.checks.audit import SHIPPED

pytestmark = pytest.mark.loading


def test_they_name_what_is_shipped_and_are_the_same_each_time(tmp_path: Path) -> None:
    python = venvs.ensure("audit")
    files, again = sbom.write(python, tmp_path / "one"), sbom.write(python, tmp_path / "two")
    for (name, place), file, same in zip(SHIPPED.items(), files, again, strict=True):
        assert file.read_bytes() == same.read_bytes(), name
        document = json.loads(file.read_text())
        pinned = re.findall(r"^([^\s=\[]+)(?:\[[^]]*\])?==(\S+)", (venvs.ROOT / place).read_text(), re.MULTILINE)
        assert document["bomFormat"] == "CycloneDX"
        assert {(found["name"], found["version"]) for found in document["components"]} == set(pinned), name
