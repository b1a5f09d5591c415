"""What the environment's import errors and DAGs mean for a version that was promoted. Pure functions.

An error is a version's when it is in its file, or when it is new, in a file that nobody has just changed, and its
traceback goes through the version's file, or that file reads the version's: a helper module breaks those who import it,
a data file those who read it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jetway.artifacts.kinds import DAGS
from jetway.diagnosis.intermittent import is_remembered, owner_of
from jetway.diagnosis.missing_files import missing_files
from jetway.diagnosis.traceback_files import files_of
from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion, ParserProgress

if TYPE_CHECKING:
    from jetway.airflow import ImportProblem
    from jetway.airflow.environment import EnvironmentFacts

# MWAA copies the bucket to its containers every 30 s: https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-faqs.html
SYNC = timedelta(seconds=60)
# Airflow looks for DAGs that their file does not make any more each minute, 50 s after the file was parsed
# (dag_processor.stale_dag_threshold, scheduler.parsing_cleanup_interval).
STALE = timedelta(seconds=120)
PAUSE = timedelta(seconds=55)  # between two looks: a little less than the schedule's minute

# A DAG that cannot be told to work or to fail by then is told of, and looked at no more.
PATIENCE = timedelta(minutes=30)
# So often the parser must be seen to have gone past a file: once it may have been slow, or have been restarted.
_PASSES = 3

_MWAA_DAGS = "/usr/local/airflow/dags/"

# A module or file that the traceback misses may be on its way: files of one upload come one after the other.
_HEALS = re.compile(r"^(ModuleNotFoundError|ImportError|FileNotFoundError|jinja2\S*TemplateNotFound)\b", re.MULTILINE)
_LONGEST_MESSAGE = 2000
# What differs from one parsing of the same file to the next: addresses of objects, process ids, times.
_VOLATILE = re.compile(r"0x[0-9a-fA-F]+|\d+")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one look at the environment has shown.

    Attributes:
        errors: its import errors.
        known: those of an earlier look: digest by file.
        dags: its DAGs: file, relative to the dags folder, by dag id; None when it was not asked.
        parsed: when each of them was parsed last, by dag id; empty where the transport does not say.
        fresh_files: what was made live lately, by file, relative to the dags folder.
        restarted_at: when the last update of the environment ended.
        judges: whether errors, and DAGs that are missing, prove anything (`jetway.airflow.import_errors`).
    """

    errors: Sequence[ImportProblem]
    known: Mapping[str, str]
    dags: Mapping[str, str] | None
    fresh_files: Mapping[str, LiveVersion]
    restarted_at: datetime | None = None
    parsed: Mapping[str, datetime] = field(default_factory=dict)
    judges: bool = True


@dataclass(frozen=True, slots=True)
class Attribution:
    """What to do about a version.

    Attributes:
        action: "wait" - look again at `due_at`, with the DAGs when that is now; "keep" - it works; "roll-back" - for
            these problems; "tell" - for these it cannot be told whether it works.
        problems: what is, or may be, this version's fault.
        sight: what is to be remembered of this look; None for nothing new.
    """

    action: str
    due_at: datetime | None = None
    problems: tuple[Defect, ...] = ()
    sight: ParserProgress | None = None


_UNSURE = (
    "not-certain: the web server reports this error after loading the file itself. It is private, and "
    "can lack packages that schedulers and workers have. "
)


def unsure(found: Defect) -> Defect:
    """The problem, with why it proves nothing."""
    return replace(found, message=_UNSURE + found.message)


def certain(decision: Attribution, *, judges: bool, usable: bool, now: datetime) -> Attribution:
    """The decision, or what is left of it where nobody can be sure that it is right.

    Args:
        judges: whether the import errors and DAGs are those of the schedulers.
        usable: no update is on its way. Else half of the environment is as it was before, and may go back to it.
    """
    if decision.action in {"roll-back", "tell"} and not usable:
        return Attribution("wait", now + PAUSE, decision.problems)
    if decision.action == "roll-back" and not judges:
        return Attribution("tell", None, tuple(map(unsure, decision.problems)))
    return decision


