"""import_dag: loads DAG files with the real Airflow of its layer, and says what came of each.

Its role allows nothing and its environment holds no secret: the files are somebody's code. What to load comes in the
request, or from an address that is signed for one object and a few minutes.

    {"bundle": {"zip": base64} | {"url": text}, "plugins": the same | null, "files": ["team/orders.py"], "options": {…}}
    → {"airflow": "3.3.1", "loaded": [{"path": …, "verdict": …, "findings": […], "dags": […], …}]}
    → {"unavailable": "why nothing can be loaded here"}

With "load": "plugins" or "local-settings" these are judged, too: the last item of "loaded".
"""

from __future__ import annotations

import base64
import io
import logging
import os
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway_loader import calls, settings
from jetway_loader.inventory import Inventory
from jetway_loader.model import Options

if TYPE_CHECKING:
    from jetway_loader.airflow_api import Airflow

MOST_UNPACKED = 200 * 1024**2  # bytes; /tmp has 512 MiB
MOST_SENT = 64 * 1024**2
FETCH_SECONDS = 20
SPARE_SECONDS = 5.0  # to answer in
CHILD_MEMORY = 1024**3  # bytes that loading may take, beside the 0.5 GiB of Airflow itself

_home = Path(tempfile.mkdtemp(prefix="airflow-"))
_dags = _home / "dags"


def _import_airflow() -> Airflow | str:
    """Airflow, imported while Lambda starts the function; or why there is none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API"):
        os.environ.pop(name, None)  # they allow nothing, but are nobody's business
    template = next((file for folder in sys.path for file in Path(folder).parent.glob("airflow-*.db")), None)
    settings.set_up(_home, _dags, template=template)
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
    if isinstance(_airflow, str):
        return {"unavailable": _airflow}
    from jetway_loader import local_settings, plugin_loading, plugins
    from jetway_loader.loading import load

    shutil.rmtree(_dags, ignore_errors=True)
    _dags.mkdir()
    _unpack(_content(event["bundle"]), _dags)
    plugins.clear()
    if event.get("plugins") is not None:
        plugins.unpack(_content(event["plugins"]))
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
        nearest=given["airflow_version"] != _airflow.version,
    )
    try:
        loaded = list(load(_airflow, _dags, event["files"], options))
        if event.get("load") == "plugins":
            loaded.append(plugin_loading.load(_dags, options))
        if event.get("load") == "local-settings":
            loaded.append(local_settings.load(_dags, options))
    finally:
        shutil.rmtree(_dags, ignore_errors=True)
        plugins.clear()
    return {"airflow": _airflow.version, "loaded": [found.as_dict() for found in loaded]}


def _content(bundle: dict[str, str]) -> bytes:
    if "zip" in bundle:
        return base64.b64decode(bundle["zip"])
    with urllib.request.urlopen(bundle["url"], timeout=FETCH_SECONDS) as answer:  # noqa: S310 - signed by the gate
        content: bytes = answer.read(MOST_SENT + 1)
    return content


def _unpack(content: bytes, folder: Path) -> None:
    """Unpack what the gate packed; Python's own extraction keeps every name inside the folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        if sum(member.file_size for member in bundle.infolist()) > MOST_UNPACKED:
            raise ValueError(f"the bundle has more than {MOST_UNPACKED:,} bytes.")
        bundle.extractall(folder)
