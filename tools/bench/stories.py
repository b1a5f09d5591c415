"""What happens to the DAG files of `make chaos`: who drops what when, and what is to be live when all is at rest. Pure.

A file can tell the gate from the environment: the gate's loader is among the modules that are loaded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Fate = Literal["works", "breaks-in-gate", "breaks-in-environment", "never-appears", "deletes"]

SAME_SECOND = (0.0, 0.3)
A_MOMENT = (1.0, 4.0)
LATER = (25.0, 45.0)
SOON = 10.0  # seconds: a version that is followed by another one so soon may not be judged at all at first
WHOLE_SPREAD = 60.0  # seconds in which all stories begin, for 60 files


@dataclass(frozen=True, slots=True)
class Act:
    """One upload of a file, or its deletion.

    Attributes:
        after: seconds since the act before, or since the story began.
        text: what is uploaded; None deletes.
        fate: what the text does.
    """

    after: float
    text: str | None
    fate: Fate


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to one file.

    Attributes:
        kind: its name in `KINDS`.
        begins: seconds since the round began.
        live: the act whose version is live in the end; None when nothing is.
        second_chance: that version may have its turn only after a newer one has failed.
        needs: another file, without which this one cannot be loaded.
        dag_id: the DAG that a version that works makes; None of a module.
    """

    kind: str
    key: str
    dag_id: str | None
    begins: float
    acts: tuple[Act, ...]
    live: int | None
    second_chance: bool = False
    needs: str | None = None


def dag_text(dag_id: str, version: int, before: str = "", *, indent: str = "") -> str:
    """A DAG file for Airflow 2 and 3.

    Args:
        before: lines before the DAG.
        indent: of the DAG, when those lines open a block.
    """
    lines = [
        f"# version {version}",
        "import os, sys",
        "try:",
        "    from airflow.sdk import DAG, Variable",
        "except ImportError:",
        "    from airflow.models import Variable",
        "    from airflow.models.dag import DAG",
        *before.splitlines(),
        f"{indent}with DAG({dag_id!r}, schedule=None):",
        f"{indent}    pass",
    ]
    return "\n".join(lines) + "\n"


_HERE = 'if "jetway_loader" not in sys.modules:'
BREAKS_IN_GATE = {
    "syntax": "def broken(:",
    "missing module": "import a_module_that_nobody_has",
    "exception": "1 / 0",
    "exit": "sys.exit(1)",
}
BREAKS_IN_ENVIRONMENT = {
    "exception": f'{_HERE}\n    raise RuntimeError("not in this environment")',
    "variable": 'Variable.get("a_variable_that_nobody_has_made")',
    "environment variable": 'os.environ["A_VARIABLE_THAT_NOBODY_HAS_SET"]',
    "file": 'open("/a/file/that/is/nowhere.csv").read()',
    "module": f"{_HERE}\n    import a_module_that_nobody_has",
}
NEVER_APPEARS = {
    "os._exit": f"{_HERE}\n    os._exit(3)",
    "sys.exit": f"{_HERE}\n    sys.exit(1)",
    "crash": f"{_HERE}\n    import ctypes; ctypes.string_at(0)",
    "gate only": 'if "jetway_loader" in sys.modules:',
}


class _Author:
    """Writes the acts of one file."""

    def __init__(self, chance: random.Random, dag_id: str) -> None:
        self._chance, self._dag_id = chance, dag_id
        self._version = 0

    def works(self, after: tuple[float, float] = (0, 0)) -> Act:
        return Act(self._chance.uniform(*after), self._text(), "works")

    def bad_in_gate(self, after: tuple[float, float] = (0, 0)) -> Act:
        lines = self._chance.choice(list(BREAKS_IN_GATE.values()))
        return Act(self._chance.uniform(*after), self._text(lines), "breaks-in-gate")

    def bad_in_environment(self, after: tuple[float, float] = (0, 0)) -> Act:
        lines = self._chance.choice(list(BREAKS_IN_ENVIRONMENT.values()))
        return Act(self._chance.uniform(*after), self._text(lines), "breaks-in-environment")

    def ends_parser(self, after: tuple[float, float] = (0, 0)) -> Act:
        lines = self._chance.choice([NEVER_APPEARS[name] for name in ("os._exit", "sys.exit", "crash")])
        return Act(self._chance.uniform(*after), self._text(lines), "never-appears")

    def in_gate_only(self) -> Act:
        return Act(0, self._text(NEVER_APPEARS["gate only"], indent="    "), "never-appears")

    def deletes(self, after: tuple[float, float]) -> Act:
        return Act(self._chance.uniform(*after), None, "deletes")

    def _text(self, before: str = "", *, indent: str = "") -> str:
        self._version += 1
        return dag_text(self._dag_id, self._version, before, indent=indent)


