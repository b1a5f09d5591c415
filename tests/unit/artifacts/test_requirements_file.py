"""requirements.txt: what pip in the environment would make of it."""

from __future__ import annotations

import codecs
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.mwaa import known_versions, packages_of, wheel_tags
from jetway.artifacts.requirements.local_wheels import LocalWheels
from jetway.artifacts.requirements.requirements_file import check_requirements

from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3, rules

OWN = "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.1/constraints-3.12.txt"
CONSTRAINED = f'--constraint "{OWN}"\n'
WHEELS = "--no-index\n--find-links /usr/local/airflow/plugins\n-c /usr/local/airflow/plugins/constraints.txt\n"


def judge(text: str | bytes, environment: EnvironmentFacts = AIRFLOW_3, shelf: LocalWheels | None = None) -> Judgement:
    content = text.encode() if isinstance(text, str) else text
    return check_requirements(Candidate("requirements.txt", len(content), content), environment, shelf)


def errors(judged: Judgement) -> list[tuple[str, int | None]]:
    return [(finding.rule, finding.line) for finding in judged.findings if finding.severity == "error"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        CONSTRAINED,
        CONSTRAINED + "pandas==3.0.5\n",
        CONSTRAINED + "celery==5.6.3\n# a comment\n\n",
        CONSTRAINED + "pandas == 3.0.5 ; python_version >= '3.12'  # why\n",
        CONSTRAINED + "apache-airflow[celery]==3.3.1\n",
        CONSTRAINED + "My.Own_Package===1.0+local\n",
        CONSTRAINED + "celery==4.0 ; python_version < '3.9'\n",
        f"-c {OWN}\npandas==3.0.5\n",
        CONSTRAINED + "--pre words (that pip passes over\n",
        "\ufeff" + CONSTRAINED + "pandas==3.0.5\r\n",
    ],
)
def test_a_sound_file_gets_no_finding(text: str) -> None:
    judged = judge(text)
    assert (judged.verdict, judged.findings) == ("accepted", ())


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("celery==5.6.3\nmy-own-package==1\n", [("needs-internet", 3)]),
        ("celery==5.6.3\n", []),  # is there already
        ("--index-url https://index.example/simple\nmy-own-package==1\n", []),
        ("my-own-package==1 ; python_version < '3'\n", []),
    ],
)
def test_a_private_web_server_does_not_reach_pypi(text: str, warned: list[tuple[str, int]]) -> None:
    private = replace(AIRFLOW_3, webserver_access_mode="PRIVATE_ONLY")
    judged = judge(CONSTRAINED + text, private)
    assert (judged.verdict, rules(judged)) == ("accepted", warned)


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("pandas==3.0.5\n", "no-constraint", None),
        (f"# --constraint {OWN}\npandas==3.0.5\n", "constraint-not-in-force", 1),
        (f"pandas==3.0.5\n--constraint={OWN}\n", "constraint-not-seen", 2),
        (f"-c{OWN}\n", "constraint-not-seen", 1),
        (CONSTRAINED.replace("3.3.1", "2.10.3"), "constraint-of-another-version", 1),
        (CONSTRAINED.replace("3.12", "3.11"), "constraint-of-another-version", 1),
        ("-c constraints.txt\n", "local-file", 1),
        (CONSTRAINED + "pandas\n", "unpinned", 2),
        (CONSTRAINED + "my-own-package>=1\n", "unpinned", 2),
        (CONSTRAINED + "my-own-package==1.*\n", "unpinned", 2),
        (CONSTRAINED + "pandas==3.0.5\nPandas==3.0.5\n", "duplicate", 3),
        (f"-i https://me:secret@index.example/simple\n{CONSTRAINED}", "credentials", 1),
    ],
)
def test_what_works_but_may_surprise_is_a_warning(text: str, rule: str, line: int | None) -> None:
    judged = judge(text)
    assert (judged.verdict, rules(judged)) == ("accepted", [(rule, line)])
    assert all(finding.severity == "warning" for finding in judged.findings)


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("celery==5.3.0", "essential-pin", 2),
        ("apache-airflow==2.10.3", "essential-pin", 2),
        ("Flask_AppBuilder < 5", "essential-pin", 2),
        ("celery @ https://example.org/celery-5.6.3-py3-none-any.whl", "essential-pin", 2),
        ("pandas==1.5.3", "constraint-conflict", 2),
        ("pandas >= 1, \\\n  < 2", "constraint-conflict", 2),
        ("boto3==1.0 ; sys_platform == 'linux'", "constraint-conflict", 2),
        ("pandas=3.0.5", "requirement-syntax", 2),
        ("pandas 3.0.5", "requirement-syntax", 2),
        ("pandas==3.0.5 numpy==2.0", "requirement-syntax", 2),
        ("--colour always", "requirement-syntax", 2),
        ("https://[", "requirement-syntax", 2),
        ("x @ https://[", "requirement-syntax", 2),
        ("-r", "requirement-syntax", 2),
        ("-r more.txt", "local-file", 2),
        ("a==1\na==2", "duplicate", 3),
        ("a==1 --hash=sha256:aa\nb==1", "hashes-incomplete", 3),
        ("a-1.0-cp39-cp39-win32.whl", "wheel-platform", 2),
        ("a @ https://example.org/a-1.0-cp311-cp311-manylinux2014_x86_64.whl", "wheel-platform", 2),
        ("https://example.org/a-1.0-cp312-cp312-macosx_11_0_arm64.whl#sha256=0", "wheel-platform", 2),
    ],
)
def test_what_pip_would_refuse_is_an_error_with_its_line(text: str, rule: str, line: int) -> None:
    judged = judge(CONSTRAINED + text + "\n")
    assert judged.verdict == "rejected"
    assert (rule, line) in errors(judged)
    assert all(finding.remedy for finding in judged.findings)


