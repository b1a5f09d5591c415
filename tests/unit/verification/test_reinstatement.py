"""A roll-back on trial: when the error of the other file shows that it stands, and when that it is undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jetway.airflow import ImportProblem
from jetway.diagnosis.attribution import PATIENCE, PAUSE, SYNC, parse_time
from jetway.promotion.artifact_state import ArtifactState, Trial
from jetway.verification.reinstatement import convicted, end_of
from tests.unit.explorer.promotion_world import FACTS, START
from tests.unit.explorer.scenes import KEY

SECOND = timedelta(seconds=1)
TRIAL = Trial("v1", ("other.py",), START)
OVER = START + parse_time(FACTS)
MET_BEFORE, MET_SINCE = START + SYNC, START + SYNC + SECOND


@pytest.mark.parametrize(
    ("met_at", "now", "end"),
    [
        (MET_SINCE, OVER - SECOND, "wait"),
        (MET_SINCE, OVER, "innocent"),
        (None, OVER, "innocent"),
        (MET_BEFORE, OVER, "wait"),
        (MET_BEFORE, OVER + PATIENCE - SECOND, "wait"),
        (MET_BEFORE, OVER + PATIENCE, "innocent"),
    ],
)
def test_an_error_that_stays_without_the_version_was_not_its(met_at: datetime | None, now: datetime, end: str) -> None:
    assert end_of(TRIAL, [ImportProblem("other.py", "KeyError: 'x'", met_at)], FACTS, now) == end


@pytest.mark.parametrize(
    "errors", [[], [ImportProblem("third.py", "KeyError: 'x'")], [ImportProblem("other.py", "REDACTED")]]
)
def test_an_error_that_has_gone_with_the_version_was_its(errors: list[ImportProblem]) -> None:
    assert end_of(TRIAL, errors, FACTS, OVER) == "guilty"


def test_a_roll_back_that_stands_is_looked_at_once_more() -> None:
    on_trial = ArtifactState(KEY, "rolled-back", rolled_back=("v1",), trial=TRIAL)
    assert convicted(on_trial, OVER) == replace(on_trial, trial=None, due_at=OVER + PAUSE)
