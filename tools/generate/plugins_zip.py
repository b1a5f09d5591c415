"""`make plugins`: plugins/ as plugins.zip, as MWAA wants it: files at the root of the archive, no folder around them.

The same files make the same bytes, so that a build that changed nothing is not a new version of the environment.
https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-dag-import-plugins.html
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from tools.venvs import ROOT

SOURCE = ROOT / "plugins"
TARGET = ROOT / "build" / "plugins.zip"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_MODE = 0o100644 << 16


def build(source: Path = SOURCE, target: Path = TARGET) -> Path:
    """Write the archive and return its path."""
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            member = zipfile.ZipInfo(path.relative_to(source).as_posix(), _LONG_AGO)
            member.external_attr, member.compress_type = _MODE, zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, wherever it was built
            archive.writestr(member, path.read_bytes())
    return target


def main() -> int:
    """Build it and say where it is."""
    path = build()
    with zipfile.ZipFile(path) as archive:
        print(f"{path.relative_to(ROOT)}: {len(archive.namelist())} files, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
