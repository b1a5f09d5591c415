"""The examples of dags/, as `make demo EXAMPLE=…` and the tests play them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tools.examples import scenarios as plays
from tools.examples.fixture import ExampleError, Scene
from tools.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.examples.fixture import Ended

DAGS = ROOT / "dags"
TRIGGERS = ROOT / "triggers" / "examples"
# The stack's parameters that examples need beside the defaults.
PARAMETERS = {"Webhooks": "enabled"}


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        about: one line.
        play: makes it happen.
        files: DAG files, without .py; the example's own name when empty.
        dag_ids: DAGs in them; the files' names when empty.
        triggers: trigger files, without .yaml.
        packages: whether it needs requirements/examples-<version>.txt.
        plugins: whether it needs plugins.zip, or a plugin among those packages.
    """

    name: str
    about: str
    play: Callable[[Scene], list[Ended]]
    files: tuple[str, ...] = ()
    dag_ids: tuple[str, ...] = ()
    triggers: tuple[str, ...] = field(default=())
    packages: bool = False
    plugins: bool = False


_CHAIN = ("chain_orders", "chain_rates", "chain_report", "chain_archive")
EXAMPLES = {
    example.name: example
    for example in (
        Example(
            "complex_workflow",
            "branches, mapped tasks, task groups, setup and teardown, retries, callbacks",
            plays.complex_workflow,
            triggers=("complex_workflow",),
        ),
        Example(
            "provider_rates",
            "data from a provider over HTTP, on a schedule and on demand",
            plays.provider_rates,
            triggers=("provider_rates",),
        ),
        Example(
            "etl_orders",
            "a file is validated, transformed by DuckDB and loaded as Parquet, once for each file",
            plays.etl_orders,
            triggers=("etl_orders",),
            packages=True,
        ),
        Example(
            "etl_chain",
            "S3, HTTP, SQL and a shell step as four processes, chained by Jetway's events",
            plays.etl_chain,
            dag_ids=_CHAIN,
            triggers=_CHAIN,
        ),
        Example(
            "ml_pipeline",
            "a batch of files is ingested; a model is trained, evaluated and published",
            plays.ml_pipeline,
            triggers=("ml_pipeline",),
            packages=True,
        ),
        Example(
            "onprem_orders",
            "a signed webhook starts a run that reads outside AWS with a connection of Secrets Manager",
            plays.onprem_orders,
            triggers=("onprem_orders",),
        ),
        Example(
            "aws_services",
            "operators of the Amazon provider: list, copy, publish to EventBridge",
            plays.aws_services,
            triggers=("aws_services",),
        ),
        Example(
            "other_environment",
            "Jetway's own plugin: an operator, a sensor, and a listener that reports run states as events",
            plays.other_environment,
            files=("other_environment", "hello_jetway"),
            triggers=("other_environment",),
            plugins=True,
        ),
        Example(
            "yaml_workflow",
            "a third-party plugin: dag-factory makes a DAG of data",
            plays.yaml_workflow,
            triggers=("yaml_workflow",),
            plugins=True,
        ),
    )
}


def find(name: str) -> Example:
    """Return the example of that name.

    Raises:
        ExampleError: there is none; the text lists those that there are.
    """
    if name in EXAMPLES:
        return EXAMPLES[name]
    near = get_close_matches(name, EXAMPLES, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ExampleError(f"there is no example {name!r}.{hint} There are:\n{listing()}")


def listing() -> str:
    """All examples, one line each."""
    width = max(map(len, EXAMPLES))
    return "\n".join(f"  {example.name:<{width}}  {example.about}" for example in EXAMPLES.values())


@contextmanager
def installed(example: Example, scene: Scene) -> Iterator[None]:
    """Have packages, DAGs and triggers of an example in force; its triggers end with it.

    Raises:
        ExampleError: the gate refused a file.
        TooLateError: Airflow does not know a DAG after two minutes.
    """
    files = example.files or (example.name,)
    if example.packages:
        scene.install_packages()
    if example.plugins:
        scene.install_plugins()
    scene.make_bucket()
    try:
        scene.install_dags([DAGS / f"{name}.py" for name in files], example.dag_ids or files)
        scene.install_triggers({name: (TRIGGERS / f"{name}.yaml").read_text() for name in example.triggers})
        yield
    finally:
        scene.remove_triggers(example.triggers)
