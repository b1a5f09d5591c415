"""Variables, Connections, environment variables and the network: what a file may ask for and the gate does not have.

Their absence is no error here. Who asks gets a stand-in, or the default that the file itself gives, and it is noted:
a failure that something made of it may have reached is not certain.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from jetway_loader import paths

if TYPE_CHECKING:
    from jetway_loader.source_lines import Sightings

Note = Callable[[str, str, int | None], None]

_NOTHING: Any = object()
# Audited looks at what is outside; and the modules that users' code asks through.
_LOOKS = frozenset({"open", "os.listdir", "os.scandir", "subprocess.Popen", "os.system", "os.posix_spawn"})
_PARSERS = ("configuration.py", "parser.py")
_PATHS = (
    *("os.py", "genericpath.py", "posixpath.py", "<frozen os>", "<frozen genericpath>", "<frozen posixpath>"),
    *("pathlib.py", "pathlib/_local.py", "glob.py", "shutil.py", "subprocess.py", "configparser.py"),
)


class UnseenNetworkError(OSError):
    """A file reached for the network while it was loaded; the loader has none."""


class UnseenText(str):
    """A Variable's or environment variable's value: a small number, which passes for most things."""

    __slots__ = ()

    def __int__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __getitem__(self, key: Any) -> Any:
        return self if isinstance(key, str) else super().__getitem__(key)

    def get(self, _key: Any, default: Any = None) -> Any:
        """As of a mapping: a text that was JSON may have been meant."""
        return self if default is None else default


class UnseenMapping(dict[str, Any]):
    """A Variable's value read as JSON: has every key and no item."""

    def __missing__(self, key: str) -> Any:
        return UnseenText("1")

    def get(self, _key: str, default: Any = None) -> Any:
        """The default where there is one."""
        return UnseenText("1") if default is None else default


