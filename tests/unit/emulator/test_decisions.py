"""What the roles may, what they ask for, and the lists that say the difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.checks import decisions, needed_actions
from tools.checks.decisions import Exempt, Grant

LINE = {
    "at": 1.0,
    "who": "arn:aws:sts::000000000000:assumed-role/jetway-ValidateArtifactRole-90B72BA7AC3F7/jetway-ValidateArtifact",
    "action": "s3:GetObject",
    "on": "arn:aws:s3:::drop/dags/x.py",
    "answer": "Allow",
    "by": "ReadWhatWasDropped",
    "context": {},
}


def record(folder: Path, *changes: dict[str, object]) -> Path:
    file = folder / "decisions.jsonl"
    file.write_text("".join(json.dumps({**LINE, **change}) + "\n" for change in changes) + '{"at": 1')
    return file


def test_a_decision_names_the_role_as_the_template_does(tmp_path: Path) -> None:
    (found,) = decisions.read(record(tmp_path, {}), tmp_path / "none")
    assert found.role == "ValidateArtifactRole"
    assert decisions.asked([found]) == {Grant("ValidateArtifactRole", "ReadWhatWasDropped", "s3:GetObject")}


def test_only_what_was_denied_is_a_denial_and_is_told_with_role_action_and_resource(tmp_path: Path) -> None:
    found = decisions.read(record(tmp_path, {}, {"answer": "ImplicitDeny", "by": ""}, {"who": "events.amazonaws.com"}))
    (denied,) = decisions.denials(found)
    assert str(denied) == "ImplicitDeny: ValidateArtifactRole | s3:GetObject | arn:aws:s3:::drop/dags/x.py"
    assert denied not in decisions.denials(found[:1])
    assert decisions.asked(found[1:]) == set()


def test_the_list_is_exact_both_ways() -> None:
    a, b, c, d = (Grant("Role", "Sid", f"s3:{name}") for name in "ABCD")
    never, sometimes = Exempt("never", needed=False, why="w"), Exempt("sometimes", needed=False, why="w")
    assert not list(decisions.differences({a}, {b: never, c: sometimes}, {a, b, c}))
    assert not list(decisions.differences({a, c}, {b: never, c: sometimes}, {a, b, c}))
    assert list(decisions.differences({a, b}, {b: never, d: never}, {a, b, c})) == [
        "granted but never used: Role Sid s3:C",
        "used, although the list says never: Role Sid s3:B",
        "in the list, but not granted: Role Sid s3:D",
    ]


def test_an_entry_that_stands_twice_is_refused(tmp_path: Path) -> None:
    entry = '[[grant]]\nroles = ["R"]\nstatement = "S"\nactions = ["a:B"]\nwhy = "w"\n'
    (tmp_path / "list.toml").write_text(entry * 2)
    with pytest.raises(ValueError, match="stands twice"):
        decisions.exempt(tmp_path / "list.toml")


def test_whatever_is_in_the_list_is_granted_and_has_a_reason() -> None:
    known, granted = decisions.exempt(), decisions.granted()
    assert set(known) <= granted
    assert not [grant for grant, why in known.items() if not why.why or why.asked not in {"never", "slow", "sometimes"}]


def test_what_doctor_asks_is_what_the_template_grants_but_for_the_list() -> None:
    assert needed_actions.TARGET.read_text() == needed_actions.text(), "run `make decisions`"
