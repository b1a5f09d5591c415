"""access.yaml as a document, or as findings with line and remedy. Its shape is that of access.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jetway.artifacts.findings import Finding, Judgement, judgement
from jetway.configuration.document import read_configuration

KEY = "access.yaml"  # in the drop bucket
KIND = "access"
LARGEST_FILE = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class ParsedAccess:
    """What reading the file gave.

    Attributes:
        document: the file's content; None when it has errors.
    """

    document: Mapping[str, Any] | None
    judgement: Judgement


def parse_access(content: bytes) -> ParsedAccess:
    """Read and check an access list."""
    remedy = "Combine entries with patterns such as invoice_*."
    read = read_configuration(content, schema(), most_bytes=LARGEST_FILE, shorter=remedy)
    return _refused(*read) if isinstance(read, tuple) else ParsedAccess(read.value, judgement(KIND))


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of access lists; docs/schemas/access.schema.json is its published copy."""
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("access.schema.json").read_text(encoding="utf-8"))
    return found


def _refused(*findings: Finding) -> ParsedAccess:
    return ParsedAccess(None, judgement(KIND, findings))
