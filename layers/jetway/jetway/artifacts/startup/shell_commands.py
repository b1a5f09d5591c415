"""The simple commands of a bash script, told by reading it: enough to know what the shell itself would be told to do.

It follows quotes, comments, here-documents, substitutions, subshells and functions. What it does not understand it
takes for a word, and never fails: bash itself is asked whether a script can be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_OPENING = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "time", "{"})
_BLANK, _ENDS = " \t", "\n;&|()"
_PAIRS = {"(": ")", "{": "}"}
_HERE = re.compile(r"<<(-?)[ \t]*(\\?['\"]?)([^\s'\"\\;&|<>()]+)['\"]?")
_REDIRECT = re.compile(r"(?:[0-9]+|\{\w+\})?(?:&>>?|>>|>\||>&|<&|<>|<<<|[<>])")
_BODY = re.compile(r"(?:\s|#[^\n]*\n|\([ \t]*\))*\{(?=\s)")
_DEEPEST = 100  # what is nested deeper is read as if it were not
_NAME = re.compile(r"[A-Za-z_][\w.:-]*")


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command.

    Attributes:
        line: 1-based.
        words: as they are written, quotes included; without redirections.
        apart: it runs in a process of its own: a subshell, a pipeline, the background.
        function: the function that it is in; None outside of all.
    """

    line: int
    words: tuple[str, ...]
    apart: bool = False
    function: str | None = None


def commands(text: str) -> list[Command]:
    """Return the simple commands of a script in their order; keywords such as `if` and `do` are none."""
    return _Reader(text).read()


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    line: int = 1
    words: list[str] = field(default_factory=list)
    begun: int = 1  # line of the command that is being read
    piped: bool = False
    around: list[str] = field(default_factory=list)  # "(", "case", "{", or the name of a function with a space before
    found: list[Command] = field(default_factory=list)
    here: list[tuple[str, bool]] = field(default_factory=list)  # delimiters to come, and whether tabs may be before
    absent: set[str] = field(default_factory=set)  # marks that do not come any more

    def read(self) -> list[Command]:
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter in _BLANK:
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self._skip(2)
            elif letter == "#":
                self._skip_to("\n")
            elif letter in _ENDS:
                self._end(letter)
            elif found := _HERE.match(self.text, self.at) if not self.text.startswith("<<<", self.at) else None:
                self.here.append((found[3], bool(found[1])))
                self._skip(len(found[0]))
            elif found := _REDIRECT.match(self.text, self.at):
                self._skip(len(found[0]))
                self._redirected()
            else:
                self._take(self._word())
        self._finish(apart=False)
        return self.found

    def _take(self, word: str) -> None:
        if not self.words:
            self.begun = self.line - word.count("\n")
            if word in _OPENING:
                self._enter("{" if word == "{" else "")
                return
            if word == "}":
                self._close("{", " ")
                return
            if word in {"[[", "(("}:
                self._skip_to("]]" if word == "[[" else "))")
            elif word == "case":
                self._enter("case")
            elif word == "esac":
                self._close("case")
        self.words.append(word)
        if len(self.words) == 2 and self.words[0] == "function":
            self._function(word)

    def _end(self, letter: str) -> None:
        """At one of the letters that end a command."""
        if letter == "(":
            self._open()
            return
        double = self.text[self.at : self.at + 2]
        alone = letter in "|&" and double not in {"||", "&&"}
        self._finish(apart=alone)
        self.piped = letter == "|" and alone
        if letter == ")":
            self._close("(")
        self._skip(2 if double in {"||", "&&", "|&", ";;"} else 1)
        if letter == "\n":
            self._skip_here_documents()

    def _open(self) -> None:
        after = self.text[self.at + 1 : self.at + 200].lstrip(_BLANK)
        if self.text.startswith("((", self.at) and not self.words:
            self._skip_to("))")
        elif len(self.words) in {1, 2} and after.startswith(")"):  # name(), or function name()
            name = self.words[-1]
            self._skip_to(")")
            self._skip(1)
            self._function(name)
        else:
            if not self.words:
                self._enter("(")
            self._skip(1)

    def _function(self, name: str) -> None:
        """Its body comes: `{` is taken with it."""
        self.words.clear()
        body = _BODY.match(self.text, self.at)
        if body and _NAME.fullmatch(name):
            self._skip(len(body[0]))
            self._enter(f" {name}")

    def _enter(self, kind: str) -> None:
        if kind and len(self.around) < _DEEPEST:
            self.around.append(kind)

    def _close(self, *kinds: str) -> None:
        """Leave the innermost of these, when it is what stands around."""
        if self.around and (self.around[-1] in kinds or (" " in kinds and self.around[-1].startswith(" "))):
            self.around.pop()

    def _finish(self, *, apart: bool) -> None:
        if self.words:
            function = next((name[1:] for name in reversed(self.around) if name.startswith(" ")), None)
            apart = apart or self.piped or "(" in self.around
            self.found.append(Command(self.begun, tuple(self.words), apart, function))
        self.words = []
        self.piped = False

    def _redirected(self) -> None:
        """Pass over the target of a redirection."""
        while self.at < len(self.text) and self.text[self.at] in _BLANK:
            self.at += 1
        if self.at < len(self.text) and (self.text[self.at] not in _ENDS or self.text[self.at] == "("):
            self._word()

    def _word(self) -> str:
        begin = self.at
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == "\\":
                self._skip(2)
            elif letter in "'\"`":
                self._quoted(letter)
            elif letter in "$<>=" and self.text[self.at + 1 : self.at + 2] in _PAIRS:
                self._balanced(self.text[self.at + 1])
            elif letter in _BLANK + _ENDS + "<>":
                break
            else:
                self.at += 1
        if self.at == begin:  # never stands still
            self.at += 1
        return self.text[begin : self.at]

    def _quoted(self, quote: str) -> None:
        self._skip(1)
        while self.at < len(self.text) and self.text[self.at] != quote:
            if quote == '"' and self.text.startswith("$(", self.at):
                self._balanced("(")
            else:
                self._skip(2 if self.text[self.at] == "\\" and quote != "'" else 1)
        self._skip(1)

    def _balanced(self, opening: str) -> None:
        """Pass over `$(…)`, `${…}`, `<(…)` or `=(…)`, with what is nested in it."""
        self._skip(1)
        depth, closing = 0, _PAIRS[opening]
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter in "'\"" and opening == "(":
                self._skip(1)
                self._skip_to(letter)
                self._skip(1)
                continue
            depth += (letter == opening) - (letter == closing)
            self._skip(2 if letter == "\\" else 1)
            if depth == 0:
                return

    def _skip(self, count: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at = min(self.at + count, len(self.text))

    def _skip_to(self, mark: str) -> None:
        end = -1 if mark in self.absent else self.text.find(mark, self.at)
        if end >= 0 or mark == "\n":
            self._skip((end if end >= 0 else len(self.text)) - self.at)
        else:
            self.absent.add(mark)
            self._skip(1)

    def _skip_here_documents(self) -> None:
        for delimiter, tabs in self.here:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                line = self.text[self.at : end if end >= 0 else len(self.text)]
                self._skip(len(line) + 1)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self.here.clear()
