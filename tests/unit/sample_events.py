"""The sample events of events/, which also serve `sam local invoke`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def sample_event(name: str) -> dict[str, Any]:
    """Return events/<name>.json, read anew, so that a test may change it."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event
