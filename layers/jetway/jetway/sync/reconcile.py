"""One run of sync_triggers: all trigger files, and all of the stack's rules, schedules and alarms, brought together.

A run does not ask what has changed: it compares everything with everything. So an event that came twice or never, a
crash in the middle, and what somebody changed by hand are all the same to it.

Two runs may overlap: a message was put on the queue by hand under another group, or the function was invoked by hand.
So a run that has changed anything lists the files once more, after its last change. If they are not those that it went
by, its messages come back; if they are, whatever changes them later is told by an event, whose run sees what this one
did. Thus the last change that is made to AWS is always one of a run that knew the files of that moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.artifacts.findings import Finding, Judgement, internal_error, judgement
from jetway.errors import OutOfTimeError, TransientError
from jetway.events.principals import NOBODY, By, claimed_in
from jetway.observability import logger
from jetway.promotion.reports import report_on, write_report
from jetway.sync import accepted
from jetway.sync.access_list import sync_access
from jetway.sync.alarms import Alarms
from jetway.sync.aws_errors import ResourceRefusedError
from jetway.sync.buckets import bucket_finding
from jetway.sync.causes import NO_CAUSES
from jetway.sync.dags import line_of
from jetway.sync.loops import StackNames, loop_findings
from jetway.sync.rules import RuleSet
from jetway.sync.schedules import Schedules
from jetway.sync.trigger_files import File, WatchBucket, list_files, passed_over, read_files
from jetway.triggers.file import S3, Http, TriggerFile, from_document, in_force, name_of
from jetway.triggers.never_firing import moment_findings
from jetway.triggers.resources import Resources, Targets, resources_of

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from jetway.sync.causes import VersionCauses
    from jetway.sync.dags import KnownDags
    from jetway.sync.webhooks import Hooks

# With less time left than this no further file is begun: what was settled is written down, and that takes some calls.
SECONDS_TO_SAVE = 20.0


@dataclass(frozen=True, slots=True)
class Clients:
    """The AWS clients of a run."""

    s3: S3Client
    events: EventBridgeClient
    scheduler: EventBridgeSchedulerClient
    cloudwatch: CloudWatchClient


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """What a run is told.

    Attributes:
        bucket: the drop bucket.
        environment: the MWAA environment's name, a dimension of metrics.
        namespace: of metrics.
        topic: ARN of the SNS topic of absence alarms, or None.
        most_rules: quota of rules per bus.
        metrics_by_trigger: whether triggers have the metric that absence alarms stand on.
        hooks: makes what tells of webhooks that nothing listens to, anew for each run; None: nothing is said of them.
        dags: makes what tells of DAGs that are not known, anew for each run; None: nothing is said of them.
        environment_bucket: the bucket that the environment reads; None: nothing is said of it.
        event_bus: that Jetway's own events go to.
    """

    bucket: str
    environment: str
    namespace: str
    places: Targets
    topic: str | None = None
    most_rules: int = 300
    metrics_by_trigger: bool = True
    hooks: Callable[[], Hooks] | None = None
    dags: Callable[[], KnownDags] | None = None
    environment_bucket: str | None = None
    event_bus: str = "default"

    @property
    def names(self) -> StackNames:
        """What the stack has names of."""
        return StackNames(self.environment, self.bucket, self.environment_bucket, self.event_bus)


@dataclass(slots=True)
class Synced:
    """What a run did.

    Attributes:
        files: how many trigger files there are.
        in_force: how many triggers are.
        rejected: keys of files whose newest version is not in force.
        changes: what was done in AWS; empty when all was as it should be.
        troubles: errors that another run may not meet; their triggers are as they were, or halfway.
    """

    files: int = 0
    in_force: int = 0
    rejected: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)


def sync(
    clients: Clients,
    settings: SyncSettings,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    seconds_left: Callable[[], float] = lambda: inf,
    watch: WatchBucket | None = None,
    by: VersionCauses = NO_CAUSES,
) -> Synced:
    """Bring AWS to what the trigger files say, as far as the time allows: another run goes on from there.

    Args:
        seconds_left: until the run is ended from outside.
        watch: tries each file, when an earlier run may have been ended by one; a file that has done so time and again
            is rejected, and passed over from then on, until it comes anew.
        by: who put which version of a file.

    Returns:
        What was done. Trouble with one trigger is in it; the others are dealt with all the same.

    Raises:
        TransientError, ClientError, BotoCoreError: nothing can be done now.
    """
    done = Synced()
    try:
        done.changes += sync_access(clients.s3, settings.bucket, now(), by=by)
    except (TransientError, ClientError, BotoCoreError) as exc:
        done.troubles.append(exc)
    before = accepted.load(clients.s3, settings.bucket)
    files = read_files(clients.s3, settings.bucket, crashed=before.crashed, watch=watch)
    run = _Run.start(clients, settings, before, now=now, seconds_left=seconds_left, done=done)
    run.watch, run.by = watch or run.watch, by
    run.delete_what_has_no_file({file.key for file in files})
    for number, file in enumerate(files):
        if seconds_left() < SECONDS_TO_SAVE:
            run.leave(files[number:])
            break
        run.settle(file)
    run.delete_what_is_not_wanted()
    saved = accepted.save(clients.s3, settings.bucket, before, run.triggers)
    went_by = {file.key: file.source.etag for file in files}
    if (saved or done.changes) and list_files(clients.s3, settings.bucket) != went_by:
        done.troubles.append(TransientError("trigger files have changed during the run."))
    return done


What = tuple[str, ...]  # rule, its bus and name; or schedule or alarm, and its name


@dataclass(slots=True)
class _Run:
    clients: Clients
    settings: SyncSettings
    before: accepted.Accepted
    now: Callable[[], datetime]
    seconds_left: Callable[[], float]
    rules: RuleSet
    schedules: Schedules
    alarms: Alarms
    triggers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    wanted: set[What] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)  # names of triggers of which nothing is deleted
    unknown: set[str] = field(default_factory=set)  # of which nothing is deleted that was there before this run
    there_before: frozenset[What] = frozenset()
    buckets: dict[str, Finding | None] = field(default_factory=dict)
    done: Synced = field(default_factory=Synced)
    dags: KnownDags | None = None
    watch: WatchBucket = lambda _name: nullcontext(enter_result=False)
    hooks: Hooks | None = None
    by: VersionCauses = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        clients: Clients,
        settings: SyncSettings,
        before: accepted.Accepted,
        *,
        now: Callable[[], datetime],
        seconds_left: Callable[[], float],
        done: Synced,
    ) -> _Run:
        places = settings.places
        run = cls(
            clients,
            settings,
            before,
            now,
            seconds_left,
            RuleSet.load(clients.events, places.prefix),
            Schedules.load(clients.scheduler, places.group, places.prefix),
            Alarms.load(
                clients.cloudwatch,
                places.prefix,
                environment=settings.environment,
                namespace=settings.namespace,
                topic=settings.topic,
            ),
            done=done,
            dags=settings.dags() if settings.dags else None,
            hooks=settings.hooks() if settings.hooks else None,
        )
        run.there_before = frozenset(run._there())
        return run

    def settle(self, file: File) -> None:
        """Make the newest version of a file the trigger that is in force; if it cannot be, the last good one."""
        with self.watch(f"{file.key}#{file.source.label}#put") as crashed:
            self._settle(passed_over(file.source) if crashed else file)

    def _settle(self, file: File) -> None:
        self.done.files += 1
        entry = self.before.triggers.get(file.key, {})
        judged, trigger = file.parsed.judgement, file.parsed.trigger
        by = {**self.by.get((file.key, file.source.version_id), {}), **claimed_in(file.source.metadata)}
        try:
            refused = self._put(trigger) if trigger else []
            if trigger and not refused:
                judged = _with(judged, self._warnings(trigger, judged))
                if entry.get("document") != trigger.document:
                    entry = accepted.entry_of(trigger, file.source.label, self.now(), by)
            else:
                if file.crashed:
                    self.kept.add(name_of(file.key))
                with self.watch(f"{file.key}#last-good") as crashed:  # what ends the function may be this
                    last_good = [] if crashed else self._keep_the_last_good(file.key, entry)
                judged = _with(judged, [*refused, *last_good])
                self.done.rejected.append(file.key)
            self.triggers[file.key] = self._report(file, judged, entry, by)
        except (TransientError, ClientError, BotoCoreError) as exc:
            # The others are dealt with all the same, and nothing of this one is taken away.
            self._keep(file)
            self.done.troubles.append(exc)
        except Exception as exc:  # noqa: BLE001 - a fault of ours with one file is that file's, and no other's
            self._refuse(file, entry, exc)
        self.done.in_force += bool(entry.get("document"))

    def _refuse(self, file: File, entry: Mapping[str, Any], fault: Exception) -> None:
        logger.error("a trigger file could not be applied", exc_info=fault, extra={"key": file.key})
        self._keep(file)
        self.done.rejected.append(file.key)
        try:
            self.triggers[file.key] = self._report(file, judgement("trigger", [internal_error(fault)]), entry)
        except (TransientError, ClientError, BotoCoreError) as exc:
            self.done.troubles.append(exc)

    def leave(self, files: Sequence[File]) -> None:
        """Leave files and what they have in AWS as they are, for another run."""
        for file in files:
            self._keep(file)
        words = f"the time limit was reached: {len(files)} trigger files are left for another run."
        self.done.troubles.append(OutOfTimeError(words))

    def _keep(self, file: File) -> None:
        self.kept.add(name_of(file.key))
        if file.key in self.before.triggers:
            self.triggers[file.key] = self.before.triggers[file.key]

    def delete_what_has_no_file(self, keys: set[str]) -> None:
        """Delete what deleted files leave behind, before anything new needs its place among the rules."""
        names = {self.settings.places.name(name_of(key)) for key in keys}
        self._delete(lambda what: what[-1] not in names)

    def delete_what_is_not_wanted(self) -> None:
        """Delete what triggers do not need any more: the rule on another bus, the schedule that is a rule now."""
        kept, unknown = ({self.settings.places.name(name) for name in names} for names in (self.kept, self.unknown))
        self._delete(
            lambda what: (
                what not in self.wanted
                and what[-1] not in kept
                and not (what[-1] in unknown and what in self.there_before)
            )
        )

    def _there(self) -> list[What]:
        there: list[What] = [("rule", *place) for place in self.rules.found]
        there += [("schedule", name) for name in self.schedules.found]
        return there + [("alarm", name) for name in self.alarms.found]

    def _delete(self, unwanted: Callable[[What], bool]) -> None:
        for what in filter(unwanted, self._there()):
            if self.seconds_left() < SECONDS_TO_SAVE:
                self.done.troubles.append(
                    OutOfTimeError("the time limit was reached: another run deletes what is left.")
                )
                return
            try:
                match what:
                    case ("rule", bus, name):
                        self.rules.delete((bus, name))
                    case ("schedule", name):
                        self.schedules.delete(name)
                    case ("alarm", name):
                        self.alarms.delete(name)
            except (TransientError, ClientError, BotoCoreError) as exc:
                self.done.troubles.append(exc)
            else:
                self.done.changes.append(" ".join(("deleted", *what)))

    def _put(self, trigger: TriggerFile) -> list[Finding]:
        """Make what a trigger needs; return why AWS would not, or did not, take it."""
        resources = resources_of(in_force(trigger), self.settings.places)
        loops = [finding for finding in loop_findings(trigger, self.settings.names) if finding.severity == "error"]
        refused = [*resources.findings, *loops, *self._check_places(resources)]
        if refused:
            return refused
        made: set[What] = set()
        try:
            # First what starts nothing: if it is refused, nothing of the trigger is in force yet. Without its metric
            # an alarm would be raised for ever.
            for alarm in resources.alarms if self.settings.metrics_by_trigger else ():
                self._note(self.alarms.put(alarm), "alarm", alarm.name)
                made.add(("alarm", alarm.name))
            for rule in resources.rules:
                self._note(self.rules.put(rule), "rule", rule.bus, rule.name)
                made.add(("rule", rule.bus, rule.name))
            for schedule in resources.schedules:
                self._note(self.schedules.put(schedule, self.now), "schedule", schedule.name)
                made.add(("schedule", schedule.name))
        except ResourceRefusedError as exc:
            remedy = "Correct what AWS names, and drop the file again."
            return [Finding("aws-refuses", "error", str(exc), None, remedy)]
        self.wanted |= made
        return []

    def _check_places(self, resources: Resources) -> Iterator[Finding]:
        for rule in resources.rules:
            if rule.bus not in self.rules.buses:
                yield Finding(
                    "no-such-bus",
                    "error",
                    f"Event bus {rule.bus!r} does not exist in this account and Region.",
                    None,
                    f"Create it (aws events create-event-bus --name {rule.bus}), then drop the file again.",
                )
            elif (rule.bus, rule.name) not in self.rules.found:
                ours = sum(bus == rule.bus for bus, _ in self.rules.found)
                if ours + self.rules.others[rule.bus] >= self.settings.most_rules:
                    yield Finding(
                        "too-many-rules",
                        "error",
                        f"Bus {rule.bus!r} has {self.settings.most_rules} rules, which is its quota.",
                        None,
                        "Delete a trigger, use another bus, or request a higher quota and set MaxRulesPerBus to it.",
                    )

    def _keep_the_last_good(self, key: str, entry: Mapping[str, Any]) -> list[Finding]:
        """Keep in force what was; return what the report is to say of it."""
        name = name_of(key)
        document = entry.get("document")
        last_good = from_document(document, name).trigger if document else None
        put = last_good is not None and not self._put(last_good)
        if not put and document:
            self.kept.add(name)  # it cannot be made anew
        elif not put and self.before.there is None:
            self.unknown.add(name)  # nobody knows what it should be
        if not document:
            return []
        message = f"The trigger of {entry['accepted_at']} (version {entry['version']}) stays in force."
        return [Finding("last-good-in-force", "warning", message, None, "Correct the file and drop it again.")]

    def _warnings(self, trigger: TriggerFile, judged: Judgement) -> Iterator[Finding]:
        """Yield what a valid trigger may suffer from."""
        if isinstance(trigger.on, S3):
            for bucket in trigger.on.buckets:
                if bucket not in self.buckets:
                    self.buckets[bucket] = bucket_finding(self.clients.s3, bucket)
                if finding := self.buckets[bucket]:
                    yield finding
        if trigger.expect and not self.settings.metrics_by_trigger:
            message = "The stack has no metrics by trigger, so expect has no effect."
            yield Finding("no-metrics", "warning", message, None, "Set the stack's parameter MetricsByTrigger to true.")
        signed = isinstance(trigger.on, Http) and trigger.on.auth == "hmac"
        if signed and self.hooks and (deaf := self.hooks.finding(trigger.name, None)):
            yield deaf
        if self.dags and (unknown := self.dags.finding(trigger.dag, line_of(trigger.dag, judged))):
            yield unknown
        yield from loop_findings(trigger, self.settings.names)
        yield from moment_findings(trigger.on, self.now())

    def _report(self, file: File, judged: Judgement, entry: Mapping[str, Any], by: By = NOBODY) -> Mapping[str, Any]:
        """Write the file's report, unless the same is there; return its entry among the accepted triggers."""
        seen = {
            "version": file.source.label,
            "verdict": judged.verdict,
            "report": hashlib.sha256(repr((file.source.label, judged)).encode()).hexdigest()[:16],
            **({"crashed": True} if file.crashed else {}),
        }
        if entry.get("seen") != seen:
            report = report_on(file.key, judged, file.seconds, source=file.source, judged_at=self.now(), by=by)
            write_report(self.clients.s3, report, file.source)
        empty = {"name": name_of(file.key), "kind": None, "document": None}
        return {**empty, **entry, "seen": seen}

    def _note(self, change: str | None, *what: str) -> None:
        if change:
            self.done.changes.append(" ".join((change, *what)))


def _with(judged: Judgement, more: Any) -> Judgement:
    findings = (*judged.findings, *more)
    verdict = judgement(judged.kind, findings).verdict
    return replace(judged, findings=findings, verdict=verdict)