class Unseen:
    """Puts stand-ins in place, in the child that loads a file.

    Args:
        sightings: tells whether users' code asks, and at which line.
        note: gets what was asked for ("Variable", "Connection", "environment variable", "network"), its name and the
            line in the judged file.
    """

    def __init__(self, sightings: Sightings, note: Note) -> None:
        self._sightings, self._note = sightings, note
        self._line = sightings.line
        self._values: dict[str, UnseenText] = {}

    def install(self) -> None:
        """Replace what reads Variables, Connections and environment variables, and close the network."""
        self._variables("airflow.models.variable", "Variable", "default_var")
        self._variables("airflow.sdk", "Variable", "default")
        self._connections()
        self._environment_variables()
        self._options()
        self._files()
        self._distributions()
        self._database()
        self._json()
        self._network()

    def value(self, what: str, name: str) -> UnseenText:
        """A stand-in of its own for each name: two Variables may become two task ids."""
        self._note(what, name, self._line())
        return self._values.setdefault(f"{what} {name}", UnseenText(len(self._values) + 1))

    def _variables(self, module: str, name: str, default_name: str) -> None:
        variable = getattr(_imported(module), name, None)
        if variable is None:
            return

        def get(key: str, *args: Any, **kwargs: Any) -> Any:
            default = args[0] if args else kwargs.get(default_name, _NOTHING)
            as_json = args[1] if len(args) > 1 else kwargs.get("deserialize_json", False)
            if default is not _NOTHING:
                self._note("Variable", key, self._line())
                return default
            found = self.value("Variable", key)
            return UnseenMapping() if as_json else found

        def change(key: str, *_args: Any, **_kwargs: Any) -> None:
            self._note("Variable", key, self._line())

        variable.get = staticmethod(get)
        for method in ("set", "update", "delete"):
            if hasattr(variable, method):
                setattr(variable, method, staticmethod(change))

    def _connections(self) -> None:
        for module in ("airflow.models.connection", "airflow.sdk"):
            connection = getattr(_imported(module), "Connection", None)
            if connection is None:
                continue

            def get(conn_id: str, *_args: Any, connection: Any = connection, **_kwargs: Any) -> Any:
                self._note("Connection", conn_id, self._line())
                return connection(
                    conn_id=conn_id, conn_type="unseen", host="unseen", login="unseen", password="", extra="{}"
                )

            for method in ("get", "get_connection_from_secrets"):
                if hasattr(connection, method):
                    setattr(connection, method, staticmethod(get))
        # Hooks of both versions go through get_connection_from_secrets or Connection.get.

    def _environment_variables(self) -> None:
        """What a file finds there is this machine's, and what it does not find may be there."""
        unseen, environ, own = self, type(os.environ), set(paths.VARIABLES)
        get_item, set_item, over = environ.__getitem__, environ.__setitem__, environ.__iter__

        def see(name: str) -> None:
            if name not in own and unseen._sightings.asks():
                unseen._note("environment variable", name, unseen._line())

        def item(variables: Any, name: Any) -> str:
            see(str(name))
            try:
                return get_item(variables, name)
            except KeyError:
                if not unseen._sightings.is_users(sys._getframe(1).f_code.co_filename):
                    raise
                return unseen.value("environment variable", str(name))

        def get(variables: Any, name: Any, default: Any = None) -> Any:
            see(str(name))
            try:
                return get_item(variables, name)
            except KeyError:
                return default

        def contains(variables: Any, name: Any) -> bool:
            see(str(name))
            try:
                get_item(variables, name)
            except KeyError:
                return False
            return True

        def iterate(variables: Any) -> Iterator[str]:
            see("*")
            return over(variables)

        def put(variables: Any, name: Any, value: Any) -> None:
            set_item(variables, name, value)
            if unseen._sightings.is_users(sys._getframe(1).f_code.co_filename):
                own.add(name)  # what the file says itself is seen

        environ.__getitem__ = item  # type: ignore[method-assign]
        environ.get = get  # type: ignore[method-assign, assignment]
        environ.__contains__ = contains  # type: ignore[method-assign]
        environ.__iter__ = iterate  # type: ignore[method-assign]
        environ.__setitem__ = put  # type: ignore[method-assign]

    def _options(self) -> None:
        """Airflow's configuration: the environment has its own."""
        for module in ("airflow.configuration", "airflow.sdk.configuration"):
            parser: Any = type(getattr(_imported(module), "conf", None))
            if not hasattr(parser, "get") or getattr(parser.get, "asked_by_files", False):
                continue

            def get(this: Any, section: str, key: str, *args: Any, original: Any = parser.get, **kwargs: Any) -> Any:
                known = f"AIRFLOW__{section}__{key}".upper() in paths.VARIABLES
                if not known and self._sightings.asks(through=_PARSERS):
                    self._note("configuration option", f"{section}.{key}", self._line())
                return original(this, section, key, *args, **kwargs)

            parser.get = get
            parser.get.asked_by_files = True

    def _files(self) -> None:
        """Files and folders that a file looks for, and that are not there: in the environment they may be."""
        stat = os.stat

        def look(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            try:
                return stat(path, *args, **kwargs)
            except OSError:
                self._saw_file(path)
                raise

        os.stat = look

    def _distributions(self) -> None:
        """Metadata of packages that are not installed here, and are there."""
        found = metadata.Distribution.from_name

        def from_name(name: str) -> Any:
            try:
                return found(name)
            except metadata.PackageNotFoundError:
                if self._sightings.asks(through=("metadata/__init__.py",)):
                    self._note("package", name, self._line())
                raise

        metadata.Distribution.from_name = staticmethod(from_name)  # type: ignore[method-assign]

    def _database(self) -> None:
        """What Airflow's metadata database holds: the one here is empty."""
        engine = getattr(_imported("sqlalchemy.engine"), "Engine", None)
        if engine is None:
            return

        def asked(*_args: Any) -> None:
            if self._sightings.line() is not None:
                self._note("database", "of Airflow", self._line())

        _imported("sqlalchemy.event").listen(engine, "before_cursor_execute", asked)

    @staticmethod
    def _json() -> None:
        loads = json.loads

        def unseen_loads(text: Any, *args: Any, **kwargs: Any) -> Any:
            return UnseenMapping() if isinstance(text, UnseenText) else loads(text, *args, **kwargs)

        json.loads = unseen_loads  # type: ignore[assignment]

    def _network(self) -> None:
        """Refuse connections, and the look-up of names, so that none is waited for. Local sockets of files stay."""

        def audit(event: str, args: tuple[Any, ...]) -> None:
            if event == "socket.gethostname" and self._sightings.asks():
                self._note("host name", "of this machine", self._line())
            if event in _LOOKS:
                self._saw_file(args[0] if args else None)
                return
            if event == "socket.connect":
                address = args[1]
                if isinstance(address, str | bytes):  # of this machine; a file's own is out of reach, too (jail.py)
                    self._note("network", "a socket of this machine", self._line())
                host = address[0] if isinstance(address, tuple) else ""
            elif event == "socket.getaddrinfo":
                host = args[0]
            else:
                return
            name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
            if name:
                self._note("network", name, self._line())
                raise UnseenNetworkError(
                    f"the network is not available while a file is loaded (the file tried to reach {name})"
                )

        sys.addaudithook(audit)

    def _saw_file(self, path: Any) -> None:
        """A file is looked for, opened, listed or started: what is not of the folder is this machine's, if at all."""
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        seen = paths.as_on_mwaa(os.path.realpath(name), paths.PATHS.mounts)  # the look is led already
        inside = self._sightings.is_users(seen + os.sep)
        if name and not inside and self._sightings.asks(through=_PATHS):
            self._note("file", name, self._line())


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None  # Airflow 2 has no SDK
