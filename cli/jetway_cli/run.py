"""`jetway run`: starts a run through the stack's HTTP API, and waits for it when asked to."""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from jetway_cli.arguments import IsoTime, Key, Text, WaitFor, did_you_mean
from jetway_cli.errors import NegativeError, StackTroubleError, WrongUseError, sentence
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, api_option, stack_options, typed_options
from jetway_cli.times import Span

if TYPE_CHECKING:
    from jetway_cli.api import Api, ApiResponse

NO_CHECK = "To request the run anyway and let it wait for the DAG, use --no-check."


@dataclass(frozen=True, slots=True)
class RunCall:
    """POST /dags/{dag_id}/dagRuns, as it is sent.

    Attributes:
        key: its Idempotency-Key: an answer that is lost on the way is asked for again, not run twice.
    """

    dag_id: str
    body: Mapping[str, Any]
    key: str

    def post(self, api: Api, *, dry_run: bool = False) -> ApiResponse:
        """Send it; a dry run is tried once, since the run does not depend on it.

        Raises:
            ApiTroubleError: there is no answer to it.
        """
        path = f"/dags/{quote(self.dag_id, safe='')}/dagRuns{'?dry_run=true' if dry_run else ''}"
        tries = {"tries": 1} if dry_run else {}
        return api.call("POST", path, body=dict(self.body), headers={"Idempotency-Key": self.key}, **tries)


