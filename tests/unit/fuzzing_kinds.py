"""What else is fuzzed: each takes any text, and must say what it is worth within a moment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

from jetway.airflow import cli_errors
from jetway.airflow.environment import EnvironmentFacts
from jetway.artifacts import airflow_ignore
from jetway.artifacts.findings import Candidate, Finding, Judgement
from jetway.artifacts.ignore_file import check_ignore_file
from jetway.artifacts.keys import placing_findings
from jetway.artifacts.requirements.requirements_model import read_requirements
from jetway.artifacts.startup.startup_script import check_startup_script
from jetway.diagnosis.missing_files import missing_files
from jetway.dispatch import conf_template
from jetway.documents.escape import visible
from jetway.errors import JetwayError
from jetway.http import json_body, signatures
from jetway.http.access_file import parse_access
from jetway.http.problems import ProblemError
from jetway.triggers.file import parse as parse_trigger
from jetway.workers.floors import check_floors
from jetway_loader import answers, import_errors

MANY = int(os.environ.get("JETWAY_FUZZ", "100"))  # examples of each kind; `make fuzz` has 2,000
MOMENT = 3.0  # seconds of processor time
AIRFLOW_2 = EnvironmentFacts("acme", "AVAILABLE", "2.11.2", "acme-airflow", "dags")
AIRFLOW_3 = EnvironmentFacts("acme", "AVAILABLE", "3.3.1", "acme-airflow", "dags")


def trigger(text: str) -> None:
    """Read a trigger file."""
    _judgement(parse_trigger(text.encode("utf-8", "surrogatepass"), "triggers/a.yaml").judgement)


def access(text: str) -> None:
    """Read an access.yaml."""
    _judgement(parse_access(text.encode("utf-8", "surrogatepass")).judgement)


def floors(text: str) -> None:
    """Read a worker floors file."""
    _judgement(check_floors(text.encode("utf-8", "surrogatepass")))


def startup(text: str) -> None:
    """Read a startup.sh, without asking bash."""
    content = text.encode("utf-8", "surrogatepass")
    _judgement(check_startup_script(Candidate("startup.sh", len(content), content), AIRFLOW_3, bash="/nowhere/bash"))


def ignore(text: str) -> None:
    """Read an .airflowignore in its three languages, and match with it."""
    content = text.encode("utf-8", "surrogatepass")
    for environment in (AIRFLOW_2, AIRFLOW_3):
        candidate = Candidate("dags/.airflowignore", len(content), content)
        _judgement(check_ignore_file(candidate, environment, max_bytes=10_000))
    syntaxes: tuple[airflow_ignore.Syntax, ...] = ("re2", "regexp", "glob")
    for syntax in syntaxes:
        airflow_ignore.ignored(["a.py", "team/b.py"], {"": text}, syntax)


def constraints(text: str) -> None:
    """Read a constraints file."""
    read_requirements(text)


def key(text: str) -> None:
    """Look at an object's key."""
    _findings(tuple(placing_findings(f"dags/{text}", 10, "dags/x")))


def body(text: str) -> None:
    """Read a webhook's body."""
    try:
        json_body.read_json_object(text.encode("utf-8", "surrogatepass"))
    except (ProblemError, JetwayError):
        return


def signature(text: str) -> None:
    """Check a webhook's signature."""
    headers = {"stripe-signature": text, "x-hub-signature-256": text, "webhook-signature": text}
    headers |= {"webhook-id": "a", "webhook-timestamp": text[:20]}
    schemes: tuple[signatures.Scheme, ...] = ("github", "stripe", "standard")
    for scheme in schemes:
        try:
            signatures.verify(scheme, headers, b"{}", ["x" * 32], now=0.0)
        except signatures.SignatureError:
            continue
        raise AssertionError(text)


def template(text: str) -> None:
    """Read a template of conf, and fill it."""
    try:
        conf_template.paths(text)
        conf_template.render({"a": text}, {"bucket": "b", "detail": {"order": ["x"]}})
    except (conf_template.TemplateError, JetwayError):
        return


def import_error(text: str) -> None:
    """Read an import error of Airflow's, told by a child and listed by the environment."""
    for entry in answers.sound([{"error": text, "lines": {"cycle": 1}}, {"error": "E", "trace": text}]):
        import_errors.read_error(entry, "/usr/local/airflow/dags/a.py", "/usr/local/airflow/dags")
    missing_files(text)
    cli_errors.explain(text)
    visible(text)


def told(text: str) -> None:
    """Read what a child tells."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = [text]
    answers.sound(entries if isinstance(entries, list) else [entries])


KINDS: dict[str, Callable[[str], None]] = {
    each.__name__: each
    for each in (
        *(trigger, access, floors, startup, ignore, constraints, key, body, signature, template, import_error, told),
    )
}


def in_a_moment(kind: str, text: str) -> None:
    """Read it, and see that nothing is kept waiting."""
    started = time.process_time()
    KINDS[kind](text)
    took = time.process_time() - started
    if took > MOMENT:
        raise AssertionError(f"{kind} took {took:.1f} s")


def _judgement(judged: Judgement) -> None:
    if judged.verdict not in {"accepted", "rejected", "unknown"}:
        raise AssertionError(judged)
    _findings(judged.findings)


def _findings(found: Any) -> None:
    for finding in found:
        if not isinstance(finding, Finding) or not (finding.rule and finding.message and finding.remedy):
            raise AssertionError(finding)
