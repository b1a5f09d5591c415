"""What `jetway check` prints: text, JSON, GitHub's annotations, SARIF."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .checking import BAD, check, reports


def test_json_is_one_report_for_each_file(dags: Path) -> None:
    (dags / "broken.py").write_text(BAD)
    found = reports(dags)
    assert {path: report["verdict"] for path, report in found.items()} == {
        f"{dags}/broken.py": "rejected",
        f"{dags}/team/orders.py": "accepted",
    }
    report = found[f"{dags}/broken.py"]
    assert [finding["line"] for finding in report["findings"]] == [2]


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_without_load_the_last_line_says_that_nothing_was_loaded(dags: Path, form: str) -> None:
    result = check(dags, "--format", form)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == (
        "DAG files were only read. With --load, they are loaded with Airflow, as the drop bucket does."
    )
    if form in {"json", "sarif"}:
        json.loads(result.stdout)


def test_github_shows_findings_at_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b:c.py").write_text(BAD)
    result = check("a,b:c.py", "--format", "github")
    assert result.exit_code == 1
    assert re.fullmatch(
        r"::error file=a%2Cb%3Ac.py,title=jetway%3A syntax,line=2::Python 3.12 cannot .+\n", result.stdout
    )


def test_github_says_nothing_of_what_is_good(dags: Path) -> None:
    assert check(dags, "--format", "github").stdout == ""


def test_sarif_is_what_code_scanning_takes(dags: Path) -> None:
    (dags / "it is broken.py").write_text(BAD)
    (dags / "empty.py").write_text("")
    result = check(dags, "--format", "sarif")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["empty-file", "syntax"]
    levels = {found["ruleId"]: (found["level"], found["ruleIndex"]) for found in run["results"]}
    assert levels == {"empty-file": ("warning", 0), "syntax": ("error", 1)}
    location = next(found for found in run["results"] if found["level"] == "error")["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("it%20is%20broken.py")
    assert location["region"] == {"startLine": 2}
