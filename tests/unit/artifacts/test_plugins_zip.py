"""plugins.zip and packed DAGs: what cannot be unpacked or imported is found, whatever the zip looks like."""

from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from jetway.artifacts.archives import zip_reader, zip_structure
from jetway.artifacts.archives.zip_reader import ZipReader
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.packed_dags import check_packed_dags
from jetway.artifacts.plugins import plugins_zip
from jetway.artifacts.plugins.plugins_zip import check_plugins
from tools.bench.plugins import measure

from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3, rules
from .zips import PLUGIN, encrypted, patched, symlink, wheel, zip_of

SIX = wheel("six", "1.17.0", tag="py2.py3-none-any")
GOOD_DAG = b"from airflow.sdk import DAG\nwith DAG('orders'):\n    pass\n"


def judge(content: bytes, environment: Any = AIRFLOW_3) -> Judgement:
    return check_plugins(Candidate("plugins.zip", len(content), content), environment)


def errors(judged: Judgement) -> set[str]:
    return {finding.rule for finding in judged.findings if finding.severity == "error"}


def test_a_good_one_is_accepted_and_its_plugins_are_found() -> None:
    judged = judge(zip_of({"acme/__init__.py": b"", "acme/views.py": b"\n" + PLUGIN, "menu.py": PLUGIN}))
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert [(found.path, found.line, found.name) for found in judged.plugins] == [
        ("acme/views.py", 3, "acme"),
        ("menu.py", 2, "acme"),
    ]


def test_an_empty_zip_is_how_plugins_are_removed() -> None:
    judged = judge(zip_of({}))
    assert (judged.verdict, rules(judged)) == ("accepted", [("empty-zip", None)])
    assert "Nothing to do, if you want to remove all plugins" in judged.findings[0].remedy


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"", "not-a-zip", id="empty file"),
        pytest.param(b"hello" * 100, "not-a-zip", id="text"),
        pytest.param(zip_of({"a.py": PLUGIN * 50})[:-30], "truncated", id="end missing"),
        pytest.param(zip_of({"a.py": PLUGIN * 50})[40:], "truncated", id="beginning missing"),
        pytest.param(encrypted(zip_of({"a.py": PLUGIN})), "encrypted", id="encrypted"),
        pytest.param(zip_of({"/etc/a.py": b""}), "unsafe-path", id="absolute"),
        pytest.param(zip_of({"C:/a.py": b""}), "unsafe-path", id="drive"),
        pytest.param(zip_of({"a/../../b.py": b""}), "unsafe-path", id="traversal"),
        pytest.param(zip_of({"..\\a.py": b""}), "unsafe-path", id="traversal with backslashes"),
        pytest.param(zip_of({"a\\b.py": b""}), "unsafe-path", id="backslash"),
        pytest.param(zip_of({"a//b.py": b""}), "unsafe-path", id="empty part"),
        pytest.param(zip_of({"x" * 300 + ".py": b""}), "unsafe-path", id="long name"),
        pytest.param(zip_of({"aXb.py": b""}).replace(b"aXb.py", b"a\0b.py"), "unsafe-path", id="NUL"),
        pytest.param(zip_of([(symlink("a.py"), b"/etc/passwd")]), "symlink", id="symlink"),
        pytest.param(zip_of([("a.py", b""), ("a.py", b"x=1")]), "duplicate-name", id="twice"),
        pytest.param(zip_of([("a", b""), ("a/b.py", b"x=1")]), "duplicate-name", id="file and folder"),
        pytest.param(zip_of({"a": bytes(100 * 1024**2)}), "zip-bomb", id="ratio"),
        pytest.param(zip_of({"a.py": PLUGIN}, compression=zipfile.ZIP_LZMA), "compression", id="lzma"),
        pytest.param(patched(zip_of({"a.py": PLUGIN}), b"PK\x01\x02", 16, b"\0\0\0\0"), "damaged-member", id="crc"),
        pytest.param(patched(zip_of({"a": b"x" * 99}), b"PK\x01\x02", 16, b"\0\0\0\0"), "damaged-member", id="crc 2"),
        pytest.param(zip_of({"a.py": b"def f(:\n"}), "syntax", id="syntax"),
        pytest.param(zip_of({"x/a.py": b"a\0b"}), "nul-byte", id="binary"),
        pytest.param(zip_of({"a-1.0-cp39-cp39-win_amd64.whl": b""}), "wheel-platform", id="wheel of Windows"),
        pytest.param(zip_of({"a.whl": b""}), "wheel-platform", id="not a wheel name"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(content: bytes, rule: str) -> None:
    judged = judge(content)
    assert judged.verdict == "rejected"
    assert rule in errors(judged)
    assert all(finding.remedy and finding.message.isprintable() for finding in judged.findings)


def test_the_message_tells_which_module_and_the_line_is_its_own() -> None:
    judged = judge(zip_of({"ok.py": PLUGIN, "hooks/bad.py": b"x = 1\ndef f(:\n"}))
    assert rules(judged) == [("syntax", 2)]
    assert judged.findings[0].message.startswith("hooks/bad.py: ")


def test_modules_are_compiled_for_the_environments_python() -> None:
    content = zip_of({"a.py": b"type X = int\n" + PLUGIN})
    assert judge(content).verdict == ("accepted" if sys.version_info >= (3, 12) else "unknown")
    assert judge(content, AIRFLOW_2_ON_PYTHON_3_11).verdict == "rejected"


def test_members_that_overlap_are_a_bomb() -> None:
    """Both directory entries point to the first member's data."""
    content = zip_of({"a": b"x" * 5000, "b": b"x" * 5000}, compression=zipfile.ZIP_STORED)
    second = content.rindex(b"PK\x01\x02")
    changed = bytearray(content)
    changed[second + 42 : second + 46] = bytes(4)
    assert "zip-bomb" in errors(judge(bytes(changed)))


def test_a_zip_that_unpacks_to_more_than_the_bound_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_structure, "LARGEST_UNPACKED", 10)
    assert "zip-bomb" in errors(judge(zip_of({"a": b"x" * 11})))


