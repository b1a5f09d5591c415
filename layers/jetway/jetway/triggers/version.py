"""What names the content of a trigger file, in messages and in the ledger. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def version_of(document: Mapping[str, Any]) -> str:
    """Return what names what a file says: the same for all versions in the bucket that say the same.

    Args:
        document: all of the file, as JSON.
    """
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
