"""How an artifact stands: what is live, what was good, what was rolled back. Pure.

promoted ──▶ verifying ──▶ good
                 └──▶ rolling-back ──▶ rolled-back        (or verifying again: what came back was never verified)
requirements.txt, plugins.zip, startup.sh:   promoted ──▶ waiting ──▶ updating ──▶ verifying …

A standing that is closed while somebody who began before the last change may still be at work has a last look to come
(`due_at`): only then is it sure that the bucket holds what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from jetway.artifacts.findings import Verdict

Stage = Literal[
    "waiting", "updating", "verifying", "rolling-back", "good", "rolled-back", "removed", "by-hand", "never-appeared"
]

# Work is left to be done on artifacts in these stages.
OPEN: frozenset[Stage] = frozenset({"waiting", "updating", "verifying", "rolling-back"})

# Longer than any function runs that writes to the environment's bucket (template.yaml, Timeout).
LONGEST_WORK = timedelta(seconds=330)

# The newest are kept; an item holds 400 KB.
_MOST_ROLLED_BACK = 200
MOST_DAGS = 500
# How sure the gate is of a DAG that the environment has to show.
CERTAIN = frozenset({"exact", "loaded"})
# Sources that are no versions of the drop bucket.
BY_HAND = "by-hand-"
NOTHING = "nothing"
DELETED = "deleted-"
MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class ParserProgress:
    """What looks have seen of Airflow's parser since a version is live.

    Attributes:
        parsed_at: when the version's DAGs were parsed, at the first look that showed them parsed since.
        witness: another file that was parsed since, and when; None where there is none.
        passes: how often the witness was parsed anew: the parser has gone past all files as often.
    """

    parsed_at: datetime | None = None
    witness: tuple[str, datetime] | None = None
    passes: int = 0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        parsed_at, witness = values["parsed_at"], values["witness"]
        return cls(
            datetime.fromisoformat(parsed_at) if parsed_at else None,
            (witness[0], datetime.fromisoformat(witness[1])) if witness else None,
            values["passes"],
        )


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """One version that was made live.

    Attributes:
        source: names the version in the drop bucket (`ObjectVersion.label`).
        bucket, key, version_id: of its copy in the environment's bucket.
        at: when it was made live, timezone-aware.
        dags: dag ids that reading or loading shows for certain; once verified, those that Airflow showed of the file.
        guessed: it may make other DAGs than those.
        clean: what was live before had no error, or there was nothing: an error seen now is this version's.
        first: there was never anything before: what Airflow shows of the file now is this version's.
        sight: what was seen of its parsing.
        readers: of a data file, the DAG files that read it, relative to the dags folder: they fail for it.
        waits_since: came over another one that waited for its update, since then; None when it did not.
    """

    source: str
    bucket: str
    key: str
    version_id: str | None
    kind: str
    verdict: Verdict
    at: datetime
    report: str
    dags: tuple[str, ...] = ()
    guessed: bool = False
    clean: bool = False
    first: bool = False
    sight: ParserProgress = ParserProgress()
    readers: tuple[str, ...] = ()
    waits_since: datetime | None = None

    @property
    def ours(self) -> bool:
        """Whether it came through the gate, and was not put there by hand."""
        return not self.source.startswith(BY_HAND)

    @property
    def dropped(self) -> bool:
        """Whether its source is a version in the drop bucket."""
        return self.source != NOTHING and not self.source.startswith((BY_HAND, DELETED))

    @property
    def drop_version_id(self) -> str | None:
        """The version id in the drop bucket; None where that has no versions."""
        return drop_version_id(self.source)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        values |= {"at": datetime.fromisoformat(values["at"]), "dags": tuple(values["dags"])}
        values["readers"] = tuple(values.get("readers", ()))
        if values.get("waits_since"):
            values["waits_since"] = datetime.fromisoformat(values["waits_since"])
        if "sight" in values:
            values["sight"] = ParserProgress.from_dict(values["sight"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that is wrong in the environment since a version is live.

    Attributes:
        where: the file, as Airflow names it, or "environment".
        message: for people.
    """

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A roll-back that was written down, and that report, tag and people are to be told of.

    Attributes:
        live: the version.
        problems: why.
    """

    live: LiveVersion
    problems: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A roll-back for errors of other files, while it is not known whether they go with it (`acquittal`).

    Attributes:
        source: the version.
        where: the files whose errors these are, as Airflow names them, relative to the dags folder.
        at: when what was before it came back.
        lifted_at: when it was found to be innocent; the gate is asked to make it live again.
    """

    source: str
    where: tuple[str, ...]
    at: datetime
    lifted_at: datetime | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        at, lifted_at = datetime.fromisoformat(values["at"]), values["lifted_at"]
        return cls(
            values["source"], tuple(values["where"]), at, datetime.fromisoformat(lifted_at) if lifted_at else None
        )


