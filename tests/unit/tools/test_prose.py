"""The prose check: what it reads of each kind of file, what it finds, what it lets through."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tools.checks.prose import HIDDEN, Allowed, Pattern, Rules, check, passages_of, read_passages, read_rules

RULES = read_rules()
NO_RULES = dataclasses.replace(
    RULES, proselint=dict.fromkeys(RULES.proselint, False), patterns=(), allowed=(), files=(), skipped=()
)
ANEW = Pattern(re.compile(r"\banew\b"), '"again"', "Start anew.", "Start again.")


def texts(source: str, path: str, *keys: str) -> list[str]:
    return [passage.text for passage in passages_of(source, path, frozenset(keys))]


def only(*patterns: Pattern, allowed: tuple[Allowed, ...] = ()) -> Rules:
    return dataclasses.replace(NO_RULES, patterns=patterns, allowed=allowed)


@pytest.mark.parametrize("pattern", RULES.patterns, ids=lambda pattern: pattern.bad)
def test_each_pattern_finds_its_bad_sentence_and_passes_its_good_one(pattern: Pattern) -> None:
    found = check(passages_of(pattern.bad, "page.md", frozenset()), only(pattern))

    assert [line.partition(": use ")[2] for line in found] == [pattern.use]
    assert check(passages_of(pattern.good, "page.md", frozenset()), only(*RULES.patterns)) == []


def test_a_finding_names_the_line_the_words_and_the_replacement() -> None:
    page = "# A page\n\nThe first line,\nand a second one that starts\nanew.\n"

    assert check(passages_of(page, "docs/page.md", frozenset()), only(ANEW)) == [
        "docs/page.md:5: 'anew': use \"again\""
    ]


def test_words_are_found_across_the_end_of_a_line() -> None:
    pattern = Pattern(re.compile(r"\bby hand\b"), '"manually"', "", "")

    assert check(passages_of("Start it by\n  hand now.", "page.md", frozenset()), only(pattern))


def test_code_links_and_comments_of_a_page_are_not_prose() -> None:
    page = """Write `start anew` or [read on](anew.md) about it.

```console
$ start anew
```

<!-- start anew -->
- An item here
  that goes on for two lines
- Another item here

| a cell here | a cell there |
"""
    assert texts(page, "page.md") == [
        f"Write {HIDDEN} or [read on]{HIDDEN} about it.",
        "- An item here that goes on for two lines",
        "- Another item here",
        "| a cell here",
        "a cell there |",
    ]


def test_strings_of_code_are_read_whole_and_docstrings_are_not() -> None:
    source = '''"""A module that starts anew."""
class Thing:
    """A thing that starts anew."""

def make(name: str) -> str:
    """Make it anew."""
    # A comment that starts anew.
    key = "anew"
    return (
        f"The file {name!r:>{10}} was "
        "read again."
    )
'''
    assert texts(source, "module.py") == [f"The file {HIDDEN} was read again."]


def test_the_docstring_of_a_command_is_its_help() -> None:
    source = '@cli.command()\ndef run() -> None:\n    """Start a run.\n\n    It waits for it.\n    """\n'

    assert texts(source, "module.py") == ["Start a run.", "It waits for it."]


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("a.json", '{"title": "A short title", "x": {"description": "What it is."}, "enum": ["not this one"]}', 2),
        ("a.yaml", "Parameters:\n  A:\n    Description: What it is.\n    Default: not this one\n", 1),
        ("Makefile", "run: all ## Start the stack\n\tnot this one\n", 1),
        (
            "a.html",
            (
                "<title>A page here</title><style>not this one</style><script>// not this one\n"
                'say("this one", `${name} too, please`);</script><p aria-label="a label here">x</p>'
            ),
            4,
        ),
    ],
)
def test_each_kind_of_file_has_a_reader(path: str, source: str, found: int) -> None:
    read = texts(source, path, "Description")

    assert len(read) == found
    assert not any("not this one" in text for text in read)


def test_a_kind_without_a_reader_is_refused() -> None:
    with pytest.raises(ValueError, match="no reader for"):
        texts("words here", "a.docx")


def test_an_exception_allows_its_words_in_its_file_and_nothing_else() -> None:
    allowed = Allowed("a.md", "the word anew", "it names the word")
    page = "This is the word anew. Start anew."

    found = check(passages_of(page, "a.md", frozenset()), only(ANEW, allowed=(allowed,)))

    assert found == ["a.md:1: 'anew': use \"again\""]
    assert len(check(passages_of(page, "b.md", frozenset()), only(ANEW, allowed=(allowed,)))) == 3


def test_an_exception_that_allows_nothing_any_longer_is_reported() -> None:
    allowed = Allowed("a.md", "the word anew", "it named the word")

    assert check([], only(ANEW, allowed=(allowed,))) == [
        "prose.toml allows 'the word anew' in a.md, which is not there"
    ]


def test_proselint_is_asked_too_and_its_place_is_right() -> None:
    rules = dataclasses.replace(NO_RULES, proselint=RULES.proselint)
    pages = [*passages_of("A line.\n\nA first thing here.\n", "a.md", frozenset())]
    pages += passages_of("The first line,\nand this is is wrong.\n", "b.md", frozenset())

    (found,) = check(pages, rules)

    assert found.startswith("b.md:2: 'is is': ")


def test_a_phrase_that_ends_one_passage_and_begins_the_next_is_no_repetition() -> None:
    rules = dataclasses.replace(NO_RULES, proselint=RULES.proselint)
    pages = passages_of("- not known here\n- not known here\n- not known here\n", "a.md", frozenset())

    assert check(pages, rules) == []


def test_files_are_read_once_and_those_that_are_skipped_are_not(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"This is {name} here.")
    rules = dataclasses.replace(NO_RULES, files=("*.md", "a.md", "b.md"), skipped=("b.*",))

    assert [passage.text for passage in read_passages(tmp_path, rules)] == ["This is a.md here."]


def test_every_exception_gives_its_reason() -> None:
    assert all(len(allowed.reason) > 10 for allowed in RULES.allowed)