def test_an_essential_pin_says_what_is_pinned() -> None:
    (finding,) = judge(CONSTRAINED + "celery>=6\n").findings
    assert "celery==5.6.3" in finding.message
    assert "celery==5.6.3" in finding.remedy


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("git+https://github.com/example/x.git@v1", "url-requirement"),
        ("x @ git+ssh://git@example.org/x.git", "url-requirement"),
        ("-e git+https://example.org/x#egg=x", "url-requirement"),
        ("https://example.org/x-1.0.tar.gz", "url-requirement"),
        ("-r https://example.org/r.txt", "url-requirement"),
        ("/usr/local/airflow/plugins/x-1.0-py3-none-any.whl", "local-requirement"),
        ("./x", "local-requirement"),
        ("-e .", "local-requirement"),
        ("x @ file:///usr/local/airflow/dags/x-1.0-py3-none-any.whl", "local-requirement"),
        ("x==${VERSION}", "environment-variable"),
    ],
)
def test_what_the_gate_cannot_see_is_unknown(text: str, rule: str) -> None:
    judged = judge(CONSTRAINED + text + "\n")
    assert (judged.verdict, rules(judged)) == ("unknown", [(rule, 2)])


def test_without_a_constraint_mwaa_forces_its_own() -> None:
    assert errors(judge("pandas==1.5.3\n")) == [("constraint-conflict", 1)]


def test_a_constraint_in_a_comment_leaves_only_the_essential_pins() -> None:
    judged = judge("# -c none\npandas==1.5.3\ncelery==1.0\n")
    assert errors(judged) == [("essential-pin", 3)]


def test_another_constraints_file_is_not_guessed_at() -> None:
    assert errors(judge("-c /usr/local/airflow/dags/constraints.txt\npandas==1.5.3\n")) == []


def test_every_hash_and_every_pin_is_fine() -> None:
    assert (
        errors(judge(CONSTRAINED + "a==1 \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\nb==2 --hash=sha256:cc\n")) == []
    )


def test_secrets_are_not_repeated() -> None:
    for text in ("/a-1.0-cp39-cp39-win32.whl", "/x.tar.gz", "/a y", "/a --b"):
        assert "secret" not in repr(judge(f"https://me:secret@example.org{text}\nx @ https://me:secret@h{text}\n"))


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        ("six==1.17.0", ["six-1.17.0-py2.py3-none-any.whl"], []),
        ("pandas==3.0.5", ["pandas-3.0.5-cp312-cp312-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"], []),
        ("boto3", [], [("unpinned", "warning")]),  # it is installed
        ("my-own==1", [], [("wheel-missing", "error")]),
        ("my-own==1", ["my_own-2-py3-none-any.whl"], [("wheel-missing", "error")]),
        ("my-own==1", ["my_own-1-cp311-cp311-linux_x86_64.whl"], [("wheel-missing", "error")]),
        ("my-own==1", ["wheels/my_own-1-py3-none-any.whl"], [("wheel-missing", "error")]),
        ("/usr/local/airflow/plugins/a-1-py3-none-any.whl", ["a-1-py3-none-any.whl"], []),
        ("/usr/local/airflow/plugins/a-1-py3-none-any.whl", [], [("wheel-missing", "error")]),
    ],
)
def test_wheels_in_plugins_zip_serve_an_environment_without_an_index(
    text: str, files: list[str], expected: list[tuple[str, str]]
) -> None:
    judged = judge(WHEELS + text + "\n", shelf=LocalWheels([*files, "constraints.txt"]))
    assert [(finding.rule, finding.severity) for finding in judged.findings] == expected