def parse_time(facts: EnvironmentFacts) -> timedelta:
    """How long after its promotion the environment has parsed a DAG file, by its settings.

    https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-faqs.html: new files after dag_dir_list_interval (300 s),
    changed ones after min_file_process_interval (30 s); on Airflow 3 both are options of dag_processor.
    """
    section = "dag_processor" if facts.major >= 3 else "scheduler"
    listing = "dag_processor.refresh_interval" if facts.major >= 3 else "scheduler.dag_dir_list_interval"
    seconds = _number(facts.options.get(listing), 300) + _number(
        facts.options.get(f"{section}.min_file_process_interval"), 30
    )
    return SYNC + timedelta(seconds=seconds)


def decide(
    standing: ArtifactState, look: Outlook, facts: EnvironmentFacts, now: datetime, *, innocent: Collection[str] = ()
) -> Attribution:
    """Decide on the live version of a file of the dags folder.

    Args:
        standing: in stage "verifying".
        innocent: other files whose errors are not its fault (`acquittal`).
    """
    live = standing.live
    if live is None:
        return Attribution("keep")
    # An update may have brought what the file needs: all files are parsed anew after it.
    parsing = parse_time(facts)
    begun = max(live.at, look.restarted_at or live.at)
    over = begun + parsing
    errors = _errors_of(live, look, facts, innocent)
    if errors and not live.clean and _are_of_before(errors, begun + SYNC) and now < over + PATIENCE:
        # The version before left them, and the parser has not come to this one since: it is slow.
        return Attribution("wait", now + PAUSE, tuple(problem(error) for error in errors))
    if errors:
        # What they miss may have gone live after this one: an upload of many files takes minutes. Files that
        # keep coming put it off only once; not so the very one that is missing.
        latest = max((fresh.at for fresh in look.fresh_files.values()), default=live.at)
        brought = max((min(latest, over), *_brought(errors, look)))
        return _blame(live, errors, over, max(over, brought + parsing), now)
    return _without_errors(standing, live, look, facts, now)


def _brought(errors: Sequence[ImportProblem], look: Outlook) -> list[datetime]:
    """When files that some errors miss went live."""
    missing = [key.removeprefix(DAGS) for error in errors for key in missing_files(error.error)]
    return [
        fresh.at
        for file, fresh in look.fresh_files.items()
        if any(file == each or (each.endswith("/") and file.startswith(each)) for each in missing)
    ]


def _without_errors(
    standing: ArtifactState, live: LiveVersion, look: Outlook, facts: EnvironmentFacts, now: datetime
) -> Attribution:
    """Decide on a version of which there is no error: was it parsed, or does nobody come to it?"""
    begun = max(live.at, look.restarted_at or live.at)
    over, expected = begun + parse_time(facts), expected_dags(standing)
    if now < over and not (live.dags or live.guessed or expected):
        return Attribution("wait", min(now + PAUSE, over))
    if look.dags is None:
        return Attribution("wait", now)
    sight = _sight(live, look, facts, begun + SYNC, over)
    if _is_parsed(live, look, facts, sight):
        return Attribution("keep")
    if expected or live.dags:
        over += STALE
    if now < over:
        return Attribution("wait", min(now + PAUSE, over), sight=sight)
    vanished = sorted(expected - look.dags.keys())
    if vanished:
        return Attribution("roll-back", problems=tuple(_vanished(live, dag_id) for dag_id in vanished))
    return _not_seen(live, look, facts, sight, over, now)


