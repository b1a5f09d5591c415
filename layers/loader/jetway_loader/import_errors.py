"""What an import error means: read from the words that Airflow keeps of it, a traceback or one line.

A fault is certain unless it comes from what the gate cannot see: data files, credentials, the network; or something
that was made of a stand-in may have led to it, which the child has found out (certainty.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jetway_loader.paths import PLUGINS

_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_LAST_LINE = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$", re.DOTALL)
_NO_MODULE = re.compile(r"No module named '([^']+)'")
_NO_NAME = re.compile(r"cannot import name '[^']+' from (?:partially initialized module )?'([^']+)'")
_NOT_MOVED = re.compile(r"Could not import `([^`]+)`")
# What Airflow adds to a time-out: links to its documentation and the number of a process that is gone.
_ADVICE = "Please take a look at these docs"
# Where a module is, is nothing to the environment.
_PLACE = re.compile(r" \((?:/[^()]*|unknown location)\)$")
# Where an object is in memory is another place in each run.
_ADDRESS = re.compile(r"(?<=\w) at 0x[0-9a-fA-F]+(?=>)")
_LONGEST = 500

# Names of exceptions: their classes belong to packages that may not be there.
_NEEDS_WORLD = frozenset(
    {
        *("ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "NewConnectionError", "ProxyError"),
        *("ConnectTimeout", "ConnectTimeoutError", "ReadTimeout", "ReadTimeoutError", "MaxRetryError", "SSLError"),
        *("EndpointConnectionError", "NameResolutionError", "HTTPError", "URLError", "UnseenNetworkError"),
        *("gaierror", "herror", "NoCredentialsError", "PartialCredentialsError", "NoRegionError", "ProfileNotFound"),
        *("TokenRetrievalError", "ClientError", "InvalidAccessKeyId", "DefaultCredentialsError"),
        *("FileNotFoundError", "NotADirectoryError", "IsADirectoryError", "PermissionError"),
        *("AirflowConfigException", "AirflowNotFoundException", "CalledProcessError", "TimeoutExpired"),
        "PackageNotFoundError",
    }
)

# What readers of data files say of their content.
_OF_DATA = frozenset(
    {
        *("JSONDecodeError", "TOMLDecodeError", "UnicodeDecodeError", "BadZipFile", "ParseError", "XMLSyntaxError"),
        *("YAMLError", "ScannerError", "ParserError", "ComposerError", "ConstructorError", "ReaderError"),
        *("ParsingError", "MissingSectionHeaderError", "DuplicateOptionError", "DuplicateSectionError"),
    }
)

_RULES: Mapping[str, tuple[str, str]] = {
    "AirflowDagCycleException": (
        "cycle",
        "Remove one of the dependencies that form the circle; this line closes it.",
    ),
    "DuplicateTaskIdFound": ("duplicate-task-id", "Give each task of the DAG its own task_id."),
    "AirflowDagDuplicatedIdException": ("duplicate-dag-id", "Give each DAG its own dag_id."),
    "AirflowTimetableInvalid": ("schedule", "Correct the schedule; crontab.guru explains cron expressions."),
    "CroniterBadCronError": ("schedule", "Correct the schedule; crontab.guru explains cron expressions."),
    "AirflowTaskTimeout": (
        "timeout",
        "Move slow work from the module's top level into tasks: Airflow loads the file again and again.",
    ),
    "SerializationError": (
        "serialization",
        (
            "The scheduler receives DAGs as JSON. Use arguments that Airflow can serialize, or register the "
            "class in a plugin."
        ),
    ),
    "_TimetableNotRegistered": (
        "serialization",
        (
            "Register the timetable's class in a plugin: "
            "https://airflow.apache.org/docs/apache-airflow/stable/howto/timetable.html"
        ),
    ),
    "TimetableNotRegistered": (
        "serialization",
        (
            "Register the timetable's class in a plugin: "
            "https://airflow.apache.org/docs/apache-airflow/stable/howto/timetable.html"
        ),
    ),
    "SystemExit": (
        "exits",
        "Airflow loads the file by importing it: do not call sys.exit(), or only under `if __name__ == '__main__':`.",
    ),
    "SyntaxError": ("syntax", "Correct the line; `python -m py_compile FILE` shows the same error."),
    "IndentationError": ("syntax", "Correct the line; `python -m py_compile FILE` shows the same error."),
    "TabError": ("syntax", "Indent with spaces only."),
    "NameError": ("undefined-name", "Import or define the name before this line."),
    "MemoryError": ("memory", "Read large data in a task, not when the file is loaded."),
    "ParamValidationError": ("params", "Give the param a default that matches its schema."),
}

_ARGUMENTS = re.compile(
    r"Invalid arguments were passed|unexpected keyword argument|missing keyword argument|missing \d+ required "
    r"|missing required argument|multiple values for|takes \d+ positional"
)
_SCHEDULE = re.compile(
    r"[Ii]nvalid schedule|Invalid Cron|is not acceptable|Exactly \d[\w, ]* columns|not a valid schedule"
)
# Of a DAG: that of a task says more.
_PARAMS = re.compile(r"required params without default values|parameters must be json-serializable")

_NO_FILE = frozenset({"FileNotFoundError", "NotADirectoryError"})
_INSIDE_ZIP = (
    "Airflow does not unpack a zip of the dags folder. Read the file with importlib.resources or "
    "pkgutil.get_data, or upload the folder itself, not a zip."
)


@dataclass(frozen=True)
class Fault:
    """An import error, understood.

    Attributes:
        rule: its stable name.
        line: of the judged file; None when nothing tells.
        missing: the module that was not found, or that lacks a name.
        certain: nothing that the gate cannot see has to do with it.
        remedy: what to do.
        data: the file of the dags folder, relative to it, whose content the error is about.
    """

    rule: str
    message: str
    line: int | None
    remedy: str
    missing: str | None = None
    certain: bool = True
    data: str | None = None


def rule_of(text: str, *, serialization: bool = False) -> str:
    """The rule that an error is of."""
    kind, message = kind_of(text)
    missing = _missing(kind, message)
    return (
        _about_module(kind, missing)[0] if missing is not None else _rule(kind, message, serialization=serialization)[0]
    )


def read_error(entry: Mapping[str, Any], file: str, folder: str) -> Fault:
    """Understand an error that a child has told of.

    Args:
        entry: its "error" (words), the lines that those may be about ("dag_line", "lines"), whether something
            unseen may have led to it ("unseen_led"), whether C looked for a file that is there ("not_led"), and what
            was opened last ("after").
        file: the judged file's absolute path.
        folder: the dags folder's.
    """
    text = str(entry["error"]).rstrip()
    if "trace" in entry:
        text = str(entry["trace"]).rstrip()
    kind, message = kind_of(text)
    rule, remedy = _rule(kind, message, serialization="serialization" in entry)
    line, elsewhere = _where(text, file, {PLUGINS: "plugins/"} | {folder: ""})
    if rule == "cycle":
        line = (entry.get("lines") or {}).get("cycle") or line
    line = line or entry.get("dag_line")
    missing = _missing(kind, message)
    if missing is not None:
        rule, remedy = _about_module(kind, missing)
    module = _module_in_zip(text, entry, file)
    # The words may name the copy's place.
    in_zip = module is not None and kind in _NO_FILE and f"{file.removeprefix(folder)}/" in message
    if in_zip:
        rule, remedy = "inside-zip", _INSIDE_ZIP
    unseen = entry.get("unseen_led", False) or entry.get("not_led", False)
    certain = (kind not in _NEEDS_WORLD or in_zip) and not unseen
    shown = _ADDRESS.sub("", _PLACE.sub("", " ".join(message.partition(_ADVICE)[0].split())))
    shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
    words = f"{kind}: {shown}" if shown else kind
    if rule == "exits":
        words = f"The file ends the process that loads it ({words})."
    elif elsewhere:
        words += f" (in {elsewhere})"
        remedy = remedy.replace("this line", elsewhere)
    words = f"{module}: {words}" if module else words
    data = entry.get("after") if kind in _OF_DATA and not in_zip else None
    if data:
        words += f" (it had opened {data})"
        remedy = f"Correct {data}, or the code that reads it."
    words = words.replace(folder + "/", "").replace(PLUGINS, "plugins")
    return Fault(rule, words, line, remedy, missing, certain, data)


def kind_of(text: str) -> tuple[str, str]:
    """Type and message: of the last exception in a traceback, or of Airflow's one line."""
    # The message may have many lines; it begins with the last line at the left that looks like a type.
    blocks = text.rsplit("Traceback (most recent call last):", 1)
    lines = blocks[-1].split("\n")
    start = 0
    if len(blocks) > 1:
        frames = [number for number, line in enumerate(lines) if line.startswith("  ")]
        start = (frames[-1] + 1) if frames else 0
        for number, line in enumerate(lines):
            if line and not line.startswith(" ") and _LAST_LINE.match(line):
                start = number
                break
    match = _LAST_LINE.match("\n".join(lines[start:]).strip())
    if match is None:
        return "Error", text.strip().rpartition("\n")[2]
    return match["type"].rpartition(".")[2], (match["message"] or "").strip()


