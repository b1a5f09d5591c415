"""Whether a wheel fits the environment, as its file name tells."""

from __future__ import annotations

from typing import Literal

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from jetway.artifacts.findings import Finding
from jetway.artifacts.mwaa import ARCHITECTURE, GLIBC, wheel_tags

Fit = Literal["fits", "other-platform", "no-wheel"]


def wheel_fit(file_name: str, python: tuple[int, int]) -> tuple[Fit, str]:
    """Say whether pip can install a wheel in the environment, and if not, why.

    Args:
        file_name: the wheel's name, which says all: https://peps.python.org/pep-0427/#file-name-convention
        python: version of the environment's Python.
    """
    try:
        _, _, _, tags = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, ValueError) as exc:
        return "no-wheel", f"{file_name} is not a wheel name: {exc}"
    if tags & wheel_tags(python):
        return "fits", ""
    made_for = ", ".join(sorted(map(str, tags)))
    return (
        "other-platform",
        (
            f"{file_name} is built for {made_for}; the environment has CPython {python[0]}.{python[1]} on Linux "
            f"{ARCHITECTURE} with glibc {GLIBC[0]}.{GLIBC[1]}"
        ),
    )


def wheel_finding(fit: Fit, why: str, line: int | None, where: str = "") -> Finding:
    """Return the finding on a wheel that does not fit."""
    if fit == "no-wheel":
        remedy = "Keep the name that the wheel was built with: name-version-python-abi-platform.whl"
    else:
        remedy = (
            "Download the right one: pip download --only-binary :all: --platform manylinux2014_x86_64 "
            "--python-version 3.12 NAME==VERSION (with the environment's Python)."
        )
    return Finding(rule="wheel-platform", severity="error", message=f"{where}{why}.", line=line, remedy=remedy)