def _not_seen(  # noqa: PLR0917 - what a look has shown of one version
    live: LiveVersion, look: Outlook, facts: EnvironmentFacts, sight: ParserProgress, over: datetime, now: datetime
) -> Attribution:
    """Decide on a version that has had its time, and of which there is neither an error nor a proof."""
    unknown = any(error.redacted for error in look.errors)
    if not unknown and (not live.dags or _is_all_that_shows(live, look, facts)):
        # A module; or only running the file tells which DAGs it makes: its error shows when the parser has come by.
        is_left = live.verdict == "unknown" and look.parsed and sight.passes < _PASSES and now < over + PATIENCE
        return Attribution("wait", now + PAUSE, sight=sight) if is_left else Attribution("keep")
    problem = Defect(file_of(live, facts), _UNKNOWN if unknown else _NEVER_APPEARED)
    gone_past = sight.parsed_at is None and sight.passes >= _PASSES
    if gone_past and not unknown and not is_guess(live):
        return Attribution("roll-back", problems=(problem,))
    # One that waited long for a module has its time from when it could be parsed.
    patience = max(over, sight.parsed_at or over) + PATIENCE if look.parsed else over
    return Attribution("tell", None, (problem,)) if now >= patience else Attribution("wait", now + PAUSE, sight=sight)


def _sight(
    live: LiveVersion, look: Outlook, facts: EnvironmentFacts, synced: datetime, over: datetime
) -> ParserProgress:
    """What is known of the parser after this look.

    Args:
        synced: from then on what is parsed is this version.
        over: from then on the parser has the file in its queue.
    """
    sight, file, dags = live.sight, file_of(live, facts), look.dags or {}
    if sight.parsed_at is None:
        parsed = _parsed(live, look, facts)
        sight = replace(sight, parsed_at=parsed if parsed is not None and parsed > synced else None)
    others = {dags[dag_id]: at for dag_id, at in look.parsed.items() if dags.get(dag_id, file) != file and at > over}
    seen = others.get(sight.witness[0]) if sight.witness else None
    if sight.witness is None or seen is None:
        # The one that was parsed last is the one that is parsed often.
        newest = max(others.items(), key=lambda item: item[1], default=None)
        return replace(sight, witness=newest, passes=0)
    if seen > sight.witness[1]:
        return replace(sight, witness=(sight.witness[0], seen), passes=sight.passes + 1)
    return sight


def _parsed(live: LiveVersion, look: Outlook, facts: EnvironmentFacts) -> datetime | None:
    """When the DAGs of a version were parsed last; None while one of those that it is known to make is not there."""
    file, dags = file_of(live, facts), look.dags or {}
    there = {dag_id for dag_id, path in dags.items() if path == file and dag_id in look.parsed}
    # Of ids that were made of stand-ins only the file can be asked for.
    wanted = there if is_guess(live) else set(live.dags)
    return min((look.parsed[dag_id] for dag_id in wanted), default=None) if wanted <= there else None


def _is_parsed(live: LiveVersion, look: Outlook, facts: EnvironmentFacts, sight: ParserProgress) -> bool:
    """Whether Airflow has parsed this version, and well: twice; or it alone makes DAGs that are there."""
    if look.parsed:
        parsed = _parsed(live, look, facts)
        return parsed is not None and sight.parsed_at is not None and parsed > sight.parsed_at
    return shows_itself(live) and _is_there(live, look, facts)


def _is_all_that_shows(live: LiveVersion, look: Outlook, facts: EnvironmentFacts) -> bool:
    """Whether its DAGs are there, or may be others, where the transport does not tell what was parsed."""
    return not look.parsed and (is_guess(live) or _is_there(live, look, facts))


def _is_there(live: LiveVersion, look: Outlook, facts: EnvironmentFacts) -> bool:
    file, dags = file_of(live, facts), look.dags or {}
    return all(dags.get(dag_id) == file for dag_id in live.dags)


_NEVER_APPEARED = (
    "never-appeared: Airflow shows no import error for this file, but also not the DAGs that the gate "
    "found. The file might end the process that parses it (os._exit, sys.exit, a crash in C), or define "
    "its DAGs only in another place."
)
_UNKNOWN = "not-known: Jetway's role cannot see the import errors of all files in Airflow, so the result is not known."