def _again(act: Act, after: float) -> Act:
    return Act(after, act.text, act.fate)


def _same_bytes(author: _Author) -> tuple[Act, ...]:
    first = author.works()
    return first, _again(first, 20.0)


# Kind → its acts, and which one's version is live in the end.
KINDS: dict[str, tuple[Callable[[_Author], tuple[Act, ...]], int | None]] = {
    "good": (lambda a: (a.works(),), 0),
    "good, then broken in the environment": (lambda a: (a.works(), a.bad_in_environment(LATER)), 0),
    "broken in the gate": (lambda a: (a.bad_in_gate(),), None),
    "good and broken in the environment, in one second": (lambda a: (a.works(), a.bad_in_environment(SAME_SECOND)), 0),
    "broken in the environment": (lambda a: (a.bad_in_environment(),), None),
    "needs a module that comes later": (lambda a: (a.works(),), 0),
    "broken in the gate, mended a moment later": (lambda a: (a.bad_in_gate(), a.works(A_MOMENT)), 1),
    "ends its parser": (lambda a: (a.ends_parser(),), None),
    "broken in the environment, mended a moment later": (lambda a: (a.bad_in_environment(), a.works(A_MOMENT)), 1),
    "deleted, then uploaded": (lambda a: (a.works(), a.deletes(LATER), a.works(SAME_SECOND)), 2),
    "the same bytes again": (_same_bytes, 1),
    "made in the gate only": (lambda a: (a.in_gate_only(),), None),
    "good, then broken in the gate": (lambda a: (a.works(), a.bad_in_gate(A_MOMENT)), 0),
    "two good ones in one second": (lambda a: (a.works(), a.works(SAME_SECOND)), 1),
    "good, then deleted": (lambda a: (a.works(), a.deletes(LATER)), None),
    "good, then ends its parser": (lambda a: (a.works(), a.ends_parser(LATER)), 0),
    "broken in the environment, mended when it is rolled back": (lambda a: (a.bad_in_environment(), a.works(LATER)), 1),
    "good, broken in the environment, mended, within seconds": (
        lambda a: (a.works(), a.bad_in_environment(A_MOMENT), a.works(A_MOMENT)),
        2,
    ),
}
_NEEDS = "needs a module that comes later"


def stories(folder: str, files: int, seed: int) -> list[Story]:
    """Return what happens to so many DAG files of a folder of `dags/`, and to the modules that some of them need.

    Args:
        folder: also the beginning of the dag ids: rounds are to have different ones.
    """
    chance = random.Random(f"{folder} {seed}")  # noqa: S311 - no secret hangs on it
    spread = WHOLE_SPREAD * min(1.0, files / 60)
    return [story for number in range(files) for story in _written(folder, number, chance, spread)]


def _written(folder: str, number: int, chance: random.Random, spread: float) -> Iterator[Story]:
    kind = list(KINDS)[number % len(KINDS)]
    acts, live = KINDS[kind]
    dag_id, begins = f"{folder}_{number:02}", chance.uniform(0, spread)
    key = f"dags/{folder}/file_{number:02}.py"
    author = _Author(chance, dag_id)
    if kind != _NEEDS:
        made = acts(author)
        second_chance = live is not None and any(act.after < SOON for act in made[live + 1 : live + 2])
        yield Story(kind, key, dag_id, begins, made, live, second_chance)
        return
    module = f"dags/{folder}/module_{number:02}.py"
    text = dag_text(dag_id, 1, f"from {folder}.module_{number:02} import VALUE")
    yield Story(kind, key, dag_id, begins, (Act(0, text, "works"),), 0, needs=module)
    late = begins + chance.uniform(3, 20)
    yield Story("a module that comes later", module, None, late, (Act(0, "VALUE = 1\n", "works"),), 0)
