"""`make sbom`: what is shipped, package by package, as CycloneDX documents that are the same for the same lists.

    python -m tools.checks.sbom [FOLDER]

One document for each hash-pinned list of tools/checks/audit.py; FOLDER is build/sbom by default.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import venvs
from tools.checks.audit import SHIPPED
from tools.venvs import ROOT


def write(python: Path, folder: Path, lists: Mapping[str, str] = SHIPPED) -> list[Path]:
    """Write `<name>.cdx.json` for each list and return the files.

    Args:
        python: of a virtual environment that has cyclonedx-bom.
        folder: made if it is not there.
        lists: name → hash-pinned list, as a path in the repository.

    Raises:
        subprocess.CalledProcessError: cyclonedx-bom could not read a list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, place in lists.items():
        file = folder / f"{name}.cdx.json"
        command = [str(python.with_name("cyclonedx-py")), "requirements", "--output-reproducible", "--of", "JSON"]
        # The index is left out: whoever reads the document asks their own.
        command += ["--short-PURLs", "-o", str(file), place]
        subprocess.run(command, cwd=ROOT, check=True)
        files.append(file)
    return files


def main() -> int:
    """Write the documents and say where."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "sbom"
    for file in write(venvs.ensure("audit"), folder):
        print(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
