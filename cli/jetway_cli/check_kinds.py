"""Every kind of file that `jetway check` judges: the gate's artifacts, and what others read of the drop bucket."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jetway.artifacts import kinds
from jetway.artifacts.findings import Candidate, Finding, Judgement, judgement
from jetway.artifacts.kinds import Kind

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

_LARGEST_YAML = 64 * 1024  # bytes, of a file that is all configuration


def kind_of(key: str) -> Kind:
    """Return the kind of file that a key of the drop bucket is; `kinds.UNKNOWN` when it is none."""
    return next((kind for kind in CONFIGURATION if kind.keys.fullmatch(key)), None) or kinds.kind_of(key)


def _check_trigger(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    if candidate.size > _LARGEST_YAML:
        return _too_large("trigger")
    from jetway.triggers.file import parse
    from jetway.triggers.never_firing import moment_findings

    parsed = parse(candidate.content, candidate.path)
    if parsed.trigger is None:
        return parsed.judgement
    moment = moment_findings(parsed.trigger.on, datetime.now(UTC), parsed.line)
    return replace(parsed.judgement, findings=(*parsed.judgement.findings, *moment))


def _check_access(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    if candidate.size > _LARGEST_YAML:
        return _too_large("access")
    from jetway.http.access_file import parse_access

    return parse_access(candidate.content).judgement


def _check_alarms(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    if candidate.size > _LARGEST_YAML:
        return _too_large("alarms")
    from jetway.run_monitoring.alarms_file import check_alarms

    return check_alarms(candidate.content)


def _check_floors(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    if candidate.size > _LARGEST_YAML:
        return _too_large("floors")
    from jetway.workers.floors import check_floors

    return check_floors(candidate.content)


def _too_large(kind: str) -> Judgement:
    message = f"The file has more than {_LARGEST_YAML} bytes, the maximum for its kind."
    return judgement(kind, [Finding("too-large", "error", message, None, "Shorten it.")])


def _configuration(name: str, keys: str, shown: str, check: kinds.Check) -> Kind:
    # DOTALL: a key may hold a newline.
    return Kind(name, re.compile(keys, re.DOTALL), shown, check, reads="whole", max_bytes=_LARGEST_YAML)


CONFIGURATION = (
    # All of the folder: what cannot be a trigger there gets a report that says so.
    _configuration("trigger", r"triggers/.+", "triggers/*.yaml", _check_trigger),
    _configuration("access", r"access\.yaml", "access.yaml", _check_access),
    _configuration("alarms", r"alarms\.yaml", "alarms.yaml", _check_alarms),
    _configuration("floors", r"floors\.yaml", "floors.yaml", _check_floors),
)
