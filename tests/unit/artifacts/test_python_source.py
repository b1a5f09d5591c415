"""Encoding and syntax of a DAG file, as the environment's Python reads them."""

from __future__ import annotations

import keyword
import re
import sys
import token
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.artifacts.findings import Finding
from jetway.artifacts.python.f_strings import newer_f_string
from jetway.artifacts.python.python_source import MOST_WORDS, declared_encoding, read_source, weight

from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3, judge, rules

DAG = b"from airflow.sdk import DAG\nwith DAG('orders'):\n    pass\n"
OWN = sys.version_info[:2]


def is_accepted_with_its_dag(content: bytes) -> bool:
    judged = judge(content)
    return (judged.verdict, judged.findings, [dag.dag_id for dag in judged.dags]) == ("accepted", (), ["orders"])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(DAG, id="plain"),
        pytest.param(b"\xef\xbb\xbf" + DAG, id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf# coding: utf-8\n" + DAG, id="byte order mark and the same encoding"),
        pytest.param(b"# -*- coding: latin-1 -*-\nx = 'caf\xe9'\n" + DAG, id="latin-1 declared in line 1"),
        pytest.param(b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nx = '\x80'\n" + DAG, id="in line 2"),
        pytest.param(b"# caf\xe9, which Python does not mind in a comment\n" + DAG, id="latin-1 in a comment"),
        pytest.param(DAG.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(DAG.replace(b"\n", b"\r"), id="CR"),
        pytest.param(b"x = '\\d \\ud800'\n" + DAG, id="invalid escape and lone surrogate"),
        pytest.param(b"match 1:\n    case 1:\n        pass\n" + DAG, id="match"),
        pytest.param(b"def f():\n    x: (yield) = 1\n" + DAG, id="what our own future imports forbid"),
        pytest.param(b"if True:\n\tx = 1\n" + DAG, id="tabs throughout a block"),
        pytest.param(b"x = " + b"+".join([b"1"] * 900) + b"\n" + DAG, id="long expression"),
    ],
)
def test_what_python_loads_is_accepted(content: bytes) -> None:
    assert is_accepted_with_its_dag(content)


@pytest.mark.parametrize(
    ("content", "rule", "line"),
    [
        pytest.param(DAG + b"def f(:\n", "syntax", 4, id="syntax"),
        pytest.param(DAG + b"print 'x'\n", "syntax", 4, id="python 2"),
        pytest.param(DAG + b"if 1:\n        x = 1\n\ty = 2\n", "syntax", 6, id="tabs after spaces"),
        pytest.param(DAG + b"return 1\n", "syntax", 4, id="return outside a function"),
        pytest.param(DAG + b"x = 1\nawait x\n", "syntax", 5, id="await outside a function"),
        pytest.param(b"from __future__ import nope\n" + DAG, "syntax", 1, id="unknown future"),
        pytest.param(DAG + b"x = 'C:\\Users'\n", "syntax", 4, id="escape in a Windows path"),
        pytest.param(DAG + b"x = " + b"9" * 5000, "syntax", 4, id="integer of 5000 digits"),
        pytest.param(b"x = " + b"(" * 300, "syntax", 1, id="300 brackets"),
        pytest.param(DAG + b"x = 'caf\xe9'\n", "encoding", 4, id="latin-1 in a string"),
        pytest.param(b"# caf\xe9\n" + DAG + b"x = 'caf\xe9'\n", "encoding", 5, id="the line that counts"),
        pytest.param(DAG + b"caf\xe9 = 1\n", "encoding", 4, id="latin-1 in a name"),
        pytest.param(b"\r\x80", "encoding", 2, id="what tokenize cannot take"),
        pytest.param(b"# coding: nope\n" + DAG, "encoding", 1, id="unknown encoding"),
        pytest.param(b"#!x\n# coding: zlib\n" + DAG, "encoding", 2, id="does not know the encoding"),
        pytest.param(b"# coding: ascii\n" + DAG + b"x = '\xc3\xa9'\n", "encoding", 5, id="not what it declares"),
        pytest.param(b"\xef\xbb\xbf# coding: latin-1\n" + DAG, "encoding", 1, id="byte order mark against cookie"),
        pytest.param(b"# coding: punycode\n" + DAG + b"x" * 900_000, "encoding", 1, id="quadratic codec"),
        pytest.param(DAG + b"x = '\0'\n", "nul-byte", 4, id="NUL"),
        pytest.param(b"x = 1 " + b"if 1 else 2 " * 9000, "too-deep", None, id="9,000 conditionals"),
        pytest.param(b"x = " + b"not " * 50_000 + b"1\n", "too-deep", None, id="50,000 nots"),
        pytest.param(b"x = a" + b".b" * 70_000 + b"\n", "too-deep", None, id="70,000 attributes"),
    ],
)
def test_what_certainly_cannot_load_is_rejected_with_its_line(content: bytes, rule: str, line: int | None) -> None:
    judged = judge(content)
    assert judged.verdict == "rejected"
    assert rules(judged) == [(rule, line)]
    assert judged.findings[0].remedy


def test_a_syntax_error_shows_column_and_text() -> None:
    (finding,) = judge("x = 1\nwith DAG('orders' as dag:\n").findings
    assert re.search(r"at column \d+ in `with DAG\('orders' as dag:`", finding.message)


def test_a_very_long_line_is_cut_in_the_message() -> None:
    (finding,) = judge("x = 1 1" + " " * 10 + "y" * 5000).findings
    assert len(finding.message) < 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_passed_over_by_airflow_so_it_is_a_warning(encoding: str) -> None:
    judged = judge(DAG.decode().encode(encoding))
    assert judged.verdict == "accepted"
    assert rules(judged) == [("utf-16", None)]


@pytest.mark.parametrize(
    "heavy",
    [
        b"x = [" + b"a," * 200_000 + b"]",
        b"x = a[" + b":," * 200_000 + b"]",
        b"x = [" + b"...," * 100_000 + b"]",
        b"x = [" + b"~-~-~-~-~-a," * 40_000 + b"]",
        b"x = [" + b"''," * 200_000 + b"]",
    ],
)
def test_what_is_too_heavy_to_compile_is_not_judged_and_goes_nowhere(heavy: bytes) -> None:
    judged = judge(DAG + heavy)
    assert judged.verdict == "rejected"
    assert rules(judged) == [("not-judged", None)]
    assert not judged.dags


@pytest.mark.parametrize("unit", [b"lambda:a\n", b"class a:b\n", b"def a():0\n"])
def test_before_3_12_scopes_and_fields_weigh_more(unit: bytes) -> None:
    """There compiling takes time that is quadratic in them: 20,000 took eight seconds."""
    content = unit * 20_000
    assert weight(content, (3, 11)) > MOST_WORDS > weight(content, (3, 12))
    assert weight(b"x = f'" + b"{a}" * 40_000 + b"'", (3, 11)) > MOST_WORDS


def test_a_file_of_ten_thousand_lines_is_judged() -> None:
    lines = b"    load = PythonOperator(task_id='load', python_callable=load, op_args=[1, 2])  # load\n" * 10_000
    assert judge(DAG + lines).verdict == "accepted"


NEW_IN_3_12 = {
    "type statement": b"type Rows = list[int]\n",
    "generic function": b"def first[T](rows: list[T]) -> T: ...\n",
    "generic class": b"class Box[T]: ...\n",
    "same quotes": b"x = {}\ny = f'{x['a']}'\n",
    "backslash": b"x = {}\ny = f'{\"\\n\".join(x)}'\n",
    "comment": b"x = f'''{1 # one\n}'''\n",
    "line break": b"x = f'{1 +\n1}'\n",
    "nested same quotes": b"x = f'{f'{1}'}'\n",
}


@pytest.mark.parametrize("content", NEW_IN_3_12.values(), ids=NEW_IN_3_12)
def test_syntax_of_3_12_for_an_environment_on_3_11(content: bytes) -> None:
    judged = judge(DAG + content, environment=AIRFLOW_2_ON_PYTHON_3_11)
    assert judged.verdict == "rejected"
    (finding,) = judged.findings
    assert finding.rule == ("newer-syntax" if OWN >= (3, 12) else "syntax")
    assert finding.line is not None
    assert finding.line >= 4


@pytest.mark.parametrize("content", NEW_IN_3_12.values(), ids=NEW_IN_3_12)
def test_syntax_of_3_12_for_an_environment_on_3_12(content: bytes) -> None:
    judged = judge(DAG + content, environment=AIRFLOW_3)
    if OWN >= (3, 12):
        assert (judged.verdict, judged.findings) == ("accepted", ())
    else:
        assert (judged.verdict, judged.findings[0].rule) == ("unknown", "syntax-not-judged")


def test_an_older_python_of_ours_still_rejects_what_no_python_reads() -> None:
    source = read_source(b"def f(:\n    pass\n", (3, 99))
    assert [(finding.rule, finding.severity) for finding in source.findings] == [("syntax", "error")]
    assert not source.uncertain


@pytest.mark.skipif(OWN < (3, 12), reason="takes a tokenizer that takes f-strings apart")
@pytest.mark.parametrize(
    "text",
    [
        "f'{x[\"a\"]}'",
        "f'''{x['a']} {\n1}'''",
        "f'\\n{x}\\t'",
        "f'{{x['  'y]}}'",
        "f'{x!r:>{width}}' # comment",
        "rf'\\d{x}'",
        "f'{x}' f\"{x}\"",
        "f\"{', '.join(f'{y}' for y in x)}\"",
    ],
)
def test_f_strings_that_3_11_reads_too(text: str) -> None:
    assert newer_f_string(text) is None


@pytest.mark.skipif(OWN < (3, 12), reason="takes a tokenizer that takes f-strings apart")
def test_what_our_tokenizer_cannot_take_apart_is_left_alone() -> None:
    for text in ("x = f'{", "\r\N{REPLACEMENT CHARACTER}"):
        assert newer_f_string(text) is None


def test_undecodable_comments_are_no_error_to_an_older_python() -> None:
    """Later patch releases refuse what earlier ones skip: then the older Python's view counts."""
    source = read_source(b"# caf\xe9\nx = 1\n", (3, 11), own_python=(3, 99))
    assert source.tree is not None
    assert source.findings == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# coding: x-1\n", ("x-1", 1)),
        (b"\xef\xbb\xbf#vim:fileencoding=a.b\n", ("a.b", 1)),
        (b"\n\t\x0c# coding=c\n", ("c", 2)),
        (b"x = 1\n# coding: c\n", None),
        (b"\n\n# coding: c\n", None),
        (b"# coding : c\n", None),
        (b"", None),
    ],
)
def test_the_coding_line_as_pep_263_has_it(content: bytes, expected: Any) -> None:
    assert declared_encoding(content) == expected


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_crash_the_check(content: bytes) -> None:
    judged = judge(b"airflow dag\n" * (len(content) % 2) + content)
    assert judged.verdict in {"accepted", "rejected", "unknown"}
    for finding in judged.findings:
        assert isinstance(finding, Finding)
        assert finding.line is None or finding.line >= 1


SCRAPS = [
    "x",
    "1",
    "0x1",
    "'",
    '"""',
    "f'",
    "f'{",
    "}'",
    "\\",
    "#",
    "\n",
    "\t",
    "\0",
    "\r",
    "é",
    "DAG(",
    "@dag",
    "globals()",
]
WORDS = [*keyword.kwlist, *keyword.softkwlist, *token.EXACT_TOKEN_TYPES, *SCRAPS]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
def test_no_scraps_of_python_crash_the_check(text: str) -> None:
    head = "from airflow.sdk import DAG, dag, asset\n"
    for environment in (AIRFLOW_3, AIRFLOW_2_ON_PYTHON_3_11):
        assert judge(head + text, environment=environment).verdict in {"accepted", "rejected", "unknown"}
