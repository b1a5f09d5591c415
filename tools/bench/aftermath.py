"""What is left of a round of `make chaos` when all is at rest, and what of that is wrong.

`read` looks from outside: the two buckets, tags, reports, events out, Airflow. `faults` compares, and is pure.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.stack.calls import airflow_api, wait_for
from tools.stack.stack import ENVIRONMENT_BUCKET

if TYPE_CHECKING:
    from tools.bench.stories import Act, Story
    from tools.stack.stack import Stack

_ABSENT = {"NoSuchKey", "NoSuchVersion", "404"}
NOT_JUDGED = "no report"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a story's acts have become.

    Attributes:
        versions: version in the drop bucket by act; of a deletion that of its marker.
        at: when each act was done, seconds since the epoch.
    """

    story: Story
    versions: tuple[str, ...]
    at: tuple[float, ...]

    @property
    def expected(self) -> str | None:
        """The version that is to be live."""
        return None if self.story.live is None else self.versions[self.story.live]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one key.

    Attributes:
        live: source version of the copy in the environment's bucket; None when there is none.
        copied_at: when each version's first copy was made, seconds since the epoch.
        reports: document by version, of those that have one.
        latest: the document of `latest.json`.
        tags: verdict by version, of those that have one.
        told: detail-types of the events out by version.
        in_airflow: whether Airflow has the DAG, and a file that makes it.
        import_error: Airflow's, of the file.
    """

    live: str | None = None
    copied_at: Mapping[str, float] = field(default_factory=dict)
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latest: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, frozenset[str]] = field(default_factory=dict)
    in_airflow: bool = False
    import_error: str | None = None


# Outcome of a report → the event that tells of it, and the tag; None: the verdict.
_TOLD: dict[str, tuple[str, str | None]] = {
    "promoted": ("ArtifactPromoted", None),
    "quarantined": ("ArtifactRejected", "rejected"),
    "rolled-back": ("ArtifactRolledBack", "rolled-back"),
    "removed": ("ArtifactRemoved", "removed"),
    "superseded": ("ArtifactSuperseded", "superseded"),
    "vanished": ("ArtifactVanished", "vanished"),
}


def faults(dropped: Dropped, facts: Facts, *, parse_times: bool) -> list[str]:
    """Return what is wrong, in words; nothing when all is as it is to be.

    Args:
        parse_times: whether Jetway can see when Airflow parsed a file; else what never appears may stay live.
    """
    story = dropped.story
    may_stay = story.acts[-1].fate == "never-appears" and not parse_times
    expected = dropped.versions[-1] if may_stay and facts.live == dropped.versions[-1] else dropped.expected
    found = []
    if facts.live != expected:
        found.append(f"live is {_named(facts.live, dropped)}, not {_named(expected, dropped)}")
    if facts.import_error is not None:
        found.append(f"Airflow shows an import error: {facts.import_error.strip().splitlines()[-1][:200]}")
    if story.dag_id is not None and facts.in_airflow != (dropped.expected is not None):
        found.append("its DAG is not in Airflow" if dropped.expected is not None else "its DAG is still in Airflow")
    for number, act in enumerate(story.acts):
        version = dropped.versions[number]
        if act.fate != "deletes":
            about = f"version {number + 1} ({act.fate})"
            found += [f"{about}: {fault}" for fault in _faults_of_version(version, number, dropped, facts, may_stay)]
    return found + _faults_of_latest(dropped, facts)


def _faults_of_version(version: str, number: int, dropped: Dropped, facts: Facts, may_stay: bool) -> Iterator[str]:
    story = dropped.story
    report = facts.reports.get(version)
    outcome = NOT_JUDGED if report is None else str(report.get("outcome"))
    allowed = _outcomes(story, number) | ({"promoted"} if may_stay else set())
    if outcome not in allowed:
        rules = ", ".join(each["rule"] for each in (report or {}).get("findings", []))
        yield f"its report says {outcome}{f' ({rules})' if rules else ''}, not {' or '.join(sorted(allowed))}"
    if report is None:
        if version in facts.tags:
            yield f"it is tagged {facts.tags[version]} and has no report"
        return
    state = (report.get("in_force") or {}).get("state")
    if version == facts.live == dropped.expected and state != "verified":
        yield f"it is live, and its report says {state}"
    event, tag = _TOLD.get(outcome, ("", None))
    told = facts.told.get(version, frozenset())
    if event and event not in told:
        yield f"its report says {outcome}, and {event} was not sent"
    for other, (name, _) in _TOLD.items():
        if name in told and other != outcome and (other, outcome) not in _LATER:
            yield f"{name} was sent, and its report says {outcome}"
    tag = tag or str(report["verdict"])
    if facts.tags.get(version) != tag:
        yield f"its tag is {facts.tags.get(version)}, not {tag}"


# What was told first, and what may be told later: what was passed over has its turn when the newer one has failed, and
# what was deleted when that is taken back.
_LATER = {("promoted", "rolled-back"), ("promoted", "removed"), ("superseded", "vanished")} | {
    (first, later)
    for first in ("superseded", "vanished")
    for later in ("promoted", "quarantined", "rolled-back", "removed")
}


def _outcomes(story: Story, number: int) -> set[str]:
    """What may be told of a version: what it deserves; that it was passed over, if something newer followed."""
    act, later = story.acts[number], story.acts[number + 1 :]
    if number == story.live:
        return {"promoted"}
    own = {
        "works": {"promoted"},
        "breaks-in-gate": {"quarantined"},
        "breaks-in-environment": {"rolled-back"},
        "never-appears": {"rolled-back"},
    }[act.fate]
    if not later:
        return own
    own |= {"superseded", NOT_JUDGED}
    if act.fate != "breaks-in-gate":
        own.add("promoted")  # it was replaced before it was verified
    if any(each.fate == "deletes" for each in later):
        own |= {"removed", "vanished"}
    if act.fate == "works" and later[-1].fate == "deletes":
        own -= {"promoted"}
    return own


def _faults_of_latest(dropped: Dropped, facts: Facts) -> list[str]:
    deleted = dropped.story.acts[-1].fate == "deletes"
    if facts.latest is None:
        return ["there is no latest.json"] if facts.reports and not deleted else []
    version = facts.latest["source"]["version"]
    own = facts.reports.get(version)
    found = []
    if own is None or own.get("outcome") != facts.latest.get("outcome"):
        found.append(
            f"latest.json says {facts.latest.get('outcome')}, its version's report {(own or {}).get('outcome')}"
        )
    last = dropped.versions[-1]
    if not deleted and version not in {last, facts.live}:
        found.append(f"latest.json is of {_named(version, dropped)}")
    return found


def _named(version: str | None, dropped: Dropped) -> str:
    if version is None:
        return "nothing"
    if version in dropped.versions:
        number = dropped.versions.index(version)
        return f"version {number + 1} ({dropped.story.acts[number].fate})"
    return f"something else ({version})"


# ------------------------------------------------------------------------------------------------ reading
def read(stack: Stack, all_dropped: Sequence[Dropped], told: Sequence[Mapping[str, Any]]) -> dict[str, Facts]:
    """Look at everything from outside, and return it by key.

    Args:
        told: the events out, as EventBridge has sent them.
    """
    copies = _copies(stack, all_dropped)
    events: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in (event for event in told if event["detail-type"].startswith("Artifact")):
        events[event["detail"]["key"], event["detail"]["version"]].add(event["detail-type"])
    errors = _import_errors(stack)
    return {
        dropped.story.key: Facts(
            live=_live(stack, dropped.story.key),
            copied_at=copies.get(dropped.story.key, {}),
            reports={v: found for v in _uploads(dropped) if (found := _report(stack, dropped.story.key, v))},
            latest=_report(stack, dropped.story.key, "latest"),
            tags=_tags(stack, dropped),
            told={v: frozenset(events[dropped.story.key, v]) for v in _uploads(dropped)},
            in_airflow=dropped.story.dag_id is not None and _in_airflow(stack, dropped.story.dag_id),
            import_error=errors.get(dropped.story.key.removeprefix("dags/")),
        )
        for dropped in all_dropped
    }


def _uploads(dropped: Dropped) -> list[str]:
    acts: Sequence[Act] = dropped.story.acts
    return [version for version, act in zip(dropped.versions, acts, strict=True) if act.text is not None]


def _copies(stack: Stack, all_dropped: Sequence[Dropped]) -> dict[str, dict[str, float]]:
    """When the first copy of each version was made in the environment's bucket."""
    s3, wanted = stack.client("s3"), {dropped.story.key for dropped in all_dropped}
    folders = {key.rpartition("/")[0] + "/" for key in wanted}
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for folder in folders:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=ENVIRONMENT_BUCKET, Prefix=folder)
        for copy in (each for page in pages for each in page.get("Versions", []) if each["Key"] in wanted):
            head = s3.head_object(Bucket=ENVIRONMENT_BUCKET, Key=copy["Key"], VersionId=copy["VersionId"])
            source, at = head["Metadata"].get("jetway-source-version"), copy["LastModified"]
            if source is not None and isinstance(at, datetime):
                times = found[copy["Key"]]
                times[source] = min(times.get(source, at.timestamp()), at.timestamp())
    return found


