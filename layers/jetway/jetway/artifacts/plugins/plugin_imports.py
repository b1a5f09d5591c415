"""Imports of plugins that nothing is known to bring: read, not run, for where no Airflow loads them."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.artifacts.archives.zip_structure import shown
from jetway.artifacts.findings import Finding
from jetway.artifacts.requirements.provided import provided

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

RULE = "missing-module"


@dataclass(frozen=True, slots=True)
class Import:
    """A module that a file imports whenever it is imported itself.

    Attributes:
        file: its path within plugins.zip.
        module: the dotted name.
        line: 1-based.
    """

    file: str
    module: str
    line: int


def imports_of(content: bytes, file: str) -> list[Import]:
    """The absolute imports at the left margin of a module, up to the first statement that may raise or leave it.

    Args:
        content: its bytes; one that cannot be parsed has none.
        file: its name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [Import(file, name.name, node.lineno) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(Import(file, node.module, node.lineno))
    return found


def not_known(imports: Iterable[Import], members: Iterable[str], environment: EnvironmentFacts) -> Iterator[Finding]:
    """Warn of imports that neither plugins.zip nor the environment's image has; requirements.txt may bring them.

    Args:
        imports: of the zip's plugins.
        members: all names in it.
        environment: tells what its image has.
    """
    has = provided(environment)
    if has["unlisted"]:
        return  # of those nobody knows the modules
    tops = (
        {name.partition(".")[0] for name in has["modules"]} | set(sys.stdlib_module_names) | {"airflow", "__future__"}
    )
    # Airflow imports each file by its own name, so that others find it under that, wherever it is.
    own = {part.partition(".")[0] for name in members for part in name.split("/")}
    for found in imports:
        top = found.module.partition(".")[0]
        if top not in tops and top not in own:
            yield Finding(
                rule=RULE,
                severity="warning",
                message=(
                    f"{shown(found.file)}: No module named {top!r}: neither plugins.zip nor MWAA's image of Airflow "
                    f"{environment.airflow_version} has it. Without it, the plugin does not load."
                ),
                line=found.line,
                remedy=(
                    "Nothing to do, if requirements.txt or the dags folder has it. Otherwise, put the module into "
                    "plugins.zip, or add its package to requirements.txt."
                ),
            )
