"""From what a child has told, and how it ended, to a verdict: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader.import_errors import Fault, read_error
from jetway_loader.model import Finding, Loaded, LoadedDag, Options, Verdict
from jetway_loader.stub_modules import STAR, UNKNOWN, may_be_anothers

if TYPE_CHECKING:
    from jetway_loader.fork_pool import Ended

_OF_MODULES = frozenset({"missing-module", "missing-name"})
_SLOW_SECONDS = 3.0  # a tenth of MWAA's limit: its machines may be slower, and each file is loaded again and again


def judge(
    ended: Ended[Any], path: str, file: str, folder: str, options: Options, *, places: Sequence[Path] = ()
) -> Loaded:
    """Judge one file.

    Args:
        ended: the child that loaded it.
        path: of the file, relative to the dags folder.
        file: its absolute path.
        folder: the dags folder's absolute path.
        options: as it was loaded with.
        places: where users' modules are on this machine: the dags folder and that of plugins.
    """
    told = _Told(ended.told)
    faults = [read_error(entry, file, folder) for entry in ended.told if "error" in entry]
    if not told.done and not (ended.timed_out and any(fault.rule == "timeout" for fault in faults)):
        faults.append(_death(ended, options, told, zipped=path.endswith(".zip")))
    elif told.done and told.begun and not faults and not told.parsed:
        faults.append(
            Fault(
                "swallowed",
                "Airflow failed on this file without an import error: it was not parsed, and defines no DAG.",
                None,
                "Run `airflow dags report` with the environment's Airflow; its log names the error.",
            )
        )
    faults = [
        _doubted(_without(places, fault), told, options, places or (Path(folder),)) for fault in _distinct(faults)
    ]
    faults += [FORGED] if told.forged else []
    certain = [fault for fault in faults if fault.certain]
    verdict: Verdict = "rejected" if certain else "unknown" if faults or told.unknown else "accepted"
    if certain:
        findings = [Finding(fault.rule, "error", fault.message, fault.line, fault.remedy) for fault in faults]
    elif faults:
        findings = _not_certain(faults, told, options)
    else:
        findings = [*_of_unknown(told), *_remarks(told, options)]
    findings += [*told.advice, *_of_many(told)]
    return Loaded(
        path=path,
        verdict=verdict,
        findings=tuple(findings),
        dags=tuple(sorted(told.dags, key=lambda dag: (dag.line or 0, dag.dag_id))),
        siblings=tuple(sorted(told.siblings)),
        read=tuple(sorted(told.read)),
        data=next((fault.data for fault in faults if fault.data), None),
        missing=tuple(sorted({fault.missing for fault in faults if fault.missing})),
        seconds=round(told.seconds or ended.seconds, 6),
        cpu_seconds=None if told.cpu_seconds is None else round(told.cpu_seconds, 6),
    )


class _Told:
    """What a child told, sorted."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self.begun = any("begun" in entry for entry in told)
        self.done = any("done" in entry for entry in told)
        self.parsed = sum(entry.get("parsed", 0) for entry in told)
        self.seconds: float | None = next((entry["seconds"] for entry in told if "done" in entry), None)
        self.cpu_seconds: float | None = next((entry["cpu_seconds"] for entry in told if "done" in entry), None)
        exits = [entry for entry in told if "exit_line" in entry]
        # What it tried before has not ended it.
        self.exit_line: int | None = exits[-1]["exit_line"] if exits else None
        self.may_not_exit: bool | None = exits[-1].get("unseen_led") if exits else None
        done = next((entry for entry in told if "done" in entry), {})
        self.busy: float = done.get("busy", self.seconds or 0.0)
        self.at: int | None = done.get("at")
        self.doing: str = done.get("doing", "")
        self.siblings = [str(name) for entry in told for name in entry.get("siblings", ())]
        self.read = [str(name) for entry in told for name in entry.get("read", ())]
        unseen = [tuple(entry["unseen"]) for entry in told if "unseen" in entry]
        self.unseen = list(dict.fromkeys(item for item in unseen if item[0] != "missing module"))
        self.unknown = [item for item in self.unseen if item[0] in {UNKNOWN, STAR}]
        self.changed = frozenset(str(name) for entry in told for name in entry.get("changed", ()))
        self.forged = any("forged" in entry for entry in told)
        self.too_many: int | None = next((entry["too_many"] for entry in told if "too_many" in entry), None)
        self.lacking = list(dict.fromkeys(item for item in unseen if item[0] == "missing module"))
        self.advice = [Finding(**entry["advice"]) for entry in told if "advice" in entry]
        self.dags = [
            LoadedDag(**{**entry["dag"], "tags": tuple(entry["dag"]["tags"])}) for entry in told if "dag" in entry
        ]


FORGED = Fault(
    "forged-answer",
    "While it is loaded, the file sends output that only the loader sends.",
    None,
    "Write only to descriptors that your code opened.",
)


def _of_many(told: _Told) -> list[Finding]:
    """More DAGs than one report and one item of a table have room for."""
    if told.too_many is None:
        return []
    message = f"The file defines {told.too_many:,} DAGs. Jetway tracks only the first {len(told.dags):,}."
    return [Finding("too-many-dags", "warning", message, None, "Define them in several files, which also load faster.")]


