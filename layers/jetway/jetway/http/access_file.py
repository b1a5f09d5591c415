"""access.yaml as a document, or as findings with line and remedy. Its shape is that of access.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jetway.artifacts.findings import Finding, Judgement, judgement
from jetway.shape import problems
from jetway.yaml_text import YamlError, load

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
    if len(content) > LARGEST_FILE:
        remedy = "Join entries by patterns such as invoice_*."
        return _refused(Finding("too-large", "error", f"The file has more than {LARGEST_FILE} bytes.", 1, remedy))
    try:
        document = load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        return _refused(Finding("encoding", "error", "The file is not UTF-8.", line, "Save it as UTF-8."))
    except YamlError as exc:
        return _refused(Finding("yaml", "error", str(exc), exc.line, exc.remedy))
    found = [
        Finding(problem.rule, "error", problem.message, document.line(problem.path), problem.remedy)
        for problem in problems(document.value, schema())
    ]
    return _refused(*found) if found else ParsedAccess(document.value, judgement(KIND))


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of access lists; docs/schemas/access.schema.json is its published copy."""
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("access.schema.json").read_text(encoding="utf-8"))
    return found


def _refused(*findings: Finding) -> ParsedAccess:
    return ParsedAccess(None, judgement(KIND, findings))
