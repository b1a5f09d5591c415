"""What is left to be done about requirements, plugins and startup script: their object is not what is in force."""

from __future__ import annotations

from jetway.promotion.artifact_state import ArtifactState
from jetway.promotion.reconciliation import NextStep, SeenKey, next_step

KEY = "requirements.txt"


def after(outcome: str, *, newest: str, rolled_back: tuple[str, ...] = ()) -> NextStep:
    """What is next after v2, whose copy is in the environment's bucket."""
    standing = ArtifactState(KEY, "rolled-back", rolled_back=rolled_back)
    return next_step(SeenKey(newest, "v2", standing, "v2", outcome, by_update=True))


def test_one_that_an_update_has_given_up_is_left_where_it_is() -> None:
    """Else its event, which comes twice, has the gate settle it for ever."""
    assert after("rolled-back", newest="v2", rolled_back=("v2",)) == NextStep("done")


def test_a_newer_one_that_came_while_it_was_copied_has_its_turn() -> None:
    assert after("promoted", newest="v3") == NextStep("settle", "v3")
    assert after("promoted", newest="v2") == NextStep("done")


def test_one_that_is_there_though_it_was_passed_over_is_settled_anew() -> None:
    assert after("superseded", newest="v3") == NextStep("settle", "v2")