def _blame(
    live: LiveVersion, errors: Sequence[ImportProblem], over: datetime, modules_over: datetime, now: datetime
) -> Attribution:
    """Decide on a version that has errors.

    Args:
        over: before this they may be those of the version before.
        modules_over: before this modules may be there that the environment has not seen yet.
    """
    problems = tuple(problem(error) for error in errors)
    heals = all(_HEALS.search(error.error) for error in errors)
    certain_at = modules_over if heals else live.at if live.clean else over
    if now < certain_at:
        return Attribution("wait", min(now + PAUSE, certain_at), problems)
    return Attribution("roll-back", problems=problems)


def shows_itself(live: LiveVersion) -> bool:
    """Whether the DAGs that Airflow shows prove that it has parsed this version: no other one has ever made them."""
    return live.first and bool(live.dags) and not live.guessed


def is_guess(live: LiveVersion) -> bool:
    """Whether its DAGs in the environment may be others than those that the gate has seen."""
    return live.guessed or live.verdict == "unknown"


def expected_dags(standing: ArtifactState) -> frozenset[str]:
    """DAGs that the environment had of the version before, and that this one does not evidently leave out."""
    live, good = standing.live, standing.good
    if live is None or good is None:
        return frozenset()
    return frozenset(good.dags) if live.guessed else frozenset(good.dags) & frozenset(live.dags)


def relative_path(path: str) -> str:
    """A file of Airflow's import errors relative to the dags folder: absolute up to Airflow 3.0, relative from 3.1."""
    if not path.startswith("/"):
        return path
    if path.startswith(_MWAA_DAGS):
        return path.removeprefix(_MWAA_DAGS)
    return path.partition("/dags/")[2] or path


def file_of(live: LiveVersion, facts: EnvironmentFacts) -> str:
    """The live version's file relative to the dags folder."""
    return live.key.removeprefix(f"{facts.dags_path}/")  # no key begins with a slash (jetway.artifacts.keys)


def digests(errors: Sequence[ImportProblem]) -> dict[str, str]:
    """The errors for remembering: digest by file."""
    return {relative_path(error.path): _digest(error) for error in errors}


def new_errors(errors: Sequence[ImportProblem], known: Mapping[str, str]) -> list[ImportProblem]:
    """Errors in files that had none, or another one, before."""
    return [
        error
        for error in errors
        if known.get(relative_path(error.path)) != _digest(error) and not is_remembered(error, known)
    ]


def _errors_of(
    live: LiveVersion, look: Outlook, facts: EnvironmentFacts, innocent: Collection[str]
) -> list[ImportProblem]:
    file = file_of(live, facts)
    # Of a zip Airflow names the file within.
    shown = [error for error in look.errors if not error.redacted]
    own = [error for error in shown if f"{relative_path(error.path)}/".startswith(f"{file}/")]
    others = [
        error
        for error in new_errors(shown, look.known)
        if error not in own
        and relative_path(error.path) not in innocent
        and owner_of(relative_path(error.path)) not in look.fresh_files
        and _leads_to(error, file, live.readers)
    ]
    return own + others


def _leads_to(error: ImportProblem, file: str, readers: Sequence[str]) -> bool:
    """Whether an error of another file leads to this one: by a frame of its traceback, or because it reads this one."""
    return relative_path(error.path) in readers or any(
        f"{relative_path(each)}/".startswith(f"{file}/") for each in files_of(error.error)
    )


def _are_of_before(errors: Sequence[ImportProblem], synced: datetime) -> bool:
    """Whether Airflow has met none of them since MWAA has surely copied the version."""
    return all(error.at is not None and error.at <= synced for error in errors)


def _digest(error: ImportProblem) -> str:
    return hashlib.sha256(_VOLATILE.sub("", error.error).encode()).hexdigest()[:16]


def problem(error: ImportProblem) -> Defect:
    """An import error as a problem."""
    # The end of a traceback says what is wrong.
    return Defect(relative_path(error.path), error.error.strip()[-_LONGEST_MESSAGE:])


def _vanished(live: LiveVersion, dag_id: str) -> Defect:
    return Defect(live.key, f"DAG {dag_id!r} has vanished from the environment since this version went live.")


def _number(text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        return default
