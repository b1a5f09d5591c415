"""Ways to Airflow, and the layers that load DAG files."""

from __future__ import annotations

from jetway_cli.doctor.checks.environment import NOT_LOOKED_AT
from jetway_cli.doctor.facts import Asked, Facts, Trip
from jetway_cli.doctor.results import CheckProblem, Findings, Result, listed

# Which way must work for which Transport; with auto one of both is enough.
_MUST = {"rest": frozenset({"rest"}), "cli": frozenset({"cli"}), "direct": frozenset()}


def layers(facts: Facts) -> Result:
    """Judge whether each Airflow loads a DAG file that is good."""
    found = Findings()
    if found.needs(facts.loads):
        for one in facts.loads.value or ():
            if one.verdict != "accepted":
                found.broken(
                    f"{one.function} does not load a good DAG file: {one.error or one.verdict}.",
                    "Build the layers again and deploy: make build, make deploy (with the same ARCHITECTURE).",
                )
        if not facts.loads.value:
            found.broken(
                "The stack has no import_dag, so no DAG file is loaded before it goes live.", "Deploy the stack again."
            )
    versions = listed(f"Airflow {one.airflow}" for one in facts.loads.value or ())
    return found.result("layers", f"{versions} load a good DAG file.")


def rest(facts: Facts) -> Result:
    """Judge the round trip over InvokeRestApi."""
    return _trip(facts, "rest", facts.rest, facts.cli, "InvokeRestApi")


def cli(facts: Facts) -> Result:
    """Judge the round trip over the CLI endpoint."""
    return _trip(facts, "cli", facts.cli, facts.rest, "the CLI endpoint")


def _trip(facts: Facts, way: str, mine: Asked[Trip], other: Asked[Trip], words: str) -> Result:
    found, transport = Findings(), facts.stack.parameters.get("Transport", "auto")
    answered = mine.value is not None and mine.value.answered
    if not answered and (facts.environment.trouble or (facts.environment.known and facts.environment.value is None)):
        found.unknown(NOT_LOOKED_AT, "See environment-status.")
        return found.result(f"{way}-round-trip", "")
    if found.needs(mine) and mine.value is not None:
        fine = f"{mine.value.said} over {words} in {mine.value.seconds:.1f} s; Transport={transport}."
        if not mine.value.answered:
            _say_why(facts, way, mine.value, other, found)
            fine = f"Transport={transport} does not use this interface, which did not respond: {mine.value.said}"
        return found.result(f"{way}-round-trip", fine)
    return found.result(f"{way}-round-trip", "")


def _say_why(facts: Facts, way: str, trip: Trip, other: Asked[Trip], found: Findings) -> None:
    transport = facts.stack.parameters.get("Transport", "auto")
    seen = facts.environment.value
    if seen is not None and seen.facts.webserver_access_mode == "PRIVATE_ONLY":
        found.problems.extend(_from_outside(trip))
        return
    if seen is not None and not seen.facts.usable:
        found.warn(f"{trip.said}", (f"The environment is {seen.facts.status}. Run this again when it is AVAILABLE."))
        return
    goes, needed = other.value is not None and other.value.answered, way in _MUST.get(transport, frozenset())
    if goes and not needed:
        return
    if facts.health.value is not None and facts.health.value[1].get("status") == "healthy":
        # The functions ask by the stack's transport, in an Airflow role of their own.
        found.warn(
            f"Airflow did not respond to you, but the functions reach it (http-api): {trip.said}",
            ("If access was denied, request an Airflow role that can read DAGs. The functions have their own role."),
        )
    else:
        found.broken(
            f"Airflow does not respond, and Transport={transport} needs it: {trip.said}",
            "See the web server's log in the MWAA console."
            + (
                f" The other interface works: deploy with Transport={'cli' if way == 'rest' else 'rest'}."
                if goes
                else ""
            ),
        )


def _from_outside(trip: Trip) -> list[CheckProblem]:
    return [
        CheckProblem(
            "not known",
            f"The web server is private and cannot be reached from here: {trip.said}",
            "The check http-api shows whether the functions reach it.",
        )
    ]


def http_api(facts: Facts) -> Result:
    """Judge what the HTTP API says of itself: its function asks Airflow as all functions do."""
    found = Findings()
    if not found.needs(facts.health) or facts.health.value is None:
        return found.result("http-api", "")
    status, body = facts.health.value
    if status in {401, 403}:
        found.needs(Asked(denied="execute-api:Invoke"))
    elif body.get("status") == "healthy":
        pass
    elif "environment" in body:
        detail = (body.get("airflow") or {}).get("detail") or f"the environment is {body['environment'].get('status')}"
        seen = facts.environment.value
        if facts.environment.trouble or (facts.environment.known and seen is None):
            found.unknown(NOT_LOOKED_AT, "See environment-status.")
        elif seen is not None and not seen.facts.usable:
            found.warn(
                f"The functions cannot reach Airflow: {detail}",
                f"The environment is {seen.facts.status}. Run this again when it is AVAILABLE.",
            )
        else:
            found.broken(
                f"The functions cannot reach Airflow: {detail}",
                "See environment-network and role-permissions, and the log of http_api.",
            )
    else:
        said = body.get("detail") or body.get("message") or ""
        found.broken(
            f"The HTTP API answered {status}{f': {said}' if said else ', and says no more.'}",
            "See functions, function-callers and http-routes. Then see the log of http_api.",
        )
    return found.result("http-api", "The HTTP API answers, and its function reaches Airflow.")
