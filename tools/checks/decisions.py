"""What IAM was asked on local stacks, against what the template grants.

    python -m tools.checks.decisions --check    # the end of `make integration`: is the list right?
    python -m tools.checks.decisions            # `make decisions`: what it lacks, in its own form

The integration tests leave every decision in `.jetway/test-*/decisions.jsonl`. What no run asks for, on either stack,
stands in tools/checks/never_asked.toml with the reason; all else that the roles are granted is what they need, and is
in cli/jetway_cli/needed_actions.json, for `jetway doctor` to ask the account's IAM about.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.checks.rendered import WHOLE, Rendered, parse
from tools.venvs import HOME, ROOT

FILE = "decisions.jsonl"
NEVER_ASKED = Path(__file__).with_name("never_asked.toml")
_ROLE = re.compile(r"arn:aws:sts::\d+:assumed-role/[^/]*?-?([A-Za-z0-9]+)-[0-9A-F]{13}/(.+)")


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of IAM.

    Attributes:
        at: when, in seconds since the epoch.
        who: ARN of the session or user, or the name of a service.
        on: ARN of the resource, or "*".
        answer: "Allow", "ImplicitDeny", "Deny", or "Unauthenticated (code)".
        by: Sid of the statement that decided; "" for none.
        context: the request's keys that our conditions ask for.
    """

    at: float
    who: str
    action: str
    on: str
    answer: str
    by: str
    context: Mapping[str, Any]

    @property
    def role(self) -> str:
        """Logical id of the role; "" when no role of the stack has called."""
        found = _ROLE.fullmatch(self.who)
        return found[1] if found else ""

    def __str__(self) -> str:
        return f"{self.answer}: {self.role or self.who} | {self.action} | {self.on}" + (
            f" | by {self.by}" if self.by else ""
        )


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """An action that a statement of a role allows."""

    role: str
    statement: str
    action: str


@dataclass(frozen=True, slots=True)
class Exempt:
    """Why a grant is not asked for.

    Attributes:
        asked: "never"; "slow", by slow tests only; or "sometimes", where it hangs on chance whether a run asks.
        needed: whether AWS needs it all the same, so that doctor is to ask.
        why: the reason, a sentence.
    """

    asked: str
    needed: bool
    why: str


def read(*files: Path) -> list[Decision]:
    """Read decisions; of a file that is not there, none. A line that is being written is left out."""
    found = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for line in lines:
            try:
                found.append(Decision(**json.loads(line)))
            except ValueError:
                continue
    return found


def denials(decisions: Iterable[Decision]) -> list[Decision]:
    """Return what was not allowed."""
    return [decision for decision in decisions if decision.answer != "Allow"]


def granted() -> set[Grant]:
    """Return all that the template can grant a role: with every parameter that adds something, by every transport."""
    transports = parse(ROOT / "template.yaml")["Parameters"]["Transport"]["AllowedValues"]
    whole = WHOLE["template.yaml"]
    return {
        Grant(role, statement["Sid"], action)
        for stack in (Rendered(parameters={**whole, "Transport": transport}) for transport in transports)
        for role in stack.of_type("AWS::IAM::Role")
        for statement in stack.statements(role)
        if statement["Effect"] == "Allow"
        for action in _listed(statement["Action"])
    }


def asked(decisions: Iterable[Decision]) -> set[Grant]:
    """Return the grants that were used."""
    return {Grant(found.role, found.by, found.action) for found in decisions if found.role and found.answer == "Allow"}


def exempt(file: Path = NEVER_ASKED) -> dict[Grant, Exempt]:
    """Return the grants that are known not to be asked for.

    Raises:
        ValueError: one stands twice.
    """
    found: dict[Grant, Exempt] = {}
    for entry in tomllib.loads(file.read_text(encoding="utf-8"))["grant"]:
        why = Exempt(entry.get("asked", "never"), entry.get("needed", False), entry["why"])
        for role in entry["roles"]:
            for action in entry["actions"]:
                grant = Grant(role, entry["statement"], action)
                if grant in found:
                    raise ValueError(f"{grant} stands twice in {file.name}")
                found[grant] = why
    return found


def differences(used: set[Grant], known: Mapping[Grant, Exempt], all_granted: set[Grant]) -> Iterator[str]:
    """Yield how the list differs from what a whole run has asked, a sentence each.

    Args:
        used: the grants that the run used.
        known: the list.
        all_granted: what the template grants.
    """
    for grant in sorted(all_granted - used - set(known)):
        yield f"granted but never used: {grant.role} {grant.statement} {grant.action}"
    for grant in sorted(grant for grant, why in known.items() if why.asked == "never" and grant in used):
        yield f"used, although the list says never: {grant.role} {grant.statement} {grant.action}"
    for grant in sorted(set(known) - all_granted):
        yield f"in the list, but not granted: {grant.role} {grant.statement} {grant.action}"


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]


def runs_of_the_tests() -> list[Path]:
    """Return the files that the last integration run has left, one of each stack."""
    return sorted(HOME.glob(f"test-*/{FILE}"))


def main() -> int:
    """Say how the list differs from what the last run of the integration tests has asked; return an exit code."""
    check = sys.argv[1:] == ["--check"]
    used, all_granted, known = asked(read(*runs_of_the_tests())), granted(), exempt()
    found = list(differences(used, known, all_granted))
    print("\n".join(found) or f"{NEVER_ASKED.name} is right: everything else that is granted was used.")
    if not check:
        from tools.checks import needed_actions  # noqa: PLC0415 - it reads this module's list

        needed_actions.write()
        print(*_lacking(sorted(all_granted - used - set(known))), sep="\n")
    elif found:
        print(f"Correct the template, or {NEVER_ASKED.relative_to(ROOT)}; `make decisions` shows what it lacks.")
    return min(len(found), 1)


def _lacking(grants: Iterable[Grant]) -> Iterator[str]:
    """Entries of the list, without their reasons."""
    by_statement: dict[tuple[str, str], list[str]] = {}
    for grant in grants:
        by_statement.setdefault((grant.role, grant.statement), []).append(grant.action)
    entries: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (role, statement), actions in by_statement.items():
        entries.setdefault((statement, tuple(actions)), []).append(role)
    for (statement, asked_for), roles in entries.items():
        head = f"[[grant]]\nroles = {json.dumps(roles)}\nstatement = {json.dumps(statement)}"
        yield f'\n{head}\nactions = {json.dumps(asked_for)}\nwhy = ""'


if __name__ == "__main__":
    sys.exit(main())
