"""Python's own functions that take a path, led to where MWAA's paths are here (paths.py).

Each stands in a table with the names of its paths. They are replaced once, before Airflow is imported, wherever a
module that is there already holds one, and pass everything on until a child leads. So whatever is written in Python is
led: pathlib, glob, os.path, shutil, tokenize, importlib, configparser, Jinja, pandas.
"""

from __future__ import annotations

import _imp
import builtins
import io
import os
import posix
import posixpath
import subprocess
import sys
from abc import ABCMeta
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any

from jetway_loader.paths import PATHS, as_on_mwaa, told_to_programs

_READ, _WRITE, _LIST = "read", "write", "list"

# Function of `posix` → its paths, in order, and what it does with each.
_TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(
        ("stat", "lstat", "access", "readlink", "statvfs", "pathconf", "chdir", "getxattr", "listxattr", "open"),
        (("path", _READ),),
    ),
    **dict.fromkeys(("listdir", "scandir"), (("path", _LIST),)),
    **dict.fromkeys(
        [
            *("mkdir", "rmdir", "unlink", "remove", "mkfifo", "mknod", "truncate", "utime"),
            *("chmod", "lchmod", "chown", "lchown", "chflags", "setxattr", "removexattr"),
        ],
        (("path", _WRITE),),
    ),
    **dict.fromkeys(("rename", "replace"), (("src", _WRITE), ("dst", _WRITE))),
    "link": (("src", _READ), ("dst", _WRITE)),
    "symlink": (("src", ""), ("dst", _WRITE)),
}
_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Led:
    """A function whose paths are led. No function of Python's, so that a class that holds one gets no method of it."""

    def __init__(self, original: Any, paths: tuple[tuple[str, str], ...]) -> None:
        self._paths = paths
        self.__wrapped__ = original
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = original.__module__
        self.__doc__ = original.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the original."""
        if PATHS.leads:
            args, kwargs = self._led(args, kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> str:
        return str(self.__name__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def _led(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if any(kwargs.get(name) is not None for name in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            return args, kwargs  # relative to a folder that was opened, and led, before
        given = list(args)
        for number, (name, does) in enumerate(self._paths):
            if number < len(given):
                given[number] = self._lead(given[number], does, args, kwargs)
            elif name in kwargs:
                kwargs = {**kwargs, name: self._lead(kwargs[name], does, args, kwargs)}
        return tuple(given), kwargs

    def _lead(self, path: Any, does: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not does:
            return path
        return PATHS.to(path, writes=does == _WRITE or self.writes(args, kwargs), lists=does == _LIST)

    def writes(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> bool:
        """Whether the call makes or changes something, where its name does not tell."""
        return False


class _Open(Led):
    def writes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
        return isinstance(mode, str) and any(letter in mode for letter in "wax+")


class _PosixOpen(Led):
    def writes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        flags = args[1] if len(args) > 1 else kwargs.get("flags", 0)
        return isinstance(flags, int) and bool(flags & _FLAGS)


class _Connect(Led):
    """A database that is not there is made."""

    def writes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return not _exists(PATHS.to(args[0] if args else kwargs.get("database")))


class _Mkdir(Led):
    def _lead(self, path: Any, does: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        there = PATHS.to(path)
        return there if _exists(there) else super()._lead(path, does, args, kwargs)


class _Listdir(Led):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = super().__call__(*args, **kwargs)
        beside = PATHS.written_beside(args[0] if args else kwargs.get("path")) if PATHS.leads else None
        return names if beside is None else sorted({*names, *self.__wrapped__(beside)})


class _Scandir(Led):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = super().__call__(*args, **kwargs)
        path = args[0] if args else kwargs.get("path")
        if not PATHS.leads or path is None or isinstance(path, int) or PATHS.to(path) is path:
            return found
        beside = PATHS.written_beside(path)
        return _Entries(os.fspath(path), found, None if beside is None else self.__wrapped__(beside))


class _Entries:
    """What os.scandir gives, with the paths that were asked for."""

    def __init__(self, path: Any, *found: Any) -> None:
        self._path, self._found = path, [entries for entries in found if entries is not None]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while self._found:
            for entry in self._found[-1]:
                return _Entry(entry, posixpath.join(self._path, entry.name))
            self._found.pop().close()
        raise StopIteration

    def __enter__(self) -> _Entries:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """As of os.scandir's."""
        for entries in self._found:
            entries.close()
        self._found = []


class _Entry:
    """An os.DirEntry with the path that was asked for."""

    def __init__(self, entry: Any, path: Any) -> None:
        self._entry, self.path, self.name = entry, path, entry.name

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return repr(self._entry)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)


