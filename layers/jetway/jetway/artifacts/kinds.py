"""Which check is for which key: the registry of the kinds of artifact.

A new kind is one entry in `KINDS` and one module with its check. What is no artifact (triggers/*.yaml, access.yaml,
alarms.yaml, floors.yaml) is checked where it is used; `jetway check` has its own list of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jetway.artifacts.findings import Candidate, Finding, Judgement, Verdict, judgement
from jetway.artifacts.keys import OWN_PREFIXES

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

DAGS = "dags/"

# Files of the drop bucket that say how Jetway is to work.
_SETTINGS = ("access.yaml", "alarms.yaml", "floors.yaml")

# Not artifacts of the gate: what starts runs, what sync_triggers takes, and what Jetway itself writes.
NOT_ARTIFACTS = ("data/", "triggers/", *OWN_PREFIXES)

# Of a larger one the DAG files that read it are not loaded.
LARGEST_DATA_FILE = 1024 * 1024

Check = Callable[[Candidate, "EnvironmentFacts", int], Judgement]
Placement = Callable[[str, "EnvironmentFacts"], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of artifact.

    Attributes:
        name: as in reports and metrics.
        keys: full pattern of its keys in the drop bucket.
        shown: the same for people.
        check: judges a candidate; the last argument is the size limit of DAG files in bytes.
        reads: "whole" - the check gets the content, up to the limit; "stream" - it reads what it needs of a file of
            any size; "nothing".
        max_bytes: what of it is read whole at most; None: the size limit of DAG files.
        place: where in the environment's bucket it goes live; None: nowhere.
    """

    name: str
    keys: re.Pattern[str]
    shown: str
    check: Check
    reads: Literal["whole", "stream", "nothing"] = "nothing"
    max_bytes: int | None = None
    place: Placement | None = None

    def destination(self, key: str, environment: EnvironmentFacts) -> str | None:
        """Where it goes live: a key in the environment's bucket, or None when it has no place there."""
        return self.place(key, environment) if self.place else None


def kind_of(key: str) -> Kind:
    """Return the kind of artifact that a key is; `UNKNOWN` when it is none."""
    return next((kind for kind in KINDS if kind.keys.fullmatch(key)), UNKNOWN)


def is_artifact(key: str) -> bool:
    """Whether a key of the drop bucket is an artifact at all: a folder's marker, for example, is not.

    Neither are floors.yaml and alarms.yaml, which are read where they are, nor access.yaml, which sync_triggers takes.
    """
    return not key.startswith(NOT_ARTIFACTS) and not key.endswith("/") and key not in _SETTINGS


def _check_dag_file(candidate: Candidate, environment: EnvironmentFacts, max_bytes: int) -> Judgement:
    from jetway.artifacts.python.dag_file import check_dag_file

    return check_dag_file(candidate, environment, max_bytes=max_bytes)


def _check_local_settings(candidate: Candidate, environment: EnvironmentFacts, max_bytes: int) -> Judgement:
    """As a module is read; what comes of it only Airflow can tell, and without that it never goes live."""
    from jetway.artifacts.python.dag_file import check_dag_file

    judged = check_dag_file(candidate, environment, max_bytes=max_bytes)
    verdict: Verdict = "rejected" if judged.verdict == "rejected" else "unknown"
    return Judgement("local-settings", verdict, judged.findings)


