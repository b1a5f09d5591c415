"""Work that a DAG file does whenever it is loaded, told by reading it: Airflow loads each file every 30 seconds or so.

https://airflow.apache.org/docs/apache-airflow/stable/best-practices.html#top-level-python-code
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from jetway.artifacts.findings import Finding
from jetway.artifacts.python.airflow_names import AirflowNames, Role, dotted_name

_MOST_FINDINGS = 20
_MANY_ROUNDS = 100_000

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_SLEEPS = frozenset({"time.sleep"})
_VARIABLES = (
    "airflow.models.Variable.get",
    "airflow.models.variable.Variable.get",
    "airflow.sdk.Variable.get",
)
_CONNECTIONS = (
    "airflow.hooks.base.BaseHook.get_connection",
    "airflow.sdk.BaseHook.get_connection",
    "airflow.sdk.bases.hook.BaseHook.get_connection",
    "airflow.sdk.Connection.get",
    "airflow.models.Connection.get_connection_from_secrets",
)
_NETWORK = frozenset(
    {
        *(f"{module}.{verb}" for module in ("requests", "httpx") for verb in ("get", "post", "put", "head", "request")),
        *("urllib.request.urlopen", "urllib.request.urlretrieve", "socket.create_connection"),
        *("psycopg2.connect", "psycopg.connect", "pymysql.connect", "pyodbc.connect", "snowflake.connector.connect"),
        *("redis.Redis", "boto3.client", "boto3.resource"),
        *(f"pandas.read_{source}" for source in ("csv", "excel", "json", "parquet", "sql", "sql_query", "sql_table")),
    }
)


def top_level_work(tree: ast.Module) -> tuple[Finding, ...]:
    """Find what slows every load: sleep, network, Variables and Connections, loops of very many rounds.

    Args:
        tree: the module. What functions do is left out, but for those that become DAGs: loading the file runs them.
    """
    nodes = list(ast.walk(tree))
    aliases, names = _aliases(nodes), AirflowNames.of(nodes)
    found: dict[tuple[int | None, str], Finding] = {}
    for node in _run_on_load(tree, names):
        finding = _from(node, aliases)
        if finding is not None:
            found.setdefault((finding.line, finding.message), finding)
        if len(found) >= _MOST_FINDINGS:
            break
    return tuple(sorted(found.values(), key=lambda finding: finding.line or 0))


def _run_on_load(tree: ast.Module, names: AirflowNames) -> Iterator[ast.AST]:
    """The nodes that loading the module runs."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, _FUNCTIONS):
            decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
            todo += node.decorator_list
            if any(names.role(each) is Role.DAG_DECORATOR for each in decorators):
                todo += node.body
            continue
        if isinstance(node, ast.Lambda) or (isinstance(node, ast.If) and _only_as_program(node)):
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def _only_as_program(node: ast.If) -> bool:
    test = node.test
    return isinstance(test, ast.Compare) and dotted_name(test.left) == "__name__"


def _from(node: ast.AST, aliases: Mapping[str, str]) -> Finding | None:
    if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
        if not any(isinstance(inner, ast.Break) for inner in ast.walk(node)):
            return _finding("An endless loop", node.lineno, "Move it into a task.")
    elif isinstance(node, ast.For | ast.comprehension):
        rounds = _rounds(node.iter)
        if rounds >= _MANY_ROUNDS:
            line = node.iter.lineno
            return _finding(f"A loop of {rounds:,} rounds", line, "Move it into a task, or use fewer rounds.")
    elif isinstance(node, ast.Call):
        return _from_call(_full_name(node.func, aliases), node.lineno)
    return None


def _from_call(name: str | None, line: int) -> Finding | None:
    if name is None:
        return None
    if name in _SLEEPS:
        return _finding("A sleep", line, "Wait in a task, or with a sensor.")
    if name in _VARIABLES:
        remedy = 'Read it in a task or in a template: "{{ var.value.NAME }}" has no cost until the task runs.'
        return _finding("Reading a Variable", line, remedy)
    if name in _CONNECTIONS:
        return _finding("Reading a Connection", line, "Read it in a task, or leave it to a hook or an operator.")
    if name in _NETWORK:
        return _finding(f"{name}()", line, "Call it in a task: services and data can be slow or unavailable.")
    return None


def _finding(what: str, line: int, remedy: str) -> Finding:
    message = f"{what} at the top level: Airflow does it each time that it loads the file."
    return Finding(rule="top-level-work", severity="warning", message=message, line=line, remedy=remedy)


def _rounds(iterated: ast.expr) -> int:
    """How many rounds a loop over `range` with constants makes; 0 when that is not plain."""
    if not (isinstance(iterated, ast.Call) and dotted_name(iterated.func) == "range" and 1 <= len(iterated.args) <= 3):
        return 0
    values = [each.value for each in iterated.args if isinstance(each, ast.Constant) and isinstance(each.value, int)]
    if len(values) != len(iterated.args) or (len(values) == 3 and not values[2]):
        return 0
    first, *rest = values
    # Plain arithmetic: len(range(10**30)) raises.
    start, stop = (first, rest[0]) if rest else (0, first)
    step = rest[1] if len(rest) > 1 else 1
    return max(0, -((start - stop) // step))


def _aliases(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Names bound by imports → what they stand for."""
    aliases: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            aliases |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.partition(".")[0]
                aliases[each.asname or first] = each.name if each.asname else first
    return aliases


def _full_name(expression: ast.expr, aliases: Mapping[str, str]) -> str | None:
    name = dotted_name(expression)
    if name is None:
        return None
    first, dot, rest = name.partition(".")
    return aliases[first] + dot + rest if first in aliases else None