def test_a_plugins_zip_that_may_still_come_leaves_it_open() -> None:
    judged = judge(WHEELS + "my-own==1\n", shelf=LocalWheels(["constraints.txt"], final=False))
    assert (judged.verdict, rules(judged)) == ("unknown", [("wheel-missing", 4)])
    assert judge(WHEELS + "my-own==1\n").verdict == "unknown"


def test_constraints_from_the_internet_do_not_go_with_no_index() -> None:
    assert ("constraint-needs-internet", 1) in rules(judge(CONSTRAINED + "--no-index\n"))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_byte_order_marks_are_honoured_as_pip_does(mark: bytes) -> None:
    encoding = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}[mark]
    assert judge(mark + (CONSTRAINED + "pandas==3.0.5\n").encode(encoding)).findings == ()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"pandas # \xe9\n", b"# coding: nothing\n"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    assert errors(judge(content)) == [("encoding", None)]


def test_a_cookie_names_the_encoding() -> None:
    assert errors(judge(b"# coding: latin-1\npandas==3.0.5 # \xe9\n")) == []


def test_size_and_lines_are_bounded() -> None:
    assert errors(check_large()) == [("too-large", None)]
    assert errors(judge("\n" * 20_000)) == [("too-large", None)]


def check_large() -> Judgement:
    return check_requirements(Candidate("requirements.txt", 2 * 1024**2), AIRFLOW_3)


def test_an_unknown_airflow_version_is_said() -> None:
    environment = EnvironmentFacts("acme", "AVAILABLE", "9.9.9", "acme-airflow", "dags")
    judged = judge(CONSTRAINED + "celery==1.0\n", environment)
    assert judged.verdict == "unknown"
    assert "unknown-airflow-version" in {finding.rule for finding in judged.findings}


@pytest.mark.parametrize("version", known_versions())
def test_every_version_on_mwaa_is_known_with_its_python(version: str) -> None:
    packages = packages_of(version)
    assert packages is not None
    facts = EnvironmentFacts("acme", "AVAILABLE", version, "acme-airflow", "dags")
    assert packages.python.startswith(".".join(map(str, facts.python_version)) + ".")
    assert packages.essential["apache-airflow"] == version
    assert len(packages.installed) > 150
    assert len(packages.constraints) > 600
    assert errors(judge("".join(f"{name}=={pin}\n" for name, pin in packages.constraints.items()), facts)) == []


def test_wheels_are_those_of_amazon_linux_2023() -> None:
    tags = {str(tag) for tag in wheel_tags((3, 12))}
    assert {"cp312-cp312-manylinux_2_34_x86_64", "cp312-abi3-manylinux2014_x86_64", "py3-none-any"} <= tags
    assert not {"cp312-cp312-manylinux_2_35_x86_64", "cp312-cp312-manylinux_2_28_aarch64"} & tags
    assert not any(tag.startswith("cp313") for tag in tags)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
def test_no_bytes_crash_it(content: bytes) -> None:
    judged = judge(content, AIRFLOW_2_ON_PYTHON_3_11)
    assert judged.verdict in {"accepted", "rejected", "unknown"}


PIECES = ["pandas", "==", ">=", "1.0", ".*", "[", "]", "extra", ";", "#", "-c", "-r", "-e", "--hash=", "--", "git+"]
PIECES += ["https://", "file:", "/", "@", "${X}", "python_version", "<", "'3'", '"', "(", ")", "and", ".whl"]
PIECE = st.sampled_from([*PIECES, " ", " ", "\n", "\\\n", "\0"])


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECE, max_size=30).map("".join))
def test_no_pieces_of_a_file_crash_it(text: str) -> None:
    assert all(finding.message and finding.remedy for finding in judge(text).findings)
