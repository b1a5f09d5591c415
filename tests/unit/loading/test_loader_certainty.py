"""What is certain of random programs that ask for something unseen: with other answers they fail as well."""

from __future__ import annotations

import random
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from jetway_loader.certainty import Certainty
from jetway_loader.source_lines import Sightings

ANSWERS = ("a", "b", "ab", "")

PRELUDE = """
import contextlib
from collections import defaultdict
class Thing:
    def __init__(self, text):
        self.text, self.known = text, {"a": 1}
    def put(self, text):
        self.known[text] = 2
    def of(self, text):
        return self.known[text]
def add(texts, text):
    texts.append(text)
def fill(known):
    known[unseen()] = 3
def told():
    return unseen()
def maker():
    def inner():
        return unseen()
    return inner
class Lazy:
    def __getitem__(self, key):
        return told()
    @property
    def text(self):
        return told()
    def __len__(self):
        return len(told())
n, m, s, t, l, k, d, e = 0, 1, "a", "b", ["a"], [], {"a": 1}, {}
thing, other, lazy, made = Thing("a"), Thing("b"), Lazy(), maker()
"""


class Program:
    """A program of a few statements over a few names."""

    def __init__(self, choice: random.Random) -> None:
        self._pick = choice.choice
        self._functions = 0

    def text(self) -> str:
        return PRELUDE + self._block(0, 6)

    def _block(self, depth: int, length: int) -> str:
        return "".join(self._statement(depth).rstrip("\n") + "\n" for _ in range(length))

    def _inner(self, depth: int, length: int = 2) -> str:
        return textwrap.indent(self._block(depth + 1, length), "    ")

    def _text(self) -> str:
        return self._pick(
            [
                *('"a"', '"b"', "s", "t", "s", "t", "unseen()", "unseen()", "told()", 'f"{s}{t}"', "s + t", "s[:1]"),
                *(
                    "thing.text",
                    "other.text",
                    '"".join(l)',
                    '("a" if s == t else "b")',
                    "str(n)",
                    "(lambda x: x + s)(t)",
                ),
                *(
                    "maker()()",
                    "made()",
                    'lazy["x"]',
                    "lazy.text",
                    'defaultdict(told)["x"]',
                    'next(map(lambda _: told(), "a"))',
                ),
                *("max(l, default=t)", "next(iter(e), s)", '",".join(x for x in l if x == s)'),
            ]
        )

    def _number(self) -> str:
        return self._pick(
            [
                *(
                    "0",
                    "1",
                    "n",
                    "m",
                    "len(l)",
                    "len(k)",
                    "len(s)",
                    "d.get(s, 0)",
                    "int(s == t)",
                    "e.get(t, 0)",
                    "n + m",
                ),
                *(
                    "sum(1 for x in l if x == s)",
                    "len(d) and m",
                    "thing.known.get(t, 0)",
                    "len([s for s in k])",
                    "len(lazy)",
                ),
            ]
        )

    def _test(self) -> str:
        return self._pick(
            ["s == t", "n", "l", "s in d", "t in k", "m > 1", 's == "a"', "not e", "thing.text == s", "other.known"]
        )

    def _statement(self, depth: int) -> str:
        text, number, test = self._text(), self._number(), self._test()
        name = self._pick(["n", "m"])
        simple: list[str] = [
            *(f"s = {text}", f"t = {text}", f"n = {number}", f"m = {number}", f"l.append({text})", f"k.append({text})"),
            *(f"d[{text}] = {number}", f"e[{text}] = {number}", f"{name} = d[{text}]", f"{name} = e[{text}]"),
            *(
                f"{name} = 1 // {number}",
                f"s = l[{number}]",
                f"t = k[{number}]",
                "l = k",
                "d = e",
                "k = l[:]",
                "e = dict(d)",
            ),
            *(f"thing.text = {text}", f"thing.put({text})", f"{name} = thing.of({text})", f"{name} = other.of({text})"),
            *("other = thing", f"thing = Thing({text})", f"add(l, {text})", f"add(k, {text})", "fill(d)", "fill(e)"),
            *(f"assert {test}", "no_such_name", f"globals()['x' + {text}] = 1", "xa", f"del d[{text}]"),
            *(
                f"setattr(thing, 'text', {text})",
                f"d.update({{{text}: 1}})",
                f"{name} += {number}",
                f"s, t = t, {text}",
            ),
            *(f"raise KeyError({text})", f"e = {{{text}: {number}}}", f"l = [x for x in (s, t) if x == {text}]"),
            *(f"(n := {number})", "s = (lambda x=s: x)()", "pairs = [(x, d[x]) for x in l]", "d.pop(s)"),
        ]
        if depth >= 2:
            return self._pick(simple)
        nested: list[Callable[[], str]] = [
            lambda: f"if {test}:\n{self._inner(depth)}",
            lambda: f"if {test}:\n{self._inner(depth)}else:\n{self._inner(depth)}",
            lambda: f"for x in list({self._pick(['l', 'k', 'd', 'e', '(s, t)'])}):\n{self._inner(depth)}",
            lambda: f"for x in l[:]:\n    if x == {text}:\n        break\n{self._inner(depth)}",
            lambda: f"for x in l[:]:\n    if x == {text}:\n        continue\n{self._inner(depth)}",
            lambda: f"try:\n{self._inner(depth)}except KeyError:\n{self._inner(depth, 1)}",
            lambda: (
                f"try:\n{self._inner(depth)}except Exception:\n{self._inner(depth, 1)}else:\n{self._inner(depth, 1)}"
            ),
            lambda: f"with contextlib.suppress(KeyError, IndexError):\n{self._inner(depth)}",
            lambda: f"match {text}:\n    case 'a':\n        n = 0\n    case x:\n        m = 0\n",
            self._function,
        ]
        return self._pick(nested)() if self._pick([True, False]) else self._pick(simple)

    def _function(self) -> str:
        self._functions += 1
        name = f"f{self._functions}"
        declared = self._pick(["global n, s\n    ", "", "global l, d\n    "])
        early = self._pick([f"if {self._test_of_x()}:\n        return {self._number_of_x()}\n    ", ""])
        body = self._pick(["e[x] = 1\n    ", "k.append(x)\n    ", "", "d[x]\n    "])
        called = self._pick([f"n = {name}({self._text()})", f"{name}({self._text()})", f"list(map({name}, l))"])
        return f"def {name}(x, y=1):\n    {declared}{early}{body}return {self._number_of_x()}\n{called}\n"

    def _test_of_x(self) -> str:
        return self._pick(["x == 'a'", "x in e", "y > 1", "x == t"])

    def _number_of_x(self) -> str:
        return self._pick(["1", "len(x)", "{'a': 1}[x]", "{'a': 1}.get(x, 0)", "y"])


