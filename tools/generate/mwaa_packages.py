"""Write what each Airflow version on MWAA ships, as data for the gate (`make mwaa-packages`).

Read from the images that MWAA runs, which AWS publishes: https://github.com/aws/amazon-mwaa-docker-images. A new
version on MWAA is one run of this and one commit; `make airflow-lists` then writes what is installed of it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "layers/jetway/jetway/artifacts/mwaa_packages"
IMAGES = "https://github.com/aws/amazon-mwaa-docker-images"

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;#]+)", re.MULTILINE)
# An entry of the bill of materials: name, version, licence (of up to 30 lines), page, and the licence's file.
_ENTRY = re.compile(
    r"^([A-Za-z0-9][\w.-]*)\n(\d[\w.+!-]*)\n(?:[^\n]*\n){1,30}?(?:https?://[^\n]+|UNKNOWN)\n(?:/usr/local/\S[^\n]*|UNKNOWN)$",
    re.MULTILINE,
)
_PYTHON = re.compile(r"^ENV PYTHON_VERSION=(\d+\.\d+\.\d+)", re.MULTILINE)


class ImagesError(RuntimeError):
    """The folder is no checkout of MWAA's images, or their layout has changed."""


def read_version(image: Path) -> dict[str, object]:
    """Read one version's folder, images/airflow/<version>.

    Raises:
        ImagesError: a file is missing or holds no package.
    """
    version = image.name
    pins = {
        "essential": dict(_pins(image / "etc/mwaa_essential_constraints.txt", _PIN)),
        "constraints": dict(_pins(image / "etc/airflow_constraints.txt", _PIN)),
        "installed": dict(_pins(image / f"BillOfMaterials/{version}/Python-Packages-BOM.txt", _ENTRY)),
    }
    python = _PYTHON.search(_text(image / "Dockerfiles/Dockerfile.base"))
    if python is None:
        raise ImagesError(f"{image}: the Dockerfile names no PYTHON_VERSION; its layout has changed.")
    return {"airflow": version, "python": python[1], **pins}


def as_json(document: dict[str, object]) -> str:
    """One line for each member, so that the file is small and a change still shows where it is."""
    lines = (f"{json.dumps(name)}: {json.dumps(value, sort_keys=True)}" for name, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(images: Path, data: Path) -> list[str]:
    """Write one file for every version of a checkout; return the versions.

    Raises:
        ImagesError: as `read_version`.
    """
    folders = sorted(path for path in (images / "images/airflow").glob("*") if path.is_dir())
    if not folders:
        raise ImagesError(f"{images} has no images/airflow: give a checkout of {IMAGES}.")
    data.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        (data / f"{folder.name}.json").write_text(as_json(read_version(folder)))
    return [folder.name for folder in folders]


def _pins(file: Path, form: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    found = form.findall(_text(file))
    if not found:
        raise ImagesError(f"{file} names no package; its layout has changed.")
    return ((canonicalize_name(name), version) for name, version in found)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ImagesError(f"{file} cannot be read: {exc.strerror}.") from exc


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data from a checkout, or from a fresh clone."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.generate.mwaa_packages")
    parser.add_argument("images", nargs="?", type=Path, help=f"checkout of {IMAGES}; it is cloned when none is given")
    images: Path | None = parser.parse_args(arguments).images
    try:
        with tempfile.TemporaryDirectory() as clone:
            if images is None:
                images = Path(clone)
                subprocess.run(["git", "clone", "--quiet", "--depth", "1", IMAGES, clone], check=True)
            versions = write(images, DATA)
    except (ImagesError, subprocess.CalledProcessError) as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"{', '.join(versions)} → {DATA.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