@dataclass(frozen=True, slots=True)
class ArtifactState:
    """One artifact.

    Attributes:
        key: in the drop bucket.
        live: None when nothing of ours is live.
        good: the newest version that was verified, of those that followed one another without a removal.
        rolled_back: sources that never go live again.
        problems: why the live version is being, or the last one was, rolled back.
        due_at: when it is to be looked at: in an open stage what works, in a closed one whether the bucket agrees.
        untold: roll-backs that something newer has cut short.
        trial: of the last roll-back, while it may be undone.
        acquitted: sources, each with a file whose errors never roll it back any more.
        revision: counts the writes; 0 is not in the table yet.
    """

    key: str
    stage: Stage
    live: LiveVersion | None = None
    good: LiveVersion | None = None
    rolled_back: tuple[str, ...] = ()
    problems: tuple[Defect, ...] = ()
    due_at: datetime | None = None
    untold: tuple[Unpublished, ...] = ()
    trial: Trial | None = None
    acquitted: tuple[tuple[str, str], ...] = ()
    revision: int = 0

    @property
    def trial_is_put_off(self) -> bool:
        """Whether another version has gone live since: an error that is met now may be its own."""
        return self.trial is not None and self.live is not None and self.live.at > self.trial.at

    def as_json(self) -> str:
        """The facts as one JSON document, without the revision."""
        values = asdict(self)
        del values["revision"]
        return json.dumps(values, default=datetime.isoformat, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, revision: int) -> Self:
        """Read what `as_json` wrote, or an earlier release of Jetway."""
        values = json.loads(text)
        untold = [
            Unpublished(LiveVersion.from_dict(each["live"]), _problems(each["problems"]))
            for each in values.get("untold", ())
        ]
        return cls(
            key=values["key"],
            stage=values["stage"],
            live=LiveVersion.from_dict(values["live"]) if values["live"] else None,
            good=LiveVersion.from_dict(values["good"]) if values["good"] else None,
            rolled_back=tuple(values["rolled_back"]),
            problems=_problems(values["problems"]),
            due_at=datetime.fromisoformat(values["due_at"]) if values["due_at"] else None,
            untold=tuple(untold),
            trial=Trial.from_dict(values["trial"]) if values.get("trial") else None,
            acquitted=tuple((source, where) for source, where in values.get("acquitted", ())),
            revision=revision,
        )


def _problems(values: Iterable[dict[str, str]]) -> tuple[Defect, ...]:
    return tuple(Defect(**problem) for problem in values)


def drop_version_id(source: str) -> str | None:
    """The version id in the drop bucket that a source names; None where that has no versions."""
    return None if source.startswith("etag-") else source


def promoted(
    before: ArtifactState | None, key: str, live: LiveVersion, *, due_at: datetime, waits: bool
) -> ArtifactState:
    """A version was made live.

    Args:
        due_at: the first look at it.
        waits: it comes into force by an update of the environment only.

    Returns:
        The same standing when that was known already.
    """
    # Errors of what was there before, and did not work or was taken out, may show for a while yet.
    clean = live.clean if before is None else before.stage == "good"
    before = before or ArtifactState(key, "removed")
    if live.source in before.rolled_back and waits:
        return before  # it is not in force, and nothing asks for it
    if live.source in before.rolled_back:
        return rolling_back_again(before, live, live.at)
    if before.live is not None and (before.live.source, before.live.version_id) == (live.source, live.version_id):
        return before
    waited = before.live if before.stage == "waiting" else None
    live = replace(
        live,
        clean=clean,
        first=live.first and not before.revision,
        dags=live.dags[:MOST_DAGS],
        waits_since=(waited.waits_since or waited.at) if waited is not None else None,
    )
    stage: Stage = "waiting" if waits else "verifying"
    trial = before.trial if before.trial is not None and before.trial.lifted_at is None else None  # it is put off
    return replace(before, stage=stage, live=live, problems=(), due_at=due_at, untold=_untold(before), trial=trial)


