"""What is asked of the loader, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from jetway_loader.inventory import Inventory

Verdict = Literal["accepted", "rejected", "unknown"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Options:
    """How to load.

    Attributes:
        import_timeout: seconds that the environment gives one file (core.dagbag_import_timeout).
        patience: seconds that there are for one file here; with fewer than `import_timeout`, a timeout is not certain.
        grace: seconds beyond `import_timeout` after which a child is killed: Airflow's own timeout goes first.
        memory: bytes of address space that loading may add; None for no bound.
        jobs: children at once.
        provided: modules that the environment has, whether or not this machine has them, and all below them.
        inventory: what is known of those of other distributions: each module, its names, what providers register.
        binaries: compiled modules in plugins.zip, by their dotted names: this machine's processor may be another one.
        unlisted: distributions of the environment whose modules are not known: a module that is missing may be theirs.
        airflow_options: configuration of the environment, such as {"core.default_timezone": "utc"}.
        nearest: this Airflow is not the environment's version: no failure is certain.
        partial: the copy of the dags folder lacks some of its files.
        other_python: this Python is not the environment's: no syntax error is certain.
        without_settings: "dags" or "plugins": whose airflow_local_settings.py is not run, to see what it does.
    """

    import_timeout: float = 30.0
    patience: float | None = None
    grace: float = 2.0
    memory: int | None = None
    jobs: int = 1
    provided: frozenset[str] = frozenset()
    inventory: Inventory = field(default_factory=Inventory)
    binaries: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    airflow_options: Mapping[str, str] = field(default_factory=dict)
    nearest: bool = False
    partial: bool = False
    other_python: bool = False
    without_settings: frozenset[str] = frozenset()

    @property
    def limit(self) -> float:
        """Seconds after which a child is killed."""
        limit = self.import_timeout + self.grace
        return limit if self.patience is None else min(limit, self.patience)


@dataclass(frozen=True)
class Finding:
    """One thing found: as in Jetway's reports."""

    rule: str
    severity: Severity
    message: str
    line: int | None
    remedy: str


@dataclass(frozen=True)
class LoadedDag:
    """A DAG that the file made.

    Attributes:
        line: where it is made; None when not in this file.
        schedule: as Airflow writes it, for example "0 5 * * *", or None.
        tasks: how many it has.
        certain: nothing was asked of the environment before it was made, so that its dag_id is not made of a stand-in.
    """

    dag_id: str
    line: int | None
    schedule: str | None
    tags: tuple[str, ...]
    tasks: int
    certain: bool = True


@dataclass(frozen=True)
class Loaded:
    """What came of one file.

    Attributes:
        path: relative to the dags folder, with slashes.
        skipped: why Airflow does not load it at all: "ignored" by .airflowignore, or "no-dag" in its safe mode.
        siblings: modules of the dags folder that it uses.
        read: what it and its modules have read or asked for below the dags folder, but for modules: files, and folders
            that were listed, with a slash at the end.
        data: the file below the dags folder whose content it does not load with, where the error tells.
        missing: modules that were not found; a sibling may be on its way.
        seconds: that loading took in the child, once Airflow was imported.
        cpu_seconds: of which on a processor; None when it did not come to its end.
    """

    path: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    dags: tuple[LoadedDag, ...] = ()
    skipped: Literal["ignored", "no-dag"] | None = None
    siblings: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    data: str | None = None
    missing: tuple[str, ...] = ()
    seconds: float = 0.0
    cpu_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON takes it."""
        return asdict(self)
