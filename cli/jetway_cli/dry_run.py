"""`jetway dry-run`: which triggers an event would start, and why not the others. Offline."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from jetway_cli.errors import NegativeError, WrongUseError, sentence
from jetway_cli.output import print_json, print_table

if TYPE_CHECKING:
    from jetway.triggers.file import TriggerFile

SUFFIXES = (".yaml", ".yml")
MEMBERS = ("source", "detail-type", "detail")  # that patterns are about


BY_HAND = "an AWS event has all of these; an event that you write yourself needs them too"


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What one trigger file makes of the event.

    Attributes:
        outcome: starts a run; joins a batch; no match; disabled, though it matches; skipped by the dispatcher;
            dead-letter, as its conf or event is refused; invalid, as a file.
        goes_to: queue and lane.
        because: why it does not start, one reason a line.
        logical_date, data_interval: of its run, ISO 8601.
    """

    trigger: str
    outcome: Literal["starts", "batched", "no match", "disabled", "skipped", "dead-letter", "invalid"]
    dag_id: str | None = None
    dag_run_id: str | None = None
    conf: Mapping[str, Any] | None = None
    goes_to: str | None = None
    because: tuple[str, ...] = ()
    logical_date: str | None = None
    data_interval: tuple[str, ...] | None = None


@click.command("dry-run", epilog="Exit code 1: the event starts nothing, or a trigger file is not valid.")
@click.argument("event_file", metavar="EVENT.json", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--triggers",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of trigger files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def dry_run(*, event_file: Path, folder: Path, as_json: bool) -> None:
    """Show which triggers of DIR an EventBridge event would start, with conf and run id. - reads the event from stdin.

    This does not call AWS: it matches patterns as EventBridge documents them.
    """
    event = read_event(event_file)
    verdicts = [judge(content, name, event) for name, content in read_triggers(folder)]
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    else:
        _print(verdicts)
    invalid = [verdict.trigger for verdict in verdicts if verdict.outcome == "invalid"]
    if invalid:
        raise NegativeError(f"Not valid: {', '.join(invalid)}. The last good version would stay in force.")
    if not any(verdict.outcome in {"starts", "batched"} for verdict in verdicts):
        raise NegativeError("This event would start nothing.")


def read_event(file: Path) -> dict[str, Any]:
    """Read an EventBridge event.

    Raises:
        WrongUseError: no file, no JSON, or no event.
    """
    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        event = json.loads(text)
    except (OSError, ValueError, RecursionError) as exc:
        said = getattr(exc, "strerror", None) or exc
        raise WrongUseError(f"{name} is not JSON: {sentence(said)}") from exc
    if not isinstance(event, dict):
        raise WrongUseError(f"{name} is not an EventBridge event: it is a JSON {type(event).__name__}, not an object.")
    missing = [member for member in MEMBERS if member not in event]
    if missing:
        raise WrongUseError(f"{name} is not an EventBridge event: it has no {' and no '.join(missing)}.")
    return event


def read_triggers(folder: Path) -> list[tuple[str, bytes]]:
    """Read the trigger files of a folder, by name.

    Raises:
        WrongUseError: there are none, or one cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.is_dir())
        read = [(path.name, path.read_bytes()) for path in files]
    except OSError as exc:
        raise WrongUseError(f"{exc.filename} could not be read: {sentence(exc.strerror)}") from exc
    if not read:
        raise WrongUseError(f"{folder} has no trigger files (*.yaml).")
    return read


def judge(content: bytes, name: str, event: Mapping[str, Any]) -> DryRunResult:
    """Say what a trigger file makes of an event."""
    from jetway.triggers.file import PREFIX, S3, BusEvent, name_of, parse
    from jetway.triggers.resources import event_pattern
    from jetway_cli.patterns import PatternError, explain

    key = PREFIX + name
    parsed = parse(content, key)
    trigger = parsed.trigger
    if trigger is None:
        errors = [found for found in parsed.judgement.findings if found.severity == "error"]
        return DryRunResult(
            name_of(key), "invalid", because=tuple(f"line {found.line}: {found.message}" for found in errors)
        )
    source = trigger.on
    if not isinstance(source, S3 | BusEvent):
        how = "its schedule" if trigger.kind == "schedule" else "a call of the HTTP API"
        return DryRunResult(trigger.name, "no match", trigger.dag, because=(f"it starts on {how}, not on events",))
    try:
        mismatches = explain(event_pattern(source), event)
    except PatternError as exc:
        return DryRunResult(trigger.name, "invalid", trigger.dag, because=(str(exc),))
    if mismatches:
        return DryRunResult(trigger.name, "no match", trigger.dag, because=tuple(map(str, mismatches)))
    if not trigger.enabled:
        return DryRunResult(trigger.name, "disabled", trigger.dag, because=("it matches, but enabled is false",))
    return _started(trigger, event)


def _started(trigger: TriggerFile, event: Mapping[str, Any]) -> DryRunResult:
    from jetway.dispatch.dates import FIRST_WITH_PLANNED
    from jetway.dispatch.run import bulk_lane, parse_message, plan
    from jetway.errors import PermanentError, UnknownEventError
    from jetway.triggers.resources import message_template

    if trigger.batch is not None:
        goes_to = (
            f"collect queue, batches of {trigger.batch.max_events} or {trigger.batch.within.total_seconds():.0f} s"
        )
        return DryRunResult(trigger.name, "batched", trigger.dag, goes_to=goes_to)
    try:
        message = parse_message(message_template(trigger, json.dumps(event)), sent_at=datetime.now(UTC))
        found = plan(message, major=lambda: FIRST_WITH_PLANNED)  # it matters to schedules alone
    except PermanentError as exc:
        because = (f"{exc.reason}: {exc}", *((BY_HAND,) if isinstance(exc, UnknownEventError) else ()))
        return DryRunResult(trigger.name, "dead-letter", trigger.dag, because=because)
    request = found.request
    if request is None:
        return DryRunResult(trigger.name, "skipped", trigger.dag, because=(str(found.skipped_because),))
    goes_to = f"dispatch queue, lane {bulk_lane(trigger.name)}"
    date, interval = request.logical_date, request.data_interval
    return DryRunResult(
        trigger.name,
        "starts",
        request.dag_id,
        request.dag_run_id,
        dict(request.conf),
        goes_to,
        logical_date=date.isoformat() if date is not None else None,
        data_interval=tuple(moment.isoformat() for moment in interval) if interval is not None else None,
    )


def _print(verdicts: list[DryRunResult]) -> None:
    rows: list[list[str]] = []
    for verdict in verdicts:
        first, *more = verdict.because or (verdict.goes_to or "",)
        rows.append([verdict.trigger, verdict.outcome, verdict.dag_id or "", verdict.dag_run_id or "", first])
        rows += [["", "", "", "", reason] for reason in more]
    print_table(["trigger", "outcome", "dag", "run id", "target, or reason"], rows)
    for verdict in verdicts:
        if verdict.conf is not None:
            click.echo(f"\nconf of {verdict.trigger}:\n{json.dumps(verdict.conf, ensure_ascii=False, indent=2)}")
            click.echo(f"logical date: {verdict.logical_date or 'none requested'}")
        if verdict.data_interval is not None:
            click.echo(f"data interval: {' to '.join(verdict.data_interval)}")
