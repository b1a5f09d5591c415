"""What Airflow could not import of a plugins.zip, as findings and a verdict: pure but for reading the modules' text.

A plugin that cannot be imported does not exist, and a module that nobody can import breaks who needs it: errors. What
fails only when Airflow imports the file by itself works for those who import it by its whole name: a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jetway_loader import plugins
from jetway_loader.import_errors import Fault, read_error
from jetway_loader.model import Finding, Loaded, Options
from jetway_loader.stub_modules import STAR, UNKNOWN
from jetway_loader.verdicts import FORGED, may_be_this_machines

if TYPE_CHECKING:
    from pathlib import Path

    from jetway_loader.fork_pool import Ended

NAME = "../plugins.zip"  # beside the dags folder: no file in that has such a path
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+', re.MULTILINE)
_MOST_SHOWN = 3


class _Told:
    """What the child told that loaded all of it, beside errors."""

    def __init__(self, told: Sequence[Mapping[str, Any]]) -> None:
        self.changed = sorted({str(name) for entry in told for name in entry.get("changed", ())})
        asked = [tuple(entry["unseen"])[:2] for entry in told if "unseen" in entry]
        self.unknown = list(dict.fromkeys(item for item in asked if item[0] in {UNKNOWN, STAR}))


@dataclass(frozen=True)
class _Failed:
    """A module, or what a plugin registers, that fails.

    Attributes:
        file: its absolute path.
        matters: it is no test, script or part of a library that was copied in.
    """

    file: str
    fault: Fault
    matters: bool


def failed(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files that Airflow could not import, as their absolute paths."""
    files = (str(entry["plugin"]) for entry in told if "error" in entry and str(entry["plugin"]).startswith("/"))
    return list(dict.fromkeys(files))


def judge(
    first: Ended[Any], second: Ended[Any] | None, folder: str, options: Options, places: Sequence[Path]
) -> Loaded:
    """Judge a plugins.zip.

    Args:
        first: the child in which Airflow has loaded it.
        second: the one that has imported by their names those that are no plugins and had failed; None without any.
        folder: where MWAA has it unpacked.
        options: as it was loaded with.
        places: where users' modules are on this machine: the dags folder and that of plugins.
    """
    told = _Told(first.told)
    by_name = {entry["plugin"]: entry for entry in (second.told if second else ()) if "error" in entry}
    imported = {entry["imported"] for entry in (second.told if second else ()) if "imported" in entry}
    found, alone = [], []
    for entry in first.told:
        if "error" not in entry:
            continue
        file = _file_of(entry, folder)
        if file is None:
            continue  # of a plugin that the environment's packages bring
        if file in imported:
            alone.append(file)
            continue
        fault = read_error(by_name.get(file, entry), file, folder)
        there = plugins.here(file)
        matters = plugins.makes_plugins(there) or not plugins.is_beside(there)
        found.append(_Failed(file, _doubted(_named(fault), told, options, places), matters))
    if not any("done" in entry for entry in first.told):
        found.append(_death(first, folder, options))
    if any("forged" in entry for ended in (first, second) if ended for entry in ended.told):
        found.append(_Failed(folder, FORGED, matters=True))
    certain = any(each.matters and each.fault.certain for each in found)
    doubtful = any(each.matters and not each.fault.certain for each in found)
    findings = [_finding(each, folder, options, first) for each in found]
    findings += [*_alone(alone, folder), *_twice(first.told, findings), *_of_unknown(told)]
    ended = next((entry for entry in first.told if "done" in entry), None)
    return Loaded(
        path=NAME,
        verdict="rejected" if certain else "unknown" if doubtful or told.unknown else "accepted",
        findings=tuple(dict.fromkeys(findings)),
        missing=tuple(sorted({each.fault.missing for each in found if each.fault.missing})),
        seconds=round(ended["seconds"] if ended else first.seconds, 6),
        cpu_seconds=round(ended["cpu_seconds"], 6) if ended else None,
    )


def _file_of(entry: Mapping[str, Any], folder: str) -> str | None:
    """The file of plugins.zip that an error is of; None for none."""
    if str(entry["plugin"]).startswith(folder + "/"):
        return str(entry["plugin"])
    text = str(entry.get("trace") or entry["error"])
    inside = [frame["file"] for frame in _FRAME.finditer(text) if frame["file"].startswith(folder + "/")]
    return inside[-1] if inside else None


def _named(fault: Fault) -> Fault:
    """Airflow's own exception for a plugin says what is to be done, and has no rule of its own for DAG files."""
    if fault.message.startswith("AirflowPluginException"):
        return replace(fault, rule="plugin-without-name", remedy='Give the class a name: name = "my_plugin"')
    return fault


