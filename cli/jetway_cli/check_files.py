"""Which files `jetway check` judges, and as what."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jetway_cli.check_left_out import LeftOut
from jetway_cli.errors import WrongUseError

if TYPE_CHECKING:
    from jetway.artifacts.findings import Candidate
    from jetway.artifacts.kinds import Kind

_SETTINGS = ("access.yaml", "alarms.yaml", "floors.yaml")

# What has a place of its own at the top of the drop bucket, and of a folder that is laid out like it.
TOP_FILES = frozenset({"requirements.txt", "plugins.zip", "startup.sh", *_SETTINGS})
PLACES = frozenset({"dags", "triggers"})
# Where aws-mwaa-local-runner has them: https://github.com/aws/aws-mwaa-local-runner
RUNNER_FILES = {"requirements": "requirements.txt", "startup_script": "startup.sh"}
PLUGINS = "plugins"

# In which a project may be, this many folders down, and in which none is looked for.
_DEEPEST_PROJECT = 3
_BESIDE = frozenset({"test", "tests", "doc", "docs", "example", "examples", "node_modules"})

_YAML = (".yaml", ".yml")
_CODE = (".py", ".zip")
# Members of a trigger file at the beginning of a line; one that is broken elsewhere still has one of them.
_TRIGGER_MEMBER = re.compile(rb"^(?:dag|on)[ \t]*:", re.MULTILINE)
_BEGINNING = 64 * 1024
# Words beside trigger files, of which nobody thinks as one.
_WORDS = re.compile(r"\.|(?i:readme|license|licence|notice|codeowners|.*\.(?:md|rst|adoc)$)")


@dataclass(frozen=True, slots=True)
class FileToCheck:
    """A file to judge.

    Attributes:
        path: as it is shown: below the folder or the file that was given.
        key: what it would be called in the drop bucket; its kind follows from it.
        file: where it is.
        folder: the dags folder that it belongs to; None of a file given by itself.
        astray: it stands where the drop bucket does not take it; its content is judged all the same.
    """

    path: str
    key: str
    file: Path
    folder: Path | None = None
    astray: bool = False

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


@dataclass(slots=True)
class Search:
    """What a search has found.

    Attributes:
        found: what is to be judged, once each.
        passed_over: files and folders that are no artifacts, as they are shown; those in folders that are judged have
            a report of their own.
        left_out: what is not looked at though it stands where artifacts do, with the reason, as it is shown.
    """

    found: list[FileToCheck] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, other: Search) -> None:
        """Take in what another search has found."""
        self.found.extend(other.found)
        self.passed_over.extend(other.passed_over)
        self.left_out.extend(other.left_out)


def find(paths: Iterable[Path], scratch: Path) -> Search:
    """Return what is to be judged: folders by what they are, files by their names.

    Args:
        paths: files and folders.
        scratch: a folder for what has to be packed first.

    Raises:
        WrongUseError: a path is not there, or no kind of artifact.
    """
    search = Search()
    for path in paths:
        search.add(_in_folder(path, scratch) if path.is_dir() else Search([_single(path)]))
    once: dict[Path, FileToCheck] = {}
    for one in search.found:
        once.setdefault(one.file.absolute(), one)
    return replace(search, found=list(once.values()))


def key_of(path: Path) -> str:
    """Return what a file that is given by itself would be called in the drop bucket.

    Raises:
        WrongUseError: it is no kind of artifact.
    """
    name, parts = path.name.lower(), path.absolute().parts
    if name.endswith(_YAML) and ("triggers" in parts[:-1] or ("dags" not in parts and _looks_like_a_trigger(path))):
        return f"triggers/{path.name}"
    if name.endswith(".txt") and (name.startswith("requirements") or parts[-2:-1] == ("requirements",)):
        return "requirements.txt"
    if "dags" not in parts[:-1]:
        for ending in (".sh", *_SETTINGS):
            if name.endswith(ending):
                return "startup.sh" if ending == ".sh" else ending
    if name.endswith(".zip") and "plugins" in name:
        return "plugins.zip"
    if name.endswith(_CODE):
        return f"dags/{path.name}"
    if "dags" in parts[:-1]:
        place = len(parts) - 1 - parts[::-1].index("dags")
        return "dags/" + "/".join(parts[place + 1 :])
    raise WrongUseError(
        f"{path} is not an artifact. Give a folder (dags, triggers, plugins, or one that holds them), DAG files (.py, "
        ".zip), requirements.txt, plugins.zip, startup.sh, trigger files (.yaml with dag: and on:), access.yaml, "
        "alarms.yaml, or floors.yaml."
    )


def _single(path: Path) -> FileToCheck:
    if not path.exists():
        raise WrongUseError(f"{path} does not exist.")
    if not path.is_file():
        raise WrongUseError(f"{path} is neither a file nor a folder.")
    return FileToCheck(_shown(path), key_of(path), path)


def _shown(path: Path) -> str:
    """A path for people and JSON; a name that is no UTF-8 cannot be printed."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _in_folder(folder: Path, scratch: Path) -> Search:
    """Tell what a folder is by its name and by what it holds: dags, triggers, plugins, or a project with these."""
    parts, out = folder.absolute().parts, LeftOut(folder)
    if parts[-1] == "dags":
        return _dags(folder, out)
    top = sorted(folder.iterdir())
    if any(map(_is_place, top)):
        return _laid_out(top, out, scratch)
    if "dags" not in parts:
        if parts[-1] == PLUGINS:
            return _plugins(folder, out, scratch)
        if _holds_triggers(folder, top):
            return _triggers(folder, out)
    inner = None if "dags" in parts else _inner_project(folder, top, out)
    if inner is not None:
        return _around(folder, inner, out, scratch)
    # A dags folder of another name; what has a place of its own in the drop bucket is judged as what it is.
    own = [] if "dags" in parts else [entry for entry in top if entry.name in TOP_FILES and entry.is_file()]
    search = _dags(folder, out)
    beside = [one for one in search.found if one.file not in own]
    judged = tuple(f"{_shown(entry)} (" for entry in own)  # though .gitignore may name it
    left_out = [said for said in search.left_out if not said.startswith(judged)]
    return replace(search, found=[*beside, *map(_single, own)], left_out=left_out)


