"""The `airflow` commands that MWAA offers through its CLI endpoint, by Airflow version.

https://docs.aws.amazon.com/mwaa/latest/userguide/airflow-cli-command-reference.html

MWAA runs Airflow 3 with the FAB auth manager, the local stack with the simple one, which has no `roles` commands:
those pass here and are then refused by `airflow` itself.
"""

from __future__ import annotations

from collections.abc import Sequence

_EVERYWHERE = """
cheat-sheet
connections: add delete
dags: delete list list-import-errors list-jobs list-runs next-execution pause report reserialize show state test
dags: trigger unpause
db: clean
providers: behaviours get hooks links list notifications secrets triggerer widgets
roles: add-perms create del-perms list
tasks: clear failed-deps list render state states-for-dag-run test
variables: delete get list set
version
"""
_ON_2 = """
dags: backfill
tasks: run
"""
_ON_3 = """
assets: details list materialize
backfill: create
"""


def _parse(table: str) -> frozenset[tuple[str, ...]]:
    commands: set[tuple[str, ...]] = set()
    for line in table.split("\n"):
        group, _, names = line.partition(":")
        if names:
            commands |= {(group, name) for name in names.split()}
        elif group:
            commands.add((group,))
    return frozenset(commands)


_SUPPORTED = {2: _parse(_EVERYWHERE + _ON_2), 3: _parse(_EVERYWHERE + _ON_3)}


def supported(arguments: Sequence[str], airflow_major: int) -> bool:
    """Whether MWAA runs `airflow <arguments>`."""
    commands = _SUPPORTED[2 if airflow_major < 3 else 3]
    return tuple(arguments[:1]) in commands or tuple(arguments[:2]) in commands