def _rule(kind: str, message: str, *, serialization: bool) -> tuple[str, str]:
    if serialization and kind not in _RULES:
        kind = "SerializationError"
    if kind in _RULES:
        return _RULES[kind]
    if kind in {"TypeError", "AirflowException", "ValueError"} and _ARGUMENTS.search(message):
        return "arguments", "Correct the arguments; the operator's page in Airflow's documentation lists them."
    if kind in {"ValueError", "TypeError", "AirflowException"} and _SCHEDULE.search(message):
        return _RULES["AirflowTimetableInvalid"]
    if kind in {"ValueError", "AirflowException"} and _PARAMS.search(message):
        return _RULES["ParamValidationError"]
    if kind in _NEEDS_WORLD:
        return (
            "needs-environment",
            "The gate has no data files, credentials or network. Read them in a task, not when the file is loaded.",
        )
    return (
        "import-error",
        "Correct this line; `python FILE` with the environment's Airflow shows the same error.",
    )


def _missing(kind: str, message: str) -> str | None:
    if kind == "ModuleNotFoundError" and (found := _NO_MODULE.search(message)):
        return found[1]
    if kind == "ImportError" and (found := _NO_NAME.search(message)):
        return found[1]
    if kind == "ImportError" and (found := _NOT_MOVED.search(message)):  # of Airflow 2, for a name that has moved
        return found[1].rpartition(".")[0]
    return None


