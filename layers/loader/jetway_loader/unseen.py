"""Variables, Connections, environment variables and the network: what a file may ask for and the gate does not have.

Their absence is no error here. Who asks gets a stand-in, or the default that the file itself gives, and it is noted:
a failure after that may be due to the stand-in, and is then not certain.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from jetway_loader import settings

Note = Callable[[str, str, int | None], None]

# What has a value that a file may make a dag_id of; a package that stands in has none that Airflow would take.
VALUES = frozenset({"Variable", "Connection", "environment variable"})
_NOTHING: Any = object()


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
        folder: the dags folder; only what its files and those of plugins.zip ask for is answered with stand-ins.
        note: gets what was asked for ("Variable", "Connection", "environment variable", "network"), its name and the
            line in the judged file.
        line: tells the line of the judged file that is being run.
    """

    def __init__(self, folder: Path, note: Note, line: Callable[[], int | None]) -> None:
        self._folders = (str(folder), str(settings.plugins_folder()))
        self._note, self._line = note, line
        self._values: dict[str, UnseenText] = {}

    def install(self) -> None:
        """Replace what reads Variables, Connections and environment variables, and close the network."""
        self._variables("airflow.models.variable", "Variable", "default_var")
        self._variables("airflow.sdk", "Variable", "default")
        self._connections()
        self._environment_variables()
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
        unseen, environ = self, type(os.environ)
        get_item = environ.__getitem__

        def of_environ(variables: Any, name: str) -> str:
            try:
                return get_item(variables, name)
            except KeyError:
                if not unseen._asked_by_file(sys._getframe(1)):
                    raise
                return unseen.value("environment variable", str(name))

        def get(variables: Any, name: str, default: Any = None) -> Any:
            try:
                return get_item(variables, name)
            except KeyError:
                frame: FrameType | None = sys._getframe(1)
                if frame is not None and frame.f_code.co_name == "getenv":
                    frame = frame.f_back
                if frame is not None and unseen._asked_by_file(frame):
                    unseen._note("environment variable", str(name), unseen._line())
                return default

        environ.__getitem__ = of_environ  # type: ignore[method-assign]
        environ.get = get  # type: ignore[method-assign, assignment]

    def _asked_by_file(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._folders)

    @staticmethod
    def _json() -> None:
        loads = json.loads

        def unseen_loads(text: Any, *args: Any, **kwargs: Any) -> Any:
            return UnseenMapping() if isinstance(text, UnseenText) else loads(text, *args, **kwargs)

        json.loads = unseen_loads  # type: ignore[assignment]

    def _network(self) -> None:
        """Refuse connections, and the look-up of names, so that none is waited for. Local sockets of files stay."""

        def audit(event: str, args: tuple[Any, ...]) -> None:
            if event == "socket.connect":
                address = args[1]
                host = address[0] if isinstance(address, tuple) else ""
            elif event == "socket.getaddrinfo":
                host = args[0]
            else:
                return
            name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
            if name:
                self._note("network", name, self._line())
                raise UnseenNetworkError(f"the network is not there while a file is loaded (it reached for {name})")

        sys.addaudithook(audit)


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None  # Airflow 2 has no SDK
