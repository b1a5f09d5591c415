"""README and docs/ against what is there: links and their anchors, make targets, `jetway` commands, parameters."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from jetway.airflow import RunAlreadyExistsError
from jetway.errors import PermanentError
from jetway_cli.app import cli
from tests.unit.sample_events import ROOT
from tests.unit.template.source import Loader
from tools.stack.stack import VARIABLES

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CURRENT = [path for path in PAGES if path.name not in {"CHANGELOG.md", "DECISIONS.md"}]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TEMPLATES = [yaml.load((ROOT / name).read_text(), Loader) for name in ("template.yaml", "environment.yaml")]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page names.

    Attributes:
        links: targets of links and pictures, as written.
        anchors: ids that GitHub gives its headings.
        code: each code span, and each line of a fenced block.
    """

    links: tuple[str, ...]
    anchors: frozenset[str]
    code: tuple[str, ...]


@cache
def read(path: Path) -> Page:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(path.read_text(encoding="utf-8"))
    links: list[str] = []
    code: list[str] = []
    anchors: Counter[str] = Counter()
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "fence" and token.info not in {"mermaid", "python"}:
            code += token.content.replace("\\\n", " ").splitlines()
        for child in flat(token):
            if child.type == "code_inline":
                code.append(child.content.replace("\n", " "))
            links += [str(child.attrs[name]) for name in ("href", "src") if name in child.attrs]
            if child.type in {"html_inline", "html_block"}:
                links += re.findall(r'(?:src|href)="([^"]+)"', child.content)
        if before is not None and before.type == "heading_open":
            anchors[slug(token)] += 1
    numbered = {f"{name}-{n}" if n else name for name, count in anchors.items() for n in range(count)}
    return Page(tuple(links), frozenset(numbered), tuple(code))


def flat(token: Token) -> Iterator[Token]:
    yield token
    yield from token.children or []


def slug(heading: Token) -> str:
    """What GitHub makes of a heading: https://github.com/gjtorikian/html-pipeline, TableOfContentsFilter."""
    text = "".join(child.content for child in heading.children or [])
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def commands(page: Page, program: str) -> Iterator[list[str]]:
    """The words of each command line of this program, pipes and comments cut off."""
    for line in page.code:
        for found in re.finditer(rf"(?:^|[$|;&(] *|= *)({program} [^|;&)]*)", line):
            try:
                yield shlex.split(found.group(1), comments=True)
            except ValueError:  # a quotation that goes on in the next line
                yield found.group(1).split()


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    broken = []
    for link in read(path).links:
        if re.match(r"https?://|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in read(target).anchors):
            broken.append(link)
    assert broken == []


def test_the_readme_names_every_page() -> None:
    named = {(ROOT / link.partition("#")[0]).resolve() for link in read(ROOT / "README.md").links}
    assert set((ROOT / "docs").glob("*.md")) <= named


def test_the_readme_explains_every_reason_of_a_dead_letter() -> None:
    def below(error: type[PermanentError]) -> set[type[PermanentError]]:
        return {found for child in error.__subclasses__() for found in (child, *below(child))}

    reasons = {error.reason for error in below(PermanentError) - {RunAlreadyExistsError}}  # that one is no failure
    rows = re.findall(r"^\| (`[^|]*) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert reasons <= explained


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_make_target_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    asked = {
        word
        for words in commands(read(path), "make")
        for word in words[1:]
        if re.fullmatch(r"[a-z][a-z-]*", word)  # not -s, PROFILE=prod, …
    }
    assert asked <= targets


def test_make_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)) == {*phony.replace("\\", " ").split(), "clean"}


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_jetway_command_and_option_is_there(path: Path) -> None:
    unknown = []
    for words in commands(read(path), "jetway"):
        subcommand = cli.commands.get(words[1])
        if subcommand is None:
            if words[1] not in {"--help", "--version", "…", "COMMAND"}:
                unknown.append(words)
            continue
        options = {name for parameter in subcommand.params for name in (*parameter.opts, *parameter.secondary_opts)}
        options |= set(subcommand.get_help_option_names(click.Context(subcommand)))
        if not {word.partition("=")[0] for word in words[2:] if re.match("--[a-z]", word)} <= options:
            unknown.append(words)
    assert unknown == []


@pytest.mark.parametrize("path", CURRENT, ids=names(CURRENT))
def test_make_env_sets_every_variable_that_a_command_uses_and_does_not_set_itself(path: Path) -> None:
    unknown: set[str] = set()
    for text in shell_code(path):
        code = re.sub(r"\$\{\w+:\+[^}]*\}", "", text)  # "${X:+…}": only where X is set
        used = re.findall(r"\$\{?([A-Za-z_]\w*)(?!\w|::)|os\.environ\[\"(\w+)\"\]", code)
        itself = set(re.findall(r"(?:^|[\s;&(`])([A-Za-z_]\w*)=", code))
        unknown |= {shell or python for shell, python in used} - itself - set(VARIABLES)
    assert unknown == set()


def shell_code(path: Path) -> Iterator[str]:
    """Code spans, and blocks that are typed into a shell or read its variables."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(path.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info in {"", "bash", "console", "py", "python", "sh", "shell"}:
            yield token.content
        yield from (child.content for child in flat(token) if child.type == "code_inline")


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_parameter_takes_the_value_that_is_shown(path: Path) -> None:
    wrong = []
    for line in read(path).code:
        for name, value in re.findall(r"(?<![\w-])([A-Z][a-z]+[A-Za-z]*)=([\w.-]+)", line):
            takers = [template["Parameters"][name] for template in TEMPLATES if name in template["Parameters"]]
            if not any(value in map(str, taker.get("AllowedValues", [value])) for taker in takers):
                wrong.append(f"{name}={value}")
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
@pytest.mark.parametrize("kind", ["Output", "Parameter"])
def test_every_output_and_parameter_that_is_called_so_is_there(path: Path, kind: str) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    lists = re.findall(rf"\b{kind}s?:? ((?:`[A-Z]\w*`(?:, | and )?)+)", text, re.IGNORECASE)
    named = {name for found in lists for name in re.findall(r"`(\w+)`", found)}
    assert named <= {name for template in TEMPLATES for name in template[f"{kind}s"]}
