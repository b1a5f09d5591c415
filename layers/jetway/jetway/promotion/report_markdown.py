"""A report for people: the JSON document as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jetway.documents.escape import unlinked, visible
from jetway.events.principals import in_words

# Outcome: the fate in the title, and a sentence.
_OUTCOMES = {
    "promoted": ("live", "It is live."),
    "quarantined": ("rejected and quarantined", "It is not live. The version that was live stays live."),
    "superseded": ("superseded", "It is not live: a newer version arrived, which has its own report."),
    "vanished": ("deleted before it went live", "It was deleted before it went live."),
    "rolled-back": ("rolled back", "It was live, did not work in the environment, and was rolled back."),
    "removed": ("removed", "It was deleted, and is no longer live."),
}
_GRACEFUL = ", and up to 12 hours more until running tasks finish (GRACEFUL)."

# Step on the way into force of what an update of the environment brings, by outcome.
_STEPS = {
    ("promoted", "waiting"): (
        "waits for an update of the environment",
        "It is not in force yet: it waits for an update of the environment{begins}.",
    ),
    ("promoted", "updating"): (
        "the environment is being updated",
        "It is not in force yet: the update that applies it began at {since}. It takes 10 to 30 minutes" + _GRACEFUL,
    ),
    ("promoted", "verifying"): (
        "in force, being verified",
        (
            "In force since the update that ended at {since}. It is not known yet whether it works: Jetway "
            "checks{looks}."
        ),
    ),
    ("promoted", "verified"): ("in force and verified", "It is in force, and works in the environment: {since}."),
    ("promoted", "replaced-by-hand"): (
        "replaced manually",
        "The environment uses another version, which was set manually; detected at {since}.",
    ),
    ("rolled-back", "going-back"): (
        "rolled back, still in force",
        ("It does not work in the environment, and stays in force until the update that rolls it back has ended."),
    ),
    ("rolled-back", "not-applied"): (
        "the update failed",
        "The update of the environment that was to apply it failed. It was never in force.",
    ),
    ("removed", "waiting"): (
        "deleted, in force until an update of the environment",
        "It was deleted. It stays in force until an update of the environment{begins}.",
    ),
    ("removed", "updating"): (
        "deleted, the environment is being updated",
        "It was deleted. It stays in force until the update that began at {since} ends. It takes 10 to 30 minutes"
        + _GRACEFUL,
    ),
    ("removed", "verifying"): ("removed", "It was deleted, and has not been in force since {since}."),
    ("removed", "verified"): ("removed", "It was deleted, and has not been in force since {since}."),
}
_STEPS_OF_DAG_FILES = {
    "verifying": (
        "live, being verified",
        (
            "It has been live since {since}. It is not known yet whether it works in the environment: Jetway "
            "checks{looks}."
        ),
    ),
    "verified": ("live and verified", "It is live, and works in the environment: {since}."),
    "never-appeared": ("live, not seen in Airflow", "It is live, and could not be verified until {since}."),
    "replaced-by-hand": (
        "replaced manually",
        "Another object was put in its place in the environment's bucket manually; detected at {since}.",
    ),
}
_UPDATED = frozenset({"requirements", "plugins", "startup-script"})
_MOST_DAGS = 50


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as a Markdown document; what users wrote cannot change its structure."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    title, sentence = fate(report)
    yield f"# {_text(report['path'])}: {title}"
    yield ""
    if sentence:
        yield sentence
        yield ""
    if "outcome" in report:
        source, environment = report["source"], report["environment"]
        yield f"- Version: {_code(source['version'] or source['etag'])}, {source['size']:,} bytes"
        yield f"- Environment: {_code(environment['name'])}, Airflow {environment['airflow_version']}"
        yield f"- Checked: {report['judged_at']}, in {report['seconds']:.3f} s"
        if words := in_words(report.get("by") or {}):
            yield f"- Who: {_text(words)}"
        if words := in_words(report.get("removed_by") or {}):
            yield f"- Deleted: {_text(words)}"
        if report["placed"]:
            yield f"- Copy: {_code('s3://{bucket}/{key}'.format(**report['placed']))}"
    verification = report.get("verification")
    if verification:
        yield from _verification(verification)
    if report["findings"]:
        yield from ("", "## Findings", "")
    for finding in report["findings"]:
        line = _line(finding["line"])
        yield f"- **{finding['severity']}** {_code(finding['rule'])}{line}: {_text(finding['message'])}"
        yield f"  To do: {_text(finding['remedy'])}"
    if report["dags"]:
        yield from ("", "## DAGs", "")
    for dag in report["dags"][:_MOST_DAGS]:
        line = _line(dag.get("line"))
        yield f"- {_code(dag['dag_id']) if dag['dag_id'] else 'an id that is known only when the file runs'}{line}"


def fate(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return what became of a version at last, in a few words, and in a sentence or two."""
    verdict: str = report["verdict"]
    outcome: str | None = report.get("outcome")
    if outcome is None:
        return _fate_in_no_environment(report)
    step = report.get("in_force") or {}
    state: str = step.get("state", "")
    of_this_kind = _STEPS.get((outcome, state)) if report["kind"] in _UPDATED else _STEPS_OF_DAG_FILES.get(state)
    title, sentence = of_this_kind or _OUTCOMES.get(outcome, (outcome, ""))
    since, until = _moment(step.get("since")), _moment(step.get("until"))
    begins, looks = (f", which begins at about {until}", f" from about {until}") if until else ("", "")
    sentence = sentence.format(since=since, begins=begins, looks=looks)
    if step.get("because"):
        sentence = f"{sentence} {_text(step['because'])}"
    if outcome == "promoted":
        title = f"{verdict}, {title}" if verdict == "unknown" else f"accepted, {title}"
    return title, sentence


def _fate_in_no_environment(report: Mapping[str, Any]) -> tuple[str, str]:
    """What is judged on a disk, and what has no place in the environment: trigger files and the like."""
    rules = {finding["rule"] for finding in report["findings"]}
    if "last-good-in-force" in rules:
        return "rejected, the last good one stays in force", ""
    if "moment-is-over" in rules:
        return "accepted, no longer fires", ""
    return report["verdict"], ""


def _moment(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC" if text else ""


def _verification(verification: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## In the environment", "")
    restored = verification["restored"]
    back = f"Version {_code(restored['version'])} is live again." if restored else "Nothing was live before."
    yield f"Stopped at {verification['at']}. {back}"
    for problem in verification["problems"]:
        yield from ("", f"{_code(problem['where'])}:", "")
        # Indented by four: a block of code, whatever is in it.
        yield from (f"    {visible(line)}" for line in problem["message"].splitlines())


def _line(number: object) -> str:
    return f", line {number}" if isinstance(number, int) and number else ""


def _code(text: str) -> str:
    text = visible(" ".join(text.split()))
    fence = "`" * (1 + max((len(run) for run in _runs(text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _runs(text: str) -> Iterator[str]:
    return (run for run in text.replace("`", "\0`\0").replace("\0\0", "").split("\0") if run.startswith("`"))


def _text(text: str) -> str:
    """One line in which nothing is markup."""
    plain = unlinked(visible(" ".join(text.split())))
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|" else char for char in plain)
