"""What is told of runs that Jetway has not started: events for programs, mails for people. Pure, but for `Alarm`.

docs/events.md and docs/schemas/ describe the events. A mail goes to everybody who has subscribed to the stack's alarms,
and is a custom notification of Amazon Q Developer in chat applications for what is subscribed by HTTPS, chats among it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from jetway.dispatch.run_events import END_TYPES, end_id
from jetway.documents.escape import visible
from jetway.errors import TransientError
from jetway.events.outgoing import OutEvent

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from jetway.airflow import DagRun
    from jetway.airflow.environment import EnvironmentFacts
    from jetway.run_monitoring.deadlines import Deadline

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: ASCII, and no longer than this
_LONGEST_SUBJECT = 100
MOST_SHOWN = 50  # runs in one mail; a run's names and link take 1.5 KB at most, and a mail may have 256

Owners = Mapping[str, Sequence[str]]


class AlarmNotSentError(TransientError):
    """SNS did not take an alarm."""

    reason = "alarm-not-sent"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to people."""

    subject: str
    text: str


class Alarm:
    """Sends mails to the topic of alarms."""

    def __init__(self, sns: SNSClient, topic_arn: str) -> None:
        self._sns, self._topic_arn = sns, topic_arn

    def __call__(self, mail: Mail) -> None:
        """Send one.

        Raises:
            AlarmNotSentError: SNS did not take it.
        """
        subject = mail.subject.encode("ascii", "replace").decode()
        subject = "".join(char if char.isprintable() else "?" for char in subject)[:_LONGEST_SUBJECT]
        # https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
        chat = {
            "version": "1.0",
            "source": "custom",
            "content": {"textType": "client-markdown", "title": subject, "description": mail.text},
        }
        message = json.dumps({"default": mail.text, "https": json.dumps(chat)})
        try:
            self._sns.publish(TopicArn=self._topic_arn, Subject=subject, Message=message, MessageStructure="json")
        except (ClientError, BotoCoreError) as exc:
            raise AlarmNotSentError(f"Publish to {self._topic_arn} failed: {exc}") from exc


def link(facts: EnvironmentFacts, dag_id: str, dag_run_id: str | None = None) -> str | None:
    """Return the address of a run, or a DAG, in Airflow's UI; None where there is no web server.

    Args:
        facts: of the environment; Airflow 2 and 3 have other paths.
    """
    if facts.web_server is None:
        return None
    dag, run = quote(dag_id, safe=""), quote(dag_run_id or "", safe="")
    if facts.major >= 3:
        path = f"dags/{dag}/runs/{run}" if run else f"dags/{dag}"
    else:
        path = f"dags/{dag}/grid?dag_run_id={run}" if run else f"dags/{dag}/grid"
    return f"{facts.web_server if '://' in facts.web_server else f'https://{facts.web_server}'}/{path}"


def ended(facts: EnvironmentFacts, run: DagRun, owners: Owners, now: datetime) -> OutEvent:
    """Return the event on the end of a run that Jetway has not started: DagRunSucceeded or DagRunFailed.

    Args:
        owners: by dag_id.
        now: when it was seen.
    """
    start, end = _time(run.start_date), _time(run.end_date)
    detail: dict[str, Any] = {
        "environment": facts.name,
        # Of an event that Jetway knows nothing of.
        **dict.fromkeys(("trigger", "kind", "batch_id", "event_time", "decided_at", "chain")),
        "identity": [],
        "by": {},
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "state": run.state,
        "start_date": run.start_date,
        "end_date": run.end_date,
        "duration_seconds": (end - start).total_seconds() if start and end else None,
        "run_type": run.run_type,
        "logical_date": run.logical_date,
        "owners": list(owners.get(run.dag_id, ())),
        "url": link(facts, run.dag_id, run.dag_run_id),
    }
    return OutEvent(END_TYPES[run.state], end_id(run.dag_id, run.dag_run_id, run.state), end or now, detail)


def missed(facts: EnvironmentFacts, deadline: Deadline, last: DagRun | None, owners: Owners) -> OutEvent:
    """Return the event on a DAG of which no run has succeeded in time: DagRunMissing.

    Args:
        last: the DAG's newest run; None when it has none.
        owners: by dag_id.
    """
    detail = {
        "environment": facts.name,
        "dag_id": deadline.dag_id,
        "expected_by": deadline.at.isoformat(),
        "since": deadline.since.isoformat(),
        "last_run_id": last and last.dag_run_id,
        "last_state": last and last.state,
        "owners": list(owners.get(deadline.dag_id, ())),
        "url": link(facts, deadline.dag_id),
    }
    return OutEvent("DagRunMissing", deadline.mark, deadline.at, detail)


def mail_on_failures(facts: EnvironmentFacts, runs: Sequence[DagRun], owners: Owners) -> Mail:
    """Return one mail on runs that have failed: one for all that are seen at once, lest a bad night be a thousand."""
    dags = sorted({run.dag_id for run in runs})
    what = dags[0] if len(dags) == 1 else f"{len(dags)} DAGs"
    lines = [f"{len(runs)} DAG run{'s' * (len(runs) > 1)} failed in environment {facts.name}.", ""]
    for run in runs[:MOST_SHOWN]:
        lines += [f"DAG: {visible(run.dag_id)}", f"Run: {visible(run.dag_run_id)}"]
        if run.end_date:
            lines.append(f"Ended: {run.end_date}")
        lines += _of_dag(facts, run.dag_id, owners, run.dag_run_id)
    if len(runs) > MOST_SHOWN:
        lines += [f"and {len(runs) - MOST_SHOWN} more.", ""]
    lines.append(_HOW_TO_STOP)
    return Mail(f"Jetway {facts.name}: dag-failed: {what}", "\n".join(lines))


def mail_on_missed(facts: EnvironmentFacts, deadline: Deadline, last: DagRun | None, owners: Owners) -> Mail:
    """Return the mail on a DAG of which no run has succeeded in time."""
    by = f"{deadline.at:%Y-%m-%d %H:%M} {deadline.expectation.zone.key}"
    seen = "It has no run." if last is None else f"Its newest run {visible(last.dag_run_id)} is {visible(last.state)}."
    lines = [
        f"No run of DAG {visible(deadline.dag_id)} in environment {facts.name} has succeeded by {by}.",
        f"Checked since {deadline.since:%Y-%m-%d %H:%M}. {seen}",
        "",
        *_of_dag(facts, deadline.dag_id, owners),
        (
            "Check whether the DAG is paused, stale, or has an import error (jetway doctor), and whether workers "
            "are free."
        ),
        "The time comes from expect in alarms.yaml of the drop bucket.",
    ]
    return Mail(f"Jetway {facts.name}: dag-missing: {deadline.dag_id}", "\n".join(lines))


_HOW_TO_STOP = "To receive no messages about a DAG, write `alarm: false` for it in alarms.yaml of the drop bucket."


def _of_dag(facts: EnvironmentFacts, dag_id: str, owners: Owners, dag_run_id: str | None = None) -> list[str]:
    lines = []
    if dag_id in owners:
        lines.append(f"Owners: {', '.join(visible(owner) for owner in owners[dag_id])}")
    if url := link(facts, dag_id, dag_run_id):
        lines.append(f"Airflow: {url}")
    return [*lines, ""]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
