"""What the Makefile calls is there: `make demo` is the first thing that a newcomer types."""

from __future__ import annotations

import re

import pytest

from tests.unit.sample_events import ROOT

# "$(if $(EXAMPLE),a $(EXAMPLE),b)" calls a or b.
MAKEFILE = re.sub(
    r"\$\(if \$\((\w+)\),(.*?) \$\(\1\),(.*?)\)", r"\2 ; python -m \3", (ROOT / "Makefile").read_text("utf-8")
)
MODULES = sorted(set(re.findall(r"\s-m ([a-z]\w*(?:\.\w+)*)", MAKEFILE)) - {"pytest"})


def test_the_modules_are_found() -> None:
    assert len(MODULES) > 20
    assert {"tools.stack", "tools.examples"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_called_exists(module: str) -> None:
    path = ROOT.joinpath(*module.split("."))
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
