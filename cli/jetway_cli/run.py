"""`jetway run`: starts a run through the stack's HTTP API, and waits for it when asked to."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from jetway_cli.errors import NegativeError, WrongUseError
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Span

if TYPE_CHECKING:
    from jetway.ledger import Entry
    from jetway_cli.api import Api

# How far a run is. "accepted" is on the dispatch queue; Airflow has all others.
PROGRESS = {"accepted": 0, "queued": 1, "running": 2, "success": 3, "failed": 3}
ENDED = frozenset({"success", "failed"})
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between looks


@click.command(epilog="Exit code 1: the run failed, or was not as far as --wait asks in time.")
@click.argument("dag_id", metavar="DAG")
@click.option("--conf", metavar="JSON|@FILE", help="The run's conf, a JSON object; @- reads it from stdin.")
@click.option("--run-id", help="The run's id; a second call with the same id starts nothing.")
@click.option("--note", help="Note on the run; kept by the rest transport only.")
@click.option("--logical-date", metavar="ISO", help="The run's logical date, with an offset.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="A second call with the same key starts nothing; with another body it is refused.",
)
@click.option(
    "--wait",
    is_flag=False,
    flag_value="success",
    type=click.Choice(["queued", "running", "success"]),
    help="Wait until the run is so far; --wait alone waits for its success.",
)
@click.option("--timeout", type=Span(), default="30m", show_default=True, help="Wait no longer than this.")
@click.option("--api-url", envvar="JETWAY_API_URL", help="Address of the HTTP API, if not the one in the outputs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def run(
    *,
    dag_id: str,
    conf: str | None,
    run_id: str | None,
    note: str | None,
    logical_date: str | None,
    idempotency_key: str | None,
    wait: str | None,
    timeout: timedelta,
    as_json: bool,
    **where: Any,
) -> None:
    """Start a run of DAG.

    The call is signed with your AWS credentials. Once it is accepted the run is durably queued: it starts exactly
    once, at the latest when the environment is available again.
    """
    from jetway_cli.api import Api, check

    fields = {"conf": read_conf(conf), "dag_run_id": run_id, "note": note, "logical_date": logical_date}
    # Even a call of its own gets a key: an answer that is lost on the way is then asked for again, not run twice.
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    target = Target(**where)
    api = Api(target)
    # With an id of the caller's own, the ledger may tell of an earlier call, which this one tries again.
    since = datetime.now(UTC) if run_id or idempotency_key else None
    answer = check(
        api.call(
            "POST",
            f"/dags/{quote(dag_id, safe='')}/dagRuns",
            body={name: value for name, value in fields.items() if value is not None},
            headers=headers,
        )
    )
    seen = dict(answer.body)
    for warning in seen.get("warnings", []):
        say(f"Warning: {warning}")
    if wait is not None and answer.location is not None:
        seen |= follow(api, target, answer.location, seen, until=wait, timeout=timeout, since=since, tell=not as_json)
    if as_json:
        print_json(seen)
    else:
        print_table(["state", "dag", "run id"], [[str(seen.get(name)) for name in ("state", "dag_id", "dag_run_id")]])
    if seen.get("state") == "failed":
        raise NegativeError(
            f"The run failed; its task logs in Airflow say why (DAG {dag_id}, run {seen['dag_run_id']})."
        )


def read_conf(text: str | None) -> dict[str, Any] | None:
    """Read --conf: JSON, @FILE, or @- for stdin.

    Raises:
        WrongUseError: no file, no JSON, or no object.
    """
    if text is None:
        return None
    source = "--conf"
    if text.startswith("@"):
        source = text[1:]
        try:
            text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise WrongUseError(
                f"--conf: {source} could not be read: {getattr(exc, 'strerror', None) or exc}."
            ) from exc
    try:
        conf = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise WrongUseError(f'{source} is no JSON: {exc}. An example: --conf \'{{"day": "2026-11-22"}}\'') from exc
    if not isinstance(conf, dict):
        raise WrongUseError(f'{source} must be a JSON object such as {{"day": 1}}, not {type(conf).__name__}.')
    return conf


def follow(
    api: Api,
    target: Target,
    location: str,
    seen: Mapping[str, Any],
    *,
    until: str,
    timeout: timedelta,
    since: datetime | None,
    tell: bool,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Look at the run until it is so far, and return it as it was last seen.

    A run that Airflow does not have yet is asked for in the ledger as well: its event may be a dead letter.

    Args:
        since: the ledger's word counts from then on.

    Raises:
        NegativeError: its event is a dead letter, or the time is over.
    """
    from jetway_cli.api import check

    deadline = clock() + timeout.total_seconds()
    run, pause = dict(seen), FIRST_PAUSE
    state = ""
    while True:
        answer = api.call("GET", location)
        if answer.status != 404:
            run |= check(answer).body
        elif (entry := find_in_ledger(target, run)) is not None and _is_dead(entry, since):
            raise NegativeError(f"No run was started: {entry.because} Mend it, then: jetway redrive --trigger http")
        if run.get("state") != state:
            state = str(run.get("state"))
            if tell:
                say(f"{datetime.now(UTC):%H:%M:%S} {state}")
        if PROGRESS.get(state, 0) >= PROGRESS[until]:
            return run
        if clock() + pause > deadline:
            raise NegativeError(
                f"The run is {state} after {timeout}; it goes on without this command. Look again: --wait with "
                f"--run-id {run.get('dag_run_id')}, or a longer --timeout."
            )
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def find_in_ledger(target: Target, run: Mapping[str, Any]) -> Entry | None:
    """Return what the ledger says of a call's event, or None when it says nothing or may not be read.

    Whoever may call the API need not be allowed to read the stack's table: then the wait goes on until its timeout.
    """
    from botocore.exceptions import ClientError

    from jetway.dispatch.run import parse_message
    from jetway.ledger import Ledger, LedgerUnavailableError, entry_id
    from jetway_cli.errors import StackTroubleError

    trigger = {"name": "http", "kind": "http", "dag": run["dag_id"]}
    body = json.dumps({"trigger": trigger, "event": {"dag_run_id": run["dag_run_id"]}})
    message = parse_message(body, sent_at=datetime.now(UTC))
    try:
        table = target.table(target.output("LedgerTableName"))
        return Ledger(table).get(entry_id(message.trigger.name, message.digest))
    except (StackTroubleError, LedgerUnavailableError, ClientError):
        return None


def _is_dead(entry: Entry, since: datetime | None) -> bool:
    return entry.decision == "dead-lettered" and (since is None or entry.decided_at >= since)
