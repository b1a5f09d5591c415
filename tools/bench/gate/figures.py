"""What a run has measured, as Markdown, and what of it must not be: pure."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.bench.gate.files import Files
    from tools.bench.gate.kinds import Outcome
    from tools.bench.gate.mutants import Seen
    from tools.bench.gate.needs import Need
    from tools.bench.gate.speed import Speed

LEAST_AGREEMENT = 0.995
MOST_OPEN = 0.10

_VERDICTS = ("accepted", "rejected", "unknown")


@dataclass(frozen=True)
class Part:
    """One part of the page.

    Attributes:
        lines: of Markdown.
        wrong: what fails the run.
    """

    lines: Sequence[str]
    wrong: Sequence[str] = field(default_factory=list)


def put(page: str, version: str, name: str, lines: Sequence[str]) -> str:
    """The page with a part in its place, between marks that name version and part; at the end if it has none."""
    begin, end = f"<!-- {version} {name} -->", f"<!-- /{version} {name} -->"
    block = "\n".join([begin, f"## Airflow {version}: {name}", "", *lines, end])
    if begin not in page:
        return f"{page.rstrip()}\n\n{block}\n"
    return page[: page.index(begin)] + block + page[page.index(end) + len(end) :]


def of_files(seen: Files) -> Part:
    """Files of others."""
    count, rows = seen.count(), seen.rows
    lines = [f"{len(rows)} files.", "", "| the gate says | Airflow loads it | Airflow does not |", "|---|---|---|"]
    lines += [f"| {verdict} | {count[verdict, True]} | {count[verdict, False]} |" for verdict in _VERDICTS]
    refused = [f"{row.file}: refused: {row.findings[-1]}" for row in rows if row.refused]
    missed = [f"{row.file}: {row.verdict}; Airflow: {row.errors[0]}" for row in rows if row.missed]
    others = [f"{row.file}: DAGs {sorted(row.sure)}; Airflow: {sorted(row.dags)}" for row in rows if row.other_dags]
    agree = 1 - (len(refused) + len(missed)) / len(rows)
    seconds = sorted(row.seconds for row in rows if row.verdict == "accepted")
    lines += ["", f"False refusals: {len(refused)}. Not refused though Airflow does not load them: {len(missed)}. "]
    lines[-1] += f"Other DAGs: {len(others)}. Agreement: {agree:.1%}."
    lines += _listed([*refused, *missed, *others])
    lines += [
        "",
        f"One file took {_milliseconds(seconds)}; all of them, with all that is around it, {seen.wall:.0f} s.",
    ]
    # What is left open is right here: the missing module may come with a list that was not resolved.
    accepted = [
        f"{row.file}: accepted; Airflow: {row.errors[0]}" for row in rows if row.missed and row.verdict == "accepted"
    ]
    return Part(lines, [*refused, *others, *(accepted if len(accepted) > len(rows) * (1 - LEAST_AGREEMENT) else [])])


def of_kinds(outcomes: Sequence[Outcome]) -> Part:
    """Good and broken projects of each kind."""
    good, bad = ([one for one in outcomes if one.project.sort == sort] for sort in ("good", "bad"))
    lines = ["| kind | good projects | accepted | unknown | refused |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(one.project.kind for one in good):
        of_kind = [one for one in good if one.project.kind == kind]
        count = Counter(one.verdict for one in of_kind)
        lines.append(
            f"| {_named(kind)} | {len(of_kind)} | "
            + " | ".join(str(count[name]) for name in ("accepted", "unknown", "rejected"))
            + " |"
        )
    lines += ["", "| kind | broken | what the gate is to say | it says |", "|---|---|---|---|"]
    for one in bad:
        lines += [
            f"| {_named(one.project.kind)} | {one.project.name} | {_wanted(expected)} | "
            f"{'**otherwise**' if expected in one.missed else 'that'} |"
            for expected in one.project.expected
        ]
    wrong = [
        f"{_named(one.project.kind)}, {one.project.name}: refused {', '.join(one.refused)}"
        for one in good
        if one.refused
    ]
    wrong += [
        f"{_named(one.project.kind)}, {one.project.name}: DAGs {one.wrong_dags}" for one in good if one.wrong_dags
    ]
    wrong += [f"{_named(one.project.kind)}, {one.project.name}: {said}" for one in good for said in one.noise]
    wrong += [
        f"{_named(one.project.kind)}, {one.project.name}: not {_wanted(miss)}" for one in bad for miss in one.missed
    ]
    wrong += [
        f"{_named(one.project.kind)}, {one.project.name}: no fair case: {one.unfit[0]}" for one in outcomes if one.unfit
    ]
    return Part([*lines, "", f"Wrong: {len(wrong)} of {len(outcomes)}.", *_listed(wrong)], wrong)


def of_mutants(seen: Sequence[Seen]) -> Part:
    """Good projects, broken."""
    fail = [one for one in seen if one.fails]
    caught = sum(one.verdict == "rejected" for one in fail)
    by_name: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_name[one.mutant.name].append(one)
    said = (
        f"{len(seen)} mutants of {len({one.base for one in seen})} good projects; Airflow does not load {len(fail)} of "
        f"them. The gate refuses {caught} of those ({caught / len(fail):.1%}), {sum(one.right for one in fail)} with "
        "the right rule at the right line."
    )
    lines = [
        said,
        "",
        "| mutant | of projects | Airflow does not load | the gate refuses | with rule and line | rules |",
        "|---|---|---|---|---|---|",
    ]
    for name, ones in by_name.items():
        failing = [one for one in ones if one.fails]
        rules = sorted({rule for one in failing for rule in one.rules})
        lines.append(
            f"| {name} | {len(ones)} | {len(failing)} | {sum(one.verdict == 'rejected' for one in failing)} | "
            f"{sum(one.right for one in failing)} | {', '.join(rules)} |"
        )
    missed = [
        f"{one.mutant.name} of {one.base}: {one.verdict} {', '.join(one.rules)}"
        for one in fail
        if one.verdict != "rejected"
    ]
    false = [
        f"{one.mutant.name} of {one.base}: refused, and Airflow loads it: {', '.join(one.rules)}"
        for one in seen
        if not one.fails and one.verdict == "rejected"
    ]
    astray = [
        f"{one.mutant.name} of {one.base}: {', '.join(one.rules)} at {one.line}, not {one.expected}"
        for one in fail
        if one.verdict == "rejected" and not one.right
    ]
    low = [f"mutants: {caught / len(fail):.1%}"] if caught / len(fail) < LEAST_AGREEMENT else []
    return Part([*lines, *_listed([*missed, *false, *astray])], [*false, *low])


def of_needs(seen: Sequence[Need]) -> Part:
    """Lists of requirements."""
    resolvable = [one for one in seen if one.resolvable]
    still_open = [one for one in resolvable if one.verdict == "unknown"]
    refused = [one for one in resolvable if one.verdict == "rejected"]
    share = len(still_open) / len(resolvable) if resolvable else 1.0
    seconds = sorted(one.seconds for one in seen)
    said = (
        f"{len(seen)} lists, of which {len(resolvable)} can be resolved. Of those the gate accepts "
        f"{sum(one.verdict == 'accepted' for one in resolvable)}, leaves {len(still_open)} open ({share:.1%}) and "
        f"refuses {len(refused)}. One took {_seconds(seconds)}, with a cache that is warm."
    )
    shown = [f"{one.name}: {one.verdict}, {', '.join(one.rules)}" for one in [*refused, *still_open]]
    wrong = [f"requirements, {one.name}: refused" for one in refused]
    wrong += [f"requirements: {share:.1%} stay open"] if share > MOST_OPEN else []
    return Part([said, *_listed(shown)], wrong)


def of_speed(seen: Speed) -> Part:
    """How long a check takes."""
    said = (
        f"`jetway check --load` of one file: {_seconds(sorted(seen.one))}; of {seen.many} files: "
        f"{_seconds(sorted(seen.all))}. The load of the machine was {seen.load:.1f} on {seen.processors} processors. "
        f"Reading a file alone takes {_milliseconds(sorted(seen.read))}."
    )
    return Part([said])


def _named(kind: str) -> str:
    return re.sub(r"^\d+_", "", kind).replace("_", " ")


def _wanted(expected: object) -> str:
    path, verdict, rule, line = (getattr(expected, name) for name in ("path", "verdict", "rule", "line"))
    return f"{path}: {verdict}, {rule}" + (f", line {line}" if line else "")


def _listed(items: Iterable[str]) -> list[str]:
    return [line for item in items for line in ("", f"- {' '.join(item.split())[:300]}")]


def _milliseconds(seconds: Sequence[float]) -> str:
    """Median and 95th percentile of sorted seconds."""
    return f"{statistics.median(seconds) * 1000:.0f} ms (median; {_late(seconds) * 1000:.0f} ms at the 95th percentile)"


def _seconds(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (median; {_late(seconds):.2f} s at the 95th percentile)"


def _late(seconds: Sequence[float]) -> float:
    return seconds[int(len(seconds) * 0.95)]
