"""Which files `jetway check` judges, and as what."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jetway_cli.errors import WrongUseError

if TYPE_CHECKING:
    from jetway.artifacts.findings import Candidate
    from jetway.artifacts.kinds import Kind

# What tools leave behind in a folder; `aws s3 sync` of a clean checkout has none of it.
PASSED_OVER = frozenset({"__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"})

# What has a place of its own at the top of the drop bucket, and of a folder that is laid out like it.
TOP_FILES = frozenset({"requirements.txt", "plugins.zip", "startup.sh", "access.yaml", "floors.yaml"})

_YAML = (".yaml", ".yml")
_CODE = (".py", ".zip")
# Members of a trigger file at the beginning of a line; one that is broken elsewhere still has one of them.
_TRIGGER_MEMBER = re.compile(rb"^(?:dag|on)[ \t]*:", re.MULTILINE)
_BEGINNING = 64 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A file to judge.

    Attributes:
        path: as it is shown: below the folder or the file that was given.
        key: what it would be called in the drop bucket; its kind follows from it.
        file: where it is.
        folder: the dags folder that it belongs to; None of a file given by itself.
    """

    path: str
    key: str
    file: Path
    folder: Path | None = None

    def candidate(self, kind: Kind, limit: int) -> Candidate:
        """Read what the kind's check needs.

        Raises:
            OSError: the file cannot be read.
        """
        from jetway.artifacts.findings import Candidate

        size = self.file.stat().st_size
        content = b""
        if kind.reads == "whole" and size <= (kind.max_bytes or limit):
            content = self.file.read_bytes()
        return Candidate(self.key, size, content, lambda: self.file.open("rb"))


@dataclass(frozen=True, slots=True)
class Search:
    """What a search has found.

    Attributes:
        found: what is to be judged, once each.
        passed_over: files and folders that are no artifacts, as they are shown; those in folders that are judged have
            a report of their own.
    """

    found: tuple[Found, ...]
    passed_over: tuple[str, ...] = ()


def find(paths: Iterable[Path]) -> Search:
    """Return what is to be judged: folders by what they are, files by their names.

    Raises:
        WrongUseError: a path is not there, or no kind of artifact.
    """
    found: dict[Path, Found] = {}
    passed_over: list[str] = []
    for path in paths:
        search = _in_folder(path) if path.is_dir() else Search((_single(path),))
        for one in search.found:
            found.setdefault(one.file.absolute(), one)
        passed_over += search.passed_over
    return Search(tuple(found.values()), tuple(passed_over))


def key_of(path: Path) -> str:
    """Return what a file that is given by itself would be called in the drop bucket.

    Raises:
        WrongUseError: it is no kind of artifact.
    """
    name, parts = path.name.lower(), path.absolute().parts
    if "triggers" in parts[:-1] and name.endswith(_YAML):
        return f"triggers/{path.name}"
    if name.endswith(".txt") and (name.startswith("requirements") or parts[-2:-1] == ("requirements",)):
        return "requirements.txt"
    if "dags" not in parts[:-1]:
        for ending, key in ((".sh", "startup.sh"), ("access.yaml", "access.yaml"), ("floors.yaml", "floors.yaml")):
            if name.endswith(ending):
                return key
    if name.endswith(".zip") and "plugins" in name:
        return "plugins.zip"
    if name.endswith(_CODE):
        return f"dags/{path.name}"
    if "dags" in parts[:-1]:
        place = len(parts) - 1 - parts[::-1].index("dags")
        return "dags/" + "/".join(parts[place + 1 :])
    raise WrongUseError(
        f"{path} is not an artifact. Give a folder (dags, triggers, or one that holds them), DAG files (.py, .zip), "
        "requirements.txt, plugins.zip, startup.sh, triggers/*.yaml, access.yaml, or floors.yaml."
    )


def _single(path: Path) -> Found:
    if not path.exists():
        raise WrongUseError(f"{path} is not there.")
    if not path.is_file():
        raise WrongUseError(f"{path} is neither a file nor a folder.")
    return Found(_shown(path), key_of(path), path)


def _shown(path: Path) -> str:
    """A path for people and JSON; a name that is no UTF-8 cannot be printed."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _in_folder(folder: Path) -> Search:
    """Tell what a folder is by its name and by what it holds: dags, triggers, or the places of the drop bucket."""
    parts = folder.absolute().parts
    if parts[-1] == "dags":
        return Search(tuple(_below(folder, "dags")))
    top = sorted(folder.iterdir())
    places = [entry for entry in top if entry.name in {"dags", "triggers"} and entry.is_dir()]
    if places:
        return _laid_out(top, places)
    if "dags" not in parts and _holds_triggers(folder, top):
        return Search(tuple(_below(folder, "triggers")))
    # A dags folder of another name; what has a place of its own in the drop bucket is judged as what it is.
    own = [] if "dags" in parts else [entry for entry in top if entry.name in TOP_FILES and entry.is_file()]
    beside = (one for one in _below(folder, "dags") if one.file not in own)
    return Search((*beside, *map(_single, own)))


def _laid_out(top: Iterable[Path], places: list[Path]) -> Search:
    """A folder that is laid out as the drop bucket: each thing is judged as what it is, the rest is not."""
    found: list[Found] = []
    passed_over: list[str] = []
    for entry in top:
        if entry in places:
            found += _below(entry, entry.name)
        elif entry.name in TOP_FILES and entry.is_file():
            found.append(_single(entry))
        elif not entry.name.startswith(".") and entry.name not in PASSED_OVER:
            passed_over.append(_shown(entry) + ("/" if entry.is_dir() else ""))
    return Search(tuple(found), tuple(passed_over))


def _holds_triggers(folder: Path, top: Iterable[Path]) -> bool:
    files = [entry for entry in top if entry.is_file()]
    if any(entry.name.lower().endswith(_CODE) for entry in files):
        return False  # a package of deferrable triggers is often named like this too
    texts = [entry for entry in files if entry.name.lower().endswith(_YAML) and entry.name not in TOP_FILES]
    return bool(texts) and (folder.absolute().name == "triggers" or any(map(_looks_like_a_trigger, texts)))


def _looks_like_a_trigger(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return _TRIGGER_MEMBER.search(stream.read(_BEGINNING)) is not None
    except OSError:
        return False


def _below(folder: Path, place: str) -> Iterator[Found]:
    """Walk a folder, links included, as Airflow and `aws s3 sync` do; no folder twice.

    Args:
        folder: where the walk begins.
        place: the folder of the drop bucket that it stands for.
    """
    seen: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        status = Path(here).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        for name in sorted(names):
            file = Path(here, name)
            if file.is_file():
                below = PurePosixPath(file.relative_to(folder).as_posix())
                yield Found(_shown(folder / below), f"{place}/{below}", file, folder if place == "dags" else None)
