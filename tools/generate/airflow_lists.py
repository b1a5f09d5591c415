"""Write the hash-pinned lists of the Airflows that Jetway runs (`make airflow-lists`): what MWAA's image has, whole.

One list for each version, requirements/airflow-<version>.txt: for the local stack and for the layers of import_dag;
`jetway check --load` sets up the same. The names and versions are those of the image's own bill of materials
(layers/jetway/jetway/artifacts/mwaa_packages), with nothing that their metadata would add: what the image has not is
not there either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import venvs
from tools.generate.mwaa_packages import DATA

VERSIONS = ("2.11.2", "3.3.1")

# psycopg2 has no wheel; psycopg2-binary, which the image has as well, brings the same module.
LEFT_OUT = frozenset({"psycopg2"})
# The bill of materials is made by a tool that leaves out what Python's installers are made of. redshift-connector and
# sagemaker-studio import it.
NOT_LISTED = ("setuptools",)

_COMPILE = ("--no-deps", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url")


def wanted(packages: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the requirements of one list.

    Args:
        packages: of a version, as `make mwaa-packages` writes them: "installed" and "constraints".
    """
    pins = {name: version for name, version in packages["installed"].items() if name not in LEFT_OUT}
    pins |= {name: packages["constraints"][name] for name in NOT_LISTED}
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def write(version: str) -> Path:
    """Ask the index for the hashes of all that a version has, and write its list.

    Raises:
        CalledProcessError: uv cannot; its words are on standard error.
    """
    packages = json.loads((DATA / f"{version}.json").read_text())
    target = venvs.ROOT / "requirements" / f"airflow-{version}.txt"
    command = [venvs.uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", *_COMPILE]
    command += ["--output-file", target, "-"]
    subprocess.run(
        list(map(str, command)), input="\n".join(wanted(packages)), text=True, check=True, stdout=subprocess.DEVNULL
    )
    return target


def main() -> int:
    """Write all lists."""
    try:
        for version in VERSIONS:
            print(write(version).relative_to(venvs.ROOT))
    except subprocess.CalledProcessError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
