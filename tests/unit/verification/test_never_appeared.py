"""Verified means parsed twice since; what ends its parser is rolled back where the parser has gone past it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jetway.airflow import ImportProblem
from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts.findings import Verdict
from jetway.diagnosis.attribution import PATIENCE, STALE, SYNC, Attribution, Outlook, decide, parse_time
from jetway.promotion.artifact_state import ArtifactState, LiveVersion, ParserProgress
from tests.unit.explorer.promotion_world import START, VERIFY_AFTER, PromotionWorld, content
from tests.unit.explorer.scenes import KEY, OTHER

FACTS = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "live", "dags")
LIVE = LiveVersion(
    "v1", "live", KEY, "l1", "dag-file", "accepted", START, "reports/r.json", dags=("orders",), first=True
)
OVER = START + parse_time(FACTS) + STALE
MINUTE, JUST_NOW = timedelta(minutes=1), timedelta()


def look(live: LiveVersion, now: datetime, *, redacted: bool = False, **parsed: datetime) -> Attribution:
    """Decide on a version while Airflow shows DAGs, each of its own file, parsed at those times."""
    errors = [ImportProblem("other.py", "REDACTED - you do not have read permission")] if redacted else []
    files = {dag_id: f"{dag_id}.py" for dag_id in parsed}
    return decide(ArtifactState(KEY, "verifying", live), Outlook(errors, {}, files, {}, parsed=parsed), FACTS, now)


def looks(live: LiveVersion, ago: dict[str, timedelta], *, minutes: int, redacted: bool = False) -> tuple[str, int]:
    """Look each minute; each DAG was parsed so long before the look. Return what is decided, and after how many."""
    for minute in range(minutes):
        now = START + VERIFY_AFTER + minute * MINUTE
        decision = look(live, now, redacted=redacted, **{dag_id: now - each for dag_id, each in ago.items()})
        if decision.action != "wait":
            return decision.action, minute
        live = replace(live, sight=decision.sight or live.sight)
    return "wait", minutes


def test_it_is_good_when_it_was_parsed_twice_since_the_copy_of_mwaa() -> None:
    now, synced = START + VERIFY_AFTER, START + SYNC
    before = look(LIVE, now, orders=synced)
    assert (before.action, before.sight) == ("wait", ParserProgress()), "that may have been the version before"
    once = look(LIVE, now, orders=synced + timedelta(seconds=1))
    assert once.action == "wait"
    assert once.sight is not None
    seen = replace(LIVE, sight=once.sight)
    assert look(seen, now, orders=synced + timedelta(seconds=1)).action == "wait", "the same parsing"
    assert look(seen, now, orders=synced + timedelta(seconds=31)).action == "keep"


def test_all_dags_that_the_gate_has_seen_must_be_there_from_this_file() -> None:
    two = replace(LIVE, dags=("orders", "returns"))
    assert looks(two, {"orders": JUST_NOW, "other": JUST_NOW}, minutes=15)[0] == "roll-back"
    made_of_stand_ins: Verdict = "unknown"
    assert looks(replace(two, verdict=made_of_stand_ins), {"orders": JUST_NOW}, minutes=5)[0] == "keep", "any will do"


def test_what_the_parser_has_gone_past_three_times_is_rolled_back() -> None:
    action, minutes = looks(LIVE, {"other": JUST_NOW}, minutes=60)
    assert action == "roll-back"
    assert START + VERIFY_AFTER + minutes * MINUTE >= OVER


@pytest.mark.parametrize(
    "other", [{}, {"other": timedelta(hours=1)}], ids=["no other file", "a parser that stands still"]
)
def test_where_nobody_can_tell_it_is_told_and_stays(other: dict[str, timedelta]) -> None:
    action, minutes = looks(LIVE, {"third": timedelta(hours=2)} | other, minutes=60)
    assert action == "tell"
    assert START + VERIFY_AFTER + minutes * MINUTE >= OVER + PATIENCE


def test_slow_is_no_fault() -> None:
    """The other file is parsed again and again; ours was parsed once, and is there."""
    seen = replace(LIVE, sight=ParserProgress(parsed_at=START + SYNC + MINUTE, witness=("other.py", OVER), passes=9))
    late = OVER + 5 * MINUTE
    assert look(seen, late, orders=START + SYNC + MINUTE, other=late).action == "wait"


def test_where_the_transport_tells_no_times_it_is_told_and_never_rolled_back() -> None:
    there = Outlook([], {}, {"orders": "orders.py"}, {})
    gone = Outlook([], {}, {"other": "other.py"}, {})
    later = replace(LIVE, first=False)
    assert decide(ArtifactState(KEY, "verifying", LIVE), there, FACTS, START + MINUTE).action == "keep", (
        "only it makes it"
    )
    assert decide(ArtifactState(KEY, "verifying", later), there, FACTS, OVER - MINUTE).action == "wait"
    assert decide(ArtifactState(KEY, "verifying", later), there, FACTS, OVER).action == "keep"
    assert decide(ArtifactState(KEY, "verifying", later), gone, FACTS, OVER).action == "tell"


def test_a_redacted_list_of_errors_is_not_known_and_never_no_error() -> None:
    assert looks(LIVE, {"orders": JUST_NOW}, minutes=5, redacted=True)[0] == "keep", "parsed twice is proof enough"
    action, minutes = looks(LIVE, {"other": JUST_NOW}, minutes=60, redacted=True)
    assert (action, START + VERIFY_AFTER + minutes * MINUTE >= OVER + PATIENCE) == ("tell", True)
    module = replace(LIVE, dags=())
    assert looks(module, {"other": JUST_NOW}, minutes=60, redacted=True)[0] == "tell"
    assert looks(module, {"other": JUST_NOW}, minutes=60)[0] == "keep"


def test_a_file_of_which_the_gate_knows_no_dag_is_good_when_the_parser_has_gone_past_it() -> None:
    """On a busy environment its error shows long after the time that parsing takes by the settings."""
    unknown: Verdict = "unknown"
    live = replace(LIVE, dags=(), verdict=unknown)
    stands_still = {"other": timedelta(hours=1)}
    action, minutes = looks(live, stands_still, minutes=60)
    assert action == "keep"
    assert START + VERIFY_AFTER + minutes * MINUTE >= OVER - STALE + PATIENCE
    action, minutes = looks(live, {"other": JUST_NOW}, minutes=60)
    assert action == "keep"
    assert START + VERIFY_AFTER + minutes * MINUTE >= OVER - STALE + 2 * MINUTE
    error = ImportProblem(KEY.removeprefix("dags/"), "FileNotFoundError: it is nowhere")
    late = Outlook([error], {}, {"other": "other.py"}, {}, parsed={"other": OVER})
    assert decide(ArtifactState(KEY, "verifying", live), late, FACTS, OVER + 5 * MINUTE).action == "roll-back"


def test_an_error_that_airflow_has_met_before_the_version_was_there_is_not_its_fault() -> None:
    """On a busy environment the error of the version before is shown until the parser comes to the file again."""
    path = KEY.removeprefix("dags/")
    after_a_bad_one = replace(LIVE, first=False, clean=False)

    def action(met: datetime | None, now: datetime, live: LiveVersion = after_a_bad_one) -> str:
        errors = [ImportProblem(path, "Traceback…\nValueError: it is broken", met)]
        return decide(ArtifactState(KEY, "verifying", live), Outlook(errors, {}, {}, {}), FACTS, now).action

    late = OVER + 5 * MINUTE
    assert action(START - MINUTE, late) == "wait"
    assert action(START + SYNC, late) == "wait", "MWAA may not have copied it by then"
    assert action(START + SYNC + timedelta(seconds=1), late) == "roll-back"
    assert action(None, late) == "roll-back", "the command line does not say"
    assert action(START - MINUTE, OVER + PATIENCE) == "roll-back", "nobody waits for ever"
    assert action(START - MINUTE, late, replace(after_a_bad_one, clean=True)) == "roll-back"


@pytest.mark.parametrize("tells_parses", [True, False])
def test_from_the_drop_bucket_to_the_message(*, tells_parses: bool) -> None:
    world = PromotionWorld(tells_parses=tells_parses)
    world.prepare(OTHER, content("works", "other"))
    version = world.upload(KEY, content("silent"))
    assert world.rest()
    standing = world.standing(KEY)
    assert standing is not None
    told = world.told(KEY, version)
    if tells_parses:
        assert (standing.stage, standing.rolled_back, standing.live) == ("rolled-back", (version,), None)
        assert "ArtifactRolledBack" in told
        assert standing.problems[0].message.startswith("never-appeared")
    else:
        assert (standing.stage, standing.live and standing.live.source) == ("never-appeared", version)
        assert "ArtifactNeverAppeared" in told
        (news,) = [each for each in world.news if each.event.detail_type == "ArtifactNeverAppeared"]
        assert "has not appeared" in str(news.subject)
        assert world.verified[-1].outcome == "never-appeared"
