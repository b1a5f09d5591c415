"""What is told about artifacts: events, and messages that a person can act upon. Pure, but for `Notifier`.

docs/events.md and docs/schemas/ describe the events. Delivery is at-least-once; `detail.id` is the same for every copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.documents.escape import quoted, unlinked, visible
from jetway.events import outgoing as events_out
from jetway.events.outgoing import OutEvent
from jetway.events.principals import in_words

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

    from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion
    from jetway.promotion.restore import Restored

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: ASCII, and no longer than this
_LONGEST_SUBJECT = 100
_MOST_SHOWN = 10
_LONGEST_SHOWN = 1000
_ID = 64


@dataclass(frozen=True, slots=True)
class Notification:
    """One event, and the message that goes with it if somebody has to know.

    Attributes:
        subject, message: None when nobody has to do anything.
    """

    event: OutEvent
    subject: str | None = None
    message: str | None = None


class Notifier:
    """Sends news to the event bus and to the topic of people."""

    def __init__(self, events: EventBridgeClient, bus: str, sns: SNSClient, topic_arn: str) -> None:
        self._events, self._bus = events, bus
        self._sns, self._topic_arn = sns, topic_arn

    def tell(self, news: Notification) -> None:
        """Send the event, then the message.

        Raises:
            EventsOutError: the bus did not take the event.
            ClientError, BotoCoreError: SNS is in trouble.
        """
        events_out.put(self._events, self._bus, [news.event])
        if news.subject is not None and news.message is not None:
            subject = news.subject.encode("ascii", "replace").decode()
            subject = "".join(char if char.isprintable() else "?" for char in subject)
            self._sns.publish(TopicArn=self._topic_arn, Subject=subject[:_LONGEST_SUBJECT], Message=news.message)


# Outcomes that `judged` tells of.
OUTCOMES = {
    "promoted": "ArtifactPromoted",
    "quarantined": "ArtifactRejected",
    "superseded": "ArtifactSuperseded",
    "vanished": "ArtifactVanished",
}


def tag_of(document: Mapping[str, Any]) -> str:
    """What the tag of a version says, whose report that is: the verdict, or what became of it since."""
    judged = document["outcome"] in {"promoted", "quarantined"}
    return str(document["verdict"] if judged else document["outcome"])


def judged(environment: str, document: Mapping[str, Any], report_key: str, *, note: str | None = None) -> Notification:
    """The news on a version that was promoted, quarantined or superseded, or deleted before it went live.

    Args:
        document: the report of the version, as JSON; with source, time and outcome.
        note: what somebody has to do to bring it into force, when it takes something.
    """
    source, promoted = document["source"], document["outcome"] == "promoted"
    label, key = source["version"] or f"etag-{source['etag']}", document["path"]
    detail: dict[str, Any] = {
        "environment": environment,
        "bucket": source["bucket"],
        "key": key,
        "version": label,
        "kind": document["kind"],
        "report": report_key,
        "verdict": document["verdict"],
        "findings": [
            {**finding, "message": finding["message"][:_LONGEST_SHOWN]}
            for finding in document["findings"][:_MOST_SHOWN]
        ],
        "placed": document["placed"],
        "by": dict(document.get("by") or {}),
    }
    if promoted:
        detail["dags"] = document["dags"][:_ID]
        detail["parse_seconds"] = document.get("parse_seconds")
        detail["in_force"] = document.get("in_force")
    name = OUTCOMES[document["outcome"]]
    event = OutEvent(name, f"{key}#{label}#{name}", datetime.fromisoformat(document["judged_at"]), detail)
    if name in {"ArtifactSuperseded", "ArtifactVanished"} or (promoted and note is None):
        return Notification(event)
    if promoted:
        return Notification(event, f"Jetway {environment}: {key} is ready to be applied", note)
    path = unlinked(visible(key))
    who = f"{words}: " if (words := unlinked(visible(in_words(document.get("by") or {})))) else ""
    lines = [f"{path} was rejected and is not live in environment {environment}. What was live stays live.", ""]
    for finding in document["findings"][:_MOST_SHOWN]:
        where = f"{path}:{finding['line']}" if finding["line"] else path
        said = [unlinked(visible(words)) for words in (finding["message"], finding["remedy"])]
        lines += [f"{where} {finding['rule']}: {said[0]}", f"  To do: {said[1]}", ""]
    lines += [
        f"Report: s3://{source['bucket']}/{report_key}",
        f"Uploaded by: {who}s3://{source['bucket']}/{path}, version {label}",
    ]
    return Notification(event, f"Jetway {environment}: {key} was rejected", "\n".join(lines))


def rolled_back(
    environment: str,
    drop_bucket: str,
    standing: ArtifactState,
    restored: Restored,
    at: datetime,
    *,
    note: str | None = None,
    was_live: bool = True,
) -> Notification:
    """The news on a version that was live and is not any more, or whose update failed.

    Args:
        standing: in stage "rolling-back".
        restored: what came back, or nothing.
        note: what it takes until the environment is back, when it takes something.
        was_live: it was in force; False when the update that was to bring it failed.
    """
    bad, back, key = standing.live, restored.live, standing.key
    if bad is None:
        raise ValueError("a live version is needed")
    problems = standing.problems[:_MOST_SHOWN]
    detail = {
        **_common(environment, drop_bucket, key, bad),
        "problems": [_shown(problem) for problem in problems],
        "by": {"principal": "jetway:verify_promotion"},
        "restored": None if back is None else {"version": back.source, "placed": _placed(back)},
    }
    event = OutEvent("ArtifactRolledBack", f"{key}#{bad.source}#ArtifactRolledBack", at, detail)
    now = "Nothing was live before, so it was removed." if was_live else "Nothing was in force before."
    if restored.outcome == "superseded":
        now = "A newer version had already replaced it."
    elif back is not None and was_live:
        now = f"{_named(back)} {'comes back' if note else 'is live again'}."
    elif back is not None:
        now = f"{_named(back)} {'comes back' if note else 'stays in force'}."
    happened = [
        f"{key} (version {bad.source}) went live at {bad.at:%Y-%m-%d %H:%M} UTC.",
        f"It does not work in environment {environment}. {now}",
    ]
    if not was_live:
        happened = [
            f"{key} (version {bad.source}) was to take effect with an update of environment {environment}.",
            f"The update failed, so the version never took effect. {now}",
        ]
    lines = [*happened, ""]
    for problem in problems:
        lines += [f"{visible(problem.where)}:", quoted(problem.message[-_LONGEST_SHOWN:]), ""]
    lines += [
        *((note, "") if note else ()),
        "To do: correct the file, or what it needs in the environment (a Variable, a connection, a package).",
        "Then upload it again. The version that was rolled back is not tried again.",
        f"Report: s3://{drop_bucket}/{bad.report}",
    ]
    return Notification(event, f"Jetway {environment}: {key} was rolled back", "\n".join(lines))


def overtaken(
    environment: str,
    drop_bucket: str,
    key: str,
    ours: LiveVersion,
    *,
    there: tuple[str, str] | None,
    at: datetime,
    again: str,
) -> Notification:
    """The news that somebody else has changed what an environment uses of a kind of which Jetway has a version.

    Args:
        ours: the version that was in force, or is to come into force.
        there: path and object version in force now, the latter empty where the environment names none.
        again: why the version of Jetway's goes over it, and what begins it; empty: theirs is left alone.
    """
    detail = {
        **_common(environment, drop_bucket, key, ours),
        "in_force": None if there is None else {"path": there[0], "version": there[1] or None},
        "next": "updates-again" if again else "left-alone",
    }
    # One event for each state that is found: the same one again is a copy.
    state = "none" if there is None else f"{there[0]}@{there[1]}"
    event = OutEvent("ArtifactOvertaken", f"{key}#{ours.source}#{state}#ArtifactOvertaken", at, detail)
    uses = "uses no version" if there is None else f"uses {there[0]}, object version {there[1] or 'not named'}"
    lines = [
        f"Environment {environment} was changed outside Jetway: for {key} it {uses}.",
        f"Jetway's version is {ours.source} (s3://{ours.bucket}/{ours.key}, object version {ours.version_id}).",
        "",
        again or "Jetway does not change this: it neither verifies nor undoes it.",
        "",
        (
            "To do: let only one of the two manage requirements, plugins and startup script. With Terraform, use "
            "ignore_changes."
        ),
    ]
    if not again:
        lines.append("To restore Jetway's version, upload the file to the drop bucket again.")
    return Notification(event, f"Jetway {environment}: {key} was changed outside Jetway", "\n".join(lines))


def stalled(
    environment: str, reason: str, because: str, keys: tuple[str, ...], *, since: datetime, at: datetime, to_do: str
) -> Notification:
    """The news that an update of the environment cannot go on.

    Args:
        reason: a stable word.
        because: in whose words.
        keys: what it is to bring, or goes back from.
        since: since when.
        to_do: what a person can do.
    """
    detail = {
        "environment": environment,
        "reason": reason,
        "because": because[:_LONGEST_SHOWN],
        "artifacts": list(keys),
        "since": since.isoformat(),
    }
    event = OutEvent("EnvironmentUpdateStalled", f"{environment}#{since.isoformat()}#{reason}#stalled", at, detail)
    waits = ", ".join(keys) or "the limits of its workers"
    lines = [
        (
            f"The update of environment {environment} has been blocked since {since:%Y-%m-%d %H:%M} UTC. Waiting: "
            f"{waits}."
        ),
        because[:_LONGEST_SHOWN],
        "",
        f"To do: {to_do}",
        "`jetway updates` shows what is next.",
    ]
    return Notification(event, f"Jetway {environment}: an update is blocked", "\n".join(lines))


def _named(live: LiveVersion) -> str:
    if live.ours:
        return f"Version {live.source}"
    return f"The object that was put there manually (version {live.version_id or 'unknown'})"


def removed(  # noqa: PLR0917 - what, when, and who
    environment: str,
    drop_bucket: str,
    key: str,
    gone: LiveVersion,
    at: datetime,
    by: Mapping[str, str],
    *,
    note: str | None = None,
) -> Notification:
    """The news on an artifact that was taken out because its object was deleted from the drop bucket.

    Args:
        by: who deleted it, as far as that is known (`jetway.events.principals`).
        note: why it is in force still and what somebody has to do, when it takes something.
    """
    detail = {**_common(environment, drop_bucket, key, gone), "placed": _placed(gone), "by": dict(by)}
    event = OutEvent("ArtifactRemoved", f"{key}#{gone.source}#ArtifactRemoved", at, detail)
    if note is None:
        return Notification(event)
    return Notification(event, f"Jetway {environment}: {key} was deleted, and is in force still", note)


def never_appeared(
    environment: str, drop_bucket: str, standing: ArtifactState, problems: Sequence[Defect], at: datetime
) -> Notification:
    """The news on a version that is live and of which nobody can tell whether it works."""
    live, key = standing.live, standing.key
    if live is None:
        raise ValueError("a live version is needed")
    detail = {
        **_common(environment, drop_bucket, key, live),
        "placed": _placed(live),
        "dags": list(live.dags[:_ID]),
        "problems": [_shown(problem) for problem in problems],
    }
    event = OutEvent("ArtifactNeverAppeared", f"{key}#{live.source}#ArtifactNeverAppeared", at, detail)
    lines = [
        f"{key} (version {live.source}) has been live since {live.at:%Y-%m-%d %H:%M} UTC.",
        f"Environment {environment} shows neither that it works nor that it fails.",
        "It was not rolled back, because it is not known whether it is at fault.",
        "",
        *(quoted(problem.message) for problem in problems),
        "",
        "To do: look for the file in the log group of the DAG processor, correct it, and upload it again.",
        f"Report: s3://{drop_bucket}/{live.report}",
    ]
    return Notification(event, f"Jetway {environment}: {key} has not appeared", "\n".join(lines))


def put_by_hand(environment: str, drop_bucket: str, key: str, live: LiveVersion, at: datetime) -> Notification:
    """The news on a version that was live until somebody put something else there by hand, past the drop bucket."""
    detail = {**_common(environment, drop_bucket, key, live), "placed": _placed(live), "by_hand": True}
    event = OutEvent("ArtifactSuperseded", f"{key}#{live.source}#ArtifactSuperseded#by-hand", at, detail)
    lines = [
        f"Version {live.source} of {key} was live as s3://{live.bucket}/{live.key}.",
        "Another object was put there without the drop bucket.",
        "Jetway does not change or verify that object.",
        "",
        f"To do: upload the file to s3://{drop_bucket}/{key}, so that it is checked and can be rolled back.",
        f"Report of the version that was live: s3://{drop_bucket}/{live.report}",
    ]
    return Notification(event, f"Jetway {environment}: {key} was replaced manually", "\n".join(lines))


def _common(environment: str, bucket: str, key: str, live: LiveVersion) -> Mapping[str, Any]:
    return {
        "environment": environment,
        "bucket": bucket,
        "key": key,
        "version": live.source,
        "kind": live.kind,
        "report": live.report or None,
    }


def _placed(live: LiveVersion) -> Mapping[str, Any]:
    return {"bucket": live.bucket, "key": live.key, "version": live.version_id}


def _shown(problem: Defect) -> Mapping[str, str]:
    return asdict(problem) | {"message": problem.message[-_LONGEST_SHOWN:]}
