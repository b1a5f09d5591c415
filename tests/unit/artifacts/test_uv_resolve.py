"""Resolving with the real uv, from an index of our own on loopback: wheels made here, conflicts in uv's words."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import pytest

from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.requirements.index_proxy import named
from jetway.artifacts.requirements.local_wheels import LocalWheels
from jetway.artifacts.requirements.requirement_resolution import resolved
from jetway.artifacts.requirements.requirements_file import check_requirements
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest, emptied, resolve
from tools import venvs

from .judging import AIRFLOW_3, rules
from .zips import wheel

OWN = "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.1/constraints-3.12.txt"


@pytest.fixture(scope="module")
def uv() -> str:
    return str(venvs.python_with_pip().with_name("uv"))


class Quiet(SimpleHTTPRequestHandler):
    """A folder as a package index; its log is a list of paths."""

    asked: ClassVar[list[str]] = []

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=0")  # as those of companies have it
        super().end_headers()

    def do_GET(self) -> None:
        what, _, rest = self.path[1:].partition("/")
        if what == "to":
            self.send_response(302)
            self.send_header("Location", unquote(rest))
            self.end_headers()
        elif what == "says":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(unquote(rest).encode())
        else:
            super().do_GET()

    def log_message(self, *args: Any) -> None:
        self.asked.append(self.path)


FILES = dict(
    [
        wheel("alpha", "1.0", "celery>=5"),
        wheel("alpha", "2.0", "celery>=6"),
        wheel("beta", "1.0", "alpha<2"),
        wheel("gamma", "1.0", tag="cp39-cp39-win_amd64"),
        wheel("celery", "5.6.3"),
        wheel("celery", "6.0"),
        ("delta-1.0.tar.gz", b"no archive"),
    ]
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A simple index: https://peps.python.org/pep-0503/"""
    folder = tmp_path_factory.mktemp("index")
    for name, content in FILES.items():
        project = folder / name.partition("-")[0]
        project.mkdir(exist_ok=True)
        (project / name).write_bytes(content)
        (project / "index.html").write_text(
            "".join(
                f'<a href="{file.name}#sha256={sha256(file.read_bytes()).hexdigest()}">{file.name}</a>'
                for file in project.iterdir()
                if file.suffix != ".html"
            )
        )
    (folder / "constraints.txt").write_text("# of ours\nalpha<2\n")
    (folder / "strict.txt").write_text("alpha==2.0\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(uv: str, index: str, *requirements: str, **more: Any) -> Resolution:
    operators = more.pop("allowed", (named(index),))
    question = ResolutionRequest(
        requirements, ("celery==5.6.3",), "3.12.13", index_url=index, allowed=operators, **more
    )
    return resolve(question, uv, seconds=60)


def test_versions_and_wheels_are_told(uv: str, index: str) -> None:
    answer = ask(uv, index, "beta", "celery")
    assert (answer.status, dict(answer.versions)) == ("resolved", {"alpha": "1.0", "beta": "1.0", "celery": "5.6.3"})
    assert answer.wheels["alpha"] == f"{index}alpha/alpha-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("requirements", "status", "words"),
    [
        (["alpha==2.0"], "conflict", "depends on celery>=6"),
        (["beta", "alpha>1"], "conflict", "unsatisfiable"),
        (["omega==1"], "not-found", "omega was not found"),
        (["alpha==9"], "not-found", "there is no version of alpha==9"),
        (["gamma"], "conflict", "only found wheels for `gamma`"),
        (["delta"], "not-resolved", "delta"),
    ],
)
def test_what_cannot_be_is_told_in_uvs_words(
    uv: str, index: str, requirements: list[str], status: str, words: str
) -> None:
    answer = ask(uv, index, *requirements)
    assert answer.status == status, answer.said
    assert words in answer.said
    assert "\n" not in answer.said


def metadata(name: str, version: str, *requires: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {line}\n" for line in requires
    )


