"""What `make audit` says of what scanners print; their outputs are recorded."""

from __future__ import annotations

import json
import re

import pytest

from tools.checks import audit
from tools.checks.audit import Explained, Finding
from tools.venvs import ROOT

CHECKOV = json.dumps(
    {
        "results": {
            "failed_checks": [
                {
                    "check_id": "CKV_AWS_18",
                    "check_name": "Ensure the S3 bucket has access logging enabled",
                    "file_path": "/template.yaml",
                    "resource": "AWS::S3::Bucket.DropBucket",
                }
            ]
        }
    }
)
BANDIT = json.dumps({"results": [{"test_id": "B310", "filename": "./a/b.py", "issue_text": "Audit url open"}]})
ZIZMOR = json.dumps(
    [
        {
            "ident": "artipacked",
            "desc": "credential persistence",
            "locations": [{"symbolic": {"key": {"Local": {"verbatim_path": "./.github/workflows/ci.yml"}}}}],
        }
    ]
)
SECRETS = json.dumps({"results": {"a.py": [{"type": "Secret Keyword", "line_number": 3, "hashed_secret": "5f"}]}})
ADVISORIES = json.dumps(
    {
        "dependencies": [
            {"name": "jinja2", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"]}]},
            {"name": "private", "skip_reason": "Dependency not found on PyPI"},
            {"name": "six", "version": "1.17.0", "vulns": []},
        ]
    }
)
FOUND = Finding("bandit", "B310", "a/b.py", "Audit url open")


def test_each_scanner_is_read() -> None:
    assert audit.read_checkov(CHECKOV) == audit.read_checkov(f"[{CHECKOV}]")
    assert audit.read_checkov(CHECKOV) == [
        Finding("checkov", "CKV_AWS_18", "template.yaml:DropBucket", "Ensure the S3 bucket has access logging enabled")
    ]
    assert audit.read_bandit(BANDIT) == [FOUND]
    assert [(found.rule, found.place) for found in audit.read_zizmor(ZIZMOR)] == [
        ("artipacked", ".github/workflows/ci.yml")
    ]
    (secret,) = audit.read_secrets(SECRETS)
    assert (secret.rule, secret.place, "5f" in secret.text) == ("Secret Keyword", "a.py", False)


def test_a_package_with_an_advisory_is_found_and_one_that_nobody_knows_is_counted() -> None:
    (found,), skipped = audit.read_advisories("layers/x.txt", ADVISORIES)
    assert (str(found), skipped) == ("pip-audit PYSEC-1 layers/x.txt:jinja2: 2.0 is fixed in 2.1, 3.0", 1)


def test_what_nothing_explains_is_said() -> None:
    assert audit.judge([FOUND, FOUND], []) == ["bandit B310 a/b.py: Audit url open"]
    assert audit.judge([FOUND], [Explained("bandit", "B311", ("a/b.py",), "as")]) == [
        "bandit B310 a/b.py: Audit url open",
        "tools/checks/audit.toml explains bandit B311 at a/b.py, which is no longer found",
    ]
    assert audit.judge([FOUND], [Explained("bandit", "B310", ("a/*",), "as")]) == []


def test_each_place_of_an_explanation_is_found() -> None:
    assert audit.judge([FOUND], [Explained("bandit", "B310", ("a/*", "c.py"), "as")]) == [
        "tools/checks/audit.toml explains bandit B310 at c.py, which is no longer found"
    ]


def test_an_explanation_gives_a_reason() -> None:
    entry = '[[explained]]\ntool = "bandit"\nrule = "B310"\nplaces = ["*"]\n'
    with pytest.raises(ValueError, match="because"):
        audit.explanations(entry)
    with pytest.raises(ValueError, match="gives no reason"):
        audit.explanations(entry + 'because = " "\n')


def test_what_is_explained_here_has_its_reason() -> None:
    explained = audit.explanations(audit.EXPLAINED.read_text())
    assert len({(entry.tool, entry.rule, entry.places) for entry in explained}) == len(explained)


def test_every_list_that_is_shipped_is_there_with_hashes() -> None:
    for place in audit.SHIPPED.values():
        text = (ROOT / place).read_text()
        assert len(re.findall(r"^\S+==", text, re.MULTILINE)) <= text.count("--hash=sha256:"), place


def test_what_pip_installs_of_the_command_line_is_what_the_layer_has() -> None:
    def pins(place: str) -> dict[str, str]:
        return dict(re.findall(r"^(\S+)==(\S+)", (ROOT / place).read_text(), re.MULTILINE))

    command, layer = pins("requirements/cli.txt"), pins("layers/jetway/requirements.txt")
    assert layer.items() <= command.items()


def test_every_action_is_named_by_its_hash() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (\S+)", workflow.read_text()):
            assert re.search(r"@[0-9a-f]{40}$", used), f"{workflow.name}: {used}"