def _doubted(fault: Fault, told: _Told, options: Options, places: Sequence[Path]) -> Fault:
    """Take certainty from a fault that may be this machine's."""
    star = fault.rule == "undefined-name" and any(what == STAR for what, _ in told.unknown)
    doubtful = told.changed or star or may_be_this_machines(fault, options, places)
    return replace(fault, certain=False) if doubtful else fault


def _death(ended: Ended[Any], folder: str, options: Options) -> _Failed:
    """What ended the process that was loading."""
    file = next((str(entry["loading"]) for entry in reversed(ended.told) if "loading" in entry), folder)
    line = next((entry["exit_line"] for entry in ended.told if "exit_line" in entry), None)
    relied = any(entry.get("unseen_led") for entry in ended.told if "exit_line" in entry)
    words = ended.last_words.strip().rpartition("\n")[2][:300]
    said = f" Its last output: {words}" if words else ""
    if ended.timed_out:
        fault = Fault(
            "timeout",
            f"Loading took more than {options.patience or options.limit:g} s and was ended.{said}",
            line,
            "Every Airflow process imports plugins at startup. Move slow work into a function or a task.",
            certain=False,  # nothing ends it in the environment
        )
    else:
        how = f"by signal {ended.signal}" if ended.signal else f"with exit status {ended.exit_code}"
        remedy = "Do not call os._exit() when a plugin is imported. A crash can come from a compiled package."
        fault = Fault("exits", f"It ends the process that imports it, {how}.{said}", line, remedy, certain=not relied)
    return _Failed(file, fault if not options.nearest else replace(fault, certain=False), matters=True)


def _finding(each: _Failed, folder: str, options: Options, ended: Ended[Any]) -> Finding:
    fault, name = each.fault, each.file.removeprefix(folder + "/")
    message = f"{name}: {fault.message}" if name != folder else fault.message
    if fault.certain:
        return Finding(fault.rule, "error" if each.matters else "warning", message, fault.line, fault.remedy)
    if fault.rule == "missing-module" and options.unlisted:
        why = f"the module might come with {', '.join(sorted(options.unlisted)[:5])}, whose content is not known here"
    elif changed := _Told(ended.told).changed:
        why = f"the environment has another version of {', '.join(changed[:3])}"
    elif options.nearest:
        why = "it was loaded with another version of Airflow than the environment's"
    else:
        asked = [entry["unseen"] for entry in ended.told if "unseen" in entry]
        seen = dict.fromkeys(f"{what} {what_name!r}" for what, what_name, _ in asked if what != "missing module")
        why = "it depends on something that only the environment has" + (
            f" ({', '.join(list(seen)[:5])})" if seen else ""
        )
    message = f"{message.removesuffix('.')}. This is not certain: {why}."
    return Finding(fault.rule, "warning", message, fault.line, fault.remedy)


def _alone(files: Sequence[str], folder: str) -> Iterator[Finding]:
    """One warning on the modules that only their whole name imports."""
    if not files:
        return
    names = [file.removeprefix(folder + "/") for file in dict.fromkeys(files)]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    yield Finding(
        "not-alone",
        "warning",
        (
            f"{', '.join(names[:_MOST_SHOWN])}{more}: Airflow imports each file of plugins.zip separately, and "
            "logs an error for these, which work only as parts of their package. Importing them by their full "
            "name works."
        ),
        None,
        (
            "Nothing to do. To avoid the errors in the log, name the files in a .airflowignore at the root of "
            "plugins.zip."
        ),
    )


def _twice(told: Iterable[Mapping[str, Any]], findings: Sequence[Finding]) -> Iterator[Finding]:
    """Airflow's errors that are no exceptions: a plugin of the same name is there already."""
    for entry in told:
        for text in entry.get("import_errors", {}).values():
            if "already registered" in text and not any(text in finding.message for finding in findings):
                remedy = "Give each plugin its own name. A module that imports another module's plugin can stay."
                yield Finding("duplicate-plugin", "warning", f"{text}.", None, remedy)


def _of_unknown(told: _Told) -> Iterator[Finding]:
    """One warning on what the modules use and nobody here knows."""
    names = list(dict.fromkeys(name for _, name in told.unknown))
    if names:
        message = (
            f"The content of {', '.join(names[:5])} is not known here. The environment shows whether the file loads."
        )
        yield Finding("unknown-content", "warning", message, None, "Nothing to do, if it is right for the environment.")