def _inner_project(folder: Path, top: Sequence[Path], out: LeftOut) -> Path | None:
    """The one project in a repository of which it is a part; None where there is none, several, or DAGs beside it."""
    if any(entry.suffix == ".py" and _has_words_of_dags(entry) for entry in top):
        return None
    found, above = list[Path](), [folder]
    for _ in range(_DEEPEST_PROJECT):
        below = [entry for one in above for entry in sorted(one.iterdir()) if _may_hold_a_project(entry, out)]
        found += [entry for entry in below if _is_project(entry)]
        above = [entry for entry in below if entry not in found]
    return found[0] if len(found) == 1 else None


def _may_hold_a_project(entry: Path, out: LeftOut) -> bool:
    plain = entry.is_dir() and not entry.is_symlink() and not entry.name.startswith(".") and entry.name not in _BESIDE
    return plain and os.access(entry, os.R_OK | os.X_OK) and out.reason(entry, is_folder=True) is None


def _is_project(folder: Path) -> bool:
    """Whether it holds a dags folder with code, or what aws-mwaa-local-runner has."""
    return any(
        _is_place(entry) and (entry.name in RUNNER_FILES or (entry.name == "dags" and any(entry.rglob("*.py"))))
        for entry in folder.iterdir()
    )


def _around(folder: Path, project: Path, out: LeftOut, scratch: Path) -> Search:
    """A project, and what stands beside it and above it: that is not judged."""
    search = _in_folder(project, scratch)
    for here in (above for above in project.parents if above == folder or folder in above.parents):
        for entry in sorted(here.iterdir()):
            on_the_way = entry == project or entry in project.parents
            kept = not entry.name.startswith(".") and out.reason(entry, is_folder=entry.is_dir()) is None
            if kept and not on_the_way:
                search.passed_over.append(_shown(entry) + "/" * entry.is_dir())
    return search


def _has_words_of_dags(file: Path) -> bool:
    """Whether Airflow would look for DAGs in it."""
    try:
        text = file.read_bytes().lower()
    except OSError:
        return False
    return b"dag" in text and b"airflow" in text


def _is_place(entry: Path) -> bool:
    runner = RUNNER_FILES.get(entry.name)
    return entry.is_dir() and (entry.name in PLACES or (runner is not None and (entry / runner).is_file()))