def _live(stack: Stack, key: str) -> str | None:
    try:
        head = stack.client("s3").head_object(Bucket=ENVIRONMENT_BUCKET, Key=key)
    except ClientError as exc:
        if exc.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    return str(head["Metadata"].get("jetway-source-version", "put by hand"))


def _report(stack: Stack, key: str, name: str) -> Mapping[str, Any] | None:
    try:
        answer = stack.client("s3").get_object(Bucket=stack.outputs["DropBucketName"], Key=f"reports/{key}/{name}.json")
    except ClientError as exc:
        if exc.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    document: Mapping[str, Any] = json.loads(answer["Body"].read())
    return document


def _tags(stack: Stack, dropped: Dropped) -> dict[str, str]:
    s3, found = stack.client("s3"), {}
    for version in _uploads(dropped):
        where = {"Bucket": stack.outputs["DropBucketName"], "Key": dropped.story.key, "VersionId": version}
        for tag in s3.get_object_tagging(**where)["TagSet"]:
            if tag["Key"] == "jetway:verdict":
                found[version] = tag["Value"]
    return found


def _in_airflow(stack: Stack, dag_id: str) -> bool:
    dag = airflow_api(stack, "GET", f"/dags/{dag_id}")
    return dag is not None and not dag.get("is_stale", False) and bool(dag.get("is_active", True))


def _import_errors(stack: Stack) -> dict[str, str]:
    """Airflow's import errors by file, relative to the dags folder."""
    query = {"limit": 100}
    answer = wait_for(
        "Airflow's import errors",
        lambda: airflow_api(stack, "GET", "/importErrors", QueryParameters=query),
        seconds=60,
    )
    return {str(each["filename"]).rpartition("/dags/")[2]: str(each["stack_trace"]) for each in answer["import_errors"]}