@click.command(
    epilog=(
        "Exit codes: 0 the run is accepted, or has the state of --wait; 1 the run failed, its event is a "
        "dead letter, it did not reach the state in time, or Airflow does not have the DAG (nothing was "
        "started); 2 wrong usage; 3 the result is unknown."
    )
)
@click.argument("dag_id", metavar="DAG", type=Text())
@click.option("--conf", metavar="JSON|@FILE", help="The run's conf, a JSON object; @- reads it from stdin.")
@click.option("--run-id", type=Text(), help="The run's id. A second call with the same id starts nothing.")
@click.option("--note", help="Note on the run. Kept only if Jetway uses Airflow's REST API.")
@click.option(
    "--logical-date",
    type=IsoTime(),
    metavar="ISO",
    help=("The run's logical date, with a UTC offset. The default is now."),
)
@click.option(
    "--idempotency-key",
    type=Key(),
    metavar="KEY",
    help="A second call with the same key starts nothing; with another body it is rejected.",
)
@click.option(
    "--wait",
    is_flag=False,
    flag_value="success",
    type=WaitFor(["queued", "running", "success"]),
    help="Wait until the run has this state. --wait alone waits for success.",
)
@click.option("--timeout", type=Span(), default="30m", show_default=True, help="Maximum time to wait.")
@click.option("--dry-run", is_flag=True, help="Check the call and the DAG, but start nothing.")
@click.option(
    "--check/--no-check", "checks", default=True, help=("First check whether Airflow has the DAG (the default).")
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@api_option
@stack_options
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    dag_id: str,
    conf: str | None,
    run_id: str | None,
    note: str | None,
    logical_date: str | None,
    idempotency_key: str | None,
    wait: str | None,
    timeout: timedelta,
    dry_run: bool,
    checks: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Start a run of DAG.

    The call is signed with your AWS credentials. An accepted run is durably queued: it starts exactly once, at the
    latest when the environment is available again.
    """
    from jetway_cli.api import Api

    if dry_run and (wait or not checks):
        raise click.UsageError("--dry-run starts nothing, so you cannot combine it with --wait or --no-check.")
    body = _checked_body(dag_id, conf, run_id, note, logical_date)
    call = RunCall(dag_id, body, idempotency_key or str(uuid.uuid4()))
    is_named = bool(run_id or idempotency_key)  # then its run may be there from an earlier call
    target = Target(**where)
    api = Api(target)
    if dry_run:
        _show_dry_run(_check(api, call, is_named=False), named=is_named, as_json=as_json)
        return
    warnings = _warnings_before(api, call, is_named=is_named) if checks else []
    # With an id of the caller's own, the ledger may tell of an earlier call, which this one tries again.
    since = datetime.now(UTC) if is_named else None
    seen = _post(api, call)
    warnings += [str(warning) for warning in seen.get("warnings", []) if warning not in warnings]
    if warnings:
        seen["warnings"] = warnings
    for warning in warnings:
        say(f"Warning: {sentence(warning)}")
    if wait is not None:
        seen |= _follow(api, target, seen, until=wait, timeout=timeout, since=since, options=typed_options(context))
    show_run(seen, as_json=as_json)


def show_run(seen: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a run as it was last seen.

    Raises:
        NegativeError: it has failed.
    """
    if as_json:
        print_json(seen)
    else:
        print_table(["state", "dag", "run id"], [[str(seen.get(name)) for name in ("state", "dag_id", "dag_run_id")]])
    if seen.get("state") == "failed":
        raise NegativeError(
            f"The run failed. See its task logs in Airflow (DAG {seen['dag_id']}, run {seen['dag_run_id']})."
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
        source = "stdin" if text == "@-" else text[1:]
        try:
            text = sys.stdin.read() if text == "@-" else Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise WrongUseError(
                f"--conf: {source} could not be read: {sentence(getattr(exc, 'strerror', None) or exc)}"
            ) from exc
    try:
        conf = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise WrongUseError(
            f'{source} is not JSON: {sentence(exc)} An example: --conf \'{{"day": "2026-11-22"}}\''
        ) from exc
    if not isinstance(conf, dict):
        raise WrongUseError(f'{source} must be a JSON object such as {{"day": 1}}, not {type(conf).__name__}.')
    return conf


def _checked_body(
    dag_id: str, conf: str | None, run_id: str | None, note: str | None, logical_date: str | None
) -> dict[str, Any]:
    """Return the call's body.

    Raises:
        WrongUseError, InvalidRequestError: Airflow could never take it.
    """
    from jetway.airflow import DagRunRequest
    from jetway.airflow.names import check_request

    if "/" in dag_id:
        name = dag_id.rstrip("/").rpartition("/")[2].removesuffix(".py")
        raise WrongUseError(
            f"{dag_id!r} is a path; give the DAG's id, as Airflow shows it: jetway run {shlex.quote(name or 'my_dag')}"
        )
    read = read_conf(conf)
    fields = {"conf": read, "dag_run_id": run_id, "note": note, "logical_date": logical_date}
    check_request(DagRunRequest(dag_id=dag_id, dag_run_id=run_id or "derived", conf=read or {}))
    return {name: value for name, value in fields.items() if value is not None}


def _check(api: Api, call: RunCall, *, is_named: bool) -> dict[str, Any]:
    """Ask what the call would start.

    Args:
        is_named: whether a run that is there already is no fault.

    Raises:
        ApiTroubleError: it cannot be checked now.
        NegativeError, WrongUseError, StackTroubleError: nothing can be started.
    """
    answer = call.post(api, dry_run=True)
    if answer.reason == "run-already-exists" and is_named:
        say(f"Note: {answer.problem} No new run starts.")
        return {}
    if answer.reason == "dag-not-found":
        near = answer.body.get("near")
        question = did_you_mean(call.dag_id, near) if near and "Did you mean" not in answer.problem else ""
        raise NegativeError(f"{answer.problem}{question} Nothing was started. {NO_CHECK}")
    return dict(api.require(answer).body)


def _warnings_before(api: Api, call: RunCall, *, is_named: bool) -> list[str]:
    from jetway_cli.api import ApiTroubleError

    try:
        return [str(warning) for warning in _check(api, call, is_named=is_named).get("warnings", [])]
    except ApiTroubleError as exc:
        if exc.answer is not None:  # else the call itself will say so
            say(f"Note: the DAG cannot be checked now: {exc.answer.problem} The run is requested anyway.")
        return []


def _show_dry_run(would: dict[str, Any], *, named: bool, as_json: bool) -> None:
    if not named:
        would["dag_run_id"] = None  # it is derived from the key of the call that will start it
    if as_json:
        print_json(would)
    else:
        run_id = would["dag_run_id"] or "(derived when the run starts)"
        print_table(
            ["would start", "run id", "conf"], [[str(would.get("dag_id")), run_id, json.dumps(would.get("conf"))]]
        )
    for warning in would.get("warnings", []):
        say(f"Warning: {sentence(warning)}")


def _post(api: Api, call: RunCall) -> dict[str, Any]:
    """Send the call; return what was accepted.

    Raises:
        NegativeError, WrongUseError, StackTroubleError: it was not accepted, or that is not known.
    """
    from jetway_cli.api import ApiTroubleError

    again = (
        "It is not known whether the run was accepted. Repeat this command with --idempotency-key "
        f"{shlex.quote(call.key)}. It starts the run once, even if you repeat it."
    )
    try:
        accepted = dict(api.require(call.post(api)).body)
    except ApiTroubleError as exc:
        raise ApiTroubleError(f"{sentence(exc.message)} {again}", exc.answer) from exc
    except KeyboardInterrupt:
        say(f"Interrupted. {again}")
        raise
    if not isinstance(accepted.get("dag_run_id"), str):
        raise StackTroubleError(
            f"{api.base} responds, but not as Jetway's HTTP API does. No run was accepted. Check --stack, "
            "--api-url and JETWAY_API_URL."
        )
    return {"dag_id": call.dag_id, **accepted}


def _follow(
    api: Api,
    target: Target,
    seen: Mapping[str, Any],
    *,
    until: str,
    timeout: timedelta,
    since: datetime | None,
    options: str,
) -> dict[str, Any]:
    from jetway_cli.following import FollowedRuns

    dag_id, run_id = str(seen["dag_id"]), str(seen["dag_run_id"])
    say(f"{datetime.now(UTC):%H:%M:%S} {seen.get('state')}: run {run_id} of DAG {dag_id}")
    again = f"jetway wait {shlex.quote(dag_id)} {shlex.quote(run_id)}{options}"
    return FollowedRuns(api, target, dag_id, run_id, again, since).follow(until=until, timeout=timeout)
