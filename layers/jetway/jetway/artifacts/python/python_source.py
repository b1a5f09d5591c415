"""Whether Python can compile a source file: encoding and syntax, as the environment's Python reads them.

The file is compiled as an import would compile it (`compile` on its bytes: byte order mark, PEP 263
cookie and all) and parsed once more with `feature_version`, because the function's Python may be newer
than the environment's. Nothing is executed.

What this cannot tell: names that only a newer standard library has, and errors that another Python's compiler
would raise for a tree that both can parse.
"""

from __future__ import annotations

import ast
import codecs
import re
import sys
import warnings
from dataclasses import dataclass
from tokenize import COMMENT

from jetway.artifacts.findings import Finding
from jetway.artifacts.python.f_strings import UNREADABLE, newer_f_string, tokens

PythonVersion = tuple[int, int]

_FIRST_WITH_PEP_701 = (3, 12)

_LONGEST_QUOTE = 160

# Compiling and parsing takes up to 2.3 KB of memory and 12 µs for each word or sign; 250,000 are some 12,000 lines.
MOST_WORDS = 250_000
_WORD_OR_NOT = bytes(ord("w") if c > 127 or chr(c).isalnum() or chr(c) == "_" else ord(" ") for c in range(256))
_SIGNS = bytes(c for c in range(33, 127) if not (chr(c).isalnum() or chr(c) in "_#'\""))

# Before 3.12 each code object is compared with all others that are alike, and an f-string is read anew for each field.
_LINEAR_SINCE = (3, 12)
_SCOPE = re.compile(rb"\b(?:lambda|class|def|for)\b")
_F_STRING = re.compile(rb"(?i:\bf|\bfr|\brf)['\"]")
_SCOPE_WEIGHS, _FIELD_WEIGHS = 20, 8

# https://docs.python.org/3/reference/lexical_analysis.html#encoding-declarations
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK_OR_COMMENT = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_LINE_END = re.compile(rb"\r\n|\r|\n")

# Their decoders take time quadratic in the length: half a minute for a megabyte.
_CODECS_REFUSED = frozenset({"punycode", "idna"})

# Lines on which an older Python may stumble over what a version reads as the first one: what such a line has, and the
# sign that comes after it, if any.
_SYNTAX_SINCE = (
    ((3, 12), re.compile(r"^\s*type\s+\w+|\b(?:def|class)\s+\w+\s*\["), ""),  # PEP 695
    ((3, 12), re.compile(r"\b(?:[rR]?[fF]|[fF][rR])['\"]"), ""),  # PEP 701
    ((3, 13), re.compile(r"\[\s*\w"), "="),  # PEP 696
    ((3, 14), re.compile(r"\b(?:[rR]?[tT]|[tT][rR])['\"]"), ""),  # PEP 750
    ((3, 14), re.compile(r"\bexcept\b"), ","),  # PEP 758
)

_REPLACED = "\N{REPLACEMENT CHARACTER}"

# What Python says when bytes, and not escapes in a string, cannot be decoded.
_NOT_DECODED = re.compile(r"\(unicode error\) 'utf-8' codec|Non-UTF-8 code")

_TOO_DEEP = Finding(
    rule="too-deep",
    severity="error",
    message="The code is nested deeper, or an expression is longer, than Python can compile.",
    line=None,
    remedy="Put the data into a file beside the DAG and read it from there, or split the expression.",
)


_TOO_HEAVY = Finding(
    rule="not-judged",
    severity="error",
    message=f"The file has more than {MOST_WORDS:,} tokens, too many to compile here.",
    line=None,
    remedy="Airflow compiles it again and again. Put the data into a file beside the DAG and read it from there.",
)


@dataclass(frozen=True, slots=True)
class PythonSource:
    """A source file after reading.

    Attributes:
        tree: its syntax tree, or None when it has none or is too deep to be looked at.
        findings: what is wrong with it.
        uncertain: the environment's Python may read what this one cannot.
    """

    tree: ast.Module | None
    findings: tuple[Finding, ...] = ()
    uncertain: bool = False

    @property
    def may_load(self) -> bool:
        """Whether nothing certain stands against loading it."""
        return not any(finding.severity == "error" for finding in self.findings)


