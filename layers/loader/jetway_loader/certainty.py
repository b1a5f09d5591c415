"""Whether something unseen may have led to an error, asked in the child when there is one."""

from __future__ import annotations

import sys
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from jetway_loader.causes import Causes, Failure
from jetway_loader.import_errors import kind_of, rule_of
from jetway_loader.influence import Influence
from jetway_loader.scopes import Module
from jetway_loader.source_lines import Place, Sightings


class Certainty:
    """Tells of each error whether it may be due to something unseen.

    Args:
        file: the judged file.
        sightings: what was seen while it ran.

    Attributes:
        leaning: files of libraries that were given stand-ins for what they import.
    """

    def __init__(self, file: Path, sightings: Sightings) -> None:
        self._file, self._sightings = file, sightings
        self._kept: list[tuple[str, tuple[Place, ...]]] = []
        self.leaning: set[str] = set()

    def of(self, file: Path) -> None:
        """From now on another file is judged."""
        self._file = file

    def install(self) -> None:
        """Keep the places of errors: Airflow keeps their text only."""
        format_exc = traceback.format_exc

        def kept(*args: Any, **kwargs: Any) -> str:
            text = format_exc(*args, **kwargs)
            self.keep(text, sys.exc_info()[2])
            return text

        traceback.format_exc = kept

    def keep(self, text: str, trace: TracebackType | None) -> None:
        """Remember the places of an error by its text."""
        self._kept.append((text.strip(), tuple(_places(trace))))

    def judged(self, entry: dict[str, Any]) -> dict[str, Any]:
        """What is told of an error, with "unseen_led": whether something unseen may have led to it."""
        if "error" not in entry or "unseen_led" in entry or not (self._sightings.sources or self.leaning):
            return entry
        text = str(entry.get("trace", entry["error"])).strip()
        rule = rule_of(text, serialization="serialization" in entry)
        places = next((places for known, places in reversed(self._kept) if known == text), ())
        return {**entry, "unseen_led": self._judge(Failure(text, rule, *kind_of(text), places))}

    def may_be_avoided(self) -> bool:
        """Whether something unseen may decide that what runs now is reached: the end of the process."""
        if not self._sightings.sources:
            return False
        places = tuple(reversed(self._sightings.places()))
        return self._judge(Failure("", "exits", "SystemExit", "", places))

    def _judge(self, failure: Failure) -> bool:
        try:
            influence, modules = self._influence(failure)
            return Causes(failure, self._sightings, influence, modules, self.leaning).reached()
        except Exception:  # of a text that is odd, or with memory gone
            return True

    def _influence(self, failure: Failure) -> tuple[Influence, dict[str, Module]]:
        """Read the files that take part: a module whose import has failed is known by the error alone."""
        files = {str(self._file): f"{self._file.stem} itself"}  # which nobody imports by that name
        for name, module in list(sys.modules.items()):
            files.setdefault(getattr(module, "__file__", None) or "", name)
        for place in failure.places:
            files.setdefault(place.file, str(Path(place.file).with_suffix("").name))
        users = {file: name for file, name in files.items() if file.endswith(".py") and self._sightings.is_users(file)}
        modules = {name: Module(name, file, _text(Path(file))) for file, name in users.items()}
        by_file = {module.file: module for module in modules.values()}
        others = {name: by_file.get(getattr(module, "__file__", None) or "") for name, module in [*sys.modules.items()]}
        modules = {name: module for name, module in others.items() if module is not None} | modules
        places = ((place.file, place.position(), inner) for place, inner in self._sightings.sources)
        influence = Influence(modules, places, _is_constant)
        return influence, by_file


def _text(file: Path) -> bytes:
    """The source of a file, which may be in a zip."""
    packed = next((above for above in file.parents if above.is_file()), None)
    if packed is None:
        return file.read_bytes()
    with zipfile.ZipFile(packed) as bundle:
        return bundle.read(file.relative_to(packed).as_posix())


def _is_constant(name: str) -> bool:
    """Whether something imported is a module, a class or a function, which calling it does not change."""
    head, _, last = name.rpartition(".")
    found = sys.modules.get(name) or getattr(sys.modules.get(head), last, None)
    return isinstance(found, ModuleType | type) or callable(found)


def _places(trace: TracebackType | None) -> Iterator[Place]:
    while trace is not None:
        yield Place(trace.tb_frame.f_code, trace.tb_lasti, trace.tb_lineno)
        trace = trace.tb_next