def _laid_out(top: Iterable[Path], out: LeftOut, scratch: Path) -> Search:
    """A project: each thing is judged as what it is, the rest is not. What has a place is judged, tracked or not."""
    search = Search()
    names = {entry.name for entry in top if entry.is_file()}
    for entry in top:
        is_folder = entry.is_dir()
        if is_folder and entry.name in PLACES:
            search.add(_dags(entry, out) if entry.name == "dags" else _triggers(entry, out))
        elif is_folder and entry.name in RUNNER_FILES:
            search.add(_of_runner(entry, RUNNER_FILES[entry.name], out))
        elif is_folder and entry.name == PLUGINS and "plugins.zip" not in names:
            search.add(_plugins(entry, out, scratch))
        elif not is_folder and entry.name in TOP_FILES:
            search.found.append(_single(entry))
        elif not entry.name.startswith(".") and out.reason(entry, is_folder=is_folder) is None:
            search.passed_over.append(_shown(entry) + "/" * is_folder)
    return search


def _of_runner(folder: Path, wanted: str, out: LeftOut) -> Search:
    """A folder of aws-mwaa-local-runner that holds one artifact."""
    if not (folder / wanted).is_file():
        return Search(passed_over=[_shown(folder) + "/"])
    others = [entry for entry in sorted(folder.iterdir()) if entry.name != wanted and not entry.name.startswith(".")]
    kept = [entry for entry in others if out.reason(entry, is_folder=entry.is_dir()) is None]
    return Search([_single(folder / wanted)], [_shown(entry) + "/" * entry.is_dir() for entry in kept])


def _dags(folder: Path, out: LeftOut) -> Search:
    left_out: list[str] = []
    found = [FileToCheck(_shown(file), f"dags/{below}", file, folder) for file, below in _below(folder, out, left_out)]
    return Search(found, left_out=left_out)


def _triggers(folder: Path, out: LeftOut) -> Search:
    """A folder of trigger files. One in a folder below it is judged, and said to stand where it starts nothing."""
    search = Search()
    for file, below in _below(folder, out, search.left_out):
        astray = len(below.parts) > 1
        if _WORDS.match(below.name) or (astray and not below.name.lower().endswith(_YAML)):
            search.passed_over.append(_shown(file))
        else:
            search.found.append(FileToCheck(_shown(file), f"triggers/{below.name}", file, astray=astray))
    return search


def _plugins(folder: Path, out: LeftOut, scratch: Path) -> Search:
    """A folder that becomes plugins.zip: packed as `zip -r` would, and judged as that."""
    ready = folder / "plugins.zip"
    if ready.is_file():
        return Search([_single(ready)])
    left_out: list[str] = []
    files = list(_below(folder, out, left_out))
    if not any(file.name.lower().endswith((".py", ".whl")) for file, _ in files):
        return Search(passed_over=[_shown(folder) + "/"])
    from tempfile import mkdtemp
    from zipfile import ZipFile

    packed = Path(mkdtemp(dir=scratch), "plugins.zip")
    with ZipFile(packed, "w", strict_timestamps=False) as archive:
        for file, below in files:
            archive.write(file, str(below))
    return Search([FileToCheck(_shown(folder) + "/", "plugins.zip", packed)], left_out=left_out)


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


def _below(folder: Path, out: LeftOut, left_out: list[str]) -> Iterator[tuple[Path, PurePosixPath]]:
    """Walk a folder, links included, as Airflow and `aws s3 sync` do; no folder twice.

    Args:
        folder: where the walk begins.
        out: what is not looked at.
        left_out: gets those that are not looked at, as they are shown.

    Yields:
        each file, and its path below the folder.
    """

    def stays(path: Path, *, is_folder: bool) -> bool:
        why = out.reason(path, is_folder=is_folder)
        if why:
            left_out.append(f"{_shown(path)}{'/' * is_folder} ({why})")
        return why is None

    seen: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        status = Path(here).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if stays(Path(here, name), is_folder=True))
        for name in sorted(names):
            file = Path(here, name)
            if file.is_file() and stays(file, is_folder=False):
                yield file, PurePosixPath(file.relative_to(folder).as_posix())
