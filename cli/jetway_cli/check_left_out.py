"""What `jetway check` does not look at in a folder: tools' leavings, virtual environments, what .gitignore names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# What tools leave behind in a folder; `aws s3 sync` of a clean checkout has none of it.
LEAVINGS = frozenset(
    {
        *("__pycache__", "node_modules", ".git", ".hg", ".svn", ".venv", ".tox", ".nox"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".idea", ".vscode"),
    }
)

_IGNORE = ".gitignore"


class LeftOut:
    """Tells what is left out below a folder.

    A folder that .gitignore itself names has been given on purpose: only the .gitignore files below it count then.

    Args:
        folder: where a walk begins; .gitignore files of the repository around it count too.
    """

    def __init__(self, folder: Path) -> None:
        self._specs: dict[Path, GitIgnoreSpec | None] = {}
        folder = folder.absolute()
        self._top = _repository(folder) or folder
        above = [place for place in (folder, *folder.parents) if place.is_relative_to(self._top) and place != self._top]
        if any(self._is_named(place, is_folder=True) for place in above):
            self._top = folder

    def reason(self, path: Path, *, is_folder: bool) -> str | None:
        """Why a file or folder is not looked at, for people; "" where that needs no words; None when it is."""
        if is_folder and path.name in LEAVINGS:
            return ""
        if is_folder and ((path / "pyvenv.cfg").is_file() or (path / "conda-meta").is_dir()):
            return "virtual environment"
        if is_folder and path.name.startswith("."):
            return "hidden"
        return _IGNORE if self._is_named(path.absolute(), is_folder=is_folder) else None

    def _is_named(self, path: Path, *, is_folder: bool) -> bool:
        """Whether .gitignore names it. The nearest one that says something decides, as git has it."""
        for place in path.parents:
            if not place.is_relative_to(self._top):
                break
            spec = self._spec(place)
            said = spec.check_file(path.relative_to(place).as_posix() + "/" * is_folder).include if spec else None
            if said is not None:
                return said
        return False

    def _spec(self, folder: Path) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            self._specs[folder] = _read(folder / _IGNORE)
        return self._specs[folder]


def _repository(folder: Path) -> Path | None:
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


def _read(file: Path) -> GitIgnoreSpec | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # most folders have none; one that cannot be read leaves nothing out
        return None
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.base import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    patterns = []
    for line in lines:
        try:
            patterns.append(GitIgnoreSpecPattern(line))
        except GitIgnorePatternError:  # git passes over it as well
            continue
    return GitIgnoreSpec(patterns)
