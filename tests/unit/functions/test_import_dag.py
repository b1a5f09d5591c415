"""import_dag at its edge, where no Airflow is: what it answers, removes and refuses.

What it answers of files is tested where an Airflow is: tests/integration/test_import_dag.py.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import logging
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.sample_events import ROOT

# In a process of its own: importing the handler changes the environment variables and logging of its process.
PROGRAM = """
import json, os, sys
from functions.import_dag import app
class Context:
    def get_remaining_time_in_millis(self): return 120_000
event = {"bundle": {"zip": "no base64 at all!"}, "files": ["a.py"], "options": {}}
answers = [app.handler(event, Context()) for _ in range(2)]
print(json.dumps({"answers": answers, "environment": dict(os.environ), "home": str(app._home)}))
"""
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API")


@functools.cache
def started() -> dict[str, Any]:
    """Start it cold, as Lambda does, where no Airflow can be imported."""
    own = dict.fromkeys(SECRETS, "secret") | {"AIRFLOW__CORE__FERNET_KEY": "secret", "PATH": os.environ["PATH"]}
    paths = [str(ROOT), str(ROOT / "layers/loader")]
    program = f"import sys; sys.path[:0] = {paths!r}; sys.modules['airflow'] = None\n{PROGRAM}"
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=own | kept, capture_output=True, text=True, check=True, timeout=60
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_without_airflow_every_request_is_told_so() -> None:
    """Cold and warm. The gate takes it for its own trouble and not for the file's: tests/unit/loading."""
    first, second = started()["answers"]
    assert first == second
    assert first.keys() == {"unavailable"}
    assert first["unavailable"].startswith("Airflow cannot be imported from the layer: ")


def test_what_is_nobodys_business_is_gone_before_any_file_is_loaded() -> None:
    environment = started()["environment"]
    assert not set(SECRETS) & environment.keys()
    assert "secret" not in environment.values()
    assert environment["AIRFLOW_HOME"] == started()["home"]
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == f"{started()['home']}/dags"


@pytest.fixture(scope="module")
def app() -> Any:
    """The handler's module in this process, which is then as it was."""
    before, disabled = dict(os.environ), logging.root.manager.disable
    there = sys.modules.get("airflow")
    sys.modules["airflow"] = None  # type: ignore[assignment]  # whoever imports it is refused
    try:
        from functions.import_dag import app  # noqa: PLC0415 - where nothing of it stays
    finally:
        os.environ.clear()
        os.environ.update(before)
        logging.disable(disabled)
        del sys.modules["airflow"]
        if there is not None:
            sys.modules["airflow"] = there
    return app


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def served() -> Iterator[Any]:
    """A server of one object, whose address is signed in real life."""

    class Object(BaseHTTPRequestHandler):
        content = b""

        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/bundle.zip?X-Amz-Signature=x" else 403)
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Object)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    Object.address = f"http://127.0.0.1:{server.server_port}/bundle.zip?X-Amz-Signature=x"  # type: ignore[attr-defined]
    yield Object
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bundle_comes_in_the_request_or_from_an_address(app: Any, served: Any) -> None:
    content = zipped(**{"a.py": b"1"})
    assert app._content({"zip": base64.b64encode(content).decode()}) == content
    served.content = content
    assert app._content({"url": served.address}) == content
    with pytest.raises(OSError, match="403"):
        app._content({"url": served.address + "y"})


def test_no_more_is_fetched_than_a_bundle_may_have(app: Any, served: Any) -> None:
    served.content = bytes(app.MOST_SENT + 5000)
    assert len(app._content({"url": served.address})) == app.MOST_SENT + 1, "one byte more, which is no zip then"


def test_a_bundle_is_unpacked_into_its_folder_and_nowhere_else(app: Any, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    app._unpack(zipped(**{"a.py": b"1", "team/b.py": b"2", "../up.py": b"3", "/abs.py": b"4"}), folder)
    found = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*.py")}
    assert found == {"dags/a.py": b"1", "dags/team/b.py": b"2", "dags/up.py": b"3", "dags/abs.py": b"4"}
    assert not Path("/abs.py").exists()


def claiming(bundle: bytes, size: int) -> bytes:
    """The bundle, with a directory that says so of the size of its last member."""
    at = bundle.rindex(b"PK\x01\x02") + 24
    return bundle[:at] + size.to_bytes(4, "little") + bundle[at + 4 :]


@pytest.mark.parametrize("more", [0, 1])
def test_a_bundle_has_a_bound_that_is_looked_at_before_anything_is_unpacked(
    app: Any, tmp_path: Path, more: int
) -> None:
    """A bomb: all members count together, with what the directory says of them."""
    bundle = claiming(zipped(**{"a.py": b"0" * 10_000, "b.py": b"1"}), app.MOST_UNPACKED - 10_000 + more)
    if not more:
        app._unpack(bundle, tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
        return
    with pytest.raises(ValueError, match=r"more than 209,715,200 bytes\.$"):
        app._unpack(bundle, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_zip_is_an_error_of_the_function(app: Any, tmp_path: Path) -> None:
    with pytest.raises(zipfile.BadZipFile):
        app._unpack(b"x" * 101, tmp_path)


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 120_000


@pytest.mark.parametrize("part", ["bundle", "plugins"])
def test_what_cannot_be_fetched_is_no_files_fault(app: Any, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(app, "_airflow", SimpleNamespace(version="3.3.1"))
    there = {"zip": base64.b64encode(zipped(**{"a.py": b"1"})).decode()}
    event = {"bundle": there, "plugins": there, "files": ["a.py"], "options": {}}
    event[part] = {"url": "http://127.0.0.1:9/bundle.zip"}
    said = app.handler(event, Context())
    assert said.keys() == {"unavailable"}
    assert said["unavailable"].startswith("the bundle cannot be fetched: ")


def test_a_home_that_a_link_has_taken_the_place_of_is_not_clean(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is removed behind it: on a laptop it may lead anywhere."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    monkeypatch.setattr(app, "_home", tmp_path / "own")
    assert app._clean()
    assert [file.name for file in (tmp_path / "own").iterdir()] == ["airflow.cfg"], "made anew"
    (tmp_path / "link").symlink_to(tmp_path / "own")
    monkeypatch.setattr(app, "_home", tmp_path / "link")
    assert not app._clean()
    assert (tmp_path / "own" / "airflow.cfg").exists()
