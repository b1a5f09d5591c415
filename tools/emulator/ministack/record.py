"""Every decision of IAM in MiniStack, as JSON lines; tools/checks/decisions.py reads them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of a request's keys those that our policies' conditions name.
_TOLD = {"events", "kms", "cloudwatch", "iam", "lambda"}


class _Record:
    """Where decisions are written. An Allow is written once, a denial each time."""

    def __init__(self) -> None:
        self._file: Any = None
        self._known: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def open(self, path: Path) -> None:
        """Append to that file from now on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def write(self, who: str, action: str, on: str, result: Any, context: Mapping[str, Any]) -> None:
        """Write one decision.

        Args:
            who: ARN of the principal, or a service's name.
            on: ARN of the resource.
            result: an EvalResult, or an AuthError.
        """
        answer = getattr(result, "decision", "") or f"Unauthenticated ({result.code})"
        by = getattr(result, "matched_sid", "")
        known = (who, action, on, answer, by)
        with self._lock:
            if self._file is None or (answer == "Allow" and known in self._known):
                return
            self._known.add(known)
            told = {name: value for name, value in context.items() if name.partition(":")[0] in _TOLD}
            line = {"at": time.time(), "who": who, "action": action, "on": on, "answer": answer, "by": by}
            self._file.write(json.dumps({**line, "context": told}, default=str) + "\n")


RECORD = _Record()