def test_too_many_entries_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_reader, "MOST_MEMBERS", 2)
    assert errors(judge(zip_of(dict.fromkeys("abc", b"")))) == {"too-many-files"}


def test_a_zip64_directory_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for number in range(70_000):
            made.writestr(zipfile.ZipInfo(f"{number}.txt"), b"")
    assert len(ZipReader(out, len(out.getvalue())).members) == 70_000
    monkeypatch.setattr(zip_reader, "MOST_MEMBERS", 69_999)
    assert errors(judge(out.getvalue())) == {"too-many-files"}


@pytest.mark.parametrize("bound", ["MOST_MODULES", "MOST_WORDS_IN_ALL"])
def test_modules_beyond_the_bounds_are_not_judged_and_go_nowhere(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(plugins_zip, bound, {"MOST_MODULES": 1, "MOST_WORDS_IN_ALL": 60}[bound])
    judged = judge(zip_of({"a.py": PLUGIN, "b.py": b"def f(:" + b"a," * 20}))
    assert (judged.verdict, rules(judged)) == ("rejected", [("not-judged", None)])


def test_findings_are_bounded_and_errors_go_first() -> None:
    files = {f"{number}-1.0-cp39-cp39-win32.whl": b"" for number in range(150)}
    judged = judge(zip_of({"__MACOSX/a": b"", **files}))
    assert len(judged.findings) == plugins_zip.MOST_FINDINGS + 1
    assert (judged.findings[0].rule, judged.findings[-1].rule) == ("wheel-platform", "more-findings")


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"plugins/p.py": PLUGIN, "plugins/hooks/__init__.py": b""}, "wrapping-folder"),
        ({"plugins/__init__.py": b"", "plugins/p.py": PLUGIN}, "wrapping-folder"),
        ({"wheels/" + SIX[0]: SIX[1]}, "wrapping-folder"),
        ({"p.py": PLUGIN, "__MACOSX/._p.py": b"\0\5\x16\7"}, "macosx"),
        ({"p.py": PLUGIN, "x/.DS_Store": b"\0"}, "macosx"),
        ({"hooks.py": b"x = 1\n"}, "no-plugin"),
        ({"p.py": PLUGIN.replace(b"name", b"nome")}, "plugin-without-name"),
    ],
)
def test_classic_mistakes_are_explained_and_keep_nothing_out(files: dict[str, bytes], rule: str) -> None:
    judged = judge(zip_of(files))
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("accepted", [rule])


