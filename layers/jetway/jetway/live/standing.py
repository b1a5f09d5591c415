"""How an artifact stands: what is live, what was good, what was rolled back. Pure.

promoted ──▶ verifying ──▶ good
                 └──▶ rolling-back ──▶ rolled-back        (or verifying again: what came back was never verified)
requirements.txt, plugins.zip, startup.sh:   promoted ──▶ waiting ──▶ updating ──▶ verifying …
                                             overtaken: somebody has pointed the environment elsewhere
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from jetway.artifacts.findings import Verdict

Stage = Literal["waiting", "updating", "verifying", "rolling-back", "good", "rolled-back", "removed", "overtaken"]

# Work is left to be done on artifacts in these stages.
OPEN: frozenset[Stage] = frozenset({"waiting", "updating", "verifying", "rolling-back"})

# The newest are kept; an item holds 400 KB.
_MOST_ROLLED_BACK = 200
_MOST_DAGS = 500
# Sources that are no versions of the drop bucket.
BY_HAND = "by-hand-"
NOTHING = "nothing"
DELETED = "deleted-"
MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Live:
    """One version that was made live.

    Attributes:
        source: names the version in the drop bucket (`ObjectVersion.label`).
        bucket, key, version_id: of its copy in the environment's bucket.
        at: when it was made live, timezone-aware.
        dags: dag ids that reading or loading shows for certain; once verified, those that Airflow showed of the file.
        guessed: it may make other DAGs than those.
        clean: what was live before had no error, or there was nothing: an error seen now is this version's.
        first: there was never anything before: what Airflow shows of the file now is this version's.
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
        return None if self.source.startswith("etag-") else self.source

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        values |= {"at": datetime.fromisoformat(values["at"]), "dags": tuple(values["dags"])}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong in the environment since a version is live.

    Attributes:
        where: the file, as Airflow names it, or "environment".
        message: for people.
    """

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One artifact.

    Attributes:
        key: in the drop bucket.
        live: None when nothing of ours is live.
        good: the newest version that was verified, of those that followed one another without a removal.
        rolled_back: sources that never go live again.
        problems: why the live version is being, or the last one was, rolled back.
        due_at: when it is to be looked at, in an open stage.
        revision: counts the writes; 0 is not in the table yet.
    """

    key: str
    stage: Stage
    live: Live | None = None
    good: Live | None = None
    rolled_back: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    due_at: datetime | None = None
    revision: int = 0

    def as_json(self) -> str:
        """The facts as one JSON document, without the revision."""
        values = asdict(self)
        del values["revision"]
        return json.dumps(values, default=datetime.isoformat, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, revision: int) -> Self:
        """Read what `as_json` wrote."""
        values = json.loads(text)
        return cls(
            key=values["key"],
            stage=values["stage"],
            live=Live.from_dict(values["live"]) if values["live"] else None,
            good=Live.from_dict(values["good"]) if values["good"] else None,
            rolled_back=tuple(values["rolled_back"]),
            problems=tuple(Problem(**problem) for problem in values["problems"]),
            due_at=datetime.fromisoformat(values["due_at"]) if values["due_at"] else None,
            revision=revision,
        )


def promoted(before: Standing | None, key: str, live: Live, *, due_at: datetime, waits: bool) -> Standing:
    """A version was made live.

    Args:
        due_at: the first look at it.
        waits: it comes into force by an update of the environment only.

    Returns:
        The same standing when that was known already.
    """
    # Errors of what was there before, and did not work or was taken out, may show for a while yet.
    clean = live.clean if before is None else before.stage == "good"
    before = before or Standing(key, "removed")
    if live.source in before.rolled_back and waits:
        return before  # it is not in force, and nothing asks for it
    if live.source in before.rolled_back:
        # Another delivery of its event was half-way through when it was rolled back.
        return replace(before, stage="rolling-back", live=live, due_at=live.at)
    if before.live is not None and before.live.source == live.source:
        return before
    live = replace(live, clean=clean, first=live.first and not before.revision, dags=live.dags[:_MOST_DAGS])
    return replace(before, stage="waiting" if waits else "verifying", live=live, problems=(), due_at=due_at)


def verified(standing: Standing, seen: Iterable[str]) -> Standing:
    """The live version works.

    Args:
        seen: the DAGs that Airflow shows of its file: the next version must not lose them unawares.
    """
    live = standing.live
    if live is not None:
        live = replace(live, dags=tuple(sorted(seen))[:_MOST_DAGS])
    return replace(standing, stage="good", live=live, good=live, problems=(), due_at=None)


def to_roll_back(standing: Standing, problems: Iterable[Problem], now: datetime) -> Standing:
    """The live version does not work: from here on it never goes live again."""
    if standing.live is None:
        return standing
    rolled_back = standing.rolled_back
    if standing.live.source not in rolled_back:
        rolled_back = (*rolled_back, standing.live.source)[-_MOST_ROLLED_BACK:]
    problems = tuple(problems)[:MOST_PROBLEMS]
    return replace(standing, stage="rolling-back", rolled_back=rolled_back, problems=problems, due_at=now)


def overtaken(standing: Standing) -> Standing:
    """Somebody has put something else in force by hand, which is theirs; ours did not fail, and goes not over it."""
    return replace(standing, stage="overtaken", good=None, problems=(), due_at=None)


def rolled_back(standing: Standing, restored: Live | None, *, due_at: datetime) -> Standing:
    """The previous version is back, or nothing is live.

    A version that was never verified is verified now: it may be as bad.
    """
    if restored is None:
        return replace(standing, stage="rolled-back", live=None, good=None, due_at=None)
    if standing.good is not None and restored.source == standing.good.source:
        return replace(standing, stage="rolled-back", live=restored, good=restored, due_at=None)
    if not restored.ours:
        return replace(standing, stage="rolled-back", live=None, good=None, due_at=None)
    return replace(standing, stage="verifying", live=restored, good=None, due_at=due_at)


def removed(before: Standing | None, key: str) -> Standing:
    """What was live was taken out, on purpose."""
    before = before or Standing(key, "removed")
    return replace(before, stage="removed", live=None, good=None, problems=(), due_at=None)
