"""Which names in a module stand for Airflow's DAG, @dag and @asset."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Role(Enum):
    """What a name is to Airflow."""

    DAG = auto()
    DAG_SUBCLASS = auto()
    DAG_DECORATOR = auto()
    ASSET = auto()
    ASSET_MULTI = auto()


_ROLES = {"DAG": Role.DAG, "dag": Role.DAG_DECORATOR, "asset": Role.ASSET}


@dataclass(frozen=True, slots=True)
class AirflowNames:
    """Names bound by a module's imports.

    Attributes:
        roles: name → what it stands for.
        modules: names that stand for Airflow or one of its modules.
    """

    roles: dict[str, Role]
    modules: frozenset[str]

    @classmethod
    def of(cls, nodes: Iterable[ast.AST]) -> AirflowNames:
        """Read a module's imports, wherever they stand, and its classes that derive from DAG.

        Args:
            nodes: all nodes of the module's tree.
        """
        roles: dict[str, Role] = {}
        modules: set[str] = set()
        classes: list[ast.ClassDef] = []
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and not node.level and _is_airflow(node.module):
                for alias in node.names:
                    bound = alias.asname or alias.name
                    if alias.name == "*":
                        roles |= _ROLES
                    elif alias.name in _ROLES:
                        roles[bound] = _ROLES[alias.name]
                    else:
                        modules.add(bound)
            elif isinstance(node, ast.Import):
                modules |= {a.asname or "airflow" for a in node.names if _is_airflow(a.name)}
            elif isinstance(node, ast.ClassDef):
                classes.append(node)
        names = cls(roles, frozenset(modules))
        for node in classes:
            if any(names.role(base) in {Role.DAG, Role.DAG_SUBCLASS} for base in node.bases):
                roles[node.name] = Role.DAG_SUBCLASS
        return names

    @property
    def any(self) -> bool:
        """Whether the module imports anything of Airflow's."""
        return bool(self.roles or self.modules)

    def role(self, expression: ast.expr) -> Role | None:
        """What an expression like `DAG`, `models.DAG` or `asset.multi` stands for."""
        name = dotted_name(expression)
        if name is None:
            return None
        first, _, rest = name.partition(".")
        if not rest:
            return self.roles.get(first)
        last = rest.rpartition(".")[2]
        if first in self.modules:
            return Role.ASSET_MULTI if rest.endswith("asset.multi") else _ROLES.get(last)
        if self.roles.get(first) is Role.ASSET and rest == "multi":
            return Role.ASSET_MULTI
        return None


def dotted_name(expression: ast.expr) -> str | None:
    """`a.b.c` of an attribute chain of names, or None for anything else."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return None
    return ".".join([expression.id, *reversed(parts)])


def _is_airflow(module: str | None) -> bool:
    return module is not None and (module == "airflow" or module.startswith("airflow."))