def _pass_through(_candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    """SQL, YAML, text and the like: Airflow has no opinion, and the DAG files that read it are loaded with it."""
    return judgement("dags-folder-file")


def _check_ignore_file(candidate: Candidate, environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.artifacts.ignore_file import check_ignore_file

    return check_ignore_file(candidate, environment, max_bytes=_MEBIBYTE)


def _packed_dags(candidate: Candidate, environment: EnvironmentFacts, max_bytes: int) -> Judgement:
    from jetway.artifacts.packed_dags import check_packed_dags

    return check_packed_dags(candidate, environment, max_bytes=max_bytes)


def _check_requirements(candidate: Candidate, environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.artifacts.requirements.requirements_file import check_requirements

    return check_requirements(candidate, environment)


def _check_plugins(candidate: Candidate, environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.artifacts.plugins.plugins_zip import check_plugins

    return check_plugins(candidate, environment)


def _check_startup_script(candidate: Candidate, environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    from jetway.artifacts.startup.startup_script import check_startup_script

    return check_startup_script(candidate, environment)


def _in_dags_folder(key: str, environment: EnvironmentFacts) -> str:
    folder, name = environment.dags_path, key.removeprefix(DAGS)
    return f"{folder}/{name}" if folder else name


def _unknown(candidate: Candidate, _environment: EnvironmentFacts, _max_bytes: int) -> Judgement:
    name = candidate.path.rpartition("/")[2]
    near = _near(candidate.path)
    if near is not None:
        remedy = f"Did you mean {near}?"
    elif candidate.path.startswith("plugins/"):
        remedy = f"The content of plugins goes live as {_PLUGINS}: cd plugins && zip -r ../{_PLUGINS} ."
    elif name.lower().endswith((".py", ".zip")):
        remedy = f"A DAG file belongs in {DAGS}: upload it as {DAGS}{name}"
    elif name.lower().endswith((".yaml", ".yml")):
        remedy = (
            f"A trigger file belongs in triggers/: upload it as triggers/{name.rpartition('.')[0]}.yaml. A data "
            f"file that starts a DAG belongs in data/<dag_id>/, and a file that DAG files read belongs in {DAGS}."
        )
    else:
        remedy = (
            f"A data file that starts a DAG belongs in data/<dag_id>/: upload it as data/<dag_id>/{name}. "
            "Other places are: " + "; ".join((*(kind.shown for kind in KINDS), *_OTHER_PLACES)) + "."
        )
    finding = Finding(
        rule="unknown-kind",
        severity="error",
        message="Jetway does not know an artifact of this name.",
        line=None,
        remedy=remedy,
    )
    return judgement("unknown", [finding])


def _near(key: str) -> str | None:
    """The key that was meant: a folder or a file of the drop bucket that is written otherwise, or lies too deep."""
    *folders, name = key.split("/")
    top = difflib.get_close_matches(name.lower(), _TOP_FILES, n=1, cutoff=0.8)
    if not folders:
        return top[0] if top else _STARTUP if name.lower().endswith(".sh") else None
    found = difflib.get_close_matches(folders[0].lower(), _FOLDERS, n=1)
    if found and name:
        return "/".join((found[0], *folders[1:], name))
    if name.lower() in _TOP_FILES:  # as aws-mwaa-local-runner has them: requirements/requirements.txt
        return name.lower()
    for place in ("dags", "triggers"):
        if place in folders and name:
            return "/".join((place, *folders[folders.index(place) + 1 :], name))
    return _REQUIREMENTS if folders[-1] == "requirements" and name.endswith(".txt") else None


def _kind(name: str, pattern: str, shown: str, check: Check, **more: Any) -> Kind:
    # DOTALL: a key may hold a newline.
    return Kind(name, re.compile(pattern, re.DOTALL), shown, check, **more)


# Where an environment that has no such path yet gets one.
_REQUIREMENTS, _PLUGINS, _STARTUP = "requirements.txt", "plugins.zip", "startup.sh"
_MEBIBYTE = 1024 * 1024
_FOLDERS = ("dags", "data", "triggers")
# What else the drop bucket takes; others read it.
_OTHER_PLACES = ("triggers/*.yaml", *_SETTINGS)
_TOP_FILES = (_REQUIREMENTS, _PLUGINS, _STARTUP, *_SETTINGS)

KINDS = (
    _kind(
        "local-settings",
        r"dags/airflow_local_settings\.py",
        "policies and settings of all processes: dags/airflow_local_settings.py",
        _check_local_settings,
        reads="whole",
        place=_in_dags_folder,
    ),
    _kind(
        "dag-file",
        r"dags/.+\.(?i:py)",
        "DAG files and their modules: dags/…/*.py",
        _check_dag_file,
        reads="whole",
        place=_in_dags_folder,
    ),
    _kind(
        "packed-dags",
        r"dags/.+\.(?i:zip)",
        "packed DAG files: dags/…/*.zip",
        _packed_dags,
        reads="stream",
        place=_in_dags_folder,
    ),
    _kind(
        "airflowignore",
        r"dags/(.+/)?\.airflowignore",
        "files that Airflow skips: dags/…/.airflowignore",
        _check_ignore_file,
        reads="whole",
        place=_in_dags_folder,
        max_bytes=_MEBIBYTE,
    ),
    _kind(
        "dags-folder-file",
        r"dags/.+",
        "files that DAG files read: dags/…",
        _pass_through,
        reads="whole",
        place=_in_dags_folder,
        max_bytes=LARGEST_DATA_FILE,
    ),
    _kind(
        "requirements",
        r"requirements\.txt",
        _REQUIREMENTS,
        _check_requirements,
        reads="whole",
        place=lambda _, environment: environment.requirements_path or _REQUIREMENTS,
        max_bytes=_MEBIBYTE,
    ),
    _kind(
        "plugins",
        r"plugins\.zip",
        _PLUGINS,
        _check_plugins,
        reads="stream",
        place=lambda _, environment: environment.plugins_path or _PLUGINS,
    ),
    _kind(
        "startup-script",
        r"startup\.sh",
        _STARTUP,
        _check_startup_script,
        reads="whole",
        place=lambda _, environment: environment.startup_script_path or _STARTUP,
        max_bytes=_MEBIBYTE,
    ),
)


def reserved_places(environment: EnvironmentFacts) -> dict[str, str]:
    """Return the keys of the environment's bucket that what an update brings into force has, and whose each is."""
    found = {kind_of(key).destination(key, environment): key for key in (_REQUIREMENTS, _PLUGINS, _STARTUP)}
    return {place: key for place, key in found.items() if place is not None}


UNKNOWN = _kind("unknown", r".*", "", _unknown)
