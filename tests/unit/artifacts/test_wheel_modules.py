"""Which modules a distribution brings: from its wheel's directory, or from the table."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.mwaa import known_versions
from jetway.artifacts.requirements import wheel_modules
from jetway.artifacts.requirements.contents import Contents, contents_in
from jetway.artifacts.requirements.index_proxy import named
from jetway.artifacts.requirements.provided import Required, modules_of_distribution, provided
from jetway.artifacts.requirements.wheel_modules import contents_at

from .judging import AIRFLOW_3
from .zips import zip_of

WHEEL = zip_of(
    {
        "acme/__init__.py": b"from acme.x import load\n",
        "acme/x.py": b"def load(): ...",
        "acme-1.dist-info/METADATA": random.Random(1).randbytes(300_000),
        "one.py": b"from acme import *",
    }
)


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        (["a/__init__.py", "a/b.py", "a/c/__init__.py"], {"a", "a.b", "a.c"}),
        (["a-1.data/purelib/a/__init__.py", "a-1.data/platlib/b.so"], {"a", "b"}),
        (["six.py", "six-1.dist-info/RECORD"], {"six"}),
        (["google/cloud/x/__init__.py", "google/cloud/x/y.py"], {"google.cloud.x", "google.cloud.x.y"}),
        (["ns/one.py", "ns/two.py"], {"ns.one", "ns.two"}),
        (["_fast.cpython-312-x86_64-linux-gnu.so", "__pycache__/six.cpython-312.pyc"], {"_fast"}),
        (["a-1.data/scripts/run.py", "../../bin/x", "data/table.csv", "not-a-module.py"], set()),
        ([], set()),
    ],
)
def test_modules_are_told_by_the_names_of_files(names: list[str], modules: set[str]) -> None:
    assert set(contents_in(names).modules) == modules


class Wheels(BaseHTTPRequestHandler):
    """A web server with one wheel; under /whole it knows no ranges."""

    asked: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        if self.path == "/gone.whl":
            self.send_error(404)
            return
        first = int(start) if start else len(WHEEL) - int(end)
        last = int(end) if start else len(WHEEL) - 1
        body = WHEEL[first : last + 1] if self.path == "/acme.whl" else WHEEL
        self.asked.append(len(body))
        self.send_response(206 if self.path == "/acme.whl" else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(WHEEL)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Wheels.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Wheels) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_only_what_could_be_had_is_told(server: str, tmp_path: Path) -> None:
    (tmp_path / "local.whl").write_bytes(WHEEL)
    wheels = {
        "acme": f"{server}/acme.whl",
        "gone": f"{server}/gone.whl",
        "whole": f"{server}/whole.whl",
        "local": (tmp_path / "local.whl").as_uri(),
        "refused": "http://127.0.0.1:9/x.whl",
    }
    assert contents_at(wheels, seconds=30, allowed=(named(server),)) == {
        "acme": Contents({"acme": "load", "acme.x": "load", "one": None})
    }


def test_an_index_leads_to_no_address_that_is_not_public(server: str) -> None:
    assert contents_at({"acme": f"{server}/acme.whl"}, seconds=30) == {}
    assert contents_at({"acme": f"{server}/acme.whl"}, seconds=30, allowed=("127.0.0.1:1",)) == {}
    assert not Wheels.asked


def test_of_a_large_wheel_only_the_directory_is_fetched(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_modules, "_LARGEST_READ", 1)
    found = contents_at({"acme": f"{server}/acme.whl"}, seconds=30, allowed=(named(server),))
    assert found == {"acme": Contents({"acme": None, "acme.x": None, "one": None})}
    assert sum(Wheels.asked) < len(WHEEL) / 2


def test_the_table_knows_what_is_called_otherwise() -> None:
    for name, module in {
        "pyyaml": "yaml",
        "scikit-learn": "sklearn",
        "psycopg2-binary": "psycopg2",
        "beautifulsoup4": "bs4",
        "protobuf": "google.protobuf",
        "apache-airflow-providers-amazon": "airflow.providers.amazon",
        "apache-airflow-providers-microsoft-mssql": "airflow.providers.microsoft.mssql",
    }.items():
        assert module in (modules_of_distribution(name) or ()), name
    assert modules_of_distribution("my-own-package") is None


@pytest.mark.parametrize("version", known_versions())
def test_nearly_all_that_mwaa_installs_is_in_the_table(version: str) -> None:
    found = provided(EnvironmentFacts("acme", "AVAILABLE", version, "acme-airflow", "dags"))
    assert {"airflow", "boto3", "requests", "yaml"} <= set(found["modules"])
    assert len(found["unlisted"]) <= 3, found["unlisted"]


def test_what_wheels_told_goes_before_the_table() -> None:
    contents = {"my-own": Contents({"mine": "a"}), "scikit-learn": Contents({"x": None})}
    found = provided(AIRFLOW_3, Required(dict.fromkeys(["my-own", "scikit-learn", "other"]), contents))
    assert found["inventory"]["contents"].items() >= {"mine": "a", "x": None}.items()
    assert "sklearn" not in found["modules"]
    assert found["unlisted"] == ["other"]
