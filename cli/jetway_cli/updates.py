"""`jetway updates`: why the environment is updated, what is next, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError, sentence
from jetway_cli.output import print_json, print_table
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import show_time

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.updates.plan import Plan
    from jetway.updates.record import UpdateRecord

# What a step of the plan means to somebody who waits for it.
NEXT = {
    "nothing": "there is nothing to do",
    "hold": "waits",
    "note": "the environment was updated outside Jetway; its current versions are recorded",
    "settle": "the previous versions are in force again; the record is closed",
    "drifted": "the environment uses other versions than Jetway set; Jetway determines why",
    "look-before": "the import errors are recorded, in case someone applies the waiting versions",
    "adopt": "the waiting versions are already in force; they are verified",
    "begin": "an update begins",
    "in-progress": "the update is in progress",
    "shown": "the update is in progress",
    "again": "the update has not begun; Jetway requests it again",
    "ended": "the update has ended; its results are processed",
    "lost": "someone has pointed the environment to another place; Jetway does not change that",
    "ask": "the check of the environment is overdue; Jetway determines whether Airflow responds",
    "give-up": "the new versions do not work; Jetway rolls them back",
    "close": "the new versions work; the record is closed",
}


@click.command(epilog="Exit code 1: an update needs your action; the message says which.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def updates(*, as_json: bool, **where: Any) -> None:
    """Show the update of the environment: why it began, what waits, and what is next.

    Updates apply requirements.txt, plugins.zip, startup.sh and the limits of scaling.
    """
    from jetway.airflow.environment import Environment
    from jetway.promotion.state_table import ArtifactStateTable
    from jetway.updates.plan import UpdateRules, decide
    from jetway.updates.record import MEMBERS, UpdateTable

    target = Target(**where)
    dynamodb, table = target.client("dynamodb"), target.output("ArtifactTableName")
    facts = Environment(target.client("mwaa"), target.output("EnvironmentName")).facts()
    record, tables = UpdateTable(dynamodb, table).get(), ArtifactStateTable(dynamodb, table)
    standings = {key: tables.get(key) for key in MEMBERS}
    rules = UpdateRules(
        target.parameters.get("ApplyUpdates", "automatic") == "automatic",
        timedelta(seconds=float(target.parameters.get("UpdateQuietSeconds", "300"))),
    )
    plan = decide(record, facts, standings, rules, datetime.now(UTC))
    if as_json:
        print_json(to_json(record, plan, facts, standings))
    else:
        show(record, plan, facts, standings)
    if record.trouble_told:
        raise NegativeError(
            f"The update has been blocked since {show_time(record.trouble_since)} UTC: {sentence(record.trouble_words)}"
        )
    stuck = [key for key, debt in record.owed.items() if debt.told]
    if stuck:
        raise NegativeError(f"The rollback of {', '.join(stuck)} failed: {sentence(record.owed[stuck[0]].because)}")


def show(
    record: UpdateRecord, plan: Plan, facts: EnvironmentFacts, standings: Mapping[str, ArtifactState | None]
) -> None:
    """Print it for people."""
    click.echo(f"{facts.name}: {facts.status}. {_last_update(record, facts)}")
    click.echo(f"next: {_next(record, plan)}")
    if record.trouble and not record.trouble_told:
        click.echo(f"blocked since {show_time(record.trouble_since)} UTC: {sentence(record.trouble_words)}")
    rows = [_row(key, standing, record, facts) for key, standing in standings.items()]
    click.echo()
    print_table(["artifact", "version", "state", "in force", "rolls back to"], rows)


def to_json(
    record: UpdateRecord, plan: Plan, facts: EnvironmentFacts, standings: Mapping[str, ArtifactState | None]
) -> dict[str, Any]:
    """Return the same as a JSON document."""
    from jetway.updates.record import in_force

    return {
        "environment": facts.name,
        "status": facts.status,
        "last_update": {
            "began_at": facts.last_update_at,
            "status": facts.last_update,
            "by_jetway": record.is_ours(facts),
            "why": record.why if record.is_ours(facts) else None,
            "source": facts.last_update_source,
        },
        "phase": record.phase,
        "next": {
            "step": plan.step,
            "because": plan.because or None,
            "at": plan.at,
            "artifacts": {key: live.source for key, live in plan.artifacts.items()},
            "goes_back_from": {key: debt.bad.source for key, debt in plan.back.items()},
        },
        "trouble": {
            "reason": record.trouble,
            "since": record.trouble_since,
            "because": record.trouble_words,
            "told": record.trouble_told,
        }
        if record.trouble
        else None,
        "artifacts": [
            {
                "key": key,
                "version": standing.live.source if standing and standing.live else None,
                "state": standing.stage if standing else None,
                "in_force": in_force(facts, key),
                "goes_back_from": record.owed[key].bad.source if key in record.owed else None,
                "goes_back_to": record.owed[key].back if key in record.owed else None,
            }
            for key, standing in standings.items()
        ],
    }


def _last_update(record: UpdateRecord, facts: EnvironmentFacts) -> str:
    if facts.last_update_at is None:
        return "The environment has not been updated yet."
    who = "Jetway" if record.is_ours(facts) else "someone else"
    source = f" ({facts.last_update_source})" if facts.last_update_source and who != "Jetway" else ""
    why = f": {record.why}" if record.is_ours(facts) and record.why else ""
    return f"The last update began {show_time(facts.last_update_at)} UTC by {who}{source}{why}."


def _next(record: UpdateRecord, plan: Plan) -> str:
    from jetway.promotion.rollout import LONGEST_UPDATE

    words = NEXT[plan.step]
    if record.phase == "verifying" and plan.step == "nothing":
        words = "the update's versions are verified"
    because = f"; {plan.because.rstrip('.')}" if plan.because else ""
    if plan.step == "in-progress" and record.began_at is not None:
        return f"{words}{because}; usually until {show_time(record.began_at + LONGEST_UPDATE)} UTC."
    at = f", about {show_time(plan.at)} UTC" if plan.at is not None and plan.step in {"hold", "nothing"} else ""
    return f"{words}{because}{at}."


def _row(key: str, standing: ArtifactState | None, record: UpdateRecord, facts: EnvironmentFacts) -> list[str]:
    from jetway.updates.record import in_force

    live, debt = standing.live if standing else None, record.owed.get(key)
    back = _place(key, debt.back) if debt is not None else ""
    state = standing.stage if standing else ""
    return [key, live.source if live else "", state, _place(key, in_force(facts, key)), back]


def _place(key: str, place: tuple[str, str] | None) -> str:
    """An object version; with its path, where that is not the key's own."""
    if place is None:
        return "none"
    path, version = place
    return " ".join(filter(None, ("" if path == key else path, version or "newest")))
