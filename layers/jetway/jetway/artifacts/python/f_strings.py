"""f-strings that Python 3.12 and later read and 3.11 does not (PEP 701).

`ast.parse(feature_version=…)` does not see them, because they are a matter of the tokenizer. Needs the
tokenizer of Python 3.12 or later, which takes f-strings apart.
"""

from __future__ import annotations

import token
import tokenize
from collections.abc import Iterable, Iterator
from io import StringIO

# Some versions' tokenize fails on what the parser reads, such as a `=` after a string of several lines: then the
# load is the judge.
UNREADABLE = (SyntaxError, SystemError, ValueError, tokenize.TokenError)


def tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Take a source file apart, with its line ends as Python takes them.

    Raises:
        UNREADABLE: it cannot be taken apart, though Python may be able to compile it.
    """
    return tokenize.generate_tokens(StringIO(text, newline=None).readline)


def newer_f_string(text: str) -> tuple[int, str] | None:
    """Find the first f-string that Python 3.11 cannot read.

    Args:
        text: a source file that the running Python has compiled.

    Returns:
        The line, and what is new there; None when there is none.
    """
    try:
        return _first_newer(tokens(text))
    except UNREADABLE:
        return None


def _first_newer(found_tokens: Iterable[tokenize.TokenInfo]) -> tuple[int, str] | None:
    open_strings: list[tuple[str, int]] = []  # quote and first line of the f-strings around a token
    for found in found_tokens:
        name = token.tok_name[found.type]
        # What belongs to the innermost f-string is its text; to those around that, it is part of an expression.
        around = open_strings[:-1] if name in {"FSTRING_MIDDLE", "FSTRING_END"} else open_strings
        news = next(filter(None, (_news(found, name, quote, line) for quote, line in around)), None)
        if news is not None:
            return found.start[0], news
        if name == "FSTRING_START":
            open_strings.append((found.string.lstrip("fFrR"), found.start[0]))
        elif name == "FSTRING_END":
            open_strings.pop()
    return None


def _news(found: tokenize.TokenInfo, name: str, quote: str, line: int) -> str | None:
    """What Python 3.11 would not take at this token, in an expression of an f-string with that quote."""
    if quote in found.string:
        return "the f-string's own quotes inside its expression"
    if "\\" in found.string:
        return "a backslash in the expression of an f-string"
    if name == "COMMENT":
        return "a comment in the expression of an f-string"
    if len(quote) == 1 and found.end[0] != line:
        return "a line break in the expression of an f-string"
    return None
