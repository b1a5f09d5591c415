""".airflowignore by reading it: patterns that Airflow passes over or stops at, and what the file says that it hides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.airflow_ignore import ignored, not_in_re2, oddities, syntax_of
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.ignore_file import check_ignore_file, hiding
from jetway.artifacts.kinds import kind_of

from .judging import AIRFLOW_2_ON_PYTHON_3_11 as AIRFLOW_2
from .judging import AIRFLOW_3, rules

REGEXPS_ON_3 = replace(AIRFLOW_3, options={"core.dag_ignore_file_syntax": "regexp"})


def judge(text: str | bytes, environment: EnvironmentFacts) -> Judgement:
    content = text.encode() if isinstance(text, str) else text
    return check_ignore_file(Candidate("dags/.airflowignore", len(content), content), environment, max_bytes=10_000)


@pytest.mark.parametrize("key", ["dags/.airflowignore", "dags/team/.airflowignore"])
def test_it_is_a_kind_of_its_own_in_every_folder(key: str) -> None:
    assert kind_of(key).name == "airflowignore"


@pytest.mark.parametrize("key", ["dags/x.airflowignore", "dags/.airflowignore/x", "dags/a/airflowignore"])
def test_others_are_files_that_dag_files_read(key: str) -> None:
    assert kind_of(key).name == "dags-folder-file"


# As people write them, for Airflow 3 and for Airflow 2.
GLOBS = [
    "", "# only a comment\n", "helpers/\n", "*.bak.py\n", "**/tests/**\n", "!keep.py\n", "/top.py\n", "team_[ab]/\n",
    "common\nutils  # shared\n", "a/b/*.py\r\nc.py\r\n", "data_?.py\n", "\\!odd.py\n",
]  # fmt: skip
REGEXPS = [
    "", "# only a comment\n", "helpers\n", ".*\\.bak\\.py\n", "tests/.*\n", "^top\\.py$\n", "team_[ab]/\n", "a{2,3}b\n",
    "common\nutils  # shared\n", "(?i)Old\n", "(?:a|b)_dag\\.py\n", "(?P<x>a)\\d+\n", "[^*+?]+_old\n", "a\\.py\r\n",
]  # fmt: skip


@pytest.mark.parametrize("text", GLOBS)
def test_good_globs_get_no_word(text: str) -> None:
    assert judge(text, AIRFLOW_3).findings == ()


@pytest.mark.parametrize("text", REGEXPS)
@pytest.mark.parametrize("environment", [AIRFLOW_2, REGEXPS_ON_3], ids=["2", "3"])
def test_good_regular_expressions_get_no_word(text: str, environment: EnvironmentFacts) -> None:
    assert judge(text, environment).findings == ()


@pytest.mark.parametrize(
    "pattern",
    ["*", "*.py", "**/a", "^(?!(foo|bar)).*", "(?<=a)b", "(?<!a)b", "(?>a)b", r"(a)\1", "(?P<x>a)(?P=x)", "a++"],
)
def test_what_re2_does_not_know_is_passed_over_on_airflow_2(pattern: str) -> None:
    (finding,) = judge(f"fine\n{pattern}\n", AIRFLOW_2).findings
    assert (finding.rule, finding.severity, finding.line) == ("ignore-pattern", "warning", 2)
    assert f"skips this pattern `{pattern.partition('#')[0].rstrip()}`" in finding.message
    assert ignored(["foo.py", "a.py", "ab.py"], {"": pattern}, syntax_of(AIRFLOW_2)) == frozenset()


@pytest.mark.parametrize(
    "pattern", [r"\(?=a\)", r"[(?=]a", r"\\1", r"a\+\+", r"[*+?]\+", r"a[+]+", "(?i)a", "(?s:a)", "x{2}?"]
)
def test_what_only_looks_like_it_is_not(pattern: str) -> None:
    assert not_in_re2(pattern) is None


def test_what_only_re2_knows_gets_no_word() -> None:
    assert judge("a\\.py\\z\n\\pL+_old\n\\Qa.b\\E\n}+\n", AIRFLOW_2).findings == ()
    assert ignored(["a.py", "a.pyc"], {"": "a\\.py\\z"}, "re2") == {"a.py"}


def test_airflow_3_reads_regular_expressions_with_pythons_re() -> None:
    assert judge("^(?!(foo|bar)).*\n", REGEXPS_ON_3).findings == ()
    assert ignored(["foo/a.py", "other/a.py"], {"": "^(?!(foo|bar)).*"}, "regexp") == {"other/a.py"}


@pytest.mark.parametrize("pattern", ["!", "a\\", "[z-a]", "\\#odd.py"])
def test_a_glob_that_airflow_stops_at_is_refused(pattern: str) -> None:
    judged = judge(f"# mine\n{pattern}\n", AIRFLOW_3)
    assert (judged.verdict, rules(judged)) == ("rejected", [("ignore-pattern", 2)])
    assert "finds no DAG file" in judged.findings[0].message
    assert ignored(["a.py"], {"": pattern}, "glob") == frozenset(), "and whoever reads it goes on"


@pytest.mark.parametrize("pattern", ["/", ".*\\.bak", "^old/", "old$"])
def test_a_glob_that_matches_nothing_or_is_none_gets_a_warning(pattern: str) -> None:
    judged = judge(pattern, AIRFLOW_3)
    assert (judged.verdict, rules(judged)) == ("accepted", [("ignore-pattern", 1)])


def test_what_airflow_cannot_read_is_refused() -> None:
    assert rules(judge(b"a\nb\n\xff\xfe\n", AIRFLOW_3)) == [("encoding", 3)]
    assert rules(judge(b"#" * 10_001, AIRFLOW_3)) == [("too-large", None)]


@given(st.text(max_size=60), st.sampled_from([AIRFLOW_2, AIRFLOW_3, REGEXPS_ON_3]))
def test_whatever_stands_there_is_judged_and_an_odd_pattern_ignores_nothing(text: str, of: EnvironmentFacts) -> None:
    judge(text.encode("utf-8", "replace"), of)
    ignored(["a/b.py", "c.py"], {"": text}, syntax_of(of))
    for odd in oddities(text, "re2"):
        assert ignored(["a/b.py", odd.pattern], {"": odd.pattern}, "re2") == frozenset()


LIVE = {"dags/old/a.py": ("a_daily",), "dags/old/b.py": None}
READ = Judgement("airflowignore", "accepted")


def test_hiding_live_dags_is_refused_with_their_names_and_the_line_that_allows_it() -> None:
    judged = hiding(READ, "old/\n", LIVE)
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule, finding.severity) == ("rejected", "hides-dags", "error")
    assert "dags/old/a.py (a_daily), dags/old/b.py (its DAGs are known only when it runs)" in finding.message
    assert "# jetway: hides dags/old/a.py" in finding.remedy


@pytest.mark.parametrize(
    "text",
    ["# jetway: hides dags/old/*.py\nold/\n", "#jetway:hides dags/old/*\nold/", "old/\n#  jetway:  hides  dags/*  \n"],
)
def test_hiding_what_the_file_says_that_it_hides_is_told(text: str) -> None:
    judged = hiding(READ, text, LIVE)
    (finding,) = judged.findings
    assert (judged.verdict, finding.severity) == ("accepted", "warning")
    assert "as it says: dags/old/a.py (a_daily)" in finding.message


def test_a_line_for_one_file_allows_no_other() -> None:
    judged = hiding(READ, "# jetway: hides dags/old/b.py\nold/\n", LIVE)
    assert judged.verdict == "rejected"
    assert "dags/old/b.py" not in judged.findings[0].message


def test_hiding_nothing_gets_no_word() -> None:
    assert hiding(READ, "helpers/\n", {}) == READ