def certain_failure(text: str, file: Path, answer: str) -> bool | None:
    """Run a program; whether it fails, and that for certain, or None when it does not fail."""
    sightings = Sightings(str(file), [str(file.parent)])
    certainty = Certainty(file, sightings)

    def unseen() -> str:
        sightings.source()
        return answer

    try:
        exec(compile(text, str(file), "exec"), {"unseen": unseen, "__name__": "program"})
    except Exception as exc:  # noqa: BLE001 - whatever it is
        words = traceback.format_exc()
        certainty.keep(words, exc.__traceback__)
        return not certainty.judged({"error": words}).get("unseen_led", False)
    return None


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_what_fails_for_certain_fails_whatever_the_answers_are(seed: int) -> None:
    text = Program(random.Random(seed)).text()
    with TemporaryDirectory() as folder:
        file = Path(folder).resolve() / "program.py"
        file.write_text(text)
        found = [certain_failure(text, file, answer) for answer in ANSWERS]
    assert not (True in found and None in found), text


def test_those_programs_tell_the_two_apart(tmp_path: Path) -> None:
    """The test above can fail, and what it looks for is there."""
    file = tmp_path / "program.py"
    for body, wanted in (
        ('d = {"a": 1}\nn = d[unseen()]\n', [None, False, False, False]),
        ('s = unseen()\nn = {"a": 1}["b"]\n', [True, True, True, True]),
        ('if unseen() == "a":\n    l.append(1)\nn = l[1]\n', [None, False, False, False]),
    ):
        file.write_text(PRELUDE + body)
        assert [certain_failure(PRELUDE + body, file, answer) for answer in ANSWERS] == wanted
