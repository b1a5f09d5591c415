"""What the image of an Airflow version pins, as data that is handed to the gateway: a JSON document a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Pins:
    """What MWAA holds pip to.

    Attributes:
        python: the full version of the image's Python, for example "3.12.13".
        essential: pins that no requirements.txt can override.
        constraints: Airflow's own, which MWAA enforces when requirements.txt brings none.
    """

    python: str
    essential: Mapping[str, str]
    constraints: Mapping[str, str]


def pins_of(folder: Path | None, version: str) -> Pins | None:
    """Return what the image of an Airflow version pins; None where the folder has no document on it.

    Raises:
        ValueError: the document is not one of these.
    """
    file = None if folder is None else folder / f"{version}.json"
    if file is None or not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    try:
        return Pins(found["python"], found["essential"], found["constraints"])
    except KeyError as exc:
        raise ValueError(f"{file}: {exc} is missing") from exc
