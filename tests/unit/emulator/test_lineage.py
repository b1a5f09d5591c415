"""The lineage by which Lambda finds loops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tools.emulator import lineage

A, B = (f"arn:aws:lambda:eu-central-1:000000000000:function:{name}" for name in "ab")


def go_round(*functions: str, rounds: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _ in range(rounds):
        for function in functions:
            counts = lineage.read([lineage.header(lineage.with_one_more(counts, function), root="1-0-0", parent="0")])
    return counts


def test_the_sixteenth_round_runs_and_the_seventeenth_does_not() -> None:
    assert not lineage.ends(go_round(A, B, rounds=15), A)
    assert lineage.ends(go_round(A, B, rounds=16), A)
    assert lineage.ends(go_round(A, B, rounds=16), B)


def test_a_chain_counts_each_function_for_itself() -> None:
    assert not lineage.ends(go_round(A, rounds=16), B)


def test_of_a_batch_from_several_chains_the_longest_counts() -> None:
    headers = [lineage.header({lineage.step(A): count}, root="1-0-0", parent="0") for count in (3, 16, 1)]
    assert lineage.ends(lineage.read(headers), A)


def test_a_header_of_awss_own_documentation_is_read() -> None:
    found = lineage.read(["Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2"])
    assert found == {"a87bd80c": 1, "68fd508a": 5, "c512fbe3": 2}


@given(st.text())
def test_any_text_is_a_header(text: str) -> None:
    assert all(count >= 0 for count in lineage.read([text]).values())
