"""What plugins.zip brings, in the loader: its files where MWAA has them, and Airflow made to look at them."""

from __future__ import annotations

import ast
import io
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from jetway_loader import paths, settings

MOST_UNPACKED = 64 * 1024**2  # bytes

# Where Airflow 2 (and 3 up to 3.1) keeps what it has found; later versions have functions that remember.
_KEPT = (
    *("plugins", "registered_hooks", "macros_modules", "executors_modules", "admin_views", "flask_blueprints"),
    *("menu_links", "flask_appbuilder_views", "flask_appbuilder_menu_links", "global_operator_extra_links"),
    *("operator_extra_links", "registered_operator_link_classes", "registered_ti_dep_classes", "timetable_classes"),
    *("hook_lineage_reader_classes", "priority_weight_strategy_classes", "fastapi_apps", "fastapi_root_middlewares"),
    *("external_views", "react_apps"),
)
_MANAGERS = ("airflow.plugins_manager", "airflow.sdk.plugins_manager")


class LargePluginsError(ValueError):
    """Unpacked, the zip has more bytes than MOST_UNPACKED."""


def unpack(packed: bytes | BinaryIO) -> None:
    """Put the files of a zip where plugins are; those of the one before go. Python keeps every name inside the folder.

    Raises:
        LargePluginsError: there is no room for it.
        zipfile.BadZipFile, OSError: it cannot be unpacked.
    """
    clear()
    # This process looks for nothing there: it runs nobody's code. Its children forget that (`paths.be_mwaa`).
    sys.path_importer_cache[str(settings.plugins_folder())] = None
    with zipfile.ZipFile(io.BytesIO(packed) if isinstance(packed, bytes) else packed) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED:
            raise LargePluginsError(f"plugins.zip has more than {MOST_UNPACKED:,} bytes.")
        archive.extractall(settings.plugins_folder())


def clear() -> None:
    """Have no plugins."""
    shutil.rmtree(settings.plugins_folder(), ignore_errors=True)


def are_there() -> bool:
    """Whether a plugins.zip was unpacked."""
    return settings.plugins_folder().is_dir()


def forget() -> None:
    """Have Airflow look for plugins when it needs them: when it was warmed up it has seen that there were none."""
    if not are_there():
        return
    for name in _MANAGERS:
        manager: Any = sys.modules.get(name)
        for value in list(vars(manager).values()) if manager else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
        for kept in _KEPT:
            if hasattr(manager, kept):
                setattr(manager, kept, None)
        for kept in ("loaded_plugins", "import_errors"):
            if hasattr(manager, kept):
                getattr(manager, kept).clear()


def here(file: str) -> Path:
    """Where a file of plugins.zip is on this machine, by its path on MWAA."""
    return settings.plugins_folder() / file.removeprefix(f"{paths.PLUGINS}/")


def dotted(file: Path) -> str | None:
    """The name that DAG files import a module of plugins.zip by; None when it has none."""
    parts = file.relative_to(settings.plugins_folder()).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def makes_plugins(file: Path) -> bool:
    """Whether a module evidently has a class that derives from AirflowPlugin, or from a class of that kind."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    bases = {"AirflowPlugin"} | {
        name.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == "AirflowPlugin" and name.asname
    }
    return any(
        isinstance(node, ast.ClassDef)
        and any(_last(base) in bases or _last(base).endswith("Plugin") for base in node.bases)
        for node in tree.body
    )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# Files that a project keeps beside its code, and libraries that were copied in whole: they may want what is not there.
_BESIDE = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "scripts", "bin", "conf", "benchmarks"}
)
_COPIED = frozenset(
    {"vendor", "vendored", "_vendor", "third_party", "thirdparty", "site-packages", "extern", "external"}
)
_BESIDE_FILES = frozenset({"setup.py", "conftest.py", "noxfile.py", "fabfile.py", "tasks.py"})


def is_beside(file: Path) -> bool:
    """Whether nobody minds that a module cannot be imported: a test, a script, a part of a library that was copied."""
    parts = file.relative_to(settings.plugins_folder()).parts
    folders = {part.lower() for part in parts[:-1]}
    name = parts[-1]
    if folders & (_BESIDE | _COPIED) or name in _BESIDE_FILES or name.startswith("test_") or name.endswith("_test.py"):
        return True
    return len(parts) > 1 and parts[0] in _installed()


def _installed() -> set[str]:
    """Packages at the root that pip has put there (`pip install --target`): it leaves a list of their files."""
    found = set[str]()
    for record in settings.plugins_folder().glob("*.dist-info/RECORD"):
        text = record.read_text(encoding="utf-8", errors="replace")
        found.update(line.partition("/")[0] for line in text.splitlines() if "/" in line)
    for listed in settings.plugins_folder().glob("*.*-info/top_level.txt"):
        found.update(listed.read_text(encoding="utf-8", errors="replace").split())
    return found