class _Cwd(Led):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = self.__wrapped__(*args, **kwargs)
        seen = as_on_mwaa(os.fsdecode(found), PATHS.mounts)
        return os.fsencode(seen) if isinstance(found, bytes) else seen


class _Start(Led):
    """What starts programs: those are not led, so their arguments are MWAA's no more."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (
            self.__wrapped__(*map(_for_programs, args), **kwargs) if PATHS.leads else self.__wrapped__(*args, **kwargs)
        )


def _for_programs(given: Any) -> Any:
    if isinstance(given, list | tuple):
        return type(given)([_for_programs(part) for part in given])
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if isinstance(given, str):
        return told_to_programs(given, PATHS.mounts)
    if isinstance(given, bytes):
        return os.fsencode(told_to_programs(os.fsdecode(given), PATHS.mounts))
    return given


class _Dynamic(Led):
    """Loads a compiled module, by the path that its spec has."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        spec = args[0]
        origin = spec.origin
        spec.origin = PATHS.to(origin)
        try:
            return self.__wrapped__(*args, **kwargs)
        finally:
            spec.origin = origin


class _AnyFileIO(ABCMeta):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _FileIO)


_FileIO = io.FileIO


class FileIO(_FileIO, metaclass=_AnyFileIO):
    """io.FileIO, led; whatever open() gives is one, too."""

    def __init__(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> None:
        """As of io.FileIO."""
        writes = any(letter in mode for letter in "wax+")
        super().__init__(PATHS.to(file, writes=writes) if PATHS.leads else file, mode, *args, **kwargs)


def install() -> None:
    """Replace the functions in this process: before Airflow is imported, and once."""
    if isinstance(builtins.open, Led):
        return
    led: dict[int, Led] = {}
    special = {"open": _PosixOpen, "mkdir": _Mkdir, "listdir": _Listdir, "scandir": _Scandir}
    for name, paths in _TABLE.items():
        if hasattr(posix, name):
            _replace(posix, name, special.get(name, Led)(getattr(posix, name), paths), led)
    for name in ("getcwd", "getcwdb"):
        _replace(posix, name, _Cwd(getattr(posix, name), ()), led)
    for name in ("system", "posix_spawn", "posix_spawnp", "execv", "execve"):
        _replace(posix, name, _Start(getattr(posix, name), ()), led)
    _replace(subprocess, "_fork_exec", _Start(subprocess._fork_exec, ()), led)  # type: ignore[attr-defined]
    _replace(io, "open", _Open(io.open, (("file", _READ),)), led)
    _replace(io, "open_code", Led(io.open_code, (("path", _READ),)), led)
    _replace(_imp, "create_dynamic", _Dynamic(_imp.create_dynamic, ()), led)
    _in_c(led)
    for module in list(sys.modules.values()):
        _replace_in(module, led)
    sys.modules["_io"].FileIO = io.FileIO = FileIO  # type: ignore[attr-defined, misc]
    for group in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        group.update([led[id(function)] for function in group if id(function) in led])


def _in_c(led: dict[int, Led]) -> None:
    """Lead what opens files in C: SQLite and shared libraries."""
    try:
        import _ctypes
        import _sqlite3
        import sqlite3.dbapi2  # noqa: F401 - holds the function, too
    except ImportError:  # a Python that was built without
        return
    _replace(_sqlite3, "connect", _Connect(_sqlite3.connect, (("database", _READ),)), led)
    _replace(_ctypes, "dlopen", Led(_ctypes.dlopen, (("name", _READ),)), led)


def _replace(module: ModuleType, name: str, put: Led, led: dict[int, Led]) -> None:
    led[id(put.__wrapped__)] = put
    setattr(module, name, put)


def _replace_in(module: ModuleType, led: dict[int, Led]) -> None:
    """Replace what a module has taken over by its own name, also in its classes."""
    # A name that is not to be imported stands among the modules as None.
    if getattr(module, "__name__", None) in {None, "jetway_loader.paths"}:
        return
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if id(value) in led:
            setattr(module, name, led[id(value)])
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for own, held in list(vars(value).items()):
                inner = held.__func__ if isinstance(held, staticmethod) else held
                if id(inner) in led:
                    put = led[id(inner)]
                    setattr(value, own, staticmethod(put) if isinstance(held, staticmethod) else put)


def _exists(path: Any) -> bool:
    return isinstance(path, str | bytes | os.PathLike) and os.path.lexists(path)
