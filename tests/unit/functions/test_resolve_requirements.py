"""resolve_requirements at its edge: requirements in, versions and contents or uv's words out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from functions.resolve_requirements import app
from jetway.artifacts.requirements.index_proxy import named
from tests.unit.artifacts.zips import wheel
from tests.unit.template.source import RESOURCES

from .edge import Context

FILES = dict([wheel("alpha", "1.0"), wheel("beta", "1.0", "alpha<2"), wheel("celery", "5.6.3")])


class Index(SimpleHTTPRequestHandler):
    """A folder as a package index, which knows ranges as indexes do."""

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if span is None or not path.is_file():
            return super().do_GET()
        content = path.read_bytes()
        first, _, last = span.removeprefix("bytes=").partition("-")
        start, end = (int(first), min(int(last or len(content)), len(content) - 1)) if first else (-int(last), None)
        part = content[start:] if end is None else content[start : end + 1]
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        at = len(content) + start if start < 0 else start
        self.send_header("Content-Range", f"bytes {at}-{at + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("index")
    for name, content in FILES.items():
        project = folder / name.partition("-")[0]
        project.mkdir(exist_ok=True)
        (project / name).write_bytes(content)
        (project / "index.html").write_text(f'<a href="{name}">{name}</a>')
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(index: str, *requirements: str, **more: Any) -> dict[str, Any]:
    event = {"requirements": requirements, "constraints": [], "python": "3.12.13", "index_url": index, **more}
    event["allowed"] = [named(index)]
    before = dict(event)
    answer = app.handler(event, Context())  # type: ignore[arg-type]  # as Lambda has it
    assert event == before, "what Lambda gives is not changed"
    return answer


def test_versions_wheels_and_contents_are_told_time_after_time(index: str) -> None:
    for _ in range(2):
        answer = ask(index, "beta", known=["alpha==1.0"])
        assert (answer["status"], answer["said"]) == ("resolved", "")
        assert answer["versions"] == {"alpha": "1.0", "beta": "1.0"}
        assert answer["wheels"]["alpha"].endswith("alpha-1.0-py3-none-any.whl")
        assert answer["contents"].keys() == {"beta"}, "what is known is not asked for"
    assert ask(index, "beta")["contents"].keys() == {"alpha", "beta"}


@pytest.mark.parametrize(
    ("requirements", "constraints", "status"),
    [(["alpha==2"], [], "not-found"), (["beta"], ["alpha==3"], "conflict"), (["omega"], [], "not-found")],
)
def test_what_cannot_be_is_an_answer_and_no_error(
    index: str, requirements: list[str], constraints: list[str], status: str
) -> None:
    answer = ask(index, *requirements, constraints=constraints)
    assert answer["status"] == status
    assert answer["said"]
    assert (answer["versions"], answer["wheels"], answer["contents"]) == ({}, {}, {})


def test_an_index_that_is_not_there_is_not_told_from_the_file() -> None:
    answer = ask("http://127.0.0.1:9/", "alpha")
    assert (answer["status"], answer["contents"]) == ("not-resolved", {})
    assert answer["said"].startswith("no index: ")


def test_time_enough_is_left_to_answer() -> None:
    """Lambda ends the function after its Timeout; the gate then knows nothing."""
    assert RESOURCES["ResolveRequirements"]["Properties"]["Timeout"] > app.SECONDS_FOR_UV + app.SECONDS_FOR_CONTENTS


def test_a_question_of_another_shape_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError):
        app.handler({"requirement": []}, Context())  # type: ignore[arg-type]
