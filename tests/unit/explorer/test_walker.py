"""The walker finds what two actors and a kill can do to each other, and shows the shortest way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tests.unit.explorer.walker import Play, Street, play_it, walk, wander


class Till:
    """A store whose client reads and writes one number; nothing is conditional."""

    def __init__(self) -> None:
        self.number = 0

    def get_number(self) -> int:
        return self.number

    def put_number(self, number: int) -> None:
        self.number = number


class Counting:
    """Two actors that each add one; it is broken when one of the two is lost, or a kill is not made good."""

    def __init__(self, *, careful: bool = False) -> None:
        self.street, self.till = Street(), Till()
        self._careful = careful
        self._done: set[str] = set()
        self.actors: Mapping[str, Callable[[], object]] = {name: partial(self.add, name) for name in "ab"}

    def add(self, name: str) -> None:
        client = self.street.client(self.till, "till")
        if name in self._done:
            return
        if self._careful:
            self.till.put_number(self.till.get_number() + 1)  # at once: nothing falls in between
        else:
            client.put_number(client.get_number() + 1)
        self.street.cross("sqs.delete_message", lambda: self._done.add(name))

    def judge(self) -> list[str]:
        for name in self.actors:
            self.add(name)
        return [] if self.till.number == 2 else [f"the number is {self.till.number}"]


def test_it_finds_the_lost_write_and_shows_the_shortest_play() -> None:
    found = walk(Counting, "a", "b", kills=False)
    assert found.plays == 4, "before a reads, before it writes, before its message is deleted, after it"
    (broken,) = found.broken
    assert broken.play == Play("a", ((1, Play("b")),))
    assert str(broken).splitlines() == [
        "a (after 1 calls, b)",
        "  the number is 1",
        "  a: till.get_number till.put_number sqs.delete_message",
        "  b: till.get_number till.put_number sqs.delete_message",
    ]


def test_a_kill_after_a_write_is_walked_in_either_actor_and_alone() -> None:
    kills = [each.play for each in walk(Counting, "a", "b").broken]
    assert Play("a", ((0, Play("b", killed_after=2)),)) in kills, "b wrote, and writes again when it comes again"
    assert Play("a", ((2, Play("b")),), killed_after=2) in kills
    assert [each.play for each in walk(Counting, "a").broken] == [Play("a", killed_after=2)]


def test_what_is_right_breaks_nowhere() -> None:
    found = walk(lambda: Counting(careful=True), "a", "b")
    assert (found.plays, found.broken) == (6, [])
    assert str(found) == "6 plays, none breaks anything"


def test_by_lot_the_same_seed_finds_the_same_and_what_is_not_needed_is_left_out() -> None:
    found, again = (wander(Counting, "a", ["b"], plays=40, seed=1, meet=0.5, kill=0.2) for _ in range(2))
    assert [each.play for each in found.broken] == [each.play for each in again.broken]
    assert min(each.play.weight for each in found.broken) == 2
    for broken in found.broken:
        assert play_it(Counting, broken.play)[1] is not None, "what is shown can be played again"
