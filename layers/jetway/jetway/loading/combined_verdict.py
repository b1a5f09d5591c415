"""What the static check and the load say together, and when it is too early to say: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding, FoundDag, Judgement

if TYPE_CHECKING:
    from jetway.loading.dag_id_conflicts import Rival
    from jetway.loading.import_dag_client import LoadAnswer

# What reading alone makes of a file that loading knows better.
_KNOWN_BETTER = frozenset({"syntax-not-judged"})
_ABOUT_NO_DAG = frozenset({"lost-dag", "no-dag"})
_ABOUT_PLUGINS = frozenset({"plugin-without-name", "missing-module"})

# So many times the grace a file of a slow upload waits.
_LONGEST = 4


def together(static: Judgement, answer: LoadAnswer) -> Judgement:
    """The judgement of a DAG file or a plugins.zip that was read and loaded: the load is the judge."""
    if answer.loaded is None:
        finding = Finding(
            rule="exits",
            severity="error",
            message=f"The file ended the function that loads it ({answer.died}).",
            line=None,
            remedy="When the file is loaded, it must not end or exhaust the process. Move that work into tasks.",
        )
        return replace(static, verdict="rejected", findings=(*static.findings, finding))
    loaded = answer.loaded
    if loaded["skipped"] == "no-dag":
        return static
    if loaded["skipped"] == "ignored":
        return replace(static, verdict="accepted", findings=(*_without_loaded(static, known=True), _IGNORED), dags=())
    if static.kind in {"plugins", "local-settings"}:
        return _of_plugins(static, loaded)
    dags = _dags(static, loaded["dags"])
    found = tuple(Finding(**finding) for finding in loaded["findings"])
    return replace(
        static,
        verdict=loaded["verdict"],
        findings=(*_without_loaded(static, known=bool(dags) or loaded["verdict"] != "accepted"), *found),
        dags=dags,
        parse_seconds=loaded["seconds"],
    )


def _of_plugins(static: Judgement, loaded: Mapping[str, Any]) -> Judgement:
    found = tuple(Finding(**finding) for finding in loaded["findings"])
    kept = tuple(finding for finding in static.findings if finding.rule not in _ABOUT_PLUGINS)
    # Of a plugins.zip reading may have left something open that loading does not tell.
    is_open = static.kind == "plugins" and loaded["verdict"] == "accepted"
    verdict = static.verdict if is_open else loaded["verdict"]
    return replace(static, verdict=verdict, findings=(*kept, *found))


def with_other_plugins(judged: Judgement) -> Judgement:
    """The judgement of a file that fails with the plugins that are to come, and loads with those that are there."""
    findings = tuple(
        replace(
            finding,
            severity="warning",
            message=(
                f"{finding.message.removesuffix('.')}. This is not certain: the file fails with the plugins.zip "
                "that comes with the next update of the environment, and loads with the current one."
            ),
            remedy=f"Before that update: {finding.remedy}",
        )
        if finding.severity == "error"
        else finding
        for finding in judged.findings
    )
    return replace(judged, verdict="unknown", findings=findings)


def not_loaded(static: Judgement, why: str) -> Judgement:
    """The judgement of a file that no Airflow could load here."""
    finding = Finding(
        rule="not-loaded",
        severity="warning",
        message=f"The file was read but not loaded: {why}.",
        line=None,
        remedy="It goes live and is checked in the environment.",
    )
    return replace(static, verdict="unknown", findings=(*static.findings, finding))


def refused(judged: Judgement, taken: Mapping[str, Rival], *, uploaded: datetime | None = None) -> Judgement:
    """The judgement of a file with dag_ids that other files have.

    Args:
        taken: dag_id → the file that has it.
        uploaded: when the judged version was.
    """
    if not taken:
        return judged
    lines = {dag.dag_id: dag.line for dag in judged.dags}
    findings = tuple(
        Finding(
            rule="duplicate-dag-id",
            severity="error",
            message=(
                f"{rival.key} also defines a DAG {dag_id!r}. Airflow would show the one that it parsed last, "
                f"alternately.{_decided(rival, uploaded)}"
            ),
            line=lines.get(dag_id),
            remedy=_HAND_REMEDY if rival.by_hand else _REMEDY,
        )
        for dag_id, rival in sorted(taken.items())
    )
    return replace(judged, verdict="rejected", findings=(*judged.findings, *findings))


_REMEDY = "Give one of them another dag_id, or delete the other file first."
_HAND_REMEDY = (
    "Give this one another dag_id, or upload it with the same path as that file, or first delete that "
    "file from the environment's bucket."
)


def _decided(rival: Rival, uploaded: datetime | None) -> str:
    """What decided between the two."""
    if rival.by_hand:
        return " It was put into the environment's bucket manually, and is live there."
    if uploaded is None or rival.uploaded is None:
        return ""
    theirs, mine = f"{rival.uploaded:%Y-%m-%d %H:%M:%S} UTC", f"{uploaded:%Y-%m-%d %H:%M:%S} UTC"
    if rival.uploaded < uploaded:
        return f" It was uploaded first, at {theirs}; this file at {mine}."
    since = f"{rival.claimed:%Y-%m-%d %H:%M:%S} UTC" if rival.claimed else "then"
    if rival.uploaded == uploaded:
        return f" Both were uploaded at {mine}. It was checked first, and has had the dag_id since {since}."
    return (
        f" It was uploaded later, at {theirs} (this file at {mine}), but checked first. It has had the dag_id "
        f"since {since}, and a live file stays live."
    )


def too_early(
    answer: LoadAnswer,
    pending: Mapping[str, datetime],
    *,
    dropped: datetime,
    seen_at: datetime,
    grace: timedelta,
    quiet: timedelta,
) -> str | None:
    """Why a failure may be due to files that are on their way; None when it is not.

    Args:
        answer: what came of the load.
        pending: other files of the folder that were dropped and are not live yet, with when they came.
        dropped: when the judged file was.
        seen_at: when the folder was copied, before the load; timezone-aware.
        grace: the longest that a file waits; while other files keep coming, four times that.
        quiet: with no other file for so long, nothing is on its way.
    """
    loaded, last = answer.loaded, max(pending.values(), default=None)
    coming = last is not None and seen_at - last < quiet
    if loaded is None or seen_at - dropped >= (_LONGEST * grace if coming else grace):
        return None
    # Also of a failure that is not certain, because a requirement may bring the module: more often it is a sibling.
    missing = [name for name in loaded["missing"] if not name.startswith("airflow.")]
    if missing and loaded["verdict"] != "accepted":
        return f"the module {missing[0]} does not exist yet"
    if loaded["verdict"] != "rejected":
        return None
    used = [*loaded["siblings"], *loaded.get("read", ())]
    if used and coming:
        return f"it uses {used[0]}, and files are still being dropped"
    return None


def _dags(static: Judgement, loaded: list[Mapping[str, Any]]) -> tuple[FoundDag, ...]:
    """The DAGs that loading made; reading knows better where a decorated function begins.

    A dag_id that may be made of what stands for a Variable or an environment variable is none, unless it stands in the
    file as it is: the environment makes another one.
    """
    lines = {dag.dag_id: dag.line for dag in static.dags if dag.certainty != "dynamic"}
    found = []
    for dag in loaded:
        dag_id, line = dag["dag_id"], lines.get(dag["dag_id"]) or dag["line"]
        if dag_id not in lines and not dag.get("certain", True):
            found.append(FoundDag(None, line, "dynamic"))
            continue
        known = {"schedule": dag["schedule"], "tags": tuple(dag["tags"]), "tasks": dag["tasks"]}
        found.append(FoundDag(dag_id, line, "loaded", **known))
    return tuple(found)


def _without_loaded(static: Judgement, *, known: bool) -> tuple[Finding, ...]:
    """The static findings that loading does not contradict; `known`: why there is no DAG, or that there are some."""
    obsolete = _KNOWN_BETTER | (_ABOUT_NO_DAG if known else frozenset())
    return tuple(finding for finding in static.findings if finding.rule not in obsolete)


_IGNORED = Finding(
    rule="ignored",
    severity="warning",
    message="A pattern in .airflowignore matches this file, so Airflow skips it.",
    line=None,
    remedy=(
        "Nothing to do for a module that DAG files import. Otherwise, change the pattern (a regular "
        "expression on Airflow 2, a glob on Airflow 3, unless core.dag_ignore_file_syntax says otherwise)."
    ),
)
