"""Tokens expire, are bound to one environment and one use, and cannot be changed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.emulator.conftest import Clock
from tools.emulator.gateway.tokens import TokenError, Tokens, Use, bearer, load_key

KEY = b"k" * 32


def test_a_token_is_good_until_its_time_is_over(clock: Clock) -> None:
    tokens = Tokens(KEY, "one", clock)
    token = tokens.mint("cli", 60)
    clock.now += 59.9
    tokens.verify(token, "cli")
    clock.now += 0.1
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(token, "cli")


@pytest.mark.parametrize(
    ("other", "use"),
    [
        (Tokens(KEY, "another"), "cli"),
        (Tokens(b"x" * 32, "one"), "cli"),
        (Tokens(KEY, "one"), "web"),
        (Tokens(KEY, "one"), "session"),
    ],
)
def test_a_token_is_good_for_one_environment_key_and_use(other: Tokens, use: Use) -> None:
    token = Tokens(KEY, "one").mint("cli", 60)
    with pytest.raises(TokenError):
        other.verify(token, use)


@given(place=st.integers(min_value=0), character=st.characters(codec="utf-8"))
def test_a_changed_token_is_refused(place: int, character: str) -> None:
    tokens = Tokens(KEY, "one")
    token = tokens.mint("cli", 60)
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    if changed != token:
        with pytest.raises(TokenError):
            tokens.verify(changed, "cli")


@given(st.text())
def test_anything_else_is_no_token(text: str) -> None:
    with pytest.raises(TokenError):
        Tokens(KEY, "one").verify(text, "cli")


def test_two_tokens_differ(clock: Clock) -> None:
    tokens = Tokens(KEY, "one", clock)
    assert tokens.mint("cli", 60) != tokens.mint("cli", 60)


def test_the_key_is_kept_and_private(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    key = load_key(file)
    assert len(key) == 32
    assert load_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", ""), ("abc", "")],
)
def test_bearer(header: str, token: str) -> None:
    assert bearer(header) == token
