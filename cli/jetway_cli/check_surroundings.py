"""What `jetway check` knows of the files that lie beside a requirements.txt: plugins.zip and the dags folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.requirements.local_wheels import LocalWheels
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway_cli.check_files import FileToCheck


def shelf_of(found: Sequence[FileToCheck], environment: EnvironmentFacts) -> LocalWheels | None:
    """The plugins.zip that is judged too: its names, and what is in it where a requirements.txt may speak of it."""
    from jetway.artifacts.archives.zip_reader import BrokenZipError, LargeDirectoryError, ZipReader
    from jetway.artifacts.requirements.local_wheels import LocalWheels, read_shelf

    file = next((one.file for one in found if one.key == "plugins.zip"), None)
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            if not any(one.key == "requirements.txt" for one in found):
                return LocalWheels([member.name for member in ZipReader(stream, file.stat().st_size).members])
            return read_shelf(stream, file.stat().st_size, environment.python_version, final=True)
    except (BrokenZipError, LargeDirectoryError, OSError):
        return None  # said of the file itself


def beside_of(found: Sequence[FileToCheck], shelf: LocalWheels | None) -> Beside:
    """Reads the files that a requirements.txt may name: of the dags folders and the plugins.zip that are judged too."""
    from jetway.artifacts.mwaa import DAGS_FOLDER, PLUGINS_FOLDER
    from jetway.artifacts.requirements.referenced_files import Beside
    from jetway.artifacts.requirements.requirement_lines import UnreadableError, decode
    from jetway.artifacts.requirements.requirements_file import MAX_BYTES

    folders = {one.folder for one in found if one.folder is not None and one.key.startswith("dags/")}

    def text(path: str) -> str | None:
        if path.startswith(f"{PLUGINS_FOLDER}/"):
            return shelf.text(path) if shelf is not None else None
        for folder in folders:
            file = folder / path.removeprefix(f"{DAGS_FOLDER}/")
            try:
                if file.is_file() and file.stat().st_size <= MAX_BYTES:
                    return decode(file.read_bytes())
            except (OSError, UnreadableError):
                return None
        return None

    return Beside(text, frozenset({DAGS_FOLDER} if folders else ()))
