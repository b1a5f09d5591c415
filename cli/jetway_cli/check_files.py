"""Which files `jetway check` judges, and as what."""

from __future__ import annotations

import os
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
            WrongUseError: the file cannot be read.
        """
        from jetway.artifacts.findings import Candidate

        try:
            size = self.file.stat().st_size
            content = b""
            if kind.reads == "whole" and size <= (kind.max_bytes or limit):
                content = self.file.read_bytes()
        except OSError as exc:
            raise WrongUseError(f"{self.path} cannot be read: {exc.strerror}.") from exc
        return Candidate(self.key, size, content, lambda: self.file.open("rb"))


def find(paths: Iterable[Path]) -> list[Found]:
    """Return what is to be judged, once each: folders as dags folders, files by their names.

    Raises:
        WrongUseError: a path is not there, or no kind of artifact.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        for one in _below(path) if path.is_dir() else [_single(path)]:
            found.setdefault(one.file.absolute(), one)
    return list(found.values())


def key_of(path: Path) -> str:
    """Return what a file that is given by itself would be called in the drop bucket.

    Raises:
        WrongUseError: it is no kind of artifact.
    """
    name, parts = path.name.lower(), path.absolute().parts
    if "triggers" in parts[:-1] and name.endswith((".yaml", ".yml")):
        return f"triggers/{path.name}"
    if name.endswith(".txt") and (name.startswith("requirements") or parts[-2:-1] == ("requirements",)):
        return "requirements.txt"
    if name.endswith((".sh", "access.yaml")) and "dags" not in parts[:-1]:
        return "startup.sh" if name.endswith(".sh") else "access.yaml"
    if name.endswith(".zip") and "plugins" in name:
        return "plugins.zip"
    if name.endswith((".py", ".zip")):
        return f"dags/{path.name}"
    if "dags" in parts[:-1]:
        place = len(parts) - 1 - parts[::-1].index("dags")
        return "dags/" + "/".join(parts[place + 1 :])
    raise WrongUseError(
        f"{path} is no artifact. Give a dags folder, DAG files (.py, .zip), requirements.txt, plugins.zip, startup.sh, "
        "triggers/*.yaml, or access.yaml."
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


def _below(folder: Path) -> Iterator[Found]:
    """Walk a folder, links included, as Airflow and `aws s3 sync` do; no folder twice."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        for name in sorted(names):
            file = Path(place, name)
            if file.is_file():
                below = PurePosixPath(file.relative_to(folder).as_posix())
                yield Found(_shown(folder / below), f"dags/{below}", file, folder)
