"""What users wrote, as it may stand in texts that go out: to a terminal, into a mail, into Markdown. Pure.

A control character moves a terminal's cursor, a direction mark shows one text and means another, a line break begins a
paragraph that Jetway seems to have written, and a link invites a click.
"""

from __future__ import annotations


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text in which every character is seen, as Python would write the others.

    Args:
        text: of any characters.
        lines: line breaks and tabs stay what they are.

    >>> visible("\x1b[2J a\u202eb\n")
    '\\x1b[2J a\\u202eb\\n'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or (lines and char in "\n\t") else _written(char) for char in text)


def unlinked(text: str) -> str:
    """Return a text of which no mail program and no Markdown makes a link.

    >>> unlinked("see https://example.com")
    'see https: //example.com'
    """
    return text.replace("://", ": //").replace("mailto:", "mailto: ")


def quoted(text: str) -> str:
    r"""Return a text of several lines as a quotation, which no line of Jetway's own looks like.

    >>> quoted("line 1\nTo do: https://example.com")
    '    line 1\n    To do: https: //example.com'
    """
    return "\n".join(f"    {line}" for line in unlinked(visible(text.replace("\r\n", "\n"), lines=True)).split("\n"))


def _written(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
