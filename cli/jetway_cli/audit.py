"""`jetway audit`: who did what: runs, uploads, deletions, changes of triggers, redrives, roll-backs, updates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, stack_options
from jetway_cli.times import Moment, show_time

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.ledger import Entry
    from jetway.updates.record import UpdateRecord

COLUMNS = ["when (UTC)", "what", "of", "who"]
UNKNOWN = "not known"
_OF_TRIGGERS = ("trigger", "access", "floors")
# What Jetway does by itself, once somebody's upload does not work.
_VERIFIER = {"principal": "jetway:verify_promotion"}
_UPDATER = {"principal": "jetway:apply_updates"}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did.

    Attributes:
        at: timezone-aware.
        what: a stable word or two: run started, uploaded, rolled back….
        of: the run, or the file and its version.
        by: who, as far as that is known (`jetway.events.principals`).
    """

    at: datetime
    what: str
    of: str
    by: Mapping[str, str]


@click.command(epilog="Each line of --json is one action. The exit code is 0 even if there are no actions.")
@click.option("--since", type=Moment(), default="1d", show_default=True, help="1h, 2d, or an ISO 8601 time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
@stack_options
def audit(*, since: datetime, as_json: bool, **where: Any) -> None:
    """Show who did what: runs, redrives, uploads, deletions, trigger changes, rollbacks, and updates.

    For an upload, S3 reports the account, address, and request id. To see the role or user, look up that id in the
    bucket's access log or in CloudTrail's data events. Values under "claimed" are not verified.
    """
    from jetway.airflow.environment import Environment
    from jetway.ledger import Ledger
    from jetway.updates.record import UpdateTable

    target = Target(**where)
    ledger = Ledger(target.table(target.output("LedgerTableName")))
    facts = Environment(target.client("mwaa"), target.output("EnvironmentName")).facts()
    record = UpdateTable(target.client("dynamodb"), target.output("ArtifactTableName")).get()
    acts = [
        *acts_of_runs(ledger.list_events(None, since)),
        *acts_of_reports(reports_since(target.client("s3"), target.output("DropBucketName"), since), since),
        *acts_of_updates(record, facts, since),
    ]
    acts.sort(key=lambda act: (act.at, act.what, act.of))
    if as_json:
        for act in acts:
            print_json({**asdict(act), "at": act.at.isoformat()}, line=True)
    elif acts:
        print_table(COLUMNS, map(_row, acts))
    if not acts:
        say(f"No one did anything since {show_time(since)} UTC.")


def acts_of_runs(entries: Iterable[Entry]) -> Iterator[Act]:
    """Yield what the ledger knows: what became of each event, and who caused it. Pure."""
    for entry in entries:
        of = f"{entry.dag_id or '?'} {entry.dag_run_id or entry.batch_id or ''}".strip()
        what = "run started" if entry.decision == "started" else f"event {entry.decision}"
        yield Act(entry.decided_at, what, of, entry.by)
        if "redriven_by" in entry.by:
            yield Act(entry.decided_at, "redriven", of, {"principal": entry.by["redriven_by"]})


def acts_of_reports(reports: Iterable[Mapping[str, Any]], since: datetime) -> Iterator[Act]:
    """Yield what the reports of versions know: uploads, changes of triggers, deletions, roll-backs. Pure."""
    for report in reports:
        source = report.get("source") or {}
        of, by = f"{report['path']}@{source.get('version') or source.get('etag')}", report.get("by") or {}
        put = "trigger file put" if report["kind"] in _OF_TRIGGERS else "uploaded"
        outcome = report.get("outcome") or report["verdict"]
        uploaded = _time(source.get("last_modified"))
        if uploaded is not None and uploaded >= since:
            yield Act(uploaded, f"{put}: {outcome}", of, by)
        gone = _time((report.get("verification") or {}).get("at"))
        if gone is not None and gone >= since:
            yield Act(gone, "rolled back", of, _VERIFIER)
        if "removed_by" in report:
            yield Act(_time(report.get("changed_at")) or since, "deleted", of, report["removed_by"])


def acts_of_updates(record: UpdateRecord, facts: EnvironmentFacts, since: datetime) -> Iterator[Act]:
    """Yield the last update of the environment. Pure."""
    if facts.last_update_at is None or facts.last_update_at < since:
        return
    ours = record.is_ours(facts)
    source = facts.last_update_source
    by = _UPDATER if ours else {"principal": source} if source else {}
    yield Act(facts.last_update_at, "environment updated", f"{facts.name} {record.why if ours else ''}".strip(), by)


def reports_since(s3: S3Client, bucket: str, since: datetime) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of versions that were written since then.

    Raises:
        ClientError, BotoCoreError: S3 is in trouble.
    """
    from jetway.artifacts.keys import REPORTS
    from jetway.aws.s3 import is_gone

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REPORTS)
    for item in (item for page in pages for item in page.get("Contents", ())):
        key = item["Key"]
        if item["LastModified"] < since or not key.endswith(".json") or key.endswith("/latest.json"):
            continue
        try:
            with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
                yield {**json.loads(body.read()), "changed_at": item["LastModified"].isoformat()}
        except s3.exceptions.ClientError as exc:
            if not is_gone(exc):
                raise  # else it has expired since it was listed


def _row(act: Act) -> list[str]:
    from jetway.events.principals import in_words

    return [show_time(act.at), act.what, act.of, in_words(act.by) or UNKNOWN]


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