def read_source(
    content: bytes, python: PythonVersion, *, own_python: PythonVersion = sys.version_info[:2]
) -> PythonSource:
    """Compile and parse a source file for the environment's Python.

    Args:
        content: the file's bytes.
        python: version of the Python that will import the file.
        own_python: version of the Python that runs this.
    """
    unread = _unread(content, own_python)
    if unread is not None:
        return unread
    with warnings.catch_warnings():
        # An invalid escape is a warning to Python and no fault of the file.
        warnings.simplefilter("ignore")
        try:
            compile(content, "<artifact>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as exc:  # ValueError: what some versions raise for a NUL byte
            return _not_compiled(content, exc, python, own_python)
        except (RecursionError, MemoryError):
            return PythonSource(None, (_TOO_DEEP,))
        return _parsed(content, python, own_python)


def _parsed(content: bytes, python: PythonVersion, own_python: PythonVersion) -> PythonSource:
    """Parse what this Python has compiled, in the grammar of the environment's."""
    try:
        if python < _FIRST_WITH_PEP_701 <= own_python and (found := newer_f_string(_decoded(content))):
            return PythonSource(None, (_newer_syntax(*found, python),))
        return PythonSource(ast.parse(content, feature_version=python))
    except SyntaxError as exc:
        return PythonSource(None, (_newer_syntax(exc.lineno, _quote(exc), python),))
    except (RecursionError, MemoryError):
        # It compiles, so it loads; only the tree is too deep to be turned into objects.
        return PythonSource(None)


def _not_compiled(
    content: bytes, exc: SyntaxError | ValueError, python: PythonVersion, own_python: PythonVersion
) -> PythonSource:
    if not isinstance(exc, SyntaxError) or not exc.lineno or _NOT_DECODED.match(exc.msg):
        if own_python > python and _only_comments_undecodable(content):
            # Up to some patch release each Python skips what it cannot decode in a comment; later ones do not.
            return read_source(content.decode("utf-8", "replace").encode(), python, own_python=own_python)
        encoding = _encoding_finding(content, getattr(exc, "lineno", None))
        if encoding is not None:
            return PythonSource(None, (encoding,))
    line, text = getattr(exc, "lineno", None), getattr(exc, "text", None)
    may_be = text and any(
        own_python < since <= python and new.search(text.rpartition(sign)[0] if sign else text)
        for since, new, sign in _SYNTAX_SINCE
    )
    if may_be:
        finding = Finding(
            rule="syntax-not-judged",
            severity="warning",
            message=(
                f"Python {_dotted(own_python)} of the function cannot read this: {_quote(exc)}. Python "
                f"{_dotted(python)} of the environment might."
            ),
            line=line,
            remedy=f"Deploy Jetway with PythonRuntime python{_dotted(python)} or newer to check it here.",
        )
        return PythonSource(None, (finding,), uncertain=True)
    finding = Finding(
        rule="syntax",
        severity="error",
        message=f"Python {_dotted(python)} cannot compile this: {_quote(exc)}.",
        line=line or None,
        remedy="Correct the line; `python -m py_compile FILE` shows the same error.",
    )
    return PythonSource(None, (finding,))


def _newer_syntax(line: int | None, what: str, python: PythonVersion) -> Finding:
    return Finding(
        rule="newer-syntax",
        severity="error",
        message=f"The environment runs Python {_dotted(python)}, which cannot read this: {what}.",
        line=line or None,
        remedy=f"Use the syntax of Python {_dotted(python)}, or upgrade the environment.",
    )


def _unread(content: bytes, own_python: PythonVersion) -> PythonSource | None:
    """What is better not given to the compiler, because it would take minutes or gigabytes."""
    cookie = declared_encoding(content)
    if cookie is not None and cookie[0].lower().replace("_", "-") in _CODECS_REFUSED:
        finding = Finding(
            rule="encoding",
            severity="error",
            message=f"The encoding {cookie[0]!r} is not intended for source files, and decoding takes too long.",
            line=cookie[1],
            remedy="Save the file as UTF-8 and remove the coding line.",
        )
        return PythonSource(None, (finding,))
    return PythonSource(None, (_TOO_HEAVY,)) if weight(content, own_python) > MOST_WORDS else None


def declared_encoding(content: bytes) -> tuple[str, int] | None:
    """Return the encoding that a PEP 263 cookie names and its line, or None without a cookie."""
    lines = _LINE_END.split(content.removeprefix(codecs.BOM_UTF8)[:4096], maxsplit=2)[:2]
    for number, line in enumerate(lines, start=1):
        match = _COOKIE.match(line)
        if match:
            return match[1].decode("ascii", "replace"), number
        if not _BLANK_OR_COMMENT.match(line):
            return None
    return None


def _encoding_finding(content: bytes, line: int | None) -> Finding | None:
    """Say in plain words what is wrong with the file's encoding, or return None when that is not it.

    Args:
        content: the file's bytes.
        line: where Python saw the error, if it said so.
    """
    nul = content.find(b"\0")
    if nul >= 0:
        return Finding(
            rule="nul-byte",
            severity="error",
            message="The file has a NUL byte, which Python does not allow in source files.",
            line=_line_at(content, nul),
            remedy="It might be a binary file with the wrong name, or a broken upload. Upload the source again.",
        )
    cookie = declared_encoding(content)
    name, cookie_line = cookie or ("UTF-8", None)
    message = None
    try:
        content.decode(name)
    except LookupError:
        message, line = f"Python does not know the encoding {name!r} in the coding line.", cookie_line
    except UnicodeError as error:
        # A comment may hold such bytes as well, and Python does not mind those: its own line goes first.
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = line or _line_at(content, start)
        message = f"The file is not {name}: some bytes of this line cannot be read."
    else:
        if cookie and content.startswith(codecs.BOM_UTF8):
            message, line = (
                f"The file begins with a UTF-8 byte order mark, but its coding line says {name!r}.",
                cookie_line,
            )
    if message is None:
        return None
    remedy = "Save the file as UTF-8"
    remedy += " and remove the coding line." if cookie else ", or name its encoding: # -*- coding: latin-1 -*-"
    return Finding(rule="encoding", severity="error", message=message, line=line, remedy=remedy)


def _only_comments_undecodable(content: bytes) -> bool:
    """Whether the file is UTF-8 but for bytes in its comments, and names no other encoding."""
    if declared_encoding(content) is not None:
        return False
    text = _decoded(content)
    if _REPLACED not in text:
        return False
    try:
        return not any(_REPLACED in found.string for found in tokens(text) if found.type != COMMENT)
    except UNREADABLE:
        return False


def _decoded(content: bytes) -> str:
    """The text of a file, with what cannot be read in it replaced."""
    cookie = declared_encoding(content)
    return content.removeprefix(codecs.BOM_UTF8).decode(cookie[0] if cookie else "utf-8", "replace")


def weight(content: bytes, own_python: PythonVersion = sys.version_info[:2]) -> int:
    """Return how many words and signs a source has: the syntax tree has about as many nodes, at most twice.

    Comments and strings count as well: which bytes are in one only the tokenizer tells.
    """
    words = (b" " + content.translate(_WORD_OR_NOT)).count(b" w")
    signs = len(content) - len(content.translate(None, _SIGNS))
    strings = (content.count(b"'") + content.count(b'"')) // 2
    if own_python >= _LINEAR_SINCE:
        return words + signs + strings
    fields = content.count(b"{") if _F_STRING.search(content) else 0
    scopes = len(_SCOPE.findall(content))
    return words + signs + strings + _SCOPE_WEIGHS * scopes + _FIELD_WEIGHS * fields


def _line_at(content: bytes, offset: int) -> int:
    return len(_LINE_END.findall(content, 0, offset)) + 1


def _quote(exc: SyntaxError | ValueError) -> str:
    """The error's own words, with column and text where it has them."""
    if not isinstance(exc, SyntaxError):
        return str(exc)
    words = exc.msg or "invalid syntax"
    if not exc.text:
        return words
    text = exc.text.strip()
    if len(text) > _LONGEST_QUOTE:
        text = text[:_LONGEST_QUOTE] + "…"
    column = f" at column {exc.offset}" if exc.offset and exc.offset > 0 else ""
    return f"{words}{column} in `{text}`"


def _dotted(version: PythonVersion) -> str:
    return f"{version[0]}.{version[1]}"