@pytest.mark.parametrize(
    "files",
    [
        {"acme/__init__.py": b"", "acme/p.py": PLUGIN},
        dict([SIX]),
        dict([wheel("numpy", "2.4.6", tag="cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64")]),
        {"p.py": b"import airflow.plugins_manager as m\nclass A(m.AirflowPlugin):\n    name = 'a'\nclass B(A): ...\n"},
        {"p.py": b"from airflow.plugins_manager import AirflowPlugin as P\nclass A(P):\n    name: str = 'a'\n"},
        {"p.py": PLUGIN, "templates/x.html": b"<html>", "data/": b""},
    ],
)
def test_what_works_gets_no_finding(files: dict[str, bytes]) -> None:
    judged = judge(zip_of(files))
    assert (judged.verdict, judged.findings) == ("accepted", ())


def test_wheels_of_another_python_do_not_fit() -> None:
    content = zip_of(dict([wheel("a", "1.0", tag="cp312-cp312-manylinux2014_x86_64")]))
    assert judge(content).verdict == "accepted"
    assert errors(judge(content, AIRFLOW_2_ON_PYTHON_3_11)) == {"wheel-platform"}


IGNORING = {"acme/__init__.py": b"", "acme/menu.py": PLUGIN, "acme/old.py": b"print 1\n", "p.py": PLUGIN}


@pytest.mark.parametrize(
    ("environment", "ignore", "found", "syntax"),
    [
        (AIRFLOW_3, {}, ["acme/menu.py", "p.py"], "error"),
        (AIRFLOW_3, {".airflowignore": b"acme/\n"}, ["p.py"], "warning"),
        (AIRFLOW_3, {"acme/.airflowignore": b"*  # all\n!menu.py\n"}, ["acme/menu.py", "p.py"], "warning"),
        (AIRFLOW_3, {".airflowignore": b"^acme/.*$\n"}, ["acme/menu.py", "p.py"], "error"),
        (AIRFLOW_2_ON_PYTHON_3_11, {".airflowignore": b"^acme/.*$\n"}, ["p.py"], "warning"),
        (AIRFLOW_2_ON_PYTHON_3_11, {".airflowignore": b"(\n"}, ["acme/menu.py", "p.py"], "error"),
        (
            replace(AIRFLOW_2_ON_PYTHON_3_11, options={"core.dag_ignore_file_syntax": "glob"}),
            {".airflowignore": b"acme/\n"},
            ["p.py"],
            "warning",
        ),
    ],
)
def test_modules_that_airflowignore_names_are_no_plugins_and_may_be_broken(
    environment: Any, ignore: dict[str, bytes], found: list[str], syntax: str
) -> None:
    judged = judge(zip_of(IGNORING | ignore), environment)
    assert [plugin.path for plugin in judged.plugins] == found
    assert [(finding.rule, finding.severity) for finding in judged.findings] == [("syntax", syntax)]


def test_a_pattern_that_takes_forever_is_passed_over() -> None:
    patterns = b"(a+)+$\n(x*)*y\n.*.*.*.*.*z\n"
    judged = judge(zip_of({".airflowignore": patterns, "a" * 200 + "!.py": PLUGIN}), AIRFLOW_2_ON_PYTHON_3_11)
    assert judged.verdict == "accepted"