def test_wheels_at_hand_serve_beside_the_index_and_without_one(uv: str, index: str) -> None:
    mine = {"mine-1.0-py3-none-any.whl": metadata("mine", "1.0", "alpha<2", "nowhere ; extra == 'more'")}
    beside = ask(uv, index, "mine", wheels=mine)
    assert dict(beside.versions) == {"alpha": "1.0", "celery": "5.6.3", "mine": "1.0"}
    assert "mine" not in beside.wheels
    alone = ask(uv, index, "mine", wheels=mine, no_index=True)
    assert alone.status == "not-found"
    assert "alpha was not found in the provided package locations" in alone.said
    both = mine | {"alpha-1-py3-none-any.whl": metadata("alpha", "1")}
    assert ask(uv, index, "mine", wheels=both, no_index=True).status == "resolved"
    assert ask(uv, index, "mine[more]", wheels=both, no_index=True).status == "not-found"
    conflicting = mine | {"alpha-2-py3-none-any.whl": metadata("alpha", "2")}
    refused = ask(uv, index, "mine", wheels=conflicting, no_index=True)
    assert (refused.status, "only alpha==2 is available" in refused.said) == ("conflict", True)


def test_names_of_wheels_that_lead_elsewhere_are_passed_over(uv: str, index: str) -> None:
    wheels = {"../../x-1-py3-none-any.whl": metadata("x", "1"), "a/b-1-py3-none-any.whl": metadata("b", "1")}
    assert ask(uv, index, "celery", wheels=wheels, no_index=True).status == "not-found"


def test_without_an_index_nothing_is_told(uv: str) -> None:
    answer = ask(uv, "http://127.0.0.1:9/", "alpha")
    assert answer.status == "not-resolved"
    assert answer.said.startswith("no index: ")


def test_uv_reaches_no_address_that_is_not_public_unless_the_operator_names_it(uv: str, index: str) -> None:
    Quiet.asked.clear()
    for way in ({}, {"extra_index_urls": (index,)}):
        answer = ask(uv, index if not way else "https://127.0.0.1:9/", "alpha", allowed=(), **way)
        assert (answer.status, answer.said.startswith("no index: ")) == ("not-resolved", True)
    assert not Quiet.asked
    assert ask(uv, index, "alpha").status == "resolved"


def test_a_constraints_file_is_fetched_by_us_and_uv_gets_its_versions(uv: str, index: str) -> None:
    answer = ask(uv, index, "alpha", constraint_urls=(f"{index}constraints.txt",))
    assert dict(answer.versions) == {"alpha": "1.0", "celery": "5.6.3"}
    answer = ask(uv, index, "beta", constraint_urls=(f"{index}strict.txt",))
    assert (answer.status, "alpha" in answer.said) == ("conflict", True)


@pytest.mark.parametrize(
    "said",
    [
        "-c file:///etc/passwd",
        "--index-url http://10.0.0.1/",
        "-r other.txt",
        "secret words of somebody",
        "a @ file:///x",
    ],
)
def test_a_constraints_file_that_says_more_is_not_followed_and_not_quoted(uv: str, index: str, said: str) -> None:
    address = f"{index}says/{quote(said, safe='')}"
    answer = ask(uv, index, "alpha", constraint_urls=(address,))
    assert answer.status == "not-resolved"
    assert "has more than names and versions" in answer.said
    assert "passwd" not in answer.said.partition("http")[0]
    assert "secret words" not in answer.said


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/c.txt", "file:///etc/passwd", "ftp://x/y"])
def test_a_constraints_file_comes_by_https(uv: str, index: str, place: str) -> None:
    Quiet.asked.clear()
    answer = ask(uv, index, "alpha", constraint_urls=(place,))
    assert (answer.status, "only https" in answer.said) == ("not-resolved", True)
    redirected = ask(uv, index, "alpha", constraint_urls=(f"{index}to/{quote(place, safe='')}",))
    assert (redirected.status, "only https" in redirected.said) == ("not-resolved", True)
    assert not [path for path in Quiet.asked if "alpha" in path], "uv was not asked"