def rolling_back_again(before: ArtifactState, bad: LiveVersion, now: datetime) -> ArtifactState:
    """A version that was rolled back is live: another delivery of its event was half-way through then."""
    if before.stage == "rolling-back" and before.live is not None and before.live.source == bad.source:
        return before
    return replace(before, stage="rolling-back", live=bad, due_at=now, untold=_untold(before))


def _untold(before: ArtifactState) -> tuple[Unpublished, ...]:
    """What is to be told of when a standing goes on to something else."""
    if before.stage != "rolling-back" or before.live is None:
        return before.untold
    return (*before.untold, Unpublished(before.live, before.problems))[-MOST_PROBLEMS:]


def verified(standing: ArtifactState, seen: Iterable[str], now: datetime | None = None) -> ArtifactState:
    """The live version works.

    Args:
        seen: the DAGs that Airflow shows of its file: the next version must not lose them unawares.
        now: of a file of the dags folder, which gets a last look if it has come just now.
    """
    live = standing.live
    if live is not None:
        live = replace(live, dags=tuple(sorted(seen))[:MOST_DAGS])
    last_look = live.at + LONGEST_WORK if live is not None and now is not None else None
    due_at = last_look if last_look is not None and now is not None and last_look > now else None
    trial = None if standing.trial_is_put_off else standing.trial  # something newer works
    if trial is not None and due_at is None:
        due_at = now  # it is to be ended yet
    return replace(standing, stage="good", live=live, good=live, problems=(), due_at=due_at, trial=trial)


def never_appeared(standing: ArtifactState) -> ArtifactState:
    """The live version shows neither an error nor its DAGs, and nobody can tell why: it stays, and people are told."""
    return replace(standing, stage="never-appeared", problems=(), due_at=None)


def to_roll_back(standing: ArtifactState, problems: Iterable[Defect], now: datetime) -> ArtifactState:
    """The live version does not work: from here on it never goes live again."""
    if standing.live is None:
        return standing
    rolled_back = standing.rolled_back
    if standing.live.source not in rolled_back:
        rolled_back = (*rolled_back, standing.live.source)[-_MOST_ROLLED_BACK:]
    problems = tuple(problems)[:MOST_PROBLEMS]
    return replace(standing, stage="rolling-back", rolled_back=rolled_back, problems=problems, due_at=now)


def overtaken(standing: ArtifactState) -> ArtifactState:
    """Somebody has pointed the environment elsewhere, which is theirs; ours did not fail, and goes not over it."""
    return replace(standing, stage="by-hand", good=None, problems=(), due_at=None)


def put_by_hand(standing: ArtifactState, *, last_look: datetime) -> ArtifactState:
    """Somebody has put something else live by hand, which is theirs. The version that was live is not at fault."""
    return replace(standing, stage="by-hand", live=None, good=None, problems=(), due_at=last_look)


def rolled_back(
    standing: ArtifactState, restored: LiveVersion | None, *, due_at: datetime, last_look: datetime
) -> ArtifactState:
    """The previous version is back, or nothing is live.

    A version that was never verified is verified now: it may be as bad.

    Args:
        due_at: the first look at a version that is verified now.
        last_look: of what is closed.
    """
    if restored is None or not restored.ours:
        return replace(standing, stage="rolled-back", live=None, good=None, due_at=last_look)
    if standing.good is not None and restored.source == standing.good.source:
        return replace(standing, stage="rolled-back", live=restored, good=restored, due_at=last_look)
    return replace(standing, stage="verifying", live=restored, good=None, due_at=due_at)


def looked_at_last(before: ArtifactState | None, key: str, *, last_look: datetime) -> ArtifactState:
    """The file was deleted, and somebody may be about to make it live: a look when nobody is at work on it any more."""
    before = before or ArtifactState(key, "removed")
    if before.stage in OPEN or before.due_at is not None:
        return before
    return replace(before, due_at=last_look)


def removed(before: ArtifactState | None, key: str, gone: str, *, last_look: datetime) -> ArtifactState:
    """What was live was taken out, on purpose.

    Args:
        gone: its source; the standing of another version, which has come meanwhile, stays as it is.
    """
    before = before or ArtifactState(key, "removed")
    if before.live is not None and before.live.source != gone:
        return before
    cleared: dict[str, Any] = {"live": None, "good": None, "problems": (), "untold": _untold(before), "trial": None}
    return replace(before, stage="removed", due_at=last_look, **cleared)