def packed(files: dict[str, bytes]) -> Judgement:
    content = zip_of(files)
    return check_packed_dags(Candidate("dags/p.zip", len(content), content), AIRFLOW_3, max_bytes=1024 * 1024)


def test_packed_dag_files_are_those_at_the_root() -> None:
    judged = packed({"orders.py": GOOD_DAG, "lib/other.py": GOOD_DAG.replace(b"orders", b"hidden")})
    assert (judged.verdict, judged.findings) == ("accepted", ())
    assert [dag.dag_id for dag in judged.dags] == ["orders"]


def test_a_wrapped_folder_of_packed_dags_makes_no_dag() -> None:
    judged = packed({"dags/orders.py": GOOD_DAG})
    assert (judged.verdict, rules(judged)) == ("accepted", [("no-dag", None)])


@pytest.mark.parametrize("name", ["orders.py", "lib/helper.py"])
def test_a_packed_module_that_does_not_compile_is_refused(name: str) -> None:
    judged = packed({"good.py": GOOD_DAG, name: b"\ndef f(:\n"})
    assert (judged.verdict, rules(judged)) == ("rejected", [("syntax", 2)])
    assert judged.findings[0].message.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("content", "rule"), [(b"hello", "not-a-zip"), (b"", "not-a-zip"), (zip_of({"a.py": GOOD_DAG})[:-25], "truncated")]
)
def test_a_packed_file_that_airflow_would_pass_over_does_not_replace_one_that_works(content: bytes, rule: str) -> None:
    judged = check_packed_dags(Candidate("dags/p.zip", len(content), content), AIRFLOW_3, max_bytes=1024)
    assert (judged.verdict, rules(judged)) == ("rejected", [(rule, None)])


def test_every_fault_is_told_at_once_and_once() -> None:
    """Whoever mends the paths must not upload the zip again to hear of the syntax."""
    broken: list[tuple[str | zipfile.ZipInfo, bytes]] = [("../a.py", b"def f(:\n"), (symlink("b.py"), b"def g(:")]
    broken += [("../a.py", b"def f(:\n"), ("c.py", b"x = 1\ndef h(:\n")]
    wanted = [("unsafe-path", None), ("symlink", None), ("duplicate-name", None), ("syntax", 1), ("syntax", 2)]
    assert rules(judge(zip_of(broken))) == wanted
    content = zip_of(broken)
    judged = check_packed_dags(Candidate("dags/p.zip", len(content), content), AIRFLOW_3, max_bytes=1024)
    assert rules(judged) == wanted


@pytest.mark.parametrize("closed", [encrypted(zip_of({"a.py": PLUGIN})), zip_of({"a.py": PLUGIN}, compression=14)])
def test_a_member_that_cannot_be_opened_is_told_once(closed: bytes) -> None:
    assert [found.severity for found in judge(closed).findings] == ["error"]


def test_nothing_of_a_bomb_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_structure, "LARGEST_UNPACKED", 6)
    assert rules(judge(zip_of({"a.py": b"def f(:"}))) == [("zip-bomb", None)]


class Counting(io.BytesIO):
    """A stream that knows how much of it was read at once."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.largest = max(self.largest, len(found))
        return found


def test_a_member_is_read_in_pieces() -> None:
    content = zip_of({"data.bin": bytes(range(256)) * 40_000}, compression=zipfile.ZIP_STORED)
    stream = Counting(content)
    reader = ZipReader(stream, len(content))
    reader.verify(reader.members[0])
    assert 0 < stream.largest <= 1024 * 1024


@pytest.mark.slow  # writes a gigabyte
def test_a_gigabyte_is_judged_in_less_than_512_mebibytes() -> None:
    found = measure(1024)
    assert (found["verdict"], found["findings"], found["plugins"]) == ("accepted", [], 1)
    assert found["peak_mebibytes"] <= 512
