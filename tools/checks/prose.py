"""Check what users read: pages, strings in code, descriptions in templates. `make lint` runs it.

proselint finds what is wrong in any English text. The patterns of tools/checks/prose.toml find words that AWS's
and Google's style guides replace, and sentences that need a second reading. Each pattern names its replacement.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml
from proselint.checks import __register__ as all_checks
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(__file__).with_name("prose.toml")

HIDDEN = "¤"
"""Stands for code, a link's target or a value that is only known when the program runs."""

_WORDS = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z(]")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"``.+?``|`[^`]+`|<!--.*?-->|</?[a-z][^>]*>|(?<=\])\([^)\s]+\)|https?://[^\s)>]+", re.DOTALL)
_NEW_PASSAGE = re.compile(r"\n[ \t]*(?=\n)|\n(?=[ \t]*(?:[-*+|#>]|\d+\.)[ \t])|\n(?=[ \t]*\|)| \| ")
_SCRIPT_STRING = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)""")


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, a cell, a message: what is read in one go.

    `lines` has the line of each part of the text as (offset, line), by offset.
    """

    path: str
    text: str
    lines: tuple[tuple[int, int], ...]

    def line_at(self, offset: int) -> int:
        """Return the line of the file that an offset in the text comes from."""
        return self.lines[bisect_right(self.lines, (offset, sys.maxsize)) - 1][1]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Words to replace. `bad` is a sentence with them and `good` the same sentence without, for people and tests."""

    find: re.Pattern[str]
    use: str
    bad: str
    good: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """Words that a file keeps, and why."""

    path: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What is read, what is replaced, and what is allowed."""

    files: tuple[str, ...]
    skipped: tuple[str, ...]
    yaml_keys: frozenset[str]
    proselint: dict[str, bool]
    patterns: tuple[Pattern, ...]
    allowed: tuple[Allowed, ...]


def read_rules(file: Path = RULES) -> Rules:
    """Read a file such as tools/checks/prose.toml."""
    data = tomllib.loads(file.read_text())
    return Rules(
        files=tuple(data["files"]),
        skipped=tuple(data["skipped"]),
        yaml_keys=frozenset(data["yaml_keys"]),
        proselint=data["proselint"],
        patterns=tuple(
            Pattern(re.compile(each["find"], re.MULTILINE), each["use"], each["bad"], each["good"])
            for each in data["patterns"]
        ),
        allowed=tuple(Allowed(**each) for each in data.get("allowed", ())),
    )


def check(passages: Iterable[Passage], rules: Rules) -> list[str]:
    """Return what has to change, one line each; exceptions that allow nothing any longer are part of it."""
    complaints, used = [], set()
    passages = list(passages)
    for passage, offset, words, message in (*_by_patterns(passages, rules), *_by_proselint(passages, rules)):
        allowed = next((each for each in rules.allowed if _allows(each, passage, offset, words)), None)
        if allowed:
            used.add(allowed)
        else:
            complaints.append(f"{passage.path}:{passage.line_at(offset)}: {words!r}: {message}")
    stale = [each for each in rules.allowed if each not in used]
    return [*complaints, *(f"prose.toml allows {each.text!r} in {each.path}, which is not there" for each in stale)]


def _allows(allowed: Allowed, passage: Passage, offset: int, words: str) -> bool:
    """Whether the exception's text covers the words that were found."""
    if allowed.path != passage.path:
        return False
    at = passage.text.find(allowed.text)
    while at >= 0:
        if at <= offset and offset + len(words) <= at + len(allowed.text):
            return True
        at = passage.text.find(allowed.text, at + 1)
    return False


def _by_patterns(passages: Sequence[Passage], rules: Rules) -> Iterator[tuple[Passage, int, str, str]]:
    """Look for each pattern in everything at the same time: a line for each passage."""
    starts = list(itertools.accumulate((len(each.text) + 1 for each in passages), initial=0))
    text = "\n".join(each.text for each in passages)
    for pattern in rules.patterns:
        for found in pattern.find.finditer(text):
            index = bisect_right(starts, found.start()) - 1
            yield passages[index], found.start() - starts[index], found[0], f"use {pattern.use}"


def _by_proselint(passages: Sequence[Passage], rules: Rules) -> Iterator[tuple[Passage, int, str, str]]:
    """Run proselint once over everything: a paragraph for each passage."""
    if not passages:
        return
    registry = CheckRegistry()
    if not registry.checks:
        registry.register_many(all_checks)
    parts = [f"q{number}.\n\n{each.text}\n\n" for number, each in enumerate(passages)]  # so that none repeats another
    ends = itertools.accumulate(map(len, parts), initial=1)  # proselint puts a line before the first
    starts = [end - len(each.text) - 2 for end, each in zip(itertools.islice(ends, 1, None), passages, strict=True)]
    document = LintFile("prose", "".join(parts))
    config = {"max_errors": 1000, "checks": rules.proselint}
    for result in document.lint(config):
        begin, end = result.check_result.span
        index = bisect_right(starts, begin) - 1
        passage, offset = passages[index], begin - starts[index]
        words = document.content[begin:end].strip()
        yield passage, passage.text.find(words, max(0, offset - 1)), words, result.check_result.message


# ------------------------------------------------------------------------------------------------ what users read
def read_passages(root: Path, rules: Rules) -> list[Passage]:
    """Return all that users read in the files of the rules, in order."""
    skipped = {path for pattern in rules.skipped for path in root.glob(pattern)}
    files = dict.fromkeys(path for pattern in rules.files for path in sorted(root.glob(pattern)))
    return [
        passage
        for file in files
        if file not in skipped
        for passage in passages_of(file.read_text(), str(file.relative_to(root)), rules.yaml_keys)
    ]


def passages_of(text: str, path: str, yaml_keys: frozenset[str]) -> Iterator[Passage]:
    """Yield what a user reads in one file, by its kind."""
    match Path(path).suffix or Path(path).name:
        case ".md":
            return _of_markdown(text, path)
        case ".py":
            return _of_python(text, path)
        case ".json":
            return _of_json(text, path)
        case ".yaml" | ".yml":
            return _of_yaml(text, path, yaml_keys)
        case ".html":
            return _of_html(text, path)
        case "Makefile":
            return _of_makefile(text, path)
        case other:
            raise ValueError(f"{path}: no reader for {other}")


def _of_markdown(text: str, path: str) -> Iterator[Passage]:
    """Paragraphs, headings, items and cells, without code."""
    text = _FENCE.sub(_emptied, text)
    begin = 0
    for separator in itertools.chain(_NEW_PASSAGE.finditer(text), (None,)):
        end = separator.start() if separator else len(text)
        if passage := _passage(path, text[begin:end], text.count("\n", 0, begin) + 1):
            yield passage
        begin = separator.end() if separator else end


def _emptied(found: re.Match[str]) -> str:
    """Keep the lines of a block of code, so that those after it keep their numbers."""
    return "\n" * found[0].count("\n")


def _passage(path: str, raw: str, line: int) -> Passage | None:
    """Make one line of a passage, with a space where lines end, and forget the code in it."""
    masked = _CODE.sub(lambda found: HIDDEN + "\n" * found[0].count("\n"), raw)
    parts, lines, length = [], [], 0
    for number, part in enumerate(masked.split("\n")):
        if cleaned := " ".join(part.split()):
            lines.append((length, line + number))
            parts.append(cleaned)
            length += len(cleaned) + 1
    text = " ".join(parts)
    return Passage(path, text, tuple(lines)) if _WORDS.search(text) else None


def _of_python(text: str, path: str) -> Iterator[Passage]:
    """Every string with two words, except docstrings; of the commands of click their docstrings too, which are help."""
    tree = ast.parse(text)
    hidden, shown = _documentation(tree)
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner.update(id(part) for value in node.values for part in _literal_parts(value))
            words = "".join(part.value if isinstance(part, ast.Constant) else HIDDEN for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | hidden:
            words = node.value
            if id(node) in shown:
                words = words.replace("\b", "")
        else:
            continue
        for number, part in enumerate(words.split("\n\n")):
            if passage := _passage(path, part.replace("\n", " "), node.lineno + number):
                yield passage


def _literal_parts(value: ast.expr) -> Iterator[ast.AST]:
    """The literal parts of an f-string, which are no strings of their own, and what stands in format specifications."""
    yield value
    if isinstance(value, ast.FormattedValue) and value.format_spec:
        yield from ast.walk(value.format_spec)


def _documentation(tree: ast.Module) -> tuple[set[int], set[int]]:
    """The docstrings of a module that only developers read, and those that click shows as help."""
    hidden: set[int] = set()
    shown: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for statement in node.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                (shown if _is_command(node) else hidden).add(id(statement.value))
    return hidden, shown


def _is_command(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        re.search(r"\b(command|group)\b", ast.unparse(each)) for each in node.decorator_list
    )


def _of_json(text: str, path: str) -> Iterator[Passage]:
    """Titles, summaries and descriptions of a schema; each at the first line that has it."""
    for words in dict.fromkeys(_described(json.loads(text))):
        at = text.find(json.dumps(words, ensure_ascii=False)[1:-1])
        if passage := _passage(path, words.replace("\n", " "), text.count("\n", 0, max(at, 0)) + 1):
            yield passage


def _described(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("description", "summary", "title") and isinstance(child, str):
                yield child
            else:
                yield from _described(child)
    elif isinstance(value, list):
        for child in value:
            yield from _described(child)


def _of_yaml(text: str, path: str, keys: frozenset[str]) -> Iterator[Passage]:
    """Values of the keys that a console or a tool shows."""

    def shown(node: yaml.Node, key: str) -> Iterator[yaml.ScalarNode]:
        if isinstance(node, yaml.MappingNode):
            for name, child in node.value:
                yield from shown(child, str(name.value))
        elif isinstance(node, yaml.SequenceNode):
            for child in node.value:
                yield from shown(child, key)
        elif isinstance(node, yaml.ScalarNode) and key in keys:
            yield node

    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    for node in shown(root, "") if root is not None else ():
        if passage := _passage(path, node.value.replace("\n", " "), node.start_mark.line + 1):
            yield passage


class _Page(HTMLParser):
    """Collects the text of a page and the strings of its script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.found += [(value, self.getpos()[0]) for name, value in attrs if name in ("title", "aria-label") and value]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - HTMLParser calls it
        self._inside = ""

    def handle_data(self, data: str) -> None:
        line = self.getpos()[0]
        if self._inside == "script":
            code = re.sub(r"^\s*//.*$", "", data, flags=re.MULTILINE)
            self.found += [
                (re.sub(r"\$\{[^}]*\}", HIDDEN, each[0][1:-1]), line + code.count("\n", 0, each.start()))
                for each in _SCRIPT_STRING.finditer(code)
            ]
        elif self._inside != "style":
            self.found.append((data.strip(), line))


def _of_html(text: str, path: str) -> Iterator[Passage]:
    page = _Page()
    page.feed(text)
    for words, line in page.found:
        if passage := _passage(path, words, line):
            yield passage


def _of_makefile(text: str, path: str) -> Iterator[Passage]:
    """What `make help` prints."""
    for number, line in enumerate(text.splitlines(), 1):
        if passage := _passage(path, line.partition("## ")[2], number):
            yield passage


@cache
def complaints_of_tree() -> tuple[str, ...]:
    """Check this tree once."""
    rules = read_rules()
    return tuple(check(read_passages(ROOT, rules), rules))


def main() -> int:
    """Print what has to change; 1 when there is anything."""
    for complaint in (complaints := complaints_of_tree()):
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
