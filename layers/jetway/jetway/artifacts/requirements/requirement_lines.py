"""requirements.txt as pip reads it: encoding, continued lines, comments, options.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import optparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from jetway.artifacts.python.python_source import declared_encoding

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# One blank where pip has many: the rest is stripped, and a line of blanks would take time quadratic in its length.
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_ONLY_COMMENT = re.compile(r"^\s*#")
_WORDS = re.compile(r"(\s)")

LONGEST_QUOTE = 200


class UnreadableError(ValueError):
    """The file's bytes are no text; the message says why."""


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """One logical line.

    Attributes:
        number: 1-based line where it begins.
        text: joined, without its comment.
        requirement: the part before the first option; "" when there is none.
        options: what the options say, by the name of the long option; None when pip cannot read them.
        problem: pip's words for why it cannot read the options.
    """

    number: int
    text: str
    requirement: str = ""
    options: dict[str, Any] | None = None
    problem: str = ""


def decode(content: bytes) -> str:
    """Return the file's text as pip decodes it: by its mark, by a PEP 263 cookie, else as UTF-8.

    Raises:
        UnreadableError: the bytes are not of that encoding.
    """
    encoding = "utf-8"
    for mark, name in _MARKS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], name
            break
    else:
        cookie = declared_encoding(content)
        encoding = cookie[0] if cookie else encoding
    try:
        return content.decode(encoding)
    except LookupError:
        raise UnreadableError(f"its coding line names {encoding!r}, which Python does not know") from None
    except UnicodeError as exc:
        raise UnreadableError(f"it is not {encoding}: {exc}") from None


def logical_lines(text: str) -> Iterator[RequirementLine]:
    """Yield the lines that say something."""
    for number, joined in _joined(text):
        stripped = _COMMENT.sub("", joined).strip()
        if stripped:
            yield _parsed(number, stripped)


def redacted(text: str) -> str:
    """Return a line for people to read: without credentials in URLs, and not longer than LONGEST_QUOTE."""
    text = "".join(_without_credentials(word) for word in _WORDS.split(text))
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"


def _without_credentials(word: str) -> str:
    """Take name and password out of a URL, and what may be one: too much rather than too little.

    A password may have `@`, `/` and `:` in it, which it should not have, and pip sends it all the same.
    """
    scheme, separator, rest = word.partition("://")
    if not separator:
        return word
    host = rest.partition("/")[0]
    if ":" in host or "@" in host:  # of user:p/ss@host/path the host begins behind the password
        _, at, kept = rest.rpartition("@")
        rest = f"***@{kept}" if at else rest
    before, question, _ = rest.partition("?")
    return f"{scheme}://{before}{'?***' if question else ''}"


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Join what ends in a backslash; a comment line ends the joining, as in pip."""
    first, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        comment = bool(_ONLY_COMMENT.match(line))
        if line.endswith("\\") and not comment:
            first = first or number
            parts.append(line.removesuffix("\\"))
            continue
        # pip puts a blank before a comment that ends a joined line, so that it is recognized as one.
        parts.append(" " + line if comment and parts else line)
        yield first or number, "".join(parts)
        first, parts = 0, []
    if parts:
        yield first, "".join(parts)


def _parsed(number: int, text: str) -> RequirementLine:
    words = text.split(" ")
    until = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    requirement = " ".join(words[:until]).strip()
    try:
        arguments = shlex.split(" ".join(words[until:]))
        # Words after the options are passed over, as pip does.
        values, _ = _PARSER.parse_args(arguments, optparse.Values(_PARSER.defaults.copy()))
    except ValueError as exc:
        return RequirementLine(number, text, requirement, None, str(exc))
    given = {name: value for name, value in vars(values).items() if value not in (None, [])}
    return RequirementLine(number, text, requirement, given)


class _Parser(optparse.OptionParser):
    """What pip itself parses with; it must not end the process."""

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


def _parser() -> _Parser:
    parser = _Parser(add_help_option=False)
    for *names, destination in (
        ("-r", "--requirement", "requirements"),
        ("-c", "--constraint", "constraints"),
        ("-e", "--editable", "editables"),
        ("-f", "--find-links", "find_links"),
        ("--extra-index-url", "extra_index_urls"),
        ("--trusted-host", "trusted_hosts"),
        ("--no-binary", "no_binary"),
        ("--only-binary", "only_binary"),
        ("--use-feature", "features"),
        ("--hash", "hashes"),
        ("--global-option", "global_options"),
        ("-C", "--config-settings", "--config-setting", "config_settings"),
    ):
        parser.add_option(*names, dest=destination, action="append", type="string")
    parser.add_option("-i", "--index-url", "--pypi-url", dest="index_url", type="string")
    for flag in ("--no-index", "--pre", "--prefer-binary", "--require-hashes"):
        parser.add_option(flag, dest=flag.removeprefix("--").replace("-", "_"), action="store_true")
    return parser


_PARSER = _parser()