def test_a_bound_on_time(uv: str, tmp_path: Path) -> None:
    sleeper = tmp_path / "uv"
    sleeper.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    sleeper.chmod(0o755)
    answer = resolve(ResolutionRequest(("alpha",), (), "3.12.13"), str(sleeper), seconds=0.3)
    assert (answer.status, "did not end" in answer.said) == ("not-resolved", True)
    assert resolve(ResolutionRequest((), (), "3.12.13"), str(tmp_path / "none"), seconds=1).status == "not-resolved"


def test_uv_sees_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("UV_INDEX_URL", "https://elsewhere.example")
    teller = tmp_path / "uv"
    teller.write_text(f"#!{sys.executable}\nimport os, sys\nsys.exit(' '.join(os.environ))\n")
    teller.chmod(0o755)
    said = resolve(ResolutionRequest(("alpha",), (), "3.12.13"), str(teller), seconds=30).said
    assert "UV_CACHE_DIR" in said
    assert not {"AWS_SECRET_ACCESS_KEY", "UV_INDEX_URL"} & set(said.split())
    assert "AWS_SECRET_ACCESS_KEY" in os.environ


def judge(
    text: str, answers: Mapping[str, Resolution] | Resolution, **more: Any
) -> tuple[Judgement, list[ResolutionRequest]]:
    """Judge a file; uv's answer is given."""
    asked: list[ResolutionRequest] = []

    def answer(question: ResolutionRequest) -> Resolution:
        asked.append(question)
        return answers  # type: ignore[return-value]

    content = text.encode()
    static = check_requirements(Candidate("requirements.txt", len(content), content), AIRFLOW_3)
    return resolved(content, AIRFLOW_3, static, answer, **more)[0], asked


def test_uv_is_asked_for_the_environments_python_under_its_constraints() -> None:
    judged, (question,) = judge(
        f"-c {OWN}\npandas==3.0.5\nx ; python_version < '3'\n",
        Resolution("resolved"),
        index_url="https://index.example/",
    )
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert (question.requirements, question.python) == (("pandas==3.0.5",), "3.12.13")
    assert {"celery==5.6.3", "pandas==3.0.5", "apache-airflow==3.3.1"} <= set(question.constraints)
    assert question.index_url == "https://index.example/"


def test_without_constraints_in_force_only_the_essential_pins_hold() -> None:
    _, (question,) = judge("# -c none\nx==1\n", Resolution("resolved"))
    assert "celery==5.6.3" in question.constraints
    assert not any(line.startswith("pandas==") for line in question.constraints)


def test_indexes_of_the_file_go_first_and_only_by_https() -> None:
    _, (question,) = judge(
        "-i https://a.example\n--extra-index-url https://b.example\n--extra-index-url file:///etc\nx==1\n",
        Resolution("resolved"),
        index_url="https://c.example",
    )
    assert (question.index_url, question.extra_index_urls) == ("https://a.example", ("https://b.example",))


def test_a_conflict_rejects_with_the_line_that_uv_names() -> None:
    said = "Because beta==2 depends on celery>=6 and you require beta==2, …"
    judged, _ = judge(f"-c {OWN}\nalpha==1\nbeta==2\n", Resolution("conflict", said))
    assert (judged.verdict, rules(judged)) == ("rejected", [("unresolvable", 3)])
    assert said in judged.findings[0].message


def test_not_resolved_leaves_it_open() -> None:
    judged, _ = judge(f"-c {OWN}\nalpha==1\n", Resolution("not-resolved", "no index: it is offline"))
    assert (judged.verdict, rules(judged)) == ("unknown", [("not-resolved", None)])
    assert judged.findings[0].message == "Not resolved: no index: it is offline."