def _death(ended: Ended[Any], options: Options, told: _Told, *, zipped: bool = False) -> Fault:
    """Why a child did not come to its end."""
    words = ended.last_words.strip().rpartition("\n")[2][:300]
    said = f" Its last output: {words}" if words else ""
    if ended.timed_out:
        return Fault(
            "timeout",
            f"Loading took more than {min(options.limit, options.import_timeout):g} s and was ended.{said}",
            None,
            "Move slow work from the module's top level into tasks: Airflow loads the file again and again.",
            # Where it was cannot be told, so it may have waited for something unseen; and of what is in a zip Airflow's
            # own limit is another one.
            certain=options.limit >= options.import_timeout and not told.unseen and not zipped,
        )
    how = f"by signal {ended.signal}" if ended.signal else f"with exit status {ended.exit_code}"
    return Fault(
        "exits",
        (f"The file silently ends the process that loads it, {how}. Airflow would see no DAG and no error.{said}"),
        told.exit_line,
        ("Do not call os._exit() or sys.exit() when the file is loaded. A crash can come from a compiled package."),
        certain=not (bool(told.unseen) if told.may_not_exit is None else told.may_not_exit),
    )


def _doubted(fault: Fault, told: _Told, options: Options, places: Sequence[Path]) -> Fault:
    """Take certainty from a fault that may be this machine's."""
    if told.changed:
        return replace(fault, certain=False)
    if fault.rule == "undefined-name" and any(what == STAR for what, _, _ in told.unknown):
        return replace(fault, certain=False)
    return replace(fault, certain=False) if may_be_this_machines(fault, options, places) else fault


def _without(places: Sequence[Path], fault: Fault) -> Fault:
    """The fault, with paths as below the dags folder: where its copy is differs in each run."""
    message = fault.message
    for place in places:
        message = message.replace(f"{place}/", "")
    return replace(fault, message=message)


def may_be_this_machines(fault: Fault, options: Options, places: Sequence[Path]) -> bool:
    """Whether a fault may come of what this machine has, and the environment has otherwise.

    Args:
        fault: as it was read.
        options: as the file was loaded with.
        places: where users' modules are on this machine.
    """
    if options.nearest or (options.other_python and fault.rule == "syntax"):
        return True
    if fault.missing and options.inventory.is_changed(fault.missing):
        return True
    if fault.rule not in _OF_MODULES or not fault.missing or not options.unlisted:
        return False
    # What a namespace lacks is a module below it.
    module = fault.missing if fault.rule == "missing-module" else f"{fault.missing}.name"
    return may_be_anothers(module, options.inventory, places)


def _not_certain(faults: list[Fault], told: _Told, options: Options) -> list[Finding]:
    """One warning for each failure that may be due to what the gate cannot see, with the reason in it."""
    remedy = "Nothing to do, if it is right for the environment. What the gate cannot determine is checked there."
    line = None
    if told.changed:
        why = f"the environment has another version of {', '.join(sorted(told.changed)[:3])}"
    elif options.nearest:
        why = "it was loaded with another version of Airflow than the environment's"
    elif options.other_python and any(fault.rule == "syntax" for fault in faults):
        why = "it was loaded with another version of Python than the environment's"
    elif any(fault.rule in _OF_MODULES for fault in faults) and options.unlisted:
        why = f"the module might come with {', '.join(sorted(options.unlisted)[:5])}, whose content is not known here"
    else:
        seen = ", ".join(f"{what} {name!r}" for what, name in _asked_for(told.unseen)[:5])
        why = "the file depends on something that only the environment has" + (f" ({seen})" if seen else "")
        line = next((line for _, _, line in told.unseen if line), None)
        remedy = "Read Variables, Connections, files and services in tasks, not when the file is loaded."
    said = f"This is not certain: {why}. The file goes live and is checked there."
    return [
        Finding(
            fault.rule,
            "warning",
            f"{fault.message.removesuffix('.')}. {said}",
            fault.line or line,
            remedy,
        )
        for fault in faults
    ]


def _of_unknown(told: _Told) -> list[Finding]:
    """What the file uses and nobody here knows."""
    names = list(dict.fromkeys(name for _, name, _ in told.unknown))
    if not names:
        return []
    return [
        Finding(
            "unknown-content",
            "warning",
            (f"The content of {', '.join(names[:5])} is not known here. The environment shows whether the file loads."),
            next((line for _, _, line in told.unknown if line), None),
            "Nothing to do, if it is right for the environment.",
        )
    ]


def _asked_for(unseen: list[tuple[str, str, int | None]]) -> list[tuple[str, str]]:
    """What was asked for, each once; of packages those that are in no other one."""
    found = list(dict.fromkeys((what, name) for what, name, _ in unseen))
    packages = [name for what, name in found if what == "package"]
    return [
        (what, name)
        for what, name in found
        if what != "package" or not any(other.startswith(f"{name}.") for other in packages)
    ]


def _remarks(told: _Told, options: Options) -> list[Finding]:
    found = []
    if not told.dags:
        for _, module, line in told.lacking[:5]:
            found.append(
                Finding(
                    "swallowed-import",
                    "warning",
                    f"The file defines no DAG, and works without the module {module}, which does not exist.",
                    line,
                    (
                        "If it should define a DAG, upload the module to the dags folder, or add its package to "
                        "requirements.txt."
                    ),
                )
            )
    if told.busy >= min(_SLOW_SECONDS, options.import_timeout / 3):
        where = f" Most of the time was spent in this line: {told.doing}." if told.doing else ""
        found.append(
            Finding(
                "slow-parse",
                "warning",
                (
                    f"Loading took {told.busy:.1f} s. The environment allows {options.import_timeout:g} s per file, "
                    f"and loads it again and again.{where}"
                ),
                told.at,
                "Move slow work from the module's top level into tasks.",
            )
        )
    return found


def _distinct(faults: list[Fault]) -> list[Fault]:
    return list({(fault.rule, fault.message, fault.line): fault for fault in faults}.values())
