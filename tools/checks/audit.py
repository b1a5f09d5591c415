"""`make audit`: scanners of others over the whole house; each finding is mended, or explained with its reason.

    python -m tools.checks.audit [--advisories]

checkov reads the templates, bandit the Python code, zizmor the workflows and the action, detect-secrets every file in
git, pip-audit the hash-pinned lists of all that is shipped. (`make lint`, which comes first, has cfn-lint and
parliament on the transformed templates.) What is found and right stands in tools/checks/audit.toml with its reason; an
entry that explains nothing any more has to go. The scanners run in a virtual environment of their own.

Where no advisories can be had, as without a network, pip-audit's part is said to be missing; with --advisories, which
CI sets, it then fails.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import venvs
from tools.venvs import ROOT

EXPLAINED = Path(__file__).with_name("audit.toml")
TEMPLATES = ("template.yaml", "environment.yaml", "dashboard.yaml")
CODE = ("layers", "functions", "cli", "plugins", "dags", "tools")

# The hash-pinned lists of what Jetway ships: to Lambda, and with `pip install`.
SHIPPED = {
    "layer-jetway": "layers/jetway/requirements.txt",
    "layer-uv": "layers/tools/uv.txt",
    "layer-ruff": "layers/tools/ruff.txt",
    "layer-airflow2": "layers/airflow2/requirements.txt",
    "layer-airflow3": "layers/airflow3/requirements.txt",
    "cli": "requirements/cli.txt",
}


class AuditError(RuntimeError):
    """A scanner did not do its work; the text has the end of its output."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What a scanner says.

    Attributes:
        tool: its name.
        rule: the scanner's identifier.
        place: a file and a resource or line, `template.yaml:DropBucket`.
        text: in the scanner's words.
    """

    tool: str
    rule: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Explained:
    """A finding that is right as it is: see tools/checks/audit.toml.

    Attributes:
        tool, rule: as in `Finding`.
        places: patterns as fnmatch has them.
        because: the reason.
    """

    tool: str
    rule: str
    places: tuple[str, ...]
    because: str

    def covers(self, finding: Finding) -> bool:
        """Say whether it explains the finding."""
        same = (self.tool, self.rule) == (finding.tool, finding.rule)
        return same and any(fnmatch.fnmatchcase(finding.place, place) for place in self.places)


def explanations(text: str) -> list[Explained]:
    """Read tools/checks/audit.toml.

    Raises:
        ValueError: an entry lacks a member, or gives no reason.
    """
    found = []
    for entry in tomllib.loads(text).get("explained", []):
        try:
            explained = Explained(entry["tool"], entry["rule"], tuple(entry["places"]), entry["because"].strip())
        except KeyError as exc:
            raise ValueError(f"{entry} has no {exc}") from exc
        if not explained.because:
            raise ValueError(f"{explained.tool} {explained.rule} gives no reason")
        found.append(explained)
    return found


def judge(findings: Iterable[Finding], explained: Sequence[Explained]) -> list[str]:
    """Return a line for each finding that nothing explains, and for each place that explains nothing."""
    findings = sorted(set(findings))
    lines = [str(finding) for finding in findings if not any(entry.covers(finding) for entry in explained)]
    for entry in explained:
        for place in entry.places:
            alone = Explained(entry.tool, entry.rule, (place,), entry.because)
            if not any(alone.covers(finding) for finding in findings):
                lines.append(
                    f"{EXPLAINED.relative_to(ROOT)} explains {entry.tool} {entry.rule} at {place}, "
                    "which is no longer found"
                )
    return lines


def read_checkov(printed: str) -> list[Finding]:
    """Read what `checkov -o json` prints: a report, or a list of them."""
    reports = json.loads(printed)
    failed = [
        check
        for report in (reports if isinstance(reports, list) else [reports])
        for check in report["results"]["failed_checks"]
    ]
    return [
        Finding(
            "checkov",
            check["check_id"],
            f"{check['file_path'].lstrip('/')}:{check['resource'].rpartition('.')[2]}",
            check["check_name"],
        )
        for check in failed
    ]


def read_bandit(printed: str) -> list[Finding]:
    """Read what `bandit -f json` prints."""
    return [
        Finding("bandit", found["test_id"], found["filename"].removeprefix("./"), found["issue_text"])
        for found in json.loads(printed)["results"]
    ]


def read_zizmor(printed: str) -> list[Finding]:
    """Read what `zizmor --format json` prints."""
    findings = []
    for found in json.loads(printed):
        key = found["locations"][0]["symbolic"]["key"]
        place = next(iter(key.values()))["verbatim_path"] if isinstance(key, dict) else str(key)
        findings.append(Finding("zizmor", found["ident"], place.removeprefix("./"), found["desc"]))
    return findings


def read_secrets(printed: str) -> list[Finding]:
    """Read what `detect-secrets scan` prints; what may be a secret is not repeated."""
    return [
        Finding("detect-secrets", found["type"], name, f"line {found['line_number']} can have a secret")
        for name, each in json.loads(printed)["results"].items()
        for found in each
    ]


def read_advisories(place: str, printed: str) -> tuple[list[Finding], int]:
    """Read what `pip-audit -f json` prints of one list; return its findings, and of how many packages nobody knows."""
    packages: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    findings = [
        Finding(
            "pip-audit",
            vulnerability["id"],
            f"{place}:{package['name']}",
            f"{package['version']} is fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}",
        )
        for package in packages
        for vulnerability in package.get("vulns", ())
    ]
    return findings, sum("skip_reason" in package for package in packages)


def _run(python: Path, tool: str, *arguments: str) -> str:
    """Run a scanner and return what it prints. Its exit code says only whether it found something."""
    done = subprocess.run(
        [str(python.with_name(tool)), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if not done.stdout.strip():
        raise AuditError(f"{tool} failed:\n{done.stderr.strip()[-1000:]}")
    return done.stdout


def _advisories(python: Path) -> tuple[list[Finding], list[str]]:
    """Ask for each list; return what was found, and why what could not be asked."""
    findings: list[Finding] = []
    missing: list[str] = []
    for place in SHIPPED.values():
        options = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
        try:
            found, skipped = read_advisories(place, _run(python, "pip-audit", "-r", place, *options))
        except AuditError as exc:
            missing.append(f"{place}: {str(exc).splitlines()[-1]}")
            continue
        findings += found
        if skipped:
            missing.append(f"{place}: no advisories for {skipped} packages")
    return findings, missing


def main() -> int:
    """Run all scanners and print what nothing explains; return 1 if there is any."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.audit", description=__doc__)
    parser.add_argument("--advisories", action="store_true", help="fail if pip-audit cannot read any advisories")
    given = parser.parse_args()
    python = venvs.ensure("audit")
    templates = [argument for name in TEMPLATES for argument in ("-f", name)]
    scans: dict[str, Callable[[], list[Finding]]] = {
        "checkov": lambda: read_checkov(
            _run(python, "checkov", "--quiet", "--compact", "-o", "json", "--framework", "cloudformation", *templates)
        ),
        "bandit": lambda: read_bandit(_run(python, "bandit", "-q", "-f", "json", "-r", *CODE)),
        "zizmor": lambda: read_zizmor(
            _run(python, "zizmor", "--offline", "--quiet", "--format", "json", ".github", "action.yml")
        ),
        "detect-secrets": lambda: read_secrets(_run(python, "detect-secrets", "scan")),
    }
    findings: list[Finding] = []
    for tool, scan in scans.items():
        found = scan()
        print(f"{tool}: {len(found)} findings")
        findings += found
    vulnerable, missing = _advisories(python)
    print(f"pip-audit: {len(vulnerable)} findings in {len(SHIPPED) - len(missing)} of {len(SHIPPED)} lists")
    for line in missing:
        print(f"  not checked: {line}")
    lines = judge([*findings, *vulnerable], explanations(EXPLAINED.read_text(encoding="utf-8")))
    for line in lines:
        print(line)
    if not lines:
        print("Nothing is left unexplained.")
    return 1 if lines or (missing and given.advisories) else 0


if __name__ == "__main__":
    sys.exit(main())