def _about_module(kind: str, module: str) -> tuple[str, str]:
    if kind == "ImportError":
        return "missing-name", f"Check the name in the version of {module} that the environment has."
    if module.startswith("airflow."):
        return (
            "missing-module",
            (
                "The environment's Airflow does not have this module: it moved to a provider or was removed. Add the "
                "provider to requirements.txt, or import it from its new place."
            ),
        )
    return (
        "missing-module",
        "Upload the module to the dags folder or in plugins.zip, or add its package to requirements.txt.",
    )


def _module_in_zip(text: str, entry: Mapping[str, Any], file: str) -> str | None:
    """The module of a zip that an error is in; None of a file that is no zip."""
    last = text.rsplit("Traceback (most recent call last):", 1)[-1]
    names = [found["file"] for found in _FRAME.finditer(last)] or [str(entry.get("where", ""))]
    inside = [name.removeprefix(f"{file}/") for name in names if name.startswith(f"{file}/")]
    return inside[-1] if inside else None


def _where(text: str, file: str, folders: Mapping[str, str]) -> tuple[int | None, str | None]:
    """The last line of the judged file in a traceback, and "path:line" of another file that the error is in.

    Args:
        folders: absolute path of a folder that other files are in → what its files' names begin with.
    """
    last = text.rsplit("Traceback (most recent call last):", 1)[-1]
    frames = [(found["file"], int(found["line"])) for found in _FRAME.finditer(last)]
    own = (file, f"{file}/")

    def is_own(name: str) -> bool:
        return name == own[0] or name.startswith(own[1])

    if not any(is_own(name) for name, _ in frames):
        frames = [(found["file"], int(found["line"])) for found in _FRAME.finditer(text)] or frames
    line = next((line for name, line in reversed(frames) if is_own(name)), None)
    inside = [
        (name, f"{prefix}{name.removeprefix(folder + '/')}:{number}")
        for name, number in frames
        for folder, prefix in folders.items()
        if name.startswith(folder + "/")
    ]
    elsewhere = inside[-1][1] if inside and not is_own(inside[-1][0]) else None
    return line, elsewhere
