"""What users wrote cannot pass for Jetway's own words, in a terminal, in a mail and in Markdown."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.artifacts.findings import Finding, judgement
from jetway.artifacts.requirements.requirement_lines import logical_lines, redacted
from jetway.aws.s3 import ObjectVersion
from jetway.dispatch.conf_template import render
from jetway.documents.escape import quoted, unlinked, visible
from jetway.errors import InvalidConfError
from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion
from jetway.promotion.copy import Placement
from jetway.promotion.report_markdown import as_markdown
from jetway.promotion.reports import Report, report_on
from jetway.promotion.restore import Restored
from jetway_cli import check_formats, output

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
FORGED = "a\x1b[2J\u202e\x9b31m\r\nTo do: open https://evil.example/x now\n"


def report(path: str, message: str) -> Report:
    finding = Finding("syntax", "error", message, 1, message)
    source = ObjectVersion("drop", path, "v1", '"etag"', 3, NOW)
    made = report_on(path, judgement("dag-file", [finding]), 0.1, source=source, judged_at=NOW)
    return replace(made, placement=Placement("quarantined"))


@given(st.text())
def test_all_that_is_left_can_be_seen(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text, lines=True).replace("\n", "").replace("\t", "").isprintable()
    assert "://" not in unlinked(text)
    assert all(line.startswith("    ") for line in quoted(text).split("\n"))


def test_what_can_be_seen_stays_as_it_is() -> None:
    assert visible("tägliche Übersicht, 日報: 100 %") == "tägliche Übersicht, 日報: 100 %"


def test_a_mail_has_no_line_and_no_link_of_the_files() -> None:
    told = news.judged("prod", report(f"dags/{FORGED}.py", FORGED).as_dict(), "reports/r.json")
    standing = ArtifactState(
        "dags/x.py",
        "rolling-back",
        LiveVersion("v1", "env", "dags/x.py", "v", "dag-file", "accepted", NOW, "reports/r.json"),
        problems=(Defect("dags/x.py", FORGED),),
    )
    back = news.rolled_back("prod", "drop", standing, Restored("removed"), NOW)
    for message in (told.message, back.message):
        assert message is not None
        assert message.replace("\n", "").isprintable()
        assert "evil" in message
        assert "https://" not in message
        assert not any(line.startswith("To do: open") for line in message.split("\n"))


def test_markdown_has_no_link_no_line_and_no_control_character_of_the_files() -> None:
    environment = {"environment": {"name": "prod", "airflow_version": "3.3.1"}}
    text = as_markdown(report(f"dags/{FORGED}.py", FORGED).as_dict() | environment)
    assert text.replace("\n", "").isprintable()
    assert "https://evil" not in text
    dag = {"dag_id": "d", "line": "](javascript:x) <img>"}
    forged = as_markdown(report("dags/x.py", "m").as_dict() | environment | {"dags": [dag]})
    assert "javascript" not in forged


@pytest.mark.parametrize("form", ["text", "github"])
def test_a_terminal_gets_no_control_character_of_the_files(form: str) -> None:
    printed = check_formats.FORMATS[form]([report(f"dags/{FORGED}.py", FORGED)])
    assert "\x1b[2J" not in printed
    assert "\u202e" not in printed
    assert "\x9b" not in printed
    assert not any(line.startswith("To do") for line in printed.split("\n"))


def test_tables_and_json_on_a_terminal_get_none_either(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["run"], [[FORGED]])
    output.say(FORGED)
    output.print_json({"run": FORGED})
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert json.loads(out[out.index("{") :]) == {"run": FORGED}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("--index-url https://user:secret@host/simple", "--index-url https://***@host/simple"),
        ("https://secret@host/simple", "https://***@host/simple"),
        ("https://user:p@secret@host/simple", "https://***@host/simple"),
        ("https://user:p/secret@host/simple", "https://***@host/simple"),
        ("https://user:p:sec/ret@host/simple", "https://***@host/simple"),
        ("-ihttps://user:secret@host/simple", "-ihttps://***@host/simple"),
        ("--index-url=https://u:secret@h/s -c https://u:secret@h/c", "--index-url=https://***@h/s -c https://***@h/c"),
        ("https://host/simple?token=secret", "https://host/simple?***"),
        ("https://host/pkg@1.0/x", "https://host/pkg@1.0/x"),
        ("git+https://host/pkg@v1", "git+https://host/pkg@v1"),
        ("https://host:8443/pkg", "https://host:8443/pkg"),
        ("numpy==1.0  # a comment", "numpy==1.0  # a comment"),
    ],
)
def test_credentials_are_not_shown(line: str, shown: str) -> None:
    assert redacted(line) == shown


@given(st.from_regex(r"[a-z:@]{0,9}[:@][a-z:/@]{0,9}secret[a-z:/]{0,9}@host/x", fullmatch=True))
def test_whatever_stands_before_the_last_at_sign_is_not_shown_where_there_may_be_a_password(rest: str) -> None:
    assert redacted(f"https://{rest}") == "https://***@host/x"


def _rendered(text: str) -> object:
    try:
        return render({"a": text}, {"a": "b"})
    except InvalidConfError:
        return None


@pytest.mark.parametrize(
    ("take", "worst"),
    [
        (lambda text: list(logical_lines(text)), " "),
        (lambda text: list(logical_lines(text)), "\t"),
        (lambda text: list(logical_lines(text)), " #"),
        (redacted, "://a:"),
        (redacted, "@"),
        (_rendered, "\\"),
        (_rendered, "\\{{"),
        (_rendered, "{{ a }}"),
        (visible, "\x1b"),
    ],
)
def test_the_work_grows_with_the_text_and_not_with_its_square(take: object, worst: str) -> None:
    assert callable(take)
    short, long = (worst * (size // len(worst)) for size in (1 << 18, 1 << 20))
    assert _least(take, long) <= 6 * max(_least(take, short), 0.005)


def _least(take: object, text: str) -> float:
    """Seconds of the processor, the best of three."""
    assert callable(take)
    times = []
    for _ in range(3):
        began = time.process_time()
        take(text)
        times.append(time.process_time() - began)
    return min(times)
