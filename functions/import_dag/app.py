"""import_dag: loads DAG files with the real Airflow of its layer, and says what came of each.

Its role allows nothing, and the process is started without its credentials (layers/loader/without-credentials): the
files are somebody's code. What to load comes in the request, or from an address that is signed for one object and a few
minutes. Each request finds a clean sandbox; a process that cannot be made clean ends, with exit status 75.

    {"bundle": {"zip": base64} | {"url": text}, "plugins": the same | null, "files": ["team/orders.py"], "options": {…}}
    → {"airflow": "3.3.1", "loaded": [{"path": …, "verdict": …, "findings": […], "dags": […], …}]}
    → {"unavailable": "why nothing can be loaded here"}

With "load": "plugins" or "local-settings" these are judged, too: the last item of "loaded".
"""

from __future__ import annotations

import base64
import errno
import io
import logging
import os
import sys
import tempfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import calls, jail, sandbox, settings
from jetway_loader.inventory import Inventory
from jetway_loader.model import Options

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow

MOST_UNPACKED = 200 * 1024**2  # bytes; /tmp has 512 MiB
MOST_SENT = 64 * 1024**2
FETCH_SECONDS = 20
SPARE_SECONDS = 5.0  # to answer in
CHILD_MEMORY = 1024**3  # bytes that loading may take, beside the 0.5 GiB of Airflow itself

# What a system says that has nothing left to give: no file's fault, but that of one before it.
_EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.EROFS}
)

_others = jail.children()  # none in Lambda
_is_ours = sandbox.is_ours()
_is_clean = not _is_ours or sandbox.wipe()  # a sandbox whose process has ended keeps its /tmp for the next one
_home = Path(tempfile.mkdtemp(prefix="airflow-"))
_dags = _home / "dags"


def _template() -> Path | None:
    """The database of the layer, for Airflow 2."""
    return next((file for folder in sys.path for file in Path(folder).parent.glob("airflow-*.db")), None)


def _import_airflow() -> Airflow | str:
    """Airflow, imported while Lambda starts the function; or why there is none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API"):
        os.environ.pop(name, None)  # they allow nothing, but are nobody's business
    settings.set_up(_home, _dags, template=_template())
    calls.install()
    logging.disable(logging.CRITICAL)
    from jetway_loader import airflow_api

    try:
        airflow = airflow_api.load_airflow()
    except ImportError as exc:
        return f"Airflow cannot be imported from the layer: {exc}"
    airflow_api.warm_up(airflow)
    return airflow


_airflow = _import_airflow()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Load the files that the request names."""
    global _is_clean  # noqa: PLW0603 - of the process, which Lambda uses again
    if isinstance(_airflow, str):
        return {"unavailable": _airflow}
    if not _is_clean:
        os._exit(sandbox.SPENT)
    try:
        return _load(_airflow, event, context)
    except _FetchError as exc:
        return {"unavailable": f"the bundle cannot be fetched: {exc}"}
    except MemoryError:
        os._exit(sandbox.SPENT)
    except OSError as exc:
        if exc.errno in _EXHAUSTED:
            os._exit(sandbox.SPENT)
        raise
    finally:
        _is_clean = _clean()


class _FetchError(Exception):
    """What is to be loaded could not be fetched."""


def _load(airflow: Airflow, event: dict[str, Any], context: Any) -> dict[str, Any]:
    from jetway_loader import local_settings, plugin_loading
    from jetway_loader.loading import load

    try:
        bundle = _content(event["bundle"])
        plugins = None if event.get("plugins") is None else _content(event["plugins"])
    except (OSError, HTTPException) as exc:
        raise _FetchError(exc) from exc
    unpacked = _Unpacked(bundle, plugins)
    given = event["options"]
    left = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    options = Options(
        import_timeout=float(given["import_timeout"]),
        patience=max(1.0, left / max(1, len(event["files"]))),
        memory=CHILD_MEMORY,
        provided=frozenset(given.get("provided", ())),
        inventory=Inventory.parse(given.get("inventory")),
        binaries=frozenset(given.get("binaries", ())),
        unlisted=frozenset(given.get("unlisted", ())),
        airflow_options=given.get("airflow_options", {}),
        partial=given.get("partial", False),
        nearest=given["airflow_version"] != airflow.version,
    )
    between = unpacked.renew if len(event["files"]) > 1 else lambda: None
    loaded = list(load(airflow, _dags, event["files"], options, between=between))
    if event.get("load") == "plugins":
        loaded.append(plugin_loading.load(_dags, options))
    if event.get("load") == "local-settings":
        loaded.append(local_settings.load(_dags, options))
    return {"airflow": airflow.version, "loaded": [found.as_dict() for found in loaded]}


def _clean() -> bool:
    """Take away all that a load has left, and make the home anew; return whether that is done."""
    if jail.children() - _others or not (sandbox.wipe() if _is_ours else sandbox.empty(_home)):
        return False
    try:
        _home.mkdir(0o700, exist_ok=True)
        settings.furnish(_home, _template())
    except OSError:
        return False
    return True


class _Unpacked:
    """The folders as the gate has packed them."""

    def __init__(self, bundle: bytes, plugins: bytes | None) -> None:
        self._bundle, self._plugins = bundle, plugins
        self._unpack()

    def renew(self) -> None:
        """Have them as they were, whatever a file has changed."""
        try:
            same = sandbox.state(_place()) == self._before
        except OSError:
            same = False
        if not same:
            if not _clean():
                os._exit(sandbox.SPENT)
            self._unpack()

    def _unpack(self) -> None:
        from jetway_loader import plugins

        _dags.mkdir()
        _unpack(self._bundle, _dags)
        if self._plugins is not None:
            plugins.unpack(self._plugins)
        self._before = sandbox.state(_place())


def _place() -> Path:
    return Path(tempfile.gettempdir()) if _is_ours else _home


def _content(bundle: dict[str, str]) -> bytes:
    if "zip" in bundle:
        return base64.b64decode(bundle["zip"])
    with urllib.request.urlopen(bundle["url"], timeout=FETCH_SECONDS) as answer:  # noqa: S310 - signed by the gate
        content: bytes = answer.read(MOST_SENT + 1)
    return content


def _unpack(content: bytes, folder: Path) -> None:
    """Unpack what the gate packed; Python's own extraction keeps every name inside the folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        size = sum(member.file_size for member in bundle.infolist())
        if size > MOST_UNPACKED:
            raise ValueError(f"the bundle has more than {MOST_UNPACKED:,} bytes.")
        if not sandbox.has_room(size, 2 * len(bundle.infolist())):
            raise OSError(errno.ENOSPC, "no room for the bundle")
        bundle.extractall(folder)
