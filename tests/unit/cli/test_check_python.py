"""Where a Python of the environment's version is looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jetway_cli.check_python import find_python

NONE = "#!/bin/sh\nexit 1\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def python(path: Path, version: str) -> Path:
    return program(path, f"#!/bin/sh\necho {version}\n")


@pytest.fixture
def uv(tmp_path: Path) -> str:
    """One that knows of none."""
    return str(program(tmp_path / "uv", NONE))


def test_what_uv_knows_goes_first(tmp_path: Path) -> None:
    found = python(tmp_path / "managed" / "python3.99", "3.99")
    uv = program(tmp_path / "uv", f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo {found}\n')
    python(tmp_path / "bin" / "python3.99", "3.99")
    assert find_python("3.99", str(uv), environ={"PATH": str(tmp_path / "bin")}, home=tmp_path) == found


def test_the_one_on_path_that_works(tmp_path: Path, uv: str) -> None:
    program(tmp_path / "shims" / "python3.99", NONE)  # as pyenv's are where no version is chosen
    python(tmp_path / "old" / "python3.99", "3.98")
    found = python(tmp_path / "bin" / "python3.99", "3.99")
    path = ":".join(str(tmp_path / name) for name in ("shims", "none", "old", "bin"))
    assert find_python("3.99", uv, environ={"PATH": path}, home=tmp_path) == found


@pytest.mark.parametrize(
    ("folder", "environ"),
    [
        (".pyenv/versions", {}),
        ("own/versions", {"PYENV_ROOT": "own"}),
        (".local/share/mise/installs/python", {}),
        ("mise/installs/python", {"MISE_DATA_DIR": "mise"}),
        (".asdf/installs/python", {}),
    ],
)
def test_those_of_version_managers_the_newest_first(
    tmp_path: Path, uv: str, folder: str, environ: dict[str, str]
) -> None:
    for version in ("3.99.1", "3.99.10", "3.99.9", "3.9.1"):
        python(tmp_path / folder / version / "bin" / "python3.99", "3.99")
    program(tmp_path / folder / "3.99.11" / "bin" / "python3.99", NONE)  # half removed
    given = {name: str(tmp_path / value) for name, value in environ.items()}
    assert find_python("3.99", uv, environ=given, home=tmp_path) == (
        tmp_path / folder / "3.99.10" / "bin" / "python3.99"
    )


def test_this_one_but_not_that_of_its_virtual_environment(tmp_path: Path, uv: str) -> None:
    own = ".".join(map(str, sys.version_info[:2]))
    found = find_python(own, uv, environ={}, home=tmp_path)
    assert found is not None
    assert not (found.parent.parent / "pyvenv.cfg").exists()


def test_none_is_none(tmp_path: Path, uv: str) -> None:
    assert find_python("3.99", uv, environ={}, home=tmp_path) is None
    assert find_python("3.99", str(tmp_path / "no-uv"), environ={"PATH": "::"}, home=tmp_path) is None
