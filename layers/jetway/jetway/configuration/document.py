"""A small YAML file by which people configure Jetway: read within bounds, and held against its JSON Schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jetway.artifacts.findings import Finding
from jetway.documents.json_schema import problems
from jetway.documents.yaml_document import Document, YamlError, load


def read_configuration(
    content: bytes, schema: Mapping[str, Any], *, most_bytes: int, shorter: str
) -> Document | tuple[Finding, ...]:
    """Return what a file says, or the errors for which it says nothing.

    Args:
        content: up to `most_bytes` + 1 bytes of it.
        schema: JSON Schema of the file.
        shorter: what to do about a file that is too large.
    """
    if len(content) > most_bytes:
        return (Finding("too-large", "error", f"The file is larger than {most_bytes // 1024} KiB.", 1, shorter),)
    try:
        document = load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        return (Finding("encoding", "error", "The file is not UTF-8.", line, "Save it as UTF-8."),)
    except YamlError as exc:
        return (Finding("yaml", "error", str(exc), exc.line, exc.remedy),)
    found = tuple(
        Finding(problem.rule, "error", problem.message, document.line(problem.path), problem.remedy)
        for problem in problems(document.value, schema)
    )
    return found or document