def test_constraints_that_are_not_read_leave_it_open() -> None:
    judged, _ = judge("-c /usr/local/airflow/dags/constraints.txt\nalpha==1\n", Resolution("resolved"))
    assert (judged.verdict, rules(judged)) == ("unknown", [("constraints-not-read", 1)])
    judged, (question,) = judge("-c https://example.org/c.txt\nalpha==1\n", Resolution("resolved"))
    assert (judged.verdict, question.constraint_urls) == ("accepted", ("https://example.org/c.txt",))


def test_a_package_that_only_another_index_may_know_is_open() -> None:
    text = f"-c {OWN}\n--extra-index-url https://${{TOKEN}}@index.example/\nmine==1\n"
    judged, _ = judge(text, Resolution("not-found", "mine was not found in the package registry"))
    assert judged.verdict == "unknown"


FIND_LINKS = f"-c {OWN}\n--find-links /usr/local/airflow/plugins\nmine==1\n"
NOT_FOUND = Resolution("not-found", "mine was not found in the package registry")


def test_what_an_index_does_not_know_may_be_a_wheel_in_a_plugins_zip_that_is_not_seen() -> None:
    judged, _ = judge(FIND_LINKS, NOT_FOUND)
    assert (judged.verdict, rules(judged)) == ("unknown", [("unresolvable", 3)])
    judged, (question,) = judge(FIND_LINKS, NOT_FOUND, shelf=LocalWheels([]))
    assert (judged.verdict, list(question.wheels)) == ("rejected", ["psycopg2-2.9.12-py3-none-any.whl"])
    assert judge(FIND_LINKS, NOT_FOUND, shelf=LocalWheels([], final=False))[0].verdict == "unknown"
    elsewhere = FIND_LINKS.replace("plugins", "dags/wheels")
    assert judge(elsewhere, NOT_FOUND, shelf=LocalWheels([]))[0].verdict == "unknown"


def test_wheels_that_could_not_be_read_leave_it_open() -> None:
    shelf = LocalWheels(["mine-1-py3-none-any.whl"], unread=frozenset({"mine-1-py3-none-any.whl"}))
    assert judge(FIND_LINKS, NOT_FOUND, shelf=shelf)[0].verdict == "unknown"
    judged, asked = judge(FIND_LINKS.replace("--find", "--no-index\n--find"), NOT_FOUND, shelf=shelf)
    assert (judged.findings[-1].rule, asked) == ("wheels-not-seen", [])


@pytest.mark.parametrize(
    "text", ["celery==1\n", "--no-index\nceleryx==1\n", "# nothing\n", "git+https://example.org/x\n"]
)
def test_what_there_is_nothing_to_resolve_of_is_not_asked(text: str) -> None:
    assert judge(text, Resolution("conflict", "x"))[1] == []


def test_a_kept_cache_is_used_again_and_says_nothing_of_another_index(uv: str, index: str, tmp_path: Path) -> None:
    home = emptied(tmp_path / "kept" / "uv", 10**9)

    def wheels_asked_for(at: str) -> int:
        del Quiet.asked[:]
        question = ResolutionRequest(("alpha==1.0",), (), "3.12.13", index_url=at, allowed=(named(at),))
        assert (resolve(question, uv, seconds=60, home=home).status == "resolved") is (at == index)
        return sum(".whl" in path for path in Quiet.asked)

    assert wheels_asked_for(index) > 0
    assert wheels_asked_for(index) == 0
    assert wheels_asked_for(f"{index}nothing-here/") == 0


def test_a_cache_that_has_grown_too_large_is_emptied(tmp_path: Path) -> None:
    home = tmp_path / "uv"
    assert emptied(home, 10) == home
    (home / "a").mkdir()
    (home / "a" / "small").write_bytes(bytes(10))
    assert [path.name for path in emptied(home, 10).rglob("*")] == ["a", "small"]
    (home / "a" / "more").write_bytes(bytes(1))
    assert list(emptied(home, 10).iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["uv"]
