"""startup.sh, judged by the machine's own bash."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.startup.startup_script import check_startup_script

from .judging import AIRFLOW_3, rules


def judge(content: bytes, bash: str | None = None) -> Judgement:
    return check_startup_script(Candidate("startup.sh", len(content), content), AIRFLOW_3, bash=bash)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'#!/bin/bash\nif [[ "$MWAA_AIRFLOW_COMPONENT" == worker ]]; then\n  dnf install -y x\nfi\n',
        "export NAME='Zoë'\n".encode(),
        b"export PATH=$PATH:/x\nexport LD_LIBRARY_PATH=/y\n",
    ],
)
def test_a_sound_script_gets_no_finding(content: bytes) -> None:
    judged = judge(content)
    assert (judged.verdict, judged.findings) == ("accepted", ())


@pytest.mark.parametrize(
    ("content", "rule", "line"),
    [
        (b"echo a\nif true\n", "bash-syntax", 3),
        (b"echo a\nfi\n", "bash-syntax", 2),
        (b"echo 'a\n", "bash-syntax", 1),
        (b"echo a\r\n", "crlf", 1),
        (b"# a\n\xef\xbb\xbfecho\r\n", "crlf", 2),
        (b"\xef\xbb\xbfecho a\n", "byte-order-mark", 1),
        (b"echo\n\0\n", "nul-byte", 2),
    ],
)
def test_what_bash_cannot_read_is_refused(content: bytes, rule: str, line: int) -> None:
    judged = judge(content)
    assert (judged.verdict, rules(judged)) == ("rejected", [(rule, line)])


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"export AIRFLOW_HOME=/x\n", "reserved-variable"),
        (b"MWAA__CORE__X=1\n", "reserved-variable"),
        (b"set -euo pipefail\n", "errexit"),
    ],
)
def test_what_mwaa_undoes_or_does_not_survive_is_a_warning(content: bytes, rule: str) -> None:
    judged = judge(content)
    assert (judged.verdict, rules(judged)) == ("accepted", [(rule, 1)])


def test_nothing_of_it_is_run(tmp_path: Path) -> None:
    judge(f"touch {tmp_path}/run\n$(touch {tmp_path}/run)\n".encode())
    assert list(tmp_path.iterdir()) == []


def test_without_bash_the_verdict_is_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    judged = judge(b"fi\n")
    assert (judged.verdict, rules(judged)) == ("unknown", [("not-judged", None)])
    assert judge(b"echo\n", str(tmp_path / "bash")).verdict == "unknown"


def test_a_large_one_is_refused() -> None:
    assert check_startup_script(Candidate("startup.sh", 2 * 1024**2), AIRFLOW_3).verdict == "rejected"
