"""Classes that derive from AirflowPlugin, found by reading a module."""

from __future__ import annotations

import ast
import warnings

from jetway.artifacts.archives.zip_structure import shown
from jetway.artifacts.findings import Finding, FoundPlugin

_BASE = "AirflowPlugin"


def mentions_plugins(content: bytes) -> bool:
    """Whether it is worth looking for plugins in a module."""
    return _BASE.encode() in content


def find_plugins(content: bytes, path: str) -> tuple[list[FoundPlugin], list[Finding]]:
    """Find the plugins of a module.

    Args:
        content: its bytes; one that cannot be parsed has none.
        path: its name, for the report.

    Returns:
        The classes, and a finding for each that Airflow refuses because it has no name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape is no fault of the file
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return [], []
    bases = {_BASE} | {
        name.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == _BASE and name.asname
    }
    named: set[str] = set()
    plugins: list[FoundPlugin] = []
    findings: list[Finding] = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or not any(_last(base) in bases for base in node.bases):
            continue
        bases.add(node.name)
        name, has_name = _name(node)
        if has_name or any(_last(base) in named for base in node.bases):
            named.add(node.name)
        else:
            findings.append(_without_name(node, path))
        plugins.append(FoundPlugin(class_name=node.name, name=name, path=path, line=node.lineno))
    return plugins, findings


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _name(node: ast.ClassDef) -> tuple[str | None, bool]:
    """The plugin's name, None when reading does not tell it, and whether it has one at all."""
    for statement in node.body:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign) and statement.value is not None
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == "name" for target in targets):
            value = statement.value  # type: ignore[attr-defined]
            return (value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None), True
    return None, bool(node.decorator_list)


def _without_name(node: ast.ClassDef, path: str) -> Finding:
    return Finding(
        rule="plugin-without-name",
        severity="warning",
        message=f"{shown(path)}: the plugin {node.name} has no `name`, so Airflow does not register it.",
        line=node.lineno,
        remedy='Give the class a name: name = "my_plugin"',
    )
